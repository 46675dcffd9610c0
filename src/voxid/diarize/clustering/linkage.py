"""Trees of merges: agglomerative clustering (AHC) by average, complete or centroid linkage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxid.diarize.clustering.similarity import cosine_matrix, symmetric
from voxid.diarize.clustering.voices import Floats, Labels, renumber

Scores = NDArray[np.float32]
Apart = NDArray[np.bool_]
Join = Callable[[Scores, Scores, float], Scores]


@dataclass(frozen=True)
class Dendrogram:
    """Merges of M items, the most alike first.

    Attributes:
        pairs: (M - 1, 2) int64, one item out of each of the two clusters joined.
        similarities: (M - 1,) float32, how alike the two were, never rising.
        weights: (M,) float64, seconds of speech each item stands for.
        n_free: how many merges join clusters that may be one person; those after them only serve a caller who demands
            fewer speakers than chunks hold at once.
    """

    pairs: NDArray[np.int64]
    similarities: Scores
    weights: Floats
    n_free: int

    def labels_after(self, n_merges: int) -> Labels:
        """Return (M,) cluster labels 0..S-1 after the first ``n_merges`` merges, by first appearance."""
        parent = list(range(len(self.weights)))
        for left, right in self.pairs[:n_merges].tolist():
            parent[_find_root(parent, left)] = _find_root(parent, right)
        return renumber(np.asarray([_find_root(parent, item) for item in range(len(parent))], dtype=np.int64))

    def merges_above(self, threshold: float) -> int:
        """Return how many merges have at least this similarity and join what may be one person."""
        return min(int(np.count_nonzero(self.similarities >= threshold)), self.n_free)

    def count_major(self, min_weight: float) -> NDArray[np.int64]:
        """Return (M,) how many clusters weigh at least ``min_weight`` after 0, 1, .. M - 1 merges."""
        parent = list(range(len(self.weights)))
        weight = self.weights.tolist()
        counts = np.empty(len(weight), dtype=np.int64)
        major = counts[0] = sum(each >= min_weight for each in weight)
        for step, (left, right) in enumerate(self.pairs.tolist(), start=1):
            a, b = _find_root(parent, left), _find_root(parent, right)
            joined = weight[a] + weight[b]
            major += (joined >= min_weight) - (weight[a] >= min_weight) - (weight[b] >= min_weight)
            parent[a], weight[b] = b, joined
            counts[step] = major
        return counts


def _find_root(parent: list[int], item: int) -> int:
    while parent[item] != item:
        parent[item] = parent[parent[item]]
        item = parent[item]
    return item


def agglomerate(means: NDArray[np.float32], weights: Floats, apart: Apart | None = None) -> Dendrogram:
    """Return the average-linkage (UPGMA) dendrogram of items under cosine.

    The mean cosine between two groups of unit vectors is the dot product of their mean vectors, so an item
    may itself be a cluster: give its mean (not normalised) and its weight, and the tree continues where the
    first level stopped, exactly. Time and memory grow with the square of M (4 bytes each).

    Args:
        means: (M, D) mean of the unit embeddings each item stands for.
        weights: (M,) positive weight of each item.
        apart: (M, M) which items are two people; None: none are known to be.
    """
    return link_average(cosine_matrix(means.astype(np.float32)), weights, apart)


def link_average(similarity: Scores, weights: Floats, apart: Apart | None = None) -> Dendrogram:
    """Return the tree in which two clusters are as alike as the weighted mean of their pairs.

    Args:
        similarity: (M, M) float32, exactly symmetric; it is overwritten.
        weights: (M,) positive weight of each item.
        apart: (M, M) symmetric, which items are two people: clusters that hold such a pair join last of all, the most
            alike first. None: none are known to be.

    Source: UPGMA, Sokal and Michener (1958), by the update of Lance and Williams (1967); cannot-link constraints in
    it: Davidson and Ravi, "Agglomerative hierarchical clustering with constraints", PKDD 2005.
    """

    def mean(gone: Scores, kept: Scores, share: float) -> Scores:
        joined = gone * np.float32(share) + kept * (np.float32(1) - np.float32(share))
        # Rounding must not lift a mean above both its parts: the chain would lose its order.
        return np.minimum(joined, np.maximum(gone, kept))

    return _link_chain(similarity, weights, mean, apart)


def link_complete(similarity: Scores, weights: Floats, apart: Apart | None = None) -> Dendrogram:
    """Return the tree in which two clusters are as alike as their least alike pair; arguments as above.

    Source: Sørensen (1948); Defays (1977) for its use as a method of clustering.
    """
    return _link_chain(similarity, weights, lambda gone, kept, share: np.minimum(gone, kept), apart)


def _link_chain(similarity: Scores, weights: Floats, join: Join, apart: Apart | None) -> Dendrogram:
    """Return the tree of a linkage that never makes a joined cluster more alike to others than its parts were.

    Pairs that are two people lie behind a fence: their similarities are lowered until none reaches that of a free
    pair. Lowering both parts of a cluster, or one, leaves the property above as it is.

    Args:
        join: rows of the two clusters, and the share of the first in their weight, to the row of both.

    Source: nearest-neighbour chain, Murtagh (1983), The Computer Journal 26(4).
    """
    n_items = len(similarity)
    floor = np.float32(-np.inf)
    if apart is not None and n_items > 1:
        fence, floor = _fence(similarity)
        similarity[apart] -= fence
        join = _behind(join, fence, floor)
    np.fill_diagonal(similarity, -np.inf)
    mass = weights.astype(np.float64).copy()
    alive = np.ones(n_items, dtype=np.bool_)
    pairs = np.empty((max(n_items - 1, 0), 2), dtype=np.int64)
    heights = np.empty(len(pairs), dtype=np.float32)
    chain: list[int] = []
    for step in range(len(pairs)):
        if not chain:
            chain.append(int(np.argmax(alive)))
        while True:
            row = similarity[chain[-1]]
            nearest = int(row.argmax())
            if len(chain) > 1 and row[chain[-2]] >= row[nearest]:
                break
            chain.append(nearest)
        gone, kept = chain.pop(), chain.pop()
        pairs[step], heights[step] = (gone, kept), similarity[gone, kept]
        total = mass[gone] + mass[kept]
        joined = join(similarity[gone], similarity[kept], float(mass[gone] / total))
        _replace(similarity, joined, gone, kept)
        mass[kept], alive[gone] = total, False
    order = np.argsort(-heights, kind="stable")
    n_free = int(np.count_nonzero(heights >= floor))
    return Dendrogram(pairs[order], heights[order], weights.astype(np.float64), n_free)


def _fence(similarity: Scores) -> tuple[np.float32, np.float32]:
    """Return by how much to lower the pairs that are two people, and a value between them and the free ones."""
    least, most = similarity.min(), similarity.max()
    return np.float32(2 * (most - least) + 4), np.float32(least - 2)


def _behind(join: Join, fence: np.float32, floor: np.float32) -> Join:
    """Return the linkage in which a cluster that is behind the fence for either part is so for both."""

    def joined(gone: Scores, kept: Scores, share: float) -> Scores:
        gone_far, kept_far = gone < floor, kept < floor
        row = join(np.where(gone_far, gone + fence, gone), np.where(kept_far, kept + fence, kept), share)
        return np.minimum(np.where(gone_far | kept_far, row - fence, row), np.maximum(gone, kept))

    return joined


def _replace(similarity: Scores, joined: Scores, gone: int, kept: int) -> None:
    """Put ``joined`` in row and column ``kept`` and blank ``gone``, in place."""
    joined[kept] = -np.inf
    similarity[kept], similarity[:, kept] = joined, joined
    similarity[gone], similarity[:, gone] = -np.inf, -np.inf


def link_centroids(
    means: NDArray[np.floating],
    weights: Floats,
    place: Callable[[Scores], Scores],
    score: Callable[[Scores, Scores], Scores],
    apart: Apart | None = None,
) -> Dendrogram:
    """Return the tree in which two clusters are as alike as their centroids, the most alike pair joined first.

    A joined cluster can be more alike to a third than either part was; such merges are kept at the height of the
    one before, so that a cut stops at the first merge below it.

    Args:
        means: (M, D) mean of the embeddings of each item.
        weights: (M,) positive weight of each item.
        place: means (.., D) to what is compared, e.g. the same scaled to unit length.
        score: (A, D) and (B, D) of these to (A, B) similarities.
        apart: (M, M) which items are two people, as for :func:`link_average`.

    Source: UPGMC, Sokal and Michener (1958); on the sphere as in spherical k-means, Dhillon and Modha (2001).
    """
    n_items = len(means)
    centre, mass = means.astype(np.float64), weights.astype(np.float64).copy()
    vectors = place(centre.astype(np.float32))
    similarity = symmetric(score(vectors, vectors))
    apart = np.zeros_like(similarity, np.bool_) if apart is None else apart.copy()
    fence = 2 * _fence(similarity)[0]  # centroids may be farther apart, or nearer, than any two items
    similarity[apart] -= fence
    np.fill_diagonal(similarity, -np.inf)
    n_free = 0
    pairs = np.empty((max(n_items - 1, 0), 2), dtype=np.int64)
    heights = np.empty(len(pairs), dtype=np.float32)
    best = similarity.argmax(axis=1)
    height = similarity[np.arange(n_items), best]
    for step in range(len(pairs)):
        kept = int(np.argmax(height))
        gone = int(best[kept])
        pairs[step], heights[step] = (gone, kept), height[kept]
        n_free += not apart[gone, kept]
        apart[kept] |= apart[gone]
        apart[:, kept] = apart[kept]
        total = mass[gone] + mass[kept]
        centre[kept] = (centre[gone] * mass[gone] + centre[kept] * mass[kept]) / total
        vectors[kept] = place(centre[kept].astype(np.float32))
        joined = score(vectors[kept : kept + 1], vectors)[0]
        joined[apart[kept]] -= fence
        joined[similarity[kept] == -np.inf] = -np.inf  # those already joined
        joined[gone] = -np.inf
        _replace(similarity, joined, gone, kept)
        mass[kept], height[gone] = total, -np.inf
        # Whose nearest may have changed: those who pointed here, those who are nearer here now, and the new one.
        stale = (best == gone) | (best == kept) | (joined > height)
        stale[kept], stale[gone] = True, False
        rows = np.flatnonzero(stale & (height > -np.inf))
        best[rows] = similarity[rows].argmax(axis=1)
        height[rows] = similarity[rows, best[rows]]
    return Dendrogram(pairs, np.minimum.accumulate(heights), weights.astype(np.float64), n_free)
