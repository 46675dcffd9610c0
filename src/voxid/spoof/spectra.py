"""Short-time spectra of a waveform: magnitude and phase of every frame, which all front ends here begin with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from voxid.errors import InputError

__all__ = ["RATE_HZ", "Framing", "spectra"]

RATE_HZ: Final = 16_000


@dataclass(frozen=True)
class Framing:
    """How a waveform is cut into frames.

    Attributes:
        length_samples: of a frame; longer: finer in frequency, coarser in time.
        hop_samples: between the beginnings of frames.
        fft_samples: transform length, at least that of a frame.
        preemphasis: share of the last sample that is taken away, which lifts what is high.
    """

    length_samples: int = 320
    hop_samples: int = 160
    fft_samples: int = 512
    preemphasis: float = 0.97

    def __post_init__(self) -> None:
        if not 0 < self.hop_samples <= self.length_samples <= self.fft_samples:
            raise InputError(
                "option_invalid",
                f"frames of {self.length_samples} samples every {self.hop_samples}, transformed at "
                f"{self.fft_samples}; expected 0 < hop <= length <= transform; change them.",
            )

    def frames(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (T, length_samples), windowed (Hann); T is 1 at least, what is missing at the end is silence.

        Args:
            samples: (N,) float32, mono, at 16 kHz.

        Raises:
            InputError: ``audio_not_mono``; ``audio_too_short`` where there is nothing.
        """
        if samples.ndim != 1:
            raise InputError(
                "audio_not_mono",
                f"got samples of shape {samples.shape}; expected one channel (N,): load the recording with voxid.load.",
            )
        if len(samples) == 0:
            raise InputError("audio_too_short", "the audio has no samples; give a longer recording.")
        lifted = np.append(samples[:1], samples[1:] - np.float32(self.preemphasis) * samples[:-1])
        missing = max(0, self.length_samples - len(lifted))
        whole = np.pad(lifted, (0, missing)).astype(np.float32)
        cut = np.lib.stride_tricks.sliding_window_view(whole, self.length_samples)[:: self.hop_samples]
        return np.asarray(cut * np.hanning(self.length_samples).astype(np.float32))


def spectra(samples: NDArray[np.float32], framing: Framing) -> NDArray[np.complex64]:
    """Return (T, fft_samples / 2 + 1), the spectrum of every frame.

    Raises:
        InputError: ``audio_not_mono``, ``audio_too_short``.
    """
    frames = framing.frames(samples)
    return np.asarray(scipy.fft.rfft(frames, framing.fft_samples, axis=1), np.complex64)
