"""Which windows are the same voice: agglomerative clustering (AHC) with an automatic, bounded count.

Shapes: M items, K windows, D embedding dimension, S clusters. Similarities are cosines: higher is more alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxid.diarize.options import DiarizeOptions, SpeakerCount

BLOCK_WINDOWS = 1000
"""Windows clustered together on the first of two levels: about 12 minutes of speech at the default step."""

BLOCK_CLUSTERS = 80
"""Most clusters a block hands to the second level: 12 hours give about 58 blocks, so 4,640 items there."""

PURE_MARGIN = 0.2
"""The first level joins only this far above the threshold, so that it decides nothing contentious."""


@dataclass(frozen=True)
class Dendrogram:
    """Merges of M items, the most alike first.

    Attributes:
        pairs: (M - 1, 2) int64, one item out of each of the two clusters joined.
        similarities: (M - 1,) float32, mean cosine between the two, never rising.
        weights: (M,) float64, seconds of speech each item stands for.
    """

    pairs: NDArray[np.int64]
    similarities: NDArray[np.float32]
    weights: NDArray[np.float64]

    def labels_after(self, n_merges: int) -> NDArray[np.int64]:
        """Return (M,) cluster labels 0..S-1 after the first ``n_merges`` merges, by first appearance."""
        parent = list(range(len(self.weights)))
        for left, right in self.pairs[:n_merges].tolist():
            parent[_find_root(parent, left)] = _find_root(parent, right)
        roots = np.asarray([_find_root(parent, item) for item in range(len(parent))], dtype=np.int64)
        _, first, inverse = np.unique(roots, return_index=True, return_inverse=True)
        rank = np.empty(len(first), dtype=np.int64)
        rank[np.argsort(first)] = np.arange(len(first))
        return rank[inverse]

    def merges_above(self, threshold: float) -> int:
        """Return how many merges have at least this similarity."""
        return int(np.count_nonzero(self.similarities >= threshold))

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


def agglomerate(means: NDArray[np.float32], weights: NDArray[np.float64]) -> Dendrogram:
    """Return the average-linkage (UPGMA) dendrogram of items under cosine.

    The mean cosine between two groups of unit vectors is the dot product of their mean vectors, so an item
    may itself be a cluster: give its mean (not normalised) and its weight, and the tree continues where the
    first level stopped, exactly. Time and memory grow with the square of M (4 bytes each).

    Args:
        means: (M, D) mean of the unit embeddings each item stands for.
        weights: (M,) positive weight of each item.

    Source: nearest-neighbour chain, Murtagh (1983), The Computer Journal 26(4); Lance-Williams update.
    """
    n_items = len(means)
    similarity = means.astype(np.float32) @ means.astype(np.float32).T
    similarity = np.maximum(similarity, similarity.T)  # exactly symmetric, which the chain's end rests on
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
            nearest = int(np.argmax(row))
            if len(chain) > 1 and row[chain[-2]] >= row[nearest]:
                break
            chain.append(nearest)
        gone, kept = chain.pop(), chain.pop()
        pairs[step], heights[step] = (gone, kept), similarity[gone, kept]
        _join(similarity, mass, gone, kept)
        alive[gone] = False
    order = np.argsort(-heights, kind="stable")
    return Dendrogram(pairs[order], heights[order], weights.astype(np.float64))


def _join(similarity: NDArray[np.float32], mass: NDArray[np.float64], gone: int, kept: int) -> None:
    """Replace row and column ``kept`` by the weighted mean of both and blank ``gone``, in place."""
    total = mass[gone] + mass[kept]
    share = np.float32(mass[gone] / total)
    mean = similarity[gone] * share + similarity[kept] * (np.float32(1) - share)
    # Rounding must not lift a mean above both its parts: the chain would lose its order.
    np.minimum(mean, np.maximum(similarity[gone], similarity[kept]), out=mean)
    mean[kept] = -np.inf
    similarity[kept], similarity[:, kept] = mean, mean
    similarity[gone], similarity[:, gone] = -np.inf, -np.inf
    mass[kept] = total


def cluster_means(
    embeddings: NDArray[np.float32], weights: NDArray[np.float64], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the weighted mean (S, D), not normalised, and the weight (S,) of each cluster 0..S-1."""
    n_clusters = int(labels.max()) + 1
    total = np.zeros(n_clusters, dtype=np.float64)
    np.add.at(total, labels, weights)
    sums = np.zeros((n_clusters, embeddings.shape[1]), dtype=np.float64)
    np.add.at(sums, labels, embeddings * weights[:, None])
    return (sums / np.maximum(total, 1e-12)[:, None]).astype(np.float32), total


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows scaled to unit length; a zero row stays zero."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)


