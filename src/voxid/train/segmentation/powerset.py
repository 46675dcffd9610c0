"""Sets of speakers as classes: silence, each alone, each pair, each three.

Source: Plaquet and Bredin, "Powerset multi-class cross entropy loss for neural speaker diarization", 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn


@dataclass(frozen=True)
class Powerset:
    """The subsets of ``speakers`` with at most ``at_once`` members, smaller ones first.

    Example:
        >>> Powerset(3, 2).classes
        7
    """

    speakers: int = 4
    at_once: int = 3

    @cached_property
    def members(self) -> Tensor:
        """(P, N) 1 where a speaker belongs to a set."""
        rows = [
            [float(n in chosen) for n in range(self.speakers)]
            for size in range(self.at_once + 1)
            for chosen in combinations(range(self.speakers), size)
        ]
        return torch.tensor(rows)

    @property
    def classes(self) -> int:
        """How many sets there are, P."""
        return int(self.members.shape[0])

    def activity(self, log_probability: Tensor) -> Tensor:
        """Return (..., N) the probability that each speaks, from log probabilities (..., P) of the sets."""
        return log_probability.exp() @ self.members.to(log_probability.device)

    def classes_of(self, active: Tensor) -> Tensor:
        """Return (...,) the set of who is active (..., N); of more than ``at_once`` the first ones count."""
        kept = active * (active.cumsum(dim=-1) <= self.at_once)
        place = 2 ** torch.arange(self.speakers, device=active.device)
        by_code = torch.zeros(2**self.speakers, dtype=torch.int64, device=active.device)
        codes = (self.members.to(active.device) * place).sum(dim=1).long()
        by_code[codes] = torch.arange(self.classes, device=active.device)
        return by_code[(kept * place).sum(dim=-1).long()]


def permuted_to(probability: Tensor, active: Tensor) -> Tensor:
    """Return the truth with its speakers in the order that fits what was found best, chunk by chunk.

    Source: permutation-invariant training (Yu et al., 2017), the best order by the Hungarian method on the binary
    cross entropy between every found and every true speaker.

    Args:
        probability: (B, S, N) found.
        active: (B, S, N) true, 0 or 1.
    """
    p = probability.detach().float().clamp(1e-4, 1.0 - 1e-4)
    cost = -(p.log().mT @ active + (1.0 - p).log().mT @ (1.0 - active))  # (B, found, true)
    orders = [linear_sum_assignment(one)[1] for one in cost.cpu().numpy()]
    order = torch.tensor([list(one) for one in orders], device=active.device)
    return active.gather(2, order[:, None].expand(-1, active.shape[1], -1))


def powerset_loss(logits: Tensor, active: Tensor, powerset: Powerset) -> Tensor:
    """Return the cross entropy of the sets under the best order of the speakers.

    Args:
        logits: (B, S, P).
        active: (B, S, N) true, 0 or 1, in any order of speakers.
    """
    log_probability = logits.float().log_softmax(dim=-1)
    wanted = powerset.classes_of(permuted_to(powerset.activity(log_probability), active))
    return nn.functional.nll_loss(log_probability.flatten(0, 1), wanted.flatten())
