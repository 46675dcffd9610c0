"""ECAPA-TDNN as other toolkits train it, with pooling under masks: what their checkpoints are converted into.

    fbank (B, T, F), weights (B, K, T)  ->  embeddings (B, K, D)

With one mask the result is the toolkit's own for the frames under it. Two of its parts look at the whole input: the
squeeze inside each block and the context of the attention. With several masks there is no one whole, so both look at
1.5 s on either side of each frame, about as much as these models are trained on, and an embedding does not depend on
who else speaks more than 6.2 s away (four such parts follow each other; the effect fades with each). All masks then
share the frames, as in voxid's own networks.

Shapes: B batch, T frames, C channels, A aggregated ones, K masks, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

_REACH_FRAMES = 150


@dataclass(frozen=True)
class Variation:
    """In what the toolkits' ECAPA-TDNNs differ.

    Attributes:
        reflects: convolutions reflect the ends; else they pad with zeros.
        passes_first: the first group of a Res2 layer goes through untouched; else the last.
        adds_inputs: a block is fed the sum of everything before it; else the block before alone.
        normalises_aggregate: batch normalisation after the aggregation.
        variance_floor: under every deviation.
        unbiased: the attention's context divides by one frame less.
        normalises_output: batch normalisation after the projection.
    """

    reflects: bool
    passes_first: bool
    adds_inputs: bool
    normalises_aggregate: bool
    variance_floor: float
    unbiased: bool
    normalises_output: bool


SPEECHBRAIN = Variation(True, True, False, True, 1e-12, False, False)
"""speechbrain/lobes/models/ECAPA_TDNN.py; 3D-Speaker's is adapted from it."""

TAORUIJIE = Variation(False, False, True, False, 1e-4, True, True)
"""TaoRuijie/ECAPA-TDNN, model.py."""


@dataclass(frozen=True)
class EcapaSize:
    """Widths of an ECAPA-TDNN, all of which its parameters' shapes tell, except the dilations: 2, 3, 4, ..."""

    mels: int
    channels: int
    kernel: int
    blocks: int
    res2_layers: int
    res2_kernel: int
    squeezed: int
    aggregation: int
    attention: int
    embedding: int


class Layer(nn.Module):
    """1-d convolution that keeps the length, ReLU, and batch normalisation where there is one."""

    def __init__(
        self, n_in: int, n_out: int, kernel: int, dilation: int, how: Variation, norm: bool = True
    ) -> None:
        super().__init__()
        mode: Literal["reflect", "zeros"] = "reflect" if how.reflects and kernel > 1 else "zeros"
        self.conv = nn.Conv1d(
            n_in, n_out, kernel, padding=dilation * (kernel - 1) // 2, dilation=dilation, padding_mode=mode
        )
        self.norm: nn.Module = nn.BatchNorm1d(n_out) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C', T)."""
        out: Tensor = self.norm(nn.functional.relu(self.conv(x)))
        return out


class Surroundings(nn.Module):
    """Mean and deviation per channel around every frame, over the frames some mask counts.

    The stretch is everything for one mask and 1.5 s on either side for several.
    """

    def __init__(self, how: Variation) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, C, T), weights (B, K, T) -> mean, variance (B, C, T)."""
        counted = weights.amax(dim=1, keepdim=True)
        n_frames = torch._shape_as_tensor(x)[2]
        alone = torch._shape_as_tensor(weights)[1] == 1
        reach = torch.where(alone, n_frames, torch.full_like(n_frames, _REACH_FRAMES))
        place = torch.arange(x.shape[2], device=x.device)
        low, high = (place - reach).clamp(min=0), torch.minimum(place + reach + 1, n_frames)

        def around(values: Tensor) -> Tensor:
            sums = nn.functional.pad(values.cumsum(dim=2), (1, 0))
            return sums.index_select(2, high) - sums.index_select(2, low)

        # Values near their mean first: running sums and squares of large ones would lose the deviation.
        middle = (x * counted).sum(dim=2, keepdim=True) / counted.sum(dim=2, keepdim=True).clamp(min=1e-8)
        near = (x - middle) * counted
        count = around(counted).clamp(min=1e-8)
        mean = around(near) / count
        variance = around(near * (x - middle)) / count - mean * mean
        if self.how.unbiased:
            variance = variance * count / (count - 1).clamp(min=1.0)
        return middle + mean, variance.clamp(min=self.how.variance_floor)


class Squeeze(nn.Module):
    """Channel gates from the surroundings' mean (Hu et al., 2018)."""

    def __init__(self, channels: int, squeezed: int, how: Variation) -> None:
        super().__init__()
        self.down = nn.Conv1d(channels, squeezed, 1)
        self.up = nn.Conv1d(squeezed, channels, 1)
        self.surroundings = Surroundings(how)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        mean, _ = self.surroundings(x, weights)
        return x * torch.sigmoid(self.up(nn.functional.relu(self.down(mean))))


