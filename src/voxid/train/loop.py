"""The training loop: draw, step, validate, checkpoint; resumable to the very next batch."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from voxid.errors import ConfigError
from voxid.train.checkpoints import CHECKPOINT_FILE, read_checkpoint, write_checkpoint
from voxid.train.course import part_at
from voxid.train.losses import AamSoftmaxLoss, DistillationLoss, build_loss
from voxid.train.networks import EmbeddingNetwork, build_network
from voxid.train.optimizer import build_optimizers, take_step
from voxid.train.prefetch import prefetched
from voxid.train.recipe import Recipe, Stage
from voxid.train.run_log import Report, RunLog
from voxid.train.sampler import Batch, Crops
from voxid.train.shards import Shard
from voxid.train.spectra import blank, distort
from voxid.train.validation import validate
from voxid.train.world import World

_FRAMES_PER_S = 100


@dataclass(frozen=True)
class Point:
    """What the schedule says at one step."""

    stage: Stage
    lr: float
    margin: float


def schedule(recipe: Recipe, step: int) -> Point:
    """Return learning rate and margin at ``step`` (0-based): a pure function of the recipe.

    Within a stage the rate falls along a half cosine and the margin rises linearly; the first 300 steps warm up.
    """
    stage, done = part_at(recipe.stages, step)
    lr = stage.lr_to + 0.5 * (stage.lr_from - stage.lr_to) * (1.0 + math.cos(math.pi * done))
    warm = min(1.0, (step + 1) / 300)
    return Point(stage, lr * warm, stage.margin_from + (stage.margin_to - stage.margin_from) * done)


class LiveTeacher(Protocol):
    """A model that hears the very crops its student learns from."""

    @property
    def dim(self) -> int:
        """Length of its vectors: that of the student's embeddings."""

    def __call__(self, crops: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (B, dim) unit vectors of crops (B, T, 80) as packed, before they are distorted."""


@dataclass(frozen=True)
class Tuition:
    """What a run starts from and learns from besides its recipe; see :mod:`voxid.train.distill`.

    Args:
        network: instead of a fresh one.
        teacher: instead of the packed one.
    """

    network: EmbeddingNetwork | None = None
    teacher: LiveTeacher | None = None


class Objective(nn.Module):
    """Network, loss over speakers and distance to the teacher as one module, so that DDP sees one step."""

    def __init__(self, recipe: Recipe, crops: Crops, tuition: Tuition) -> None:
        super().__init__()
        self.network = tuition.network or build_network(recipe.network)
        corpora = torch.from_numpy(crops.class_corpora())
        self.classify = build_loss(recipe.loss, recipe.network.embedding, crops.classes, corpora)
        live, packed = tuition.teacher, crops.shard.teacher.shape[1]
        teacher_dim = packed if live is None else live.dim
        self.distill = (
            DistillationLoss(recipe.network.embedding, teacher_dim, projected=live is None)
            if teacher_dim
            else None
        )
        if recipe.loss.taught_centres and live is None:
            self._place_centres(crops)
        # Only the method is compiled: validation, whose lengths all differ, goes on calling the module itself.
        self._run: Callable[[Tensor, Tensor], Tensor] = (
            torch.compile(self.network.forward) if recipe.compile else self.network
        )

    def forward(self, x: Tensor, label: Tensor, teacher: Tensor, point: Point) -> Tensor:
        """x (B, T, 80), label (B,) with -1 for unlabelled, teacher (B, 256) -> scalar."""
        z = self._run(x, x.new_ones(x.shape[0], 1, x.shape[1]))[:, 0]
        loss = 0.0 * z.float().sum()
        if point.stage.classify:
            known = label >= 0
            loss = loss + point.stage.classify * self.classify(z[known], label[known], point.margin)
        if point.stage.distill and self.distill is not None:
            loss = loss + point.stage.distill * self.distill(z, teacher)
        return loss

    def _place_centres(self, crops: Crops) -> None:
        """Begin with every class where the teacher has it: both losses pull the same way from the first step."""
        if not isinstance(self.classify, AamSoftmaxLoss) or self.distill is None:
            raise ConfigError(
                "recipe_invalid", "loss.taught_centres is set; it needs the loss aam and data.teacher."
            )
        image = self.distill.orthogonal()
        self.classify.place(torch.from_numpy(crops.class_teachers()) @ image)


def train(
    recipe: Recipe,
    training: Shard,
    held_out: Shard,
    run: Path,
    report: Report,
    resume: bool = True,
    tuition: Tuition | None = None,
) -> EmbeddingNetwork:
    """Return the trained network, in evaluation mode.

    Under ``torchrun`` every process takes its share of each batch, and the first one validates, logs and saves.

    Args:
        recipe: what to do.
        training: packed speech to learn from.
        held_out: packed speech of other speakers, for the validation EER.
        run: folder for ``checkpoint.pt`` and ``log.jsonl``.
        report: receives each log row as it is written (step, loss, crops/s, or the validation EERs).
        resume: go on from ``run/checkpoint.pt`` when there is one.
        tuition: another network to start from, another teacher; None for neither.

    Raises:
        CompatibilityError: ``checkpoint_of_another_recipe`` when the checkpoint was made by another recipe.
        ConfigError: ``recipe_invalid`` when a stage distills and the packed speech has no teacher.
    """
    world = World.join()
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    crops = Crops(training, {c.name: c.weight for c in recipe.data.corpora}, recipe.balance)
    tuition = tuition or Tuition()
    taught = tuition.teacher is not None or training.teacher.shape[1] > 0
    if any(stage.distill for stage in recipe.stages) and not taught:
        raise ConfigError("recipe_invalid", "a stage distills, but data.teacher names no teacher.")
    state = Training.start(recipe, crops, tuition, world)
    first = state.load(run / CHECKPOINT_FILE) if resume else 0
    step_loss = world.wrap(state.objective)
    log = RunLog(run / "log.jsonl", report if world.rank == 0 else lambda row: None, keep=first > 0)
    if world.rank == 0:
        sizes = {"classes": crops.classes, "utterances": int(training.start.size)}
        log.write({"recipe": recipe.name, "from_step": first, **sizes})
    window, began = [], time.monotonic()
    for step, batch in _prefetch(recipe, crops, first, world, tuition.teacher):
        point = schedule(recipe, step)
        window.append(state.learn(step_loss, batch, point))
        done = step + 1
        last = done == recipe.total_steps
        if world.rank:
            continue
        if done % 50 == 0:
            speed = len(window) * point.stage.batch / (time.monotonic() - began)
            row = {"step": done, "loss": round(float(np.mean(window)), 4), "lr": point.lr}
            log.write({**row, "margin": round(point.margin, 3), "crops_per_s": round(speed, 1)})
            window, began = [], time.monotonic()
        if done % recipe.checkpoint_every_steps == 0 or last:
            state.save(run / CHECKPOINT_FILE, done)
        if done % recipe.validate_every_steps == 0 or last:
            log.write({"step": done, "held_out_eer": validate(state.result(), held_out)})
            state.objective.train()
            began = time.monotonic()
    world.leave()
    return state.result().cpu()


def _prefetch(
    recipe: Recipe, crops: Crops, first: int, world: World, teacher: LiveTeacher | None
) -> Iterator[tuple[int, Batch]]:
    """Yield (step, batch) from a thread; each step has its own generator, so resuming repeats nothing."""

    def draw(step: int) -> Batch:
        stage = schedule(recipe, step).stage
        rng = np.random.default_rng([recipe.seed, step, world.rank])
        count = stage.batch // world.size
        n_frames = int(stage.crop_s * _FRAMES_PER_S)
        batch = crops.draw(count, n_frames, rng, recipe.loss.utterances_per_speaker)
        if teacher is not None:
            batch = replace(batch, teacher=teacher(batch.features))
        if stage.distort:
            distort(batch.features, stage.distort, rng)
        batch.features[...] -= batch.features.mean(axis=1, keepdims=True)
        if stage.spec_augment:
            blank(batch.features, rng)
        return batch

    return prefetched(draw, range(first, recipe.total_steps), ahead=8)


@dataclass
class Training:
    """What a checkpoint holds: objective, optimizers and the mean of the weights since averaging began."""

    recipe: Recipe
    objective: Objective
    optimizers: list[torch.optim.Optimizer]
    average: AveragedModel
    device: torch.device

    @classmethod
    def start(cls, recipe: Recipe, crops: Crops, tuition: Tuition, world: World) -> Training:
        """Return a fresh state, the weights drawn from torch's seed."""
        objective = Objective(recipe, crops, tuition).to(world.device).train()
        optimizers = build_optimizers(recipe.optimizer, objective.network, objective, recipe.weight_decay)
        average = AveragedModel(objective.network, use_buffers=True)
        return cls(recipe, objective, optimizers, average, world.device)

    def learn(self, step_loss: nn.Module, batch: Batch, point: Point) -> float:
        """Take one step and return the loss before it."""
        x, label, teacher = (
            torch.from_numpy(part).to(self.device) for part in (batch.features, batch.label, batch.teacher)
        )

        def measure() -> Tensor:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bfloat16):
                found: Tensor = step_loss(x, label, teacher, point)
            return found

        loss = take_step(self.optimizers, point.lr, self.objective.parameters(), measure)
        if point.stage.average:
            self.average.update_parameters(self.objective.network)
        else:
            self.average.n_averaged.zero_()
        return loss

    def result(self) -> EmbeddingNetwork:
        """Return the averaged network once averaging has begun, the present one before, in evaluation mode."""
        network = self.average.module if int(self.average.n_averaged) else self.objective.network
        return cast(EmbeddingNetwork, network.eval())

    def save(self, file: Path, step: int) -> None:
        """Write the checkpoint, all or nothing."""
        write_checkpoint(
            file,
            {
                "identity": _identity(self.recipe),
                "step": step,
                "objective": self.objective.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                "average": self.average.state_dict(),
            },
        )

    def load(self, file: Path) -> int:
        """Take over a checkpoint and return its step, 0 when there is none."""
        state = read_checkpoint(file, _identity(self.recipe), self.device)
        if state is None:
            return 0
        self.objective.load_state_dict(state["objective"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.average.load_state_dict(state["average"])
        return int(state["step"])


def _identity(recipe: Recipe) -> str:
    """The parts of a recipe that a checkpoint must agree with; the schedule may be changed between resumptions."""
    parts = [recipe.name, asdict(recipe.network), asdict(recipe.loss), recipe.optimizer, recipe.seed]
    return json.dumps(parts, sort_keys=True)
