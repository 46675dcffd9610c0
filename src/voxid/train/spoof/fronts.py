"""Front ends as layers: what :mod:`voxid.spoof` measures in numpy, inside the network, so that one graph holds both.

Shapes: B batch, N samples at 16 kHz, T frames, F bins, D coefficients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import scipy.fft
import torch
from torch import Tensor, nn
from torch.nn import functional

from voxid.errors import ConfigError
from voxid.spoof.cepstra import CqccOptions, LfccOptions, constant_q_kernel, linear_bands
from voxid.spoof.phase import PhaseOptions
from voxid.spoof.spectra import Framing

__all__ = [
    "FRONTS",
    "BandsFront",
    "CqccFront",
    "Front",
    "GroupDelayFront",
    "LfccFront",
    "front_named",
    "levelled",
]

_POWER_FLOOR: Final = 1e-10
_MAGNITUDE_FLOOR: Final = 1e-8
_LEVEL: Final = 0.05
_SILENCE: Final = 1e-5


def levelled(samples: Tensor) -> Tensor:
    """Return (B, N) brought to one loudness, a root mean square of 0.05, so that level tells nothing."""
    rms = samples.square().mean(dim=1, keepdim=True).sqrt()
    return samples * (_LEVEL / rms.clamp_min(_SILENCE))


class _Spectrum(nn.Module):
    """Short-time spectra by a convolution with windowed sines, which every graph runtime knows."""

    kernel: Tensor

    def __init__(self, framing: Framing, ramp: bool = False) -> None:
        """Build it; with ``ramp`` the spectrum of every frame times its sample numbers."""
        super().__init__()
        n = np.arange(framing.length_samples)
        weights = np.hanning(framing.length_samples) * (n if ramp else 1.0)
        turns = np.exp(
            -2j * np.pi * np.arange(framing.fft_samples // 2 + 1)[:, None] * n / framing.fft_samples
        )
        kernel = np.concatenate([(turns * weights).real, (turns * weights).imag])
        self.register_buffer("kernel", torch.from_numpy(kernel.astype(np.float32))[:, None])
        self.preemphasis, self.hop = framing.preemphasis, framing.hop_samples

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Return real and imaginary parts, each (B, F, T), of (B, N)."""
        before = functional.pad(samples, (1, 0))[:, :-1]
        lifted = samples - self.preemphasis * before
        real, imaginary = functional.conv1d(lifted[:, None], self.kernel, stride=self.hop).chunk(2, dim=1)
        return real, imaginary


class _Cosine(nn.Module):
    """First coefficients of the orthonormal cosine transform, with how they change and how that changes."""

    matrix: Tensor
    slope: Tensor

    def __init__(self, n_inputs: int, first: int, n_coefficients: int, with_deltas: bool) -> None:
        super().__init__()
        matrix = scipy.fft.dct(np.eye(n_inputs), axis=1, norm="ortho")[:, first : first + n_coefficients]
        self.register_buffer("matrix", torch.from_numpy(matrix.astype(np.float32)))
        reach = 2
        slope = np.arange(-reach, reach + 1) / (2.0 * sum(step * step for step in range(1, reach + 1)))
        self.register_buffer("slope", torch.from_numpy(slope.astype(np.float32))[None, None])
        self.with_deltas = with_deltas

    def forward(self, values: Tensor) -> Tensor:
        """Return (B, T, D) of (B, T, F)."""
        static = values @ self.matrix
        if not self.with_deltas:
            return static
        first = self._changed(static)
        return torch.cat([static, first, self._changed(first)], dim=2)

    def _changed(self, values: Tensor) -> Tensor:
        """Return the slope of a line through two frames on both sides; ends are repeated."""
        rows = values.transpose(1, 2)
        padded = functional.pad(rows, (2, 2), mode="replicate")
        batch, coefficients, frames = rows.shape
        flat = padded.reshape(batch * coefficients, 1, -1)
        return functional.conv1d(flat, self.slope).reshape(batch, coefficients, frames).transpose(1, 2)


class Front(nn.Module):
    """A front end: (B, N) to (B, T, ``coefficients``)."""

    coefficients: int


class LfccFront(Front):
    """Linear-frequency cepstra: the layers' counterpart of :func:`voxid.spoof.cepstra.lfcc`."""

    bands: Tensor

    def __init__(self, options: LfccOptions | None = None) -> None:
        super().__init__()
        options = options or LfccOptions()
        self.spectrum = _Spectrum(options.framing)
        self.register_buffer(
            "bands", torch.from_numpy(linear_bands(options.n_bands, options.framing.fft_samples))
        )
        self.cosine = _Cosine(options.n_bands, 0, options.n_coefficients, options.with_deltas)
        self.coefficients = options.n_coefficients * (3 if options.with_deltas else 1)

    def forward(self, samples: Tensor) -> Tensor:
        """Return (B, T, D) of (B, N)."""
        cepstra: Tensor = self.cosine(self.energies(samples))
        return cepstra

    def energies(self, samples: Tensor) -> Tensor:
        """Return the logarithms of band energies, (B, T, bands)."""
        real, imaginary = self.spectrum(samples)
        power = (real.square() + imaginary.square()).transpose(1, 2)
        return (power @ self.bands).clamp_min(_POWER_FLOOR).log()


