"""Two voices of one chunk are two people: the path of the windows made to agree, where a caller asks for it.

The windows are joined without regard to the chunks they lie in, so their path may give two voices of a chunk to one
speaker. Then those voices and the speakers are matched anew, all voices of the chunk at once.

Source: the constrained assignment of Bredin, "pyannote.audio 2.1 speaker diarization pipeline", Interspeech 2023, here
by the windows that lie in what each voice says alone.

Shapes: F steps of 20 ms of the recording, S steps in a chunk, K windows, W of them in a chunk, G speakers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from voxid.diarize.clustering import cluster_means, unit_rows
from voxid.diarize.local import STEP_S, LocalVoices
from voxid.diarize.segmentation import STEP_FRAMES, LocalActivity
from voxid.diarize.windows import Windows

_LEAST_ALONE_S: Final = 1.0  # a voice heard alone for less may be a slip of the network
_LEAST_SHARE: Final = 0.6  # of a window that is one voice alone, so that the window stands for it


@dataclass(frozen=True, eq=False)
class _Voice:
    """A voice of a chunk: (S,) where it is heard alone, whose path that is, and (G,) its windows' mean cosine."""

    alone: NDArray[np.bool_]
    speaker: int
    alike: NDArray[np.float32]

    @property
    def gain(self) -> NDArray[np.float64]:
        """(G,) what matching it with each speaker is worth: cosine x seconds."""
        return np.asarray((self.alike + 1.0) * self.alone.sum() * STEP_S, np.float64)


def keep_apart(
    activity: LocalActivity,
    found: LocalVoices,
    windows: Windows,
    embeddings: NDArray[np.float32],
    path: NDArray[np.int64],
    margin: float,
) -> NDArray[np.int64]:
    """Return (F,) the path in which voices of a chunk that had one speaker have several, where they may be.

    Args:
        activity, found: who is heard in each chunk.
        embeddings: (K, D) unit rows, centred, of the windows.
        path: (F,) who speaks, mainly; -1 where nobody does.
        margin: most cosine a voice may lose by being given to another speaker.
    """
    alike = _alike(windows, embeddings, path)
    changed = path.copy()
    first = np.searchsorted(found.chunk, np.arange(len(activity) + 1))
    for chunk in np.flatnonzero(np.diff(first) > 1).tolist():
        start = int(activity.start_frames[chunk]) // STEP_FRAMES
        walked = path[start : start + activity.probability.shape[1]]
        columns = found.voice[first[chunk] : first[chunk + 1]]
        voices = _voices(
            activity.probability[chunk, : len(walked)] > 0.5, columns, start, walked, windows, alike
        )
        if len({voice.speaker for voice in voices}) == len(voices):
            continue
        rows, speakers = linear_sum_assignment(np.stack([voice.gain for voice in voices]), maximize=True)
        for row, speaker in zip(rows.tolist(), speakers.tolist(), strict=True):
            own = voices[row]
            if own.alike[own.speaker] - own.alike[speaker] <= margin:
                changed[start : start + len(walked)][own.alone & (walked == own.speaker)] = speaker
    return changed


def _alike(windows: Windows, embeddings: NDArray[np.float32], path: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return (K, G) the cosine of each window with each speaker's mean, over windows that are the speaker's alone."""
    alike = np.full((len(windows), int(path.max()) + 1), -1.0, np.float32)
    changes = np.concatenate([[0], np.cumsum(np.diff(path) != 0)])
    begin = windows.bounds[:, 0] // STEP_FRAMES
    end = np.minimum(windows.bounds[:, 1] // STEP_FRAMES, len(path)) - 1
    pure = np.flatnonzero((changes[begin] == changes[end]) & (path[begin] >= 0))
    if len(pure):
        means, total = cluster_means(embeddings[pure], np.ones(len(pure)), path[begin[pure]])
        known = np.flatnonzero(total > 0)
        alike[:, known] = embeddings @ unit_rows(means[known]).T
    return alike


def _voices(
    active: NDArray[np.bool_],
    columns: NDArray[np.int64],
    start: int,
    walked: NDArray[np.int64],
    windows: Windows,
    alike: NDArray[np.float32],
) -> list[_Voice]:
    """Return the voices of a chunk that are heard alone for long enough, and have windows that stand for them.

    Args:
        active: (S, N) who is heard.
        columns: of the voices.
        start: first step of the chunk.
        walked: (S,) the path.
    """
    alone = active & (active.sum(axis=1, keepdims=True) == 1) & (walked >= 0)[:, None]
    inside = slice(
        *np.searchsorted(windows.bounds[:, 0] // STEP_FRAMES, [start, start + len(walked)]).tolist()
    )
    begin = windows.bounds[inside, 0] // STEP_FRAMES - start
    end = windows.bounds[inside, 1] // STEP_FRAMES - start
    voices = []
    for column in columns.tolist():
        own = alone[:, column]
        spoken = np.concatenate([[0], np.cumsum(own)])
        share = (spoken[np.minimum(end, len(own))] - spoken[begin]) / (end - begin)
        stands = np.flatnonzero(share >= _LEAST_SHARE)
        if own.sum() * STEP_S >= _LEAST_ALONE_S and len(stands):
            speaker = int(np.bincount(walked[own]).argmax())
            voices.append(_Voice(own, speaker, alike[inside][stands].mean(axis=0)))
    return voices
