"""The graph network over the raw waveform: bands and moments attend to each other.

Shapes: B batch, N samples, C channels, F bands, T moments, K nodes of a graph.

Source: Jung, Heo, Tak, Shim, Chung, Lee, Yu and Evans, "AASIST: audio anti-spoofing using integrated spectro-temporal
graph attention networks", ICASSP 2022; the encoder after Tak et al., "End-to-end anti-spoofing with RawNet2", 2021.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["GraphNetwork", "GraphSize", "SincBands"]

_RATE_HZ = 16_000


@dataclass(frozen=True)
class GraphSize:
    """Width and depth.

    Attributes:
        bands: windowed sinc filters of the first layer; they are not trained.
        taps: of each.
        channels: of the residual blocks: of the first two, and of the others.
        nodes: dimension of the nodes of both graphs.
        kept: share of a graph's nodes that its pooling keeps.
    """

    bands: int = 70
    taps: int = 129
    channels: tuple[int, int] = (16, 32)
    nodes: int = 24
    kept: float = 0.5


class SincBands(nn.Module):
    """Band-pass filters evenly spaced in Mel; their absolute outputs are an image of (bands, time)."""

    filters: Tensor

    def __init__(self, n_bands: int, taps: int) -> None:
        super().__init__()
        mel = np.linspace(0.0, 2595.0 * np.log10(1 + _RATE_HZ / 2 / 700.0), n_bands + 1)
        edges = 700.0 * (10 ** (mel / 2595.0) - 1.0)
        places = np.arange(taps) - taps // 2

        def low_pass(hz: float) -> np.ndarray:
            return 2 * hz / _RATE_HZ * np.sinc(2 * hz * places / _RATE_HZ)

        rows = [low_pass(high) - low_pass(low) for low, high in itertools.pairwise(edges)]
        filters = np.stack(rows) * np.hamming(taps)
        self.register_buffer("filters", torch.from_numpy(filters.astype(np.float32))[:, None])

    def forward(self, samples: Tensor) -> Tensor:
        """Return (B, 1, bands, N') of (B, N)."""
        return functional.conv1d(samples[:, None], self.filters).abs()[:, None]


class _Residual(nn.Module):
    """Two convolutions beside a shortcut; time is divided by three."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.BatchNorm2d(channels), nn.SELU())
        self.first = nn.Conv2d(channels, out, (2, 3), padding=(1, 1))
        self.between = nn.Sequential(nn.BatchNorm2d(out), nn.SELU())
        self.second = nn.Conv2d(out, out, (2, 3), padding=(0, 1))
        self.shortcut = nn.Identity() if channels == out else nn.Conv2d(channels, out, (1, 3), padding=(0, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out, F, T / 3) of (B, channels, F, T)."""
        inner = self.second(self.between(self.first(self.before(x))))
        return functional.max_pool2d(inner + self.shortcut(x), (1, 3))


class _Attention(nn.Module):
    """Nodes of a graph in which each is joined to each; the weight of a pair comes from their product."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.pair = nn.Linear(width, out)
        self.weight = nn.Parameter(torch.empty(out, 1))
        nn.init.xavier_normal_(self.weight)
        self.own = nn.Linear(width, out)
        self.others = nn.Linear(width, out)
        self.norm = nn.BatchNorm1d(out)

    def forward(self, nodes: Tensor) -> Tensor:
        """Return (B, K, out) of (B, K, width)."""
        products = nodes[:, :, None] * nodes[:, None]  # (B, K, K, width)
        weights = (torch.tanh(self.pair(products)) @ self.weight).softmax(dim=-2)[..., 0]
        mixed = self.others(weights @ nodes) + self.own(nodes)
        return functional.selu(self.norm(mixed.transpose(1, 2)).transpose(1, 2))


class _Pooling(nn.Module):
    """The nodes that matter most, weighted by how much.

    Source: Gao and Ji, "Graph U-Nets", ICML 2019.
    """

    def __init__(self, width: int, kept: float) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1)
        self.kept = kept

    def forward(self, nodes: Tensor) -> Tensor:
        """Return (B, K', width) of (B, K, width)."""
        count = max(1, int(nodes.shape[1] * self.kept))
        weights = torch.sigmoid(self.score(nodes))
        chosen = weights[..., 0].topk(count, dim=1).indices
        return torch.take_along_dim(nodes * weights, chosen[..., None], dim=1)


class GraphNetwork(nn.Module):
    """A graph of bands and one of moments, pooled, joined into one, read at its largest and its mean."""

    def __init__(self, size: GraphSize, n_samples: int) -> None:
        """Build it for pieces of ``n_samples``; others are repeated or cut to that length."""
        super().__init__()
        narrow, wide = size.channels
        self.n_samples = n_samples
        self.bands = SincBands(size.bands, size.taps)
        self.encoder = nn.Sequential(
            nn.MaxPool2d(3),
            nn.BatchNorm2d(1),
            nn.SELU(),
            _Residual(1, narrow),
            _Residual(narrow, narrow),
            _Residual(narrow, wide),
            *(_Residual(wide, wide) for _ in range(3)),
        )
        self.place = nn.Parameter(torch.randn(1, size.bands // 3, wide) * 0.02)
        self.spectral = nn.Sequential(_Attention(wide, size.nodes), _Pooling(size.nodes, size.kept))
        self.temporal = nn.Sequential(_Attention(wide, size.nodes), _Pooling(size.nodes, size.kept))
        self.joint = nn.Sequential(_Attention(size.nodes, size.nodes), _Pooling(size.nodes, size.kept))
        self.embedding_size = 4 * size.nodes

    def forward(self, samples: Tensor) -> Tensor:
        """Return (B, 4 nodes) of (B, n_samples)."""
        maps = self.encoder(self.bands(samples)).abs()  # (B, C, F, T)
        spectral = self.spectral(maps.amax(dim=3).transpose(1, 2) + self.place)
        temporal = self.temporal(maps.amax(dim=2).transpose(1, 2))
        joint = self.joint(torch.cat([spectral, temporal], dim=1))
        return torch.cat(
            [joint.amax(dim=1), joint.mean(dim=1), spectral.mean(dim=1), temporal.mean(dim=1)], dim=1
        )
