"""The light convolutional network: cepstra or band energies in, an embedding of how the signal was made out.

Shapes: B batch, T frames, D coefficients, C channels, E embedding dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["LightNetwork", "LightSize", "MaxFeatureMap"]

_FREQUENCY_HALVINGS = 4


@dataclass(frozen=True)
class LightSize:
    """Width and depth.

    Attributes:
        coefficients: D of the front end, at least 16.
        channels: of the first layer after its maximum; later ones are multiples.
        embedding: E.
        dropout: of the embedding while training.
    """

    coefficients: int = 60
    channels: int = 32
    embedding: int = 64
    dropout: float = 0.5


class MaxFeatureMap(nn.Module):
    """The larger of two halves of the channels, value by value: half as many come out.

    Source: Wu, He, Sun and Tan, "A light CNN for deep face representation with noisy labels", IEEE TIFS 13, 2018.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C / 2, ...) of (B, C, ...)."""
        first, second = x.chunk(2, dim=1)
        return torch.maximum(first, second)


class LightNetwork(nn.Module):
    """LCNN with a recurrent layer over time and a mean over what it says.

    Source: Wang and Yamagishi, "A comparative study on recent neural spoofing countermeasures for synthetic speech
    detection", Interspeech 2021 (LCNN-LSTM-sum); convolutions after Lavrentyeva et al., Interspeech 2019.
    """

    def __init__(self, size: LightSize) -> None:
        super().__init__()
        c = size.channels
        self.convolutions = nn.Sequential(
            *_convolution(1, c, 5), nn.MaxPool2d(2),
            *_convolution(c, c, 1), nn.BatchNorm2d(c), *_convolution(c, c * 3 // 2, 3),
            nn.MaxPool2d(2), nn.BatchNorm2d(c * 3 // 2),
            *_convolution(c * 3 // 2, c * 3 // 2, 1), nn.BatchNorm2d(c * 3 // 2), *_convolution(c * 3 // 2, c * 2, 3),
            nn.MaxPool2d(2),
            *_convolution(c * 2, c * 2, 1), nn.BatchNorm2d(c * 2), *_convolution(c * 2, c, 3), nn.BatchNorm2d(c),
            *_convolution(c, c, 1), nn.BatchNorm2d(c), *_convolution(c, c, 3),
            nn.MaxPool2d(2),
        )  # fmt: skip
        width = c * (size.coefficients // 2**_FREQUENCY_HALVINGS)
        self.recurrent = nn.LSTM(width, width // 2, num_layers=2, bidirectional=True, batch_first=True)
        self.dropout = nn.Dropout(size.dropout)
        self.embedding = nn.Linear(width, size.embedding)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, E) of (B, T, D); T is 16 at least."""
        maps = self.convolutions(features[:, None])  # (B, C, T / 16, D / 16)
        frames = maps.permute(0, 2, 1, 3).flatten(2)
        told = frames + self.recurrent(frames)[0]
        embedded: Tensor = self.embedding(self.dropout(told.mean(dim=1)))
        return embedded


def _convolution(channels: int, out: int, kernel: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(channels, 2 * out, kernel, padding=kernel // 2), MaxFeatureMap()
