"""What besides embeddings ``voxid train`` trains, by the ``task`` of a recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from voxid.errors import ConfigError
from voxid.train.course import Course
from voxid.train.eend.recipe import EendRecipe
from voxid.train.eend.run import run_eend
from voxid.train.segmentation.recipe import SegmentationRecipe
from voxid.train.segmentation.run import run_segmentation
from voxid.train.spoof.recipe import SpoofRecipe
from voxid.train.spoof.run import run_spoof
from voxid.train.target.recipe import TargetRecipe
from voxid.train.target.run import run_target_speech


class Trained(Protocol):
    """A model as users load it."""

    @property
    def id(self) -> str:
        """Name and the beginning of a hash."""

    @property
    def card(self) -> dict[str, Any]:
        """What is known of it."""


@dataclass(frozen=True)
class Task:
    """A kind of recipe and the run it describes."""

    recipe: type[Course]
    run: Callable[..., Trained]


TASKS: Final = {
    "segmentation": Task(SegmentationRecipe, run_segmentation),
    "target_speech": Task(TargetRecipe, run_target_speech),
    "eend": Task(EendRecipe, run_eend),
    "spoof": Task(SpoofRecipe, run_spoof),
}


def task_named(name: str, where: Path) -> Task:
    """Return a task.

    Raises:
        ConfigError: ``recipe_invalid``; the sentence lists those there are.
    """
    if name not in TASKS:
        raise ConfigError(
            "recipe_invalid",
            f"{where} says task: {name}; known: {', '.join(TASKS)}, and none for embeddings.",
        )
    return TASKS[name]
