"""A segmentation that never errs, to measure everything after it by itself.

It knows a recording and who speaks in it, and finds the place of what it is given by its first frame, which must not
occur twice: give it recordings with some noise. Voices come in another order in every chunk, as a network's do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxid.diarize.segmentation import STEP_FRAMES
from voxid.errors import InputError
from voxid.features import fbank
from voxid.timeline import Timeline

_FRAMES_PER_S = 100


class OracleSegmenter:
    """What a network that never errs would hear in one recording.

    Args:
        samples: (N,) float32 of the recording, 16 kHz.
        truth: who speaks when.
        chunk_frames: heard at once.
        voices: at most so many in a chunk; of more, those who speak most.
        seed: of the order of the voices.
    """

    def __init__(
        self,
        samples: NDArray[np.float32],
        truth: Timeline,
        chunk_frames: int = 1_000,
        voices: int = 4,
        seed: int = 0,
    ) -> None:
        frames = fbank(samples)
        self._place = {frame.tobytes(): at for at, frame in enumerate(frames)}
        self._active = np.zeros((len(frames), max(1, len(truth.speakers))), np.bool_)
        for turn in truth.turns:
            first, last = round(_FRAMES_PER_S * turn.start_s), round(_FRAMES_PER_S * turn.end_s)
            self._active[first:last, truth.speakers.index(turn.speaker)] = True
        self._chunk_frames, self._voices = chunk_frames, voices
        self._rng = np.random.default_rng(seed)

    @property
    def chunk_frames(self) -> int:
        """Frames of 10 ms heard at once."""
        return self._chunk_frames

    def activity(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (B, S, N), 1 where each voice is heard, of features (B, T, M) of the recording.

        Raises:
            InputError: ``recording_unknown`` when a chunk does not begin with a frame of it.
        """
        found = np.zeros((len(features), features.shape[1] // STEP_FRAMES, self._voices), np.float32)
        for row, chunk in enumerate(features):
            at = self._place.get(np.ascontiguousarray(chunk[0]).tobytes())
            if at is None:
                raise InputError(
                    "recording_unknown",
                    "these features are of another recording than the one whose truth is known; give that one.",
                )
            part = self._active[at : at + features.shape[1] : STEP_FRAMES]
            most = np.argsort(-part.sum(axis=0), kind="stable")[: self._voices]
            columns = self._rng.permutation(self._voices)[: most.size]
            found[row, : len(part), columns] = part[:, most].T
        return found
