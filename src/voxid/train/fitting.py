"""The loop that segmentation, target speech and EEND share: draw, step, validate, checkpoint; resumable.

What is learned is an :class:`Objective`; how long and how fast, a :class:`voxid.train.course.Course`. Embeddings
(:mod:`voxid.train.loop`) have classes, teachers and several processes, and a loop of their own around the same parts.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from voxid.train.checkpoints import CHECKPOINT_FILE, read_checkpoint, write_checkpoint
from voxid.train.course import Course
from voxid.train.optimizer import build_optimizers, take_step
from voxid.train.prefetch import prefetched
from voxid.train.run_log import Report, RunLog

_AHEAD = 6

Network = TypeVar("Network", bound=nn.Module)
Batch = TypeVar("Batch")


class Objective(Protocol[Network, Batch]):
    """What a network is to learn."""

    def build(self) -> Network:
        """Return a fresh network, its weights drawn from torch's seed."""

    def draw(self, rng: np.random.Generator) -> Batch:
        """Return a batch; the same generator state gives the same one. Called in a thread."""

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """Return what is to become small, a scalar."""

    def validate(self, network: Network) -> dict[str, float]:
        """Return how well the network does on held-out people."""


def fit(
    objective: Objective[Network, Batch], course: Course, run: Path, report: Report, resume: bool = True
) -> Network:
    """Return the trained network, in evaluation mode.

    Args:
        objective: what to learn.
        course: for how long; every step has its own generator, so resuming repeats nothing.
        run: folder for ``checkpoint.pt`` and ``log.jsonl``.
        report: receives each log row.
        resume: go on from the checkpoint when there is one.

    Raises:
        CompatibilityError: ``checkpoint_of_another_recipe``.
        ConfigError: ``recipe_invalid`` for an unknown optimizer.
    """
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(course.seed)
    state = _Fitting.start(objective, course)
    first = state.load(run / CHECKPOINT_FILE) if resume else 0
    log = RunLog(run / "log.jsonl", report, keep=first > 0)
    log.write({"recipe": course.name, "from_step": first, "parameters": state.parameters})
    window, began = [], time.monotonic()
    steps = range(first, course.total_steps)
    for step, batch in prefetched(
        lambda at: objective.draw(np.random.default_rng([course.seed, at])), steps, _AHEAD
    ):
        part, lr = course.at(step)
        torch.manual_seed(course.seed + step)  # dropout, so that resuming repeats nothing
        window.append(state.learn(batch, lr, part.average))
        done = step + 1
        last = done == course.total_steps
        if done % 50 == 0:
            speed = len(window) * course.batch / (time.monotonic() - began)
            row = {"step": done, "loss": round(float(np.mean(window)), 4), "lr": lr}
            log.write({**row, "chunks_per_s": round(speed, 1)})
            window, began = [], time.monotonic()
        if done % course.checkpoint_every_steps == 0 or last:
            state.save(run / CHECKPOINT_FILE, done)
        if done % course.validate_every_steps == 0 or last:
            log.write({"step": done, "held_out": objective.validate(state.result())})
            state.network.train()
            began = time.monotonic()
    return state.result()


def fitted(objective: Objective[Network, Batch], course: Course, checkpoint: Path) -> Network:
    """Return the network in a checkpoint, in evaluation mode: to export it, or to see how far it has come.

    Raises:
        CompatibilityError: ``checkpoint_of_another_recipe``.
    """
    state = _Fitting.start(objective, course)
    state.load(checkpoint)
    return state.result()


@dataclass
class _Fitting(Generic[Network, Batch]):
    """What a checkpoint holds."""

    objective: Objective[Network, Batch]
    course: Course
    network: Network
    optimizers: list[torch.optim.Optimizer]
    average: AveragedModel

    @classmethod
    def start(cls, objective: Objective[Network, Batch], course: Course) -> _Fitting[Network, Batch]:
        network = objective.build().train()
        optimizers = build_optimizers(course.optimizer, network, network, course.weight_decay)
        return cls(objective, course, network, optimizers, AveragedModel(network, use_buffers=True))

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.network.parameters())

    def learn(self, batch: Batch, lr: float, average: bool) -> float:
        """Take one step and return the loss before it."""
        loss = take_step(
            self.optimizers, lr, self.network.parameters(), lambda: self.objective.loss(self.network, batch)
        )
        if average:
            self.average.update_parameters(self.network)
        return loss

    def result(self) -> Network:
        network = self.average.module if int(self.average.n_averaged) else self.network
        return cast(Network, network.eval())

    def save(self, file: Path, step: int) -> None:
        """Write the checkpoint, all or nothing."""
        state: dict[str, Any] = {
            "identity": self.course.identity,
            "step": step,
            "network": self.network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "average": self.average.state_dict(),
        }
        write_checkpoint(file, state)

    def load(self, file: Path) -> int:
        """Take over a checkpoint and return its step, 0 when there is none."""
        state = read_checkpoint(file, self.course.identity)
        if state is None:
            return 0
        self.network.load_state_dict(state["network"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.average.load_state_dict(state["average"])
        return int(state["step"])
