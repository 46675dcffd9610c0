"""A recording played to a microphone, simulated: first room and microphone, storage, loudspeaker, second room,
second microphone, hum and noise, storage again.

This is a simulation. Nobody played anything: the responses are drawn, not measured, and a detector that finds these
chains has not thereby been shown to find real ones.

Source: the chain of devices follows Wang et al., "ASVspoof 2019: a large-scale public database of synthesized,
converted and replayed speech", Computer Speech and Language 64, 2020, section 4 (there too rooms and loudspeakers
are simulated); filters by Robert Bristow-Johnson's cookbook formulas.
"""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, resample_poly, sosfilt

from voxid.audio import SAMPLE_RATE_HZ
from voxid.simulate.distortions import Samples, add_at_snr, coloured_noise, mu_law, reverberate
from voxid.simulate.rooms import room_response

__all__ = [
    "Device",
    "Place",
    "ReplayChain",
    "draw_place",
    "draw_replay_chain",
    "play_back",
    "record",
    "replay",
]

_LEAST_WALL_M = 0.3
_CODECS = ("none", "mp3", "vorbis", "opus", "mu_law")
_ENDINGS = {"mp3": ("MP3", "MPEG_LAYER_III"), "vorbis": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS")}


@dataclass(frozen=True)
class Device:
    """What a loudspeaker or microphone does to the sound.

    Attributes:
        low_hz, high_hz: where it falls off; ``high_hz`` None: not within 8 kHz. order: how steeply.
        peaks: (frequency Hz, gain dB, width as Q) of each resonance or hole.
        second, third: even and odd harmonic distortion, amplitude of each power at full scale.
        hard: saturation: 0 none, above 1 crushed.
    """

    low_hz: float
    high_hz: float | None
    order: int
    peaks: tuple[tuple[float, float, float], ...]
    second: float = 0.0
    third: float = 0.0
    hard: float = 0.0


@dataclass(frozen=True)
class Place:
    """A room and how far the microphone stands from what is heard.

    Attributes:
        size_m: lengths of the walls. source_m, microphone_m: places inside. reverberation_s: RT60. seed: of the
            late part of the response.
    """

    size_m: tuple[float, float, float]
    source_m: tuple[float, float, float]
    microphone_m: tuple[float, float, float]
    reverberation_s: float
    seed: int

    @property
    def distance_m(self) -> float:
        """Return how far the microphone stands from the source."""
        return float(np.linalg.norm(np.subtract(self.source_m, self.microphone_m)))

    def response(self) -> Samples:
        """Return the response from the direct sound on, (N,) at 16 kHz."""
        heard = room_response(
            np.array(self.size_m),
            np.array(self.source_m),
            np.array(self.microphone_m),
            self.reverberation_s,
            np.random.default_rng(self.seed),
        )
        return heard.samples[round(heard.delay_s * SAMPLE_RATE_HZ) :]


@dataclass(frozen=True)
class ReplayChain:
    """Every part of one drawn chain, in the order the sound passes them.

    Attributes:
        recorded: the room of the first recording; None: the recording as it is. first_microphone: of the same.
        first_codec: how the recording was stored, one of none, mp3, vorbis, opus, mu_law.
        loudspeaker, played: what plays it, and the room it is played in. microphone: of the second recording.
        hum_hz: of the mains, 0 without; hum_db: below the speech. noise_db: signal-to-noise ratio, dB.
        second_codec: how the second recording is stored.
    """

    recorded: Place | None
    first_microphone: Device | None
    first_codec: str
    loudspeaker: Device
    played: Place
    microphone: Device
    hum_hz: float
    hum_db: float
    noise_db: float
    second_codec: str

    def to_dict(self) -> dict[str, Any]:
        """Return the facts of the chain, for a manifest."""
        return asdict(self)


def replay(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the samples as a microphone hears them played by a loudspeaker, (N,) of the same power; simulated."""
    return play_back(samples, draw_replay_chain(rng), rng)


def play_back(samples: Samples, chain: ReplayChain, rng: np.random.Generator) -> Samples:
    """Return the samples after the given chain; ``rng`` is of the noise alone."""
    sound = samples
    if chain.recorded is not None and chain.first_microphone is not None:
        sound = _through(reverberate(sound, chain.recorded.response()), chain.first_microphone)
    sound = _through(_stored(sound, chain.first_codec), chain.loudspeaker)
    sound = _through(reverberate(sound, chain.played.response()), chain.microphone)
    sound = add_at_snr(sound, _hum(sound.size, chain.hum_hz, rng), chain.hum_db) if chain.hum_hz else sound
    sound = add_at_snr(sound, coloured_noise(sound.size, rng), chain.noise_db)
    return _same_power(_stored(_same_power(sound, samples), chain.second_codec), samples)


def record(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the samples as one microphone in one room hears them: the genuine counterpart of a replay.

    With it a detector cannot tell a replay by reverberation, noise or a codec alone.
    """
    place, microphone = draw_place(rng, (0.1, 2.0)), _draw_microphone(rng)
    sound = _through(reverberate(samples, place.response()), microphone)
    sound = add_at_snr(sound, coloured_noise(sound.size, rng), float(rng.uniform(15.0, 45.0)))
    return _same_power(_stored(_same_power(sound, samples), _draw_codec(rng, 0.5)), samples)


def draw_replay_chain(rng: np.random.Generator) -> ReplayChain:
    """Return a random chain: a telephone's, a laptop's or a good loudspeaker, near or across the room."""
    again = rng.random() < 0.6
    return ReplayChain(
        recorded=draw_place(rng, (0.1, 2.0)) if again else None,
        first_microphone=_draw_microphone(rng) if again else None,
        first_codec=_draw_codec(rng, 0.4),
        loudspeaker=_draw_loudspeaker(rng),
        played=draw_place(rng, (0.05, 2.0)),
        microphone=_draw_microphone(rng),
        hum_hz=float(rng.choice([0.0, 0.0, 50.0, 60.0])),
        hum_db=float(rng.uniform(20.0, 50.0)),
        noise_db=float(rng.uniform(15.0, 45.0)),
        second_codec=_draw_codec(rng, 0.5),
    )


def draw_place(rng: np.random.Generator, distance_m: tuple[float, float]) -> Place:
    """Return a room of 2.5 to 8 m, RT60 0.1 to 0.8 s, with the source at a distance from the range."""
    size = np.append(rng.uniform(2.5, 8.0, 2), rng.uniform(2.3, 3.6))
    microphone = rng.uniform(0.5, size - 0.5)
    distance = np.exp(rng.uniform(*np.log(distance_m)))
    direction = rng.standard_normal(3) * np.array([1.0, 1.0, 0.4])
    source = microphone + distance * direction / np.linalg.norm(direction)
    source = np.clip(source, _LEAST_WALL_M, size - _LEAST_WALL_M)
    spots = [tuple(float(round(value, 3)) for value in spot) for spot in (size, source, microphone)]
    return Place(
        _three(spots[0]),
        _three(spots[1]),
        _three(spots[2]),
        float(rng.uniform(0.1, 0.8)),
        int(rng.integers(2**31)),
    )


def _three(spot: tuple[float, ...]) -> tuple[float, float, float]:
    return spot[0], spot[1], spot[2]


def _draw_loudspeaker(rng: np.random.Generator) -> Device:
    kind = rng.choice(3, p=[0.4, 0.35, 0.25])  # telephone, laptop or small box, good box
    low = ((300.0, 900.0), (120.0, 400.0), (40.0, 120.0))[kind]
    top_hz = float(rng.uniform(5_500.0, 10_000.0))
    loud = (0.3, 0.2, 0.05)[kind]
    return Device(
        low_hz=float(rng.uniform(*low)),
        high_hz=top_hz if top_hz < 7_600.0 else None,
        order=int(rng.integers(1, 4)),
        peaks=_draw_peaks(rng, (2, 7), (10.0, 8.0, 4.0)[kind]),
        second=float(rng.uniform(0.0, loud)),
        third=float(rng.uniform(0.0, loud)),
        hard=float(rng.uniform(0.5, 2.0)) if rng.random() < loud else 0.0,
    )


def _draw_microphone(rng: np.random.Generator) -> Device:
    return Device(
        float(rng.uniform(20.0, 200.0)), None, int(rng.integers(1, 3)), _draw_peaks(rng, (0, 4), 4.0)
    )


def _draw_peaks(
    rng: np.random.Generator, count: tuple[int, int], most_db: float
) -> tuple[tuple[float, float, float], ...]:
    return tuple(
        (
            float(np.exp(rng.uniform(np.log(150.0), np.log(7_500.0)))),
            float(rng.uniform(-most_db, most_db)),
            float(rng.uniform(0.7, 6.0)),
        )
        for _ in range(int(rng.integers(*count)))
    )


def _draw_codec(rng: np.random.Generator, none: float) -> str:
    return "none" if rng.random() < none else str(rng.choice(_CODECS[1:]))


def _through(samples: Samples, device: Device) -> Samples:
    """Return the sound after the device, its distortion counted from the loudest sample, power kept."""
    nyquist_hz = SAMPLE_RATE_HZ / 2.0
    sound = sosfilt(butter(device.order, device.low_hz / nyquist_hz, "highpass", output="sos"), samples)
    for peak in device.peaks:
        sound = lfilter(*_peaking(*peak), sound)
    sound = _bent(sound, device)
    if device.high_hz is not None:
        sound = sosfilt(butter(2 * device.order, device.high_hz / nyquist_hz, "lowpass", output="sos"), sound)
    return _same_power(np.asarray(sound, dtype=np.float32), samples)


def _bent(sound: NDArray[np.float64], device: Device) -> NDArray[np.float64]:
    """Return the sound after the device's distortion, at twice the rate so that harmonics do not fold back."""
    if not (device.second or device.third or device.hard):
        return sound
    scale = float(np.abs(sound).max())
    if scale <= 0.0:
        return sound
    fine = resample_poly(sound / scale, 2, 1)
    fine = fine + device.second * fine**2 + device.third * fine**3
    if device.hard:
        fine = np.tanh(2.0 * device.hard * fine) / (2.0 * device.hard)
    bent = np.asarray(resample_poly(fine, 1, 2)[: sound.size])
    return np.asarray((bent - bent.mean()) * scale)


def _peaking(at_hz: float, gain_db: float, q: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return numerator and denominator of a resonance (cookbook's peakingEQ)."""
    amplitude = 10.0 ** (gain_db / 40.0)
    turn = 2.0 * np.pi * at_hz / SAMPLE_RATE_HZ
    alpha = np.sin(turn) / (2.0 * q)
    above = np.array([1.0 + alpha * amplitude, -2.0 * np.cos(turn), 1.0 - alpha * amplitude])
    below = np.array([1.0 + alpha / amplitude, -2.0 * np.cos(turn), 1.0 - alpha / amplitude])
    return above / below[0], below / below[0]


def _stored(samples: Samples, codec: str) -> Samples:
    """Return the samples written by a codec and read again, at the same place in time as far as the codec says."""
    if codec == "none" or samples.size < SAMPLE_RATE_HZ // 10:
        return samples
    scale = 0.9 / max(float(np.abs(samples).max()), 1e-6)
    if codec == "mu_law":
        return np.asarray(mu_law(samples * scale) / scale, dtype=np.float32)
    container, subtype = _ENDINGS[codec]
    buffer = io.BytesIO()
    soundfile.write(buffer, samples * scale, SAMPLE_RATE_HZ, format=container, subtype=subtype)
    buffer.seek(0)
    heard, _ = soundfile.read(buffer, dtype="float32")
    made = np.zeros_like(samples)
    made[: min(made.size, heard.size)] = heard[: made.size] / scale
    return made


def _hum(n_samples: int, mains_hz: float, rng: np.random.Generator) -> Samples:
    """Return the mains and its harmonics at falling strength, even ones weaker, (N,)."""
    time_s = np.arange(n_samples) / SAMPLE_RATE_HZ
    total = np.zeros(n_samples)
    for number in range(1, 9):
        strength = rng.uniform(0.2, 1.0) / number * (0.4 if number % 2 == 0 else 1.0)
        total += strength * np.sin(2.0 * np.pi * number * mains_hz * time_s + rng.uniform(0.0, 2.0 * np.pi))
    return total.astype(np.float32)


def _same_power(sound: Samples, samples: Samples) -> Samples:
    power = float(np.mean(sound.astype(np.float64) ** 2))
    if power <= 0.0:
        return sound
    gain = np.sqrt(float(np.mean(samples.astype(np.float64) ** 2)) / power)
    return np.asarray(sound * gain, dtype=np.float32)
