"""VBx as a method of clustering: AHC makes too many speakers, variational Bayes keeps those it needs."""

from __future__ import annotations

import numpy as np

from voxid.diarize.clustering.bounds import absorb_minor
from voxid.diarize.clustering.linkage import link_average
from voxid.diarize.clustering.options import Task
from voxid.diarize.clustering.similarity import cosine_matrix, split_scores
from voxid.diarize.clustering.voices import Labels, renumber
from voxid.diarize.vbx import LOCAL_VOICES, WINDOWS, infer_speakers, soften

BIAS = -0.015
"""Added to the threshold found between two Gaussians, as the published recipe does."""

MOST_INITIAL = 64
"""Most speakers VB begins with: its time grows with them."""


def cluster_vbx(task: Task) -> Labels:
    """Return (K,) labels: average-linkage AHC by cosine, then VB over the voices in the space of the PLDA.

    Bounds are met afterwards: VB itself is not held to a number of speakers.

    Source: see :mod:`voxid.diarize.vbx`.
    """
    options = task.options.vbx or (WINDOWS if task.ordered else LOCAL_VOICES)
    space = task.space
    begun = soften(_begin(task)[task.items], options.smoothing)
    result = infer_speakers(space.project(task.embeddings), space.between, begun, options)
    return absorb_minor(task, renumber(result.labels), task.min_weight)


def _begin(task: Task) -> Labels:
    """Return (M,) labels of the items, rather too many than too few."""
    threshold, similarity = task.options.threshold, cosine_matrix(task.means)
    if threshold is None:
        threshold = split_scores(similarity) + BIAS
    tree = link_average(similarity, task.item_weights, task.apart(task.items))
    n_items = len(task.means)
    most = max(MOST_INITIAL, task.least)
    wanted = np.clip(tree.merges_above(threshold), n_items - most, max(0, n_items - task.least))
    return tree.labels_after(int(wanted))
