"""Speech through random lines of 8 kHz: what telephones of many kinds leave of it, for training."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from voxid.audio import SAMPLE_RATE_HZ
from voxid.simulate.distortions import Samples, add_at_snr, coloured_noise
from voxid.simulate.lines import telephone

__all__ = ["LINES", "narrow_line"]

LINES: Final = ("telephone", "mu-law", "A-law", "GSM 06.10", "G.721", "Opus", "PCM")
"""Kinds of lines: the narrow one of :func:`voxid.simulate.lines.telephone`, and coders behind random filters."""

_RATE_HZ: Final = 8_000
_SNR_DB: Final = (5.0, 25.0)
_CODERS: Final = {
    "mu-law": ("WAV", "ULAW"),
    "A-law": ("WAV", "ALAW"),
    "GSM 06.10": ("WAV", "GSM610"),
    "G.721": ("AU", "G721_32"),
    "Opus": ("OGG", "OPUS"),
    "PCM": ("WAV", "PCM_16"),
}


def narrow_line(samples: Samples, line: str, rng: np.random.Generator) -> Samples:
    """Return speech off a line, same length: at times with noise before it, or stored in 16 bits behind it.

    Args:
        samples: (N,) at 16 kHz.
        line: one of :data:`LINES`.
        rng: all chance in it.
    """
    if rng.random() < 0.5:
        samples = add_at_snr(samples, coloured_noise(samples.size, rng), float(rng.uniform(*_SNR_DB)))
    heard = telephone(samples) if line == "telephone" else _through(samples, line, rng)
    return np.asarray(np.rint(heard * 32_767) / 32_768, np.float32) if rng.random() < 0.5 else heard


def _through(samples: Samples, line: str, rng: np.random.Generator) -> Samples:
    """Return the samples through a random band-pass and a coder at a random level."""
    narrow = soxr.resample(samples, SAMPLE_RATE_HZ, _RATE_HZ, quality="HQ")
    if rng.random() < 0.7:
        edges_hz = rng.uniform(50, 320), rng.uniform(3_000, 3_800)
        narrow = sosfilt(butter(int(rng.integers(1, 5)), edges_hz, "band", fs=_RATE_HZ, output="sos"), narrow)
    narrow = narrow / (np.abs(narrow).max() + 1e-9) * rng.uniform(0.1, 0.9)
    wide = soxr.resample(_coded(narrow, line, rng), _RATE_HZ, SAMPLE_RATE_HZ, quality="HQ")
    fitted = np.zeros(samples.size, np.float32)
    kept = min(samples.size, wide.size)
    fitted[:kept] = wide[:kept]
    return fitted


def _coded(narrow: NDArray[np.floating], line: str, rng: np.random.Generator) -> NDArray[np.float32]:
    container, subtype = _CODERS[line]
    quality = float(rng.uniform(0.95, 1.0)) if line == "Opus" else None  # 6 to 18 kb/s
    stored = io.BytesIO()
    soundfile.write(stored, narrow, _RATE_HZ, format=container, subtype=subtype, compression_level=quality)
    stored.seek(0)
    decoded, _ = soundfile.read(stored, dtype="float32")
    return np.asarray(decoded, np.float32)
