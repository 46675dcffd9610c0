"""How far the work is, told to whoever follows it; what they raise ends the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[float], None]
"""Hears the share of the work done, in [0, 1]."""


def part_of(progress: Progress | None, begin: float, end: float) -> Progress:
    """Return what hears the share of one part, and tells ``progress`` the share of the whole.

    Args:
        progress: None: nobody follows.
        begin, end: where the part lies in the whole, in [0, 1].

    >>> told = []
    >>> hearing = part_of(told.append, 0.25, 0.75)
    >>> hearing(0.0), hearing(0.5), hearing(1.0)
    (None, None, None)
    >>> told
    [0.25, 0.5, 0.75]
    """

    def tell(share: float) -> None:
        if progress is not None:
            progress(begin + (end - begin) * min(max(share, 0.0), 1.0))

    return tell
