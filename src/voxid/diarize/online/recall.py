"""What is kept of a call for the last pass: who was heard in every ten seconds and what they sounded like, no audio.

Shapes: C chunks, S steps of 20 ms in one, N columns of the network, V voices, D embedding dimension.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxid.bundle import Bundle
from voxid.diarize.clustering import Voices
from voxid.diarize.local import STEP_S, find_voices
from voxid.diarize.online.hearing import LEVELS, Hearing
from voxid.diarize.segmentation import STEP_FRAMES, LocalActivity
from voxid.diarize.segmented import HeardVoices
from voxid.features import FRAME_HOP_S
from voxid.score import center

_SILENT: Final = np.zeros((0, 0), np.uint8)


@dataclass(frozen=True, eq=False)
class _Kept:
    start_frame: int
    probability: NDArray[np.uint8]  # (S, N); empty where nobody was heard
    raw: NDArray[np.float16]  # (V, D)


@dataclass(frozen=True, eq=False)
class Recalled:
    """The call as the last pass hears it.

    Attributes:
        heard: its local voices.
        raw: (V, D) float32, their embeddings as a gallery compares them.
    """

    heard: HeardVoices
    raw: NDArray[np.float32]


class Recall:
    """Chunks that overlap by half or a little more, as a recording is cut.

    Args:
        chunk_frames: of the network.
        keep_s: older chunks are forgotten.
        step_frames: from one window of the call to the next: chunks begin where one of them does.
    """

    def __init__(self, chunk_frames: int, keep_s: float, step_frames: int) -> None:
        self.chunk_frames = chunk_frames
        self.hop_frames = max(1, chunk_frames // 2 // step_frames) * step_frames
        self._most = max(2, round(keep_s / (self.hop_frames * FRAME_HOP_S)))
        self._kept: deque[_Kept] = deque()

    @property
    def since_s(self) -> float:
        """From when on the call is remembered; the first chunk forgotten takes its half of the next with it."""
        first = self._kept[0].start_frame if self._kept else 0
        return 0.0 if first == 0 else (first + self.hop_frames) * FRAME_HOP_S

    def wants(self, start_frame: int, n_frames: int) -> bool:
        """Return whether this window is a chunk to be kept."""
        return n_frames == self.chunk_frames and start_frame % self.hop_frames == 0

    def last_start(self, n_frames: int) -> int | None:
        """Return where the chunk over the end of a call of ``n_frames`` starts; None when none is missing."""
        start = self._kept[-1].start_frame + self.hop_frames if self._kept else 0
        reached = self._kept[-1].start_frame + self.chunk_frames if self._kept else 0
        return None if n_frames <= reached else start

    def keep(self, heard: Hearing) -> None:
        """Keep a chunk."""
        small = np.round(LEVELS * heard.probability).astype(np.uint8) if len(heard) else _SILENT
        self._kept.append(_Kept(heard.start_step * STEP_FRAMES, small, heard.raw.astype(np.float16)))
        while len(self._kept) > self._most:
            self._kept.popleft()

    def recall(self, n_frames: int, bundle: Bundle) -> Recalled | None:
        """Return the call for the last pass, in time from ``start_s`` of its first chunk on; None without a voice.

        Args:
            n_frames: of the whole call.
        """
        spoken = [one.probability for one in self._kept if one.probability.size]
        if not spoken:
            return None
        width = max(one.shape[1] for one in spoken)
        probability = np.zeros((len(self._kept), self.chunk_frames // STEP_FRAMES, width), np.float16)
        for row, one in enumerate(self._kept):
            steps, columns = one.probability.shape
            probability[row, :steps, :columns] = one.probability.astype(np.float32) / LEVELS
        starts = np.asarray([one.start_frame for one in self._kept], np.int64)
        activity = LocalActivity(probability, starts - starts[0], n_frames - int(starts[0]))
        found = find_voices(activity)
        raw = np.concatenate([one.raw for one in self._kept if one.raw.size]).astype(np.float32)
        seconds = np.maximum(found.clean_s, STEP_S)
        voices = Voices(center(raw, bundle.mean), found.chunk, seconds, found.first_s)
        return Recalled(HeardVoices(activity, found, voices, activity.n_frames * FRAME_HOP_S), raw)

    @property
    def start_s(self) -> float:
        """When the first chunk kept starts."""
        return self._kept[0].start_frame * FRAME_HOP_S if self._kept else 0.0
