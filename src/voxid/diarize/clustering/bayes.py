"""VBx as a method of clustering: AHC makes too many speakers, variational Bayes keeps those it needs."""

from __future__ import annotations

import numpy as np

from voxid.diarize.clustering.bounds import absorb_minor
from voxid.diarize.clustering.linkage import Dendrogram, link_average
from voxid.diarize.clustering.options import Task
from voxid.diarize.clustering.partitions import cut_exactly, find_likeliest
from voxid.diarize.clustering.similarity import cosine_matrix, split_scores
from voxid.diarize.clustering.voices import Labels, renumber
from voxid.diarize.vbx import LOCAL_VOICES, WINDOWS, infer_speakers, soften

BIAS = -0.015
"""Added to the threshold found between two Gaussians, as the published recipe does."""

MOST_INITIAL = 64
"""Most speakers VB begins with: its time grows with them."""


MOST_RESTARTED = 600
"""Voices, some seven minutes of speech, beyond which VB begins once only, so that joining anew stays under a second."""


def cluster_vbx(task: Task) -> Labels:
    """Return (K,) labels: average-linkage AHC by cosine, then VB over the voices in the space of the PLDA.

    VB is not held to a number of speakers. Begun from several cuts of the tree, the likeliest of its ends within the
    bounds is kept; where the number is given, cuts of the tree that have it are compared as well.

    Source: see :mod:`voxid.diarize.vbx` and :mod:`voxid.diarize.clustering.partitions`.
    """
    options = task.options.vbx or (WINDOWS if task.ordered else LOCAL_VOICES)
    X, Phi = task.space.project(task.embeddings), task.space.between
    tree, wanted = _grow(task)
    n_items = len(tree.weights)
    several = options.starts if len(X) <= MOST_RESTARTED else ()
    found = []
    for merges in dict.fromkeys([wanted, *(max(0, n_items - start) for start in several)]):
        begun = soften(tree.labels_after(merges)[task.items], options.smoothing)
        labels = renumber(infer_speakers(X, Phi, begun, options).labels)
        found.append(absorb_minor(task, labels, task.min_weight, keep_rare=bool(several)))
        if (
            task.least == 1 and int(found[0].max()) == 0
        ):  # from many to a single voice: fewer beginnings say no more
            return found[0]
    if several and task.least == task.most:
        found += cut_exactly(task, tree)
    return find_likeliest(task, X, found) if len(found) > 1 else found[0]


def _grow(task: Task) -> tuple[Dendrogram, int]:
    """Return the tree over the items, and how many merges leave rather too many speakers than too few."""
    threshold, similarity = task.options.threshold, cosine_matrix(task.means)
    if threshold is None:
        threshold = split_scores(similarity) + BIAS
    tree = link_average(similarity, task.item_weights, task.apart(task.items))
    n_items = len(task.means)
    most = max(MOST_INITIAL, task.least)
    return tree, int(np.clip(tree.merges_above(threshold), n_items - most, max(0, n_items - task.least)))
