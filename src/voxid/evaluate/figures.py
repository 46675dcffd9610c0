"""Drawings of a report as SVG text: DET, score distributions, error curves, intervals side by side.

They carry no colours of their own: the page's style sheet gives them, for light, dark and paper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from voxid.evaluate.bootstrap import Estimate
from voxid.evaluate.claims import smallest_rate
from voxid.evaluate.metrics import RankedTrials
from voxid.evaluate.verification_report import VerificationReport

__all__ = ["Mark", "draw_curves", "draw_det", "draw_intervals", "draw_scores"]

Floats = NDArray[np.float64]
Scale = Callable[[float], float]

_WIDTH: Final = 540
_TICKS_PERCENT: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 40)
_SERIES: Final = 6
_BINS: Final = 60


@dataclass(frozen=True)
class Mark:
    """A value with its interval, for a curve or a row; ``at`` is its place on the first axis."""

    label: str
    estimate: Estimate
    at: float = 0.0


@dataclass(frozen=True)
class _Frame:
    """The rectangle data are drawn in, from data to picture units."""

    left: float
    top: float
    right: float
    bottom: float
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the place of a point; outside values stay on the edge."""
        share_x = (min(max(x, self.x[0]), self.x[1]) - self.x[0]) / (self.x[1] - self.x[0])
        share_y = (min(max(y, self.y[0]), self.y[1]) - self.y[0]) / (self.y[1] - self.y[0])
        return (
            self.left + share_x * (self.right - self.left),
            self.bottom - share_y * (self.bottom - self.top),
        )

    def grid(self, xs: Sequence[tuple[float, str]], ys: Sequence[tuple[float, str]]) -> list[str]:
        """Return lines and numbers of both axes."""
        parts = []
        for value, label in xs:
            x, _ = self.at(value, self.y[0])
            parts.append(f'<path class="grid" d="M{x:.1f} {self.top}V{self.bottom}"/>')
            parts.append(_text(x, self.bottom + 16, label, "tick mid"))
        for value, label in ys:
            _, y = self.at(self.x[0], value)
            parts.append(f'<path class="grid" d="M{self.left} {y:.1f}H{self.right}"/>')
            parts.append(_text(self.left - 7, y + 4, label, "tick end"))
        return parts

    def titles(self, x: str, y: str) -> list[str]:
        """Return what the axes show."""
        middle, height = (self.left + self.right) / 2, (self.top + self.bottom) / 2
        return [
            _text(middle, self.bottom + 36, x, "axis mid"),
            f'<text class="axis mid" transform="translate({self.left - 46} {height:.1f}) rotate(-90)">'
            f"{escape(y)}</text>",
        ]


