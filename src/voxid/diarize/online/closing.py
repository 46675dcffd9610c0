"""The last pass: the whole call drawn as a recording is, its speakers matched to those who were told."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from voxid.diarize.clustering import cluster_means
from voxid.diarize.online.options import LiveOptions
from voxid.diarize.online.recall import Recall
from voxid.diarize.online.tracks import delayed
from voxid.diarize.options import SpeakerCount
from voxid.diarize.segmented import join
from voxid.diarize.turns import DrawnTurn
from voxid.embedding import Embedder


@dataclass(frozen=True, eq=False)
class Whole:
    """A call as it was, seen from its end.

    Attributes:
        runs: its turns, by the numbers the speakers have had all along.
        numbers: those speakers.
        raw: (G, D) float32 mean embedding of each, as a gallery compares them.
        seconds: clean speech of each.
        since_s: from when on this holds; what lies before is too long ago to be remembered.
    """

    runs: list[DrawnTurn]
    numbers: list[int]
    raw: NDArray[np.float32]
    seconds: list[float]
    since_s: float


def draw_whole(
    recall: Recall,
    n_frames: int,
    embedder: Embedder,
    bounds: SpeakerCount,
    options: LiveOptions,
    told: Sequence[DrawnTurn],
    unused: int,
) -> Whole | None:
    """Return the call drawn anew from what was kept of it; None when nobody was heard.

    Args:
        n_frames: of the call.
        told: the turns told so far, whose speakers keep their numbers.
        unused: first number no speaker has had.

    Raises:
        InputError: ``speaker_count_invalid``. CompatibilityError: ``plda_missing``.
    """
    recalled = recall.recall(n_frames, embedder.bundle)
    if recalled is None:
        return None
    drawn = join(recalled.heard, embedder, bounds, replace(options.final, max_gap_s=options.max_gap_s))
    since_s = recall.since_s
    runs = [one for one in delayed(drawn.turns, recall.start_s) if one.segment.end_s > since_s]
    remembered = [one for one in told if one.segment.end_s > since_s]
    number = match_speakers(runs, remembered, int(drawn.labels.max(initial=-1)) + 1, unused)
    placed = np.flatnonzero(drawn.labels >= 0)
    seconds = recalled.heard.voices.seconds[placed].astype(np.float64)
    raw, total = cluster_means(recalled.raw[placed], seconds, drawn.labels[placed])
    runs = [DrawnTurn(one.segment, number[one.speaker], one.confidence) for one in runs]
    return Whole(runs, number, raw, total.tolist(), since_s)


def match_speakers(
    drawn: Sequence[DrawnTurn], told: Sequence[DrawnTurn], n_drawn: int, unused: int
) -> list[int]:
    """Return the number each of the drawn speakers has had all along: whose turns it shares most time with.

    Args:
        n_drawn: how many were drawn, 0, 1, ...
        unused: given to who was told as nobody, counted up.
    """
    numbers = sorted({one.speaker for one in told})
    shared_s = np.zeros((n_drawn, len(numbers)))
    ordered = sorted(told, key=lambda one: one.segment.start_s)
    longest_s = max((one.segment.duration_s for one in told), default=0.0)
    starts = [one.segment.start_s for one in ordered]
    for run in drawn:
        first = bisect_left(starts, run.segment.start_s - longest_s)
        for other in ordered[first : bisect_left(starts, run.segment.end_s)]:
            both_s = min(run.segment.end_s, other.segment.end_s) - max(
                run.segment.start_s, other.segment.start_s
            )
            shared_s[run.speaker, numbers.index(other.speaker)] += max(0.0, both_s)
    rows, columns = linear_sum_assignment(shared_s, maximize=True)
    matched = {
        int(row): numbers[column]
        for row, column in zip(rows, columns, strict=True)
        if shared_s[row, column] > 0
    }
    new = count(unused)
    return [matched[speaker] if speaker in matched else next(new) for speaker in range(n_drawn)]
