"""How long and how fast a network learns: what recipes of every objective but the embedding's have in common."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from voxid.errors import ConfigError
from voxid.recipes import build, read_recipe


@dataclass(frozen=True)
class Part:
    """One part of the schedule: the learning rate falls from one value to the other along half a cosine."""

    steps: int
    lr_from: float
    lr_to: float
    average: bool = False


@dataclass(frozen=True, kw_only=True)
class Course(ABC):
    """A whole run, but for the network.

    Args:
        task: by which ``voxid train`` knows what kind of recipe it reads.
        name: of the model.
        speech: embedding recipe beside this one whose corpora and people are used; those it holds out stay out.
        stages: the schedule.
        warm_steps: over which the learning rate rises from nothing.
        batch: conversations per step.
        distort: share of them that are distorted anew (:mod:`voxid.train.spectra`).
        optimizer: ``muon`` or ``adamw``.
    """

    task: str
    name: str
    speech: str
    stages: tuple[Part, ...]
    warm_steps: int = 200
    seed: int = 29
    batch: int = 32
    distort: float = 0.3
    optimizer: str = "muon"
    weight_decay: float = 0.01
    validate_every_steps: int = 500
    checkpoint_every_steps: int = 250

    @property
    def total_steps(self) -> int:
        """Steps over all stages."""
        return sum(stage.steps for stage in self.stages)

    @property
    @abstractmethod
    def size(self) -> Any:
        """Width and depth of the network: a dataclass."""

    @property
    def identity(self) -> str:
        """What a checkpoint must agree with; the schedule may be changed between resumptions."""
        return json.dumps([self.name, asdict(self.size), self.optimizer, self.seed], sort_keys=True)

    def at(self, step: int) -> tuple[Part, float]:
        """Return the part of the schedule and the learning rate at ``step`` (0-based)."""
        part, done = part_at(self.stages, step)
        lr = part.lr_to + 0.5 * (part.lr_from - part.lr_to) * (1.0 + math.cos(math.pi * done))
        return part, lr * min(1.0, (step + 1) / self.warm_steps)


class _Steps(Protocol):
    @property
    def steps(self) -> int: ...


Stage = TypeVar("Stage", bound=_Steps)


def part_at(stages: Sequence[Stage], step: int) -> tuple[Stage, float]:
    """Return the part of the schedule at ``step`` and the share of it that is done, [0, 1]."""
    begin = 0
    for part in stages:
        if step < begin + part.steps:
            break
        begin += part.steps
    return part, min(1.0, (step - begin) / part.steps)


Kind = TypeVar("Kind", bound=Course)


def task_of(path: str | Path) -> str | None:
    """Return what a recipe file says under ``task``; None in a recipe for embeddings.

    Raises:
        ConfigError: ``recipe_missing``, ``recipe_invalid``.
    """
    raw = read_recipe(path)
    return str(raw["task"]) if isinstance(raw, dict) and "task" in raw else None


def load_course(kind: type[Kind], task: str, path: str | Path) -> Kind:
    """Return the recipe in a YAML file.

    Raises:
        ConfigError: ``recipe_missing``, ``recipe_invalid``; the sentence names the key.
    """
    recipe = build(kind, read_recipe(path), str(path))
    if not isinstance(recipe, kind) or recipe.task != task or recipe.total_steps <= 0:
        raise ConfigError("recipe_invalid", f"{path} needs task: {task} and a stage with steps above 0.")
    return recipe
