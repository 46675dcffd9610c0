"""Making the number of speakers fit: minor clusters merged, too many joined, too few split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxid.diarize.clustering.linkage import agglomerate
from voxid.diarize.clustering.means import refine_centroids
from voxid.diarize.clustering.options import Task
from voxid.diarize.clustering.voices import Floats, Labels, cluster_means, renumber, unit_rows


def absorb_minor(
    embeddings: NDArray[np.float32], weights: Floats, labels: Labels, min_weight: float
) -> Labels:
    """Return labels without clusters lighter than ``min_weight``: their voices go to the nearest heavy one.

    The heaviest cluster always stays. Labels are renumbered by first appearance.

    Args:
        embeddings: (K, D) unit rows.
        weights: (K,) seconds.
        labels: (K,) 0..S-1.
    """
    means, total = cluster_means(embeddings, weights, labels)
    major = np.flatnonzero(total >= min(min_weight, float(total.max())))
    if len(major) == len(total):
        return renumber(labels)
    nearest = major[np.argmax(embeddings @ unit_rows(means[major]).T, axis=1)]
    return renumber(np.where(np.isin(labels, major), labels, nearest))


def fit_bounds(task: Task, labels: Labels) -> Labels:
    """Return labels with at least ``task.least`` and at most ``task.most`` clusters, otherwise unchanged.

    Too many: the most alike clusters join (average linkage). Too few: the loosest is split in two, again and
    again. Bounds that the method itself met cost nothing here.
    """
    labels = renumber(labels)
    surplus = int(labels.max()) + 1 - task.most
    if surplus > 0:
        means, total = cluster_means(task.embeddings, task.weights, labels)
        labels = agglomerate(means, total).labels_after(surplus)[labels]
    while int(labels.max()) + 1 < task.least:
        labels = _split_loosest(task, labels)
    return renumber(labels)


def _split_loosest(task: Task, labels: Labels) -> Labels:
    """Return labels with one cluster more: the one that loses most cosine to its mean, cut in two."""
    means, _ = cluster_means(task.embeddings, task.weights, labels)
    near = np.einsum("kd,kd->k", task.embeddings, unit_rows(means)[labels])
    looseness = np.bincount(labels, weights=task.weights * np.maximum(1.0 - near, 1e-9))
    looseness[np.bincount(labels) < 2] = -1.0
    own = np.flatnonzero(labels == int(np.argmax(looseness)))
    split = labels.copy()
    split[own[split_in_two(task.embeddings[own], task.weights[own])]] = int(labels.max()) + 1
    return split


def split_in_two(embeddings: NDArray[np.float32], weights: Floats) -> NDArray[np.bool_]:
    """Return (K,) which of two halves each row belongs to; neither is empty, K >= 2.

    Begins with the two most opposite ends along the direction in which the rows differ most.
    """
    mean, _ = cluster_means(embeddings, weights, np.zeros(len(embeddings), dtype=np.int64))
    centred = embeddings - mean
    along = centred @ _main_direction(centred, weights)
    ends = np.array([int(np.argmin(along)), int(np.argmax(along))])
    if ends[0] == ends[1]:  # all rows alike
        ends[1] = (ends[0] + 1) % len(embeddings)
    labels = refine_centroids(embeddings, weights, embeddings[ends])
    halves = labels == 1
    if halves.all() or not halves.any():
        halves = np.arange(len(embeddings)) == ends[1]
    return np.asarray(halves)


def _main_direction(centred: NDArray[np.float32], weights: Floats, rounds: int = 10) -> NDArray[np.float32]:
    """Return the first principal direction (D,) by power iteration from the row farthest from the mean."""
    direction = centred[int(np.argmax(np.square(centred).sum(axis=1)))].astype(np.float64)
    for _ in range(rounds):
        direction = (weights * (centred @ direction)) @ centred
        direction /= max(float(np.linalg.norm(direction)), 1e-12)
    return np.asarray(direction, dtype=np.float32)
