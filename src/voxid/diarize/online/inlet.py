"""The door of a live call: pieces of audio of any size and rate become 16 kHz samples, or a coded error."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from voxid.audio import SAMPLE_RATE_HZ, AudioLimits
from voxid.errors import InputError

_MAX_PEAK = 64.0  # as the door for recordings: no float recording gets there, int16 values in floats do


class Inlet:
    """Checks and resamples.

    Args:
        rate_hz: of what comes.

    Raises:
        InputError: ``audio_rate_out_of_range``.
    """

    def __init__(self, rate_hz: int) -> None:
        limits = AudioLimits()
        if not limits.min_rate_hz <= rate_hz <= limits.max_rate_hz:
            raise InputError(
                "audio_rate_out_of_range",
                f"the call has a sampling rate of {rate_hz:,} Hz; expected {limits.min_rate_hz:,} to "
                f"{limits.max_rate_hz:,} Hz; resample it or correct the rate.",
            )
        self._resample: soxr.ResampleStream | None = None
        if rate_hz != SAMPLE_RATE_HZ:
            self._resample = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")

    def take(self, samples: NDArray[np.float32] | NDArray[np.int16]) -> NDArray[np.float32]:
        """Return the next samples at 16 kHz.

        Raises:
            InputError: ``audio_not_mono``, ``audio_unreadable``, ``audio_not_finite``, ``audio_out_of_scale``.
        """
        if samples.ndim != 1:
            raise InputError(
                "audio_not_mono",
                f"a live call got samples of shape {samples.shape}; expected one channel (N,); mix or pick one.",
            )
        if samples.dtype == np.int16:
            checked = samples.astype(np.float32) / np.float32(32_768.0)
        elif samples.dtype.kind == "f":
            checked = np.asarray(samples, np.float32)
        else:
            raise InputError(
                "audio_unreadable",
                f"samples of type {samples.dtype} have no known full scale; give float32 or int16.",
            )
        peak = float(np.abs(checked).max(initial=0.0))
        if not np.isfinite(peak):
            raise InputError(
                "audio_not_finite",
                "the call brought NaN or infinite samples; expected finite ones; check the source. They were left out.",
            )
        if peak > _MAX_PEAK:
            raise InputError(
                "audio_out_of_scale",
                f"the call brought samples up to {peak:,.0f}; expected floats in about [-1, 1]; divide by full scale "
                "(32,768 for 16 bit).",
            )
        return checked if self._resample is None else self._resample.resample_chunk(checked)

    def finish(self) -> NDArray[np.float32]:
        """Return what the resampler still holds."""
        if self._resample is None:
            return np.zeros(0, np.float32)
        return np.asarray(self._resample.resample_chunk(np.zeros(0, np.float32), last=True), np.float32)
