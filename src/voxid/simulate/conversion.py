"""Voice conversion without a model: pitch, tempo and formants of a recording changed.

Each function takes 16 kHz samples (N,) and a generator of random numbers and returns float32; settings are drawn
anew for every utterance. None of them takes the voice of another person.
"""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.fft import irfft, rfft
from scipy.ndimage import median_filter

from voxid.audio import SAMPLE_RATE_HZ
from voxid.simulate.distortions import Samples
from voxid.simulate.shorttime import hann, pitch_hz, samples_of, spectra

__all__ = ["formants", "monotone", "pitch", "pitch_and_formants", "pitch_synchronous", "stretched", "tempo"]

_HOP = 80
_UNVOICED_PERIOD = 160  # samples between grains where there is no voice
_FLOOR = 1e-5


def pitch(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return speech a quarter octave to two thirds of an octave higher or lower, by TD-PSOLA."""
    return pitch_synchronous(samples, _moved(rng), 1.0)


def monotone(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return speech whose pitch stays near its median, or near another, by TD-PSOLA."""
    return pitch_synchronous(
        samples, float(rng.uniform(0.8, 1.25)), 1.0, flatness=float(rng.uniform(0.7, 1.0))
    )


def tempo(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return speech 0.7 to 0.9 or 1.12 to 1.4 times as long, (N times that,), by TD-PSOLA."""
    longer = rng.uniform(1.12, 1.4) if rng.random() < 0.5 else rng.uniform(0.7, 0.9)
    return pitch_synchronous(samples, 1.0, float(longer))


def pitch_and_formants(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return speech as of a longer or shorter throat: resampled, then pitch and tempo put right by TD-PSOLA.

    Source: the way of Praat's "Change gender".
    """
    ratio = float(rng.uniform(1.08, 1.22) if rng.random() < 0.5 else rng.uniform(0.82, 0.93))
    shorter = soxr.resample(samples, SAMPLE_RATE_HZ, SAMPLE_RATE_HZ / ratio)
    moved = rng.uniform(1.1, 1.7) if ratio > 1.0 else rng.uniform(0.6, 0.9)
    made = pitch_synchronous(shorter, float(moved) / ratio, samples.size / shorter.size)
    return _fitted(made, samples.size)


def formants(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return speech whose spectral envelope is stretched by 8 to 20 %, pitch and phase as they were."""
    ratio = float(rng.uniform(1.08, 1.2) if rng.random() < 0.5 else rng.uniform(0.83, 0.92))
    hop, order = int(rng.integers(96, 200)), int(rng.integers(25, 50))
    window = 4 * hop
    spectrum = spectra(samples, window, hop)
    cepstrum = irfft(np.log(np.abs(spectrum) + _FLOOR), window, axis=1)
    cepstrum[:, order : window - order + 1] = 0.0
    envelope = rfft(cepstrum, axis=1).real
    from_bin = np.minimum(np.arange(window // 2 + 1) / ratio, window // 2)
    below = np.minimum(from_bin.astype(np.int64), window // 2 - 1)
    part = from_bin - below
    warped = envelope[:, below] * (1.0 - part) + envelope[:, below + 1] * part
    made = spectrum * np.exp(np.clip(warped - envelope, -4.0, 4.0))
    return samples_of(np.asarray(made, dtype=np.complex64), hop, samples.size)


def stretched(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return speech of another pitch by the phase vocoder: stretched in time, then resampled to its length.

    Source: Flanagan and Golden, "Phase vocoder", Bell System Technical Journal 45(9), 1966; Laroche and Dolson,
    "Improved phase vocoder time-scale modification of audio", IEEE TSAP 7(3), 1999 (without phase locking).
    """
    window = int(rng.choice([512, 768, 1_024]))
    made_hop = window // 4
    heard_hop = max(1, round(made_hop / _moved(rng)))
    spectrum = spectra(samples, window, heard_hop)
    turn = 2.0 * np.pi * np.arange(window // 2 + 1) / window
    phase = np.angle(spectrum).astype(np.float64)
    drift = np.diff(phase, axis=0) - turn * heard_hop
    drift -= 2.0 * np.pi * np.rint(drift / (2.0 * np.pi))
    steps = (turn + drift / heard_hop) * made_hop
    made_phase = np.concatenate([phase[:1], phase[:1] + np.cumsum(steps, axis=0)])
    longer = round(samples.size * made_hop / heard_hop)
    made = samples_of(
        np.asarray(np.abs(spectrum) * np.exp(1j * made_phase), dtype=np.complex64), made_hop, longer
    )
    return _fitted(soxr.resample(made, made_hop, heard_hop), samples.size)


def pitch_synchronous(
    samples: Samples, pitch_ratio: float, length_ratio: float, flatness: float = 0.0
) -> Samples:
    """Return speech put together anew from grains two periods wide, (round(N * length_ratio),).

    Args:
        samples: (N,) at 16 kHz.
        pitch_ratio: of the new pitch to the old.
        length_ratio: of the new duration to the old.
        flatness: 0 keeps the melody, 1 puts the median in its place.

    Source: Moulines and Charpentier, "Pitch-synchronous waveform processing techniques for text-to-speech synthesis
    using diphones", Speech Communication 9(5-6), 1990 (TD-PSOLA).
    """
    contour = median_filter(pitch_hz(samples, _HOP), 7)
    voiced = contour > 0.0
    middle_hz = float(np.median(contour[voiced])) if voiced.any() else 0.0
    marks = _marks(samples, contour)
    length = round(samples.size * length_ratio)
    sound, weight = np.zeros(length + SAMPLE_RATE_HZ, np.float32), np.full(length + SAMPLE_RATE_HZ, 0.3)
    edge = 1_024
    padded = np.pad(samples, edge)
    at = 0.0
    while at < length:
        wanted = at / length_ratio
        number = int(np.searchsorted(marks, wanted))
        nearest = marks[max(number - 1, 0) : number + 1]
        mark = int(nearest[np.abs(nearest - wanted).argmin()])
        heard_hz = contour[min(mark // _HOP, contour.size - 1)]
        period = round(SAMPLE_RATE_HZ / heard_hz) if heard_hz > 0.0 else _UNVOICED_PERIOD
        grain = padded[edge + mark - period : edge + mark + period]
        window = hann(2 * period)[: grain.size]
        place = slice(max(int(at) - period, 0), int(at) - period + grain.size)
        cut = max(period - int(at), 0)
        sound[place] += (grain * window)[cut:]
        weight[place] += window[cut:]
        new_hz = pitch_ratio * (heard_hz * (1.0 - flatness) + middle_hz * flatness) if heard_hz > 0.0 else 0.0
        at += SAMPLE_RATE_HZ / new_hz if new_hz > 0.0 else _UNVOICED_PERIOD
    return np.asarray(sound[:length] / np.maximum(weight[:length], 0.6), dtype=np.float32)


def _marks(samples: Samples, contour: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return one place per period, near its peak, and one every 10 ms where there is no voice."""
    upward = samples if float(np.mean(samples.astype(np.float64) ** 3)) >= 0.0 else -samples
    marks = [0]
    while True:
        heard_hz = contour[min(marks[-1] // _HOP, contour.size - 1)]
        if heard_hz <= 0.0:
            expected = marks[-1] + _UNVOICED_PERIOD
        else:
            period = SAMPLE_RATE_HZ / heard_hz
            low = marks[-1] + round(0.8 * period)
            near = upward[low : marks[-1] + round(1.2 * period) + 1]
            expected = low + int(near.argmax()) if near.size else samples.size
        if expected >= samples.size:
            return np.asarray(marks, dtype=np.int64)
        marks.append(expected)


def _moved(rng: np.random.Generator) -> float:
    """Return a ratio of pitches well off 1."""
    return float(rng.uniform(1.15, 1.6) if rng.random() < 0.5 else rng.uniform(0.63, 0.87))


def _fitted(made: Samples, n_samples: int) -> Samples:
    """Return the samples cut or filled with zeros to the length; resampling is off by a sample or two."""
    fitted = np.zeros(n_samples, dtype=np.float32)
    fitted[: min(made.size, n_samples)] = made[:n_samples]
    return fitted
