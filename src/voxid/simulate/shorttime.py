"""Short-time spectra of 16 kHz samples and back: the ground that the vocoders stand on.

Shapes: T frames, W window, F = W // 2 + 1 bins. Frame k is centred on sample k * hop.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from voxid.audio import SAMPLE_RATE_HZ
from voxid.simulate.distortions import Samples

__all__ = [
    "Spectra",
    "frames",
    "hann",
    "mel_filters",
    "overlap_add",
    "pitch_hz",
    "samples_of",
    "spectra",
    "with_phase",
]

Spectra = NDArray[np.complex64]
Magnitudes = NDArray[np.float32]

_LEAST_WEIGHT = 1e-3  # under the overlapped windows, where the first and last frames end
_PITCH_WINDOW = 1_024
_LOWEST_HZ, _HIGHEST_HZ = 60, 400
_PERIODIC = 0.4  # autocorrelation above which a frame is voiced
_LOUD = 0.02  # of the loudest frame, below which nothing is voiced


@lru_cache(maxsize=32)
def hann(window_samples: int) -> Samples:
    """Return the periodic Hann window, (W,)."""
    place = np.arange(window_samples) / window_samples
    return np.asarray(0.5 - 0.5 * np.cos(2.0 * np.pi * place), dtype=np.float32)


def frames(samples: Samples, window_samples: int, hop_samples: int) -> Samples:
    """Return a read-only view of the frames, (1 + N // hop, W), zeros outside the samples."""
    count = 1 + samples.size // hop_samples
    padded = np.zeros(window_samples + (count - 1) * hop_samples, dtype=np.float32)
    middle = window_samples // 2
    fits = samples[: padded.size - middle]
    padded[middle : middle + fits.size] = fits
    return sliding_window_view(padded, window_samples)[::hop_samples][:count]


def spectra(samples: Samples, window_samples: int, hop_samples: int) -> Spectra:
    """Return the short-time Fourier transform with a Hann window, (T, F) complex64."""
    windowed = frames(samples, window_samples, hop_samples) * hann(window_samples)
    return np.asarray(rfft(windowed, axis=1), dtype=np.complex64)


def overlap_add(pieces: NDArray[np.floating], hop_samples: int) -> NDArray[np.float32]:
    """Return pieces (T, W) laid ``hop`` apart and summed, (W + (T - 1) * hop,) at least; the end is zeros."""
    count, width = pieces.shape
    steps = -(-width // hop_samples)
    padded = np.zeros((count, steps * hop_samples), dtype=np.float32)
    padded[:, :width] = pieces
    total = np.zeros((count + steps, hop_samples), dtype=np.float32)
    for step in range(steps):
        total[step : step + count] += padded[:, step * hop_samples : (step + 1) * hop_samples]
    return total.ravel()


def samples_of(spectrum: Spectra, hop_samples: int, n_samples: int) -> Samples:
    """Return the samples whose short-time spectra come nearest, (n_samples,).

    Source: Griffin and Lim, "Signal estimation from modified short-time Fourier transform", IEEE TASSP 32(2),
    1984, equation 6.
    """
    window_samples = 2 * (spectrum.shape[1] - 1)
    window = hann(window_samples)
    pieces = irfft(spectrum, window_samples, axis=1) * window
    weight = overlap_add(np.broadcast_to(window**2, pieces.shape), hop_samples)
    whole = overlap_add(pieces, hop_samples) / np.maximum(weight, _LEAST_WEIGHT)
    made = np.zeros(n_samples, dtype=np.float32)
    kept = whole[window_samples // 2 : window_samples // 2 + n_samples]
    made[: kept.size] = kept
    return made


def with_phase(magnitude: Magnitudes, guide: Spectra) -> Spectra:
    """Return spectra of the given magnitude and of the guide's phase; phase zero where the guide is silent."""
    length = np.abs(guide)
    turned = np.where(length > 1e-12, guide / np.maximum(length, 1e-12), 1.0)
    return np.asarray(magnitude * turned, dtype=np.complex64)


@lru_cache(maxsize=64)
def mel_filters(bands: int, window_samples: int, top_hz: float = 8_000.0) -> Magnitudes:
    """Return triangles evenly wide on the Mel scale from 0 Hz to ``top_hz``, (bands, F)."""
    edges_hz = 700.0 * np.expm1(np.linspace(0.0, np.log1p(top_hz / 700.0), bands + 2))
    bins_hz = np.fft.rfftfreq(window_samples, 1.0 / SAMPLE_RATE_HZ)
    low, middle, high = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising, falling = (bins_hz - low) / (middle - low), (high - bins_hz) / (high - middle)
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)), dtype=np.float32)


def pitch_hz(samples: Samples, hop_samples: int) -> NDArray[np.float64]:
    """Return the pitch of each frame, (T,), 60 to 400 Hz, and 0 where there is no voice.

    Source: Boersma, "Accurate short-term analysis of the fundamental frequency", Proc. IFA 17, 1993: the
    autocorrelation of the windowed frame over that of the window; here without his search for the best path.
    """
    window = hann(_PITCH_WINDOW)
    cut = frames(samples, _PITCH_WINDOW, hop_samples)
    size = next_fast_len(2 * _PITCH_WINDOW, real=True)
    shortest, longest = SAMPLE_RATE_HZ // _HIGHEST_HZ, SAMPLE_RATE_HZ // _LOWEST_HZ
    own = irfft(np.abs(rfft(window, size)) ** 2, size)[: longest + 1]
    alike = irfft(np.abs(rfft(cut * window, size, axis=1)) ** 2, size, axis=1)[:, : longest + 1]
    alike = alike / (alike[:, :1] + 1e-9) * (own[0] / own)
    # Multiples of the period fit as well as the period itself: a longer lag must be better by a little.
    lags = np.arange(shortest, longest)
    top = (alike[:, lags] > alike[:, lags - 1]) & (alike[:, lags] >= alike[:, lags + 1])
    fit = np.where(top, alike[:, lags] - 0.03 * np.log2(lags / shortest), -1.0)
    lag = fit.argmax(axis=1) + shortest
    row = np.arange(lag.size)
    before, after = alike[row, lag - 1], alike[row, lag + 1]
    bend = np.minimum(before - 2.0 * alike[row, lag] + after, -1e-9)
    period = lag + np.clip(0.5 * (before - after) / bend, -0.5, 0.5)  # top of the parabola through the three
    loudness = np.sqrt(np.mean(cut**2, axis=1))
    voiced = (fit.max(axis=1) > _PERIODIC) & (loudness > _LOUD * max(float(loudness.max()), 1e-9))
    return np.where(voiced, SAMPLE_RATE_HZ / period, 0.0)
