"""The voices of one window and what they sound like.

Shapes: S steps of 20 ms in a window, N columns of the network, V voices found, D embedding dimension.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from voxid.diarize.gating import gate, near_speech
from voxid.diarize.local import STEP_S, find_voices, mask_of
from voxid.diarize.online.window import Window
from voxid.diarize.options import DiarizeOptions
from voxid.diarize.segmentation import STEP_FRAMES, LocalActivity
from voxid.embedding import Embedder
from voxid.features import FRAME_HOP_S
from voxid.score import center

LEVELS = 255
"""Probabilities are told in these steps, so that a byte keeps one without changing who is heard."""

_LEAST_CLEAN_S = 0.5  # seconds alone that are worth leaving the overlap out of an embedding


class LocalSegmenter(Protocol):
    """What follows a call: :class:`voxid.diarize.segmentation.Segmenter`, or one that knows the truth."""

    @property
    def chunk_frames(self) -> int:
        """Frames of 10 ms heard at once."""

    def activity(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (B, S, N), that each of N voices is heard, of features (B, T, M)."""


@dataclass(frozen=True, eq=False)
class Hearing:
    """What one window held.

    Attributes:
        start_step: first step, counted from the start of the call.
        probability: (S, N) float32, that each voice is heard; S the steps really heard.
        column: (V,) column of each voice.
        raw: (V, D) float32 unit embeddings, as a gallery compares them.
        centred: (V, D) float32, the same on the bundle's mean.
        spoken_s: (V,) float32, heard in the window.
        clean_s: (V,) float32, heard alone.
        fresh_s: (V,) float32, heard alone since the window before.
        hop_s: seconds since the window before.
    """

    start_step: int
    probability: NDArray[np.float32]
    column: NDArray[np.int64]
    raw: NDArray[np.float32]
    centred: NDArray[np.float32]
    spoken_s: NDArray[np.float32]
    clean_s: NDArray[np.float32]
    fresh_s: NDArray[np.float32]
    hop_s: float

    def __len__(self) -> int:
        return len(self.column)

    @property
    def end_step(self) -> int:
        """Step after the last."""
        return self.start_step + len(self.probability)

    @property
    def active(self) -> NDArray[np.bool_]:
        """(S, V) whether each voice is heard."""
        return np.asarray(self.probability[:, self.column] > 0.5)


def hear(window: Window, segmenter: LocalSegmenter, embedder: Embedder, embed: bool = True) -> Hearing:
    """Return the voices of a window.

    Args:
        embed: False only looks who is heard, and leaves the voices out when nobody is in the newest hop.
    """
    local = _listen(window, segmenter)
    probability = local.probability[0].astype(np.float32)
    found = find_voices(local)
    recent = probability[-(window.hop_frames // STEP_FRAMES) :] > 0.5
    chosen = slice(None) if embed or recent.any() else slice(0)
    column, spoken_s, clean_s = found.voice[chosen], found.spoken_s[chosen], found.clean_s[chosen]
    raw = np.zeros((0, embedder.dim), np.float32)
    if len(column):
        active = local.probability[0] > 0.5
        masks = [_padded(mask_of(active, int(one), _LEAST_CLEAN_S), window.n_frames) for one in column]
        raw = embedder.embed_masks(window.samples, np.stack(masks), window.features[: window.n_frames])
    alone = recent & (recent.sum(axis=1, keepdims=True) == 1)
    fresh_s = (alone.sum(axis=0)[column] * STEP_S).astype(np.float32)
    centred = center(raw, embedder.bundle.mean)
    start_step = window.start_frame // STEP_FRAMES
    hop_s = window.hop_frames * FRAME_HOP_S
    return Hearing(start_step, probability, column, raw, centred, spoken_s, clean_s, fresh_s, hop_s)


def _listen(window: Window, segmenter: LocalSegmenter) -> LocalActivity:
    """Return who is heard where there is speech; the network is not asked about a window without any."""
    steps = window.n_frames // STEP_FRAMES
    probability = np.zeros((steps, 1), np.float32)
    if window.speech:
        probability = np.asarray(segmenter.activity(window.features[None])[0][:steps], np.float32)
        probability = np.round(LEVELS * probability) / np.float32(LEVELS)
    local = LocalActivity(probability[None].astype(np.float16), np.zeros(1, np.int64), window.n_frames)
    return gate(local, near_speech(window.speech, local, DiarizeOptions())) if window.speech else local


def _padded(mask: NDArray[np.float32], n_frames: int) -> NDArray[np.float32]:
    """Return the mask over all frames: an odd last frame goes with the one before."""
    return np.pad(mask, (0, n_frames - len(mask)), mode="edge")
