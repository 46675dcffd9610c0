"""Stretches of time: `Segment` and the union of many."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from voxid.errors import InputError

__all__ = ["Segment", "merge_segments"]


@dataclass(frozen=True, order=True, slots=True)
class Segment:
    """A stretch of time: its start belongs to it, its end does not.

    Args:
        start_s: seconds from the start of the recording, 0 or more.
        end_s: seconds, more than `start_s`.

    Raises:
        InputError: segment_invalid when a bound is negative or not finite, or the end not behind the start.

    Example:
        >>> Segment(1.0, 3.0) & Segment(2.0, 5.0)
        Segment(start_s=2.0, end_s=3.0)
        >>> Segment(1.0, 2.0) & Segment(2.0, 3.0) is None  # touching is not overlapping
        True
    """

    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        if not (0 <= self.start_s < self.end_s < math.inf):  # also False for NaN
            raise InputError(
                "segment_invalid",
                f"A segment from {self.start_s} to {self.end_s} s is no stretch of time; "
                "expected 0 <= start < end, both finite.",
            )

    @property
    def duration_s(self) -> float:
        """Length in seconds, more than 0."""
        return self.end_s - self.start_s

    def overlaps(self, other: Segment) -> bool:
        """Return whether the two share time; touching ends share none."""
        return self.start_s < other.end_s and other.start_s < self.end_s

    def __and__(self, other: Segment) -> Segment | None:
        """Return the time both cover, or None when they share none."""
        if not self.overlaps(other):
            return None
        return Segment(max(self.start_s, other.start_s), min(self.end_s, other.end_s))


def merge_segments(segments: Iterable[Segment], gap_s: float = 0.0) -> list[Segment]:
    """Return the union as sorted, disjoint segments; gaps of up to `gap_s` are closed.

    Example:
        >>> merge_segments([Segment(2.0, 3.0), Segment(0.0, 1.0), Segment(0.5, 2.0)])
        [Segment(start_s=0.0, end_s=3.0)]
    """
    merged: list[Segment] = []
    for segment in sorted(segments):
        if merged and segment.start_s <= merged[-1].end_s + gap_s:
            merged[-1] = Segment(merged[-1].start_s, max(merged[-1].end_s, segment.end_s))
        else:
            merged.append(segment)
    return merged
