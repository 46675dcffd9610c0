"""Random training crops from a packed shard."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxid.features import N_MELS
from voxid.train.shards import Shard


@dataclass(frozen=True)
class Crops:
    """Draws batches: a speaker by the square root of how much speech there is, then a copy, an utterance, a place.

    The root lies between "every speaker alike", which repeats one-word speakers too often, and "every second alike",
    which sees mostly a few long ones.
    """

    shard: Shard
    copies: int
    utterances: dict[int, NDArray[np.int64]]
    probability: NDArray[np.float64]

    @classmethod
    def of(cls, shard: Shard) -> Crops:
        """Return a sampler over all speakers of a shard."""
        rows: dict[int, list[int]] = defaultdict(list)
        for u, (speaker, copy) in enumerate(zip(shard.speaker, shard.copy, strict=True)):
            rows[int(speaker) * 100 + int(copy)].append(u)
        frames = np.bincount(shard.speaker, weights=shard.frames, minlength=len(shard.speakers))
        probability = np.sqrt(frames)
        return cls(
            shard,
            int(shard.copy.max()) + 1,
            {key: np.array(us) for key, us in rows.items()},
            probability / probability.sum(),
        )

    @property
    def classes(self) -> int:
        """Speakers times speed copies."""
        return len(self.shard.speakers) * self.copies

    def draw(
        self, batch: int, n_frames: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return fbank (B, T, 80) float32 with zero mean over time, and labels (B,). Short utterances are repeated."""
        features = np.empty((batch, n_frames, N_MELS), dtype=np.float32)
        labels = np.empty(batch, dtype=np.int64)
        speakers = rng.choice(len(self.shard.speakers), size=batch, p=self.probability)
        for b, speaker in enumerate(speakers):
            copy = int(rng.integers(self.copies))
            choices = self.utterances[int(speaker) * 100 + copy]
            features[b] = crop(self.shard.frames_of(int(choices[rng.integers(choices.size)])), n_frames, rng)
            labels[b] = speaker * self.copies + copy
        features -= features.mean(axis=1, keepdims=True)
        return features, labels


def crop(frames: NDArray[np.float16], n_frames: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return ``n_frames`` frames from a random place, going round when there are fewer."""
    length = frames.shape[0]
    if length >= n_frames:
        first = int(rng.integers(length - n_frames + 1))
        return frames[first : first + n_frames].astype(np.float32)
    order = (np.arange(n_frames) + int(rng.integers(length))) % length
    return frames[order].astype(np.float32)


def spec_augment(features: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Blank, in place, one band of up to 10 bins and up to 20 frames of each crop (Park et al., 2019)."""
    for crop_features in features:
        width, length = int(rng.integers(0, 11)), int(rng.integers(0, 21))
        low = int(rng.integers(0, N_MELS - width))
        first = int(rng.integers(0, max(1, crop_features.shape[0] - length)))
        crop_features[:, low : low + width] = 0.0
        crop_features[first : first + length, :] = 0.0
