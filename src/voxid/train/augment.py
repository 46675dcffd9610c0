"""Distortions that make one recording session sound like many: noise, babble, rooms, telephone, codecs, speed.

Every function takes and returns (N,) float32 samples at 16 kHz and draws only from the generator it is given.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr
from scipy.signal import butter, istft, sosfilt, stft

from voxid.simulate.distortions import Samples, add_at_snr, babble, coloured_noise, mu_law, reverberate
from voxid.simulate.rooms import random_response

SAMPLE_RATE_HZ = 16_000


def change_speed(samples: Samples, speed: float) -> Samples:
    """Return the samples played ``speed`` times as fast: tempo, pitch and formants move together.

    Used to make further speakers (Yamamoto et al., "Speaker augmentation and bandwidth extension", 2019).
    """
    if speed == 1.0:
        return samples
    return np.asarray(
        soxr.resample(samples, SAMPLE_RATE_HZ * speed, SAMPLE_RATE_HZ, quality="MQ"), dtype=np.float32
    )


def shift_formants(samples: Samples, factor: float) -> Samples:
    """Return the samples with the spectral envelope stretched by ``factor`` in frequency; pitch and tempo stay.

    Above 1 is a shorter vocal tract. The envelope is the cepstrum below 2 ms; 32 ms frames every 8 ms.
    """
    if factor == 1.0:
        return samples
    n_fft, overlap, lifter = 512, 384, 32
    padded = np.pad(samples, (0, max(0, n_fft - samples.size)))
    _, _, spectrum = stft(padded, SAMPLE_RATE_HZ, nperseg=n_fft, noverlap=overlap)
    cepstrum = np.fft.irfft(np.log(np.abs(spectrum) + 1e-7), axis=0)
    cepstrum[lifter : n_fft - lifter + 1] = 0.0
    envelope = np.fft.rfft(cepstrum, axis=0).real
    place = np.minimum(np.arange(envelope.shape[0]) / factor, envelope.shape[0] - 1.0)
    low = place.astype(np.int64)
    high = np.minimum(low + 1, envelope.shape[0] - 1)
    part = (place - low)[:, None]
    moved = (1.0 - part) * envelope[low] + part * envelope[high]
    _, shifted = istft(spectrum * np.exp(moved - envelope), SAMPLE_RATE_HZ, nperseg=n_fft, noverlap=overlap)
    return np.resize(shifted, samples.shape).astype(np.float32)


def telephone(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the samples through a telephone: 8 kHz, 300 to 3,400 Hz, half the time 8-bit mu-law (ITU-T G.711)."""
    narrow = soxr.resample(samples, SAMPLE_RATE_HZ, 8_000, quality="MQ")
    low_hz, high_hz = rng.uniform(150, 350), rng.uniform(3_000, 3_700)
    narrow = sosfilt(butter(2, [low_hz, high_hz], "band", fs=8_000, output="sos"), narrow)
    if rng.random() < 0.5:
        narrow = mu_law(narrow / (np.abs(narrow).max() + 1e-9) * rng.uniform(0.1, 0.9))
    wide = soxr.resample(narrow, 8_000, SAMPLE_RATE_HZ, quality="MQ")
    return np.resize(wide, samples.shape).astype(np.float32)


def band_limit(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the samples through a random microphone: a band-pass with soft edges."""
    low_hz, high_hz = rng.uniform(30, 250), rng.uniform(3_500, 7_800)
    sos = butter(int(rng.integers(1, 5)), [low_hz, high_hz], "band", fs=SAMPLE_RATE_HZ, output="sos")
    return sosfilt(sos, samples).astype(np.float32)


def codec(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the samples after lossy coding, Opus or MP3 at a random quality."""
    container, subtype = ("OGG", "OPUS") if rng.random() < 0.5 else ("MP3", "MPEG_LAYER_III")
    buffer = io.BytesIO()
    peak = float(np.abs(samples).max()) + 1e-9
    soundfile.write(
        buffer,
        samples / max(peak, 1.0),
        SAMPLE_RATE_HZ,
        format=container,
        subtype=subtype,
        compression_level=float(rng.uniform(0.5, 0.99)),
    )
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
    return np.resize(decoded, samples.shape).astype(np.float32)


@dataclass(frozen=True)
class Augmenter:
    """A random chain of the distortions above.

    ``voices`` are speech of other people for babble; ``noises`` and ``responses`` pools of noise and of rooms.
    """

    voices: Sequence[Samples]
    noises: Sequence[Samples]
    responses: Sequence[Samples]

    @classmethod
    def simulate(
        cls, voices: Sequence[Samples], rng: np.random.Generator, rooms: int = 300, noises: int = 200
    ) -> Augmenter:
        """Return an augmenter with freshly simulated rooms and 8 s noises."""
        return cls(
            voices,
            [coloured_noise(8 * SAMPLE_RATE_HZ, rng) for _ in range(noises)],
            [random_response(rng) for _ in range(rooms)],
        )

    def __call__(self, samples: Samples, rng: np.random.Generator) -> Samples:
        """Return one random distortion of the samples, same length: room, then noise or babble, then channel."""
        heard = samples
        if rng.random() < 0.5:
            heard = reverberate(heard, self.responses[int(rng.integers(len(self.responses)))])
        kind = rng.random()
        if kind < 0.4:
            noise = np.roll(
                self.noises[int(rng.integers(len(self.noises)))], int(rng.integers(8 * SAMPLE_RATE_HZ))
            )
            heard = add_at_snr(heard, noise, float(rng.uniform(0, 20)))
        elif kind < 0.65:
            others = [
                self.voices[int(i)] for i in rng.integers(len(self.voices), size=int(rng.integers(2, 7)))
            ]
            heard = add_at_snr(heard, babble(others, heard.size, rng), float(rng.uniform(5, 20)))
        channel = rng.random()
        # Lossy codecs are rare because coding costs more time than all the rest; much of the speech was MP3 already.
        if channel < 0.27:
            heard = telephone(heard, rng)
        elif channel < 0.54:
            heard = band_limit(heard, rng)
        elif channel < 0.60:
            heard = codec(heard, rng)
        return heard
