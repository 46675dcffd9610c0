"""Reports for people and programs: rich tables in a terminal, JSON in a file.

A table never mixes trial lists or diarization protocols: systems stand side by side only on one list.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from voxid.errors import InputError
from voxid.evaluate.bootstrap import Estimate
from voxid.evaluate.der import PROTOCOLS
from voxid.evaluate.diarization import DiarizationReport
from voxid.evaluate.identification import IdentificationReport
from voxid.evaluate.study import Study
from voxid.evaluate.verification_report import METRICS, VerificationReport

if TYPE_CHECKING:
    from voxid.evaluate.diarization_study import DiarizationStudy

Report = VerificationReport | IdentificationReport | DiarizationReport

_METRIC_TITLES = {
    "eer": "EER %",
    "min_dcf_p01": "minDCF (p .01)",
    "act_dcf_p01": "actDCF (p .01)",
    "cllr": "Cllr bits",
    "min_cllr": "min Cllr bits",
    "auc": "AUC %",
}
_IN_PERCENT = {"eer", "auc"}


def write_json(reports: Sequence[Report | Study | DiarizationStudy], path: str | Path) -> None:
    """Write one report or study as its JSON object, several as a list.

    Raises:
        InputError: ``output_unwritable``.
    """
    records = [report.to_dict() for report in reports]
    write_records(records[0] if len(records) == 1 else records, path)


def write_records(records: Mapping[str, Any] | Sequence[Mapping[str, Any]], path: str | Path) -> None:
    """Write what is JSON already to a file.

    Raises:
        InputError: ``output_unwritable``.
    """
    text = json.dumps(records, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        Path(path).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(
            "output_unwritable",
            f"Cannot write the report {path} ({error}); expected a writable place; give another path.",
        ) from error


def render(reports: Sequence[Report]) -> RenderableType:
    """Return the reports as tables, one per trial list or set of recordings, each with its notes."""
    shown: list[RenderableType] = []
    lists: dict[tuple[str, int, int], list[VerificationReport]] = {}
    for report in reports:
        if isinstance(report, VerificationReport):
            lists.setdefault((report.trial_list, report.trials, report.targets), []).append(report)
        elif isinstance(report, IdentificationReport):
            shown += [_title(_identification_title(report)), identification_table(report), _notes(report)]
        else:
            shown += [_title(_diarization_title(report)), diarization_table(report), _notes(report)]
    for group in lists.values():
        shown += [_title(_verification_title(group[0])), verification_table(group), _notes(*group)]
    return Group(*shown)


def verification_table(reports: Sequence[VerificationReport]) -> Table:
    """Return systems side by side on one trial list: value and 95 % interval of every measure."""
    table = Table()
    table.add_column("")
    for report in reports:
        table.add_column(report.model_id, justify="right")
    for name in METRICS:
        scale = 100.0 if name in _IN_PERCENT else 1.0
        table.add_row(_METRIC_TITLES[name], *(cell(report.metrics.get(name), scale) for report in reports))
    table.add_section()
    for number, point in enumerate(reports[0].far_points):
        shown = [report.far_points[number] for report in reports]
        cells = [cell(item.frr, 100.0) + ("" if item.firm else " *") for item in shown]
        table.add_row(f"FRR % at FAR {100 * point.point.far_wanted:g} %", *cells)
    for name in dict.fromkeys(rates.name for report in reports for rates in report.profiles):
        rates_of = [{rates.name: rates for rates in report.profiles}.get(name) for report in reports]
        far = [cell(None if rates is None else rates.far, 100.0) for rates in rates_of]
        frr = [cell(None if rates is None else rates.frr, 100.0) for rates in rates_of]
        table.add_row(f"profile {name}: FAR %", *far)
        table.add_row(f"profile {name}: FRR %", *frr)
    return table


def identification_table(report: IdentificationReport) -> Table:
    """Return closed-set and open-set identification of one system."""
    table = Table()
    table.add_column("")
    table.add_column(report.model_id, justify="right")
    for k, estimate in report.rank_accuracy.items():
        place = "first" if k == 1 else f"among the {k} best"
        table.add_row(f"closed set: right person {place}, %", cell(estimate, 100.0))
    table.add_section()
    for fpir, estimate in report.fnir_at_fpir.items():
        table.add_row(f"open set: FNIR % at FPIR {100 * fpir:g} %", cell(estimate, 100.0))
    for name, (fpir_estimate, fnir) in report.profiles.items():
        table.add_row(f"profile {name}: FPIR %", cell(fpir_estimate, 100.0))
        table.add_row(f"profile {name}: FNIR %", cell(fnir, 100.0))
    return table


def diarization_table(report: DiarizationReport) -> Table:
    """Return one row per protocol: DER with interval, its three parts and the speech scored."""
    table = Table()
    table.add_column("protocol")
    for title in ("DER %", "miss", "false alarm", "confusion", "speech s"):
        table.add_column(title, justify="right")
    for protocol in PROTOCOLS:
        times = report.times[protocol.name]
        share = _share_of(times.scored_s)
        table.add_row(
            protocol.title,
            cell(report.der[protocol.name], 100.0),
            share(times.missed_s),
            share(times.false_alarm_s),
            share(times.confusion_s),
            f"{times.scored_s:.1f}",
        )
    return table


def _verification_title(report: VerificationReport) -> str:
    fewest, most = report.enrolment_utterances
    utterances = (
        "1 utterance" if most == 1 else f"{fewest if fewest == most else f'{fewest} to {most}'} utterances"
    )
    return (
        f"{report.trial_list}: {report.trials:,} trials, {report.targets:,} targets, {report.nontargets:,} "
        f"non-targets, {report.speakers} speakers, enrolled with {utterances}"
    )


def _identification_title(report: IdentificationReport) -> str:
    searches = report.open_set
    return (
        f"{report.trial_list}: {report.people} people enrolled, {report.probes:,} probes; open set: "
        f"{searches.folds} galleries of {searches.smallest_gallery} or more"
    )


def _diarization_title(report: DiarizationReport) -> str:
    count = len(report.recordings)
    scored_s = report.times[PROTOCOLS[0].name].scored_s
    return f"{count} recording{'' if count == 1 else 's'}, {scored_s:,.1f} s of reference speech"


def _diarization_lines(report: DiarizationReport) -> list[str]:
    return [
        f"JER % {cell(report.jer, 100.0)} (no collar, overlap scored).",
        f"Right number of speakers in {cell(report.count_exact, 100.0)} % of the recordings; "
        f"{report.count_error:+.2f} speakers on average.",
        *report.notes,
    ]


def _share_of(scored_s: float) -> Callable[[float], str]:
    return lambda error_s: f"{100 * error_s / scored_s:.2f}" if scored_s > 0 else "-"


def cell(estimate: Estimate | None, scale: float) -> str:
    """Return a value with its interval, times ``scale`` (100 for percent); a dash where there is none."""
    if estimate is None or estimate.value is None:
        return "-"
    digits = 2 if scale == 100.0 else 3
    value = f"{scale * estimate.value:.{digits}f}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{scale * estimate.low:.{digits}f}, {scale * estimate.high:.{digits}f}]"


def _title(line: str) -> Text:
    return Text(line, style="bold")


def _notes(*reports: Report) -> Text:
    """Return the sentences below a table: what the brackets are, then every note once."""
    first = reports[0]
    unit = "recordings" if isinstance(first, DiarizationReport) else "speakers"
    lines = [
        f"[low, high] is the 95 % interval; {unit} resampled {first.resamples} times (seed {first.seed})."
    ]
    for report in reports:
        if isinstance(report, VerificationReport) and any(not point.firm for point in report.far_points):
            lines.append("* fewer than 30 false accepts stand behind this FAR.")
        lines += _diarization_lines(report) if isinstance(report, DiarizationReport) else report.notes
    return Text("\n".join(f"- {line}" for line in dict.fromkeys(lines)) + "\n", style="dim")
