"""A composed conversation made audible: places in a room, levels, noise, and the line it comes through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from voxid.audio import SAMPLE_RATE_HZ, load
from voxid.errors import InputError
from voxid.simulate.clips import HOP_SAMPLES, Library
from voxid.simulate.composing import Placement, Score
from voxid.simulate.distortions import Samples, babble, coloured_noise
from voxid.simulate.libraries import AUDIO_SUFFIXES
from voxid.simulate.lines import opus, telephone
from voxid.simulate.recipe import SimulationRecipe
from voxid.simulate.rooms import Room, draw_room

__all__ = ["NoiseSource", "Scene", "draw_scene", "render"]

_LEVEL_DB = (-32.0, -20.0)  # of the speech in the finished recording, against full scale
_PEAK = 0.97
_SPEECH_LEVEL = 0.05  # at which voices are mixed, before their own gains
_NOISE_S = 60.0  # longer recordings hear this much noise again and again
_BABBLE_VOICES = (2, 6)
_BABBLE_SPEECH_S = 10.0
_FADE_SAMPLES = HOP_SAMPLES
_LATE_FRAMES = 100  # a room rings for up to a second


@dataclass(frozen=True, eq=False)
class Scene:
    """Under which conditions a conversation is heard.

    Attributes:
        gains: (S,) of the speakers.
        room: None where everybody speaks close to a microphone.
        noise: (M,) made to length by repeating; power 1.
        snr_db: speech over noise.
        is_telephone: two lines, speakers in turns on one and the other.
        opus_kbps: of a call over Opus; 0 is none.
        level_db: of the speech in the finished recording.
    """

    gains: NDArray[np.float64]
    room: Room | None
    noise: Samples
    snr_db: float
    is_telephone: bool
    opus_kbps: float
    level_db: float

    def delays_s(self) -> list[float]:
        """Return after how many seconds each speaker is heard."""
        if self.room is None:
            return [0.0] * len(self.gains)
        return [response.delay_s for response in self.room.responses]

    def facts(self) -> dict[str, object]:
        """Return plain values for a manifest."""
        room = None
        if self.room is not None:
            room = {
                "size_m": [round(float(side), 2) for side in self.room.size_m],
                "reverberation_s": round(self.room.reverberation_s, 3),
                "distance_m": [round(response.distance_m, 2) for response in self.room.responses],
            }
        return {
            "room": room,
            "snr_db": round(self.snr_db, 1),
            "telephone": self.is_telephone,
            "opus_kbps": round(self.opus_kbps, 1) or None,
            "gains_db": [round(20.0 * float(np.log10(gain)), 1) for gain in self.gains],
        }


@dataclass(eq=False)
class NoiseSource:
    """Noise of one recipe: made up, from a folder, or people talking elsewhere."""

    library: Library
    recipe: SimulationRecipe
    _files: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.recipe.noise.folder:
            return
        folder = Path(self.recipe.noise.folder)
        self._files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
        if not self._files:
            raise InputError("noise_missing", f"There is no audio in {folder}; give a folder of noise.")

    def draw(self, n_samples: int, cast: Sequence[int], rng: np.random.Generator) -> Samples:
        """Return (M,) noise of power 1, M up to ``n_samples``; speakers of the ``cast`` are not heard in it."""
        n_samples = min(n_samples, round(_NOISE_S * SAMPLE_RATE_HZ))
        others = np.setdiff1d(np.arange(len(self.library.names)), np.asarray(cast, np.int64))
        if others.size >= _BABBLE_VOICES[0] and rng.random() < self.recipe.noise.babble_share:
            noise = self._babble(n_samples, others, rng)
        elif self._files:
            noise = load(self._files[int(rng.integers(len(self._files)))]).samples
            noise = np.roll(noise, -int(rng.integers(noise.size)))[:n_samples]
        else:
            noise = coloured_noise(n_samples, rng)
        power = float(np.mean(np.square(noise, dtype=np.float64))) if noise.size else 0.0
        if power <= 0.0:
            return np.zeros(n_samples, np.float32)
        return np.asarray(noise / np.sqrt(power), dtype=np.float32)

    def _babble(self, n_samples: int, others: NDArray[np.int64], rng: np.random.Generator) -> Samples:
        count = min(int(rng.integers(_BABBLE_VOICES[0], _BABBLE_VOICES[1] + 1)), others.size)
        voices = []
        for number in rng.choice(others, count, replace=False):
            voice = self.library.open_voice(int(number), rng, _BABBLE_SPEECH_S)
            if voice.clips:
                voices.append(np.concatenate([self.library.samples(clip) for clip in voice.clips]))
        return babble(voices, n_samples, rng) if voices else coloured_noise(n_samples, rng)


def draw_scene(
    recipe: SimulationRecipe,
    n_speakers: int,
    noise: Samples,
    rng: np.random.Generator,
    rooms: Sequence[Room] = (),
) -> Scene:
    """Return the conditions of one conversation.

    Args:
        recipe: what they are drawn from.
        n_speakers: S.
        noise: as `NoiseSource.draw` gives it.
        rng: of all that is drawn.
        rooms: to choose one from instead of drawing it, each with at least as many places.
    """
    places, line = recipe.places, recipe.line
    room = None
    if rng.random() < places.share:
        if rooms:
            chosen = rooms[int(rng.integers(len(rooms)))]
            seats = rng.permutation(len(chosen.responses))[:n_speakers]
            room = Room(chosen.size_m, chosen.reverberation_s, tuple(chosen.responses[i] for i in seats))
        else:
            room = draw_room(rng, n_speakers, places.floor_m, places.reverberation_s, places.distance_m)
    spread = recipe.level_spread_db
    is_telephone = bool(rng.random() < line.telephone_share)
    is_call = bool(rng.random() < line.opus_share)
    return Scene(
        gains=10.0 ** (rng.uniform(-spread, spread, n_speakers) / 20.0),
        room=room,
        noise=noise,
        snr_db=float(rng.uniform(*recipe.noise.snr_db)),
        is_telephone=is_telephone,
        opus_kbps=float(rng.uniform(*line.opus_kbps)) if is_call and not is_telephone else 0.0,
        level_db=float(rng.uniform(*_LEVEL_DB)),
    )


def render(
    score: Score, scene: Scene, library: Library, first: int, n_frames: int, separate: bool = False
) -> Samples:
    """Return (C, N) at 16 kHz of the frames from ``first`` on.

    Args:
        score: the conversation. scene: its conditions. library: where its clips are from.
        first: first frame of 10 ms. n_frames: how many.
        separate: keep the two lines of a call as two channels, else C is 1.
    """
    lines = 2 if scene.is_telephone or separate else 1
    mix = np.zeros((lines, n_frames * HOP_SAMPLES), np.float32)
    for placement in score.placements:
        if placement.at - placement.lead < first + n_frames and _heard_until(placement) > first:
            _add(mix[placement.speaker % lines], placement, scene, library, first)
    spoken = np.repeat(score.activity(first, n_frames).any(axis=1), HOP_SAMPLES)
    level = _level(mix.sum(axis=0)[spoken]) or _SPEECH_LEVEL
    hiss = level * 10.0 ** (-scene.snr_db / 20.0)
    for number, channel in enumerate(mix):
        channel += np.float32(hiss) * np.resize(np.roll(scene.noise, number * 7919), channel.size)
        if scene.is_telephone:
            channel[:] = telephone(channel, level)
        elif scene.opus_kbps:
            channel[:] = opus(channel * np.float32(0.1 / level), scene.opus_kbps)[0] * np.float32(level / 0.1)
    if not separate:
        mix = mix.sum(axis=0, keepdims=True)
    gain = 10.0 ** (scene.level_db / 20.0) / level
    return mix * np.float32(min(gain, _PEAK / max(float(np.abs(mix).max()), 1e-9)))


def resampled(samples: Samples, rate_hz: int) -> Samples:
    """Return (C, N) at another rate."""
    if rate_hz == SAMPLE_RATE_HZ:
        return samples
    return np.ascontiguousarray(soxr.resample(samples.T, SAMPLE_RATE_HZ, rate_hz, quality="HQ").T)


def _heard_until(placement: Placement) -> int:
    return placement.at + placement.length + placement.tail + _LATE_FRAMES


def _add(channel: Samples, placement: Placement, scene: Scene, library: Library, first: int) -> None:
    """Add one piece to a channel that begins at frame ``first``, in place."""
    clip, end = placement.clip, first + channel.size // HOP_SAMPLES
    # A piece that began long before the window, or ends long after it, is heard only in part.
    skipped = max(0, first - _LATE_FRAMES - (placement.at - placement.lead))
    start = placement.first - placement.lead + skipped
    stop = placement.first + placement.length + placement.tail
    stop -= max(0, placement.at + placement.length + placement.tail - end)
    if stop <= start:
        return
    speech = library.samples(clip)[start * HOP_SAMPLES : stop * HOP_SAMPLES]
    speech = speech * np.float32(scene.gains[placement.speaker] * _SPEECH_LEVEL / max(clip.level, 1e-6))
    fade_in = min(speech.size, max(_FADE_SAMPLES, placement.lead * HOP_SAMPLES))
    fade_out = min(speech.size, max(_FADE_SAMPLES, placement.tail * HOP_SAMPLES))
    speech[:fade_in] *= np.linspace(0.0, 1.0, fade_in, dtype=np.float32)
    speech[-fade_out:] *= np.linspace(1.0, 0.0, fade_out, dtype=np.float32)
    if scene.room is not None:
        speech = fftconvolve(speech, scene.room.responses[placement.speaker].samples)
    at = (placement.at - placement.lead + skipped - first) * HOP_SAMPLES
    speech = speech[max(0, -at) :]
    at = max(0, at)
    speech = speech[: channel.size - at]
    channel[at : at + speech.size] += speech


def _level(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if samples.size else 0.0
