"""What the segmentation network learns: chunks of conversations, their loss, their error on held-out people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxid.bundle import installed_bundles, load_bundle
from voxid.errors import ConfigError
from voxid.train.fitting import fit
from voxid.train.restore import restore_network
from voxid.train.run_log import Report
from voxid.train.segmentation.network import STEP_FRAMES, SegmentationNetwork, Trunk
from voxid.train.segmentation.powerset import Powerset, permuted_to, powerset_loss
from voxid.train.segmentation.recipe import SegmentationRecipe
from voxid.train.spectra import distort


@dataclass(frozen=True, eq=False)
class Chunk:
    """Ten seconds: fbank (T, 80) float32 and who is heard in each frame, (T, any number) bool."""

    features: NDArray[np.float32]
    active: NDArray[np.bool_]


class ChunkSource(Protocol):
    """Conversations without end."""

    def draw(self, rng: np.random.Generator) -> Chunk:
        """Return a chunk; the same generator state gives the same one."""


@dataclass(frozen=True, eq=False)
class ChunkBatch:
    """Features (B, T, 80) and activity (B, S, N), 0 or 1."""

    features: NDArray[np.float32]
    active: NDArray[np.float32]


def stacked(chunks: Sequence[Chunk], speakers: int, step_frames: int = STEP_FRAMES) -> ChunkBatch:
    """Return chunks as a batch; of more than ``speakers`` voices those who speak most are kept."""
    active = np.zeros((len(chunks), chunks[0].active.shape[0] // step_frames, speakers), np.float32)
    for row, chunk in enumerate(chunks):
        most = np.argsort(-chunk.active.sum(axis=0), kind="stable")[:speakers]
        steps = chunk.active[step_frames // 2 :: step_frames, most]
        active[row, :, : most.size] = steps[: active.shape[1]]
    return ChunkBatch(np.stack([chunk.features for chunk in chunks]), active)


@dataclass(frozen=True)
class Segmentation:
    """Who of up to four speaks when, in any order.

    Args:
        recipe: what to do.
        source: conversations of people to learn from.
        held_out: chunks of other people's, for validation.
    """

    recipe: SegmentationRecipe
    source: ChunkSource
    held_out: Sequence[Chunk]

    def build(self) -> SegmentationNetwork:
        """Return a fresh network.

        Raises:
            ConfigError: ``trunk_unfit``; ``recipe_invalid`` when no bundle that comes with voxid has the trunk's name.
        """
        return SegmentationNetwork(self.recipe.network, trunk=trunk_named(self.recipe.trunk))

    def draw(self, rng: np.random.Generator) -> ChunkBatch:
        """Return a batch of chunks, some of them distorted."""
        speakers = Powerset().speakers
        batch = stacked([self.source.draw(rng) for _ in range(self.recipe.batch)], speakers)
        if self.recipe.distort:
            distort(batch.features, self.recipe.distort, rng)
        return batch

    def loss(self, network: SegmentationNetwork, batch: ChunkBatch) -> Tensor:
        """Return the cross entropy of the sets of speakers under their best order."""
        logits = network(torch.from_numpy(batch.features))
        return powerset_loss(logits, torch.from_numpy(batch.active), network.powerset)

    def validate(self, network: SegmentationNetwork) -> dict[str, float]:
        """Return the error on the held-out chunks: see :func:`validate`."""
        return validate(network, self.held_out)


def trunk_named(name: str | None) -> Trunk | None:
    """Return the trunk of a bundle that comes with voxid, None for no name.

    Raises:
        ConfigError: ``trunk_unfit``; ``recipe_invalid`` for an unknown name.
    """
    if name is None:
        return None
    named = {path.name: path for path in installed_bundles()}
    if name not in named:
        raise ConfigError("recipe_invalid", f"trunk is {name!r}; known: {', '.join(sorted(named))}.")
    return Trunk(restore_network(load_bundle(named[name])))


def train(
    recipe: SegmentationRecipe,
    source: ChunkSource,
    held_out: Sequence[Chunk],
    run: Path,
    report: Report,
    resume: bool = True,
) -> SegmentationNetwork:
    """Return the trained network, in evaluation mode; arguments as of :class:`Segmentation` and :func:`fit`.

    Raises:
        CompatibilityError: ``checkpoint_of_another_recipe``.
    """
    return fit(Segmentation(recipe, source, held_out), recipe, run, report, resume)


def validate(network: SegmentationNetwork, chunks: Sequence[Chunk], batch: int = 16) -> dict[str, float]:
    """Return the local diarization error in percent of true speech, with its parts; the best order of speakers counts.

    Speech is what is more likely than not; no collar, overlap scored, steps of 20 ms.
    """
    network.eval()
    found, true = [], []
    for first in range(0, len(chunks), batch):
        one = stacked(chunks[first : first + batch], network.powerset.speakers)
        with torch.inference_mode():
            logits = network(torch.from_numpy(one.features))
        found.append(network.powerset.members[logits.argmax(dim=-1)])
        true.append(torch.from_numpy(one.active))
    return errors_of(torch.cat(found), torch.cat(true))


def errors_of(found: Tensor, true: Tensor) -> dict[str, float]:
    """Return the diarization error and its parts in percent of true speech, under the best order of each chunk.

    Args:
        found: (B, S, N) 0 or 1.
        true: (B, S, N) 0 or 1.
    """
    truth = permuted_to(found, true)
    found_count, true_count = found.sum(dim=-1), truth.sum(dim=-1)
    parts = {
        "missed": (true_count - found_count).clamp(min=0),
        "false_alarm": (found_count - true_count).clamp(min=0),
        "confused": torch.minimum(found_count, true_count) - (found * truth).sum(dim=-1),
    }
    sums = {name: float(part.sum()) for name, part in parts.items()}
    speech = max(float(true_count.sum()), 1.0)
    rates = {name: round(100.0 * value / speech, 2) for name, value in sums.items()}
    return {"error": round(100.0 * sum(sums.values()) / speech, 2), **rates}