class Block(nn.Module):
    """1x1, Res2, 1x1, gates, and a skip over all of it (Desplanques et al., 2020, section 3.1)."""

    def __init__(self, size: EcapaSize, dilation: int, how: Variation) -> None:
        super().__init__()
        width = size.channels // (size.res2_layers + 1)
        self.into = Layer(size.channels, size.channels, 1, 1, how)
        self.res2 = nn.ModuleList(
            Layer(width, width, size.res2_kernel, dilation, how) for _ in range(size.res2_layers)
        )
        self.out = Layer(size.channels, size.channels, 1, 1, how)
        self.squeeze = Squeeze(size.channels, size.squeezed, how)
        self.passes_first = how.passes_first

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        groups = list(self.into(x).chunk(len(self.res2) + 1, dim=1))
        passed = groups.pop(0 if self.passes_first else -1)
        outs: list[Tensor] = []
        for layer, group in zip(self.res2, groups, strict=True):
            outs.append(layer(group + outs[-1] if outs else group))
        joined = torch.cat([passed, *outs] if self.passes_first else [*outs, passed], dim=1)
        out: Tensor = x + self.squeeze(self.out(joined), weights)
        return out


class AttentivePooling(nn.Module):
    """Mean and deviation over time under each mask, weighted by attention that sees its surroundings.

    Source: Desplanques et al., 2020, section 3.2 (channel- and context-dependent statistics pooling).
    """

    def __init__(self, size: EcapaSize, how: Variation) -> None:
        super().__init__()
        self.hidden = nn.Conv1d(3 * size.aggregation, size.attention, 1)
        self.norm = nn.BatchNorm1d(size.attention)
        self.out = nn.Conv1d(size.attention, size.aggregation, 1)
        self.surroundings = Surroundings(how)
        self.variance_floor = how.variance_floor

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """x (B, A, T), weights (B, K, T) -> (B, K, 2 A)."""
        mean, variance = self.surroundings(x, weights)
        hidden = self.norm(nn.functional.relu(self.hidden(torch.cat([x, mean, variance.sqrt()], dim=1))))
        counted = weights.amax(dim=1, keepdim=True)
        logits = self.out(torch.tanh(hidden)).masked_fill(counted <= 0, -1e4)
        scaled = torch.exp(logits - logits.amax(dim=2, keepdim=True))
        middle = (x * counted).sum(dim=2, keepdim=True) / counted.sum(dim=2, keepdim=True).clamp(min=1e-8)
        near = x - middle
        total = torch.matmul(weights, scaled.transpose(1, 2)).clamp(min=1e-12)  # (B, K, A)
        pooled = torch.matmul(weights, (scaled * near).transpose(1, 2)) / total
        square = torch.matmul(weights, (scaled * near * near).transpose(1, 2)) / total
        deviation = (square - pooled * pooled).clamp(min=self.variance_floor).sqrt()
        return torch.cat([pooled + middle.transpose(1, 2), deviation], dim=2)


class ForeignEcapa(nn.Module):
    """An ECAPA-TDNN of another toolkit with masks."""

    def __init__(self, size: EcapaSize, how: Variation) -> None:
        super().__init__()
        self.how = how
        self.first = Layer(size.mels, size.channels, size.kernel, 1, how)
        self.blocks = nn.ModuleList(Block(size, 2 + number, how) for number in range(size.blocks))
        self.aggregate = Layer(
            size.blocks * size.channels, size.aggregation, 1, 1, how, norm=how.normalises_aggregate
        )
        self.pool = AttentivePooling(size, how)
        self.pool_norm = nn.BatchNorm1d(2 * size.aggregation)
        self.project = nn.Linear(2 * size.aggregation, size.embedding)
        self.out_norm: nn.Module = nn.BatchNorm1d(size.embedding) if how.normalises_output else nn.Identity()

    def forward(self, fbank: Tensor, weights: Tensor) -> Tensor:
        """fbank (B, T, F), weights (B, K, T) -> (B, K, D), not normalised."""
        x = self.first(fbank.transpose(1, 2))
        outs: list[Tensor] = []
        for block in self.blocks:
            outs.append(block(x, weights))
            x = x + outs[-1] if self.how.adds_inputs else outs[-1]
        pooled = self.pool(self.aggregate(torch.cat(outs, dim=1)), weights)
        z = self.out_norm(self.project(self.pool_norm(pooled.flatten(0, 1))))
        return z.unflatten(0, (pooled.shape[0], pooled.shape[1]))
