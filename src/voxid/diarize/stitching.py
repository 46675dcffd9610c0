"""From the voices of overlapping chunks to one timeline: who speaks in every 20 ms, several at once where they do.

Shapes: C chunks, S steps of 20 ms in one, N voices at most in one, V voices in all, F steps of the recording,
G speakers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxid.diarize.local import STEP_S, LocalVoices
from voxid.diarize.segmentation import STEP_FRAMES, LocalActivity, chunk_weights
from voxid.diarize.turns import DrawnTurn
from voxid.diarize.windows import find_runs
from voxid.timeline import Segment

_BLOCK_STEPS: Final = 50_000  # ranked at once: some 17 minutes of speech


@dataclass(frozen=True, eq=False)
class SpeakerActivity:
    """The whole recording.

    Attributes:
        probability: (F, G) float32, that each speaker is heard.
        count: (F,) float32, how many are heard, on average over the chunks that cover the step.
    """

    probability: NDArray[np.float32]
    count: NDArray[np.float32]


def stitch(activity: LocalActivity, found: LocalVoices, labels: NDArray[np.int64]) -> SpeakerActivity:
    """Return the speakers' activity over the recording: the mean over the chunks, their middles counting most.

    Source: overlap-add with a window, as pyannote.audio aggregates its chunks (Bredin, 2023).

    Args:
        labels: (V,) speaker of each local voice; -1 leaves it out.
    """
    n_steps = -(-activity.n_frames // STEP_FRAMES)
    steps = activity.probability.shape[1]
    total = np.zeros((n_steps, max(1, int(labels.max(initial=-1)) + 1)), np.float32)
    count, cover = np.zeros(n_steps, np.float32), np.zeros(n_steps, np.float32)
    window = chunk_weights(steps)
    first = np.searchsorted(found.chunk, np.arange(len(activity) + 1))
    for chunk in range(len(activity)):
        start = int(activity.start_frames[chunk]) // STEP_FRAMES
        own = slice(start, min(start + steps, n_steps))
        weight = window[: own.stop - own.start]
        heard = activity.probability[chunk, : len(weight)].astype(np.float32)
        cover[own] += weight
        for row in range(int(first[chunk]), int(first[chunk + 1])):
            if labels[row] >= 0:
                total[own, labels[row]] += weight * heard[:, found.voice[row]]
                count[own] += weight * (heard[:, found.voice[row]] > 0.5)
    cover = np.maximum(cover, 1e-6)
    total /= cover[:, None]  # in place: ten hours of twenty speakers are 144 MB
    return SpeakerActivity(np.minimum(total, 1.0, out=total), count / cover)


def decide(activity: SpeakerActivity) -> NDArray[np.bool_]:
    """Return (F, G) who is heard: in every step the likeliest ones, as many as the chunks heard on average."""
    wanted = np.minimum(np.floor(activity.count + 0.5).astype(np.int64), activity.probability.shape[1])
    active = np.zeros(activity.probability.shape, np.bool_)
    spoken = np.flatnonzero(wanted > 0)
    for steps in np.array_split(spoken, -(-len(spoken) // _BLOCK_STEPS) or 1):
        likely = activity.probability[steps]
        rank = np.argsort(np.argsort(-likely, axis=1, kind="stable"), axis=1, kind="stable")
        active[steps] = (rank < wanted[steps, None]) & (likely > 0.0)
    return active


def draw(
    active: NDArray[np.bool_],
    activity: SpeakerActivity,
    duration_s: float,
    max_gap_s: float,
    min_turn_s: float,
) -> list[DrawnTurn]:
    """Return turns in order of time.

    Args:
        active: (F, G).
        duration_s: of the recording; no turn ends later.
        max_gap_s: shorter pauses of a speaker are closed.
        min_turn_s: shorter turns are dropped.
    """
    turns = []
    for speaker in range(active.shape[1]):
        for start, end in _closed(find_runs(active[:, speaker]), max_gap_s):
            segment = Segment(start * STEP_S, min(end * STEP_S, duration_s))
            if segment.end_s - segment.start_s >= min_turn_s - 1e-9:
                heard = activity.probability[start:end, speaker]
                turns.append(DrawnTurn(segment, speaker, float(heard.mean())))
    return sorted(turns, key=lambda turn: (turn.segment.start_s, turn.segment.end_s, turn.speaker))


def _closed(runs: NDArray[np.int64], max_gap_s: float) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for start, end in runs.tolist():
        if out and (start - out[-1][1]) * STEP_S <= max_gap_s + 1e-9:
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out