def compress_blocks(
    embeddings: NDArray[np.float32], weights: NDArray[np.float64], threshold: float
) -> NDArray[np.int64]:
    """Return (K,) labels of small pure clusters found in consecutive blocks: the first of two levels.

    Windows of one block join while their mean cosine stays ``PURE_MARGIN`` above the threshold, and on until
    at most ``BLOCK_CLUSTERS`` are left.
    """
    labels = np.empty(len(embeddings), dtype=np.int64)
    offset = 0
    for block in np.array_split(np.arange(len(embeddings)), -(-len(embeddings) // BLOCK_WINDOWS)):
        tree = agglomerate(embeddings[block], weights[block])
        merges = max(tree.merges_above(threshold + PURE_MARGIN), len(block) - BLOCK_CLUSTERS)
        labels[block] = tree.labels_after(merges) + offset
        offset = int(labels[block].max()) + 1
    return labels


def choose_merges(
    tree: Dendrogram, threshold: float, count: SpeakerCount, options: DiarizeOptions
) -> tuple[int, float]:
    """Return where to cut the tree, and the weight from which a cluster is a speaker.

    The cut is the one at ``threshold``, moved as little as possible until the number of clusters that weigh
    enough lies within ``count``. When no cut has enough heavy clusters, light ones count too.
    """
    most = count.most if count.most is not None else max(count.least, options.max_automatic_speakers)
    wanted = tree.merges_above(threshold)
    min_weight = min(options.min_cluster_s, options.min_cluster_share * float(tree.weights.sum()))
    for weight in (min_weight, 0.0):
        majors = tree.count_major(weight)
        fits = np.flatnonzero((majors >= count.least) & (majors <= most))
        if majors[wanted] > most:
            fits = fits[fits > wanted]  # below it clusters are merely still small
        if weight > 0 and count.least == 1 and majors[wanted] == 0:
            return wanted, float(tree.weights.max())
        if len(fits):
            return int(fits[np.argmin(np.abs(fits - wanted))]), weight
    return max(0, len(tree.weights) - count.least), 0.0


def cluster_windows(
    embeddings: NDArray[np.float32],
    weights: NDArray[np.float64],
    count: SpeakerCount,
    threshold: float,
    options: DiarizeOptions,
) -> NDArray[np.int64]:
    """Return (K,) speaker labels 0..S-1 of windows in order of time, by first appearance.

    Args:
        embeddings: (K, D) unit rows, centred.
        weights: (K,) seconds of speech each window stands for.
        threshold: mean cosine above which clusters join.

    Raises:
        InputError: ``speaker_count_invalid`` when there are fewer windows than speakers demanded.
    """
    count.check_enough(len(embeddings))
    if len(embeddings) <= max(options.direct_windows, count.least):
        items = np.arange(len(embeddings))
    else:
        items = compress_blocks(embeddings, weights, threshold)
    means, item_weights = cluster_means(embeddings, weights, items)
    tree = agglomerate(means, item_weights)
    merges, min_weight = choose_merges(tree, threshold, count, options)
    labels = tree.labels_after(merges)[items]
    return absorb_minor(embeddings, weights, labels, min_weight)


def absorb_minor(
    embeddings: NDArray[np.float32],
    weights: NDArray[np.float64],
    labels: NDArray[np.int64],
    min_weight: float,
) -> NDArray[np.int64]:
    """Return labels without clusters lighter than ``min_weight``: their windows go to the nearest heavy one.

    The heaviest cluster always stays. Labels are renumbered by first appearance.
    """
    means, total = cluster_means(embeddings, weights, labels)
    major = np.flatnonzero(total >= min(min_weight, float(total.max())))
    nearest = major[np.argmax(embeddings @ unit_rows(means[major]).T, axis=1)]
    kept = np.where(np.isin(labels, major), labels, nearest)
    _, first, inverse = np.unique(kept, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
