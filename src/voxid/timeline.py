"""Time values: `Segment`, `Turn`, `Timeline`; RTTM, UEM, JSON and SRT in and out."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voxid.errors import InputError

__all__ = ["Segment", "Timeline", "Turn", "read_rttm", "read_uem", "write_uem"]


@dataclass(frozen=True, order=True)
class Segment:
    """A stretch of time, start included, end not.

    Args:
        start_s: seconds from the start of the recording, 0 or more.
        end_s: seconds, more than `start_s`.

    Raises:
        InputError: segment_invalid when a bound is not finite, negative, or the end is not behind the start.

    Example:
        >>> Segment(1.0, 3.0) & Segment(2.0, 5.0)
        Segment(start_s=2.0, end_s=3.0)
        >>> Segment(1.0, 2.0) & Segment(2.0, 3.0) is None  # touching is not overlapping
        True
    """

    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and math.isfinite(self.end_s) and 0 <= self.start_s < self.end_s):
            raise InputError(
                "segment_invalid",
                f"A segment from {self.start_s} to {self.end_s} s is not a stretch of time; "
                "expected 0 <= start < end, both finite.",
            )

    @property
    def duration_s(self) -> float:
        """Length in seconds, more than 0."""
        return self.end_s - self.start_s
