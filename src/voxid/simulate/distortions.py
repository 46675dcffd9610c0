"""What microphones, rooms and lines do to speech, in plain numpy: each function takes and returns 16 kHz samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from voxid.audio import SAMPLE_RATE_HZ

__all__ = ["Samples", "add_at_snr", "babble", "coloured_noise", "mu_law", "reverberate"]

Samples = NDArray[np.float32]


def add_at_snr(speech: Samples, noise: Samples, snr_db: float) -> Samples:
    """Return speech plus noise scaled to ``snr_db``; a shorter noise is repeated. Silent noise changes nothing."""
    noise = np.resize(noise, speech.shape)
    noise_power = float(np.mean(noise**2))
    if noise_power <= 0.0:
        return speech
    gain = np.sqrt(float(np.mean(speech**2)) / (noise_power * 10.0 ** (snr_db / 10.0)))
    return np.asarray(speech + gain * noise, dtype=np.float32)


def babble(voices: Sequence[Samples], n_samples: int, rng: np.random.Generator) -> Samples:
    """Return several voices at equal power on top of each other, each starting at a random place."""
    total = np.zeros(n_samples, dtype=np.float32)
    for voice in voices:
        shifted = np.resize(np.roll(voice, int(rng.integers(0, voice.size))), n_samples)
        total += shifted / (float(np.sqrt(np.mean(shifted**2))) + 1e-6)
    return total


def coloured_noise(n_samples: int, rng: np.random.Generator) -> Samples:
    """Return noise with a random spectral slope (white to brown), at times with hum, at times swelling and fading."""
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    frequency = np.maximum(np.arange(spectrum.size), 1.0)
    noise = np.fft.irfft(spectrum * frequency ** -rng.uniform(0.0, 1.1), n_samples)
    noise /= np.std(noise) + 1e-9
    time_s = np.arange(n_samples) / SAMPLE_RATE_HZ
    if rng.random() < 0.2:
        hum_hz = rng.choice([50.0, 60.0]) * np.arange(1, 6)
        noise += rng.uniform(0.3, 1.5) * np.sin(
            2 * np.pi * hum_hz[:, None] * time_s + rng.uniform(0, 6.28, (5, 1))
        ).sum(0)
    if rng.random() < 0.5:
        knots = rng.uniform(0.1, 1.0, max(2, int(n_samples / SAMPLE_RATE_HZ * rng.uniform(1, 6))))
        noise *= np.interp(np.linspace(0, 1, n_samples), np.linspace(0, 1, knots.size), knots)
    return np.asarray(noise, dtype=np.float32)


def reverberate(samples: Samples, response: Samples) -> Samples:
    """Return the samples as heard in a room, same length and power."""
    wet = fftconvolve(samples, response)[: samples.size]
    gain = np.sqrt(np.mean(samples**2) / (np.mean(wet**2) + 1e-12))
    return np.asarray(wet * gain, dtype=np.float32)


def mu_law(samples: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the samples after 8-bit mu-law coding and decoding (ITU-T G.711, mu = 255)."""
    clipped = np.clip(samples, -1.0, 1.0)
    coded = np.sign(clipped) * np.log1p(255.0 * np.abs(clipped)) / np.log(256.0)
    steps = np.rint((coded + 1.0) * 127.5) / 127.5 - 1.0
    return np.asarray(np.sign(steps) * np.expm1(np.abs(steps) * np.log(256.0)) / 255.0)
