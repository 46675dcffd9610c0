"""Corrections a person made on a timeline's page: which turn, what it was called, who it is.

The file, version 1, is one JSON object::

    {"format": "voxid-corrections", "version": 1,
     "audio_sha256": "64 hex digits", "uri": "meeting",
     "corrections": [{"start_s": 12.3, "end_s": 15.02, "old_label": "SPEAKER_01", "new_name": "Anna"}]}

The recording is known by the hash of its file, never by its name; a turn by its start and end to the millisecond and
the label it had. A correction whose new name is the old label says that somebody listened and agrees.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from voxid.errors import InputError
from voxid.segments import Segment
from voxid.timeline.document import check_sha256
from voxid.timeline.revision import Revision
from voxid.timeline.table import unescape_cell
from voxid.timeline.text import bad_line, finite_number, read_text, write_text
from voxid.timeline.timeline import Timeline
from voxid.timeline.turn import Turn, check_speaker, is_label

__all__ = [
    "CORRECTIONS_FORMAT",
    "CORRECTIONS_VERSION",
    "Correction",
    "Corrections",
    "apply_corrections",
    "correct_speaker",
    "correct_turn",
    "read_correction_table",
    "read_corrections",
]

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
        _by_turn(self.items)

    def apply(
        self, timeline: Timeline, *, at: datetime | None = None, reviewer: str | None = None
    ) -> Timeline:
        """Return the timeline with its turns corrected and marked as reviewed, as `apply_corrections` does it.

        Raises:
            InputError: corrections_of_other_audio when the timeline is of another or an unknown recording;
                correction_unmatched when a turn is not there (any more): nothing is applied then.
        """
        self.check_audio(timeline)
        return apply_corrections(timeline, self.items, at=at, reviewer=reviewer)

    def check_audio(self, timeline: Timeline) -> None:
        """Refuse a timeline of another recording, or of one that is not known.

        Raises:
            InputError: corrections_of_other_audio.
        """
        if timeline.audio_sha256 != self.audio_sha256:
            found = timeline.audio_sha256 or "an unknown recording"
            raise InputError(
                "corrections_of_other_audio",
                f"These corrections are of the recording {self.audio_sha256[:12]}… ({self.uri[:60]}), the timeline "
                f"is of {found[:20]}; expected the same; give the timeline they were made on.",
            )

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


def apply_corrections(
    timeline: Timeline,
    items: Sequence[Correction],
    *,
    at: datetime | None = None,
    reviewer: str | None = None,
) -> Timeline:
    """Return the timeline with turns corrected, marked as reviewed, and the corrections added to its history.

    A corrected turn loses LLR, confidence, suggestion and the id of an unknown person: they were about another name.

    Args:
        timeline: of the recording the corrections were made on.
        items: one for a turn at most.
        at: when they were made, with time zone; None: now.
        reviewer: who made them.

    Raises:
        InputError: corrections_invalid when a turn is corrected twice; correction_unmatched when a turn is not there
            (any more): nothing is applied then. revision_invalid.
    """
    waiting = _by_turn(items)
    when = datetime.now(UTC) if at is None else at
    matched: set[tuple[int, int, str]] = set()
    turns: list[Turn] = []
    history = list(timeline.history)
    for turn in timeline.turns:
        key = _key(turn.segment, turn.speaker)
        item = waiting.get(key)
        turns.append(turn if item is None else _correct(turn, item))
        if item is not None:
            history.append(Revision(when, turn.segment, item.old_label, item.new_name, reviewer))
        matched.add(key)
    left = [item for key, item in waiting.items() if key not in matched]
    if left:
        raise InputError(
            "correction_unmatched",
            f"{_say(left[0])} is no turn of this timeline ({len(left)} of {len(items)} corrections find "
            "none); give the timeline they were made on.",
        )
    return replace(timeline, turns=tuple(turns), history=tuple(history))


def correct_turn(timeline: Timeline, number: int, name: str) -> Correction:
    """Return the correction of one turn.

    Args:
        timeline: where it stands.
        number: of the turn in order of time, from 1.
        name: who it is.

    Raises:
        InputError: turn_missing, speaker_invalid.
    """
    if not 1 <= number <= len(timeline.turns):
        raise InputError(
            "turn_missing",
            f"There is no turn {number}; the timeline has {len(timeline.turns)}, numbered from 1: choose one of them.",
        )
    turn = timeline.turns[number - 1]
    return Correction(turn.segment, turn.speaker, name)


def correct_speaker(timeline: Timeline, label: str, name: str) -> tuple[Correction, ...]:
    """Return the corrections of every turn of one speaker.

    Raises:
        InputError: speaker_missing, speaker_invalid.
    """
    items = {
        _key(turn.segment, label): Correction(turn.segment, label, name)
        for turn in timeline.turns
        if turn.speaker == label
    }
    if not items:
        known = ", ".join(timeline.speakers[:10]) or "nobody"
        raise InputError("speaker_missing", f"Nobody is called {label!r} on this timeline; it has: {known}.")
    return tuple(items.values())


def read_correction_table(path: str | Path) -> tuple[Correction, ...]:
    """Return the corrections in a CSV file with the columns start_s, end_s, old_label and new_name.

    Rows without a new name are passed over, so that a timeline's CSV can be filled in by hand; there ``speaker`` may
    stand for old_label.

    Raises:
        InputError: corrections_missing; corrections_invalid with the line number.
    """
    rows = csv.DictReader(io.StringIO(read_text(path, "corrections")), strict=True)
    items = []
    try:
        columns = set(rows.fieldnames or ())
        absent = [name for name in ("start_s", "end_s", "new_name") if name not in columns]
        if absent or not columns & {"old_label", "speaker"}:
            missing = ", ".join(absent) or "old_label"
            raise bad_line("corrections", path, 1, f"no column {missing} in the header")
        for row in rows:
            name = unescape_cell(row["new_name"] or "").strip()
            if not name:
                continue
            try:
                segment = Segment(float(row["start_s"] or "nan"), float(row["end_s"] or "nan"))
                old_label = row.get("old_label") or row.get("speaker") or ""
                items.append(Correction(segment, unescape_cell(old_label), name))
            except ValueError:
                raise bad_line("corrections", path, rows.line_num, "a time that is no number") from None
            except InputError as error:
                raise bad_line("corrections", path, rows.line_num, error.message) from None
    except csv.Error as error:
        raise bad_line("corrections", path, rows.line_num, str(error)) from None
    if len(items) > _MAX_CORRECTIONS:
        raise InputError(
            "corrections_invalid", f"{path} holds {len(items):,} corrections; at most {_MAX_CORRECTIONS:,}."
        )
    return tuple(items)


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
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
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
        voice_id=None,
    )


def _by_turn(items: Sequence[Correction]) -> dict[tuple[int, int, str], Correction]:
    found: dict[tuple[int, int, str], Correction] = {}
    for item in items:
        key = _key(item.segment, item.old_label)
        if key in found:
            raise InputError("corrections_invalid", f"{_say(item)} is corrected twice; keep one of the two.")
        found[key] = item
    return found


def _key(segment: Segment, label: str) -> tuple[int, int, str]:
    start_ms = round(segment.start_s * 1000)
    return start_ms, max(round(segment.end_s * 1000), start_ms + 1), label


def _say(item: Correction) -> str:
    return f"{item.old_label} from {item.segment.start_s:.3f} to {item.segment.end_s:.3f} s"
