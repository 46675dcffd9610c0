"""Two voices of one chunk are two people: they never share a cluster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix

from voxid.diarize.clustering.voices import Floats, Labels, Voices, cluster_means, unit_rows


def find_apart(chunk: Labels, sure: NDArray[np.bool_], items: Labels) -> NDArray[np.bool_]:
    """Return (M, M) which items hold voices of a common chunk, and so are two people.

    Args:
        chunk: (K,) number of the chunk of each voice.
        sure: (K,) which voices are long enough to be no slip of the segmentation; the others forbid nothing.
        items: (K,) the item 0..M-1 of each voice.
    """
    rows = np.flatnonzero(sure)
    _, number = np.unique(chunk[rows], return_inverse=True)
    shape = int(items.max()) + 1, int(number.max(initial=0)) + 1
    inside = csr_matrix((np.ones(len(rows), np.float32), (items[rows], number)), shape=shape)
    apart = np.asarray((inside @ inside.T).toarray() > 0)
    np.fill_diagonal(apart, False)
    return apart


def find_torn(chunk: Labels, weights: Floats, sure: NDArray[np.bool_], labels: Labels) -> Labels | None:
    """Return (2,) rows of the longest two voices that share a chunk and a cluster; None where none do.

    How long a pair is, is how long the shorter one is.
    """
    rows = np.flatnonzero(sure)
    order = rows[np.lexsort((-weights[rows], labels[rows], chunk[rows]))]
    same = (chunk[order[1:]] == chunk[order[:-1]]) & (labels[order[1:]] == labels[order[:-1]])
    pairs = np.flatnonzero(same)
    if len(pairs) == 0:
        return None
    at = int(pairs[np.argmax(weights[order[pairs + 1]])])
    return order[at : at + 2]


def assign_apart(voices: Voices, labels: Labels) -> Labels:
    """Return (N,) labels in which the voices of every chunk differ, and every voice that can has one.

    A voice alone in its chunk keeps its label, or takes the nearest cluster when it has none. Where several share a
    chunk, the matching of voices to clusters with the highest sum of cosine x seconds decides, so that a short voice,
    whose embedding says little, never moves a long one; when there are more voices than clusters, those left over
    get -1. No cluster loses its last voice.

    Args:
        labels: (N,) cluster 0..S-1 of each voice, -1 where it took no part; each cluster has a voice.

    Source: the constrained assignment of Bredin, "pyannote.audio 2.1 speaker diarization pipeline", Interspeech
    2023; Kuhn, "The Hungarian method", 1955.
    """
    known = np.flatnonzero(labels >= 0)
    means, _ = cluster_means(
        voices.embeddings[known], np.maximum(voices.seconds[known], 1e-3).astype(np.float64), labels[known]
    )
    near = voices.embeddings @ unit_rows(means).T
    gain = (near + 1.0) * np.maximum(voices.seconds, 1e-3)[:, None]
    assigned = np.where(labels >= 0, labels, np.argmax(near, axis=1))
    for rows in _crowds(voices.chunk):
        own = assigned[rows]
        if len(np.unique(own)) == len(own) and (labels[rows] >= 0).all():
            continue
        voice, cluster = linear_sum_assignment(gain[rows], maximize=True)
        assigned[rows] = -1
        assigned[rows[voice]] = cluster
    return _revive(voices, near, assigned)


def _crowds(chunk: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the rows of each chunk with two voices or more."""
    order = np.argsort(chunk, kind="stable")
    edges = np.flatnonzero(np.diff(chunk[order])) + 1
    return [rows for rows in np.split(order, edges) if len(rows) > 1]


def _revive(voices: Voices, near: NDArray[np.float32], assigned: Labels) -> Labels:
    """Return labels in which a cluster emptied by the matching has its nearest voice back.

    No chunk can hold that cluster already, and the cluster that gives the voice keeps another.
    """
    counts = np.bincount(assigned[assigned >= 0], minlength=near.shape[1])
    for cluster in np.flatnonzero(counts == 0).tolist():
        spare = np.flatnonzero((assigned < 0) | (counts[assigned] > 1))
        if len(spare) == 0:
            break
        voice = int(spare[np.argmax(near[spare, cluster])])
        if assigned[voice] >= 0:
            counts[assigned[voice]] -= 1
        assigned[voice], counts[cluster] = cluster, 1
    return assigned
