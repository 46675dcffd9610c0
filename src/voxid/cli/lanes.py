"""A timeline drawn in a terminal: one lane per speaker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from voxid.segments import clock

if TYPE_CHECKING:
    from voxid.timeline import Timeline

_FULL: Final = "█"
_PART: Final = "▌"
_NONE: Final = "·"


def draw_lanes(timeline: Timeline, width: int = 80) -> list[str]:
    """Return one line per speaker, in order of first speech, and a time axis.

    Args:
        timeline: what to draw.
        width: letters a line may take; at least 30 are used.

    Returns:
        A cell is full where the speaker talks for most of its time, half where for some of it.
    """
    label_width = min(max((len(name) for name in timeline.speakers), default=0), 24)
    n_cells = max(width, 30) - label_width - 2
    cell_s = max(timeline.duration_s, 1e-3) / n_cells
    lines = []
    for name in timeline.speakers:
        spoken = np.zeros(n_cells)
        for region in timeline.regions(name):
            edges_s = np.arange(n_cells) * cell_s
            spoken += np.clip(
                np.minimum(region.end_s, edges_s + cell_s) - np.maximum(region.start_s, edges_s), 0, None
            )
        share = spoken / cell_s
        cells = "".join(_FULL if part > 0.5 else _PART if part > 0.1 else _NONE for part in share)
        lines.append(f"{_fit(name, label_width)}  {cells}")
    end = clock(timeline.duration_s, tenths=True)
    lines.append(" " * (label_width + 2) + "0:00.0" + end.rjust(n_cells - 6))
    return lines


def _fit(name: str, width: int) -> str:
    return name.ljust(width) if len(name) <= width else name[: width - 1] + "…"
