"""A timeline as a PNG, for reports that take no SVG. Needs the extra ``plot`` (matplotlib)."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from voxid.audio import Waveform
from voxid.errors import ConfigError
from voxid.picture.drawing import MAX_LANES, draw_caption, shares, split_regions, tick_step_s
from voxid.picture.peaks import COLORS_LIGHT, color_of, read_extremes
from voxid.segments import clock
from voxid.timeline import ReviewPolicy, Segment, Timeline
from voxid.timeline.text import write_bytes

__all__ = ["write_png"]

_WIDTH_IN, _LANE_IN, _WAVE_IN, _FRAME_IN, _DPI = 12.0, 0.32, 0.9, 1.0, 150
_MAX_NAME_LETTERS = 22
_INK, _SOFT, _LINE, _BED, _BOTH = "#1b2026", "#5b6570", "#dfe4e9", "#eef1f4", "#3b424a"


def write_png(
    timeline: Timeline, waveform: Waveform | None, path: str | Path, *, policy: ReviewPolicy | None = None
) -> None:
    """Write a picture of the timeline, 1,800 pixels wide, on white. Letters that matplotlib's font lacks are boxes.

    Args:
        timeline: who spoke when.
        waveform: the recording; None draws the lanes alone.
        path: where to; always PNG, whatever the name ends in.
        policy: what needs review, and is drawn hollow.

    Raises:
        ConfigError: plot_extra_missing. InputError: output_unwritable.
    """
    policy = policy or ReviewPolicy()
    lanes = timeline.speakers[:MAX_LANES]
    overlaps = timeline.overlaps()
    n_rows = max(1, len(lanes)) + bool(overlaps)
    wave_in = _WAVE_IN if waveform is not None else 0.0
    figure = _figure(_FRAME_IN + wave_in + n_rows * _LANE_IN)
    heights = [wave_in, n_rows * _LANE_IN] if waveform is not None else [n_rows * _LANE_IN]
    *above, axes = np.atleast_1d(
        figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    ).tolist()
    if waveform is not None:
        _draw_wave(above[0], timeline, waveform)
    share_of = shares(timeline)
    labels = []
    for at, speaker in enumerate(lanes):
        sure, unsure = split_regions(timeline, speaker, policy)
        color = COLORS_LIGHT[color_of(at)]
        _bars(axes, at, sure, facecolor=color)
        _bars(axes, at, unsure, facecolor="none", edgecolor=color, linestyle="--", linewidth=1.2)
        shown = speaker if len(speaker) <= _MAX_NAME_LETTERS else speaker[: _MAX_NAME_LETTERS - 1] + "…"
        labels.append(f"{shown}  {clock(timeline.speech_s(speaker))} · {share_of[speaker]:.0%}")
    if overlaps:
        _bars(axes, len(lanes), overlaps, height=0.2, facecolor=_BOTH)
        labels.append("at the same time")
    _dress(axes, timeline, labels or ["nobody speaks"])
    figure.suptitle(
        f"{timeline.uri[:60]}   {draw_caption(timeline, policy)}",
        x=0.01,
        ha="left",
        fontsize=11,
        color=_INK,
        parse_math=False,
    )
    image = BytesIO()
    figure.savefig(image, format="png", dpi=_DPI, metadata={"Software": "voxid"})
    write_bytes(path, image.getvalue())


def _bars(axes: Any, row: int, regions: Sequence[Segment], height: float = 0.56, **look: Any) -> None:
    spans = [(region.start_s, region.duration_s) for region in regions]
    axes.broken_barh(spans, (row - height / 2, height), **look)


def _draw_wave(axes: Any, timeline: Timeline, waveform: Waveform) -> None:
    n_columns = min(1600, len(waveform.samples))
    low, high = read_extremes(waveform.samples, n_columns)
    at_s = (np.arange(n_columns) + 0.5) * waveform.duration_s / n_columns
    axes.fill_between(at_s, low, high, color="#8b96a1", linewidth=0.4)
    peak = max(float(np.quantile(np.maximum(-low, high), 0.999)), 1e-4)
    axes.set_ylim(-peak, peak)
    axes.axis("off")


def _dress(axes: Any, timeline: Timeline, labels: Sequence[str]) -> None:
    duration_s = max(timeline.duration_s, 1e-3)
    step_s = tick_step_s(duration_s)
    ticks_s = [number * step_s for number in range(int(duration_s / step_s + 1e-6) + 1)]
    axes.set_xlim(0, duration_s)
    axes.set_xticks(ticks_s, [clock(at_s, tenths=step_s < 1) for at_s in ticks_s])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), labels)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)  # a name may hold dollar signs
    for row in range(len(labels)):
        axes.axhspan(row - 0.28, row + 0.28, color=_BED, zorder=0, linewidth=0)
    axes.grid(axis="x", color=_LINE, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=_INK, labelsize=9)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _figure(height_in: float) -> Any:
    check_plot()
    from matplotlib.figure import Figure

    return Figure(figsize=(_WIDTH_IN, height_in), layout="constrained", facecolor="white")


def check_plot() -> None:
    """Refuse to draw where matplotlib is missing. Raises: ConfigError: plot_extra_missing."""
    try:
        import matplotlib.figure  # noqa: F401 - whether it is there
    except ImportError:
        raise ConfigError(
            "plot_extra_missing",
            "matplotlib is not installed; it is needed to write PNG: pip install 'voxid[plot]', or write SVG, which "
            "needs nothing.",
        ) from None
