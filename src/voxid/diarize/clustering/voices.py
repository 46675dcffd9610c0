"""What is clustered, and what comes out.

Shapes: N voices, K voices that take part, M items (a voice, or a small pure cluster of them), D embedding
dimension, S speakers. Similarities are higher for what is more alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Voices:
    """Local voices in order of time: one per voice of each chunk, or one per window.

    Args:
        embeddings: (N, D) float32, unit rows, centred on the bundle's mean.
        chunk: (N,) int64, which chunk each was heard in; two of one chunk are two people. Windows, which may hold
            the same person, are a chunk each.
        seconds: (N,) float32, clean speech each was made from (what a window adds, where windows overlap).
        start_s: (N,) float32, where each begins in the recording.

    Raises:
        ValueError: the lengths differ.
    """

    embeddings: NDArray[np.float32]
    chunk: NDArray[np.int64]
    seconds: NDArray[np.float32]
    start_s: NDArray[np.float32]

    def __post_init__(self) -> None:
        lengths = {len(self.embeddings), len(self.chunk), len(self.seconds), len(self.start_s)}
        if len(lengths) != 1 or self.embeddings.ndim != 2:
            raise ValueError(
                f"embeddings (N, D) with chunk, seconds and start_s (N,), not of lengths {lengths}"
            )

    @classmethod
    def of_windows(
        cls, embeddings: NDArray[np.float32], seconds: NDArray[np.floating], start_s: NDArray[np.floating]
    ) -> Voices:
        """Return windows as voices: each a chunk of its own, so that any two may be one person."""
        chunk = np.arange(len(embeddings), dtype=np.int64)
        return cls(embeddings, chunk, seconds.astype(np.float32), start_s.astype(np.float32))

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def crowded(self) -> bool:
        """Whether any chunk holds two voices."""
        return len(np.unique(self.chunk)) < len(self)

    def take(self, rows: NDArray[np.integer]) -> Voices:
        """Return some of the voices, in the order of ``rows``."""
        return Voices(self.embeddings[rows], self.chunk[rows], self.seconds[rows], self.start_s[rows])


@dataclass(frozen=True, eq=False)
class Clustering:
    """Who each voice is.

    Attributes:
        labels: (N,) 0..S-1 by first appearance; -1 for a voice that found no place because its chunk holds more
            voices than speakers were allowed. Without such chunks there is no -1.
        n_speakers: S.
        method: name of the method that was used.
        measure: what :attr:`confidence` is measured by when it is first asked for.
    """

    labels: Labels
    n_speakers: int
    method: str
    measure: Callable[[], float] = field(repr=False)

    @cached_property
    def confidence(self) -> float:
        """Estimated probability, in [0, 1], that ``n_speakers`` is the true number of people who speak.

        Granted the bounds the caller gave; 1 when the caller gave the number itself. Measured on first use: in
        a moment with a PLDA, for the time of twenty clusterings of 500 voices without one. What it was fitted
        on, and how good it is, stands in :mod:`voxid.diarize.clustering.confidence`.
        """
        return self.measure()


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows scaled to unit length; a zero row stays zero."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)


def cluster_means(
    embeddings: NDArray[np.float32], weights: Floats, labels: Labels
) -> tuple[NDArray[np.float32], Floats]:
    """Return the weighted mean (S, D), not normalised, and the weight (S,) of each cluster 0..S-1."""
    n_clusters = int(labels.max()) + 1
    total = np.asarray(np.bincount(labels, weights=weights, minlength=n_clusters), dtype=np.float64)
    order = np.argsort(labels, kind="stable")
    present, first = np.unique(labels[order], return_index=True)
    sums = np.zeros((n_clusters, embeddings.shape[1]), dtype=np.float64)
    sums[present] = np.add.reduceat(embeddings[order] * weights[order, None], first, axis=0)
    return (sums / np.maximum(total, 1e-12)[:, None]).astype(np.float32), total


def renumber(labels: NDArray[np.integer]) -> Labels:
    """Return labels as 0..S-1 by first appearance; negative ones stay -1."""
    renamed = np.full(len(labels), -1, dtype=np.int64)
    known = np.flatnonzero(labels >= 0)
    _, first, inverse = np.unique(labels[known], return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    renamed[known] = rank[inverse]
    return renamed
