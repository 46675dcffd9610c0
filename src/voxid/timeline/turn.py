"""One stretch of one person's speech: `Turn`, and the name it may deserve: `Suggestion`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from voxid.errors import InputError
from voxid.segments import Segment

__all__ = ["MAX_NAME_LETTERS", "Suggestion", "Turn", "check_speaker", "is_label", "sort_turns"]

MAX_NAME_LETTERS = 200

_LABEL = re.compile(r"SPEAKER_\d+|UNKNOWN.*", re.IGNORECASE)


def is_label(speaker: str) -> bool:
    """Return whether this is what strangers are called, not a person's name.

    Example:
        >>> is_label("SPEAKER_03"), is_label("Anna")
        (True, False)
    """
    return _LABEL.fullmatch(speaker) is not None


def check_speaker(name: object) -> str:
    """Return the name of a speaker, found fit for every format.

    Raises:
        InputError: speaker_invalid when it is no text, empty, over 200 letters or holds control characters.
    """
    if (
        not isinstance(name, str)
        or not name.strip()
        or len(name) > MAX_NAME_LETTERS
        or not name.isprintable()
    ):
        raise InputError(
            "speaker_invalid",
            f"{str(name)[:40]!r} is no speaker name; expected 1 to {MAX_NAME_LETTERS} letters.",
        )
    return name


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A person this voice may be, with too little evidence to say so: shown, never applied by itself.

    Args:
        person: the gallery's name.
        llr: natural-log likelihood ratio found (higher is surer).
        threshold_llr: what it would have taken to use the name.

    Raises:
        InputError: speaker_invalid, suggestion_invalid when a number is not finite.
    """

    person: str
    llr: float
    threshold_llr: float

    def __post_init__(self) -> None:
        check_speaker(self.person)
        if not (math.isfinite(self.llr) and math.isfinite(self.threshold_llr)):
            raise InputError(
                "suggestion_invalid",
                f"{self.person} is suggested with an LLR of {self.llr} of {self.threshold_llr} needed; "
                "expected finite numbers.",
            )


@dataclass(frozen=True, slots=True)
class Turn:
    """One stretch of one person's speech.

    Args:
        segment: when.
        speaker: a person's name, or a label such as ``SPEAKER_00``.
        named: the speaker is a person by name, found in the gallery or said by a reviewer, and no label.
        llr: natural-log likelihood ratio behind the name or an unknown person's id (higher is surer); None without.
        confidence: probability that this is that speaker, in [0, 1]; None: not measured.
        suggestion: who a stranger may be; None: nobody comes near.
        reviewed: a person has listened and agrees.
        voice_id: stable id of the unknown person whose voice a gallery knows or knew; it stays when they are named, so
            that `Timeline.relabel` finds the turn. None: nobody was remembered here.

    Raises:
        InputError: speaker_invalid when a name is empty, over 200 letters or holds control characters;
            confidence_invalid outside [0, 1].
    """

    segment: Segment
    speaker: str
    named: bool = False
    llr: float | None = None
    confidence: float | None = None
    suggestion: Suggestion | None = None
    reviewed: bool = False
    voice_id: str | None = None

    def __post_init__(self) -> None:
        check_speaker(self.speaker)
        if self.voice_id is not None:
            check_speaker(self.voice_id)
        if self.confidence is not None and not (0 <= self.confidence <= 1):  # also False for NaN
            raise InputError(
                "confidence_invalid",
                f"A confidence of {self.confidence} was given for {self.speaker}; it is a probability: "
                "expected 0 to 1.",
            )

    @property
    def start_s(self) -> float:
        """Start in seconds."""
        return self.segment.start_s

    @property
    def end_s(self) -> float:
        """End in seconds."""
        return self.segment.end_s

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.segment.duration_s


def sort_turns(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """Return turns by start, then end, then speaker."""
    return tuple(sorted(turns, key=lambda turn: (turn.start_s, turn.end_s, turn.speaker)))
