"""Making the number of speakers fit: minor clusters merged, too many joined, too few split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxid.diarize.clustering.constraint import find_torn
from voxid.diarize.clustering.linkage import agglomerate
from voxid.diarize.clustering.means import refine_centroids
from voxid.diarize.clustering.options import Task
from voxid.diarize.clustering.voices import Floats, Labels, cluster_means, renumber, unit_rows

RARE_S = 2.0
"""Seconds from which a light cluster of windows is a speaker when it is like no heavy one."""

UNLIKE = 0.15
"""Highest cosine with the mean of a heavy cluster at which such a light one is like none. On 42 tuning conversations
0.25 and 0.35 find more rare speakers in broadcasts, and as many that are none on the telephone."""


def absorb_minor(task: Task, labels: Labels, min_weight: float, keep_rare: bool = False) -> Labels:
    """Return labels without clusters lighter than ``min_weight``: their voices go to the nearest heavy one.

    The heaviest cluster always stays, and so does a light one of which a voice is surely none of the heavy ones: its
    chunk holds all of them. Labels are renumbered by first appearance.

    Args:
        labels: (K,) 0..S-1.
        keep_rare: whether a light cluster of windows stays from :data:`RARE_S` on where it is like no heavy one.
    """
    means, total = cluster_means(task.embeddings, task.weights, labels)
    major = np.flatnonzero(total >= min(min_weight, float(total.max())))
    if keep_rare and task.ordered:
        alike = (unit_rows(means) @ unit_rows(means[major]).T).max(axis=1)
        rare = (total >= RARE_S) & (alike < UNLIKE)
        major = np.union1d(major, np.flatnonzero(rare))
    if len(major) == len(total):
        return renumber(labels)
    minor = np.flatnonzero(~np.isin(labels, major))
    near = task.embeddings[minor] @ unit_rows(means[major]).T
    absorbed = labels.copy()
    if task.ordered:
        absorbed[minor] = major[np.argmax(near, axis=1)]
        return renumber(absorbed)
    held = _held(task, labels, major)
    for row in np.argsort(-task.weights[minor], kind="stable").tolist():
        voice, sure = minor[row], task.sure[minor[row]]
        places = held.setdefault(int(task.chunk[voice]), np.zeros(len(major), np.bool_))
        if sure and places.all():
            continue  # it stays with its cluster
        place = int(np.argmax(np.where(places & sure, -np.inf, near[row])))
        places[place] |= sure
        absorbed[voice] = major[place]
    staying = np.isin(labels, np.unique(absorbed[minor]))  # whose cluster has a voice that stays, stays whole
    return renumber(np.where(staying, labels, absorbed))


def _held(task: Task, labels: Labels, major: Labels) -> dict[int, NDArray[np.bool_]]:
    """Return chunk -> (H,) which of the heavy clusters have a voice in it that is no slip."""
    held: dict[int, NDArray[np.bool_]] = {}
    sure = np.flatnonzero(task.sure)
    for place, label in enumerate(major.tolist()):
        for chunk in np.unique(task.chunk[sure[labels[sure] == label]]).tolist():
            held.setdefault(chunk, np.zeros(len(major), np.bool_))[place] = True
    return held


def join_alike(task: Task, labels: Labels) -> Labels:
    """Return labels in which clusters whose means are as alike as ``same_voice`` are one, down to ``task.least``.

    What the gaps between eigenvalues do not tell: a single voice has parts too, by channel or by what it says.
    """
    labels = renumber(labels)
    while int(labels.max()) + 1 > task.least:
        means, _ = cluster_means(task.embeddings, task.weights, labels)
        alike = unit_rows(means) @ unit_rows(means).T
        apart = task.apart(labels)
        if apart is not None:
            alike[apart] = -1.0
        np.fill_diagonal(alike, -1.0)
        one, other = np.unravel_index(int(np.argmax(alike)), alike.shape)
        if alike[one, other] < task.options.same_voice:
            break
        labels = renumber(np.where(labels == other, one, labels))
    return labels


def fit_bounds(task: Task, labels: Labels) -> Labels:
    """Return labels with at least ``task.least`` and at most ``task.most`` clusters, otherwise unchanged.

    Too many: the most alike clusters join (average linkage), those that are two people last. Too few: one that holds
    two voices of a chunk is split between them, else the loosest in two, again and again. Bounds that the method
    itself met cost nothing here.
    """
    labels = renumber(labels)
    surplus = int(labels.max()) + 1 - task.most
    if surplus > 0:
        means, total = cluster_means(task.embeddings, task.weights, labels)
        labels = agglomerate(means, total, task.apart(labels)).labels_after(surplus)[labels]
    while int(labels.max()) + 1 < task.least:
        torn = None if task.ordered else find_torn(task.chunk, task.weights, task.sure, labels)
        labels = split_loosest(task, labels) if torn is None else _split_torn(task, labels, torn)
    return renumber(labels)


def _split_torn(task: Task, labels: Labels, torn: Labels) -> Labels:
    """Return labels with one cluster more: the one of these two voices, cut between them."""
    own = np.flatnonzero(labels == labels[torn[0]])
    halves = refine_centroids(task.embeddings[own], task.weights[own], task.embeddings[torn]) == 1
    halves[np.searchsorted(own, torn)] = False, True
    split = labels.copy()
    split[own[halves]] = int(labels.max()) + 1
    return split


def split_loosest(task: Task, labels: Labels) -> Labels:
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
