"""A study of diarization as a table in a terminal, and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from voxid.evaluate.bootstrap import Estimate
from voxid.evaluate.der import PROTOCOLS
from voxid.evaluate.diarization_study import NAMES, DiarizationStudy, SystemResult
from voxid.evaluate.page_tables import rate_cell, table
from voxid.evaluate.report import cell

__all__ = ["parts_table", "recordings_table", "render_systems", "systems_table"]

_NAME_TITLES: Final = {
    "named": "right name",
    "named_wrong": "wrong name",
    "strangers_named": "strangers named",
}
_NOTHING: Final = "–"


def render_systems(study: DiarizationStudy) -> RenderableType:
    """Return the rows: errors without collar and with overlap in parts, other protocols, counts, names, seconds."""
    first = PROTOCOLS[0]
    shown = Table()
    shown.add_column("system")
    names = _measured_names(study)
    titles = [f"DER % {first.title}", "miss", "FA", "conf", *(f"DER % {p.title}" for p in PROTOCOLS[1:])]
    titles += ["JER %", "count right %", *(f"{_NAME_TITLES[name]} %" for name in names), "s per hour"]
    for title in titles:
        shown.add_column(title, justify="right")
    for row in study.results:
        report = row.report
        cells = [_der(row, first.name), *_parts(row, first.name)]
        cells += [_der(row, protocol.name) for protocol in PROTOCOLS[1:]]
        cells += [cell(report.jer, 100.0), cell(report.count_exact, 100.0)]
        cells += [cell(row.names.get(name), 100.0) for name in names]
        shown.add_row(row.system.title, *cells, _seconds(row))
    count = len(study.results[0].report.recordings)
    headline = Text(f"Diarization of {study.name}: {count} recordings, {study.hours:.2f} h", style="bold")
    return Group(headline, shown, Text("".join(f"- {note}\n" for note in study.notes), style="dim"))


def systems_table(study: DiarizationStudy) -> str:
    """Return the page's table: a row per system."""
    names = _measured_names(study)
    head = [
        "system",
        *(f"DER, {protocol.title}" for protocol in PROTOCOLS),
        "JER",
        "number of speakers right",
    ]
    head += [*(f"speech with the {_NAME_TITLES[name]}" if name != "strangers_named" else "strangers' speech named"
               for name in names), "seconds per hour"]  # fmt: skip
    rows = []
    for row in study.results:
        report = row.report
        cells = [rate_cell(_scored(row, protocol.name)) for protocol in PROTOCOLS]
        cells += [rate_cell(_finite(report.jer)), rate_cell(report.count_exact)]
        cells += [rate_cell(row.names.get(name)) for name in names]
        rows.append([escape(row.system.title), *cells, _seconds(row)])
    return table(head, rows, "Systems on the same recordings, with 95 % intervals", stacked=True)


def parts_table(study: DiarizationStudy) -> str:
    """Return the parts of the errors, protocol by protocol."""
    head = ["system", *(f"{part}, {protocol.title}" for protocol in PROTOCOLS
                        for part in ("missed", "false alarm", "confusion"))]  # fmt: skip
    rows = [
        [escape(row.system.title), *(part for protocol in PROTOCOLS for part in _parts(row, protocol.name))]
        for row in study.results
    ]
    return table(head, rows, "Parts of the error, % of the scored speech", stacked=True)


def recordings_table(row: SystemResult) -> str:
    """Return one system's errors by recording, worst first."""
    first = PROTOCOLS[0].name
    ordered = sorted(row.report.recordings, key=lambda errors: -(errors.times[first].der or 0.0))
    rows = []
    for errors in ordered:
        parts = [_percent(errors.times[first].to_dict()[name]) for name in ("der", "missed", "false_alarm")]
        parts.append(_percent(errors.times[first].to_dict()["confusion"]))
        speakers = f"{errors.hypothesis_speakers} of {errors.reference_speakers}"
        rows.append([escape(errors.uri), *parts, _percent(errors.jer), speakers])
    head = ["recording", "DER %", "missed", "false alarm", "confusion", "JER %", "speakers found, of"]
    return table(head, rows, f"{row.system.title}: recordings, worst first, {PROTOCOLS[0].title}")


def _measured_names(study: DiarizationStudy) -> Sequence[str]:
    return [name for name in NAMES if any(name in row.names for row in study.results)]


def _scored(row: SystemResult, protocol: str) -> Estimate | None:
    return row.report.der[protocol] if row.report.times[protocol].scored_s > 0 else None


def _finite(estimate: Estimate) -> Estimate | None:
    return estimate if estimate.value == estimate.value else None


def _der(row: SystemResult, protocol: str) -> str:
    return cell(_scored(row, protocol), 100.0)


def _parts(row: SystemResult, protocol: str) -> list[str]:
    shares = row.report.times[protocol].to_dict()
    return [_percent(shares[name]) for name in ("missed", "false_alarm", "confusion")]


def _percent(share: float | None) -> str:
    return _NOTHING if share is None else f"{100 * share:.1f}"


def _seconds(row: SystemResult) -> str:
    return _NOTHING if row.seconds_per_hour is None else f"{row.seconds_per_hour:.0f}"
