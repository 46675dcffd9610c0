"""Turns of numbered speakers, between the middle of the pipeline and the names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from voxid.segments import Segment
from voxid.timeline import CountedSpeakers


@dataclass(frozen=True)
class DrawnTurn:
    """A turn of a numbered speaker.

    Attributes:
        segment: when.
        speaker: 0, 1, ...
        confidence: mean probability that the speaker is heard in it, in [0, 1]; None: not measured.
    """

    segment: Segment
    speaker: int
    confidence: float | None = None


@dataclass(frozen=True)
class CountedTurns:
    """Turns of numbered speakers.

    Attributes:
        turns: in order of time.
        counted: how many speakers there are, and how sure that is; None: the number was given, or not measured.
    """

    turns: list[DrawnTurn]
    counted: CountedSpeakers | None = None


def alone(turns: Sequence[DrawnTurn]) -> list[DrawnTurn]:
    """Return the parts of the turns in which nobody else speaks, in order of time.

    >>> for turn in alone([DrawnTurn(Segment(0, 4), 0), DrawnTurn(Segment(3, 6), 1)]):
    ...     print(turn.speaker, turn.segment.start_s, turn.segment.end_s)
    0 0 3
    1 4 6
    """
    edges = sorted({edge for turn in turns for edge in (turn.segment.start_s, turn.segment.end_s)})
    ordered = sorted(turns, key=lambda turn: turn.segment.start_s)
    parts: list[DrawnTurn] = []
    speaking: list[DrawnTurn] = []
    coming = 0
    for start_s, end_s in pairwise(edges):
        while coming < len(ordered) and ordered[coming].segment.start_s <= start_s:
            speaking.append(ordered[coming])
            coming += 1
        speaking = [turn for turn in speaking if turn.segment.end_s > start_s]
        if len({turn.speaker for turn in speaking}) == 1:
            parts.append(DrawnTurn(Segment(start_s, end_s), speaking[0].speaker, speaking[0].confidence))
    return parts
