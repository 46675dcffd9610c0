"""A segmentation recipe: one YAML file that says everything a run depends on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from voxid.errors import ConfigError
from voxid.recipes import build, read_recipe
from voxid.train.segmentation.network import Size


@dataclass(frozen=True)
class Part:
    """One part of the schedule: the learning rate falls from one value to the other along half a cosine."""

    steps: int
    lr_from: float
    lr_to: float
    average: bool = False


@dataclass(frozen=True)
class SegmentationRecipe:
    """A whole run.

    Args:
        task: ``segmentation``, by which ``voxid train`` knows what kind of recipe it reads.
        name: of the model.
        speech: embedding recipe beside this one whose corpora and people are used; those it holds out stay out.
        stages: the schedule.
        network: width and depth.
        batch: chunks of ten seconds per step.
        held_out_chunks: made of held-out people, for validation.
        distort: share of the chunks that are distorted anew (:mod:`voxid.train.spectra`).
        optimizer: ``muon`` or ``adamw``.
    """

    task: str
    name: str
    speech: str
    stages: tuple[Part, ...]
    network: Size = field(default_factory=Size)
    seed: int = 29
    batch: int = 32
    held_out_chunks: int = 400
    distort: float = 0.3
    optimizer: str = "muon"
    weight_decay: float = 0.01
    validate_every_steps: int = 500
    checkpoint_every_steps: int = 250

    @property
    def total_steps(self) -> int:
        """Steps over all stages."""
        return sum(stage.steps for stage in self.stages)


TASK = "segmentation"


def is_segmentation_recipe(path: str | Path) -> bool:
    """Return whether a YAML file says ``task: segmentation``."""
    raw = read_recipe(path)
    return isinstance(raw, dict) and raw.get("task") == TASK


def load_segmentation_recipe(path: str | Path) -> SegmentationRecipe:
    """Return the recipe in a YAML file.

    Raises:
        ConfigError: ``recipe_missing``, ``recipe_invalid``; the sentence names the key.
    """
    recipe = build(SegmentationRecipe, read_recipe(path), str(path))
    if not isinstance(recipe, SegmentationRecipe) or recipe.task != TASK or recipe.total_steps <= 0:
        raise ConfigError("recipe_invalid", f"{path} needs task: {TASK} and a stage with steps above 0.")
    return recipe
