"""Speech as it comes out of a telephone or a speech codec: always the same for the same samples."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import soundfile
import soxr
from scipy.signal import butter, sosfiltfilt

from voxid.audio import SAMPLE_RATE_HZ
from voxid.errors import ConfigError
from voxid.simulate.distortions import Samples, mu_law

__all__ = ["OPUS_KBPS", "TELEPHONE_BAND_HZ", "ogg_payload_bytes", "opus", "telephone"]

TELEPHONE_BAND_HZ = (300.0, 3400.0)
"""Edges of the band (half power), ITU-T G.712."""

OPUS_KBPS = (6.0, 64.0)
"""Bit rates `opus` makes; libopus writes nothing below the first for 16 kHz speech."""

_TELEPHONE_RATE_HZ = 8_000
_SPEECH_LEVEL = 10.0 ** (-26.0 / 20.0)  # -26 dBov, at which ITU-T P.830 presents speech to a codec
# libsndfile asks libopus for 6 kb/s at compression 1 and 250 kb/s more at 0.
_OPUS_SPAN_BPS, _OPUS_LEAST_BPS = 250_000.0, 6_000.0
# Speech takes 8 % less than libopus is asked for, on average over 24 clips; one encoding costs 4 % of real time.
_OPUS_FIRST_ASK = 1.08
_OPUS_TRIES = 3
_OPUS_CLOSE_ENOUGH = 0.1


def telephone(samples: Samples, level: float | None = None) -> Samples:
    """Return speech as heard through a telephone: 8 kHz, 300 to 3,400 Hz, 8-bit mu-law (ITU-T G.711), same length.

    Args:
        samples: (N,) at 16 kHz.
        level: root mean square of the speech in them, which goes into the coder at -26 dBov; that of all
            samples when None.
    """
    narrow = soxr.resample(np.asarray(samples, np.float64), SAMPLE_RATE_HZ, _TELEPHONE_RATE_HZ, quality="HQ")
    band = butter(4, TELEPHONE_BAND_HZ, "band", fs=_TELEPHONE_RATE_HZ, output="sos")
    narrow = sosfiltfilt(band, narrow, padlen=min(200, narrow.size - 1))
    loudness = level if level is not None else float(np.sqrt(np.mean(np.square(samples))))
    gain = _SPEECH_LEVEL / max(loudness, 1e-6)
    coded = mu_law(narrow * gain) / gain
    wide = soxr.resample(coded, _TELEPHONE_RATE_HZ, SAMPLE_RATE_HZ, quality="HQ")
    return _fitted(wide, len(samples))


def opus(samples: Samples, kbps: float) -> tuple[Samples, float]:
    """Return speech after Opus at a bit rate, same length, and the rate that was reached.

    The codec's rate varies with the speech; it is asked again until the audio packets of these very samples are
    within 10 % of the rate wanted, or as near as three tries get. What the Ogg pages add does not count.

    Args:
        samples: (N,) at 16 kHz, in about [-1, 1].
        kbps: kilobits of audio packets per second, within ``OPUS_KBPS``.

    Raises:
        ConfigError: ``bit_rate_out_of_range``.
    """
    if not OPUS_KBPS[0] <= kbps <= OPUS_KBPS[1]:
        raise ConfigError(
            "bit_rate_out_of_range",
            f"Opus at {kbps:g} kb/s was asked for; expected {OPUS_KBPS[0]:g} to {OPUS_KBPS[1]:g} kb/s; choose another.",
        )
    asked_bps, best, best_bps = _OPUS_FIRST_ASK * kbps * 1000.0, b"", 0.0
    for _ in range(_OPUS_TRIES):
        encoded = _encode(samples, asked_bps)
        got_bps = 8.0 * ogg_payload_bytes(encoded) * SAMPLE_RATE_HZ / len(samples)
        if not best or abs(got_bps - kbps * 1000.0) < abs(best_bps - kbps * 1000.0):
            best, best_bps = encoded, got_bps
        if abs(got_bps / 1000.0 - kbps) <= _OPUS_CLOSE_ENOUGH * kbps:
            break
        asked_bps *= kbps * 1000.0 / got_bps
    decoded, _ = soundfile.read(io.BytesIO(best), dtype="float32")
    return _fitted(decoded, len(samples)), best_bps / 1000.0


def ogg_payload_bytes(encoded: bytes) -> int:
    """Return the bytes of the audio packets in an Ogg stream, without pages and the two header packets."""
    return sum(size for number, size in enumerate(_ogg_pages(encoded)) if number >= 2)


def _ogg_pages(encoded: bytes) -> Iterator[int]:
    """Yield the payload bytes of each page (RFC 3533, section 6)."""
    at = 0
    while encoded[at : at + 4] == b"OggS":
        segments = encoded[at + 26]
        size = sum(encoded[at + 27 : at + 27 + segments])
        yield size
        at += 27 + segments + size


def _encode(samples: Samples, bps: float) -> bytes:
    level = 1.0 - (bps - _OPUS_LEAST_BPS) / _OPUS_SPAN_BPS
    encoded = io.BytesIO()
    with soundfile.SoundFile(
        encoded,
        "w",
        SAMPLE_RATE_HZ,
        1,
        "OPUS",
        format="OGG",
        compression_level=float(np.clip(level, 0.0, 1.0)),
    ) as file:
        file.write(np.clip(samples, -1.0, 1.0))
    return encoded.getvalue()


def _fitted(samples: Samples, length: int) -> Samples:
    """Return the samples cut or filled with zeros to a length."""
    fitted = np.zeros(length, np.float32)
    kept = min(length, len(samples))
    fitted[:kept] = samples[:kept]
    return fitted
