"""Spectral clustering: voices are nodes of a graph of nearest neighbours, speakers its loosely joined parts.

The number of speakers is read off the eigenvalues of the graph's Laplacian: k parts give k small ones, then a gap.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.linalg import eigh

from voxid.diarize.clustering.ahc import cluster_ahc
from voxid.diarize.clustering.bounds import absorb_minor, join_alike
from voxid.diarize.clustering.levels import gather_items
from voxid.diarize.clustering.means import cluster_by_means
from voxid.diarize.clustering.options import Task
from voxid.diarize.clustering.similarity import cosine_matrix
from voxid.diarize.clustering.voices import Floats, Labels, cluster_means, unit_rows

MOST_NODES = 1000
"""Longer recordings are clustered as this many small pure clusters: eigenvectors cost the cube of it."""

NEIGHBOUR_SHARE = 0.1
"""Of all nodes, the part each is joined to by ``spectral``; at least :data:`LEAST_NEIGHBOURS`."""

LEAST_NEIGHBOURS = 6

SEARCH_NODES = 400
"""``nme-sc`` looks for its number of neighbours on so many nodes, evenly taken."""

SEARCH_STEPS = 12


def cluster_spectral(task: Task) -> Labels:
    """Return (K,) labels by the normalised Laplacian of a graph with a fixed share of neighbours, and its eigengap.

    Source: von Luxburg, "A tutorial on spectral clustering", 2007, sec. 4 and 8.3; Ng, Jordan and Weiss, NIPS
    2001. For speakers, with other refinements: Wang et al., "Speaker diarization with LSTM", ICASSP 2018.
    """
    nodes, similarity = _nodes(task)
    neighbours = max(LEAST_NEIGHBOURS, round(NEIGHBOUR_SHARE * len(similarity)))
    weighted = np.maximum(similarity, 0.0) * _nearest(similarity, neighbours)
    graph = (weighted + weighted.T) / 2
    scale = 1.0 / np.sqrt(np.maximum(graph.sum(axis=1), 1e-12))
    laplacian = np.eye(len(graph)) - scale[:, None] * graph * scale[None, :]
    return _cut(task, nodes, laplacian)


def cluster_nme_sc(task: Task) -> Labels:
    """Return (K,) labels by the graph whose number of neighbours gives the clearest eigengap for its size.

    Source: Park, Han, Kumar and Narayanan, "Auto-tuning spectral clustering for speaker diarization using
    normalized maximum eigengap", IEEE Signal Processing Letters 27, 2020, algorithm 1. Ours: it is a single speaker
    when AHC at the bundle's threshold says so, and parts as alike as ``same_voice`` are joined.
    """
    if task.least == 1 and task.options.threshold is not None:
        joined = cluster_ahc(replace(task, options=replace(task.options, method="ahc")))
        if int(joined.max()) == 0:  # a gap there is also in the graph of a single voice
            return joined
    nodes, similarity = _nodes(task)
    step = -(-len(similarity) // SEARCH_NODES)
    sample = similarity[::step, ::step]
    share = _best_share(sample, task.most)
    neighbours = max(2, round(share * len(similarity)))
    return _cut(task, nodes, _laplacian(_nearest(similarity, neighbours)))


def _nodes(task: Task) -> tuple[Labels, Floats]:
    """Return the node (K,) of each voice and the (M, M) cosines of the nodes."""
    nodes = gather_items(task.embeddings, task.weights, task.items, MOST_NODES)
    means, _ = cluster_means(task.embeddings, task.weights, nodes)
    return nodes, cosine_matrix(unit_rows(means)).astype(np.float64)


def _nearest(similarity: Floats, neighbours: int) -> Floats:
    """Return (M, M) 1 where the column is among the ``neighbours`` most alike of the row, itself included, else 0."""
    n_nodes = len(similarity)
    kept = min(neighbours + 1, n_nodes)
    nearest = np.argpartition(-similarity, kept - 1, axis=1)[:, :kept]
    graph = np.zeros((n_nodes, n_nodes))
    np.put_along_axis(graph, nearest, 1.0, axis=1)
    return graph


def _laplacian(nearest: Floats) -> Floats:
    """Return the unnormalised Laplacian of the graph in which one-sided neighbours count half."""
    graph = (nearest + nearest.T) / 2
    np.fill_diagonal(graph, 0.0)
    return np.asarray(np.diag(graph.sum(axis=1)) - graph)


def _best_share(similarity: Floats, most: int) -> float:
    """Return the share of nodes to take as neighbours: the least per normalised maximum eigengap."""
    n_nodes = len(similarity)
    counts = np.unique(np.geomspace(2, max(3, n_nodes // 4), SEARCH_STEPS).astype(int))
    ratios = []
    for count in counts.tolist():
        values = eigh(_laplacian(_nearest(similarity, count)), eigvals_only=True)
        gap = float(np.diff(values[: most + 1]).max(initial=0.0)) / max(float(values[-1]), 1e-12)
        ratios.append(count / n_nodes / max(gap, 1e-12))
    return float(counts[int(np.argmin(ratios))]) / n_nodes


def _cut(task: Task, nodes: Labels, laplacian: Floats) -> Labels:
    """Return (K,) labels: as many parts as the eigengap says, within the bounds, minor ones merged.

    Gaps are looked at beyond the upper bound too: where the clearest one lies there, the bound is the number.
    """
    n_nodes = len(laplacian)
    most = min(task.most, n_nodes)
    least = min(task.least, most)
    looked_at = min(max(most, task.options.max_automatic_speakers), n_nodes)
    values, vectors = eigh(laplacian, subset_by_index=[0, min(looked_at, n_nodes - 1)])
    gaps = np.diff(values, append=values[-1:]) if looked_at == n_nodes else np.diff(values)
    n_parts = min(least + int(np.argmax(gaps[least - 1 : looked_at])), most)
    rng = np.random.default_rng(task.options.seed)
    rows = unit_rows(vectors[:, :n_parts].astype(np.float32))
    weights = np.asarray(np.bincount(nodes, weights=task.weights), dtype=np.float64)
    parts = cluster_by_means(rows, weights, n_parts, rng)
    labels = absorb_minor(task, parts[nodes], 0.0 if least == most else task.min_weight)
    return join_alike(task, labels)
