"""WORLD: speech taken apart into pitch, envelope and aperiodicity, changed, and put together again.

Source: Morise, Yokomori and Ozawa, "WORLD: a vocoder-based high-quality speech synthesis system for real-time
applications", IEICE Trans. Inf. Syst. E99-D(7), 2016, by its own program (pyworld), imported when asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from voxid.audio import SAMPLE_RATE_HZ
from voxid.errors import ConfigError
from voxid.simulate.distortions import Samples

__all__ = [
    "other_formants",
    "other_pitch",
    "other_voice",
    "rebuilt",
    "smoothed",
    "spoken_flat",
    "whispered",
    "without_aperiodicity",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Parts:
    """Pitch (T,), spectral envelope (T, F) and aperiodicity (T, F), a frame every ``period_ms``."""

    pitch: Floats
    envelope: Floats
    aperiodicity: Floats
    period_ms: float


def rebuilt(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the speech put together again, at times through 24 to 60 coefficients a frame."""
    parts = _analysed(samples, rng)
    return _synthesised(_coded(parts, rng) if rng.random() < 0.6 else parts, samples.size)


def smoothed(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the speech with trajectories as smooth as a statistical parametric synthesiser's."""
    parts = _coded(_analysed(samples, rng), rng)
    width = int(rng.integers(4, 10))
    log_pitch = uniform_filter1d(np.log(np.maximum(parts.pitch, 1.0)), width)
    envelope = np.exp(uniform_filter1d(np.log(parts.envelope + 1e-16), width, axis=0))
    pitch = np.where(parts.pitch > 0.0, np.exp(log_pitch), 0.0)
    return _synthesised(replace(parts, pitch=pitch, envelope=envelope), samples.size)


def without_aperiodicity(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the speech with voices of pure pulses."""
    parts = _analysed(samples, rng)
    return _synthesised(replace(parts, aperiodicity=np.full_like(parts.aperiodicity, 1e-6)), samples.size)


def whispered(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the speech with no voice in it."""
    parts = _analysed(samples, rng)
    return _synthesised(replace(parts, pitch=np.zeros_like(parts.pitch)), samples.size)


def spoken_flat(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the speech on one pitch, within 20 % of its median."""
    parts = _analysed(samples, rng)
    voiced = parts.pitch > 0.0
    middle = float(np.median(parts.pitch[voiced])) * rng.uniform(0.8, 1.2) if voiced.any() else 0.0
    return _synthesised(replace(parts, pitch=np.where(voiced, middle, 0.0)), samples.size)


def other_pitch(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the speech at 0.6 to 0.85 or 1.2 to 1.7 times its pitch."""
    parts = _analysed(samples, rng)
    return _synthesised(replace(parts, pitch=parts.pitch * _pitch_ratio(rng)), samples.size)


def other_formants(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the speech with its envelope stretched or pressed by 7 to 18 %."""
    parts = _analysed(samples, rng)
    return _synthesised(replace(parts, envelope=_warped(parts.envelope, _throat_ratio(rng))), samples.size)


def other_voice(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the speech with other formants and another pitch, moved the same way as between two people."""
    parts = _analysed(samples, rng)
    throat = _throat_ratio(rng)
    moved = rng.uniform(1.2, 1.7) if throat > 1.0 else rng.uniform(0.6, 0.85)
    changed = replace(parts, pitch=parts.pitch * moved, envelope=_warped(parts.envelope, throat))
    return _synthesised(changed, samples.size)


def _world() -> Any:
    """Return the module pyworld. Raises: ConfigError: ``pyworld_missing``."""
    try:
        import pyworld
    except ImportError:
        raise ConfigError(
            "pyworld_missing",
            "The WORLD vocoder needs pyworld, which is not installed; run: pip install 'voxid[train]', or choose "
            "generators that need nothing.",
        ) from None
    return pyworld


def _analysed(samples: Samples, rng: np.random.Generator) -> _Parts:
    """Return the parts of the speech; a little noise keeps digital silence from the logarithms."""
    world = _world()
    sound = samples.astype(np.float64) + 1e-6 * rng.standard_normal(samples.size)
    period_ms = float(rng.choice([4.0, 5.0, 5.0, 6.0, 8.0]))
    rough, time_s = world.dio(sound, SAMPLE_RATE_HZ, frame_period=period_ms)
    pitch = world.stonemask(sound, rough, time_s, SAMPLE_RATE_HZ)
    envelope = world.cheaptrick(sound, pitch, time_s, SAMPLE_RATE_HZ, q1=float(rng.uniform(-0.3, -0.05)))
    aperiodicity = world.d4c(sound, pitch, time_s, SAMPLE_RATE_HZ)
    return _Parts(pitch, envelope, aperiodicity, period_ms)


def _coded(parts: _Parts, rng: np.random.Generator) -> _Parts:
    """Return the parts after the compression that statistical synthesisers learn in."""
    world = _world()
    size = world.get_cheaptrick_fft_size(SAMPLE_RATE_HZ)
    few = world.code_spectral_envelope(parts.envelope, SAMPLE_RATE_HZ, int(rng.integers(24, 61)))
    bands = world.code_aperiodicity(parts.aperiodicity, SAMPLE_RATE_HZ)
    return replace(
        parts,
        envelope=world.decode_spectral_envelope(np.ascontiguousarray(few), SAMPLE_RATE_HZ, size),
        aperiodicity=world.decode_aperiodicity(bands, SAMPLE_RATE_HZ, size),
    )


def _synthesised(parts: _Parts, n_samples: int) -> Samples:
    made = _world().synthesize(
        np.ascontiguousarray(parts.pitch, dtype=np.float64),
        np.ascontiguousarray(parts.envelope, dtype=np.float64),
        np.ascontiguousarray(parts.aperiodicity, dtype=np.float64),
        SAMPLE_RATE_HZ,
        parts.period_ms,
    )
    fitted = np.zeros(n_samples, dtype=np.float32)
    fitted[: min(made.size, n_samples)] = made[:n_samples]
    return fitted


def _warped(envelope: Floats, ratio: float) -> Floats:
    """Return the envelope stretched along frequency: formants ``ratio`` times as high."""
    last = envelope.shape[1] - 1
    from_bin = np.minimum(np.arange(last + 1) / ratio, last)
    below = np.minimum(from_bin.astype(np.int64), last - 1)
    part = from_bin - below
    level = np.log(envelope + 1e-16)
    return np.asarray(np.exp(level[:, below] * (1.0 - part) + level[:, below + 1] * part))


def _pitch_ratio(rng: np.random.Generator) -> float:
    return float(rng.uniform(1.2, 1.7) if rng.random() < 0.5 else rng.uniform(0.6, 0.85))


def _throat_ratio(rng: np.random.Generator) -> float:
    return float(rng.uniform(1.07, 1.18) if rng.random() < 0.5 else rng.uniform(0.84, 0.93))
