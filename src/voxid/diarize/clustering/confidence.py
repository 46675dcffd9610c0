"""How sure a number of speakers is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from voxid.diarize.clustering.bounds import split_in_two
from voxid.diarize.clustering.options import Task
from voxid.diarize.clustering.voices import Floats, Labels, cluster_means, renumber

MOST_RESAMPLED = 500
"""Voices in a resample at most: what keeps the confidence cheap however long the recording is."""

MOST_SPLIT = 400
"""Rows of a cluster at most that are looked at for a split."""

WEIGHTS = (0.0, 1.0, 1.0)


def measure_confidence(task: Task, labels: Labels, find_labels: Callable[[Task], Labels]) -> float:
    placed = labels >= 0
    gap = measure_gap(task.embeddings[placed], task.weights[placed], labels[placed], task.min_weight)
    stability = measure_stability(task, int(labels.max()) + 1, find_labels)
    constant, by_gap, by_stability = WEIGHTS
    return 1.0 / (1.0 + float(np.exp(-(constant + by_gap * gap + by_stability * stability))))


def measure_stability(task: Task, n_speakers: int, find_labels: Callable[[Task], Labels]) -> float:
    """Return the share of halves of the voices, drawn at random, in which the same number of speakers is found.

    Weights are scaled so that a half speaks as long as the whole, and a minor cluster stays minor.
    """
    rng = np.random.default_rng(task.options.seed)
    n_voices = len(task.embeddings)
    size = min(MOST_RESAMPLED, -(-n_voices // 2))
    if size < task.least or task.options.resamples == 0:
        return 1.0
    same = 0
    for _ in range(task.options.resamples):
        rows = np.sort(rng.choice(n_voices, size, replace=False))
        weights = task.weights[rows] * (task.weights.sum() / task.weights[rows].sum())
        part = replace(task, embeddings=task.embeddings[rows], weights=weights, items=np.arange(size))
        same += int(find_labels(part).max()) + 1 == n_speakers
    return same / task.options.resamples


def measure_gap(embeddings: NDArray[np.float32], weights: Floats, labels: Labels, min_weight: float) -> float:
    """Return how far apart, in mean cosine, the next smaller and the next larger number of speakers are.

    The most alike two clusters join at one similarity; the loosest cluster that could be two speakers splits at
    another. Any threshold between the two gives the same number, so the wider the better; below 0 the clusters
    contradict themselves.
    """
    means, _ = cluster_means(embeddings, weights, renumber(labels))
    between = means @ means.T
    np.fill_diagonal(between, -1.0)
    joins_at = float(between.max()) if len(means) > 1 else 0.0
    splits_at = 1.0
    for label in range(len(means)):
        own = np.flatnonzero(renumber(labels) == label)
        own = own[:: -(-len(own) // MOST_SPLIT)]
        if len(own) < 2:
            continue
        halves = split_in_two(embeddings[own], weights[own])
        mass = weights[own] * (weights[labels == label].sum() / weights[own].sum())
        if min(mass[halves].sum(), mass[~halves].sum()) >= min_weight:
            ends, _ = cluster_means(embeddings[own], weights[own], halves.astype(np.int64))
            splits_at = min(splits_at, float(ends[0] @ ends[1]))
    return splits_at - joins_at
