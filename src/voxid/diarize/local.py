"""The voices of every chunk and what they sound like: masks without overlap, one graph pass for several chunks.

Shapes: C chunks, S steps of 20 ms in one, N voices at most in one, V voices found in all, D embedding dimension.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxid.diarize.clustering import Voices
from voxid.diarize.progress import Progress
from voxid.diarize.segmentation import STEP_FRAMES, LocalActivity
from voxid.embedding import Embedder
from voxid.features import FRAME_HOP_S, FRAME_LENGTH_S
from voxid.score import center

STEP_S: Final = STEP_FRAMES * FRAME_HOP_S
_MIN_MASK_STEPS: Final = 10  # 0.2 s: the embedding graph pools over no less
_BATCH_CHUNKS: Final = 4
_RATE_HZ: Final = 16_000


@dataclass(frozen=True, eq=False)
class LocalVoices:
    """Who is heard in which chunk, in order of time.

    Attributes:
        chunk: (V,) number of the chunk.
        voice: (V,) its column there.
        spoken_s: (V,) float32, how long it is heard.
        clean_s: (V,) float32, how long it is heard alone.
        first_s: (V,) float32, when it is heard first, from the start of the recording.
    """

    chunk: NDArray[np.int64]
    voice: NDArray[np.int64]
    spoken_s: NDArray[np.float32]
    clean_s: NDArray[np.float32]
    first_s: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.chunk)


def find_voices(activity: LocalActivity) -> LocalVoices:
    """Return the voices that are heard for 0.2 s or more in a chunk."""
    active = activity.probability > 0.5
    alone = active & (active.sum(axis=2, keepdims=True) == 1)
    spoken = active.sum(axis=1)
    chunk, voice = np.nonzero(spoken >= _MIN_MASK_STEPS)
    first = active[chunk, :, voice].argmax(axis=1) * STEP_S + activity.start_frames[chunk] * FRAME_HOP_S
    return LocalVoices(
        chunk,
        voice,
        (spoken[chunk, voice] * STEP_S).astype(np.float32),
        (alone.sum(axis=1)[chunk, voice] * STEP_S).astype(np.float32),
        first.astype(np.float32),
    )


def mask_of(active: NDArray[np.bool_], voice: int, least_clean_s: float) -> NDArray[np.float32]:
    """Return (2 S,) frames to pool one voice of a chunk over.

    Moments where others speak too are left out when ``least_clean_s`` remain, else everything it says counts.

    Args:
        active: (S, N) who is heard.
    """
    alone = active[:, voice] & (active.sum(axis=1) == 1)
    kept = alone if alone.sum() * STEP_S >= max(least_clean_s, _MIN_MASK_STEPS * STEP_S) else active[:, voice]
    return np.repeat(kept.astype(np.float32), STEP_FRAMES)


def embed_voices(
    samples: NDArray[np.float32],
    activity: LocalActivity,
    found: LocalVoices,
    embedder: Embedder,
    least_clean_s: float = 0.5,
    progress: Progress | None = None,
) -> Voices:
    """Return the voices with their embeddings, each pooled over what it says alone where that is enough.

    Args:
        samples: (N,) float32 of the recording, 16 kHz.
        activity: of :meth:`voxid.diarize.segmentation.Segmenter.segment`.
        found: of :func:`find_voices`.
        embedder: of the bundle.
        least_clean_s: seconds alone that are worth leaving the overlap out.
        progress: hears the share of the work done; raise from it to cancel.
    """
    vectors = np.empty((len(found), embedder.dim), np.float32)
    chunks = np.unique(found.chunk)
    for first in range(0, len(chunks), _BATCH_CHUNKS):
        batch = chunks[first : first + _BATCH_CHUNKS]
        edges = np.searchsorted(found.chunk, [batch, batch + 1])
        rows = [np.arange(first_row, last_row) for first_row, last_row in edges.T]
        heard, masks = [], []
        for chunk, own in zip(batch.tolist(), rows, strict=True):
            part = _samples_of(samples, activity, chunk)
            active = activity.probability[chunk] > 0.5
            frames = min(activity.chunk_frames, activity.n_frames - int(activity.start_frames[chunk]))
            masks.append(
                np.stack([mask_of(active, int(found.voice[row]), least_clean_s)[:frames] for row in own])
            )
            heard.append(part)
        for own, embedded in zip(rows, embedder.embed_chunks(heard, masks), strict=True):
            vectors[own] = embedded
        if progress is not None:
            progress(min(1.0, (first + len(batch)) / len(chunks)))
    seconds = np.maximum(found.clean_s, STEP_S)
    return Voices(center(vectors, embedder.bundle.mean), found.chunk, seconds, found.first_s)


def _samples_of(samples: NDArray[np.float32], activity: LocalActivity, chunk: int) -> NDArray[np.float32]:
    """Return the samples under the frames of a chunk."""
    hop = round(FRAME_HOP_S * _RATE_HZ)
    start = int(activity.start_frames[chunk])
    end = min(start + activity.chunk_frames, activity.n_frames)
    return samples[start * hop : (end - 1) * hop + round(FRAME_LENGTH_S * _RATE_HZ)]
