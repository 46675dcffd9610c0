"""Where one voice gives way to another, from the features alone: the classical baselines.

Two neighbouring windows slide over the features. Where two Gaussians, one each, explain them much better than one
Gaussian for both, there is a change. The generalised likelihood ratio (GLR) says how much better; the Bayesian
information criterion (BIC) takes away what the extra parameters alone would gain.

They know nothing of what a voice is, and stand here to be compared with: embeddings find speakers far better.

Shapes: T frames, F features, P places where a change is looked for.

Source: Gish, Siu and Rohlicek, "Segregation of speakers for speech recognition and speaker identification", ICASSP
1991 (GLR); Chen and Gopalakrishnan, "Speaker, environment and channel change detection and clustering via the
Bayesian information criterion", DARPA workshop 1998 (BIC).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from voxid.errors import InputError
from voxid.features import FRAME_HOP_S

METHODS = ("bic", "glr")

_RIDGE = 1e-3
_PLACES_AT_ONCE = 2000


@dataclass(frozen=True)
class ChangeOptions:
    """How changes are looked for.

    Attributes:
        method: ``bic`` or ``glr``.
        window_s: length of each of the two windows. Longer: surer, but turns shorter than it are missed.
        step_s: distance between places; what a change is exact to.
        penalty: BIC only: how many times the theoretical price of the parameters a change must gain. Larger: fewer
            changes.
        deviations: GLR only: how many standard deviations above its mean a ratio must lie.
        least_turn_s: no two changes are closer.
    """

    method: str = "bic"
    window_s: float = 2.0
    step_s: float = 0.1
    penalty: float = 1.0
    deviations: float = 1.0
    least_turn_s: float = 1.0

    def __post_init__(self) -> None:
        numbers = (self.window_s, self.step_s, self.penalty, self.deviations, self.least_turn_s)
        sound = all(math.isfinite(value) and value >= 0 for value in numbers)
        if (
            self.method not in METHODS
            or not sound
            or self.step_s < FRAME_HOP_S
            or self.window_s < 5 * self.step_s
        ):
            raise InputError(
                "option_invalid",
                f"found {self}; expected method bic or glr, step_s of {FRAME_HOP_S} or more and window_s of at least "
                "5 steps; change it.",
            )


def cepstra(fbank: NDArray[np.floating], n_coefficients: int = 20) -> NDArray[np.float64]:
    """Return (T, n_coefficients) cepstra of log-Mel energies (T, F): few and nearly uncorrelated, as Gaussians like."""
    transformed = dct(np.asarray(fbank, dtype=np.float64), type=2, norm="ortho", axis=1)
    return np.asarray(transformed[:, :n_coefficients])


def find_changes(features: NDArray[np.floating], options: ChangeOptions | None = None) -> NDArray[np.float64]:
    """Return the seconds, rising, at which the voice changes; (0,) where the features are too short to tell.

    Linear in T.

    Args:
        features: (T, F) one frame every 10 ms, e.g. of :func:`cepstra`.
    """
    options = options or ChangeOptions()
    curve = measure_changes(features, options)
    if len(curve) == 0:
        return np.zeros(0)
    threshold = 0.0 if options.method == "bic" else float(curve.mean() + options.deviations * curve.std())
    gap = max(1, round(options.least_turn_s / options.step_s))
    taken: list[int] = []
    free = curve > threshold
    for place in np.argsort(-curve, kind="stable").tolist():
        if free[place]:
            taken.append(place)
            free[max(0, place - gap + 1) : place + gap] = False
    # A place beside a higher one that was refused for being too close is a slope, not a peak.
    peaks = [place for place in sorted(taken) if curve[place] >= _around(curve, place).max()]
    step_s = _step_frames(options) * FRAME_HOP_S
    return np.asarray((np.asarray(peaks, dtype=np.float64) + _window_blocks(options)) * step_s)


def _around(curve: NDArray[np.float64], place: int) -> NDArray[np.float64]:
    return curve[max(0, place - 1) : place + 2]


def measure_changes(features: NDArray[np.floating], options: ChangeOptions) -> NDArray[np.float64]:
    """Return (P,) the criterion at every step from one window after the start to one before the end.

    BIC: log-likelihood gained minus its price, above 0 where two voices are likelier than one. GLR: the gain alone.
    """
    step, blocks = _step_frames(options), _window_blocks(options)
    x = np.asarray(features, dtype=np.float64)
    n_blocks = len(x) // step
    n_places = n_blocks - 2 * blocks + 1
    if n_places < 1:
        return np.zeros(0)
    frames, dim = blocks * step, x.shape[1]
    curve = np.empty(n_places)
    for first in range(0, n_places, _PLACES_AT_ONCE):
        last = min(first + _PLACES_AT_ONCE, n_places)
        part = x[first * step : (last - 1 + 2 * blocks) * step]
        curve[first:last] = _gain(part.reshape(-1, step, dim), blocks)
    if options.method == "glr":
        return curve
    price = 0.5 * (dim + dim * (dim + 1) / 2) * math.log(2 * frames)
    return np.asarray(curve - options.penalty * price)


def _gain(blocks_of_frames: NDArray[np.float64], blocks: int) -> NDArray[np.float64]:
    """Return (P,) log-likelihood that two Gaussians gain over one, each over ``blocks`` blocks of frames."""
    n_blocks, step, dim = blocks_of_frames.shape
    first = np.zeros((n_blocks + 1, dim))
    np.cumsum(blocks_of_frames.sum(axis=1), axis=0, out=first[1:])
    second = np.zeros((n_blocks + 1, dim, dim))
    np.cumsum(np.einsum("btd,bte->bde", blocks_of_frames, blocks_of_frames), axis=0, out=second[1:])
    starts = np.arange(n_blocks - 2 * blocks + 1)
    frames = blocks * step

    def spread(start: NDArray[np.int64], end: NDArray[np.int64], n_frames: int) -> NDArray[np.float64]:
        mean = (first[end] - first[start]) / n_frames
        covariance = (second[end] - second[start]) / n_frames - mean[:, :, None] * mean[:, None, :]
        covariance += _RIDGE * np.eye(dim)
        return np.asarray(np.linalg.slogdet(covariance)[1])

    middle, end = starts + blocks, starts + 2 * blocks
    halves = spread(starts, middle, frames) + spread(middle, end, frames)
    return np.asarray(frames * spread(starts, end, 2 * frames) - 0.5 * frames * halves)


def _step_frames(options: ChangeOptions) -> int:
    return max(1, round(options.step_s / FRAME_HOP_S))


def _window_blocks(options: ChangeOptions) -> int:
    return round(options.window_s / FRAME_HOP_S) // _step_frames(options)
