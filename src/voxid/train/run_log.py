"""What a run says while it goes: one JSON object a line, kept in a file and handed on as it is written."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Report = Callable[[dict[str, Any]], None]


class RunLog:
    """JSON lines, flushed row by row, each with the seconds since this run (or resumption) began.

    Args:
        path: of the file.
        report: hears each row as well.
        keep: add to what is there instead of beginning anew.
    """

    def __init__(self, path: Path, report: Report, keep: bool) -> None:
        self._file = path.open("a" if keep else "w", encoding="utf-8")
        self._report = report
        self._began = time.monotonic()

    def write(self, row: dict[str, Any]) -> None:
        """Add one row."""
        row = {"elapsed_s": round(time.monotonic() - self._began, 1), **row}
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        self._report(row)
