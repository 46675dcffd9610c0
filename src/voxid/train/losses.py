"""Losses that turn speaker classification into embeddings."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from voxid.errors import ConfigError
from voxid.train.recipe import Loss


class SoftmaxLoss(nn.Module):
    """Plain cross entropy over a linear layer; the margin is ignored."""

    def __init__(self, embedding: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(embedding, classes)

    def forward(self, z: Tensor, label: Tensor, margin: float) -> Tensor:
        """z (B, D), label (B,) -> scalar."""
        return nn.functional.cross_entropy(self.linear(z), label)


class AamSoftmaxLoss(nn.Module):
    """Additive angular margin softmax: the true class must win by ``margin`` radians.

    Source: Deng et al., ArcFace, 2019, equation 3, with the easy-margin continuation beyond pi - margin.
    """

    def __init__(self, embedding: int, classes: int, scale: float) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.empty(classes, embedding))
        nn.init.xavier_normal_(self.centres)
        self.scale = scale

    def forward(self, z: Tensor, label: Tensor, margin: float) -> Tensor:
        """z (B, D), label (B,) -> scalar."""
        cosine = nn.functional.linear(
            nn.functional.normalize(z.float()), nn.functional.normalize(self.centres)
        )
        true = cosine.gather(1, label[:, None]).clamp(-1 + 1e-6, 1 - 1e-6)
        shifted = true * math.cos(margin) - (1 - true * true).sqrt() * math.sin(margin)
        shifted = torch.where(true > math.cos(math.pi - margin), shifted, true - margin * math.sin(margin))
        return nn.functional.cross_entropy(self.scale * cosine.scatter(1, label[:, None], shifted), label)


def build_loss(loss: Loss, embedding: int, classes: int) -> nn.Module:
    """Return the loss a recipe names: ``aam`` or ``softmax``.

    Raises:
        ConfigError: ``recipe_invalid`` for another name.
    """
    if loss.name == "aam":
        return AamSoftmaxLoss(embedding, classes, loss.scale)
    if loss.name == "softmax":
        return SoftmaxLoss(embedding, classes)
    raise ConfigError("recipe_invalid", f"loss.name is {loss.name!r}; known: aam, softmax.")
