"""Turns as CSV, one row each, for spreadsheets and data frames."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from voxid.errors import InputError
from voxid.segments import Segment
from voxid.timeline.text import bad_line, read_text
from voxid.timeline.turn import Suggestion, Turn
from voxid.timeline.voices import find_overlaps, overlapped_seconds

__all__ = ["format_csv", "read_csv_turns", "unescape_cell"]

_COLUMNS = (
    "start_s",
    "end_s",
    "duration_s",
    "speaker",
    "named",
    "llr",
    "confidence",
    "overlapped_s",
    "reviewed",
    "suggestion",
    "suggestion_llr",
    "suggestion_threshold_llr",
)
_NEEDED = ("start_s", "end_s", "speaker")
# A spreadsheet runs a cell that begins so as a formula. An apostrophe in front makes it text; read_csv takes it
# away again. Source: OWASP, "CSV Injection".
_FORMULA = re.compile(r"'*[=+\-@]")
_ESCAPED = re.compile(r"'+[=+\-@]")


def format_csv(turns: Sequence[Turn]) -> str:
    """Return a header and a row per turn; times in seconds to the millisecond, empty where nothing is known.

    A name that a spreadsheet would run as a formula gets an apostrophe in front. The column ``voice_id`` is there only
    where a turn has one.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    remembered = any(turn.voice_id is not None for turn in turns)
    writer.writerow((*_COLUMNS, "voice_id") if remembered else _COLUMNS)
    for turn, shared_s in zip(turns, overlapped_seconds(turns, find_overlaps(turns)), strict=True):
        end_s = max(round(turn.end_s, 3), round(turn.start_s, 3) + 0.001)
        suggestion = turn.suggestion
        writer.writerow(
            (
                f"{turn.start_s:.3f}",
                f"{end_s:.3f}",
                f"{end_s - round(turn.start_s, 3):.3f}",
                _as_text(turn.speaker),
                str(turn.named).lower(),
                _number(turn.llr),
                _number(turn.confidence),
                f"{shared_s:.3f}",
                str(turn.reviewed).lower(),
                _as_text(suggestion.person) if suggestion else "",
                _number(suggestion.llr if suggestion else None),
                _number(suggestion.threshold_llr if suggestion else None),
                *([_as_text(turn.voice_id or "")] if remembered else []),
            )
        )
    return out.getvalue()


def read_csv_turns(path: str | Path) -> list[Turn]:
    """Return the turns of a CSV file with a header; ``start_s``, ``end_s`` and ``speaker`` are needed.

    Columns of other names are passed over, so a spreadsheet may hold remarks of its own.

    Raises:
        InputError: csv_missing, or csv_invalid with the line number.
    """
    rows = csv.DictReader(io.StringIO(read_text(path, "csv")), strict=True)
    turns = []
    try:
        absent = [name for name in _NEEDED if name not in (rows.fieldnames or ())]
        if absent:
            raise bad_line("csv", path, 1, f"no column {', '.join(absent)} in the header")
        for row in rows:
            try:
                turns.append(_turn(row))
            except InputError as error:
                raise bad_line("csv", path, rows.line_num, error.message) from None
            except ValueError as error:
                raise bad_line("csv", path, rows.line_num, str(error)) from None
    except csv.Error as error:
        raise bad_line("csv", path, rows.line_num, str(error)) from None
    return turns


def _turn(row: Mapping[str, str | None]) -> Turn:
    person = unescape_cell(row.get("suggestion") or "")
    suggestion = None
    if person:
        llr, threshold_llr = _parse(row, "suggestion_llr"), _parse(row, "suggestion_threshold_llr")
        if llr is None or threshold_llr is None:
            raise ValueError("a suggestion without its LLR and threshold")
        suggestion = Suggestion(person, llr, threshold_llr)
    start_s, end_s = _parse(row, "start_s"), _parse(row, "end_s")
    if start_s is None or end_s is None:
        raise ValueError("a turn without a start or an end")
    return Turn(
        Segment(start_s, end_s),
        unescape_cell(row["speaker"] or ""),
        _flag(row, "named"),
        _parse(row, "llr"),
        _parse(row, "confidence"),
        suggestion,
        _flag(row, "reviewed"),
        unescape_cell(row.get("voice_id") or "") or None,
    )


def _parse(row: Mapping[str, str | None], column: str) -> float | None:
    field = (row.get(column) or "").strip()
    if not field:
        return None
    try:
        return float(field)
    except ValueError:
        raise ValueError(f"{field[:40]!r} in column {column} is no number") from None


def _flag(row: Mapping[str, str | None], column: str) -> bool:
    field = (row.get(column) or "").strip().lower()  # spreadsheets write TRUE
    if field not in ("", "true", "false"):
        raise ValueError(f"{field[:40]!r} in column {column} is neither true nor false")
    return field == "true"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _as_text(name: str) -> str:
    return "'" + name if _FORMULA.match(name) else name


def unescape_cell(field: str) -> str:
    """Return a cell without the apostrophe that keeps a spreadsheet from running it."""
    return field[1:] if _ESCAPED.match(field) else field
