"""Who was told to be speaking in every 20 ms of the last seconds.

Shapes: F steps of 20 ms kept, S steps of a window, N columns of the network, V voices, G numbers of speakers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxid.diarize.local import STEP_S
from voxid.diarize.online.hearing import Hearing
from voxid.diarize.online.speakers import Assignment
from voxid.diarize.segmentation import chunk_weights
from voxid.diarize.stitching import SpeakerActivity, decide, draw
from voxid.diarize.turns import DrawnTurn
from voxid.segments import Segment

_OPEN_STEPS: Final = 50  # a second


class Tracks:
    """The speakers' activity over the last seconds, as far as it was told.

    What is older than the latency is told from the mean over all windows that heard it. The next second may still
    change it, an edge or a voice too short to be heard before; after that only who it was may change.

    Args:
        n_steps: F, how far back it reaches.
    """

    def __init__(self, n_steps: int) -> None:
        self.n_steps = n_steps
        self.start_step = 0
        self.told_step = 0
        self._total = np.zeros((0, 0), np.float32)
        self._count = np.zeros(0, np.float32)
        self._cover = np.zeros(0, np.float32)
        self._told = np.zeros((0, 0), np.bool_)

    def shares(self, heard: Hearing, n_speakers: int) -> NDArray[np.float32]:
        """Return (V, G) the share of each voice's speech in the window that was told as each speaker."""
        self._reach(heard.end_step, n_speakers)
        own = self._told[heard.start_step - self.start_step : heard.end_step - self.start_step]
        settled = slice(0, max(0, self.told_step - heard.start_step))
        active = heard.active[settled].astype(np.float32)
        both = active.T @ own[settled].astype(np.float32)
        return np.asarray(both / np.maximum(active.sum(axis=0), 1.0)[:, None], np.float32)

    def tell(self, heard: Hearing, assigned: Assignment, until_step: int, n_speakers: int) -> None:
        """Take a window in, correct who was told, and tell what lies before ``until_step``."""
        self._reach(heard.end_step, n_speakers)
        place = slice(heard.start_step - self.start_step, heard.end_step - self.start_step)
        window = chunk_weights(len(heard.probability))
        known = np.flatnonzero(assigned.speaker >= 0)
        probability = heard.probability[:, heard.column[known]] * window[:, None]
        self._total[place, assigned.speaker[known]] += probability  # no two of a window share a speaker
        self._count[place] += window * heard.active[:, known].sum(axis=1)
        self._cover[place] += window
        fresh = slice(self.told_step - self.start_step, max(until_step, self.told_step) - self.start_step)
        self._told[fresh] = decide(self._activity(fresh))
        self.told_step = max(until_step, self.told_step)
        self._correct(heard, assigned, place)

    def merge(self, gone: int, kept: int) -> None:
        """Make two speakers one."""
        for array in (self._total, self._told):
            array[:, kept] = np.maximum(array[:, kept], array[:, gone])
            array[:, gone] = 0

    def runs(self, max_gap_s: float, min_turn_s: float) -> list[DrawnTurn]:
        """Return what was told of the steps kept as runs in seconds of the call, pauses closed."""
        n_told = self.told_step - self.start_step
        part = slice(0, n_told)
        drawn = draw(self._told[part], self._activity(part), n_told * STEP_S, max_gap_s, min_turn_s)
        return delayed(drawn, self.start_step * STEP_S)

    def _correct(self, heard: Hearing, assigned: Assignment, place: slice) -> None:
        """Change who was told where the window is sure of everybody it hears, and hears as many or it is recent."""
        if not assigned.sure.any():
            return
        active = heard.active
        doubtful = active[:, ~assigned.sure].any(axis=1)
        now = np.zeros_like(self._told[place])
        now[:, assigned.speaker[assigned.sure]] = active[:, assigned.sure]
        before = self._told[place]
        step = np.arange(heard.start_step, heard.end_step)
        open_still = (now.sum(axis=1) == before.sum(axis=1)) | (step >= self.told_step - _OPEN_STEPS)
        fits = (step < self.told_step) & ~doubtful & open_still
        before[fits] = now[fits]  # a view: the table changes

    def _activity(self, part: slice) -> SpeakerActivity:
        cover = np.maximum(self._cover[part], 1e-6)
        probability = np.minimum(self._total[part] / cover[:, None], 1.0)
        return SpeakerActivity(probability.astype(np.float32), (self._count[part] / cover).astype(np.float32))

    def _reach(self, end_step: int, n_speakers: int) -> None:
        """Make room for steps up to ``end_step`` and for all speakers; forget what lies too far back."""
        more = max(0, end_step - self.start_step - len(self._count))
        wider = max(0, n_speakers - self._total.shape[1])
        self._total = np.pad(self._total, ((0, more), (0, wider)))
        self._told = np.pad(self._told, ((0, more), (0, wider)))
        self._count, self._cover = np.pad(self._count, (0, more)), np.pad(self._cover, (0, more))
        surplus = len(self._count) - self.n_steps
        if surplus > 0:
            self.start_step += surplus
            self._total, self._told = self._total[surplus:], self._told[surplus:]
            self._count, self._cover = self._count[surplus:], self._cover[surplus:]


def delayed(turns: Sequence[DrawnTurn], by_s: float) -> list[DrawnTurn]:
    """Return the turns so much later."""
    return [
        DrawnTurn(Segment(one.segment.start_s + by_s, one.segment.end_s + by_s), one.speaker, one.confidence)
        for one in turns
    ]
