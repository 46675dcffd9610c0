"""Vocoders that throw away the phase and guess it again: spoofed speech made out of genuine speech.

Each function takes 16 kHz samples (N,) and a generator of random numbers and returns (N,) float32. Settings are
drawn anew for every utterance, so that a detector does not learn one setting of one program.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft

from voxid.simulate.distortions import Samples
from voxid.simulate.shorttime import (
    Magnitudes,
    Spectra,
    hann,
    mel_filters,
    samples_of,
    spectra,
    with_phase,
)

__all__ = [
    "fast_griffin_lim",
    "griffin_lim",
    "mel_griffin_lim",
    "minimum_phase",
    "random_phase",
    "real_time_inversion",
    "zero_phase",
]

_FLOOR = 1e-5  # under logarithms


def griffin_lim(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return speech of the same magnitudes, phase found in 8 to 100 rounds.

    Source: Griffin and Lim, "Signal estimation from modified short-time Fourier transform", IEEE TASSP 32(2), 1984.
    """
    window, hop = _grid(rng)
    return _rounds(
        np.abs(spectra(samples, window, hop)), hop, samples.size, _log_uniform(rng, 8, 100), 0.0, rng
    )


def fast_griffin_lim(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return speech of the same magnitudes, phase found in 8 to 50 rounds with momentum.

    Source: Perraudin, Balazs and Søndergaard, "A fast Griffin-Lim algorithm", WASPAA 2013.
    """
    window, hop = _grid(rng)
    magnitude = np.abs(spectra(samples, window, hop))
    return _rounds(magnitude, hop, samples.size, _log_uniform(rng, 8, 50), float(rng.uniform(0.5, 0.99)), rng)


def mel_griffin_lim(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return speech rebuilt from 40 to 128 log Mel bands: magnitudes by the pseudo-inverse, phase by Griffin-Lim.

    Source: Wang et al., "Tacotron: towards end-to-end speech synthesis", Interspeech 2017, section 3.4 (there with
    magnitudes from a network; sharpened by a power as there).
    """
    window = int(rng.choice([512, 800, 1_024, 2_048]))
    hop = min(window // 4, int(rng.choice([160, 200, 256, 512])))
    bands = int(rng.integers(40, min(129, window // 8)))
    mel = np.maximum(np.abs(spectra(samples, window, hop)) @ mel_filters(bands, window).T, _FLOOR)
    back = np.maximum(mel @ _mel_inverse(bands, window).T, 0.0) ** rng.uniform(1.0, 1.25)
    magnitude = np.asarray(back, dtype=np.float32)
    return _rounds(
        magnitude, hop, samples.size, _log_uniform(rng, 12, 60), float(rng.choice([0.0, 0.9])), rng
    )


def real_time_inversion(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return speech of the same magnitudes whose phase comes from the frames before, one pass.

    Source: Beauregard, Zhu and Wyse, "An efficient algorithm for real-time spectrogram inversion", DAFx 2005.
    """
    size = int(rng.choice([384, 512, 800, 1_024]))
    hop, tries = size // int(rng.choice([2, 4])), int(rng.integers(1, 5))
    magnitude = np.abs(spectra(samples, size, hop))
    window = hann(size)
    sound = np.zeros(size + hop * magnitude.shape[0], dtype=np.float32)
    weight = np.full_like(sound, 1e-3)
    for number, wanted in enumerate(magnitude):
        place = slice(number * hop, number * hop + size)
        guess = sound[place] / weight[place]
        piece = guess
        for _ in range(tries):
            piece = irfft(with_phase(wanted, rfft(guess * window)), size) * window
            guess = (sound[place] + piece) / (weight[place] + window**2)
        sound[place] += piece
        weight[place] += window**2
    return np.asarray((sound / weight)[size // 2 : size // 2 + samples.size], dtype=np.float32)


def zero_phase(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return speech in which every frame is symmetric about its middle."""
    window, hop = _short_grid(rng)
    magnitude = np.abs(spectra(samples, window, hop))
    sign = np.where(np.arange(window // 2 + 1) % 2, -1.0, 1.0)  # half a window later
    return samples_of(np.asarray(magnitude * sign, dtype=np.complex64), hop, samples.size)


def random_phase(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return speech whose phases are moved at random, a little up to wholly."""
    window, hop = _short_grid(rng)
    spectrum = spectra(samples, window, hop)
    spread = rng.uniform(0.8, np.pi)
    turn = np.exp(1j * rng.uniform(-spread, spread, spectrum.shape).astype(np.float32))
    return samples_of(np.asarray(spectrum * turn, dtype=np.complex64), hop, samples.size)


def minimum_phase(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return speech in which every frame has the least phase its magnitudes allow.

    Source: Oppenheim and Schafer, "Discrete-time signal processing", the complex cepstrum folded to one side.
    """
    window, hop = _short_grid(rng)
    magnitude = np.abs(spectra(samples, window, hop))
    cepstrum = irfft(np.log(magnitude + _FLOOR), window, axis=1)
    cepstrum[:, 1 : window // 2] *= 2.0
    cepstrum[:, window // 2 + 1 :] = 0.0
    start = rng.uniform(0.2, 0.4)  # of the window: where the frame's sound begins
    delay = np.exp(-2j * np.pi * np.arange(window // 2 + 1) * start)
    return samples_of(
        np.asarray(np.exp(rfft(cepstrum, axis=1)) * delay, dtype=np.complex64), hop, samples.size
    )


def _rounds(
    magnitude: Magnitudes, hop: int, n_samples: int, rounds: int, momentum: float, rng: np.random.Generator
) -> Samples:
    """Return what the given number of rounds of (fast) Griffin-Lim make of the magnitudes."""
    window = 2 * (magnitude.shape[1] - 1)
    start = np.exp(2j * np.pi * rng.random(magnitude.shape, dtype=np.float32))
    current: Spectra = np.asarray(magnitude * start, dtype=np.complex64)
    before = np.zeros_like(current)
    for _ in range(rounds):
        consistent = spectra(samples_of(current, hop, n_samples), window, hop)
        current = with_phase(
            magnitude, consistent + momentum * (consistent - before) if momentum else consistent
        )
        before = consistent
    return samples_of(current, hop, n_samples)


@lru_cache(maxsize=64)
def _mel_inverse(bands: int, window: int) -> NDArray[np.float32]:
    return np.asarray(np.linalg.pinv(mel_filters(bands, window).astype(np.float64)), dtype=np.float32)


def _grid(rng: np.random.Generator) -> tuple[int, int]:
    """Return window and hop: a quarter of the window, at times a third to a half."""
    window = int(rng.choice([400, 512, 640, 800, 1_024, 1_280, 2_048]))
    return window, window // int(rng.choice([2, 3, 4, 4, 4, 5]))


def _short_grid(rng: np.random.Generator) -> tuple[int, int]:
    hop = int(rng.integers(64, 201))
    return 4 * hop, hop


def _log_uniform(rng: np.random.Generator, least: int, most: int) -> int:
    return round(float(np.exp(rng.uniform(np.log(least), np.log(most)))))
