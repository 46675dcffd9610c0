"""Which voices are one person: the one door to all methods of clustering."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from voxid.diarize.clustering.ahc import cluster_ahc
from voxid.diarize.clustering.bayes import cluster_vbx
from voxid.diarize.clustering.bounds import absorb_minor, fit_bounds
from voxid.diarize.clustering.confidence import (
    Evidence,
    measure_gap,
    measure_margins,
    measure_stability,
)
from voxid.diarize.clustering.constraint import assign_apart, find_apart
from voxid.diarize.clustering.levels import find_items
from voxid.diarize.clustering.means import cluster_by_means, refine_centroids
from voxid.diarize.clustering.options import ClusterOptions, Task
from voxid.diarize.clustering.spectral import cluster_nme_sc, cluster_spectral
from voxid.diarize.clustering.voices import Clustering, Labels, Voices, cluster_means, renumber, unit_rows
from voxid.diarize.options import AUTOMATIC, CLUSTERINGS, SpeakerCount
from voxid.plda import Plda


def cluster(
    voices: Voices,
    count: SpeakerCount | None = None,
    options: ClusterOptions | None = None,
    plda: Plda | None = None,
) -> Clustering:
    """Return who each voice is.

    Args:
        voices: local voices or windows, at least one, in order of time.
        count: bounds on the number of speakers, which every method honours; None counts automatically.
        options: which method, and where it stops; None takes average-linkage AHC.
        plda: the bundle's, in the space of the centred embeddings; for methods that need one.

    Raises:
        InputError: ``speaker_count_invalid`` when there are fewer voices than speakers demanded.
        CompatibilityError: ``plda_missing`` when the method needs a PLDA and there is none.
    """
    count, options = count or SpeakerCount(), options or ClusterOptions()
    automatic = options.method == AUTOMATIC
    given = count.least == count.most
    options = options.settled(voices.crowded, float(voices.seconds.sum()), given, plda)
    count.check_enough(len(voices))
    options.check_plda(plda)
    trusted = np.flatnonzero(voices.seconds >= options.min_voice_s)
    if len(trusted) < max(count.least, 1):
        trusted = np.arange(len(voices))
    some = voices.take(trusted) if len(trusted) < len(voices) else voices
    task = make_task(some, count, options, plda)
    labels = np.full(len(voices), -1, dtype=np.int64)
    labels[trusted] = find_automatically(task) if automatic else find_labels(task)
    if voices.crowded or len(trusted) < len(voices):
        labels = assign_apart(voices, labels)
    labels = renumber(labels)

    def confidence() -> float:
        if given:
            return 1.0
        if plda is not None and task.ordered:
            return measure_margins(task, labels[trusted]).confidence
        return weigh_evidence(task, labels[trusted]).confidence

    return Clustering(labels, int(labels.max()) + 1, options.method, confidence)


def make_task(voices: Voices, count: SpeakerCount, options: ClusterOptions, plda: Plda | None) -> Task:
    """Return what a method is given: bounds filled in, long recordings cut into items."""
    weights = np.maximum(voices.seconds, 1e-3).astype(np.float64)
    most = count.most if count.most is not None else max(count.least, options.max_automatic_speakers)
    direct = max(options.direct_windows, count.least)
    cosine_threshold = None if options.method.endswith("plda") else options.threshold
    crowded, most = voices.crowded, min(most, len(voices))
    sure = weights >= options.apart_s

    def apart_in(rows: Labels) -> NDArray[np.bool_] | None:
        return find_apart(voices.chunk[rows], sure[rows], np.arange(len(rows))) if crowded else None

    items = find_items(voices.embeddings, weights, direct, cosine_threshold, apart_in)
    return Task(
        embeddings=voices.embeddings,
        weights=weights,
        chunk=voices.chunk,
        sure=sure,
        items=items,
        least=count.least,
        most=most,
        ordered=not crowded,
        options=options,
        plda=plda,
    )


def find_labels(task: Task) -> Labels:
    """Return (K,) labels 0..S-1 by the task's method, S within its bounds."""
    return fit_bounds(task, METHODS[task.options.method](task))


def find_automatically(task: Task) -> Labels:
    """Return labels as :func:`find_labels`; by AHC where an exact count is asked for and the method finds another.

    Splitting or joining what it made of the recording is worse than cutting the tree there. ``vbx`` looks at cuts
    of the tree itself: with the true count 3.6 % of the windows of 42 tuning conversations go to the wrong speaker,
    where VBx begun once, or else AHC, put 6.7 %.
    """
    labels = METHODS[task.options.method](task)
    if task.least == task.most and int(labels.max()) + 1 != task.least:
        labels = cluster_ahc(task)
    return fit_bounds(task, labels)


def weigh_evidence(task: Task, labels: Labels) -> Evidence:
    """Return what speaks for the number of speakers in ``labels`` (K,), -1 where a voice found no place."""
    n_speakers = int(labels.max()) + 1
    part = task.take(np.flatnonzero(labels >= 0))
    placed = renumber(labels[labels >= 0])
    other = "ahc" if task.options.method in ("spectral", "nme-sc") else "spectral"
    second = replace(task, options=replace(task.options, method=other))
    return Evidence(
        gap=measure_gap(part.embeddings, part.weights, placed, task.min_weight, part.apart(placed)),
        stability=measure_stability(task, n_speakers, find_labels),
        disagreement=abs(int(find_labels(second).max()) + 1 - n_speakers),
    )


def cluster_k_means(task: Task) -> Labels:
    """Return (K,) labels by k-means on the sphere: with the count asked for, else refining AHC and its count.

    Source: see :mod:`voxid.diarize.clustering.means`.
    """
    if task.least == task.most:
        rng = np.random.default_rng(task.options.seed)
        return cluster_by_means(task.embeddings, task.weights, task.least, rng)
    means, _ = cluster_means(task.embeddings, task.weights, cluster_ahc(task))
    labels = renumber(refine_centroids(task.embeddings, task.weights, unit_rows(means)))
    return absorb_minor(task, labels, task.min_weight)


METHODS: Mapping[str, Callable[[Task], Labels]] = {
    **{name: cluster_ahc for name in CLUSTERINGS if name.startswith("ahc")},
    "spectral": cluster_spectral,
    "nme-sc": cluster_nme_sc,
    "vbx": cluster_vbx,
    "k-means": cluster_k_means,
}
"""Name -> method; the names are :data:`voxid.diarize.options.CLUSTERINGS`."""
