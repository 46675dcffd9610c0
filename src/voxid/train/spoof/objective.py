"""What the spoof detector learns, and how well it does on people and generators it never heard.

Shapes: B batch, N samples at 16 kHz.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxid.evaluate.metrics import eer
from voxid.simulate.fakes import generators
from voxid.train.spoof.distortion import Distortion
from voxid.train.spoof.losses import Margin
from voxid.train.spoof.material import GENUINE, REPLAYED, SPOOFED, Pack, family_of
from voxid.train.spoof.network import DetectorNetwork
from voxid.train.spoof.recipe import SpoofRecipe

__all__ = ["Heard", "Spoofs", "hear", "thinned"]

_BATCH_PIECES = 16
_HELD_OUT_PER_GENERATOR = 40


@dataclass(frozen=True, eq=False)
class Batch:
    """Pieces (B, N) and what they are (B,): GENUINE, SPOOFED or REPLAYED."""

    samples: Tensor
    kind: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Heard:
    """What a network makes of a pack: scores (U, 2), embeddings (U, E)."""

    scores: NDArray[np.float64]
    embeddings: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spoofs:
    """Whether speech is genuine.

    Args:
        recipe: what to do.
        training, held_out: packed recordings.
        distortion: of half the pieces of a batch.
    """

    recipe: SpoofRecipe
    training: Pack
    held_out: Pack
    distortion: Distortion = field(default_factory=Distortion)

    def build(self) -> DetectorNetwork:
        """Return a fresh network."""
        return DetectorNetwork(self.recipe.network)

    def draw(self, rng: np.random.Generator) -> Batch:
        """Return a batch: half genuine, three eighths spoofed, an eighth replayed."""
        batch, n_samples = self.recipe.batch, round(16_000 * self.recipe.train_s)
        n_replayed = batch // 8 if self.recipe.replay_weight else 0
        n_spoofed = batch // 2 - n_replayed
        rows = [
            *self._genuine.draw(batch - batch // 2, rng),
            *self._spoofed(n_spoofed, rng),
            *self._replayed.draw(n_replayed, rng),
        ]
        pieces = np.stack([self.training.piece(row, n_samples, rng.random()) for row in rows])
        samples = torch.from_numpy(pieces)
        chosen = torch.from_numpy(rng.random(batch) < self.recipe.distort)
        if chosen.any():
            samples[chosen] = self.distortion(samples[chosen], rng)
        return Batch(samples, self.training.kind[rows])

    def loss(self, network: DetectorNetwork, batch: Batch) -> Tensor:
        """Return the two heads' losses, each class of each weighing the same."""
        embeddings = network.embed(batch.samples)
        synthetic, replay = network.margins
        total = _balanced(synthetic, embeddings, batch.kind, SPOOFED)
        if self.recipe.replay_weight:
            total = total + self.recipe.replay_weight * _balanced(replay, embeddings, batch.kind, REPLAYED)
        return total

    def validate(self, network: DetectorNetwork) -> dict[str, float]:
        """Return equal error rates in percent on held-out people and generators, as recorded and distorted."""
        found = hear(network, self.held_out).scores
        genuine, carried = self.held_out.kind == GENUINE, self.held_out.carried
        results: dict[str, float] = {}
        for name, kind, column in (("eer", SPOOFED, 0), ("replay_eer", REPLAYED, 1)):
            against = self.held_out.kind == kind
            if against.any():
                results[name] = _eer(found[genuine, column], found[against, column])
                results[f"{name}_clean"] = _eer(
                    found[genuine & ~carried, column], found[against & ~carried, column]
                )
        return results

    @cached_property
    def _genuine(self) -> _Drawer:
        return _Drawer(np.flatnonzero(self.training.kind == GENUINE), self.training.corpus)

    @cached_property
    def _replayed(self) -> _Drawer:
        return _Drawer(np.flatnonzero(self.training.kind == REPLAYED), self.training.corpus)

    @cached_property
    def _gathered_and_made(self) -> tuple[_Drawer, _Drawer]:
        """Of the spoofed: those that came with a manifest, and those made here of the corpora's recordings."""
        rows = np.flatnonzero(self.training.kind == SPOOFED)
        names = [generator.name for generator in generators(self.recipe.made)] if self.recipe.made else []
        made = np.isin(self.training.generator[rows], names)
        return _Drawer(rows[~made], self.training.generator), _Drawer(rows[made], self.training.generator)

    def _spoofed(self, count: int, rng: np.random.Generator) -> Iterator[int]:
        gathered, made = self._gathered_and_made
        n_made = (
            int(rng.binomial(count, self.recipe.spoof_made)) if made and gathered else (count if made else 0)
        )
        yield from made.draw(n_made, rng)
        yield from gathered.draw(count - n_made, rng)


class _Drawer:
    """Rows drawn so that a group of n is drawn in proportion to the root of n: large groups more, but not as much."""

    def __init__(self, rows: NDArray[np.int64], groups: NDArray[np.str_]) -> None:
        self._rows = rows
        _, inverse, counts = np.unique(groups[rows], return_inverse=True, return_counts=True)
        weights = counts[inverse] ** -0.5 if rows.size else np.zeros(0)
        self._cumulative = np.cumsum(weights)

    def __bool__(self) -> bool:
        return self._rows.size > 0

    def draw(self, count: int, rng: np.random.Generator) -> list[int]:
        """Return ``count`` rows."""
        places = rng.random(count) * (self._cumulative[-1] if self._rows.size else 0.0)
        return [int(self._rows[i]) for i in np.searchsorted(self._cumulative, places, side="right")]


def hear(network: DetectorNetwork, pack: Pack) -> Heard:
    """Return what a network says of the middle of every recording."""
    network.eval()
    n_samples = network.size.piece_samples
    scores, embeddings = [], []
    with torch.inference_mode():
        for first in range(0, len(pack), _BATCH_PIECES):
            rows = range(first, min(first + _BATCH_PIECES, len(pack)))
            found, embedded = network(
                torch.from_numpy(np.stack([pack.piece(u, n_samples, 0.5) for u in rows]))
            )
            scores.append(found.double().numpy())
            embeddings.append(embedded.double().numpy())
    return Heard(np.concatenate(scores), np.concatenate(embeddings))


def thinned(pack: Pack, seed: int, at_most: int = _HELD_OUT_PER_GENERATOR) -> Pack:
    """Return the pack with at most so many recordings of a group of generators, and ten times that of genuine."""
    rng = np.random.default_rng(seed)
    names = np.array([family_of(str(name)) for name in pack.generator])
    kept: list[int] = []
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        genuine = pack.kind[rows[0]] != SPOOFED
        kept += rng.permutation(rows)[: at_most * (10 if genuine else 1)].tolist()
    return pack.subset(np.sort(np.array(kept, np.int64)))


def _balanced(head: Margin, embeddings: Tensor, kind: NDArray[np.int64], against: int) -> Tensor:
    """Return the mean of the losses of genuine pieces and of those of ``against``."""
    parts = []
    for which in (GENUINE, against):
        rows = torch.from_numpy(np.flatnonzero(kind == which))
        if len(rows):
            parts.append(head(embeddings[rows], torch.full((len(rows),), which == GENUINE)).mean())
    return torch.stack(parts).mean()


def _eer(genuine: NDArray[np.float64], spoofed: NDArray[np.float64]) -> float:
    return round(100.0 * float(eer(genuine, spoofed)), 2)
