"""Parametric vocoders: speech as a source and a filter, as sinusoids, as harmonics and noise, as bands.

Each function takes 16 kHz samples (N,) and a generator of random numbers and returns (N,) float32; settings are
drawn anew for every utterance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft
from scipy.ndimage import median_filter
from scipy.signal import lfilter

from voxid.audio import SAMPLE_RATE_HZ
from voxid.simulate.distortions import Samples
from voxid.simulate.shorttime import frames, hann, mel_filters, overlap_add, pitch_hz, samples_of, spectra

__all__ = [
    "cepstral",
    "channel",
    "harmonics_and_noise",
    "lpc_mixed",
    "lpc_noise",
    "lpc_one_bit",
    "lpc_pulse",
    "sinusoidal",
]

_FLOOR = 1e-5
_HOP = 160
_HIGHEST_HARMONIC_HZ = 7_600.0


def lpc_pulse(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return linear prediction driven by one pulse per period, noise where there is no voice.

    Source: Atal and Hanauer, "Speech analysis and synthesis by linear prediction", JASA 50(2B), 1971.
    """
    return _predicted(samples, _excitation(samples, 0.0, rng), rng)


def lpc_mixed(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return linear prediction driven by pulses and noise together.

    Source: McCree and Barnwell, "A mixed excitation LPC vocoder model", IEEE TSAP 3(4), 1995 (here one mix for the
    whole band).
    """
    return _predicted(samples, _excitation(samples, float(rng.uniform(0.2, 0.7)), rng), rng)


def lpc_noise(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return linear prediction driven by noise alone: a whisper."""
    return _predicted(samples, rng.standard_normal(samples.size), rng)


def lpc_one_bit(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return linear prediction driven by the sign of its own residual.

    Source: Un and Magill, "The residual-excited linear prediction vocoder", IEEE Trans. Comm. 23(12), 1975 (here
    one bit a sample over the whole band).
    """
    return _predicted(samples, None, rng)


def sinusoidal(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the 20 to 80 strongest peaks of every frame as sinusoids, with their phases or with random ones.

    Source: McAulay and Quatieri, "Speech analysis/synthesis based on a sinusoidal representation", IEEE TASSP 34(4),
    1986 (overlap-add in place of tracks).
    """
    peaks, width = int(rng.integers(20, 81)), int(rng.choice([480, 640, 800]))
    hop, keep_phase = width // 4, rng.random() < 0.6
    window = hann(width)
    size = 2_048
    spectrum = rfft(frames(samples, width, hop) * window, size, axis=1)
    magnitude = np.abs(spectrum)
    inner = magnitude[:, 1:-1]
    is_peak = (inner > magnitude[:, :-2]) & (inner >= magnitude[:, 2:])
    ranked = np.where(is_peak, inner, 0.0)
    bins = np.argpartition(-ranked, peaks, axis=1)[:, :peaks] + 1
    height = np.take_along_axis(np.pad(ranked, ((0, 0), (1, 1))), bins, axis=1) / (window.sum() / 2.0)
    phase = np.angle(np.take_along_axis(spectrum, bins, axis=1))
    if not keep_phase:
        phase = rng.uniform(-np.pi, np.pi, phase.shape)
    angle = (2.0 * np.pi / size * np.arange(width)).astype(np.float32)
    made = np.empty((magnitude.shape[0], width), dtype=np.float32)
    for number in range(magnitude.shape[0]):
        waves = np.cos(bins[number, :, None] * angle + phase[number, :, None].astype(np.float32))
        made[number] = height[number].astype(np.float32) @ waves
    whole = overlap_add(made * (window * (2.0 * hop / width)), hop)
    return whole[width // 2 : width // 2 + samples.size]


def harmonics_and_noise(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return multiples of the pitch up to 3 to 7.6 kHz, and noise shaped like the rest.

    Source: Stylianou, "Applying the harmonic plus noise model in concatenative speech synthesis", IEEE TSAP 9(1),
    2001.
    """
    window, top_hz = 640, float(rng.uniform(3_000.0, _HIGHEST_HARMONIC_HZ))
    pitch = median_filter(pitch_hz(samples, _HOP), 5)
    magnitude = np.abs(spectra(samples, window, _HOP))
    bins_hz = np.arange(window // 2 + 1) * SAMPLE_RATE_HZ / window
    voiced = (pitch[:, None] > 0.0) & (bins_hz < top_hz)
    turn = np.exp(2j * np.pi * rng.random(magnitude.shape, dtype=np.float32))
    quiet = np.where(voiced, rng.uniform(0.05, 0.3), 1.0)
    noise = samples_of(np.asarray(magnitude * quiet * turn, dtype=np.complex64), _HOP, samples.size)
    return np.asarray(
        noise + _harmonics(pitch, magnitude / (window / 4.0), top_hz, samples.size, rng), np.float32
    )


def cepstral(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return pulses and noise through an envelope of 20 to 45 cepstral coefficients.

    Source: Oppenheim, "Speech analysis-synthesis system based on homomorphic filtering", JASA 45(2), 1969.
    """
    window, order = int(rng.choice([400, 512, 640])), int(rng.integers(20, 46))
    hop = window // 4
    cepstrum = irfft(np.log(np.abs(spectra(samples, window, hop)) + _FLOOR), window, axis=1)
    cepstrum[:, order : window - order + 1] = 0.0
    return _shaped(samples, np.exp(rfft(cepstrum, axis=1).real), hop, rng)


def channel(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return pulses and noise through the loudness of 12 to 40 bands.

    Source: Dudley, "Remaking speech", JASA 11(2), 1939.
    """
    window, bands = int(rng.choice([400, 512, 640])), int(rng.integers(12, 41))
    hop = window // 4
    filters = mel_filters(bands, window)
    share = filters / np.maximum(filters.sum(axis=1, keepdims=True), 1e-6)
    loudness = np.log(np.abs(spectra(samples, window, hop)) ** 2 @ share.T + _FLOOR)
    back = filters.T / np.maximum(filters.sum(axis=0)[:, None], 1e-6)
    return _shaped(samples, np.exp(0.5 * loudness @ back.T), hop, rng)


def _shaped(samples: Samples, envelope: NDArray[np.floating], hop: int, rng: np.random.Generator) -> Samples:
    """Return an excitation of flat spectrum filtered frame by frame by the envelope (T, F)."""
    source = _excitation(samples, float(rng.choice([0.0, rng.uniform(0.1, 0.6)])), rng)
    spectrum = spectra(source.astype(np.float32), 2 * (envelope.shape[1] - 1), hop)
    return samples_of(np.asarray(spectrum * envelope, dtype=np.complex64), hop, samples.size)


def _excitation(samples: Samples, noisiness: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (N,) of power about 1: a pulse per period where there is voice (and noise), else noise."""
    hop = int(rng.choice([80, 160]))
    pitch = median_filter(pitch_hz(samples, hop), 5)
    at = np.minimum((np.arange(samples.size) + hop // 2) // hop, pitch.size - 1)
    held = pitch[at]
    turns = np.floor(np.cumsum(held) / SAMPLE_RATE_HZ)
    beats = np.diff(turns, prepend=0.0) > 0.0
    noise = rng.standard_normal(samples.size)
    pulses = beats * np.sqrt(SAMPLE_RATE_HZ / np.maximum(held, 1.0))
    mixed = np.sqrt(1.0 - noisiness**2) * pulses + noisiness * noise
    return np.asarray(np.where(held > 0.0, mixed, noise))


def _predicted(samples: Samples, excitation: NDArray[np.float64] | None, rng: np.random.Generator) -> Samples:
    """Return the excitation (without one: the sign of the residual) through the predictor of each 10 ms."""
    order, width = int(rng.integers(10, 25)), int(rng.choice([320, 400, 480, 640]))
    bright = float(rng.uniform(0.85, 0.97))
    flat = lfilter([1.0, -bright], [1.0], samples).astype(np.float32)
    coefficients, gain = _predictors(frames(flat, width, _HOP) * hann(width), order)
    made = np.zeros(samples.size)
    state = np.zeros(order)
    for number, place in enumerate(range(0, samples.size, _HOP)):
        ends = min(place + _HOP, samples.size)
        if excitation is None:
            heard = np.zeros(order + ends - place)
            earlier = flat[max(place - order, 0) : ends]
            heard[heard.size - earlier.size :] = earlier
            residual = lfilter(coefficients[number], [1.0], heard)[order:]
            drive = np.sign(residual) * np.abs(residual).mean()
        else:
            drive = excitation[place:ends] * gain[number]
        made[place:ends], state = lfilter([1.0], coefficients[number], drive, zi=state)
    return np.asarray(lfilter([1.0], [1.0, -bright], made), dtype=np.float32)


def _predictors(windowed: NDArray[np.float32], order: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return predictors (T, order + 1) and the strength of what they leave over (T,), autocorrelation method."""
    width = windowed.shape[1]
    power = np.abs(rfft(windowed.astype(np.float64), 2 * width, axis=1)) ** 2
    lags = irfft(power, axis=1)[:, : order + 1]
    lags[:, 0] = lags[:, 0] * 1.0001 + 1e-9  # noise 40 dB down: silence has a predictor too
    places = np.abs(np.subtract.outer(np.arange(order), np.arange(order)))
    solved = np.linalg.solve(lags[:, places], lags[:, 1:, None])[..., 0]
    left = np.maximum(lags[:, 0] - np.sum(solved * lags[:, 1:], axis=1), 1e-12)
    ones = np.ones((solved.shape[0], 1))
    return np.concatenate([ones, -solved], axis=1), np.sqrt(left / float(np.sum(hann(width) ** 2)))


def _harmonics(
    pitch: NDArray[np.float64],
    magnitude: NDArray[np.floating],
    top_hz: float,
    n_samples: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return the sum of the multiples of the pitch, as loud as the spectrum (T, F) is there."""
    voiced = pitch > 0.0
    if not voiced.any():
        return np.zeros(n_samples)
    held = np.interp(np.arange(pitch.size), np.flatnonzero(voiced), pitch[voiced])
    place = np.arange(n_samples) / _HOP
    turns = 2.0 * np.pi * np.cumsum(np.interp(place, np.arange(held.size), held)) / SAMPLE_RATE_HZ
    step_hz = SAMPLE_RATE_HZ / (2.0 * (magnitude.shape[1] - 1))
    total = np.zeros(n_samples)
    for number in range(1, int(top_hz / held.min()) + 1):
        bins = np.rint(number * held / step_hz).astype(np.int64)
        there = voiced & (number * held < top_hz)
        height = np.where(
            there, magnitude[np.arange(held.size), np.minimum(bins, magnitude.shape[1] - 1)], 0.0
        )
        loud = np.interp(place, np.arange(held.size), height)
        total += loud * np.cos((number * turns + rng.uniform(0.0, 2.0 * np.pi)).astype(np.float32))
    return total
