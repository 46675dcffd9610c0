"""Distortions of log-Mel crops, made anew for every batch: noise, rooms, microphones, narrow bands, blanks.

They cost far less than decoding, distorting and transforming audio, so that no crop is heard twice alike; the packed
speech holds versions distorted in the time domain besides (:mod:`voxid.train.augment`).

Everything works on power: noise adds (cross terms average out within a Mel band), late reverberation is the past
decaying, a microphone is a gain by band. Crops are (B, T, 80) natural log power.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxid.features import N_MELS

Crops = NDArray[np.float32]
_LN_PER_DB = np.log(10.0) / 10.0


def distort(crops: Crops, share: float, rng: np.random.Generator) -> None:
    """Distort, in place, about ``share`` of the crops; the others serve as babble. Shape (B, T, 80)."""
    chosen = np.flatnonzero(rng.random(crops.shape[0]) < share)
    before = crops.copy()
    for b in chosen:
        heard = before[b]
        if rng.random() < 0.4:
            heard = reverberate(heard, rng)
        if rng.random() < 0.5:
            heard = heard + tilt(rng)
        if rng.random() < 0.75:
            heard = add_noise(heard, before, rng)
        if rng.random() < 0.3:
            heard = narrow(heard, rng)
        crops[b] = heard


def reverberate(crop: Crops, rng: np.random.Generator) -> Crops:
    """Return (T, 80) with the late reverberation of a random room: power that decays by 60 dB in 0.2 to 0.9 s.

    Source: Lebart et al., "A new method based on spectral subtraction for speech dereverberation", 2001, equation 7.
    """
    decay_s = rng.uniform(0.2, 0.9) * rng.uniform(0.6, 1.0)
    length = min(crop.shape[0], int(100 * decay_s * 0.6))
    tail = np.exp(-np.log(1e6) * np.arange(1, length + 1) / (100.0 * decay_s))
    response = np.concatenate([[1.0], rng.uniform(0.1, 1.0) * tail])
    power = np.exp(crop)
    n = crop.shape[0] + response.size
    spectrum = np.fft.rfft(power, n, axis=0) * np.fft.rfft(response, n)[:, None]
    wet = np.fft.irfft(spectrum, n, axis=0)[: crop.shape[0]]
    return np.log(np.maximum(wet, 1e-6 * power.max())).astype(np.float32)


def tilt(rng: np.random.Generator) -> Crops:
    """Return (80,), a random smooth microphone response in natural log power, some +-8 dB.

    Alone it would leave with the mean; with noise added after it, it decides which bands drown.
    """
    knots = rng.normal(0.0, 4.0, 6)
    return np.asarray(
        np.interp(np.linspace(0, 5, N_MELS), np.arange(6), knots) * _LN_PER_DB, dtype=np.float32
    )


def add_noise(crop: Crops, others: Crops, rng: np.random.Generator) -> Crops:
    """Return (T, 80) with stationary noise of random colour, or the babble of other crops, at 0 to 25 dB."""
    power = np.exp(crop)
    if rng.random() < 0.5:
        noise = np.exp(2.0 * tilt(rng) + rng.normal(0.0, 0.35, crop.shape).astype(np.float32))
        noise *= np.exp(
            np.interp(np.linspace(0, 1, crop.shape[0]), np.linspace(0, 1, 5), rng.normal(0, 0.7, 5))
        )[:, None]
        snr_db = rng.uniform(0.0, 25.0)
    else:
        voices = others[rng.integers(others.shape[0], size=int(rng.integers(1, 6)))]
        voices = np.exp(voices - voices.max(axis=(1, 2), keepdims=True))
        noise = (voices / voices.mean(axis=(1, 2), keepdims=True)).mean(axis=0)
        snr_db = rng.uniform(5.0, 25.0)
    gain = power.mean() / noise.mean() * 10.0 ** (-snr_db / 10.0)
    return np.log(power + gain * noise + 1e-9).astype(np.float32)


def narrow(crop: Crops, rng: np.random.Generator) -> Crops:
    """Return (T, 80) through a channel that carries neither the lowest nor the highest bands: a telephone, a codec.

    Outside there is a noise floor 30 to 60 dB below the mean power.
    """
    low, high = int(rng.integers(0, 12)), int(rng.integers(52, N_MELS + 1))
    floor = np.log(np.exp(crop).mean()) - rng.uniform(30.0, 60.0) * _LN_PER_DB
    out = crop.copy()
    for bands in (np.s_[:, :low], np.s_[:, high:]):
        out[bands] = floor + rng.normal(0.0, 0.4, out[bands].shape)
    return out


def blank(crops: Crops, rng: np.random.Generator) -> None:
    """Blank, in place, of crops with zero mean, one band of up to 10 bins and up to 20 frames of each.

    Source: Park et al., "SpecAugment", 2019, without time warping.
    """
    for crop in crops:
        width, length = int(rng.integers(0, 11)), int(rng.integers(0, 21))
        low = int(rng.integers(0, N_MELS - width))
        first = int(rng.integers(0, max(1, crop.shape[0] - length)))
        crop[:, low : low + width] = 0.0
        crop[first : first + length, :] = 0.0
