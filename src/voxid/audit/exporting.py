"""Entries for others: JSON lines as they are hashed, and CEF for a SIEM.

Source: ArcSight Common Event Format, revision 26: pipes and backslashes escaped in the header, equals signs,
backslashes and line ends in the extension.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Final

from voxid.audit.events import Entry
from voxid.audit.heads import SignedHead

__all__ = ["cef_line", "head_line"]

_HEADER: Final = str.maketrans({"\\": "\\\\", "|": "\\|", "\n": " ", "\r": " "})
_EXTENSION: Final = str.maketrans({"\\": "\\\\", "=": "\\=", "\n": "\\n", "\r": "\\r"})
# 0 to 10: what an operator should look at first.
_SEVERITY_REFUSED: Final = 6
_SEVERITY_REJECTED: Final = 4
_SEVERITY_DONE: Final = 2


def head_line(head: SignedHead) -> str:
    """Return the line an export in JSON lines ends with: the signed head of what stands before it."""
    return json.dumps({"head": head.to_dict()}, sort_keys=True, separators=(",", ":"))


def cef_line(entry: Entry, version: str) -> str:
    """Return one CEF event.

    Args:
        entry: the entry.
        version: of voxid.
    """
    at_ms = round(datetime.fromisoformat(entry.at).timestamp() * 1000)
    fields = {
        "rt": at_ms,
        "externalId": entry.sequence,
        "act": entry.act,
        "outcome": entry.outcome,
        "suid": f"{entry.actor.kind}:{entry.actor.id}",
        "requestContext": entry.actor.request_id,
        "duid": entry.person,
        "fileHash": entry.hash.hex(),
        "cs1Label": "facts",
        "cs1": json.dumps(dict(entry.facts), sort_keys=True, separators=(",", ":")),
        "cn1Label": "generation",
        "cn1": entry.generation,
    }
    shown = [
        f"{key}={str(value).translate(_EXTENSION)}" for key, value in fields.items() if value is not None
    ]
    header = (
        "CEF:0",
        "voxid",
        "voxid",
        version,
        entry.act,
        entry.act.replace(".", " "),
        str(_severity(entry)),
    )
    return "|".join([header[0], *(part.translate(_HEADER) for part in header[1:])]) + "|" + " ".join(shown)


def _severity(entry: Entry) -> int:
    if entry.outcome.startswith("refused"):
        return _SEVERITY_REFUSED
    return _SEVERITY_DONE if entry.outcome in ("done", "accept", "matched") else _SEVERITY_REJECTED
