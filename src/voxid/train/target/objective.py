"""What the target-speech network learns, and how well it does on held-out people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from voxid.diarize.segmentation import STEP_FRAMES
from voxid.train.target.network import TargetNetwork
from voxid.train.target.recipe import TargetRecipe
from voxid.train.target.speech import Asked


class AskedSource(Protocol):
    """Conversations without end, with people to look for."""

    def draw(self, count: int, distort_share: float, rng: np.random.Generator) -> Asked:
        """Return a batch; the same generator state gives the same one."""


@dataclass(frozen=True)
class TargetSpeech:
    """When somebody speaks.

    Args:
        recipe: what to do.
        source: conversations of people to learn from.
        held_out: batches of other people's, for validation.
    """

    recipe: TargetRecipe
    source: AskedSource
    held_out: Sequence[Asked]

    def build(self) -> TargetNetwork:
        """Return a fresh network."""
        return TargetNetwork(self.recipe.network)

    def draw(self, rng: np.random.Generator) -> Asked:
        """Return a batch, some of it distorted."""
        return self.source.draw(self.recipe.batch, self.recipe.distort, rng)

    def loss(self, network: TargetNetwork, batch: Asked) -> Tensor:
        """Return the binary cross entropy over everybody asked for and every step."""
        logits = _heard(network, batch)
        return nn.functional.binary_cross_entropy_with_logits(logits, _truth(batch))

    def validate(self, network: TargetNetwork) -> dict[str, float]:
        """Return the error on the held-out conversations: see :func:`validate`."""
        return validate(network, self.held_out)


def validate(network: TargetNetwork, batches: Sequence[Asked]) -> dict[str, float]:
    """Return errors in percent: speech is what is more likely than not; no collar, steps of 20 ms.

    ``error`` is ``missed`` and ``false_alarm`` together, of the speech of those who are there; ``missed_in_overlap``
    the share of that speech missed where others of those asked for speak too; ``absent_false_alarm`` the share of the
    time in which somebody is heard who is not there.
    """
    network.eval()
    missed = false_alarm = speech = both = both_missed = absent_s = absent_wrong = 0.0
    for batch in batches:
        with torch.inference_mode():
            found, truth = _heard(network, batch) > 0, _truth(batch) > 0.5
        there = truth.any(dim=-1, keepdim=True)
        missed += float((truth & ~found).sum())
        false_alarm += float((~truth & found & there).sum())
        speech += float(truth.sum())
        overlap = truth & (truth.sum(dim=1, keepdim=True) > 1)
        both, both_missed = both + float(overlap.sum()), both_missed + float((overlap & ~found).sum())
        absent_s += float((~there).sum()) * truth.shape[-1]
        absent_wrong += float((found & ~there).sum())
    shares = {
        "error": (missed + false_alarm, speech),
        "missed": (missed, speech),
        "false_alarm": (false_alarm, speech),
        "missed_in_overlap": (both_missed, both),
        "absent_false_alarm": (absent_wrong, absent_s),
    }
    return {name: round(100.0 * part / max(whole, 1.0), 2) for name, (part, whole) in shares.items()}


def _heard(network: TargetNetwork, batch: Asked) -> Tensor:
    parts = (torch.from_numpy(part) for part in (batch.features, batch.windows, batch.targets))
    logits: Tensor = network(*parts)
    return logits


def _truth(batch: Asked) -> Tensor:
    """(B, K, S) 0 or 1 in the middle of each step."""
    return torch.from_numpy(batch.active[:, :, STEP_FRAMES // 2 :: STEP_FRAMES].astype(np.float32))
