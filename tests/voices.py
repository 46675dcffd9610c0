"""Sounds for tests, from seeded numpy: a formant voice that passes for speech, and noise."""

from __future__ import annotations

import io

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import lfilter

RATE_HZ = 16_000
# First three formants (Hz) of a, e, i, o, u, roughly Peterson and Barney's men.
_VOWELS_HZ = ((730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240))


def voice(duration_s: float, seed: int = 0, pitch_hz: float = 120.0) -> NDArray[np.float32]:
    """Return float32 (N,): syllables of random vowels on a gliding pitch, peak 0.5."""
    rng = np.random.default_rng(seed)
    parts, made = [], 0
    wanted = round(duration_s * RATE_HZ)
    while made < wanted:
        length = int(RATE_HZ * rng.uniform(0.12, 0.28))
        glide = pitch_hz * np.linspace(*rng.uniform(0.85, 1.2, 2), length)
        phase = np.cumsum(glide) / RATE_HZ
        pulses = np.diff(np.floor(phase), prepend=0.0)
        sound = lfilter([1.0], [1.0, -0.96], pulses) + 0.002 * rng.standard_normal(length)
        for centre_hz in _VOWELS_HZ[rng.integers(len(_VOWELS_HZ))]:
            radius = np.exp(-np.pi * 90 / RATE_HZ)
            sound = lfilter(
                [1.0], [1, -2 * radius * np.cos(2 * np.pi * centre_hz / RATE_HZ), radius**2], sound
            )
        hiss = np.diff(rng.standard_normal(int(RATE_HZ * 0.05)), prepend=0.0)
        sound = sound / np.abs(sound).max() * np.sin(np.pi * np.linspace(0, 1, length)) ** 0.5
        parts += [0.08 * hiss, sound]
        made += len(hiss) + length
    joined = np.concatenate(parts)[:wanted]
    return (0.5 * joined / np.abs(joined).max()).astype(np.float32)


def noise(duration_s: float, level: float = 0.1, seed: int = 0) -> NDArray[np.float32]:
    """Return white Gaussian noise, float32 (N,), of standard deviation `level`."""
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal(round(duration_s * RATE_HZ))).astype(np.float32)


def encode(
    samples: NDArray[np.float32], rate_hz: int = RATE_HZ, kind: str = "WAV", subtype: str | None = None
) -> bytes:
    """Return the samples as the bytes of an audio file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=kind, subtype=subtype)
    return file.getvalue()
