"""From window votes to turns: every 0.1 s of speech gets the speaker its windows agree on.

A cell is 0.1 s of the recording; regions keep their own exact edges. Shapes: K windows, C cells, S speakers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from voxid.diarize.clustering import unit_rows
from voxid.diarize.options import DiarizeOptions
from voxid.diarize.windows import Windows, frames_of
from voxid.timeline import Segment

CELL_S = 0.1
"""Resolution of speaker changes inside a stretch of speech."""

GAP_PENALTY_SHARE = 0.25
"""After a pause a change of speaker is likelier: the penalty there is this share of the usual. Untuned."""

_CELL_FRAMES = frames_of(CELL_S)


def cells_of(speech: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return (C,) whether each cell holds any speech frame of (T,) ``speech``."""
    padded = np.pad(speech > 0, (0, -len(speech) % _CELL_FRAMES))
    return np.asarray(padded.reshape(-1, _CELL_FRAMES).any(axis=1))


def vote(windows: Windows, similarities: NDArray[np.float32], n_cells: int) -> NDArray[np.float32]:
    """Return (C, S) mean similarity of the windows over each cell, windows centred on the cell counting most.

    Cells under no window take the votes of the nearest cell that has some.
    """
    first = windows.bounds[:, 0] // _CELL_FRAMES
    last = np.minimum((windows.bounds[:, 1] - 1) // _CELL_FRAMES, n_cells - 1)
    centre = (windows.bounds.sum(axis=1) / 2) / _CELL_FRAMES
    half = np.maximum((windows.bounds[:, 1] - windows.bounds[:, 0]) / 2 / _CELL_FRAMES, 0.5)
    votes = np.zeros((n_cells, similarities.shape[1]), dtype=np.float64)
    total = np.zeros(n_cells, dtype=np.float64)
    for offset in range(int((last - first).max()) + 1):
        cell = first + offset
        valid = np.flatnonzero(cell <= last)
        nearness = np.maximum(1 - np.abs(cell[valid] + 0.5 - centre[valid]) / half[valid], 0.05)
        np.add.at(votes, cell[valid], similarities[valid] * nearness[:, None])
        np.add.at(total, cell[valid], nearness)
    covered = np.flatnonzero(total > 0)
    votes[covered] /= total[covered, None]
    after = np.minimum(np.searchsorted(covered, np.arange(n_cells)), len(covered) - 1)
    before = np.maximum(after - 1, 0)
    cells = np.arange(n_cells)
    nearest = np.where(np.abs(covered[before] - cells) <= np.abs(covered[after] - cells), before, after)
    return votes[covered[nearest]].astype(np.float32)


def decode_viterbi(scores: NDArray[np.float32], penalties: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return (C,) the path of speakers with the highest sum of scores minus penalties.

    Args:
        scores: (C, S) score of each speaker in each cell.
        penalties: (C,) price of a change of speaker on entering the cell; the first is unused.
    """
    n_cells = len(scores)
    stays = np.ones(scores.shape, dtype=np.bool_)  # else the speaker came from the best one
    tops, prices, gains = [0] * n_cells, penalties.tolist(), scores.astype(np.float64)
    best = gains[0].copy()
    for cell in range(1, n_cells):  # ten hours are 360,000 cells: little may be done in each
        tops[cell] = top = best.argmax()
        change = best[top] - prices[cell]
        np.greater_equal(best, change, out=stays[cell])
        np.maximum(best, change, out=best)
        best += gains[cell]
    path = [int(best.argmax())] * n_cells
    for cell in range(n_cells - 1, 0, -1):
        path[cell - 1] = path[cell] if stays[cell, path[cell]] else int(tops[cell])
    return np.asarray(path, dtype=np.int64)


def absorb_short_runs(
    path: NDArray[np.int64], scores: NDArray[np.float32], stretch: NDArray[np.int64], min_cells: int
) -> NDArray[np.int64]:
    """Return the path without runs shorter than ``min_cells`` inside a stretch: the shortest goes first,
    to the neighbour it scores higher for. A stretch with a single speaker stays as it is.

    Args:
        stretch: (C,) number of the stretch of speech each cell belongs to, not falling.
    """
    path = path.copy()
    while True:
        change = (np.diff(path) != 0) | (np.diff(stretch) != 0)
        starts = np.concatenate([[0], np.flatnonzero(change) + 1])
        lengths = np.diff(np.concatenate([starts, [len(path)]]))
        inner = np.zeros(len(starts), dtype=np.bool_)  # has a neighbour in its own stretch
        same = stretch[starts[1:]] == stretch[starts[:-1]]
        inner[1:] |= same
        inner[:-1] |= same
        short = np.flatnonzero(inner & (lengths < min_cells))
        if len(short) == 0:
            return path
        # Runs that are shorter than both neighbours can go at once: none of them touch.
        run = short[np.argsort(lengths[short], kind="stable")]
        taken: set[int] = set()
        for index in run.tolist():
            if index - 1 in taken or index + 1 in taken:
                continue
            taken.add(index)
            own = slice(starts[index], starts[index] + lengths[index])
            neighbours = [
                int(path[starts[other]])
                for other in (index - 1, index + 1)
                if 0 <= other < len(starts) and stretch[starts[other]] == stretch[starts[index]]
            ]
            path[own] = neighbours[int(np.argmax(scores[own][:, neighbours].sum(axis=0)))]


def decide_cells(
    windows: Windows,
    embeddings: NDArray[np.float32],
    labels: NDArray[np.int64],
    speech: NDArray[np.float32],
    options: DiarizeOptions,
    least_speakers: int = 1,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the cells with speech (C,) and the speaker 0..S-1 of each.

    Starts from the centroids of the clustered windows, lets all windows vote, and votes again against the
    centroids of the windows that lie in one speaker's cells. A speaker who loses all cells keeps the old one.

    Args:
        embeddings: (K, D) unit rows, centred, of all windows.
        labels: (K,) cluster of each window, -1 where it was not clustered.
        least_speakers: when smoothing leaves fewer, each cell goes to the nearest clustered window instead.
    """
    active = np.flatnonzero(cells_of(speech))
    n_cells = int(active[-1]) + 1
    stretch = np.cumsum(np.concatenate([[0], np.diff(active) > 1])).astype(np.int64)
    penalties = np.where(np.diff(stretch, prepend=stretch[0]) > 0, GAP_PENALTY_SHARE, 1.0) * (
        options.switch_penalty / CELL_S
    )
    zeros = np.zeros((int(labels.max()) + 1, embeddings.shape[1]), dtype=np.float32)
    centroids = _centroids(embeddings, labels, zeros)
    path = np.zeros(len(active), dtype=np.int64)
    for _ in range(options.resegment_rounds):
        scores = vote(windows, embeddings @ centroids.T, n_cells)[active]
        path = decode_viterbi(scores, penalties)
        path = absorb_short_runs(path, scores, stretch, round(options.min_turn_s / CELL_S))
        centroids = _centroids(embeddings, _pure_labels(windows, active, path), centroids)
    if len(np.unique(path)) < least_speakers:
        path = _nearest_window_labels(windows, labels, active)
    return active, path


def _nearest_window_labels(
    windows: Windows, labels: NDArray[np.int64], active: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return (C,) the cluster of the clustered window whose centre lies nearest to each active cell."""
    clustered = np.flatnonzero(labels >= 0)
    centres = windows.bounds[clustered].sum(axis=1) / 2 / _CELL_FRAMES
    after = np.minimum(np.searchsorted(centres, active + 0.5), len(centres) - 1)
    before = np.maximum(after - 1, 0)
    nearer_before = np.abs(centres[before] - active - 0.5) <= np.abs(centres[after] - active - 0.5)
    return labels[clustered[np.where(nearer_before, before, after)]]


def _centroids(
    embeddings: NDArray[np.float32], labels: NDArray[np.int64], previous: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return (S, D) unit means of the rows with each label; the previous centroid where a label has none."""
    centroids = previous.copy()
    for speaker in range(len(previous)):
        own = labels == speaker
        if own.any():
            centroids[speaker] = unit_rows(embeddings[own].mean(axis=0, dtype=np.float64).astype(np.float32))
    return centroids


def _pure_labels(windows: Windows, active: NDArray[np.int64], path: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (K,) the speaker of each window whose speech cells all belong to one, else -1."""
    changes = np.concatenate([[0], np.cumsum(np.diff(path) != 0)])
    first = np.searchsorted(active, windows.bounds[:, 0] // _CELL_FRAMES)
    last = np.searchsorted(active, (windows.bounds[:, 1] - 1) // _CELL_FRAMES, side="right") - 1
    held = np.flatnonzero(last >= first)
    pure = np.full(len(windows), -1, dtype=np.int64)
    one = held[changes[first[held]] == changes[last[held]]]
    pure[one] = path[first[one]]
    return pure


def draw_turns(
    regions: Sequence[Segment], active: NDArray[np.int64], path: NDArray[np.int64], max_gap_s: float
) -> list[tuple[Segment, int]]:
    """Return speaker turns in order of time: regions cut where the path changes, short pauses closed.

    Args:
        regions: speech regions, sorted, not overlapping.
        active: (C,) cells with a decision.
        path: (C,) their speaker.
    """
    turns: list[tuple[Segment, int]] = []
    for region in regions:
        for start_s, end_s, speaker in _cut_region(region, active, path):
            if turns and turns[-1][1] == speaker and start_s - turns[-1][0].end_s <= max_gap_s + 1e-9:
                turns[-1] = (Segment(turns[-1][0].start_s, end_s), speaker)
            else:
                turns.append((Segment(start_s, end_s), speaker))
    return turns


def _cut_region(
    region: Segment, active: NDArray[np.int64], path: NDArray[np.int64]
) -> list[tuple[float, float, int]]:
    first = max(0, int(np.searchsorted(active, int(region.start_s / CELL_S + 1e-6), side="left")))
    last = int(np.searchsorted(active, int(np.ceil(region.end_s / CELL_S - 1e-6)), side="left"))
    if last <= first:
        first = min(first, len(path) - 1)
        last = first + 1
    speakers = path[first:last]
    cuts = np.flatnonzero(np.diff(speakers)) + 1
    starts = [0, *cuts.tolist()]
    edges = [region.start_s, *((active[first + cut] * CELL_S) for cut in cuts.tolist()), region.end_s]
    return [
        (float(start_s), float(end_s), int(speakers[start]))
        for start, start_s, end_s in zip(starts, edges[:-1], edges[1:], strict=True)
        if end_s > start_s
    ]
