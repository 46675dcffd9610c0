"""How a call's audio is: level, noise and clipping of each channel, told every few seconds.

Shapes: N frames of samples, C channels.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["QualityMeter"]

_TOLD_S: Final = 5.0
_FRAME_S: Final = 0.02
_FULL: Final = 0.99
_SILENT_POWER: Final = 1e-10  # -100 dB


class QualityMeter:
    """Level, noise and clipping since it was last told.

    Args:
        rate_hz, channels: of the call.
    """

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._rate_hz = rate_hz
        self._frame = round(_FRAME_S * rate_hz)
        self._rest = np.zeros((0, channels), np.float32)
        self._powers: list[NDArray[np.float32]] = []
        self._clipped = np.zeros(channels, np.int64)
        self._samples = 0
        self._heard = 0

    def add(self, samples: NDArray[Any]) -> list[dict[str, Any]]:
        """Return what is to be told after these samples (N, C), int16 or float32: nothing, or one message."""
        scaled = samples.astype(np.float32) / (32_768.0 if samples.dtype == np.int16 else 1.0)
        if not np.isfinite(scaled).all():
            return []  # refused where it is heard
        whole = np.concatenate([self._rest, scaled])
        count = len(whole) // self._frame
        frames = whole[: count * self._frame].reshape(count, self._frame, whole.shape[1])
        self._rest = whole[count * self._frame :]
        self._powers.append(np.square(frames).mean(axis=1))
        self._clipped += np.count_nonzero(np.abs(scaled) >= _FULL, axis=0)
        self._samples += len(scaled)
        self._heard += len(scaled)
        if self._samples < _TOLD_S * self._rate_hz:
            return []
        return [self._told()]

    def _told(self) -> dict[str, Any]:
        power_db = 10 * np.log10(np.concatenate(self._powers) + _SILENT_POWER)
        level, noise = np.percentile(power_db, [95, 10], axis=0)
        shares = self._clipped / self._samples
        self._powers.clear()
        self._clipped[:] = 0
        self._samples = 0
        return {
            "type": "quality",
            "at_s": round(self._heard / self._rate_hz, 2),
            "channels": [
                {
                    "channel": number,
                    "level_db": round(float(level[number]), 1),
                    "noise_db": round(float(noise[number]), 1),
                    "clipping_share": round(float(share), 4),
                }
                for number, share in enumerate(shares)
            ],
        }
