"""The target-speech network: a small conformer that hears a chunk once and is asked for several people.

The first blocks know nothing of whom they are asked for and serve all K people; the others run once for each. What a
person's embedding has in common with the windows of the chunk, dimension by dimension, enters between them, so that
whose voice it is need not be learned from fbank: a few thousand steps are then enough.

Shapes: B batch, T frames of 10 ms, U steps of 100 ms, W windows 0.2 s apart, L lengths of window, D embedding
dimension, K people asked for, S steps of 20 ms, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from voxid.diarize.segmentation import STEP_FRAMES
from voxid.diarize.target_speech import WINDOW_FRAMES, WINDOW_HOP_FRAMES
from voxid.features import N_MELS
from voxid.train.segmentation.network import ConformerBlock, Size

_PATCH_FRAMES = 10
_WINDOW_STEPS = WINDOW_HOP_FRAMES // _PATCH_FRAMES
# Windows of the person and of others have cosines of about 0.4 and 0.05 in training conversations.
_COSINE_GAIN, _COSINE_OFFSET = 6.0, -3.0


@dataclass(frozen=True)
class TargetSize(Size):
    """Width and depth.

    Args:
        shared_blocks: of the ``blocks``, how many run before anybody is asked for.
        embedding: D.
    """

    channels: int = 96
    blocks: int = 4
    widening: int = 2
    shared_blocks: int = 2
    embedding: int = 256


class TargetNetwork(nn.Module):
    """fbank, windows and people -> log odds that each of them speaks."""

    def __init__(self, size: TargetSize | None = None) -> None:
        super().__init__()
        self.size = size = size or TargetSize()
        c, windows = size.channels, len(WINDOW_FRAMES) * size.embedding
        self.enter = nn.Linear(_PATCH_FRAMES * N_MELS, c)
        self.hear = nn.Linear(windows, c, bias=False)
        self.shared = nn.Sequential(*(ConformerBlock(size) for _ in range(size.shared_blocks)))
        self.modulate = nn.Linear(size.embedding, 2 * c)
        self.compare = nn.Linear(windows, c, bias=False)
        self.asked = nn.Sequential(*(ConformerBlock(size) for _ in range(size.blocks - size.shared_blocks)))
        self.leave = nn.Linear(c, _PATCH_FRAMES // STEP_FRAMES)
        # The network begins by going by the cosines alone, and learns what to add to them.
        self.score = nn.Linear(len(WINDOW_FRAMES), 1)
        with torch.no_grad():
            self.leave.weight.zero_()
            self.leave.bias.zero_()
            self.score.weight.fill_(_COSINE_GAIN)
            self.score.bias.fill_(_COSINE_OFFSET)

    def forward(self, fbank: Tensor, windows: Tensor, targets: Tensor) -> Tensor:
        """Return (B, K, S) logits.

        Args:
            fbank: (B, T, 80), T a multiple of 20, without any mean taken away.
            windows: (B, W, L D), W = T / 20, centred embeddings of unit length, the lengths beside each other.
            targets: (B, K, D) centred, unit length.
        """
        b, k, c = targets.shape[0], targets.shape[1], self.size.channels
        root = self.size.embedding**0.5  # brings a unit vector's values to about 1
        x = self.enter((fbank - fbank.mean(dim=1, keepdim=True)).reshape(b, -1, _PATCH_FRAMES * N_MELS))
        x = self.shared(x + _each_step(self.hear(root * windows)))
        gain, shift = self.modulate(root * targets).unsqueeze(2).chunk(2, dim=-1)  # FiLM (Perez et al., 2018)
        alike = self._alike(root * windows, root * targets).reshape(b * k, -1, windows.shape[2])
        asked = (x.unsqueeze(1) * (1.0 + gain) + shift).reshape(b * k, -1, c)
        cosines = alike.reshape(b * k, -1, len(WINDOW_FRAMES), self.size.embedding).mean(dim=3)
        out: Tensor = self.leave(self.asked(asked + _each_step(self.compare(alike))))
        return (out + _each_step(self.score(cosines))).reshape(b, k, -1)

    def _alike(self, windows: Tensor, targets: Tensor) -> Tensor:
        """(B, W, L D), (B, K, D) -> (B, K, W, L D): the terms whose mean is the cosine."""
        return windows.unsqueeze(1) * targets.repeat(1, 1, len(WINDOW_FRAMES)).unsqueeze(2)


def _each_step(x: Tensor) -> Tensor:
    """(B, W, C) -> (B, U, C): every window for its two steps."""
    return x.unsqueeze(2).expand(-1, -1, _WINDOW_STEPS, -1).reshape(x.shape[0], -1, x.shape[2])


class Probability(nn.Module):
    """What is exported: a network whose forward pass gives probabilities."""

    def __init__(self, network: TargetNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, fbank: Tensor, windows: Tensor, targets: Tensor) -> Tensor:
        """As of the network -> (B, K, S)."""
        return torch.sigmoid(self.network(fbank, windows, targets))
