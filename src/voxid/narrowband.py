"""Telephone speech among speech by microphones: found by its band, heard without what the line left out, and moved.

A line of 8 kHz carries nothing of a voice above 4 kHz and, depending on the line, little below 300 Hz. What is found
there is noise of the coder, which a network takes for the voice: on held-out people and a line of 300 to 3,400 Hz the
bands below alone raised the EER from 10 to 13 %. They are made to say nothing. What is left is a shift that is much
the same for all voices, and a little that each voice loses: an affine map, taught on pairs of a recording and its copy
off a line, brings the embedding to where wide-band speech of that voice lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["NarrowBand", "empty_low_bands", "is_narrow", "without_empty_bands"]

Floats = NDArray[np.float32]

# Of the 80 Mel bands of voxid.features.fbank: the middle of a telephone's (300 Hz to 3.4 kHz), and those above 4.2 kHz.
_MIDDLE: Final = slice(10, 56)
_HIGH: Final = slice(62, 79)
_FIRST_EMPTY_BAND: Final = 58  # begins at 3.6 kHz, where the filters of lines end
_LOW_BANDS: Final = 12  # below 340 Hz; which of these are empty is the line's affair
# 607 wide-band recordings of training and held-out people lie above -35 but for one that ends at 4.3 kHz; cuts of 0.6 s
# above -39 in 99.8 %. Lines lie under -41 in 99 %, the loudest noise of 16 bits under a quiet voice at -36.
_NARROW_BELOW_DB: Final = -38.0
_EMPTY_BELOW: Final = -5.0  # natural logarithm under the middle bands, 22 dB
_MOST_FRAMES: Final = 3_000  # 30 s tell the band of an hour
_FLOOR: Final = 1e-7


def is_narrow(fbank: Floats) -> bool:
    """Return whether speech has nothing above 4.2 kHz, as after a line of 8 kHz.

    Args:
        fbank: (T, 80) of :func:`voxid.features.fbank`, the frames of speech.
    """
    if fbank.shape[0] == 0:
        return False
    chosen = np.linspace(0, len(fbank) - 1, min(len(fbank), _MOST_FRAMES)).astype(np.int64)
    power = np.exp(fbank[chosen], dtype=np.float64).mean(axis=0) + _FLOOR
    return bool(10 * np.log10(power[_HIGH].mean() / power[_MIDDLE].mean()) < _NARROW_BELOW_DB)


def empty_low_bands(fbank: Floats) -> int:
    """Return how many of the lowest bands the line left empty, 0 to 12; arguments as for :func:`is_narrow`."""
    level = fbank.mean(axis=0)
    empty = np.flatnonzero(level[:_LOW_BANDS] - level[_MIDDLE].mean() < _EMPTY_BELOW)
    return int(empty[-1]) + 1 if empty.size else 0


def without_empty_bands(fbank: Floats, low_bands: int | None = None) -> Floats:
    """Return narrow-band frames minus their mean, with the bands that the line left empty at that mean.

    Args:
        fbank: (T, 80), the frames of speech.
        low_bands: how many of the lowest are empty; None finds out.
    """
    count = empty_low_bands(fbank) if low_bands is None else low_bands
    heard = np.asarray(fbank - fbank.mean(axis=0), dtype=np.float32)
    heard[:, :count] = 0.0
    heard[:, _FIRST_EMPTY_BAND:] = 0.0
    return heard


@dataclass(frozen=True, eq=False)
class NarrowBand:
    """Where a network's embeddings of narrow-band speech belong; part of a bundle.

    Args:
        matrix, shift: (D, D) and (D,) of the map x -> matrix x + shift.
        sha256: of the file they came from.
    """

    matrix: Floats
    shift: Floats
    sha256: str = ""

    def moved(self, embeddings: Floats) -> Floats:
        """Return embeddings (..., D) of speech :func:`without_empty_bands` as if it were wide-band; unit length."""
        found = embeddings @ self.matrix.T + self.shift
        return np.asarray(found / np.linalg.norm(found, axis=-1, keepdims=True), dtype=np.float32)
