"""Who of up to four voices speaks in every 20 ms of ten seconds: the local segmentation network at run time.

Local voices have no identity beyond their chunk: voice 0 of one chunk and voice 0 of the next are unrelated until
they are clustered. Chunks overlap by half, so that every moment is heard twice, with different surroundings.

Shapes: T frames of 10 ms, C chunks, S steps of 20 ms in a chunk, N voices in a chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxid.diarize.progress import Progress
from voxid.errors import InputError
from voxid.features import FRAME_LENGTH_S, N_MELS, fbank, frame_count
from voxid.graph import GraphRuns, open_model, release_memory

DEFAULT_SEGMENTER: Final = "segmenter-small"
STEP_FRAMES: Final = 2
_RATE_HZ: Final = 16_000
_HOP_SAMPLES: Final = 160
_BLOCK_FRAMES: Final = 6_000  # a minute of features at once
_BATCH_CHUNKS: Final = 4
_LONG_FRAMES: Final = 180_000  # half an hour: a recording that needs the memory for other things


@dataclass(frozen=True, eq=False)
class LocalActivity:
    """What the network hears.

    Attributes:
        probability: (C, S, N) float16, that each voice of each chunk is heard.
        start_frames: (C,) int64, first frame of 10 ms of each chunk.
        n_frames: of the recording; the last chunk may reach beyond.
    """

    probability: NDArray[np.float16]
    start_frames: NDArray[np.int64]
    n_frames: int

    def __len__(self) -> int:
        return len(self.start_frames)

    @property
    def chunk_frames(self) -> int:
        """Frames in a chunk."""
        return int(self.probability.shape[1]) * STEP_FRAMES


@dataclass(frozen=True, eq=False)
class Segmenter:
    """A segmentation model on disk, hash-checked: ``model.onnx`` (fbank (B, T, 80) -> (B, S, N)) and ``card.json``."""

    name: str
    id: str
    card: dict[str, Any] = field(repr=False)
    _session: GraphRuns = field(repr=False)

    @classmethod
    def load(cls, folder: str | Path, threads: int = 1) -> Segmenter:
        """Return the model in a folder.

        Raises:
            InputError: ``segmenter_missing``.
            CompatibilityError: ``segmenter_hash_mismatch``, ``segmenter_invalid``.
        """
        model = open_model(folder, "segmenter", "segmentation model", threads)
        return cls(model.name, model.id, model.card, model.session)

    def through(self, front: Callable[[GraphRuns], GraphRuns]) -> Segmenter:
        """Return the same model with something in front of its session, such as what joins runs of several threads."""
        return replace(self, _session=front(self._session))

    @property
    def chunk_frames(self) -> int:
        """Frames of 10 ms the network was trained on at once."""
        return int(self.card["chunk_frames"])

    def activity(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (B, S, N) of features (B, T, 80), T a multiple of 4."""
        found = self._session.run(None, {"fbank": np.ascontiguousarray(features, np.float32)})[0]
        return np.asarray(found, np.float32)

    def release_memory(self) -> None:
        """Give back what hearing several chunks at once took."""
        release_memory(self._session, {"fbank": np.zeros((1, self.chunk_frames, N_MELS), np.float32)})

    def segment(
        self,
        samples: NDArray[np.float32],
        overlap: float = 0.5,
        progress: Progress | None = None,
    ) -> LocalActivity:
        """Return the local voices of a recording.

        Args:
            samples: (N,) float32, 16 kHz.
            overlap: share of a chunk heard in the next one too, in [0, 1).
            progress: hears the share of the work done; raise from it to cancel.

        Raises:
            InputError: ``audio_too_short`` below one frame.
        """
        n_frames, chunk = frame_count(samples.size), self.chunk_frames
        if n_frames == 0:
            raise InputError(
                "audio_too_short", f"the audio has {samples.size} samples; give 25 ms or more of it."
            )
        hop = max(4, round(chunk * (1.0 - overlap) / 4) * 4)
        starts = np.arange(0, max(1, n_frames - chunk + hop), hop, dtype=np.int64)
        found = np.empty((len(starts), chunk // STEP_FRAMES, int(self.card["voices"])), np.float16)
        for first, chunks in _batches(samples, starts, chunk, n_frames):
            found[first : first + len(chunks)] = self.activity(chunks)
            if progress is not None:
                progress(min(1.0, (first + len(chunks)) / len(starts)))
        _silence_beyond(found, starts, n_frames)
        if n_frames > _LONG_FRAMES:
            self.release_memory()
        return LocalActivity(found, starts, n_frames)


@lru_cache(maxsize=4)
def default_segmenter(threads: int = 1) -> Segmenter:
    """Return the segmentation model that comes with voxid, loaded once for each number of threads.

    Raises:
        InputError: ``segmenter_missing`` when the installation lacks it.
        CompatibilityError: ``segmenter_hash_mismatch``, ``segmenter_invalid``.
    """
    return Segmenter.load(Path(str(resources.files("voxid"))) / "segmenters" / DEFAULT_SEGMENTER, threads)


def _batches(
    samples: NDArray[np.float32], starts: NDArray[np.int64], chunk: int, n_frames: int
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield (number of the first chunk, features (B, chunk, 80)); features are made once for overlapping chunks."""
    held, held_from = np.empty((0, 80), np.float32), 0
    for first in range(0, len(starts), _BATCH_CHUNKS):
        batch = starts[first : first + _BATCH_CHUNKS]
        end = min(n_frames, int(batch[-1]) + chunk)
        held, held_from = held[int(batch[0]) - held_from :], int(batch[0])
        while held_from + len(held) < end:
            at = held_from + len(held)
            until = min(n_frames, at + _BLOCK_FRAMES)
            tail = round(FRAME_LENGTH_S * _RATE_HZ)
            block = fbank(samples[at * _HOP_SAMPLES : (until - 1) * _HOP_SAMPLES + tail])
            held = np.concatenate([held, block])
        yield (
            first,
            np.stack([quiet_to(held[int(s) - held_from : int(s) - held_from + chunk], chunk) for s in batch]),
        )


def chunk_weights(n_steps: int) -> NDArray[np.float32]:
    """Return (S,) how much each step of a chunk counts where chunks overlap: the middle most, the edges a tenth."""
    return (0.1 + np.hanning(n_steps + 2)[1:-1]).astype(np.float32)


def quiet_to(features: NDArray[np.float32], chunk_frames: int) -> NDArray[np.float32]:
    """Return (chunk_frames, 80): what is missing at the end is as quiet as the quietest frame (T, 80) there is."""
    missing = chunk_frames - len(features)
    if missing <= 0:
        return features
    quiet = features[features.mean(axis=1).argmin()]
    return np.concatenate([features, np.broadcast_to(quiet, (missing, features.shape[1]))])


def _silence_beyond(found: NDArray[np.float16], starts: NDArray[np.int64], n_frames: int) -> None:
    for row in np.flatnonzero(starts + found.shape[1] * STEP_FRAMES > n_frames):
        found[row, max(0, (n_frames - int(starts[row]) + 1) // STEP_FRAMES) :] = 0.0
