"""Checkpoints: written whole or not at all, read only by the recipe that made them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from voxid.errors import CompatibilityError

CHECKPOINT_FILE = "checkpoint.pt"


def write_checkpoint(file: Path, state: dict[str, Any]) -> None:
    """Write ``state``, which holds ``identity`` and ``step``, in place of an older one."""
    part = file.with_suffix(".part")
    torch.save(state, part)
    part.replace(file)


def read_checkpoint(file: Path, identity: str, device: torch.device | None = None) -> dict[str, Any] | None:
    """Return the state in a checkpoint, None when there is none.

    Args:
        identity: what a recipe and its checkpoint must agree in.

    Raises:
        CompatibilityError: ``checkpoint_of_another_recipe``.
    """
    if not file.is_file():
        return None
    state: dict[str, Any] = torch.load(file, weights_only=True, map_location=device)
    if state["identity"] != identity:
        raise CompatibilityError(
            "checkpoint_of_another_recipe",
            f"{file} was made by another recipe (name, network, loss, optimizer or seed differ); "
            "give another run folder or delete it.",
        )
    return state
