"""Random training crops from a packed shard, balanced over corpora and speakers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxid.features import N_MELS
from voxid.train.shards import Shard


@dataclass(frozen=True)
class Batch:
    """Crops with what they should become. Without a label or a teacher the loss leaves a crop out."""

    features: NDArray[np.float32]  # (B, T, 80)
    label: NDArray[np.int64]  # (B,) class, -1 for unlabelled speech
    teacher: NDArray[np.float32]  # (B, 256) unit vectors, or (B, 0)


class Crops:
    """Draws batches: a corpus, a speaker by the root of how much speech there is, then a copy, utterances, a place.

    The root lies between "every speaker alike", which repeats one-word speakers too often, and "every second alike",
    which sees mostly a few long ones. Several utterances of a speaker in one batch have different texts where the
    speaker has them, so that words do not tell speakers apart (many corpora let everybody say the same ones).

    Args:
        shard: packed speech.
        weights: by corpus name, how much more often than its size says it is drawn; absent is 1.
        balance: power of a corpus's size in its probability; 1 by size, 0 every corpus alike.
    """

    def __init__(self, shard: Shard, weights: dict[str, float], balance: float) -> None:
        self.shard = shard
        self.copies = int(shard.copy.max()) + 1
        key = shard.speaker * self.copies + shard.copy
        self._order = np.argsort(key, kind="stable")
        self._first = np.searchsorted(key[self._order], np.arange(len(shard.speakers) * self.copies + 1))
        root = np.sqrt(np.bincount(shard.speaker, weights=shard.frames, minlength=len(shard.speakers)))
        corpus = np.empty(len(shard.speakers), dtype=shard.corpus.dtype)
        corpus[shard.speaker] = shard.corpus
        for name in np.unique(corpus):
            rows = corpus == name
            root[rows] *= weights.get(str(name), 1.0) * root[rows].sum() ** (balance - 1.0)
        self.probability = root / root.sum()
        labelled = np.zeros(len(shard.speakers), dtype=np.bool_)
        labelled[shard.speaker] = shard.labelled
        self._number = np.where(labelled, np.cumsum(labelled) - 1, -1)
        self.classes = int(labelled.sum()) * self.copies
        self._teacher = centred_teacher(shard)
        self._label = np.where(
            self._number[shard.speaker] >= 0, self._number[shard.speaker] * self.copies + shard.copy, -1
        )

    def draw(
        self, batch: int, n_frames: int, rng: np.random.Generator, utterances_per_speaker: int = 1
    ) -> Batch:
        """Return ``batch`` crops as packed; short utterances are repeated. Crops of one speaker stand side by side."""
        speakers = rng.choice(
            len(self.shard.speakers), size=-(-batch // utterances_per_speaker), p=self.probability
        )
        rows: list[int] = []
        for speaker in speakers:
            first, last = self._first[[speaker * self.copies, (speaker + 1) * self.copies]]
            copies = np.unique(self.shard.copy[self._order[first:last]])
            key = speaker * self.copies + int(copies[rng.integers(copies.size)])
            choices = self._order[self._first[key] : self._first[key + 1]]
            rows += self._different_texts(choices, utterances_per_speaker, rng)
        chosen = np.array(rows[:batch])
        features = np.empty((batch, n_frames, N_MELS), dtype=np.float32)
        for b, u in enumerate(chosen):
            features[b] = crop(self.shard.frames_of(int(u)), n_frames, rng)
        return Batch(features, self._label[chosen], self._teacher[chosen].astype(np.float32))

    def class_corpora(self) -> NDArray[np.int64]:
        """Return the number of the corpus of each class, (classes,)."""
        known = self._label >= 0
        out = np.zeros(self.classes, dtype=np.int64)
        out[self._label[known]] = np.unique(self.shard.corpus, return_inverse=True)[1][known]
        return out

    def class_teachers(self) -> NDArray[np.float32]:
        """Return the mean of what the teacher says of each class, (classes, 256)."""
        known = self._label >= 0
        total = np.zeros((self.classes, self._teacher.shape[1]), dtype=np.float32)
        np.add.at(total, self._label[known], self._teacher[known].astype(np.float32))
        total /= np.maximum(np.bincount(self._label[known], minlength=self.classes), 1)[:, None]
        return total

    def _different_texts(self, choices: NDArray[np.int64], count: int, rng: np.random.Generator) -> list[int]:
        """Return ``count`` of the utterances, of different texts as far as there are any."""
        if count == 1:
            return [int(choices[rng.integers(choices.size)])]
        shuffled = rng.permutation(choices)
        _, first = np.unique(self.shard.text[shuffled], return_index=True)
        rest = np.setdiff1d(np.arange(shuffled.size), first)
        order = np.concatenate([rng.permutation(first), rng.permutation(rest)])
        return [int(u) for u in shuffled[np.resize(order, count)]]


def centred_teacher(shard: Shard) -> NDArray[np.float16]:
    """Return the teacher's embeddings (U, 256) less the mean of their corpus, of unit length.

    What all utterances of a corpus share is microphone and language; without it the public d-vector's own error on
    held-out speakers falls by a third to a half.
    """
    if shard.teacher.shape[1] == 0:
        return shard.teacher
    out = np.empty_like(shard.teacher)
    for name in np.unique(shard.corpus):
        rows = shard.corpus == name
        vectors = shard.teacher[rows].astype(np.float32)
        vectors -= vectors[shard.copy[rows] == 0].mean(axis=0)
        out[rows] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    return out


def crop(frames: NDArray[np.float16], n_frames: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return ``n_frames`` frames from a random place, going round when there are fewer."""
    length = frames.shape[0]
    if length >= n_frames:
        first = int(rng.integers(length - n_frames + 1))
        return frames[first : first + n_frames].astype(np.float32)
    order = (np.arange(n_frames) + int(rng.integers(length))) % length
    return frames[order].astype(np.float32)
