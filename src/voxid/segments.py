"""Stretches of time: `Segment`, the union of many, and a moment as a clock reads it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from voxid.errors import InputError

__all__ = ["Segment", "clock", "merge_segments"]


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


def clock(at_s: float, *, tenths: bool = False) -> str:
    """Return a moment of a recording as a clock reads it: 7:05, 1:07:05, with ``tenths`` 7:05.5.

    Example:
        >>> clock(75.34), clock(75.34, tenths=True), clock(3675.0)
        ('1:15', '1:15.3', '1:01:15')
    """
    # Rounded once, in the smallest unit shown, so that 59.96 s is 1:00.0 and never 0:60.0.
    units = round(at_s * 10) if tenths else round(at_s)
    whole_s, tenth = divmod(units, 10) if tenths else (units, 0)
    minutes, seconds = divmod(whole_s, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return f"{text}.{tenth}" if tenths else text
