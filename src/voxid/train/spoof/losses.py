"""What the detector learns by: genuine speech is one thing, everything else is not it.

Shapes: B batch, E embedding dimension.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxid.errors import ConfigError

__all__ = ["Margin", "OneClass", "TwoClassMargin", "loss_named"]


class Margin(nn.Module):
    """A head: scores embeddings, and says how wrong the scores are."""

    def score(self, embeddings: Tensor) -> Tensor:
        """Return (B,): higher is more genuine."""
        raise NotImplementedError


class OneClass(Margin):
    """OC-Softmax: genuine embeddings near one direction, all others away from it, with a margin of their own.

    Args:
        embedding: E.
        genuine_margin, spoof_margin: cosines beyond which nothing more is gained (the paper's m0 and m1).
        scale: the paper's alpha.

    Source: Zhang, Jiang and Duan, "One-class learning towards synthetic voice spoofing detection", IEEE Signal
    Processing Letters 28, 2021, equation 5.
    """

    def __init__(
        self, embedding: int, genuine_margin: float = 0.9, spoof_margin: float = 0.2, scale: float = 20.0
    ) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.randn(embedding))
        self.margins = genuine_margin, spoof_margin
        self.scale = scale

    def score(self, embeddings: Tensor) -> Tensor:
        """Return (B,) in [-1, 1]: higher is more genuine."""
        return functional.normalize(embeddings, dim=1) @ functional.normalize(self.direction, dim=0)

    def forward(self, embeddings: Tensor, genuine: Tensor) -> Tensor:
        """Return (B,) losses of embeddings (B, E) and ``genuine`` (B,) bool."""
        cosine = self.score(embeddings)
        wanted, refused = self.margins
        short = torch.where(genuine, wanted - cosine, cosine - refused)
        return functional.softplus(self.scale * short)


class TwoClassMargin(Margin):
    """Additive-margin softmax over genuine and spoof.

    Args:
        embedding: E.
        margin: taken from the cosine of the right class.
        scale: of the cosines.

    Source: Wang, Cheng, Liu and Liu, "Additive margin softmax for face verification", IEEE SPL 25, 2018.
    """

    def __init__(self, embedding: int, margin: float = 0.2, scale: float = 20.0) -> None:
        super().__init__()
        self.classes = nn.Parameter(torch.randn(2, embedding))
        self.margin = margin
        self.scale = scale

    def score(self, embeddings: Tensor) -> Tensor:
        """Return (B,): higher is more genuine."""
        cosines = functional.normalize(embeddings, dim=1) @ functional.normalize(self.classes, dim=1).T
        return cosines[:, 1] - cosines[:, 0]

    def forward(self, embeddings: Tensor, genuine: Tensor) -> Tensor:
        """Return (B,) losses of embeddings (B, E) and ``genuine`` (B,) bool."""
        right = torch.where(genuine, 1.0, -1.0)
        return functional.softplus(self.scale * (self.margin - right * self.score(embeddings)))


def loss_named(name: str, embedding: int) -> Margin:
    """Return a fresh head.

    Raises:
        ConfigError: ``recipe_invalid``; the sentence lists those there are.
    """
    heads = {"one_class": OneClass, "two_class": TwoClassMargin}
    if name not in heads:
        raise ConfigError(
            "recipe_invalid", f"the loss is {name!r}; known: {', '.join(heads)}. Change the recipe."
        )
    return heads[name](embedding)