class BandsFront(LfccFront):
    """Logarithms of linear band energies, each band's mean over the piece taken away, which takes the channel away."""

    def __init__(self) -> None:
        super().__init__(LfccOptions(n_bands=80, with_deltas=False))
        self.coefficients = 80

    def forward(self, samples: Tensor) -> Tensor:
        """Return (B, T, bands) of (B, N)."""
        energies = self.energies(samples)
        return energies - energies.mean(dim=1, keepdim=True)


class CqccFront(Front):
    """Constant-Q cepstra: the layers' counterpart of :func:`voxid.spoof.cepstra.cqcc`."""

    kernel: Tensor
    even: Tensor

    def __init__(self, options: CqccOptions | None = None) -> None:
        super().__init__()
        options = options or CqccOptions()
        middles, kernel, length = constant_q_kernel(options)
        waves = np.fft.irfft(kernel, length, axis=0), np.fft.irfft(-1j * kernel, length, axis=0)
        # <x, wave>: the correlation of the signal with the real and the imaginary part of each window, which has no
        # negative frequencies: the inverse transform, taking them for mirrored, gives twice as much.
        parts = np.concatenate([wave.T[:, (-np.arange(length)) % length] for wave in waves])
        used = np.flatnonzero(np.abs(parts).max(axis=0) > 1e-9)
        first, last = int(used[0]), int(used[-1]) + 1
        self.register_buffer(
            "kernel", torch.from_numpy(parts[:, first:last].astype(np.float32))[:, None] * (length / 2)
        )
        self.pad = length // 2 - first, last - length // 2
        self.hop = options.hop_samples
        wanted = np.linspace(middles[0], middles[-1], options.n_linear)
        even = np.stack([np.interp(wanted, middles, row) for row in np.eye(len(middles))])
        self.register_buffer("even", torch.from_numpy(even.astype(np.float32)))
        self.cosine = _Cosine(options.n_linear, 0, options.n_coefficients, options.with_deltas)
        self.coefficients = options.n_coefficients * (3 if options.with_deltas else 1)

    def forward(self, samples: Tensor) -> Tensor:
        """Return (B, T, D) of (B, N)."""
        padded = functional.pad(samples, self.pad)
        real, imaginary = functional.conv1d(padded[:, None], self.kernel, stride=self.hop).chunk(2, dim=1)
        power = (real.square() + imaginary.square()).transpose(1, 2)
        cepstra: Tensor = self.cosine(power.clamp_min(_POWER_FLOOR).log() @ self.even)
        return cepstra


class GroupDelayFront(Front):
    """Modified group delay cepstra: the layers' counterpart of :func:`voxid.spoof.phase.mgdcc`."""

    smooth: Tensor

    def __init__(self, options: PhaseOptions | None = None) -> None:
        super().__init__()
        options = options or PhaseOptions()
        self.plain = _Spectrum(options.framing)
        self.ramped = _Spectrum(options.framing, ramp=True)
        n_bins = options.framing.fft_samples // 2 + 1
        cepstrum = np.fft.irfft(np.eye(n_bins), axis=1)
        cepstrum[:, options.smoothing : cepstrum.shape[1] - options.smoothing + 1] = 0.0
        smooth = np.fft.rfft(cepstrum, axis=1).real
        self.register_buffer("smooth", torch.from_numpy(smooth.astype(np.float32)))
        self.gamma, self.alpha = options.gamma, options.alpha
        self.cosine = _Cosine(n_bins, 1, options.n_coefficients, options.with_deltas)
        self.coefficients = options.n_coefficients * (3 if options.with_deltas else 1)

    def forward(self, samples: Tensor) -> Tensor:
        """Return (B, T, D) of (B, N)."""
        (a, b), (c, d) = (
            (part.transpose(1, 2) for part in spectrum(samples)) for spectrum in (self.plain, self.ramped)
        )
        magnitude = (a.square() + b.square()).sqrt().clamp_min(_MAGNITUDE_FLOOR)
        smoothed = (magnitude.log() @ self.smooth).exp().clamp_min(_MAGNITUDE_FLOOR)
        tau = (a * c + b * d) / smoothed ** (2 * self.gamma)
        delay = tau.sign() * tau.abs().clamp_min(_POWER_FLOOR) ** self.alpha
        cepstra: Tensor = self.cosine(delay)
        return cepstra


FRONTS: Final[dict[str, Callable[[], Front]]] = {
    "lfcc": LfccFront,
    "bands": BandsFront,
    "cqcc": CqccFront,
    "group_delay": GroupDelayFront,
}


def front_named(name: str) -> Front:
    """Return a front end, fresh.

    Raises:
        ConfigError: ``recipe_invalid``; the sentence lists those there are.
    """
    if name not in FRONTS:
        raise ConfigError(
            "recipe_invalid",
            f"the front end is {name!r}; known: raw, {', '.join(FRONTS)}. Change the recipe.",
        )
    return FRONTS[name]()
