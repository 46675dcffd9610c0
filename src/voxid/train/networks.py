"""Speaker embedding networks with one signature: frame features once, pooled under many masks.

    fbank (B, T, 80), weights (B, K, T)  ->  embeddings (B, K, D)

Shapes: B batch, T frames in (10 ms), S frames after the stride, C channels, A aggregated ones, K masks, D embedding.
An utterance is K = 1 with weights 1. Masks act only in the pooling, so K voices of a chunk cost one pass.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxid.errors import ConfigError
from voxid.train.recipe import Network

# Squeeze-and-excitation looks at +-2 s at stride 2 instead of at the whole input (as in the paper), so that an
# embedding does not depend on who else speaks elsewhere in the chunk.
_SQUEEZE_REACH_FRAMES = 100


class TdnnLayer(nn.Module):
    """1-d convolution, ReLU, batch normalisation, in this order."""

    def __init__(self, n_in: int, n_out: int, kernel: int, dilation: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(n_in, n_out, kernel, stride, dilation * (kernel - 1) // 2, dilation)
        self.norm = nn.BatchNorm1d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, S) -> (B, C', S / stride)."""
        out: Tensor = self.norm(nn.functional.relu(self.conv(x)))
        return out


class Res2Layer(nn.Module):
    """Hierarchical residual convolutions inside one layer (Gao et al., Res2Net, 2019)."""

    def __init__(self, channels: int, kernel: int, dilation: int, scale: int = 8) -> None:
        super().__init__()
        self.scale = scale
        width = channels // scale
        self.layers = nn.ModuleList(TdnnLayer(width, width, kernel, dilation) for _ in range(scale - 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, S) -> (B, C, S)."""
        groups = x.chunk(self.scale, dim=1)
        outs = [groups[0]]
        for i, layer in enumerate(self.layers):
            outs.append(layer(groups[i + 1] if i == 0 else groups[i + 1] + outs[-1]))
        return torch.cat(outs, dim=1)


def local_mean(x: Tensor, reach: int) -> Tensor:
    """Return the mean over ``reach`` frames on either side, (B, C, S) -> (B, C, S), fewer at the edges.

    By running sums: average pooling with a wide kernel costs as much as all convolutions together.
    """
    n = x.shape[2]
    if n <= reach + 1 and not torch.onnx.is_in_onnx_export():
        return x.mean(dim=2, keepdim=True)  # the same, faster, for training crops
    sums = x.cumsum(dim=2)
    # Padding and slicing, not indexing: ONNX Runtime's Gather along the last axis cost 15 % of the whole network.
    upper = nn.functional.pad(sums, (0, reach), mode="replicate")[:, :, reach:]
    lower = nn.functional.pad(sums, (reach + 1, 0))[:, :, :n]
    place = torch.arange(n, device=x.device)
    count = (place + reach + 1).clamp(max=n) - (place - reach).clamp(min=0)
    return (upper - lower) / count.to(x.dtype)


class LocalSqueezeExcitation(nn.Module):
    """Channel gates from the mean over the surrounding seconds (Hu et al., 2018, with a local squeeze)."""

    def __init__(self, channels: int, bottleneck: int = 64) -> None:
        super().__init__()
        self.down = nn.Conv1d(channels, bottleneck, 1)
        self.up = nn.Conv1d(bottleneck, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, S) -> (B, C, S)."""
        gates: Tensor = torch.sigmoid(
            self.up(nn.functional.relu(self.down(local_mean(x, _SQUEEZE_REACH_FRAMES))))
        )
        return x * gates


class SERes2Block(nn.Module):
    """ECAPA's block: 1x1, Res2, 1x1, gates, and a skip over all of it (Desplanques et al., 2020, section 3.1)."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            TdnnLayer(channels, channels, 1),
            Res2Layer(channels, kernel, dilation),
            TdnnLayer(channels, channels, 1),
            LocalSqueezeExcitation(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, S) -> (B, C, S)."""
        out: Tensor = x + self.layers(x)
        return out


class MaskedPooling(nn.Module):
    """Mean and standard deviation over time under each mask, optionally weighted by attention.

    Source: x-vector statistics pooling (Snyder et al., 2018) and attentive statistics pooling (Okabe et al., 2018),
    with attention logits computed from the frames alone so that all masks share them.
    """

    def __init__(self, channels: int, attention: int | None) -> None:
        super().__init__()
        self.attend = (
            nn.Sequential(nn.Conv1d(channels, attention, 1), nn.Tanh(), nn.Conv1d(attention, channels, 1))
            if attention
            else None
        )

    def forward(self, h: Tensor, weights: Tensor) -> Tensor:
        """h (B, A, S), weights (B, K, S) in [0, 1] -> (B, K, 2 A)."""
        if self.attend is None:
            scaled = h.new_ones(()).expand_as(h)
        else:
            logits = self.attend(h)
            scaled = torch.exp(logits - logits.amax(dim=2, keepdim=True))
        total = torch.matmul(weights, scaled.transpose(1, 2)).clamp(min=1e-8)  # (B, K, A)
        mean = torch.matmul(weights, (scaled * h).transpose(1, 2)) / total
        square = torch.matmul(weights, (scaled * h * h).transpose(1, 2)) / total
        deviation = (square - mean * mean).clamp(min=1e-5).sqrt()
        return torch.cat([mean, deviation], dim=2)


class EmbeddingNetwork(nn.Module):
    """Frame network, masked pooling and the projection to the embedding."""

    def __init__(
        self, frames: nn.Module, aggregation: int, attention: int | None, embedding: int, stride: int
    ) -> None:
        super().__init__()
        self.frames = frames
        self.pool = MaskedPooling(aggregation, attention)
        self.norm = nn.BatchNorm1d(2 * aggregation)
        self.project = nn.Linear(2 * aggregation, embedding)
        self.out_norm = nn.BatchNorm1d(embedding)
        self.stride = stride

    def forward(self, fbank: Tensor, weights: Tensor) -> Tensor:
        """fbank (B, T, 80), weights (B, K, T) -> (B, K, D), not normalised."""
        h = self.frames(fbank.transpose(1, 2))  # (B, A, S)
        if self.stride > 1:
            weights = weights[:, :, :: self.stride]
        pooled = self.pool(h, weights)  # (B, K, 2 A)
        z = self.out_norm(self.project(self.norm(pooled.flatten(0, 1))))
        return z.unflatten(0, (pooled.shape[0], pooled.shape[1]))


class EcapaFrames(nn.Module):
    """Frame network of ECAPA-TDNN (Desplanques et al., 2020): three blocks, their outputs aggregated."""

    def __init__(self, size: Network) -> None:
        super().__init__()
        self.first = TdnnLayer(80, size.channels, 5, stride=size.stride)
        self.blocks = nn.ModuleList(SERes2Block(size.channels, 3, dilation) for dilation in (2, 3, 4))
        self.aggregate = nn.Conv1d(3 * size.channels, size.aggregation, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 80, T) -> (B, A, S)."""
        x = self.first(x)
        outs = []
        for block in self.blocks:
            x = block(x)
            outs.append(x)
        return nn.functional.relu(self.aggregate(torch.cat(outs, dim=1)))


class XvectorFrames(nn.Sequential):
    """Frame network of the x-vector (Snyder et al., 2018, table 1)."""

    def __init__(self, size: Network) -> None:
        c = size.channels
        super().__init__(
            TdnnLayer(80, c, 5, stride=size.stride),
            TdnnLayer(c, c, 3, 2),
            TdnnLayer(c, c, 3, 3),
            TdnnLayer(c, c, 1),
            TdnnLayer(c, size.aggregation, 1),
        )


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions over frequency and time with a shortcut (He et al., ResNet, 2016)."""

    def __init__(self, n_in: int, n_out: int, stride_mels: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, (stride_mels, 1), 1, bias=False)
        self.norm1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(n_out)
        self.shortcut = (
            nn.Sequential(nn.Conv2d(n_in, n_out, 1, (stride_mels, 1), bias=False), nn.BatchNorm2d(n_out))
            if stride_mels > 1 or n_in != n_out
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F, S) -> (B, C', F / stride, S)."""
        out = self.norm2(self.conv2(nn.functional.relu(self.norm1(self.conv1(x)))))
        return nn.functional.relu(out + (x if self.shortcut is None else self.shortcut(x)))


class ResnetFrames(nn.Module):
    """Thin ResNet-18 over the spectrogram: only the first layer strides in time, every stage in frequency.

    Source: Chung et al., "In defence of metric learning for speaker recognition", 2020, section 3.2 (Fast ResNet).
    """

    def __init__(self, size: Network) -> None:
        super().__init__()
        c = size.channels
        self.first = nn.Conv2d(1, c, 3, (2, size.stride), 1, bias=False)
        self.norm = nn.BatchNorm2d(c)
        self.stages = nn.Sequential(
            BasicBlock(c, c),
            BasicBlock(c, c),
            BasicBlock(c, 2 * c, 2),
            BasicBlock(2 * c, 2 * c),
            BasicBlock(2 * c, 4 * c, 2),
            BasicBlock(4 * c, 4 * c),
            BasicBlock(4 * c, 8 * c, 2),
            BasicBlock(8 * c, 8 * c),
        )
        self.aggregate = nn.Conv1d(8 * c * 5, size.aggregation, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 80, T) -> (B, A, S)."""
        x = self.stages(nn.functional.relu(self.norm(self.first(x[:, None]))))
        return nn.functional.relu(self.aggregate(x.flatten(1, 2)))


class TemporalBlock(nn.Module):
    """Depthwise convolution over time and two pointwise ones with a shortcut (Liu et al., ConvNeXt, 2022)."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, kernel, 1, kernel // 2, groups=channels, bias=False)
        self.norm = nn.BatchNorm1d(channels)
        self.widen = nn.Conv1d(channels, channels, 1)
        self.narrow = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, S) -> (B, C, S)."""
        out: Tensor = x + self.narrow(nn.functional.relu(self.widen(self.norm(self.depthwise(x)))))
        return out


class RedimFrames(nn.Module):
    """Two-dimensional and one-dimensional blocks in turn on the same values, reshaped between channel and frequency.

    ``channels`` is the number of 2-d channels at 40 bands; with every stage bands halve and channels double, so
    that a frame always has 40 x ``channels`` values. A stage reads a learnt mixture of all stages before it.

    Source: Yakovlev et al., "Reshape dimensions network for speaker recognition", 2024, section 2.
    """

    STAGES = 4

    def __init__(self, size: Network) -> None:
        super().__init__()
        c = size.channels
        width = 40 * c
        self.stride = size.stride
        self.first = nn.Conv2d(1, c, 3, (2, size.stride), 1)
        self.norm = nn.BatchNorm2d(c)
        self.spectral = nn.ModuleList(BasicBlock(c * 2**i, c * 2**i) for i in range(self.STAGES))
        self.temporal = nn.ModuleList(
            nn.Sequential(TemporalBlock(width, 7), TemporalBlock(width, 15)) for _ in range(self.STAGES)
        )
        self.mixtures = nn.ParameterList(torch.zeros(i + 1, width, 1) for i in range(self.STAGES + 1))
        self.aggregate = nn.Conv1d(width, size.aggregation, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 80, T) -> (B, A, S)."""
        x = nn.functional.relu(self.norm(self.first(x[:, None])))
        seen = [x.flatten(1, 2)]
        for i, (spectral, temporal) in enumerate(zip(self.spectral, self.temporal, strict=True)):
            bands = 40 // 2**i
            mixed = self._mix(i, seen)
            plane = mixed.reshape(mixed.shape[0], -1, bands, mixed.shape[2])
            seen.append(temporal(spectral(plane).flatten(1, 2)))
        return nn.functional.relu(self.aggregate(self._mix(self.STAGES, seen)))

    def _mix(self, stage: int, seen: list[Tensor]) -> Tensor:
        """Return the weighted sum of the stages so far, weights by channel, (B, W, S)."""
        share = self.mixtures[stage].softmax(dim=0)
        total = share[0] * seen[0]
        for weight, values in zip(share[1:], seen[1:], strict=True):
            total = total + weight * values
        return total


_FRAMES: dict[str, tuple[type[nn.Module], int | None]] = {
    "ecapa": (EcapaFrames, 64),
    "redim": (RedimFrames, 64),
    "resnet": (ResnetFrames, 64),
    "xvector": (XvectorFrames, None),
}


def build_network(size: Network) -> EmbeddingNetwork:
    """Return the network a recipe names: ``ecapa``, ``redim``, ``resnet`` or ``xvector``.

    Raises:
        ConfigError: ``recipe_invalid`` for another name.
    """
    if size.name not in _FRAMES:
        raise ConfigError(
            "recipe_invalid", f"network.name is {size.name!r}; known: {', '.join(sorted(_FRAMES))}."
        )
    frames, attention = _FRAMES[size.name]
    return EmbeddingNetwork(frames(size), size.aggregation, attention, size.embedding, size.stride)
