"""k-means on the sphere: for a count that is given, or to refine one that was found."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxid.diarize.clustering.voices import Floats, Labels, cluster_means, unit_rows

RESTARTS = 5
"""k-means is begun so often; the best result by mean cosine is kept."""

ROUNDS = 30


def refine_centroids(
    embeddings: NDArray[np.float32], weights: Floats, centroids: NDArray[np.float32], rounds: int = ROUNDS
) -> Labels:
    """Return (K,) which of the (S, D) unit centroids each unit row is nearest to, after moving them to their rows.

    A centroid that loses all its rows stays where it was, and its number may be missing.

    Source: spherical k-means, Dhillon and Modha, "Concept decompositions for large sparse text data using
    clustering", 2001.
    """
    labels = np.argmax(embeddings @ centroids.T, axis=1)
    for _ in range(rounds):
        means, total = cluster_means(embeddings, weights, labels)
        centroids = centroids.copy()
        centroids[: len(total)][total > 0] = unit_rows(means)[total > 0]
        moved = np.argmax(embeddings @ centroids.T, axis=1)
        if np.array_equal(moved, labels):
            break
        labels = moved
    return np.asarray(labels, dtype=np.int64)


def cluster_by_means(
    embeddings: NDArray[np.float32], weights: Floats, n_clusters: int, rng: np.random.Generator
) -> Labels:
    """Return (K,) labels of at most ``n_clusters`` clusters of unit rows, the best of :data:`RESTARTS`.

    Source: seeding by k-means++, Arthur and Vassilvitskii, SODA 2007.
    """
    best, best_near = np.zeros(len(embeddings), dtype=np.int64), -np.inf
    for _ in range(RESTARTS):
        labels = refine_centroids(embeddings, weights, _seed(embeddings, weights, n_clusters, rng))
        means, total = cluster_means(embeddings, weights, labels)
        near = float(total @ np.linalg.norm(means, axis=1))  # summed cosine of rows with their centroid
        if near > best_near:
            best, best_near = labels, near
    return best


def _seed(
    embeddings: NDArray[np.float32], weights: Floats, n_clusters: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return (S, D) rows, each drawn the likelier the farther it lies from those before."""
    chosen = [int(rng.choice(len(embeddings), p=weights / weights.sum()))]
    distance = np.full(len(embeddings), np.inf)
    while len(chosen) < n_clusters:
        nearness = embeddings @ embeddings[chosen[-1]]
        distance = np.minimum(distance, np.maximum(1.0 - nearness.astype(np.float64), 0.0))
        odds = distance * weights
        if odds.sum() <= 1e-9:  # no row differs from those chosen
            break
        chosen.append(int(rng.choice(len(embeddings), p=odds / odds.sum())))
    return embeddings[chosen]
