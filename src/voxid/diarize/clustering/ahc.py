"""Agglomerative clustering: the most alike voices join until none are alike enough, within the bounds."""

from __future__ import annotations

import numpy as np

from voxid.diarize.clustering.bounds import absorb_minor
from voxid.diarize.clustering.linkage import Dendrogram, link_average, link_centroids, link_complete
from voxid.diarize.clustering.options import Task
from voxid.diarize.clustering.similarity import (
    cosine_matrix,
    cosine_scores,
    plda_scores,
    split_scores,
    symmetric,
)
from voxid.diarize.clustering.voices import Labels, unit_rows


def cluster_ahc(task: Task) -> Labels:
    """Return (K,) labels by the linkage and score that the method's name says; plain ``ahc`` is average, cosine.

    Source: average linkage with a threshold is the AHC of Sell and Garcia-Romero, "Speaker diarization with PLDA
    i-vector scoring and unsupervised calibration", SLT 2014 (there with PLDA scores).
    """
    tree, threshold = grow_tree(task)
    merges, min_weight = choose_merges(tree, threshold, task)
    labels = tree.labels_after(merges)[task.items]
    return absorb_minor(task, labels, min_weight)


def grow_tree(task: Task) -> tuple[Dendrogram, float]:
    """Return the tree over the items and the similarity to cut it at."""
    _, _, kind = task.options.method.partition("ahc-")
    if kind.endswith("plda"):
        vectors = task.space.project(unit_rows(task.means)).astype(np.float32)
        psi = task.space.between
        similarity = symmetric(plda_scores(vectors, vectors, psi))
    else:
        similarity = cosine_matrix(task.means)
    threshold = task.options.threshold
    if threshold is None:
        threshold = split_scores(similarity)
    weights, apart = task.item_weights, task.apart(task.items)
    if kind.startswith("complete"):
        return link_complete(similarity, weights, apart), threshold
    if not kind.startswith("centroid"):
        return link_average(similarity, weights, apart), threshold
    if kind.endswith("plda"):
        return link_centroids(
            vectors, weights, lambda means: means, lambda a, b: plda_scores(a, b, psi), apart
        ), threshold
    return link_centroids(task.means, weights, unit_rows, cosine_scores, apart), threshold


def choose_merges(tree: Dendrogram, threshold: float, task: Task) -> tuple[int, float]:
    """Return where to cut the tree, and the weight from which a cluster is a speaker.

    The cut is the one at ``threshold``, moved as little as possible until the number of clusters that weigh
    enough lies within the bounds. When no cut has enough heavy clusters, light ones count too. Clusters that are two
    people join only where there are too many.
    """
    wanted = tree.merges_above(threshold)
    for weight in (task.min_weight, 0.0):
        majors = tree.count_major(weight)
        fits = np.flatnonzero((majors >= task.least) & (majors <= task.most))
        if majors[wanted] > task.most:
            fits = fits[fits > wanted]  # below it clusters are merely still small
        else:
            fits = fits[fits <= tree.n_free]
        if weight > 0 and task.least == 1 and majors[wanted] == 0:
            return wanted, float(tree.weights.max())
        if len(fits):
            return int(fits[np.argmin(np.abs(fits - wanted))]), weight
    return max(0, len(tree.weights) - task.least), 0.0
