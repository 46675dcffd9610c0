"""Which of several partitions of the voices is the likeliest: each is weighed as a whole, by the PLDA.

AHC decides pair by pair and VB ends in the optimum nearest to where it began, so that a rare speaker is often lost and
a talkative one cut. What they propose, begun in several places, is cheap to compare.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxid.diarize.clustering.bounds import absorb_minor
from voxid.diarize.clustering.linkage import Dendrogram
from voxid.diarize.clustering.options import Task
from voxid.diarize.clustering.voices import Floats, Labels

INDEPENDENT_PER_S = 0.2
"""As how many independent recordings of the PLDA a second of speech counts. On 42 tuning conversations 0.16 and 0.2
choose alike; 0.07 counts too few speakers, 0.27 and more too many."""

MOST_CLUSTERS = 20
"""Cuts of the tree that leave more clusters are not looked at for a number that is given, or more than twice it."""

LIGHT_S = (3.0, 1.0, 0.0)
"""Seconds from which a cluster is a speaker, tried beside the usual where the number is given."""


def weigh_partition(X: Floats, psi: Floats, seconds: Floats, labels: Labels) -> float:
    """Return the log-likelihood (nats) of voices if each cluster is one speaker, up to what all partitions share.

    Windows overlap, and neighbours say much the same: a second counts as :data:`INDEPENDENT_PER_S` recordings.

    Args:
        X: (K, D') projected by :meth:`voxid.plda.Plda.project`.
        psi: (D',) its ``between``.
        seconds: (K,) of speech that each voice adds.
        labels: (K,) 0..S-1.

    Source: Brümmer and de Villiers, "The speaker partitioning problem", Odyssey 2010.
    """
    return float(weigh_clusters(*sum_clusters(X, seconds, labels), psi).sum())


def sum_clusters(X: Floats, seconds: Floats, labels: Labels) -> tuple[Floats, Floats]:
    """Return (S,) as how many recordings each cluster counts, and (S, D') their sum; arguments as above."""
    counts = INDEPENDENT_PER_S * seconds
    total = np.zeros((int(labels.max()) + 1, X.shape[1]))
    np.add.at(total, labels, X * counts[:, None])
    return np.asarray(np.bincount(labels, weights=counts), dtype=np.float64), total


def weigh_clusters(counts: Floats, total: Floats, psi: Floats) -> Floats:
    """Return (S,) what each cluster adds to :func:`weigh_partition`, in nats."""
    spread = 1.0 + counts[:, None] * psi
    return np.asarray(0.5 * (psi * np.square(total) / spread - np.log(spread)).sum(axis=1))


def find_likeliest(task: Task, X: Floats, partitions: Sequence[Labels]) -> Labels:
    """Return the partition (K,) with the highest :func:`weigh_partition`, of those within the bounds if there are any.

    Args:
        X: (K, D') projected embeddings.
        partitions: one or more.
    """
    fitting = [labels for labels in partitions if task.least <= int(labels.max()) + 1 <= task.most]
    psi = task.space.between
    return max(fitting or partitions, key=lambda labels: weigh_partition(X, psi, task.weights, labels))


def cut_exactly(task: Task, tree: Dendrogram) -> list[Labels]:
    """Return partitions (K,) into ``task.least`` clusters: the late cuts of the tree with so many that weigh enough."""
    earliest = max(0, len(tree.weights) - max(MOST_CLUSTERS, 2 * task.least))
    found = []
    for weight in (task.min_weight, *(light for light in LIGHT_S if light < task.min_weight)):
        merges = np.flatnonzero(tree.count_major(weight) == task.least)
        cuts = (tree.labels_after(int(cut))[task.items] for cut in merges[merges >= earliest])
        found += [absorb_minor(task, labels, weight) for labels in cuts]
    return found
