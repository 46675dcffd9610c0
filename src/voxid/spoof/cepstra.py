"""Cepstra that keep what Mel scales throw away: high bands and fine structure, where vocoders leave their marks.

Shapes: N samples at 16 kHz, T frames, F bands, D coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from voxid.spoof.spectra import RATE_HZ, Framing, spectra

__all__ = [
    "CqccOptions",
    "LfccOptions",
    "constant_q",
    "constant_q_kernel",
    "cqcc",
    "deltas",
    "lfcc",
    "linear_bands",
]

_FLOOR: Final = np.float32(1e-10)
_Q_BLOCK_FRAMES: Final = 64
_SHORT_FRAMES: Final = Framing()


@dataclass(frozen=True)
class LfccOptions:
    """Linear-frequency cepstra.

    Attributes:
        framing: 20 ms every 10 ms unless told otherwise.
        n_bands: triangles from 0 to 8 kHz, all of one width.
        n_coefficients: kept of the cosine transform, the first (level) among them.
        with_deltas: also how they change, and how that changes.
    """

    framing: Framing = _SHORT_FRAMES
    n_bands: int = 70
    n_coefficients: int = 20
    with_deltas: bool = True


@dataclass(frozen=True)
class CqccOptions:
    """Constant-Q cepstra.

    Attributes:
        octaves: below 8 kHz.
        bins_per_octave: B of the paper.
        hop_samples: between frames.
        least_width_hz: added to the width of every bin, which keeps the windows of low ones short (variable Q).
        n_linear: points the log spectrum is read at again, evenly in hertz, before the cosine transform.
        n_coefficients, with_deltas: as for :class:`LfccOptions`.
    """

    octaves: int = 9
    bins_per_octave: int = 48
    hop_samples: int = 160
    least_width_hz: float = 20.0
    n_linear: int = 256
    n_coefficients: int = 20
    with_deltas: bool = True


def lfcc(samples: NDArray[np.float32], options: LfccOptions | None = None) -> NDArray[np.float32]:
    """Return (T, D) float32: D is ``n_coefficients``, three times that with deltas.

    Raises:
        InputError: ``audio_not_mono``, ``audio_too_short``.

    Source: Sahidullah, Kinnunen and Hanilçi, "A comparison of features for synthetic speech detection",
    Interspeech 2015.
    """
    options = options or LfccOptions()
    framing = options.framing
    power = np.square(np.abs(spectra(samples, framing)))
    bands = np.log(np.maximum(power @ linear_bands(options.n_bands, framing.fft_samples), _FLOOR))
    return _cosine(bands, options.n_coefficients, options.with_deltas)


@cache
def linear_bands(n_bands: int, fft_samples: int) -> NDArray[np.float32]:
    """Return (fft_samples / 2 + 1, F): triangles that meet at their middles, evenly spaced from 0 Hz to Nyquist."""
    edges = np.linspace(0.0, RATE_HZ / 2, n_bands + 2)
    hz = np.arange(fft_samples // 2 + 1)[:, None] * (RATE_HZ / fft_samples)
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (hz - left) / (middle - left), (right - hz) / (right - middle)
    return np.maximum(np.minimum(rising, falling), 0.0).astype(np.float32)


def cqcc(samples: NDArray[np.float32], options: CqccOptions | None = None) -> NDArray[np.float32]:
    """Return (T, D) float32, cepstra of a spectrum with the same resolution in every octave.

    Raises:
        InputError: ``audio_not_mono``, ``audio_too_short``.

    Source: Todisco, Delgado and Evans, "Constant Q cepstral coefficients", Computer Speech & Language 45, 2017.
    """
    options = options or CqccOptions()
    middles, spectrum = constant_q(samples, options)
    logarithm = np.log(np.maximum(np.square(np.abs(spectrum)), _FLOOR))
    wanted = np.linspace(middles[0], middles[-1], options.n_linear)
    after = np.clip(np.searchsorted(middles, wanted), 1, len(middles) - 1)
    share = ((wanted - middles[after - 1]) / (middles[after] - middles[after - 1])).astype(np.float32)
    even = logarithm[:, after - 1] * (1.0 - share) + logarithm[:, after] * share
    return _cosine(even, options.n_coefficients, options.with_deltas)


def constant_q(
    samples: NDArray[np.float32], options: CqccOptions
) -> tuple[NDArray[np.float64], NDArray[np.complex64]]:
    """Return (middles of the F bins in Hz, rising; (T, F) complex64 their values).

    Frame t is centred on sample t * hop; beyond both ends there is silence.

    Raises:
        InputError: ``audio_not_mono``, ``audio_too_short``.

    Source: Brown and Puckette, "An efficient algorithm for the calculation of a constant Q transform", JASA 92, 1992;
    widths by Schörkhuber, Klapuri, Holighaus and Dörfler, AES 53, 2014, equation 2.
    """
    middles, kernel, length = constant_q_kernel(options)
    half = length // 2
    framing = Framing(length, options.hop_samples, length, 0.0)
    framing.frames(samples[: options.hop_samples])  # refuses what is no waveform
    padded = np.pad(samples.astype(np.float32), (half, half))
    cut = np.lib.stride_tricks.sliding_window_view(padded, length)[:: options.hop_samples]
    found = np.empty((len(cut), len(middles)), np.complex64)
    for first in range(0, len(cut), _Q_BLOCK_FRAMES):
        block = scipy.fft.rfft(cut[first : first + _Q_BLOCK_FRAMES], axis=1)
        found[first : first + len(block)] = block @ kernel
    return middles, found


@cache
def constant_q_kernel(options: CqccOptions) -> tuple[NDArray[np.float64], NDArray[np.complex64], int]:
    """Return (middles (F,), spectra of the windows (L / 2 + 1, F), L samples a frame)."""
    n_bins = options.octaves * options.bins_per_octave
    highest_hz = RATE_HZ / 2
    steps = np.arange(n_bins, 0, -1) - 0.5
    middles = highest_hz * 2.0 ** (-steps / options.bins_per_octave)
    relative = 2.0 ** (1 / options.bins_per_octave) - 2.0 ** (-1 / options.bins_per_octave)
    widths = relative * middles + options.least_width_hz
    lengths = np.minimum(np.ceil(2.0 * RATE_HZ / widths), 1 << 14).astype(int)
    length = 1 << int(np.ceil(np.log2(lengths.max())))
    kernel = np.empty((length // 2 + 1, n_bins), np.complex64)
    for place, (hz, long) in enumerate(zip(middles, lengths.tolist(), strict=True)):
        window = np.hanning(long + 2)[1:-1]
        turn = np.exp(2j * np.pi * hz * (np.arange(long) - long // 2) / RATE_HZ)
        wave = np.zeros(length, np.complex128)
        start = length // 2 - long // 2
        wave[start : start + long] = window / window.sum() * turn
        # <x, wave> of real x and a wave without negative frequencies, by Parseval.
        kernel[:, place] = np.conj(np.fft.fft(wave)[: length // 2 + 1]) / length
    return middles, kernel, length


def deltas(values: NDArray[np.float32], reach: int = 2) -> NDArray[np.float32]:
    """Return (T, D): the slope of a line through ``reach`` frames on both sides; ends are repeated.

    Source: Young et al., The HTK Book, equation 5.16.
    """
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    n_frames = len(values)
    slope = np.zeros_like(values)
    for step in range(1, reach + 1):
        slope += step * (
            padded[reach + step : reach + step + n_frames] - padded[reach - step : reach - step + n_frames]
        )
    return slope / np.float32(2 * sum(step * step for step in range(1, reach + 1)))


def _cosine(bands: NDArray[np.float32], n_coefficients: int, with_deltas: bool) -> NDArray[np.float32]:
    """Return the first coefficients of the orthonormal cosine transform, with their slopes where asked for."""
    static = scipy.fft.dct(bands, axis=1, norm="ortho")[:, :n_coefficients].astype(np.float32)
    if not with_deltas:
        return np.asarray(static)
    slope = deltas(static)
    return np.concatenate([static, slope, deltas(slope)], axis=1)
