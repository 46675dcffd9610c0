"""How sure a number of speakers is.

The confidence is an estimate of the probability that the number is exactly right, by a logistic regression.

**Windows, with a PLDA** (:class:`Margins`): how much likelier the partition is than the likeliest with one
speaker fewer and than one with its loosest speaker cut, and how much speech there is. Fitted on what ``vbx``
made of 42 simulated conversations for tuning (3 to 6 minutes; 81 % of the numbers right) and 106 pieces of 90 s
of them (31 %: whoever speaks for half a second counts). Each half of the conversations by weights from the
other: the thirds to which it gave .25, .39 and .71 on average were right in .26, .39 and .71; mean squared
error (Brier) .199, where the share of right numbers, said each time, gives .248; a right number has the higher
confidence of two with probability .75. Most of that is the amount of speech: among whole conversations alone
Brier is .168 against .154, among pieces .211 against .214; telephone calls of two are righter than it says
(.251 against .122). What it replaced (the evidence below) had .271 here.

**Otherwise** (:class:`Evidence`): how wide the gap between the next smaller and the next larger number is, how
often half of the voices give the same number, and by how much a method of another kind differs (the eigengap of
``spectral`` against a threshold; ``ahc`` against an eigengap). Fitted on 84 conversations stitched from
held-out training speakers (1 to 5 people, 30 to 120 s; rooms, telephone, noise), by ``ahc`` and by
``spectral``, with the bundle ecapa-small: left out in turn (7 folds), Brier .234 against .248; a right number
has the higher confidence of two with probability .63. On other bundles, methods and longer meetings it is an
order at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from voxid.diarize.clustering.bounds import split_in_two, split_loosest
from voxid.diarize.clustering.options import Task
from voxid.diarize.clustering.partitions import sum_clusters, weigh_clusters, weigh_partition
from voxid.diarize.clustering.voices import Floats, Labels, cluster_means

MOST_RESAMPLED = 500
"""Voices in a resample at most: what keeps the confidence cheap however long the recording is."""

MOST_SPLIT = 400
"""Rows of a cluster at most that are looked at for a split."""

WEIGHTS = (-0.37, 0.33, 0.96, -0.36)
"""Constant, gap, stability and disagreement."""

MOST_DISAGREEMENT = 3

MARGIN_WEIGHTS = (0.14, 0.35, -0.33, 1.78)
"""Constant, margin over joined, margin over split (arsinh of 50 nats), and logarithm of the speech in 120 s."""

MOST_SPEECH_S = 335.0
"""More speech makes a number no surer: the fit saw no more."""

FITTED = ("vbx",)
"""Methods for which the weights of the margins were fitted, on windows."""


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


@dataclass(frozen=True)
class Margins:
    """How much likelier a partition is than its neighbours, by the PLDA, and how much speech it was made of.

    Attributes:
        joined_nats: than the likeliest with two of its clusters as one; 0 where there is only one.
        split_nats: than with its loosest cluster cut in two.
        speech_s: of all voices.
    """

    joined_nats: float
    split_nats: float
    speech_s: float

    @property
    def confidence(self) -> float:
        """Estimated probability that the number is right, in [0, 1]."""
        constant, by_joined, by_split, by_speech = MARGIN_WEIGHTS
        odds = (
            constant
            + by_joined * math.asinh(self.joined_nats / 50)
            + by_split * math.asinh(self.split_nats / 50)
        )
        odds += by_speech * math.log(min(max(self.speech_s, 1.0), MOST_SPEECH_S) / 120)
        return 1.0 / (1.0 + math.exp(-odds))


def measure_margins(task: Task, labels: Labels) -> Margins:
    """Return how clearly a partition of windows is the likeliest among those with one speaker fewer or more.

    Args:
        task: with a PLDA.
        labels: (K,) 0..S-1.
    """
    X, psi = task.space.project(task.embeddings), task.space.between
    counts, total = sum_clusters(X, task.weights, labels)
    terms = weigh_clusters(counts, total, psi)
    one, other = np.triu_indices(len(counts), 1)
    joined = (
        weigh_clusters(counts[one] + counts[other], total[one] + total[other], psi)
        - terms[one]
        - terms[other]
    )
    split = (
        weigh_partition(X, psi, task.weights, split_loosest(task, labels))
        if len(X) > 1
        else float(terms.sum())
    )
    return Margins(
        joined_nats=-float(joined.max()) if len(joined) else 0.0,
        split_nats=float(terms.sum()) - split,
        speech_s=float(task.weights.sum()),
    )


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
