"""A report as one HTML file: what an auditor, a buyer or a works council can read, print and keep."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final

from voxid import __version__
from voxid.errors import InputError
from voxid.evaluate.bootstrap import CONFIDENCE
from voxid.evaluate.cohorts import MIN_SPEAKERS, MIN_TARGETS, CohortTable
from voxid.evaluate.figures import Mark, draw_curves, draw_det, draw_intervals, draw_scores
from voxid.evaluate.findings import findings, percent, unknowns
from voxid.evaluate.gates import GateResult
from voxid.evaluate.page_tables import (
    cohort_rows,
    condition_table,
    error_table,
    facts_table,
    ratio_sentence,
)
from voxid.evaluate.study import Study
from voxid.evaluate.verification_report import VerificationReport

__all__ = ["draw_gates", "draw_page", "draw_sections", "write_page"]

_NOTHING_BAD: Final = "Nothing measured here stands out. What these trials cannot show is below."
_CURVES: Final = (
    ("crop", "seconds of speech in the probe", True),
    ("noise", "SNR of the probe, dB", False),
    ("babble", "SNR of the probe over babble, dB", False),
)


def write_page(study: Study, path: str | Path, gates: Sequence[GateResult] = ()) -> None:
    """Write ``draw_page`` to a file.

    Raises:
        InputError: ``output_unwritable``.
    """
    try:
        Path(path).write_text(draw_page(study, gates), encoding="utf-8")
    except OSError as error:
        raise InputError(
            "output_unwritable",
            f"Cannot write the page {path} ({error}); expected a writable place; give another path.",
        ) from error


def draw_page(study: Study, gates: Sequence[GateResult] = ()) -> str:
    """Return the page; it holds everything it shows, runs no script, and may load and send nothing."""
    report = study.report
    sections = [
        _cards(report),
        draw_gates(gates),
        _list(
            "Where it is bad",
            findings(study),
            "bad",
            _NOTHING_BAD,
        ),
        _errors(study),
        _conditions(study),
        _cohorts(study),
        _list("What these trials cannot show", unknowns(study), "plain", ""),
        ""
        if study.origin is None
        else "<h2>What the numbers rest on</h2>" + facts_table(study.origin, report),
        _method(study),
    ]
    return draw_sections(
        f"Speaker verification: {report.model_id} on {report.trial_list}",
        _subtitle(report),
        sections,
        "an unknown day" if study.origin is None else study.origin.date,
    )


def draw_sections(title: str, subtitle: str, sections: Sequence[str], date: str) -> str:
    """Return a page of sections, which are HTML already, that runs no script and may load and send nothing."""
    style = files("voxid.evaluate").joinpath("report_page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    page = files("voxid.evaluate").joinpath("report_page.html").read_text(encoding="utf-8")
    return page.format(
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        style=style,
        title=escape(title),
        subtitle=escape(subtitle),
        body="\n".join(section for section in sections if section),
        version=escape(__version__),
        date=escape(date),
    )


def _subtitle(report: VerificationReport) -> str:
    return (
        f"{report.trials:,} trials of {report.speakers} speakers: {report.targets:,} compare a person with themselves, "
        f"{report.nontargets:,} compare two people. Every number carries its {100 * CONFIDENCE:g} % interval."
    )


def _cards(report: VerificationReport) -> str:
    cards = [("Equal error rate", percent(report.metrics["eer"]), "threshold chosen after the fact")]
    for rates in report.profiles[:1]:
        cards.append(
            ("Genuine claims rejected", percent(rates.frr), f"at the shipped threshold {rates.name}")
        )
        cards.append(
            (
                "Other people accepted",
                percent(rates.far),
                f"same threshold, set for {100 * rates.far_wanted:g} %",
            )
        )
    cllr, least = report.metrics.get("cllr"), report.metrics.get("min_cllr")
    if cllr is not None and least is not None:
        cards.append(
            ("Cost of the LLRs", f"{cllr.value:.3f} bits", f"{least.value:.3f} at best; 1 says nothing")
        )
    items = "".join(
        f"<li><span>{escape(name)}</span><b>{escape(value.split(' [')[0])}</b>"
        f"<i>{escape('[' + value.split(' [')[1]) if ' [' in value else ''}</i><span>{escape(rest)}</span></li>"
        for name, value, rest in cards
    )
    return f'<ul class="cards">{items}</ul>'


def draw_gates(gates: Sequence[GateResult]) -> str:
    """Return what every gate found as a section; nothing without gates."""
    if not gates:
        return ""
    items = "".join(
        f'<li class="{"failed" if gate.failed else "passed"}"><span class="verdict">'
        f"{'Failed' if gate.failed else 'Passed'}.</span> {escape(gate.sentence)}</li>"
        for gate in gates
    )
    return f'<h2>Gates</h2><ul class="gates">{items}</ul>'


def _list(title: str, sentences: Sequence[str], kind: str, nothing: str) -> str:
    if not sentences:
        return f"<h2>{title}</h2><p>{escape(nothing)}</p>" if nothing else ""
    return f'<h2>{title}</h2><ul class="{kind}">{"".join(f"<li>{escape(s)}</li>" for s in sentences)}</ul>'


def _errors(study: Study) -> str:
    systems = [study.report, *study.peers]
    starred = any(not point.firm for report in systems for point in report.far_points)
    star = '<p class="soft">* fewer than 30 false accepts stand behind this rate.</p>' if starred else ""
    return (
        "<h2>Error rates</h2>"
        + error_table(systems)
        + star
        + '<div class="pair">'
        + _figure(draw_det(systems, [_label(report) for report in systems]), "Lower left is better.")
        + _figure(
            draw_scores(study.report),
            "Trials to the right of a line are accepted at that threshold. Both areas are 1, however many trials.",
        )
        + "</div>"
    )


def _label(report: VerificationReport) -> str:
    return f"{report.model_id}: EER {percent(report.metrics['eer'])}"


def _conditions(study: Study) -> str:
    if not study.conditions:
        return ""
    measured = [result for result in study.conditions if result.report is not None]
    rows = [Mark("as recorded", study.report.metrics["eer"])]
    rows += [
        Mark(result.condition.name, result.report.metrics["eer"]) for result in measured if result.report
    ]
    figures = [
        _figure(
            draw_intervals(rows, "equal error rate, %", study.report.metrics["eer"].value),
            "Bars are 95 % intervals; the dotted line is the list as recorded.",
        )
    ]
    figures += [figure for kind, axis, log_x in _CURVES if (figure := _curve(study, kind, axis, log_x))]
    return (
        "<h2>Conditions</h2><p>The same trials with the probes made worse. A probe with less speech than a condition "
        "asks for leaves it; the counts say how many are left.</p>"
        + condition_table(study)
        + f'<div class="pair">{"".join(figures)}</div>'
    )


def _curve(study: Study, kind: str, axis: str, log_x: bool) -> str:
    """Return error against one quantity, where the study has two points of it or more."""
    points = [
        (amount, result.report)
        for result in study.conditions
        if result.report is not None and (amount := result.condition.amount_of(kind)) is not None
    ]
    if len(points) < 2:
        return ""
    curves = [("EER", [Mark(f"{at:g}", report.metrics["eer"], at) for at, report in points])]
    for number, rates in enumerate(study.report.profiles[:1]):
        marks = [Mark(f"{at:g}", report.profiles[number].frr, at) for at, report in points]
        curves.append((f"FRR at {rates.name}", marks))
    return _figure(draw_curves(curves, axis, log_x), "Bands are 95 % intervals.")


def _cohorts(study: Study) -> str:
    if not study.cohorts:
        return ""
    intro = (
        "Attributes of people were stated by whoever made the list; voxid does not guess them. Genuine claims count "
        "for the group of the person; impostors are people of the same group, the hardest ones. What was measured of "
        f"the audio counts for the probe. A group needs {MIN_SPEAKERS} people, {MIN_TARGETS} target trials for the "
        "false-reject rate, and enough other trials for the false-accept rate its threshold was set for (rule of 3). "
        "The ratio is the worst group over the best; it is above 1 by construction, so look at its interval."
    )
    return f"<h2>Cohorts</h2><p>{intro}</p>" + "".join(_cohort(table) for table in study.cohorts)


def _cohort(table: CohortTable) -> str:
    origin = "stated" if table.stated else "measured on the audio"
    ratios = "".join(f"<li>{escape(ratio_sentence(found))}</li>" for found in table.disparities)
    rows = [Mark(cohort.value, cohort.frr) for cohort in table.cohorts if cohort.frr is not None]
    figure = ""
    if len(rows) > 1:
        figure = _figure(
            draw_intervals(rows, f"false-reject rate by {table.attribute}, %"), "Bars are 95 % intervals."
        )
    return (
        f'<h3>By {escape(table.attribute)} <span class="soft">({origin})</span></h3>'
        + cohort_rows(table)
        + (f'<ul class="plain">{ratios}</ul>' if ratios else "")
        + figure
    )


def _figure(drawing: str, caption: str) -> str:
    return f"<figure>{drawing}<figcaption>{escape(caption)}</figcaption></figure>"


def _method(study: Study) -> str:
    lines = [
        "A trial compares one enrolled side with one probe. It is accepted when its log-likelihood ratio is at or "
        "above the threshold. False-reject rate: share of genuine claims not accepted. False-accept rate: share of "
        "claims by other people accepted. Equal error rate: where the two meet, read off the empirical ROC.",
        "Cllr is the cost of the LLRs in bits: 0 is perfect, 1 says nothing, above 1 misleads. min Cllr is what the "
        "best monotone recalibration of these very scores would cost.",
        "Thresholds were set on other speakers; their rates here are what a user gets. A threshold set here, after "
        "the fact, is named so.",
        "Intervals resample speakers, not trials: trials of one person rise and fall together.",
    ]
    if study.conditions:
        lines.append(
            "SNR: mean power of the speech where the detector finds it, over the power of the noise in the same "
            "places. Short probes hold the first seconds of speech found in the clean recording."
        )
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<h2>How it was measured</h2><ul class="plain">{items}</ul>'
