"""Corrections a person made on a timeline's page: which turn, what it was called, who it is.

The file, version 1, is one JSON object::

    {"format": "voxid-corrections", "version": 1,
     "audio_sha256": "64 hex digits", "uri": "meeting",
     "corrections": [{"start_s": 12.3, "end_s": 15.02, "old_label": "SPEAKER_01", "new_name": "Anna"}]}

The recording is known by the hash of its file, never by its name; a turn by its start and end to the millisecond and
the label it had. A correction whose new name is the old label says that somebody listened and agrees.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voxid.errors import InputError
from voxid.segments import Segment
from voxid.timeline.document import check_sha256
from voxid.timeline.text import finite_number, read_text, write_text
from voxid.timeline.timeline import Timeline
from voxid.timeline.turn import Turn, check_speaker, is_label

__all__ = ["CORRECTIONS_FORMAT", "CORRECTIONS_VERSION", "Correction", "Corrections", "read_corrections"]

CORRECTIONS_FORMAT = "voxid-corrections"
CORRECTIONS_VERSION = 1
_MAX_CORRECTIONS = 100_000


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person said about one turn.

    Args:
        segment: the turn's start and end.
        old_label: its speaker on the timeline.
        new_name: who it is; a name, or a label such as ``SPEAKER_02`` for another stranger.

    Raises:
        InputError: speaker_invalid.
    """

    segment: Segment
    old_label: str
    new_name: str

    def __post_init__(self) -> None:
        check_speaker(self.old_label)
        check_speaker(self.new_name)

    @property
    def confirms(self) -> bool:
        """The turn was right."""
        return self.old_label == self.new_name


@dataclass(frozen=True)
class Corrections:
    """All corrections of one recording.

    Args:
        audio_sha256: hash (hex) of the encoded audio.
        uri: short name of the recording, for people.
        items: one for a turn at most.

    Raises:
        InputError: corrections_invalid when the hash is none or a turn is corrected twice.
    """

    audio_sha256: str
    uri: str
    items: tuple[Correction, ...]

    def __post_init__(self) -> None:
        try:
            check_sha256(self.audio_sha256)
        except ValueError as error:
            raise InputError("corrections_invalid", f"The hash of the audio: {error}.") from None
        seen: set[tuple[int, int, str]] = set()
        for item in self.items:
            key = _key(item.segment, item.old_label)
            if key in seen:
                raise InputError(
                    "corrections_invalid",
                    f"{_say(item)} is corrected twice; keep one of the two.",
                )
            seen.add(key)

    def apply(self, timeline: Timeline) -> Timeline:
        """Return the timeline with its turns corrected and marked as reviewed.

        A corrected turn loses LLR, confidence and suggestion: they were about another name.

        Raises:
            InputError: corrections_of_other_audio when the timeline is of another or an unknown recording;
                correction_unmatched when a turn is not there (any more): nothing is applied then.
        """
        if timeline.audio_sha256 != self.audio_sha256:
            found = timeline.audio_sha256 or "an unknown recording"
            raise InputError(
                "corrections_of_other_audio",
                f"These corrections are of the recording {self.audio_sha256[:12]}… ({self.uri[:60]}), the timeline "
                f"is of {found[:20]}; expected the same; give the timeline they were made on.",
            )
        waiting = {_key(item.segment, item.old_label): item for item in self.items}
        matched: set[tuple[int, int, str]] = set()
        turns: list[Turn] = []
        for turn in timeline.turns:
            key = _key(turn.segment, turn.speaker)
            item = waiting.get(key)
            turns.append(turn if item is None else _correct(turn, item))
            matched.add(key)
        left = [item for key, item in waiting.items() if key not in matched]
        if left:
            raise InputError(
                "correction_unmatched",
                f"{_say(left[0])} is no turn of this timeline ({len(left)} of {len(self.items)} corrections find "
                "none); give the timeline they were made on.",
            )
        return replace(timeline, turns=tuple(turns))

    def to_dict(self) -> dict[str, Any]:
        """Return the corrections as their file holds them."""
        return {
            "format": CORRECTIONS_FORMAT,
            "version": CORRECTIONS_VERSION,
            "audio_sha256": self.audio_sha256,
            "uri": self.uri,
            "corrections": [
                {
                    "start_s": round(item.segment.start_s, 3),
                    "end_s": round(item.segment.end_s, 3),
                    "old_label": item.old_label,
                    "new_name": item.new_name,
                }
                for item in self.items
            ],
        }

    def write(self, path: str | Path) -> None:
        """Write `to_dict` as JSON. Raises: InputError: output_unwritable."""
        write_text(path, json.dumps(self.to_dict(), ensure_ascii=False, indent=1) + "\n")


def read_corrections(path: str | Path) -> Corrections:
    """Return the corrections in a file that a timeline's page exported.

    Raises:
        InputError: corrections_missing; corrections_invalid for another format, version or a value that cannot be.
    """
    text = read_text(path, "corrections")
    try:
        data = json.loads(text)
        if data["format"] != CORRECTIONS_FORMAT or data["version"] != CORRECTIONS_VERSION:
            raise ValueError(f"format {data['format']!r} version {data['version']!r}"[:120])
        entries = data["corrections"]
        if not isinstance(entries, list) or len(entries) > _MAX_CORRECTIONS:
            raise ValueError(f"corrections are no list of at most {_MAX_CORRECTIONS:,}")
        if not isinstance(data["uri"], str):
            raise TypeError("uri is no text")
        items = tuple(
            Correction(
                Segment(finite_number(entry["start_s"]), finite_number(entry["end_s"])),
                entry["old_label"],
                entry["new_name"],
            )
            for entry in entries
        )
        return Corrections(check_sha256(data["audio_sha256"]), data["uri"], items)
    except InputError as error:
        raise InputError("corrections_invalid", f"{path}: {error.message}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            "corrections_invalid",
            f"{path} holds no corrections ({type(error).__name__}: {error}); "
            f"give a file of the format {CORRECTIONS_FORMAT}, version {CORRECTIONS_VERSION}, from a timeline's page.",
        ) from None


def _correct(turn: Turn, item: Correction) -> Turn:
    if item.confirms:
        return replace(turn, reviewed=True)
    return replace(
        turn,
        speaker=item.new_name,
        named=not is_label(item.new_name),
        llr=None,
        confidence=None,
        suggestion=None,
        reviewed=True,
    )


def _key(segment: Segment, label: str) -> tuple[int, int, str]:
    start_ms = round(segment.start_s * 1000)
    return start_ms, max(round(segment.end_s * 1000), start_ms + 1), label


def _say(item: Correction) -> str:
    return f"{item.old_label} from {item.segment.start_s:.3f} to {item.segment.end_s:.3f} s"
