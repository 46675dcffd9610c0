"""What a live call tells: a turn began or grew, it is over, what was told of it was wrong; a voice is live or not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from voxid.spoof.verdict import SpoofVerdict
from voxid.timeline import Turn


class EventKind(StrEnum):
    """What an event says of its turn.

    ``TENTATIVE``: it began, or goes on. ``FINAL``: it is over. ``REVISED``: something told before was wrong: the
    speaker, or the times of a turn that was over.
    """

    TENTATIVE = "tentative"
    FINAL = "final"
    REVISED = "revised"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing told about one turn; it replaces everything told about this turn before.

    Args:
        kind: what it says.
        turn_id: of the turn, counted from 0, the same from its first event to its last.
        revision: of the turn, from 0 and rising by one; of two events of a turn the higher one holds.
        turn: as it is known now.
        at_s: how much of the call had been heard, in seconds.
        withdrawn: there was no such turn: forget it.

    Example:
        >>> from voxid.timeline import Segment
        >>> Event(EventKind.FINAL, 3, 2, Turn(Segment(1.0, 2.5), "SPEAKER_00"), 3.2).to_dict()["speaker"]
        'SPEAKER_00'
    """

    kind: EventKind
    turn_id: int
    revision: int
    turn: Turn
    at_s: float
    withdrawn: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, times rounded to milliseconds: what ``voxid live --json`` prints, one per line."""
        turn, suggestion = self.turn, self.turn.suggestion
        return {
            "event": self.kind.value,
            "turn_id": self.turn_id,
            "revision": self.revision,
            "at_s": round(self.at_s, 3),
            "start_s": round(turn.start_s, 3),
            "end_s": round(turn.end_s, 3),
            "speaker": turn.speaker,
            "named": turn.named,
            "llr": None if turn.llr is None else round(turn.llr, 3),
            "confidence": None if turn.confidence is None else round(turn.confidence, 3),
            "suggestion": None if suggestion is None else suggestion.person,
            "withdrawn": self.withdrawn,
        }


@dataclass(frozen=True, slots=True)
class SpoofEvent:
    """What the detector makes of one speaker so far; it replaces everything told about this voice before.

    Args:
        voice: number of the speaker in this call, the same from its first event to its last.
        speaker: what the speaker is called now, as in turns.
        named: whether that is a person's name.
        verdict: over all that was heard of the voice.
        at_s: how much of the call had been heard, in seconds.
        final: the call is over.
    """

    voice: int
    speaker: str
    named: bool
    verdict: SpoofVerdict
    at_s: float
    final: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: what ``voxid live --spoof --json`` prints."""
        return {
            "event": "spoof",
            "voice": self.voice,
            "speaker": self.speaker,
            "named": self.named,
            "final": self.final,
            "at_s": round(self.at_s, 3),
            **self.verdict.to_dict(),
        }
