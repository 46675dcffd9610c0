"""The processes that train together: one by default, several under ``torchrun``."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class World:
    """This process among those that share a run; ``rank`` 0 validates, logs and saves."""

    rank: int
    size: int
    device: torch.device

    @classmethod
    def join(cls) -> World:
        """Return this process's place, from the variables ``torchrun`` sets; alone without them.

        Each process takes one GPU where there are any (NCCL), the CPU otherwise (Gloo).
        """
        size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
        cuda = torch.cuda.is_available()
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
        if size > 1 and not torch.distributed.is_initialized():
            torch.distributed.init_process_group("nccl" if cuda else "gloo")
        return cls(rank, size, device)

    def wrap(self, objective: nn.Module) -> nn.Module:
        """Return the module that takes a step; with several processes it averages their gradients."""
        if self.size == 1:
            return objective
        return nn.parallel.DistributedDataParallel(objective, find_unused_parameters=True)

    def leave(self) -> None:
        """Leave the group, once all have arrived here."""
        if self.size > 1:
            torch.distributed.barrier()
            torch.distributed.destroy_process_group()
