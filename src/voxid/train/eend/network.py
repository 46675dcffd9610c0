"""EEND-EDA: a conformer hears half a minute, and attractors drawn from what it heard say how many speak, and who when.

Source: Horiguchi et al., "Encoder-decoder based attractors for end-to-end neural diarization", 2022 (first 2020):
section III.C; the conformer in place of the transformer is Liu et al., "End-to-end neural diarization: from
transformer to conformer", 2021.

Beside the fbank it hears the frame layers of a trained embedding network, frozen, as segmentation does: half an hour
of training is not enough to learn voices.

Shapes: B batch, T frames of 10 ms, U steps of 80 ms, C channels, N attractors, one more than the speakers there may
be, so that there is one to say that there is nobody left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from voxid.diarize.segmentation import STEP_FRAMES
from voxid.features import N_MELS
from voxid.train.segmentation.network import ConformerBlock, Size, Trunk

PATCH_FRAMES = 8


@dataclass(frozen=True)
class AttractorSize(Size):
    """Width and depth.

    Args:
        speakers: at most.
    """

    channels: int = 128
    blocks: int = 4
    widening: int = 2
    speakers: int = 6


class EendNetwork(nn.Module):
    """fbank -> log odds that each speaker is heard, and that there is such a speaker at all."""

    def __init__(self, size: AttractorSize | None = None, trunk: Trunk | None = None) -> None:
        super().__init__()
        self.size, self.trunk = size or AttractorSize(), trunk
        size, c = self.size, self.size.channels
        if trunk is not None:
            self.hear = nn.Linear(trunk.channels, c, bias=False)
        self.enter = nn.Linear(PATCH_FRAMES * N_MELS, c)
        self.blocks = nn.Sequential(*(ConformerBlock(size) for _ in range(size.blocks)))
        self.remember = nn.LSTM(c, c, batch_first=True)
        self.recall = nn.LSTM(c, c, batch_first=True)
        self.exists = nn.Linear(c, 1)

    def forward(self, fbank: Tensor) -> tuple[Tensor, Tensor]:
        """fbank (B, T, 80), T a multiple of 8 -> activity (B, U, N - 1) and existence (B, N), both logits."""
        b, c = fbank.shape[0], self.size.channels
        centred = fbank - fbank.mean(dim=1, keepdim=True)
        x = self.enter(centred.reshape(b, -1, PATCH_FRAMES * N_MELS))
        if self.trunk is not None:
            x = x + self.hear(self.trunk(centred).reshape(b, x.shape[1], -1, self.trunk.channels).mean(dim=2))
        heard = self.blocks(x)
        # Steps are shuffled, so that attractors follow from who is heard and not from when (section III.D). The order
        # is one and the same when it counts, so that results can be repeated.
        order = torch.randperm(heard.shape[1]) if self.training else _fixed_order(heard.shape[1])
        _, state = self.remember(heard[:, order])
        attractors, _ = self.recall(heard.new_zeros(b, self.size.speakers + 1, c), state)
        activity = heard @ attractors[:, :-1].transpose(1, 2) * c**-0.5
        return activity, self.exists(attractors)[:, :, 0]


def _fixed_order(steps: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).permutation(int(steps)))


class LocalVoices(nn.Module):
    """What is exported: probabilities in steps of 20 ms; attractors behind the first that is none are silent."""

    def __init__(self, network: EendNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, fbank: Tensor) -> Tensor:
        """fbank (B, T, 80) -> (B, S, N - 1), S = T / 2."""
        activity, existence = self.network(fbank)
        there = (existence > 0.0).float()
        gates = [there[:, :1]]
        for number in range(1, self.network.size.speakers):
            gates.append(gates[-1] * there[:, number : number + 1])
        heard = torch.sigmoid(activity) * torch.cat(gates, dim=1).unsqueeze(1)
        steps = heard.unsqueeze(2).expand(-1, -1, PATCH_FRAMES // STEP_FRAMES, -1)
        return steps.reshape(heard.shape[0], -1, self.network.size.speakers)
