"""The first of two levels for long recordings: windows become small pure clusters, block by block."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from voxid.diarize.clustering.linkage import agglomerate
from voxid.diarize.clustering.similarity import cosine_matrix, split_scores
from voxid.diarize.clustering.voices import Floats, Labels, cluster_means

BLOCK_WINDOWS = 1000
"""Voices clustered together on the first level: about 12 minutes of speech at the default step."""

BLOCK_CLUSTERS = 80
"""Most clusters a block hands to the second level."""

MOST_ITEMS = 4800
"""Most items on the second level, however long the recording: 60 blocks (12 hours) of 80; then fewer a block."""

LEAST_BLOCK_CLUSTERS = 12
"""Fewer clusters a block would mix voices; reached after 80 hours."""

PURE_MARGIN = 0.2
"""The first level joins only this far above the threshold, so that it decides nothing contentious."""


def find_items(
    embeddings: NDArray[np.float32],
    weights: Floats,
    direct: int,
    threshold: float | None,
    apart_in: Callable[[Labels], NDArray[np.bool_] | None] = lambda rows: None,
) -> Labels:
    """Return (K,) the item 0..M-1 of each voice: itself, or beyond ``direct`` voices a small pure cluster.

    Voices of one block join while their mean cosine stays :data:`PURE_MARGIN` above the threshold, and on until
    at most :data:`BLOCK_CLUSTERS` are left. Memory is 4 bytes x the larger of ``direct`` squared and
    :data:`MOST_ITEMS` squared, whatever K.

    Args:
        embeddings: (K, D) unit rows in order of time.
        weights: (K,) seconds.
        threshold: mean cosine above which clusters will join; None finds one in each block.
        apart_in: rows (R,) to (R, R), which of them are two people; items never hold such a pair.
    """
    if len(embeddings) <= direct:
        return np.arange(len(embeddings))
    items = np.empty(len(embeddings), dtype=np.int64)
    n_blocks = -(-len(embeddings) // BLOCK_WINDOWS)
    most = min(BLOCK_CLUSTERS, max(MOST_ITEMS // n_blocks, LEAST_BLOCK_CLUSTERS))
    offset = 0
    for block in np.array_split(np.arange(len(embeddings)), n_blocks):
        pure = threshold
        if pure is None:
            pure = split_scores(cosine_matrix(embeddings[block]))
        tree = agglomerate(embeddings[block], weights[block], apart_in(block))
        merges = min(max(tree.merges_above(pure + PURE_MARGIN), len(block) - most), tree.n_free)
        items[block] = tree.labels_after(merges) + offset
        offset = int(items[block].max()) + 1
    return items


def gather_items(embeddings: NDArray[np.float32], weights: Floats, items: Labels, most: int) -> Labels:
    """Return (K,) coarser items, at most ``most``: the most alike joined by average linkage, block by block.

    Args:
        items: (K,) items 0..M-1, in order of time.
    """
    n_items = int(items.max()) + 1
    if n_items <= most:
        return items
    means, total = cluster_means(embeddings, weights, items)
    n_blocks = -(-n_items // BLOCK_WINDOWS)
    coarse = np.empty(n_items, dtype=np.int64)
    offset = 0
    for block in np.array_split(np.arange(n_items), n_blocks):
        left = min(len(block), most // n_blocks)
        coarse[block] = agglomerate(means[block], total[block]).labels_after(len(block) - left) + offset
        offset += left
    return coarse[items]
