"""Phase of speech as cepstra: vocoders that get magnitudes right often make phases up.

Shapes: N samples at 16 kHz, T frames, D coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from voxid.spoof.cepstra import deltas
from voxid.spoof.spectra import Framing

__all__ = ["PhaseOptions", "group_delay", "mgdcc"]

_FLOOR: Final = np.float32(1e-8)
_PLAIN_FRAMES: Final = Framing(preemphasis=0.0)


@dataclass(frozen=True)
class PhaseOptions:
    """Modified group delay.

    Attributes:
        framing: no pre-emphasis, which has a phase of its own.
        smoothing: cepstral coefficients kept of the spectrum that divides; fewer: smoother.
        gamma, alpha: exponents that hold the peaks down (the paper's gamma and alpha).
        n_coefficients: kept of the cosine transform, without the first.
        with_deltas: also how they change, and how that changes.
    """

    framing: Framing = _PLAIN_FRAMES
    smoothing: int = 30
    gamma: float = 0.9
    alpha: float = 0.4
    n_coefficients: int = 20
    with_deltas: bool = True


def group_delay(samples: NDArray[np.float32], options: PhaseOptions | None = None) -> NDArray[np.float32]:
    """Return (T, fft_samples / 2 + 1) float32, the modified group delay of every frame.

    Raises:
        InputError: ``audio_not_mono``, ``audio_too_short``.

    Source: Murthy and Gadde, "The modified group delay function and its application to phoneme recognition",
    ICASSP 2003, equations 3 and 4.
    """
    options = options or PhaseOptions()
    n_fft = options.framing.fft_samples
    x = options.framing.frames(samples)
    X = scipy.fft.rfft(x, n_fft, axis=1)
    Y = scipy.fft.rfft(x * np.arange(x.shape[1], dtype=np.float32), n_fft, axis=1)
    S = _smoothed(np.abs(X), options.smoothing)
    tau = (X.real * Y.real + X.imag * Y.imag) / np.maximum(S, _FLOOR) ** (2 * options.gamma)
    return np.asarray(np.sign(tau) * np.abs(tau) ** options.alpha, np.float32)


def mgdcc(samples: NDArray[np.float32], options: PhaseOptions | None = None) -> NDArray[np.float32]:
    """Return (T, D) float32: cosine transform of the modified group delay; D is ``n_coefficients``, with deltas thrice.

    Raises:
        InputError: ``audio_not_mono``, ``audio_too_short``.
    """
    options = options or PhaseOptions()
    whole = scipy.fft.dct(group_delay(samples, options), axis=1, norm="ortho")
    static = whole[:, 1 : 1 + options.n_coefficients].astype(np.float32)
    if not options.with_deltas:
        return np.asarray(static)
    slope = deltas(static)
    return np.concatenate([static, slope, deltas(slope)], axis=1)


def _smoothed(magnitude: NDArray[np.float32], n_kept: int) -> NDArray[np.float32]:
    """Return the magnitudes without their fine structure: the first coefficients of the real cepstrum."""
    logarithm = np.log(np.maximum(magnitude, _FLOOR))
    cepstrum = scipy.fft.irfft(logarithm, axis=1)
    cepstrum[:, n_kept : cepstrum.shape[1] - n_kept + 1] = 0.0
    return np.asarray(np.exp(scipy.fft.rfft(cepstrum, axis=1).real), np.float32)
