"""Log lines: one JSON object a line on stderr, and nothing in them that could be a name, a key, a score or audio.

Three rules:
1. A request is logged by its route, never by its address, its headers or its body.
2. Of an error only its class and where in the program it was raised are logged, never its message: messages quote what
   was sent. Our own messages are formatted from words of the program, ids and counts.
3. Of lines of other packages only what they were formatted from is logged, with the numbers filled in where there is
   nothing but numbers to fill in, and nothing of their debug level.
Whatever still looks like a credential is struck out of every line (`redacted`).
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, TextIO

from voxid.service.observing import ServedRequest, current_request
from voxid.service.settings import OperationsSettings

__all__ = ["JsonLines", "TextLines", "log_request", "redacted", "start_logging"]

REDACTED: Final = "[redacted]"
_MOST_CHARS: Final = 2_000
_MOST_FRAMES: Final = 20
_OWN: Final = "voxid"
_FIELDS: Final = "voxid"  # of a record: what our own lines say beside the message

# Keys and sessions of ours, tokens of identity providers, passwords in addresses, key material in hex or base64.
_CREDENTIALS: Final = re.compile(
    r"vx[a-z]_[A-Za-z0-9_.-]+"
    r"|eyJ[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)*"
    r"|(?i:bearer|basic)\s+\S+"
    r"|(?<=://)[^/\s@]+(?=@)"
    r"|\b[0-9a-fA-F]{64}\b"
    r"|[A-Za-z0-9+/_-]{43}={1}"
)
_request_log = logging.getLogger("voxid.request")


def redacted(text: str) -> str:
    """Return the text without what looks like a credential, cut to a length a log can bear.

    Example:
        >>> redacted("refused Bearer vxk_default_k1_c2VjcmV0 for postgresql://voxid:pass@db/voxid")
        'refused [redacted] for postgresql://[redacted]@db/voxid'
    """
    cut = text if len(text) <= _MOST_CHARS else text[:_MOST_CHARS] + " ..."
    return _CREDENTIALS.sub(REDACTED, cut)


class _Lines(logging.Formatter):
    """What both formats share."""

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return what a line says."""
        found: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(_message(record)),
        }
        request = current_request()
        if request is not None and request.request_id:
            found["request"] = request.request_id
        found.update(getattr(record, _FIELDS, {}))
        if record.exc_info and record.exc_info[0] is not None:
            found["error"] = record.exc_info[0].__name__
            found["at"] = _frames(record.exc_info[2])
        return found


class JsonLines(_Lines):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return json.dumps(self.fields(record), ensure_ascii=True, separators=(",", ":"), default=str)


class TextLines(_Lines):
    """The same for people: time, level, logger, message, and the rest as key=value."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        found = self.fields(record)
        head = " ".join(str(found.pop(key)) for key in ("time", "level", "logger", "message"))
        return " ".join([head, *(f"{key}={value}" for key, value in found.items())])


def start_logging(settings: OperationsSettings, stream: TextIO | None = None) -> Callable[[], None]:
    """Send every line of this process through our formats, to stderr; returns the function that ends this.

    Args:
        settings: level and format.
        stream: instead of stderr.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if settings.log_format == "json" else TextLines())
    root, own = logging.getLogger(), logging.getLogger(_OWN)
    before = root.level, own.level, list(root.handlers)
    root.handlers[:] = [handler]
    level = getattr(logging, settings.log_level.upper())
    own.setLevel(level)
    # What other packages say at debug level is not for a log: the server's own writes out every frame of a live call.
    root.setLevel(max(level, logging.INFO))

    def end() -> None:
        root.setLevel(before[0])
        own.setLevel(before[1])
        root.handlers[:] = before[2]

    return end


@contextmanager
def log_request(request: ServedRequest, _: Sequence[tuple[bytes, bytes]]) -> Iterator[None]:
    """Write one line about a request when it was answered."""
    try:
        yield
    finally:
        said = {
            "request": request.request_id,
            "method": request.method,
            "route": request.route,
            "status": request.status,
            "ms": round(1000 * request.duration_s, 1),
            "code": request.code,
            "events": request.events,
        }
        level = logging.ERROR if request.status >= 500 else logging.INFO
        _request_log.log(level, "answered", extra={_FIELDS: {k: v for k, v in said.items() if v is not None}})


def _message(record: logging.LogRecord) -> str:
    """Return the message; of other packages, whose arguments may be anything, only what they formatted it from."""
    own = record.name == _OWN or record.name.startswith(f"{_OWN}.")
    counts = isinstance(record.args, tuple) and all(isinstance(one, int) for one in record.args)
    if not own and not counts:
        return str(record.msg) if not isinstance(record.msg, BaseException) else type(record.msg).__name__
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        return str(record.msg)


def _frames(trace: TracebackType | None) -> list[str]:
    return [
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(trace)[-_MOST_FRAMES:]
    ]
