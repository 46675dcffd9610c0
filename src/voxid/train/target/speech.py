"""Conversations to find people in: what is heard, who is asked for, and what they sounded like elsewhere.

Nobody is asked for by what they say in the conversation: references come from other utterances of the same voice,
from one word to fifteen seconds. Some of those asked for are not there at all.

Shapes: T frames, W windows, L lengths of window, D embedding dimension, K people asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxid.bundle import Bundle
from voxid.diarize.segmentation import quiet_to
from voxid.diarize.target_speech import WINDOW_FRAMES, WINDOW_HOP_FRAMES, window_masks
from voxid.score import center
from voxid.train.graph_embedder import GraphEmbedder
from voxid.train.segmentation.speech import FeatureChunks, PackedVoices, Scene
from voxid.train.shards import Shard
from voxid.train.spectra import distort
from voxid.train.target.recipe import TargetRecipe

Floats = NDArray[np.float32]

_REFERENCE_S: Final = (3.0, 15.0)
_SHORT_REFERENCE_S: Final = (0.5, 3.0)
_SHORT_SHARE: Final = 0.2
_CUT_SHARE: Final = 0.1  # of the conversations that end before their chunk does
_LEAST_FRAMES: Final = 200
_MOST_FRAMES: Final = 1_000


@dataclass(frozen=True, eq=False)
class Asked:
    """A batch: fbank (B, T, 80), windows (B, W, L D), targets (B, K, D) and when each is heard, (B, K, T) bool."""

    features: Floats
    windows: Floats
    targets: Floats
    active: NDArray[np.bool_]


@dataclass(eq=False)
class References:
    """What voices sound like in utterances that are not heard in a conversation.

    Args:
        voices: whose.
        embedder: graph that is fed packed speech.
        mean: (D,) of the bundle.
    """

    voices: PackedVoices
    embedder: GraphEmbedder
    mean: Floats

    def __post_init__(self) -> None:
        self.embed = lru_cache(maxsize=200_000)(self._embed)
        shard = self.voices.shard
        self._distorted = {
            row for row in np.flatnonzero(shard.augmented).tolist() if row and not shard.augmented[row - 1]
        }

    def of(self, voice: int, heard: frozenset[int], rng: np.random.Generator) -> Floats | None:
        """Return (D,) centred, unit length, of some utterances; None when all are heard in the conversation.

        Half of the utterances are taken as packed with distortions, where there is such a version.
        """
        low, high = _SHORT_REFERENCE_S if rng.random() < _SHORT_SHARE else _REFERENCE_S
        wanted = 100.0 * float(np.exp(rng.uniform(np.log(low), np.log(high))))
        vectors, frames = [], 0
        for row in rng.permutation(self.voices.rows[voice]).tolist():
            if row in heard:
                continue
            # The distorted version of an utterance is packed right behind it.
            chosen = row + 1 if row + 1 in self._distorted and rng.random() < 0.5 else row
            vectors.append(self.embed(chosen))
            frames += int(self.voices.shard.frames[chosen])
            if frames >= wanted:
                break
        return center(np.mean(vectors, axis=0), np.zeros_like(self.mean)) if vectors else None

    def _embed(self, row: int) -> Floats:
        frames = self.voices.shard.frames_of(row)[:_MOST_FRAMES].astype(np.float32)
        return np.asarray(center(self.embedder.embed(frames[None])[0], self.mean))


class TargetConversations:
    """Conversations without end, with people to look for.

    Args:
        recipe: lengths and shares.
        shard: speech.
        bundle: whose embeddings are used.
    """

    def __init__(self, recipe: TargetRecipe, shard: Shard, bundle: Bundle) -> None:
        self.recipe, self.mean = recipe, bundle.mean
        voices = PackedVoices(shard, kept_back=1)
        self.chunks = FeatureChunks(voices, recipe.seconds)
        self.embedder = GraphEmbedder.of(bundle)
        self.references = References(voices, self.embedder, bundle.mean)

    def draw(self, count: int, distort_share: float, rng: np.random.Generator) -> Asked:
        """Return ``count`` conversations; strangers asked for in one are at home in another."""
        scenes = [self.chunks.draw_scene(rng) for _ in range(count)]
        features = np.stack([scene.chunk.features for scene in scenes])
        active = [scene.chunk.active.copy() for scene in scenes]
        if distort_share:
            distort(features, distort_share, rng)
        windows = []
        for x, spoken in zip(features, active, strict=True):
            n_frames = len(x)
            if rng.random() < _CUT_SHARE:
                n_frames = int(rng.integers(_LEAST_FRAMES, len(x)))
                x[...], spoken[n_frames:] = quiet_to(x[:n_frames], len(x)), False
            windows.append(self.windows(x, n_frames))
        targets, wanted = self._ask(scenes, active, rng)
        return Asked(features, np.stack(windows), targets, wanted)

    def windows(self, features: Floats, n_frames: int) -> Floats:
        """Return (W, L D) centred embeddings of the windows of a chunk (T, 80) that holds ``n_frames`` frames."""
        heard = features[:n_frames]
        masks = window_masks(n_frames, len(features))
        centred = self.embedder.front_end.normalised(heard, masks.max(axis=0))
        vectors = self.embedder.session.run(None, {"fbank": centred[None], "weights": masks[None]})[0][0]
        unit = center(vectors, np.zeros_like(self.mean))
        return center(unit, self.mean).reshape(
            len(features) // WINDOW_HOP_FRAMES, len(WINDOW_FRAMES) * self.mean.size
        )

    def _ask(
        self, scenes: list[Scene], active: list[NDArray[np.bool_]], rng: np.random.Generator
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """Return targets (B, K, D) and when they are heard, (B, K, T)."""
        k, n_frames = self.recipe.targets, len(active[0])
        known = [self._present(scene, spoken, rng) for scene, spoken in zip(scenes, active, strict=True)]
        targets = np.zeros((len(scenes), k, self.mean.size), np.float32)
        wanted = np.zeros((len(scenes), k, n_frames), np.bool_)
        for row, (scene, own) in enumerate(zip(scenes, known, strict=True)):
            room = k - int(rng.random() < self.recipe.absent_share * k)
            chosen = rng.permutation(len(own))[:room].tolist()
            for place, one in enumerate(chosen):
                column, targets[row, place] = own[one]
                wanted[row, place] = active[row][:, column]
            strangers = [
                (other.voices[column], vector)
                for other, theirs in zip(scenes, known, strict=True)
                for column, vector in theirs
                if other is not scene and not self._same_person(other.voices[column], scene)
            ]
            for place in range(len(chosen), k):
                if strangers:
                    targets[row, place] = strangers[int(rng.integers(len(strangers)))][1]
        return targets, wanted

    def _present(
        self, scene: Scene, spoken: NDArray[np.bool_], rng: np.random.Generator
    ) -> list[tuple[int, Floats]]:
        """Return (column, reference) of those who are heard."""
        found = []
        for column in np.flatnonzero(spoken.any(axis=0)).tolist():
            reference = self.references.of(scene.voices[column], scene.heard[column], rng)
            if reference is not None:
                found.append((column, reference))
        return found

    def _same_person(self, voice: int, scene: Scene) -> bool:
        """Return whether a voice, at any speed, belongs to somebody in the scene."""
        speaker = self.chunks.voices.speaker_of
        return speaker(voice) in {speaker(other) for other in scene.voices}
