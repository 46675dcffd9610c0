"""How sure a number of speakers is.

The confidence is an estimate of the probability that the number is exactly right. Three observations go into a
logistic regression: how wide the gap between the next smaller and the next larger number is, how often half of the
voices give the same number, and by how much a method of another kind differs (the eigengap of ``spectral`` against a
threshold; ``ahc`` against an eigengap).

Fitted on 84 conversations stitched from held-out training speakers (1 to 5 people, 30 to 120 s; rooms, telephone,
noise), by ``ahc`` and by ``spectral``, with the bundle ecapa-small. Left out in turn (7 folds), the quarters of the 168
answers to which it gave .38, .52, .60 and .67 on average were right in .38, .50, .69 and .60; mean squared error
(Brier) .234, where the share of right numbers, said each time, gives .248; a right number has the higher confidence of
two with probability .63. On 400 conversations put together from windows of 44 such people: .212 against .247 and .76
(``ahc``), .260 against .237 and .66 (``spectral``). So it is honest on average and separates weakly; for the easiest
recordings it says .7. Other bundles, methods and longer meetings were not measured: there read it as an order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from voxid.diarize.clustering.bounds import split_in_two
from voxid.diarize.clustering.options import Task
from voxid.diarize.clustering.voices import Floats, Labels, cluster_means

MOST_RESAMPLED = 500
"""Voices in a resample at most: what keeps the confidence cheap however long the recording is."""

MOST_SPLIT = 400
"""Rows of a cluster at most that are looked at for a split."""

WEIGHTS = (-0.37, 0.33, 0.96, -0.36)
"""Constant, gap, stability and disagreement."""

MOST_DISAGREEMENT = 3


@dataclass(frozen=True)
class Evidence:
    """What speaks for and against a number of speakers.

    Attributes:
        gap: see :func:`measure_gap`; in mean cosine, more is surer.
        stability: see :func:`measure_stability`; in [0, 1], more is surer.
        disagreement: by how many speakers a method of another kind differs.
    """

    gap: float
    stability: float
    disagreement: int

    @property
    def confidence(self) -> float:
        """Estimated probability that the number is right, in [0, 1]."""
        constant, by_gap, by_stability, by_disagreement = WEIGHTS
        apart = min(self.disagreement, MOST_DISAGREEMENT)
        odds = constant + by_gap * self.gap + by_stability * self.stability + by_disagreement * apart
        return 1.0 / (1.0 + math.exp(-odds))


def measure_stability(task: Task, n_speakers: int, find_labels: Callable[[Task], Labels]) -> float:
    """Return the share of halves of the voices, drawn at random, in which the same number of speakers is found.

    Weights are scaled so that a half speaks as long as the whole, and a minor cluster stays minor.
    """
    rng = np.random.default_rng(task.options.seed)
    n_voices = len(task.embeddings)
    size = min(MOST_RESAMPLED, -(-n_voices // 2))
    if size < task.least:
        return 1.0
    same = 0
    for _ in range(task.options.resamples):
        rows = np.sort(rng.choice(n_voices, size, replace=False))
        weights = task.weights[rows] * (task.weights.sum() / task.weights[rows].sum())
        part = replace(task.take(rows), weights=weights)
        same += int(find_labels(part).max()) + 1 == n_speakers
    return same / task.options.resamples


def measure_gap(
    embeddings: NDArray[np.float32],
    weights: Floats,
    labels: Labels,
    min_weight: float,
    apart: NDArray[np.bool_] | None = None,
) -> float:
    """Return how far apart, in mean cosine, the next smaller and the next larger number of speakers are.

    The most alike two clusters join at one similarity; the loosest cluster that could be two speakers splits at
    another. Any threshold between the two gives the same number, so the wider the better; below 0 the clusters
    contradict themselves.

    Args:
        labels: (K,) 0..S-1 by first appearance.
        apart: (S, S) which speakers are heard in one chunk, and never join.
    """
    means, _ = cluster_means(embeddings, weights, labels)
    between = means @ means.T
    np.fill_diagonal(between, -1.0)
    if apart is not None:
        between[apart] = np.minimum(between[apart], 0.0)
    joins_at = float(between.max()) if len(means) > 1 else 0.0
    splits_at = 1.0
    for label in range(len(means)):
        own = np.flatnonzero(labels == label)
        own = own[:: -(-len(own) // MOST_SPLIT)]
        if len(own) < 2:
            continue
        halves = split_in_two(embeddings[own], weights[own])
        mass = weights[own] * (weights[labels == label].sum() / weights[own].sum())
        if min(mass[halves].sum(), mass[~halves].sum()) >= min_weight:
            ends, _ = cluster_means(embeddings[own], weights[own], halves.astype(np.int64))
            splits_at = min(splits_at, float(ends[0] @ ends[1]))
    return splits_at - joins_at
