"""Several voices at once: who speaks at each moment, where they overlap, and who to hear when one must be chosen."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from voxid.segments import Segment, merge_segments
from voxid.timeline.turn import Turn, sort_turns

__all__ = [
    "Stretch",
    "choose_one_voice",
    "find_overlaps",
    "find_stretches",
    "merge_overlaps",
    "overlapped_seconds",
]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time in which the same people speak throughout.

    Args:
        segment: when.
        speakers: one or more, in the order in which they first speak in the recording.
    """

    segment: Segment
    speakers: tuple[str, ...]


def find_stretches(turns: Sequence[Turn]) -> list[Stretch]:
    """Return the speech as sorted, disjoint stretches, each with everyone who speaks in it.

    Neighbours that touch differ in their speakers; silence has no stretch.
    """
    place: dict[str, int] = {}
    changes: list[tuple[float, int, str]] = []
    for turn in sort_turns(turns):
        place.setdefault(turn.speaker, len(place))
        changes += [(turn.start_s, 1, turn.speaker), (turn.end_s, -1, turn.speaker)]
    open_turns: dict[str, int] = {}
    found: list[Stretch] = []
    since_s = 0.0
    for at_s, step, speaker in sorted(changes):  # ends (-1) sort before starts at the same time
        if open_turns and at_s > since_s:
            speaking = tuple(sorted(open_turns, key=place.__getitem__))
            if found and found[-1].segment.end_s == since_s and found[-1].speakers == speaking:
                found[-1] = Stretch(Segment(found[-1].segment.start_s, at_s), speaking)
            else:
                found.append(Stretch(Segment(since_s, at_s), speaking))
        since_s = at_s
        left = open_turns.pop(speaker, 0) + step
        if left:
            open_turns[speaker] = left
    return found


def find_overlaps(turns: Sequence[Turn]) -> list[Segment]:
    """Return when two or more people speak at once, as sorted disjoint segments."""
    return merge_overlaps(find_stretches(turns))


def merge_overlaps(stretches: Iterable[Stretch]) -> list[Segment]:
    """Return the stretches of two or more speakers, joined where they touch."""
    return merge_segments(stretch.segment for stretch in stretches if len(stretch.speakers) > 1)


def overlapped_seconds(turns: Iterable[Turn], overlaps: Sequence[Segment]) -> list[float]:
    """Return for how many seconds of each turn somebody else speaks too.

    Args:
        turns: of the timeline the overlaps are of.
        overlaps: as `find_overlaps` gives them.
    """
    ends_s = [overlap.end_s for overlap in overlaps]
    found = []
    for turn in turns:
        shared_s = 0.0
        at = bisect_right(ends_s, turn.start_s)
        while at < len(overlaps) and overlaps[at].start_s < turn.end_s:
            shared_s += min(overlaps[at].end_s, turn.end_s) - max(overlaps[at].start_s, turn.start_s)
            at += 1
        found.append(shared_s)
    return found


def choose_one_voice(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Return turns of which no two overlap; at every moment of speech one of those who speak is kept.

    The more confident turn is kept; one that a person reviewed counts as certain, one without a confidence stands
    behind every turn with one. Among equals it is the one that began first, then the longer one, then the first by
    name: who has the floor keeps it. A turn interrupted by a surer one comes back as the parts that are left of it;
    no speech is lost.
    """
    ordered = sort_turns(turns)
    edges_s = sorted({at_s for turn in ordered for at_s in (turn.start_s, turn.end_s)})
    waiting: list[tuple[tuple[float, float, float, str], int]] = []
    kept: list[Turn] = []
    kept_number = -1
    coming = 0
    for start_s, end_s in pairwise(edges_s):
        while coming < len(ordered) and ordered[coming].start_s <= start_s:
            heapq.heappush(waiting, (_precedence(ordered[coming]), coming))
            coming += 1
        while waiting and ordered[waiting[0][1]].end_s <= start_s:
            heapq.heappop(waiting)
        if not waiting:
            continue
        number = waiting[0][1]
        if kept and number == kept_number and kept[-1].end_s == start_s:
            kept[-1] = replace(kept[-1], segment=Segment(kept[-1].start_s, end_s))
        else:
            kept.append(replace(ordered[number], segment=Segment(start_s, end_s)))
            kept_number = number
    return tuple(kept)


def _precedence(turn: Turn) -> tuple[float, float, float, str]:
    """Sorts the turn to keep first."""
    confidence = 1.0 if turn.reviewed else -1.0 if turn.confidence is None else turn.confidence
    return -confidence, turn.start_s, -turn.end_s, turn.speaker
