"""A report of a detector of spoofed speech as tables in a terminal: every generator is named, the bad ones first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from voxid.evaluate.bootstrap import Estimate
from voxid.evaluate.report import cell
from voxid.evaluate.spoof_genuine import GenuineReport
from voxid.evaluate.spoof_protocol import OUTCOMES
from voxid.evaluate.spoof_report import SPOOF_METRICS, SpoofGroup, SpoofReport

__all__ = ["METRIC_TITLES", "outcome_words", "render_genuine", "render_spoof", "subtitle_of"]

METRIC_TITLES: Final[Mapping[str, tuple[str, float]]] = {
    "eer": ("EER", 100.0),
    "eer_families": ("EER, mean of the families", 100.0),
    "bpcer_at_apcer_1pct": ("BPCER at APCER 1 %", 100.0),
    "bpcer_at_apcer_5pct": ("BPCER at APCER 5 %", 100.0),
    "bpcer_at_apcer_10pct": ("BPCER at APCER 10 %", 100.0),
    "apcer_at_bpcer_1pct": ("APCER at BPCER 1 %", 100.0),
    "apcer_at_bpcer_5pct": ("APCER at BPCER 5 %", 100.0),
    "apcer_at_bpcer_10pct": ("APCER at BPCER 10 %", 100.0),
    "min_tdcf": ("min t-DCF", 1.0),
    "min_adcf": ("min a-DCF", 1.0),
    "auc": ("AUC", 100.0),
    "cllr": ("Cllr, bits", 1.0),
    "min_cllr": ("min Cllr, bits", 1.0),
}
"""Name of each measure for people, and what it is multiplied with (100: percent)."""


def subtitle_of(report: SpoofReport) -> str:
    """Return what was measured, in a line."""
    return (
        f"{report.protocol}: {report.genuine:,} genuine recordings, {report.spoofs:,} spoofs by {report.generators} "
        "generators"
    )


def render_spoof(report: SpoofReport) -> RenderableType:
    """Return the measures, outcomes, abstention, families, corpora and every generator as tables."""
    shown: list[RenderableType] = [Text(subtitle_of(report), style="bold"), _measures(report)]
    if report.outcomes:
        shown.append(_outcomes(report))
    shown.append(_abstention(report))
    for kind in ("family", "corpus"):
        if groups := [group for group in report.groups if group.kind == kind]:
            shown.append(_groups(kind, groups))
    shown += [_species(report), _notes(report)]
    return Group(*shown)


def render_genuine(report: GenuineReport) -> RenderableType:
    """Return how much of a set of genuine speech is falsely flagged, whole and by cohort, as a table."""
    table = _table(
        f"genuine: {report.name}", ("called spoof, %", "not called genuine, %", "people", "recordings")
    )
    for cohort in (report.whole, *report.cohorts):
        rates = ("too few" if rate is None else cell(rate, 100.0) for rate in (cohort.flagged, cohort.held))
        name = f"{cohort.attribute}: {cohort.value}" if cohort.value else cohort.attribute
        table.add_row(name, *rates, str(cohort.speakers), f"{cohort.recordings:,}")
    lines = [
        f"[low, high] is the 95 % interval; speakers resampled {report.resamples} times (seed {report.seed}).",
        f"Verdicts: {outcome_words(report.whole.outcomes)}.",
        *report.notes,
    ]
    return Group(table, Text("\n".join(f"- {line}" for line in lines) + "\n", style="dim"))


def outcome_words(counts: Mapping[str, int]) -> str:
    """Return counts of outcomes as ``genuine 3, spoof 1``; a dash without verdicts."""
    return ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items() if count) or "-"


def _measures(report: SpoofReport) -> Table:
    table = _table("all species pooled", (report.model_id,))
    for name in SPOOF_METRICS:
        if name in report.metrics:
            title, scale = METRIC_TITLES[name]
            table.add_row(title + (", %" if scale == 100.0 else ""), cell(report.metrics[name], scale))
    table.add_section()
    if report.bpcer is not None:
        table.add_row("BPCER of the verdicts: genuine called spoof, %", cell(report.bpcer, 100.0))
    if report.apcer is not None:
        table.add_row("APCER of the verdicts: spoofs called genuine, %", cell(report.apcer, 100.0))
    worst = report.worst
    rate = worst.apcer or worst.apcer_at_bpcer_5pct
    at = "" if worst.apcer is not None else " at BPCER 5 %"
    table.add_row(f"worst species: {worst.generator}, APCER{at}, %", cell(rate, 100.0))
    return table


def _outcomes(report: SpoofReport) -> Table:
    table = _table("label", [f"{name.replace('_', ' ')}, %" for name in OUTCOMES] + ["recordings"])
    for label, counts in report.outcomes.items():
        total = sum(counts.values())
        shares = [f"{100 * counts[name] / total:.1f}" if total else "-" for name in OUTCOMES]
        table.add_row(label, *shares, f"{total:,}")
    return table


def _abstention(report: SpoofReport) -> Table:
    table = _table("least sure set aside", ("EER % of the rest", "genuine left", "spoofs left"))
    for point in report.abstention:
        table.add_row(
            f"{100 * point.share:.0f} %", cell(point.eer, 100.0), f"{point.genuine:,}", f"{point.spoofs:,}"
        )
    if report.own is not None:
        own = report.own
        table.add_section()
        table.add_row(
            f"{100 * own.share:.1f} %, by its own verdicts",
            cell(own.eer, 100.0),
            f"{own.genuine:,}",
            f"{own.spoofs:,}",
        )
    return table


def _groups(kind: str, groups: Sequence[SpoofGroup]) -> Table:
    own = ("EER %, own genuine",) if kind == "corpus" else ()
    verdicts = ("APCER %",) if any(group.apcer is not None for group in groups) else ()
    table = _table(kind, ("EER %, all genuine", *own, *verdicts, "APCER % at BPCER 5 %", "genuine", "spoofs"))
    for group in groups:
        cells: list[Estimate | None] = [group.eer]
        cells += [group.eer_within] if own else []
        cells += [group.apcer] if verdicts else []
        cells.append(group.apcer_at_bpcer_5pct)
        table.add_row(
            group.name, *(cell(found, 100.0) for found in cells), f"{group.genuine:,}", f"{group.spoofs:,}"
        )
    return table


def _species(report: SpoofReport) -> Table:
    table = _table(
        "generator, the worst first", ("family", "APCER %", "APCER % at BPCER 5 %", "EER %", "recordings")
    )
    for species in report.species:
        table.add_row(
            species.generator,
            species.family,
            cell(species.apcer, 100.0),
            cell(species.apcer_at_bpcer_5pct, 100.0),
            f"{100 * species.eer:.1f}",
            str(species.trials),
        )
    return table


def _notes(report: SpoofReport) -> Text:
    verifier = report.verifier
    kind = "assumed" if verifier.assumed else "measured"
    lines = [
        f"[low, high] is the 95 % interval; speakers (else recordings) of genuine speech and generators resampled "
        f"{report.resamples} times (seed {report.seed}); of single generators and groups' APCER it is exact binomial.",
        f"Costs are of the detector before a verifier {kind} to have FRR {100 * verifier.frr:g} %, FAR "
        f"{100 * verifier.far:g} %, and to accept {100 * verifier.spoof_far:g} % of the spoofs of a target.",
        *report.notes,
    ]
    return Text("\n".join(f"- {line}" for line in lines) + "\n", style="dim")


def _table(first: str, others: Sequence[str]) -> Table:
    table = Table()
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table
