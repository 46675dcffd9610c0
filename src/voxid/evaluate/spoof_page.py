"""A report of a detector of spoofed speech as one HTML file, in the manner of the page of verification."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Final

from voxid.errors import InputError
from voxid.evaluate.bootstrap import CONFIDENCE, Estimate
from voxid.evaluate.figures import Mark, draw_curves, draw_det, draw_intervals, draw_scores
from voxid.evaluate.findings import percent
from voxid.evaluate.gates import GateResult
from voxid.evaluate.page import draw_gates, draw_sections
from voxid.evaluate.page_tables import rate_cell, table
from voxid.evaluate.spoof import ABSTAINED
from voxid.evaluate.spoof_genuine import FlaggedCohort, GenuineReport
from voxid.evaluate.spoof_protocol import OUTCOMES
from voxid.evaluate.spoof_report import SPOOF_METRICS, SpoofGroup, SpoofReport, detection_of
from voxid.evaluate.spoof_tables import METRIC_TITLES, outcome_words, subtitle_of

__all__ = ["draw_spoof_page", "write_spoof_page"]

_METHOD: Final = (
    "Genuine speech is live human speech; a spoof was made by a generator (a species, in the words of ISO/IEC 30107-3) "
    "or played back. APCER: share of the spoofs of a species that are called genuine. BPCER: share of genuine speech "
    "that is called spoof. Suspicious and cannot tell are neither, and are counted by themselves.",
    "Equal error rate and the rates at a fixed other error need no verdicts: their thresholds are found here, after "
    "the fact, on all species pooled. A generator weighs by its number of recordings.",
    "min t-DCF (ASVspoof 2021) and min a-DCF (Shim et al., 2024) are costs of detector and verifier together, at the "
    "best threshold of the detector; 1 is what the better of two constant detectors costs.",
    "Set aside: the least sure recordings leave first: those nothing could be measured of, those the detector cannot "
    "tell, then those whose LLR is nearest to 0 (no LLRs: nearest to the middle between the thresholds).",
    "Intervals resample the generators of spoofs and the speakers of genuine speech (recordings, where no speakers are "
    "named); those of single generators are exact binomial ones.",
)


def write_spoof_page(
    report: SpoofReport | None,
    path: str | Path,
    genuine: Sequence[GenuineReport] = (),
    gates: Sequence[GateResult] = (),
) -> None:
    """Write ``draw_spoof_page`` to a file.

    Raises:
        InputError: ``output_unwritable``.
    """
    try:
        Path(path).write_text(draw_spoof_page(report, genuine, gates), encoding="utf-8")
    except OSError as error:
        raise InputError(
            "output_unwritable",
            f"Cannot write the page {path} ({error}); expected a writable place; give another path.",
        ) from error


def draw_spoof_page(
    report: SpoofReport | None, genuine: Sequence[GenuineReport] = (), gates: Sequence[GateResult] = ()
) -> str:
    """Return the page; it holds everything it shows, runs no script, and may load and send nothing."""
    sections = [draw_gates(gates)]
    if report is not None:
        sections = [_cards(report), draw_gates(gates), _list("Where it is bad", _findings(report), "bad"),
                    _errors(report), _abstention(report), _groups(report), _species(report)]  # fmt: skip
    sections += [_genuine(found) for found in genuine]
    notes = [
        *(report.notes if report is not None else ()),
        *(line for found in genuine for line in found.notes),
    ]
    sections += [_list("What else to know", notes, "plain"), _list("How it was measured", _METHOD, "plain")]
    model = report.model_id if report is not None else genuine[0].model_id
    name = report.protocol if report is not None else ", ".join(found.name for found in genuine)
    subtitle = "Genuine speech only." if report is None else subtitle_of(report) + "."
    return draw_sections(
        f"Detection of spoofed speech: {model} on {name}",
        f"{subtitle} Rates carry their {100 * CONFIDENCE:g} % interval.",
        sections,
        datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _cards(report: SpoofReport) -> str:
    cards = [("Equal error rate", percent(report.metrics["eer"]), "all generators pooled")]
    kept = report.abstention[ABSTAINED.index(0.2)]
    if kept.eer is not None:
        cards.append(
            ("with the least sure 20 % set aside", percent(kept.eer), "equal error rate of the rest")
        )
    if report.bpcer is not None and report.apcer is not None:
        cards.append(("Genuine called spoof", percent(report.bpcer), "BPCER of the verdicts"))
        cards.append(("Spoofs called genuine", percent(report.apcer), "APCER of the verdicts, pooled"))
    worst = report.worst
    cards.append(("Worst generator", percent(worst.apcer or worst.apcer_at_bpcer_5pct), worst.generator))
    items = "".join(
        f"<li><span>{escape(name)}</span><b>{escape(value.split(' [')[0])}</b>"
        f"<i>{escape('[' + value.split(' [')[1]) if ' [' in value else ''}</i><span>{escape(rest)}</span></li>"
        for name, value, rest in cards
    )
    return f'<ul class="cards">{items}</ul>'


def _findings(report: SpoofReport) -> Iterator[str]:
    """Yield what is bad, in sentences."""
    through = [
        species for species in report.species if (species.apcer or species.apcer_at_bpcer_5pct).value > 0.5
    ]
    if through:
        named = ", ".join(species.generator for species in through)
        how = "called genuine" if report.apcer is not None else "passed at BPCER 5 %"
        yield f"More than half of the recordings of {len(through)} generators are {how}: {named}."
    for group in report.groups:
        pooled = report.metrics["eer"]
        if group.eer is not None and group.eer.low is not None and group.eer.low > pooled.value:
            yield f"The {group.kind} {group.name}: EER {percent(group.eer)}, above the pooled {percent(pooled)}."
    least = report.metrics.get("min_cllr")
    cost = report.metrics.get("cllr")
    if cost is not None and least is not None and (cost.low or cost.value) > 1.1 * least.value:
        yield (
            f"The LLRs mean less than they say: Cllr is {cost.value:.3f} bits where the same scores could give "
            f"{least.value:.3f}; 1 says nothing."
        )
    if report.own is not None and report.own.share > 0.2:
        yield f"{100 * report.own.share:.0f} % of all recordings are suspicious, or it cannot tell."


def _errors(report: SpoofReport) -> str:
    detection = detection_of(report)
    rows = [
        [METRIC_TITLES[name][0], rate_cell(report.metrics[name], METRIC_TITLES[name][1])]
        for name in SPOOF_METRICS
        if name in report.metrics
    ]
    counts = [
        [label, *(f"{100 * found[name] / max(1, sum(found.values())):.1f} %" for name in OUTCOMES),
         f"{sum(found.values()):,}"]
        for label, found in report.outcomes.items()
    ]  # fmt: skip
    heads = ["", *(name.replace("_", " ") for name in OUTCOMES), "recordings"]
    label = f"{report.model_id}: EER {percent(report.metrics['eer'])}"
    curves = draw_det(
        [detection], [label], ("spoofs passed (APCER, pooled), %", "genuine stopped (BPCER), %")
    )
    shapes = draw_scores(detection, ("genuine", "spoofs"))
    return (
        "<h2>Error rates</h2>"
        + table(["", report.model_id], rows, "All species pooled, with 95 % intervals")
        + (table(heads, counts, "Verdicts by label") if counts else "")
        + f'<div class="pair">{_figure(curves, "Lower left is better.")}'
        + _figure(shapes, "Higher speaks for genuine. Both areas are 1, however many recordings.")
        + "</div>"
    )


def _abstention(report: SpoofReport) -> str:
    points = [
        Mark(f"{100 * point.share:.0f}", point.eer, 100.0 * point.share)
        for point in report.abstention
        if point.eer is not None
    ]
    rows = [
        [f"{100 * point.share:.0f} %", rate_cell(point.eer), f"{point.genuine:,}", f"{point.spoofs:,}"]
        for point in report.abstention
    ]
    if report.own is not None:
        own = report.own
        share = f"{100 * own.share:.1f} %, by its own verdicts"
        rows.append([share, rate_cell(own.eer), f"{own.genuine:,}", f"{own.spoofs:,}"])
    figure = ""
    if len(points) > 1:
        curves = draw_curves([("EER of the rest", points)], "least sure recordings set aside, %")
        figure = _figure(curves, "The band is the 95 % interval.")
    return (
        "<h2>With the least sure set aside</h2>"
        + table(["set aside", "EER of the rest", "genuine left", "spoofs left"], rows)
        + figure
    )


def _groups(report: SpoofReport) -> str:
    parts = []
    for kind, title in (("family", "Families"), ("corpus", "Corpora")):
        groups = [group for group in report.groups if group.kind == kind]
        if not groups:
            continue
        marks = [Mark(group.name, group.eer) for group in groups if group.eer is not None]
        figure = draw_intervals(marks, "EER against all genuine speech, %", report.metrics["eer"].value)
        head = [
            kind,
            "EER, all genuine",
            "EER, own genuine",
            "APCER",
            "APCER at BPCER 5 %",
            "genuine",
            "spoofs",
        ]
        parts.append(
            f"<h2>{title}</h2>"
            + table(head, [_group_row(group) for group in groups])
            + _figure(figure, "Bars are 95 % intervals; the dotted line is all of them pooled.")
        )
    return "".join(parts)


def _group_row(group: SpoofGroup) -> list[str]:
    rates = (group.eer, group.eer_within, group.apcer, group.apcer_at_bpcer_5pct)
    cells = [rate_cell(rate) for rate in rates]
    return [escape(group.name), *cells, f"{group.genuine:,}", f"{group.spoofs:,}"]


def _species(report: SpoofReport) -> str:
    head = ["generator", "family", "APCER", "APCER at BPCER 5 %", "EER", "verdicts", "recordings"]
    rows = [
        [escape(species.generator), escape(species.family), rate_cell(species.apcer),
         rate_cell(species.apcer_at_bpcer_5pct), rate_cell(Estimate(species.eer)),
         escape(outcome_words(species.outcomes)), str(species.trials)]
        for species in report.species
    ]  # fmt: skip
    return "<h2>Every generator, the worst first</h2>" + table(head, rows, stacked=True)


def _genuine(found: GenuineReport) -> str:
    head = ["", "called spoof", "not called genuine", "verdicts", "people", "recordings"]
    rows = [_cohort_row("all", found.whole)]
    rows += [_cohort_row(f"{cohort.attribute}: {cohort.value}", cohort) for cohort in found.cohorts]
    return f"<h2>Genuine speech of {escape(found.name)}</h2>" + table(head, rows, stacked=True)


def _cohort_row(name: str, cohort: FlaggedCohort) -> list[str]:
    rates = [
        '<span class="few">too few people</span>' if rate is None else rate_cell(rate)
        for rate in (cohort.flagged, cohort.held)
    ]
    words = escape(outcome_words(cohort.outcomes))
    return [escape(name), *rates, words, str(cohort.speakers), f"{cohort.recordings:,}"]


def _list(title: str, sentences: Sequence[str] | Iterator[str], kind: str) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<h2>{title}</h2><ul class="{kind}">{items}</ul>' if items else ""


def _figure(drawing: str, caption: str) -> str:
    return f"<figure>{drawing}<figcaption>{escape(caption)}</figcaption></figure>"
