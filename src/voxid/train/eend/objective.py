"""What EEND-EDA learns: who speaks when in any order, and how many they are; its error on held-out people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from voxid.train.eend.network import PATCH_FRAMES, EendNetwork
from voxid.train.eend.recipe import EendRecipe
from voxid.train.segmentation.objective import Chunk, ChunkBatch, ChunkSource, errors_of, stacked, trunk_named
from voxid.train.spectra import distort


@dataclass(frozen=True)
class Eend:
    """Who of up to six speaks when.

    Args:
        recipe: what to do.
        source: conversations of people to learn from.
        held_out: those of other people, for validation.
    """

    recipe: EendRecipe
    source: ChunkSource
    held_out: Sequence[Chunk]

    def build(self) -> EendNetwork:
        """Return a fresh network.

        Raises:
            ConfigError: ``trunk_unfit``; ``recipe_invalid`` when no bundle that comes with voxid has the trunk's name.
        """
        return EendNetwork(self.recipe.network, trunk_named(self.recipe.trunk))

    def draw(self, rng: np.random.Generator) -> ChunkBatch:
        """Return a batch of conversations, some of them distorted."""
        chunks = [self.source.draw(rng) for _ in range(self.recipe.batch)]
        batch = stacked(chunks, self.recipe.network.speakers, PATCH_FRAMES)
        if self.recipe.distort:
            distort(batch.features, self.recipe.distort, rng)
        return batch

    def loss(self, network: EendNetwork, batch: ChunkBatch) -> Tensor:
        """Return the loss of activity under the best order, and that of existence."""
        activity, existence = network(torch.from_numpy(batch.features))
        heard, counted = eend_losses(activity, existence, torch.from_numpy(batch.active))
        return heard + self.recipe.existence_weight * counted

    def validate(self, network: EendNetwork) -> dict[str, float]:
        """Return the error on the held-out conversations: see :func:`validate`."""
        return validate(network, self.held_out)


def eend_losses(activity: Tensor, existence: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
    """Return the losses of who is heard (best order of as many attractors as there are speakers) and of how many.

    Source: Horiguchi et al., 2022, equations 10 (permutation-invariant cross entropy) and 16 (existence).

    Args:
        activity: (B, U, N - 1) logits.
        existence: (B, N) logits.
        active: (B, U, N - 1) true, 0 or 1; columns of nobody are 0 and come last.
    """
    present = active.any(dim=1).sum(dim=1)  # (B,)
    heard = []
    for found, true, count in zip(activity, active, present.tolist(), strict=True):
        if count:
            pair = _cross_entropies(found[:, :count], true[:, :count])
            rows, columns = linear_sum_assignment(pair.detach().numpy())
            heard.append(pair[rows, columns].mean())
    wanted = (torch.arange(existence.shape[1]) < present[:, None]).float()
    asked = (
        torch.arange(existence.shape[1]) <= present[:, None]
    )  # the first that is none counts, the others do not
    counted = nn.functional.binary_cross_entropy_with_logits(existence, wanted, reduction="none")[
        asked
    ].mean()
    return torch.stack(heard).mean() if heard else 0.0 * activity.sum(), counted


def _cross_entropies(found: Tensor, true: Tensor) -> Tensor:
    """(U, S) logits, (U, S) truth -> (S, S) mean binary cross entropy of every found with every true speaker."""
    log_yes, log_no = nn.functional.logsigmoid(found), nn.functional.logsigmoid(-found)
    return -(log_yes.mT @ true + log_no.mT @ (1.0 - true)) / len(found)


def validate(network: EendNetwork, chunks: Sequence[Chunk], batch: int = 10) -> dict[str, float]:
    """Return the diarization error in percent of true speech with its parts, and how often the number is right.

    Speakers that exist and steps that are heard are those more likely than not; no collar, steps of 80 ms.
    """
    network.eval()
    found, true, right = [], [], 0
    for first in range(0, len(chunks), batch):
        one = stacked(chunks[first : first + batch], network.size.speakers, PATCH_FRAMES)
        with torch.inference_mode():
            activity, existence = network(torch.from_numpy(one.features))
        there = (existence[:, :-1] > 0).long().cumprod(dim=1)
        found.append((activity > 0).float() * there[:, None])
        true.append(torch.from_numpy(one.active))
        right += int((there.sum(dim=1) == true[-1].any(dim=1).sum(dim=1)).sum())
    count = {"count_right": round(100.0 * right / max(1, len(chunks)), 1)}
    return {**errors_of(torch.cat(found), torch.cat(true)), **count}
