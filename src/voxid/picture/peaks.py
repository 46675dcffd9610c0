"""The outline of a waveform, split by who speaks; the colours of people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxid.audio import SAMPLE_RATE_HZ, Waveform
from voxid.timeline import Timeline

__all__ = ["COLORS_DARK", "COLORS_LIGHT", "color_of", "outline_paths", "read_extremes"]

# Okabe and Ito's palette, which stays apart for the common kinds of colour blindness, without black and its
# yellow (too faint on white); darkened where a bar would stand out from its lane by less than 3 to 1, brightened
# for dark pages. People stand in lanes of their own, so colour only repeats what place and name say, and it may
# come round again after seven.
# Source: Okabe and Ito, "Color Universal Design", 2008; WCAG 2.2, success criterion 1.4.11.
COLORS_LIGHT = ("#0072b2", "#b87400", "#00875f", "#c25b96", "#c94f00", "#2f86be", "#8a7d00")
COLORS_DARK = ("#4aa8e0", "#f0b13a", "#2fc49a", "#e08dbd", "#f2803a", "#8accf5", "#d6c93c")
_NOBODY, _SEVERAL = -1, -2
_BLOCK_COLUMNS = 16


def color_of(speaker_at: int) -> int:
    """Return which of the colours the speaker at this place in `Timeline.speakers` has."""
    return speaker_at % len(COLORS_LIGHT)


def outline_paths(
    waveform: Waveform, timeline: Timeline, columns: int, width: float, height: float
) -> dict[str, str]:
    """Return SVG path data by class: ``c0`` ... for one person speaking, ``both`` for several, ``rest``.

    Args:
        waveform: the recording.
        timeline: who speaks when.
        columns: how many bars to draw.
        width: of the drawing, in its own units.
        height: of the drawing; the loudest bar fills it.
    """
    low, high = read_extremes(waveform.samples, columns)
    # A single click must not flatten the rest: the scale is that of all but the loudest thousandth.
    scale = max(float(np.quantile(np.maximum(-low, high), 0.999)), 1e-4)
    middle, step = height / 2, width / columns
    top = middle - np.clip(high / scale, -1, 1) * middle
    bottom = middle - np.clip(low / scale, -1, 1) * middle
    owner = _owners(timeline, columns, len(waveform.samples) / SAMPLE_RATE_HZ)
    paths: dict[str, list[str]] = {}
    for at, (upper, lower, who) in enumerate(zip(top, bottom, owner.tolist(), strict=True)):
        name = {_NOBODY: "rest", _SEVERAL: "both"}.get(who) or f"c{color_of(who)}"
        upper, lower = min(upper, middle - 0.4), max(lower, middle + 0.4)
        paths.setdefault(name, []).append(
            f"M{at * step:.2f} {upper:.1f}h{step * 0.8:.2f}V{lower:.1f}h-{step * 0.8:.2f}z"
        )
    return {name: "".join(parts) for name, parts in sorted(paths.items())}


def read_extremes(
    samples: NDArray[np.float32], columns: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the lowest and the highest sample of each column, both (columns,)."""
    bounds = np.linspace(0, len(samples), columns, endpoint=False).astype(np.int64)
    bounds = np.append(bounds, len(samples))
    low, high = np.empty(columns, np.float32), np.empty(columns, np.float32)
    for first in range(0, columns, _BLOCK_COLUMNS):  # long audio is packed, and not to be unpacked as a whole
        own = bounds[first : first + _BLOCK_COLUMNS + 1]
        part, starts = samples[own[0] : own[-1]], own[:-1] - own[0]
        low[first : first + len(starts)] = np.minimum.reduceat(part, starts)
        high[first : first + len(starts)] = np.maximum.reduceat(part, starts)
    return low, high


def _owners(timeline: Timeline, columns: int, duration_s: float) -> NDArray[np.int64]:
    """Who speaks in the middle of each column: a place in `Timeline.speakers`, or nobody, or several."""
    middle_s = (np.arange(columns) + 0.5) * duration_s / columns
    owner = np.full(columns, _NOBODY, np.int64)
    for at, speaker in enumerate(timeline.speakers):
        for region in timeline.regions(speaker):
            first, last = np.searchsorted(middle_s, (region.start_s, region.end_s))
            owner[first:last] = np.where(owner[first:last] == _NOBODY, at, _SEVERAL)
    return owner