def draw_det(
    reports: Sequence[VerificationReport],
    labels: Sequence[str],
    axes: tuple[str, str] = ("false-accept rate, %", "false-reject rate, %"),
) -> str:
    """Return the DET curves of systems, with a dot at each EER and a diamond at each shipped threshold.

    ``axes`` are the names of the two errors. A line is dotted where so low a rate cannot be seen in so few trials
    (rule of 3).

    Source: Martin et al., "The DET curve in assessment of detection task performance" (1997).
    """
    lowest = min(smallest_rate(max(report.targets, report.nontargets)) for report in reports)
    least = max((t / 100 for t in _TICKS_PERCENT if t / 100 <= lowest), default=_TICKS_PERCENT[0] / 100)
    edge = (_deviate(least), _deviate(0.5))
    frame = _Frame(62, 14, 62 + 440, 14 + 440, edge, edge)
    ticks = [(_deviate(t / 100), f"{t:g}") for t in _TICKS_PERCENT if t / 100 >= least]
    parts = frame.grid(ticks, ticks) + frame.titles(*axes)
    for number, report in enumerate(reports):
        curve = RankedTrials(report.scores, report.is_target).curve()
        far, frr = curve.far[0], curve.frr[0]
        seen = (far >= smallest_rate(report.nontargets)) & (frr >= smallest_rate(report.targets))
        kind = f"s{number % _SERIES}"
        parts.append(f'<path class="line thin dots {kind}" d="{_steps(frame, far, frr)}"/>')
        parts.append(f'<path class="line {kind}" d="{_steps(frame, far[seen], frr[seen])}"/>')
        x, y = frame.at(*(2 * (_deviate(report.metrics["eer"].value),)))
        parts.append(f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>')
        for at, rates in enumerate(report.profiles):
            x, y = frame.at(_deviate(rates.far.value), _deviate(rates.frr.value))
            parts.append(f'<path class="mark {kind}" d="M{x - 6:.1f} {y:.1f}l6 -6l6 6l-6 6z"/>')
            parts.append(_text(x + 10, y - 6 - 4 * (at % 2), rates.name, f"tag {kind}t"))
    y = frame.bottom + 62
    for number, label in enumerate(labels):
        parts.append(f'<path class="line s{number % _SERIES}" d="M{frame.left} {y - 4}h26"/>')
        parts.append(_text(frame.left + 34, y, label, "key"))
        y += 19
    parts.append(
        _text(frame.left, y + 2, "dot: EER; diamond: a shipped threshold; dotted: too few trials", "tick")
    )
    return _svg(520, y + 14, "Detection error trade-off", parts)


def draw_scores(
    report: VerificationReport, names: tuple[str, str] = ("same person", "different people")
) -> str:
    """Return the distributions of target and non-target LLRs (scores, where there are no LLRs) with the thresholds."""
    values = report.scores if report.llrs is None else report.llrs
    low, high = (float(v) for v in np.quantile(values, [0.0005, 0.9995]))
    margin = max(0.05 * (high - low), 1e-6)
    edges = np.linspace(low - margin, high + margin, _BINS + 1)
    shapes = {
        "b": np.histogram(np.clip(values[~report.is_target], edges[0], edges[-1]), edges, density=True)[0],
        "a": np.histogram(np.clip(values[report.is_target], edges[0], edges[-1]), edges, density=True)[0],
    }
    top = 1.08 * max(float(shape.max()) for shape in shapes.values())
    frame = _Frame(30, 34, _WIDTH - 12, 250, (float(edges[0]), float(edges[-1])), (0.0, top))
    parts = frame.grid([(value, f"{value:g}") for value in _round_ticks(*frame.x)], [])
    for kind, shape in shapes.items():
        points = [frame.at(float(edges[0]), 0.0)]
        for at, height in enumerate(shape):
            points += [
                frame.at(float(edges[at]), float(height)),
                frame.at(float(edges[at + 1]), float(height)),
            ]
        points.append(frame.at(float(edges[-1]), 0.0))
        parts.append(f'<path class="area {kind}" d="{_path(points)}"/>')
    for at, rates in enumerate(report.profiles if report.llrs is not None else ()):
        x, _ = frame.at(rates.threshold_llr, 0.0)
        parts.append(f'<path class="line thin ink" d="M{x:.1f} {frame.top - 4}V{frame.bottom}"/>')
        parts.append(_text(x + 4, frame.top + 8 + 14 * at, rates.name, "tag"))
    name = "score" if report.llrs is None else "log-likelihood ratio, natural logarithm"
    parts.append(_text((frame.left + frame.right) / 2, frame.bottom + 36, name, "axis mid"))
    parts += [
        f'<rect class="area a" x="{frame.left}" y="8" width="14" height="12"/>',
        _text(frame.left + 20, 18, f"{names[0]} ({report.targets:,})", "key"),
        f'<rect class="area b" x="{frame.left + 180}" y="8" width="14" height="12"/>',
        _text(frame.left + 210, 18, f"{names[1]} ({report.nontargets:,})", "key"),
    ]
    return _svg(
        _WIDTH, frame.bottom + 46, f"How scores of {names[0]} and of {names[1]} are distributed", parts
    )


def draw_curves(curves: Sequence[tuple[str, Sequence[Mark]]], axis: str, log_x: bool = False) -> str:
    """Return error rates along a quantity, each with its interval as a band.

    Args:
        curves: name and points of each; estimates are rates in [0, 1].
        axis: what the first axis shows.
        log_x: whether equal steps are equal ratios.
    """

    def place(mark: Mark) -> float:
        return float(np.log(mark.at)) if log_x else mark.at

    marks = [mark for _, points in curves for mark in points]
    highest = max(_high(mark.estimate) for mark in marks)
    ends = (min(place(mark) for mark in marks), max(place(mark) for mark in marks))
    room = 0.06 * (ends[1] - ends[0]) or 1.0
    frame = _Frame(62, 34, _WIDTH - 12, 290, (ends[0] - room, ends[1] + room), (0.0, 1.05 * highest or 1.0))
    ticks = {place(mark): mark.label for mark in marks}
    heights = [(value, f"{100 * value:g}") for value in _round_ticks(*frame.y)]
    parts = frame.grid(sorted(ticks.items()), heights) + frame.titles(axis, "error rate, %")
    for number, (name, points) in enumerate(curves):
        ordered = sorted(points, key=place)
        high = [frame.at(place(mark), _high(mark.estimate)) for mark in ordered]
        low = [frame.at(place(mark), _low(mark.estimate)) for mark in reversed(ordered)]
        middle = [frame.at(place(mark), mark.estimate.value) for mark in ordered]
        kind = f"s{number % _SERIES}"
        parts.append(f'<path class="band {kind}" d="{_path(high + low)}Z"/>')
        parts.append(f'<path class="line {kind}" d="{_path(middle)}"/>')
        parts += [f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in middle]
        parts.append(f'<path class="line {kind}" d="M{frame.left + 200 * number} 16h26"/>')
        parts.append(_text(frame.left + 200 * number + 34, 20, name, "key"))
    return _svg(_WIDTH, frame.bottom + 46, f"Error rates against {axis}", parts)


def draw_intervals(rows: Sequence[Mark], title: str, reference: float | None = None) -> str:
    """Return a line per row with its value and interval, rates in percent.

    Args:
        rows: from top to bottom.
        title: what is shown, for the axis.
        reference: rate drawn as a line across, e.g. the clean one.
    """
    highest = max([_high(row.estimate) for row in rows] + ([] if reference is None else [reference]))
    height = 24 * len(rows)
    frame = _Frame(150, 8, _WIDTH - 16, 8 + height, (0.0, 1.05 * highest or 1.0), (0.0, float(len(rows))))
    parts = frame.grid([(value, f"{100 * value:g}") for value in _round_ticks(*frame.x)], [])
    if reference is not None:
        x, _ = frame.at(reference, 0.0)
        parts.append(f'<path class="line thin ink dots" d="M{x:.1f} {frame.top}V{frame.bottom}"/>')
    for number, row in enumerate(rows):
        y = frame.top + 24 * number + 12
        x, _ = frame.at(row.estimate.value, 0.0)
        low, high = (frame.at(end, 0.0)[0] for end in (_low(row.estimate), _high(row.estimate)))
        parts.append(_text(frame.left - 10, y + 4, row.label, "key end"))
        parts.append(f'<path class="line s0" d="M{low:.1f} {y}H{high:.1f}"/>')
        parts.append(f'<circle class="dot s0" cx="{x:.1f}" cy="{y}" r="4.5"/>')
    parts.append(_text((frame.left + frame.right) / 2, frame.bottom + 36, title, "axis mid"))
    return _svg(_WIDTH, frame.bottom + 46, title, parts)


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, words: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) if points else ""


