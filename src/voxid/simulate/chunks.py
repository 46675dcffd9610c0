"""Endless short pieces of simulated conversations with who speaks in them, made in memory for training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxid.features import fbank
from voxid.simulate.clips import HOP_SAMPLES, Library, Voice
from voxid.simulate.composing import compose
from voxid.simulate.conversations import chosen_timing, timing_for
from voxid.simulate.distortions import Samples
from voxid.simulate.libraries import check_library
from voxid.simulate.recipe import STYLES, Places, SimulationRecipe
from voxid.simulate.rooms import Room, draw_room
from voxid.simulate.scenes import NoiseSource, draw_scene, render
from voxid.simulate.timing import Timing
from voxid.simulate.turntaking import FRAMES_PER_S

__all__ = ["TRAINING_MIX", "Chunk", "ChunkOptions", "Chunks"]

TRAINING_MIX: Final[tuple[tuple[SimulationRecipe, float], ...]] = (
    (replace(STYLES["telephone"], rate_hz=16_000, overlap=0.12), 0.2),
    (replace(STYLES["meeting"], speakers=(2.0, 5.0), overlap=0.14, places=Places(share=0.7)), 0.3),
    (
        replace(STYLES["meeting"], name="busy", speakers=(2.0, 4.0), overlap=0.3, places=Places(share=0.5)),
        0.25,
    ),
    (replace(STYLES["broadcast"], speakers=(1.0, 5.0)), 0.25),
)
"""What a segmentation network is to meet: recipes and how often."""

_RUN_UP_FRAMES = (0, 3000)  # a chunk begins up to this far into its conversation
_ENOUGH_S = 12.0
_LEAST_VOICE_S = 0.5
_ROOMS, _ROOM_PLACES = 48, 5
_NEW_ROOM_SHARE = 0.1
_NOISES = 64
_NOISE_SAMPLES = 12 * FRAMES_PER_S * HOP_SAMPLES
_TRIES = 8


@dataclass(frozen=True)
class ChunkOptions:
    """What chunks look like.

    Attributes:
        seconds: length.
        columns: S of the activity: chunks in which more people are heard are not given.
        opus_share: how often lossy coding is really done, of the times a recipe asks for it: it costs most of the time.
    """

    seconds: float = 10.0
    columns: int = 4
    opus_share: float = 0.1


@dataclass(frozen=True, eq=False)
class Chunk:
    """A piece of conversation.

    Attributes:
        samples: (N,) float32 at 16 kHz.
        activity: (T, S) bool, T frames of 10 ms: who is heard, by their first word; columns of nobody are False.
        n_speakers: of the S columns with anybody.
    """

    samples: Samples
    activity: NDArray[np.bool_]
    n_speakers: int

    def features(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return log-Mel fbank (T', 80) and activity (T', S) at its frames' centres; T' is two less than T."""
        frames = fbank(self.samples)
        # Frame t covers 10 t to 10 t + 25 ms: its centre lies in the activity's frame t + 1.
        return frames, self.activity[1 : 1 + len(frames)]


