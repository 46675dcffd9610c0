"""How far up speech reaches: telephones end at 4 kHz, and fakes give themselves away above that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from voxid.segments import Segment
from voxid.speech import speech_mask

__all__ = ["bandwidth_hz"]

_RATE_HZ: Final = 16_000
_FRAME_SAMPLES, _HOP_SAMPLES = 400, 160
_MOST_FRAMES: Final = 300  # 3 s of speech from everywhere tell the band
_BAND_BINS, _STEP_BINS = 12, 6  # of 40 Hz: bands of 480 Hz that overlap by half
_LOUD_PCT, _QUIET_PCT = 95, 10
# Speech comes and goes: in a band it reaches, its loud frames stand above its quiet ones by this much. Steady noise of
# this bandwidth varies by 4 dB, speech at 20 dB over white noise by 20.
_LEAST_SWING: Final = 10 ** (6 / 10)
_LEAST_SHARE: Final = 10 ** (
    -60 / 10
)  # of the loudest band: below lies rounding, and what a filter lets through
_FLOOR: Final = np.float32(1e-14)


def bandwidth_hz(samples: NDArray[np.float32], regions: Sequence[Segment]) -> float:
    """Return the highest frequency at which there is speech, 480 to 7,920 Hz; 0 without speech.

    Measured on 198 recordings of 20 corpora: 6.2 kHz at least as they are; 4.3 kHz at most after 8 kHz and mu-law, also
    with noise added behind the telephone. White noise 10 dB below the speech hides what is above 5 kHz in a quarter.

    Args:
        samples: (N,) float32 at 16 kHz.
        regions: of speech.
    """
    n_frames = max(0, (len(samples) - _FRAME_SAMPLES) // _HOP_SAMPLES + 1)
    spoken = np.flatnonzero(speech_mask(regions, n_frames))
    if not spoken.size:
        return 0.0
    chosen = spoken[np.linspace(0, spoken.size - 1, min(spoken.size, _MOST_FRAMES)).astype(np.int64)]
    window = np.hanning(_FRAME_SAMPLES).astype(np.float32)
    frames = samples[chosen[:, None] * _HOP_SAMPLES + np.arange(_FRAME_SAMPLES)] * window
    power = np.square(np.abs(scipy.fft.rfft(frames, axis=1)))
    starts = np.arange(0, power.shape[1] - _BAND_BINS, _STEP_BINS)
    total = np.cumsum(np.pad(power, ((0, 0), (1, 0))), axis=1, dtype=np.float64)
    bands = (total[:, starts + _BAND_BINS] - total[:, starts]) / _BAND_BINS + _FLOOR
    loud, quiet = np.percentile(bands, (_LOUD_PCT, _QUIET_PCT), axis=0)
    reached = np.flatnonzero((loud >= _LEAST_SHARE * loud.max()) & (loud >= _LEAST_SWING * quiet))
    if not reached.size:
        return 0.0
    return float((starts[reached[-1]] + _BAND_BINS) * _RATE_HZ / _FRAME_SAMPLES)