def _steps(frame: _Frame, far: Floats, frr: Floats) -> str:
    """Return the staircase of a DET curve; points that fall on one spot are drawn once."""
    points: list[tuple[float, float]] = []
    for x, y in zip(_deviates(far), _deviates(frr), strict=True):
        place = tuple(round(value, 1) for value in frame.at(float(x), float(y)))
        spot = (place[0], place[1])
        if not points or points[-1] != spot:
            if points and points[-1][0] != spot[0] and points[-1][1] != spot[1]:
                points.append((spot[0], points[-1][1]))
            points.append(spot)
    return _path(points)


def _deviate(rate: float) -> float:
    return float(_deviates(np.asarray([rate]))[0])


def _deviates(rates: Floats) -> Floats:
    """Return normal deviates, kept finite: rates of 0 and 1 fall on the edges."""
    return np.asarray(norm.ppf(np.clip(rates, 1e-6, 1.0 - 1e-6)))


def _round_ticks(low: float, high: float) -> list[float]:
    """Return about six round numbers within a range."""
    rough = (high - low) / 6.0
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough)
    first = np.ceil(low / step)
    return [float(round(n * step, 10)) for n in np.arange(first, np.floor(high / step) + 1)]


def _low(estimate: Estimate) -> float:
    return estimate.value if estimate.low is None else estimate.low


def _high(estimate: Estimate) -> float:
    return estimate.value if estimate.high is None else estimate.high