@dataclass(eq=False)
class Chunks:
    """Chunks without end, the same for the same library, recipes and seed.

    Args:
        library: whose speech; packed speech is fastest.
        seed: of all that is drawn.
        recipes: with how often each is used.
        options: length and width.
    """

    library: Library
    seed: int
    recipes: Sequence[tuple[SimulationRecipe, float]] = TRAINING_MIX
    options: ChunkOptions = field(default_factory=ChunkOptions)

    def __post_init__(self) -> None:
        check_library(self.library, max(round(recipe.speakers[1]) for recipe, _ in self.recipes))
        weights = np.array([weight for _, weight in self.recipes])
        self._weights = weights / weights.sum()
        self._timings: list[Timing] = [chosen_timing(recipe.timing) for recipe, _ in self.recipes]
        self._noise_sources = [NoiseSource(self.library, recipe) for recipe, _ in self.recipes]
        self._rooms: list[list[Room]] = [[] for _ in self.recipes]
        self._noises: list[list[Samples]] = [[] for _ in self.recipes]
        groups = np.asarray(self.library.groups)
        self._groups = [np.flatnonzero(groups == name) for name in sorted(set(groups.tolist()))]

    def __iter__(self) -> Iterator[Chunk]:
        rng = np.random.default_rng(self.seed)
        while True:
            yield self.draw(rng)

    def draw(self, rng: np.random.Generator) -> Chunk:
        """Return one chunk; rooms and noises are drawn from pools that are renewed slowly."""
        n_frames = round(self.options.seconds * FRAMES_PER_S)
        at = int(rng.choice(len(self.recipes), p=self._weights))
        recipe = self.recipes[at][0]
        for attempt in range(_TRIES):
            voices = self._voices(recipe, rng)
            timing = timing_for(self._timings[at], recipe, len(voices))
            first = int(rng.integers(*_RUN_UP_FRAMES))
            score = compose(timing, voices, first + n_frames, rng)
            activity = score.activity(first, n_frames)
            heard = np.flatnonzero(activity.any(axis=0))
            if heard.size <= self.options.columns or attempt == _TRIES - 1:
                break
        scene = draw_scene(recipe, len(voices), self._noise(at, rng), rng, self._known_rooms(at, rng))
        if scene.opus_kbps and rng.random() >= self.options.opus_share:
            scene = replace(scene, opus_kbps=0.0)
        samples = render(score, scene, self.library, first, n_frames)[0]
        order = heard[np.argsort(activity[:, heard].argmax(axis=0), kind="stable")][: self.options.columns]
        columns = np.zeros((n_frames, self.options.columns), np.bool_)
        delays = np.rint(np.asarray(scene.delays_s()) * FRAMES_PER_S).astype(np.int64)
        for column, speaker in enumerate(order):
            late = int(delays[speaker])
            columns[late:, column] = activity[: n_frames - late, speaker]
        return Chunk(samples, columns, len(order))

    def _voices(self, recipe: SimulationRecipe, rng: np.random.Generator) -> list[Voice]:
        count = int(rng.integers(round(recipe.speakers[0]), round(recipe.speakers[1]) + 1))
        pool = np.arange(len(self.library.names))
        if rng.random() < recipe.one_group_share:
            able = [group for group in self._groups if group.size >= 2 * count]
            sizes = np.array([group.size for group in able], np.float64)
            if able:
                pool = able[int(rng.choice(len(able), p=sizes / sizes.sum()))]
        voices: list[Voice] = []
        for number in _without_repeats(pool, rng):
            voice = self.library.open_voice(number, rng, _ENOUGH_S)
            if voice.speech_s >= _LEAST_VOICE_S:
                voices.append(voice)
            if len(voices) == count:
                break
        return voices

    def _known_rooms(self, at: int, rng: np.random.Generator) -> list[Room]:
        rooms, places = self._rooms[at], self.recipes[at][0].places
        if places.share and (len(rooms) < _ROOMS or rng.random() < _NEW_ROOM_SHARE):
            seats = max(_ROOM_PLACES, round(self.recipes[at][0].speakers[1]))
            room = draw_room(rng, seats, places.floor_m, places.reverberation_s, places.distance_m)
            if len(rooms) < _ROOMS:
                rooms.append(room)
            else:
                rooms[int(rng.integers(_ROOMS))] = room
        return rooms

    def _noise(self, at: int, rng: np.random.Generator) -> Samples:
        noises = self._noises[at]
        if len(noises) < _NOISES:
            noises.append(self._noise_sources[at].draw(_NOISE_SAMPLES, (), rng))
        noise = noises[int(rng.integers(len(noises)))]
        return np.roll(noise, int(rng.integers(noise.size)))


def _without_repeats(pool: NDArray[np.int64], rng: np.random.Generator) -> Iterator[int]:
    """Yield members of a pool in random order without shuffling all of it."""
    seen: set[int] = set()
    while len(seen) < len(pool):
        number = int(pool[rng.integers(len(pool))])
        if number not in seen:
            seen.add(number)
            yield number
