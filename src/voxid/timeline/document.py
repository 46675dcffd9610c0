"""A timeline as a JSON document: what ``--json`` prints, pages hold and the service will send. Version 3.

Version 2 (no ids of unknown people, no account of how names were found, no history of corrections) and version 1 (no
hash of the audio either, no confidence, suggestion or review) are read as well. ``count_confidence``
stands where it was measured.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from voxid.errors import InputError
from voxid.segments import Segment
from voxid.timeline.review import ReviewItem
from voxid.timeline.revision import Naming, Revision
from voxid.timeline.text import finite_number
from voxid.timeline.turn import Suggestion, Turn
from voxid.timeline.voices import find_overlaps, overlapped_seconds

__all__ = ["JSON_VERSION", "TimelineParts", "check_sha256", "describe_turns", "read_document"]

JSON_VERSION = 3
_MAX_REVISIONS = 1_000_000
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class TimelineParts:
    """What a timeline is made of, before it is checked as a whole."""

    turns: tuple[Turn, ...]
    duration_s: float
    uri: str
    audio_sha256: str | None
    naming: Naming | None = None
    history: tuple[Revision, ...] = ()
    count_confidence: float | None = None


def check_sha256(value: object) -> str:
    """Return a SHA-256 in hex. Raises: ValueError for anything else."""
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError(f"{str(value)[:80]!r} is no SHA-256 of 64 hex digits")
    return value


def describe_turns(turns: Sequence[Turn], review: Sequence[ReviewItem]) -> dict[str, Any]:
    """Return the turns, the overlaps between them and what needs review as plain values, times in milliseconds."""
    overlaps = find_overlaps(turns)
    shared_s = overlapped_seconds(turns, overlaps)
    return {
        "turns": [_describe_turn(turn, both_s) for turn, both_s in zip(turns, shared_s, strict=True)],
        "overlaps": [
            {"start_s": round(overlap.start_s, 3), "end_s": round(overlap.end_s, 3)} for overlap in overlaps
        ],
        "review": [item.to_dict() for item in review],
    }


def _describe_turn(turn: Turn, overlapped_s: float) -> dict[str, Any]:
    suggestion = turn.suggestion
    return {
        "start_s": round(turn.start_s, 3),
        "end_s": round(max(turn.end_s, turn.start_s + 0.001), 3),
        "speaker": turn.speaker,
        "named": turn.named,
        "llr": None if turn.llr is None else round(turn.llr, 3),
        "confidence": None if turn.confidence is None else round(turn.confidence, 3),
        "overlapped_s": round(overlapped_s, 3),
        "suggestion": None
        if suggestion is None
        else {
            "person": suggestion.person,
            "llr": round(suggestion.llr, 3),
            "threshold_llr": round(suggestion.threshold_llr, 3),
        },
        "reviewed": turn.reviewed,
        "voice_id": turn.voice_id,
    }


def read_document(text: str) -> TimelineParts:
    """Return what a document of version 1 to 3 holds; what follows from the turns is not read, but found anew.

    Raises:
        InputError: timeline_invalid.
    """
    try:
        data = json.loads(text)
        version = data["version"]
        if version not in range(1, JSON_VERSION + 1) or isinstance(version, bool):
            raise ValueError(f"version {version!r} instead of 1 to {JSON_VERSION}")
        turns = tuple(_read_turn(turn, version) for turn in data["turns"])
        digest = data["audio_sha256"] if version > 1 else None
        naming, history = (data["naming"], data["history"]) if version > 2 else (None, [])
        sure = data.get("count_confidence") if version > 2 else None
        if not isinstance(history, list) or len(history) > _MAX_REVISIONS:
            raise ValueError(f"history is no list of at most {_MAX_REVISIONS:,}")
        return TimelineParts(
            turns,
            finite_number(data["duration_s"]),
            str(data["uri"]),
            None if digest is None else check_sha256(digest),
            None if naming is None else Naming.from_dict(naming),
            tuple(Revision.from_dict(fields) for fields in history),
            None if sure is None else _probability(sure),
        )
    except InputError as error:
        raise InputError("timeline_invalid", error.message) from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            "timeline_invalid",
            f"This is no timeline in JSON ({type(error).__name__}: {error}); give one voxid wrote.",
        ) from None


def _probability(value: object) -> float:
    number = finite_number(value)
    if not 0 <= number <= 1:
        raise ValueError(f"count_confidence {number} is no probability")
    return number


def _read_turn(data: dict[str, Any], version: int) -> Turn:
    segment = Segment(finite_number(data["start_s"]), finite_number(data["end_s"]))
    llr = None if data["llr"] is None else finite_number(data["llr"])
    if version == 1:
        return Turn(segment, data["speaker"], data["named"] is True, llr)
    confidence, suggestion = data["confidence"], data["suggestion"]
    return Turn(
        segment,
        data["speaker"],
        data["named"] is True,
        llr,
        None if confidence is None else finite_number(confidence),
        None
        if suggestion is None
        else Suggestion(
            suggestion["person"],
            finite_number(suggestion["llr"]),
            finite_number(suggestion["threshold_llr"]),
        ),
        data["reviewed"] is True,
        data["voice_id"] if version > 2 else None,
    )
