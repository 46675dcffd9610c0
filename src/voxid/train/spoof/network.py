"""The detector as a network: waveform in, how genuine it sounds out, twice: against made and against replayed speech.

Shapes: B batch, N samples at 16 kHz, E embedding dimension.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from voxid.train.spoof.cepstral import LightNetwork, LightSize
from voxid.train.spoof.fronts import front_named, levelled
from voxid.train.spoof.losses import Margin, loss_named
from voxid.train.spoof.raw import GraphNetwork, GraphSize

__all__ = ["CASES", "DetectorNetwork", "DetectorSize"]

# The columns of the scores: what genuine speech is told from.
CASES = ("synthetic", "replay")
_RAW = "raw"


@dataclass(frozen=True)
class DetectorSize:
    """Front end, trunk and heads.

    Attributes:
        front: ``raw`` or one of :data:`voxid.train.spoof.fronts.FRONTS`.
        channels, embedding, dropout: of the light network behind a front end.
        graph: of the graph network behind the raw waveform.
        loss: ``one_class`` or ``two_class``.
        piece_s: seconds heard at once.
    """

    front: str = "lfcc"
    channels: int = 32
    embedding: int = 64
    dropout: float = 0.5
    graph: GraphSize = field(default_factory=GraphSize)
    loss: str = "one_class"
    piece_s: float = 4.0

    @property
    def piece_samples(self) -> int:
        """Samples heard at once."""
        return round(16_000 * self.piece_s)


class DetectorNetwork(nn.Module):
    """Front end and trunk, and two heads that score what the trunk says."""

    def __init__(self, size: DetectorSize) -> None:
        """Build it.

        Raises:
            ConfigError: ``recipe_invalid`` for an unknown front end or loss.
        """
        super().__init__()
        self.size = size
        self.front: nn.Module
        self.trunk: nn.Module
        if size.front == _RAW:
            graph = GraphNetwork(size.graph, size.piece_samples)
            self.front, self.trunk, width = nn.Identity(), graph, graph.embedding_size
        else:
            front, width = front_named(size.front), size.embedding
            light = LightSize(front.coefficients, size.channels, width, size.dropout)
            self.front, self.trunk = front, LightNetwork(light)
        self.heads = nn.ModuleList(loss_named(size.loss, width) for _ in CASES)

    def embed(self, samples: Tensor) -> Tensor:
        """Return (B, E) of (B, N); loudness is taken away first."""
        embedded: Tensor = self.trunk(self.front(levelled(samples)))
        return embedded

    def scores(self, embeddings: Tensor) -> Tensor:
        """Return (B, 2), higher is more genuine, in the order of :data:`CASES`."""
        return torch.stack([head.score(embeddings) for head in self.margins], dim=1)

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores (B, 2) and embeddings (B, E) of (B, N)."""
        embeddings = self.embed(samples)
        return self.scores(embeddings), embeddings

    @property
    def margins(self) -> list[Margin]:
        """The heads, which score and are learnt by."""
        return [head for head in self.heads if isinstance(head, Margin)]
