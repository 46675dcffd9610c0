"""When one person speaks, also under others: target-speaker voice activity detection at run time.

The network hears a chunk three ways: as fbank, as embeddings of short windows of it, and beside the embedding of each
person it is asked for. What it gives is the probability that this very person is heard, whoever else is.

Sources: Medennikov et al., "Target-speaker voice activity detection", 2020; Ding et al., "Personal VAD", 2020, whose
best variant is fed the similarity of each frame to the target besides.

Shapes: T frames of 10 ms in a chunk, W windows 0.2 s apart, L lengths of window, D embedding dimension, K people
asked for, S steps of 20 ms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from voxid.bundle import GRAPH_FILE, Bundle
from voxid.diarize.progress import Progress
from voxid.diarize.segmentation import STEP_FRAMES, quiet_to
from voxid.embedding import Embedder
from voxid.errors import CompatibilityError, InputError
from voxid.features import FRAME_LENGTH_S, fbank, frame_count
from voxid.graph import open_model
from voxid.score import center

WINDOW_HOP_FRAMES: Final = 20
WINDOW_FRAMES: Final = (80, 160)
LEAST_FRAMES: Final = 40
"""Shortest recording: half of the shorter window."""
_RATE_HZ: Final = 16_000
_HOP_SAMPLES: Final = 160

Floats = NDArray[np.float32]


def window_masks(n_frames: int, chunk_frames: int) -> Floats:
    """Return (W L, n_frames): where each window of a chunk is pooled, all lengths of one window after another.

    Windows are cut off at the ends. Those that begin behind ``n_frames`` repeat the last one that does not.

    Args:
        n_frames: of the recording in this chunk, ``LEAST_FRAMES`` or more.
        chunk_frames: of the chunk, a multiple of 20.
    """
    number = np.minimum(np.arange(chunk_frames // WINDOW_HOP_FRAMES), (n_frames - 1) // WINDOW_HOP_FRAMES)
    # The centre is kept so far inside that half of the shorter window is pooled at least.
    centre = np.minimum(number * WINDOW_HOP_FRAMES + WINDOW_HOP_FRAMES // 2, n_frames)[:, None, None]
    half = (np.array(WINDOW_FRAMES) // 2)[None, :, None]
    frame = np.arange(n_frames)
    inside = (frame >= centre - half) & (frame < centre + half)
    return np.asarray(inside.reshape(-1, n_frames), np.float32)


@dataclass(frozen=True, eq=False)
class TargetDetector:
    """A target-speech model on disk, hash-checked, and the bundle whose embeddings it was trained with.

    ``model.onnx`` takes fbank (B, T, 80), windows (B, W, L D) and targets (B, K, D) and returns (B, K, S).
    """

    name: str
    id: str
    card: dict[str, Any] = field(repr=False)
    _session: ort.InferenceSession = field(repr=False)

    @classmethod
    def load(cls, folder: str | Path, threads: int = 1) -> TargetDetector:
        """Return the model in a folder.

        Raises:
            InputError: ``detector_missing``.
            CompatibilityError: ``detector_hash_mismatch``, ``detector_invalid``.
        """
        model = open_model(folder, "detector", "target-speech model", threads)
        return cls(model.name, model.id, model.card, model.session)

    @property
    def chunk_frames(self) -> int:
        """Frames of 10 ms the network was trained on at once."""
        return int(self.card["chunk_frames"])

    def check_bundle(self, bundle: Bundle) -> None:
        """Refuse embeddings of another graph than the one heard in training.

        Raises:
            CompatibilityError: ``model_mismatch``.
        """
        wanted = self.card["embeds_with"]
        if bundle.card["sha256"][GRAPH_FILE] != wanted["sha256"]:
            raise CompatibilityError(
                "model_mismatch",
                f"{self.name} was trained with the embeddings of {wanted['name']} and cannot use those of "
                f"{bundle.name}; leave the bundle out, or open a gallery of {wanted['name']}.",
            )

    def activity(self, features: Floats, windows: Floats, targets: Floats) -> Floats:
        """Return (B, K, S) probabilities of features (B, T, 80), windows (B, W, L D) and targets (B, K, D)."""
        inputs = {"fbank": features, "windows": windows, "targets": targets}
        found = self._session.run(None, {k: np.ascontiguousarray(v, np.float32) for k, v in inputs.items()})
        return np.asarray(found[0], np.float32)

    def detect(
        self,
        samples: Floats,
        targets: Floats,
        embedder: Embedder,
        overlap: float = 0.5,
        progress: Progress | None = None,
    ) -> Floats:
        """Return (K, S) the probability that each person speaks in each 20 ms of a recording.

        Args:
            samples: (N,) float32, 16 kHz.
            targets: (K, D) centred on the bundle's mean, unit length.
            embedder: of the bundle the network was trained with.
            overlap: share of a chunk heard in the next one too, in [0, 1); the middles of chunks count most.
            progress: hears the share of the work done; raise from it to cancel.

        Raises:
            InputError: ``audio_too_short`` below 0.4 s. CompatibilityError: ``model_mismatch``.
        """
        self.check_bundle(embedder.bundle)
        n_frames, chunk = frame_count(samples.size), self.chunk_frames
        if n_frames < LEAST_FRAMES:
            raise InputError(
                "audio_too_short",
                f"the recording lasts {samples.size / _RATE_HZ:.2f} s; expected 0.45 s or more; give a longer one.",
            )
        steps = round(chunk * (1.0 - overlap) / WINDOW_HOP_FRAMES)
        hop = min(max(1, steps) * WINDOW_HOP_FRAMES, chunk - LEAST_FRAMES)  # so the last piece is long enough
        starts = np.arange(0, max(1, n_frames - chunk + hop), hop)
        n_steps = -(-n_frames // STEP_FRAMES)
        total, cover = np.zeros((len(targets), n_steps)), np.zeros(n_steps)
        window = 0.05 + np.hanning(chunk // STEP_FRAMES + 2)[1:-1]
        for done, start in enumerate(starts.tolist(), start=1):
            heard = self._chunk(samples, start, min(chunk, n_frames - start), targets, embedder)
            own = slice(start // STEP_FRAMES, min(start // STEP_FRAMES + heard.shape[1], n_steps))
            weight = window[: own.stop - own.start]
            total[:, own] += weight * heard[:, : len(weight)]
            cover[own] += weight
            if progress is not None:
                progress(done / len(starts))
        return np.asarray(total / cover, np.float32)

    def _chunk(
        self, samples: Floats, start: int, n_frames: int, targets: Floats, embedder: Embedder
    ) -> Floats:
        tail = round(FRAME_LENGTH_S * _RATE_HZ)
        heard = samples[start * _HOP_SAMPLES : (start + n_frames - 1) * _HOP_SAMPLES + tail]
        vectors = embedder.embed_masks(heard, window_masks(n_frames, self.chunk_frames))
        windows = center(vectors, embedder.bundle.mean).reshape(1, -1, len(WINDOW_FRAMES) * embedder.dim)
        features = quiet_to(fbank(heard), self.chunk_frames)
        return np.asarray(self.activity(features[None], windows, targets[None])[0], np.float32)
