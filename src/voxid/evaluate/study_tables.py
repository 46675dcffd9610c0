"""A study as tables in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from voxid.evaluate.cohorts import Cohort, CohortTable
from voxid.evaluate.page_tables import ratio_sentence
from voxid.evaluate.report import cell, render
from voxid.evaluate.study import Study
from voxid.evaluate.verification_report import VerificationReport

__all__ = ["cohort_table", "condition_table", "render_study"]


def render_study(study: Study) -> RenderableType:
    """Return the report of the list, then a table of the conditions and one per attribute."""
    shown: list[RenderableType] = [render([study.report, *study.peers])]
    if study.conditions:
        shown += [_title("Conditions of the probes"), condition_table(study), Text("")]
    for table in study.cohorts:
        sentences = "".join(f"- {ratio_sentence(found)}\n" for found in table.disparities)
        shown += [
            _title(f"By {table.attribute}, at the threshold {table.threshold.name}"),
            cohort_table(table),
            Text(sentences, style="dim"),
        ]
    return Group(*shown)


def condition_table(study: Study) -> Table:
    """Return a row per condition, the clean list first."""
    profile = study.report.profiles[0].name if study.report.profiles else None
    table = Table()
    table.add_column("probes")
    titles = ["EER %", "Cllr bits", *([f"FRR % {profile}", f"FAR % {profile}"] if profile else []), "trials"]
    for title in titles:
        table.add_column(title, justify="right")
    rows: list[tuple[str, VerificationReport | None]] = [("as recorded", study.report)]
    rows += [(result.condition.title, result.report) for result in study.conditions]
    for title, report in rows:
        if report is None:
            table.add_row(title, "too few")
            continue
        rates = {rates.name: rates for rates in report.profiles}.get(profile or "")
        cells = [cell(report.metrics["eer"], 100.0), cell(report.metrics.get("cllr"), 1.0)]
        if profile:
            cells += [cell(rate, 100.0) for rate in ((rates.frr, rates.far) if rates else (None, None))]
        table.add_row(title, *cells, f"{report.trials:,}")
    return table


def cohort_table(found: CohortTable) -> Table:
    """Return a row per cohort; those with too few trials say so."""
    table = Table()
    table.add_column(found.attribute)
    for title in ("FRR %", "FAR %", "EER %", "people", "targets", "non-targets"):
        table.add_column(title, justify="right")
    few = [cohort for cohort in found.cohorts if cohort.frr is None and cohort.far is None]
    for cohort in found.cohorts:
        if len(few) <= 6 or cohort not in few:
            table.add_row(*_row(cohort))
    if len(few) > 6:
        table.add_row(f"{len(few)} others", *(3 * ["too few"]))
    return table


def _row(cohort: Cohort) -> list[str]:
    rates = (cohort.frr, cohort.far, cohort.eer)
    cells = ["too few" if rate is None else cell(rate, 100.0) for rate in rates]
    return [cohort.value, *cells, str(cohort.speakers), f"{cohort.targets:,}", f"{cohort.nontargets:,}"]


def _title(line: str) -> Text:
    return Text(line, style="bold")
