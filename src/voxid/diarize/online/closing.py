"""The last pass: the whole call drawn as a recording is, its speakers matched to those who were told.

Nothing tells which of two timelines is right. Where the whole call is clustered into as many speakers as were told,
its own speakers stand. Where it counts others one of the two is wrong, and a short call has too little to be clustered
anew: there those who were told stand. Every voice that was heard goes to the speaker told while it spoke, and only
where turns begin and end, and who speaks besides, is drawn anew. ``docs/experiments.md`` has what that is worth.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from voxid.diarize.clustering import cluster_means
from voxid.diarize.clustering.constraint import assign_apart
from voxid.diarize.local import STEP_S
from voxid.diarize.online.options import LiveOptions
from voxid.diarize.online.recall import Recall
from voxid.diarize.online.tracks import delayed
from voxid.diarize.options import SpeakerCount
from voxid.diarize.segmentation import STEP_FRAMES
from voxid.diarize.segmented import HeardVoices, draw_voices, join
from voxid.diarize.turns import DrawnTurn
from voxid.embedding import Embedder
from voxid.features import FRAME_HOP_S

SHORT_S = 60.0
"""Calls below it keep the speakers told: on 35 pieces of 30 s of tuning conversations the error was 24.9 % with these
and 27.1 % with the call's own, on 36 of 90 s 23.8 and 21.9. Nothing between was tried."""


@dataclass(frozen=True, eq=False)
class Whole:
    """A call as it was, seen from its end.

    Attributes:
        runs: its turns, by the numbers the speakers have had all along.
        numbers: those speakers.
        raw: (G, D) float32 mean embedding of each, as a gallery compares them.
        seconds: clean speech of each.
        since_s: from when on this holds; what lies before is too long ago to be remembered.
        kept_speakers: whether the speakers told were kept: the call is short, or was clustered into another number.
    """

    runs: list[DrawnTurn]
    numbers: list[int]
    raw: NDArray[np.float32]
    seconds: list[float]
    since_s: float
    kept_speakers: bool


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
        bounds: how many speakers there are; a least number is passed over where fewer voices were heard.
        told: the turns told so far, whose speakers keep their numbers.
        unused: first number no speaker has had.

    Raises:
        CompatibilityError: ``plda_missing``.
    """
    recalled = recall.recall(n_frames, embedder.bundle)
    if recalled is None:
        return None
    heard, since_s = recalled.heard, recall.since_s
    final = replace(options.final, max_gap_s=options.max_gap_s)
    if bounds.least > len(
        heard.found
    ):  # what was told of a call is not lost because fewer came than were expected
        bounds = SpeakerCount(1, bounds.most)
    drawn = join(heard, embedder, bounds, final)
    turns, labels = drawn.turns, drawn.labels
    remembered = [one for one in told if one.segment.end_s > since_s]
    kept, n_told = False, len({one.speaker for one in remembered})
    if n_frames * FRAME_HOP_S < SHORT_S or n_told != int(labels.max(initial=-1)) + 1:
        own = as_told(heard, remembered, recall.start_s)
        kept = int(own.max()) + 1 >= bounds.least
        turns, labels = draw_voices(heard, own, final) if kept else (turns, labels)
    runs = [one for one in delayed(turns, recall.start_s) if one.segment.end_s > since_s]
    number = match_speakers(runs, remembered, int(labels.max(initial=-1)) + 1, unused)
    placed = np.flatnonzero(labels >= 0)
    seconds = heard.voices.seconds[placed].astype(np.float64)
    raw, total = cluster_means(recalled.raw[placed], seconds, labels[placed])
    runs = [DrawnTurn(one.segment, number[one.speaker], one.confidence) for one in runs]
    return Whole(runs, number, raw, total.tolist(), since_s, kept)


def as_told(heard: HeardVoices, told: Sequence[DrawnTurn], start_s: float) -> NDArray[np.int64]:
    """Return (V,) which of the speakers told, 0.. by number, each local voice is; two of a chunk differ if they can.

    A voice is whom it was told to be while it spoke alone; one that was not told at all is whom it sounds like.

    Args:
        told: the turns told.
        start_s: where the first chunk starts.
    """
    numbers = sorted({one.speaker for one in told})
    activity, found = heard.activity, heard.found
    spoken = np.zeros((-(-activity.n_frames // STEP_FRAMES), len(numbers)), np.bool_)
    for one in told:
        first, end = (
            max(0, round((at_s - start_s) / STEP_S)) for at_s in (one.segment.start_s, one.segment.end_s)
        )
        spoken[first:end, numbers.index(one.speaker)] = True
    labels = np.full(len(found), -1, np.int64)
    for row, (chunk, voice) in enumerate(zip(found.chunk.tolist(), found.voice.tolist(), strict=True)):
        start = int(activity.start_frames[chunk]) // STEP_FRAMES
        during = spoken[start : start + activity.probability.shape[1]]
        active = activity.probability[chunk, : len(during)] > 0.5
        alone = active[:, voice] & (active.sum(axis=1) == 1)
        shared = during[alone if alone.any() else active[:, voice]].sum(axis=0)
        labels[row] = shared.argmax() if shared.any() else -1
    present, place = np.unique(labels, return_inverse=True)
    placed = place - int(present[0] < 0)  # speakers without a voice leave no gap
    if placed.max() < 0:
        return placed
    apart = assign_apart(heard.voices, placed)
    return np.where(
        apart >= 0, apart, placed
    )  # what was told of somebody is not taken back for want of others


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
