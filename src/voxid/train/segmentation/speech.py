"""Conversations made in the log-Mel domain from packed speech: some hundred times faster than from audio.

What is said when is composed as by ``voxid simulate``; sound is added as power, which is right on average, since the
cross terms of different voices cancel within a Mel band. Rooms, noise and lines are those of
:mod:`voxid.train.spectra`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxid.features import N_MELS
from voxid.simulate.chunks import TRAINING_MIX
from voxid.simulate.clips import Clip, Voice, spans_of
from voxid.simulate.composing import Score, compose
from voxid.simulate.conversations import chosen_timing, timing_for
from voxid.simulate.recipe import SimulationRecipe
from voxid.train.segmentation.objective import Chunk
from voxid.train.shards import Shard
from voxid.train.spectra import tilt

_DB_PER_LN: Final = 10.0 / np.log(10.0)
_FULL_SCALE_DB: Final = (
    110.0  # what is taken off log Mel power so that speech lies where samples' loudness does
)
_SPEECH_DB: Final = 95.0  # mean power of a Mel band of a voice in the middle, in dB of features
_BINS: Final = 12.0 ** np.linspace(0.0, 1.0, N_MELS)  # of a 512-point spectrum in each Mel band, about
_SHORTEST_FRAMES: Final = 30
_RUN_UP_FRAMES: Final = 3_000
_ENOUGH_FRAMES: Final = 1_500
_TRIES: Final = 8


@dataclass(eq=False)
class PackedVoices:
    """Packed speech as voices: every copy of a speaker is one, of the copies without distortion.

    Args:
        shard: the speech.
        least_speech_s: voices with less are left out.
        kept_back: utterances of each voice that it does not say when it is opened; voices with no more are left out.
    """

    shard: Shard
    least_speech_s: float = 2.0
    kept_back: int = 0

    def __post_init__(self) -> None:
        shard = self.shard
        usable = np.flatnonzero(~shard.augmented & (shard.frames >= _SHORTEST_FRAMES))
        key = shard.speaker[usable] * (int(shard.copy.max()) + 1) + shard.copy[usable]
        spoken = np.bincount(key, weights=shard.frames[usable]) / 100.0
        order = usable[np.argsort(key, kind="stable")]
        sorted_key = np.sort(key, kind="stable")
        names = np.unique(sorted_key)
        names = names[(spoken[names] >= self.least_speech_s) & (np.bincount(key)[names] > self.kept_back)]
        first = np.searchsorted(sorted_key, names)
        last = np.searchsorted(sorted_key, names, side="right")
        self.rows: list[NDArray[np.int64]] = [order[a:b] for a, b in zip(first, last, strict=True)]
        self.groups: NDArray[np.str_] = shard.corpus[[int(rows[0]) for rows in self.rows]]
        self._clip = lru_cache(maxsize=100_000)(self._listen)

    def __len__(self) -> int:
        return len(self.rows)

    def speaker_of(self, number: int) -> int:
        """Return the person behind a voice."""
        return int(self.shard.speaker[self.rows[number][0]])

    def open_voice(self, number: int, rng: np.random.Generator) -> Voice:
        """Return a voice with some of its clips, in random order."""
        clips: list[Clip] = []
        frames = 0
        for row in rng.permutation(self.rows[number])[self.kept_back :]:
            clip = self._clip(int(row))
            if len(clip.spans):
                clips.append(clip)
                frames += clip.speech_frames
            if frames >= _ENOUGH_FRAMES:
                break
        return Voice(str(number), tuple(clips), str(self.groups[number]))

    def _listen(self, row: int) -> Clip:
        power_db = _loudness_db(self.shard.frames_of(row))
        heard = np.rint(power_db - _FULL_SCALE_DB).clip(-120, 20).astype(np.int8)
        spans = spans_of(np.array([[0, heard.size]], np.int32), heard)
        inside = np.concatenate([power_db[a:b] for a, b in spans]) if len(spans) else power_db
        return Clip(row, spans, heard, float(10.0 * np.log10(np.mean(10.0 ** (inside / 10.0)))))


@dataclass(frozen=True, eq=False)
class Scene:
    """A chunk and whose voices are in it, column by column of its activity.

    Attributes:
        chunk: what is heard.
        voices: number of each among the packed voices.
        heard: of each, the utterances (rows of the shard) that are heard in the chunk.
    """

    chunk: Chunk
    voices: tuple[int, ...]
    heard: tuple[frozenset[int], ...]


@dataclass(eq=False)
class FeatureChunks:
    """Ten-second chunks of made-up conversations as features.

    Args:
        voices: who talks.
        seconds: length of a chunk.
        mix: kinds of conversation with how often each is used; rooms, noise and lines of them are not.
        plain_share: of the conversations in which all voices are given the same mean spectrum, half way or wholly, so
            that they are not told apart by their microphones.
        most_voices: heard in one chunk, as far as eight tries find such.
    """

    voices: PackedVoices
    seconds: float = 10.0
    mix: Sequence[tuple[SimulationRecipe, float]] = TRAINING_MIX
    plain_share: float = 0.4
    most_voices: int = 4

    def __post_init__(self) -> None:
        weights = np.array([weight for _, weight in self.mix])
        self._weights = weights / weights.sum()
        self._timings = [chosen_timing(recipe.timing) for recipe, _ in self.mix]
        groups, sizes = np.unique(self.voices.groups, return_counts=True)
        self._pools = [np.flatnonzero(self.voices.groups == name) for name in groups[sizes >= 12]]

    def draw(self, rng: np.random.Generator) -> Chunk:
        """Return a chunk; the same generator state gives the same one."""
        return self.draw_scene(rng).chunk

    def draw_scene(self, rng: np.random.Generator) -> Scene:
        """Return a chunk and whose voices are in it."""
        n_frames = round(100 * self.seconds)
        at = int(rng.choice(len(self.mix), p=self._weights))
        recipe = self.mix[at][0]
        for _ in range(_TRIES):
            talking = self._voices(recipe, rng)
            first = int(rng.integers(0, _RUN_UP_FRAMES))
            timing = timing_for(self._timings[at], recipe, len(talking))
            score = compose(timing, talking, first + n_frames, rng)
            active = score.activity(first, n_frames)
            if active.any(axis=0).sum() <= self.most_voices:
                break
        chunk = Chunk(self._render(score, recipe, first, n_frames, rng), active)
        heard: list[set[int]] = [set() for _ in talking]
        for p in score.placements:
            if p.at + p.length > first and p.at < first + n_frames:
                heard[p.speaker].add(p.clip.key)
        return Scene(chunk, tuple(int(voice.name) for voice in talking), tuple(map(frozenset, heard)))

    def _voices(self, recipe: SimulationRecipe, rng: np.random.Generator) -> list[Voice]:
        count = int(rng.integers(round(recipe.speakers[0]), round(recipe.speakers[1]) + 1))
        sizes = np.sqrt([pool.size for pool in self._pools])
        pool = np.arange(len(self.voices))
        if rng.random() < recipe.one_group_share:
            pool = self._pools[int(rng.choice(len(self._pools), p=sizes / sizes.sum()))]
        voices: list[Voice] = []
        while len(voices) < count:
            voice = self.voices.open_voice(int(rng.choice(pool)), rng)
            if voice.clips and voice.name not in {other.name for other in voices}:
                voices.append(voice)
        return voices

    def _render(
        self, score: Score, recipe: SimulationRecipe, first: int, n_frames: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return (n_frames, 80) log power of everything that is heard from frame ``first`` on."""
        power = _background(n_frames, rng)
        shift = self._shifts(score, recipe, rng)
        for placement in score.placements:
            a, b = placement.at - placement.lead, placement.at + placement.length + placement.tail
            start, end = max(a, first), min(b, first + n_frames)
            if start >= end:
                continue
            frames = self.voices.shard.frames_of(placement.clip.key)
            inside = placement.first - placement.lead
            part = frames[inside + start - a : inside + end - a].astype(np.float32)
            own = slice(start - first, start - first + len(part))
            power[own] += np.exp(part + shift[placement.speaker])
        return np.log(power)

    def _shifts(
        self, score: Score, recipe: SimulationRecipe, rng: np.random.Generator
    ) -> list[NDArray[np.float32]]:
        """Return for each speaker what is added to its log power (80,): a level, and a spectrum shared by all."""
        spectra = [self._spectrum(voice) for voice in score.voices]
        share = float(rng.choice([0.5, 1.0])) if rng.random() < self.plain_share else 0.0
        common = np.mean(spectra, axis=0)
        shifts = []
        for voice, spectrum in zip(score.voices, spectra, strict=True):
            level_db = _SPEECH_DB + rng.uniform(-1.0, 1.0) * recipe.level_spread_db
            level_db -= float(np.mean([clip.level for clip in voice.clips]))
            shifts.append((level_db / _DB_PER_LN + share * (common - spectrum)).astype(np.float32))
        return shifts

    def _spectrum(self, voice: Voice) -> NDArray[np.float32]:
        """Return (80,) the mean log power of a voice, its loudness taken away."""
        clip = voice.clips[0]
        a, b = clip.spans[0]
        mean = self.voices.shard.frames_of(clip.key)[a:b].astype(np.float32).mean(axis=0)
        return np.asarray(mean - mean.mean(), np.float32)


def _background(n_frames: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return (T, 80) power of steady noise 5 to 60 dB below the voices: any colour, at times swelling and fading.

    In a Mel band the power of noise varies as a mean of as many exponential values as the band has spectral bins.
    """
    below_db = rng.uniform(5.0, 60.0)
    colour = tilt(rng) + rng.uniform(-2.0, 2.0) * np.linspace(-1.0, 1.0, N_MELS)
    colour -= np.log(np.exp(colour).mean())
    power = rng.gamma(_BINS, 1.0 / _BINS, (n_frames, N_MELS))
    power = 0.5 * power + 0.5 * np.roll(power, 1, axis=0)  # frames overlap
    if rng.random() < 0.3:
        knots = np.linspace(0, n_frames, 5)
        colour = colour + np.interp(np.arange(n_frames), knots, rng.normal(0.0, 0.7, 5))[:, None]
    return np.asarray(power * np.exp((_SPEECH_DB - below_db) / _DB_PER_LN + colour), np.float32)


def _loudness_db(frames: NDArray[np.float16]) -> NDArray[np.float64]:
    """Return (T,) mean power over the bands in dB."""
    return np.asarray(10.0 * np.log10(np.exp(frames.astype(np.float64)).mean(axis=1)))
