"""The segmentation network: a small conformer over ten seconds of fbank, four frames of which make one step.

Beside the fbank it hears the frame layers of a trained embedding network, frozen, which know many more voices than
conversations can be made of in the time.

Stacked frames in place of strided convolutions, and no dropout, since no chunk is ever met twice: a step of training
then takes 0.87 s for 32 chunks on two cores where it took 2.0 s.

Shapes: B batch, T frames of 10 ms, S steps of 20 ms, U steps of 40 ms inside the blocks, C channels, P speaker sets.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from voxid.errors import ConfigError
from voxid.features import N_MELS
from voxid.train.networks import EcapaFrames, EmbeddingNetwork
from voxid.train.segmentation.powerset import Powerset

STEP_FRAMES = 2  # of 10 ms in a step of the output
_PATCH_FRAMES = 4  # in a step inside the blocks


@dataclass(frozen=True)
class Size:
    """Width and depth.

    Args:
        channels: C, a multiple of ``heads``.
        blocks: conformer blocks.
        heads: of attention.
        kernel: steps of 40 ms the convolution of a block spans; odd.
        widening: of the feed-forward layers.
        dropout: share of values left out while training.
    """

    channels: int = 144
    blocks: int = 4
    heads: int = 4
    kernel: int = 15
    widening: int = 3
    dropout: float = 0.0


class FeedForward(nn.Sequential):
    """Half of a macaron: norm, wide layer, narrow layer."""

    def __init__(self, size: Size) -> None:
        c, wide = size.channels, size.channels * size.widening
        super().__init__(
            nn.LayerNorm(c),
            nn.Linear(c, wide),
            nn.SiLU(),
            nn.Dropout(size.dropout),
            nn.Linear(wide, c),
            nn.Dropout(size.dropout),
        )


class SelfAttention(nn.Module):
    """Every step looks at every step of its chunk."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.heads = size.heads
        self.norm = nn.LayerNorm(size.channels)
        self.query_key_value = nn.Linear(size.channels, 3 * size.channels)
        self.out = nn.Linear(size.channels, size.channels)
        self.drop = nn.Dropout(size.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, U, C) -> (B, U, C)."""
        b, u, c = x.shape
        parts = self.query_key_value(self.norm(x)).view(b, u, 3, self.heads, c // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        weights = (query @ key.transpose(2, 3) * (c // self.heads) ** -0.5).softmax(dim=-1)
        out: Tensor = self.drop(self.out((weights @ value).transpose(1, 2).reshape(b, u, c)))
        return out


class Convolution(nn.Module):
    """Gated pointwise, depthwise over time, pointwise."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        c = size.channels
        self.norm = nn.LayerNorm(c)
        self.widen = nn.Linear(c, 2 * c)
        self.depthwise = nn.Conv1d(c, c, size.kernel, padding=size.kernel // 2, groups=c)
        self.batch_norm = nn.BatchNorm1d(c)
        self.out = nn.Linear(c, c)
        self.drop = nn.Dropout(size.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, U, C) -> (B, U, C)."""
        gated = nn.functional.glu(self.widen(self.norm(x)), dim=-1)
        mixed = nn.functional.silu(self.batch_norm(self.depthwise(gated.transpose(1, 2))))
        out: Tensor = self.drop(self.out(mixed.transpose(1, 2)))
        return out


class ConformerBlock(nn.Module):
    """Feed forward, attention, convolution, feed forward (Gulati et al., "Conformer", 2020, section 2)."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.before = FeedForward(size)
        self.attend = SelfAttention(size)
        self.convolve = Convolution(size)
        self.after = FeedForward(size)
        self.norm = nn.LayerNorm(size.channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, U, C) -> (B, U, C)."""
        x = x + 0.5 * self.before(x)
        x = x + self.attend(x)
        x = x + self.convolve(x)
        out: Tensor = self.norm(x + 0.5 * self.after(x))
        return out


class Trunk(nn.Module):
    """The blocks of a trained ECAPA-TDNN before their outputs are aggregated, frozen; one frame for every 40 ms.

    Raises:
        ConfigError: ``trunk_unfit`` for a network of another kind or another stride.
    """

    def __init__(self, embedding: EmbeddingNetwork) -> None:
        super().__init__()
        frames = embedding.frames
        if not isinstance(frames, EcapaFrames) or embedding.stride != _PATCH_FRAMES:
            raise ConfigError(
                "trunk_unfit",
                f"the segmentation network hears an ecapa with stride {_PATCH_FRAMES}; found "
                f"{type(frames).__name__} with stride {embedding.stride}; name another bundle.",
            )
        self.first, self.blocks = frames.first, frames.blocks
        self.channels: int = frames.aggregate.in_channels
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> Trunk:
        """Return itself, always as it is in use: its statistics are not to drift."""
        return super().train(False)

    def forward(self, centred: Tensor) -> Tensor:
        """fbank without its mean (B, T, 80), T a multiple of 4 -> (B, T / 4, channels)."""
        x = self.first(centred.transpose(1, 2))
        outs = []
        for block in self.blocks:
            x = block(x)
            outs.append(x)
        return torch.cat(outs, dim=1).transpose(1, 2)


class SegmentationNetwork(nn.Module):
    """fbank -> log odds of every set of speakers in every 20 ms."""

    def __init__(
        self, size: Size | None = None, powerset: Powerset | None = None, trunk: Trunk | None = None
    ) -> None:
        super().__init__()
        size, self.powerset, self.trunk = size or Size(), powerset or Powerset(), trunk
        if trunk is not None:
            self.hear = nn.Linear(trunk.channels, size.channels, bias=False)
            nn.init.zeros_(self.hear.weight)
        self.enter = nn.Linear(_PATCH_FRAMES * N_MELS, size.channels)
        self.blocks = nn.Sequential(*(ConformerBlock(size) for _ in range(size.blocks)))
        self.leave = nn.Linear(size.channels, self.powerset.classes * _PATCH_FRAMES // STEP_FRAMES)

    def forward(self, fbank: Tensor) -> Tensor:
        """fbank (B, T, 80), T a multiple of 4, without any mean taken away -> (B, S, P) logits, S = T / 2."""
        centred = fbank - fbank.mean(dim=1, keepdim=True)
        x = self.enter(centred.reshape(fbank.shape[0], -1, _PATCH_FRAMES * N_MELS))
        if self.trunk is not None:
            x = x + self.hear(self.trunk(centred))
        out: Tensor = self.leave(self.blocks(x))
        return out.reshape(fbank.shape[0], -1, self.powerset.classes)

    def activity(self, fbank: Tensor) -> Tensor:
        """fbank (B, T, 80) -> (B, S, N) the probability that each of N speakers is heard."""
        return self.powerset.activity(self.forward(fbank).log_softmax(dim=-1))


class Activity(nn.Module):
    """What is exported: a network whose forward pass gives activities."""

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network
        self.members = nn.Parameter(network.powerset.members, requires_grad=False)

    def forward(self, fbank: Tensor) -> Tensor:
        """fbank (B, T, 80) -> (B, S, N)."""
        return torch.softmax(self.network(fbank), dim=-1) @ self.members
