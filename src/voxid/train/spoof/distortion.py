"""What may happen to any recording, genuine or not, so that the detector cannot go by it.

On the way into a pack, one recording at a time (:func:`carried`): lossy coding, rooms, noise, resampling. While
training, a whole batch at once (:class:`Distortion`): channel responses, band limits, nonlinearity, noise.

Shapes: B batch, N samples at 16 kHz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr
import torch
from torch import Tensor

from voxid.simulate.distortions import Samples, add_at_snr, coloured_noise, reverberate
from voxid.train.augment import SAMPLE_RATE_HZ, codec

__all__ = ["Distortion", "carried"]

_NYQUIST_HZ = SAMPLE_RATE_HZ / 2


def carried(samples: Samples, responses: Sequence[Samples], rng: np.random.Generator) -> Samples:
    """Return the samples as they would come by another way: (N,) float32.

    Args:
        samples: (N,).
        responses: of rooms to choose from.
        rng: all chance.
    """
    heard = samples
    if rng.random() < 0.25:
        heard = reverberate(heard, responses[int(rng.integers(len(responses)))])
    if rng.random() < 0.4:
        heard = add_at_snr(heard, coloured_noise(heard.size, rng), float(rng.uniform(10.0, 35.0)))
    if rng.random() < 0.35:
        rate_hz = float(rng.choice([11_025.0, 12_000.0, 13_000.0, 14_000.0, 22_050.0, 24_000.0, 44_100.0]))
        quality = str(rng.choice(["LQ", "MQ", "HQ"]))
        there = soxr.resample(heard, SAMPLE_RATE_HZ, rate_hz, quality=quality)
        heard = np.resize(soxr.resample(there, rate_hz, SAMPLE_RATE_HZ, quality=quality), heard.shape)
    if rng.random() < 0.6:
        heard = codec(np.asarray(heard, np.float32), rng)
    return np.asarray(heard, np.float32)


@dataclass(frozen=True)
class Distortion:
    """Random distortion of a batch, the same kinds for both labels.

    Attributes:
        channel: share of pieces heard through a random smooth response.
        band: share that is cut off above 5 to 8 kHz.
        notch: share that lacks a band of 0.2 to 1.2 kHz somewhere.
        bent: share that goes through a polynomial, as cheap amplifiers do.
        noise: share with stationary noise, 15 to 50 dB below.
        bursts: share in which single samples are hit by what grows with the signal.

    Source: Tak, Kamble, Patino, Todisco and Evans, "RawBoost: a raw data boosting and augmentation method applied to
    automatic speaker verification anti-spoofing", ICASSP 2022, for the last three.
    """

    channel: float = 0.6
    band: float = 0.4
    notch: float = 0.3
    bent: float = 0.25
    noise: float = 0.5
    bursts: float = 0.15

    def __call__(self, samples: Tensor, rng: np.random.Generator) -> Tensor:
        """Return (B, N) of (B, N), each piece distorted on its own."""
        batch, n_samples = samples.shape
        level = samples.square().mean(dim=1, keepdim=True).sqrt().clamp_min(1e-5)
        heard = samples / level
        heard = self._bent(heard, rng)
        spectrum = torch.fft.rfft(heard, dim=1)
        heard = torch.fft.irfft(spectrum * self._responses(batch, spectrum.shape[1], rng), n_samples, dim=1)
        chosen = torch.from_numpy(rng.random((batch, 1)) < self.noise)
        gain = torch.from_numpy(10.0 ** (-rng.uniform(15.0, 50.0, (batch, 1)) / 20.0)).float()
        heard = heard + chosen * gain * self._noise(batch, n_samples, rng)
        hit = torch.from_numpy(
            (rng.random((batch, n_samples), np.float32) < 0.02) & (rng.random((batch, 1)) < self.bursts)
        )
        wild = torch.from_numpy(rng.uniform(-0.3, 0.3, (batch, n_samples)).astype(np.float32))
        heard = heard * (1.0 + hit * wild)
        turned = torch.from_numpy(np.where(rng.random((batch, 1)) < 0.5, -1.0, 1.0)).float()
        return heard * turned * level

    def _bent(self, heard: Tensor, rng: np.random.Generator) -> Tensor:
        batch = heard.shape[0]
        chosen = rng.random((batch, 1)) < self.bent
        square, cube = (
            torch.from_numpy(chosen * rng.normal(0.0, size, (batch, 1))).float() for size in (0.02, 0.01)
        )
        return heard + square * heard.square() + cube * heard.clamp(-6.0, 6.0) ** 3

    def _responses(self, batch: int, n_bins: int, rng: np.random.Generator) -> Tensor:
        """Return (B, n_bins) gains: a line through nine random levels, an end of the band, a gap in it."""
        hz = np.linspace(0.0, _NYQUIST_HZ, n_bins)
        knots_hz = np.linspace(0.0, _NYQUIST_HZ, 9)
        gains = np.ones((batch, n_bins), np.float32)
        for row in gains:
            if rng.random() < self.channel:
                row *= 10.0 ** (np.interp(hz, knots_hz, rng.normal(0.0, 4.0, 9)) / 20.0)
            if rng.random() < self.band:
                row *= 1.0 / (1.0 + (hz / rng.uniform(5_000.0, 8_000.0)) ** int(rng.integers(8, 60)))
            if rng.random() < self.notch:
                first_hz = rng.uniform(0.0, _NYQUIST_HZ)
                row[(hz > first_hz) & (hz < first_hz + rng.uniform(200.0, 1_200.0))] *= 0.03
        return torch.from_numpy(gains)

    @staticmethod
    def _noise(batch: int, n_samples: int, rng: np.random.Generator) -> Tensor:
        """Return (B, N) of unit power, white to brown."""
        white = torch.fft.rfft(torch.from_numpy(rng.standard_normal((batch, n_samples), np.float32)), dim=1)
        places = np.maximum(np.arange(white.shape[1]), 20.0)
        slopes = torch.from_numpy(places[None] ** -rng.uniform(0.0, 1.0, (batch, 1))).float()
        noise = torch.fft.irfft(white * slopes, n_samples, dim=1)
        return noise / noise.square().mean(dim=1, keepdim=True).sqrt().clamp_min(1e-9)
