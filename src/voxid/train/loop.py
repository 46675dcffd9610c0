"""The training loop: draw, step, validate, checkpoint; resumable to the very next batch."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from voxid.errors import CompatibilityError
from voxid.train.losses import build_loss
from voxid.train.networks import EmbeddingNetwork, build_network
from voxid.train.recipe import Recipe, Stage
from voxid.train.sampler import Crops, spec_augment
from voxid.train.shards import Shard
from voxid.train.validation import validate

_FRAMES_PER_S = 100
_MAX_GRADIENT_NORM = 5.0
Report = Callable[[dict[str, Any]], None]
Batch = tuple[NDArray[np.float32], NDArray[np.int64]]


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
    begin = 0
    for stage in recipe.stages:
        if step < begin + stage.steps:
            break
        begin += stage.steps
    done = min(1.0, (step - begin) / stage.steps)
    lr = stage.lr_to + 0.5 * (stage.lr_from - stage.lr_to) * (1.0 + math.cos(math.pi * done))
    warm = min(1.0, (step + 1) / 300)
    return Point(stage, lr * warm, stage.margin_from + (stage.margin_to - stage.margin_from) * done)


def train(
    recipe: Recipe, training: Shard, held_out: Shard, run: Path, report: Report, resume: bool = True
) -> EmbeddingNetwork:
    """Return the trained network, in evaluation mode.

    Args:
        recipe: what to do.
        training: packed speech to learn from.
        held_out: packed speech of other speakers, for the validation EER.
        run: folder for ``checkpoint.pt`` and ``log.jsonl``.
        report: receives each log row as it is written (step, loss, crops/s, or the validation EERs).
        resume: go on from ``run/checkpoint.pt`` when there is one.

    Raises:
        CompatibilityError: ``checkpoint_of_another_recipe`` when the checkpoint was made by another recipe.
    """
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    crops = Crops.of(training)
    network = build_network(recipe.network)
    head = build_loss(recipe.loss, recipe.network.embedding, crops.classes)
    parameters = [*network.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=recipe.weight_decay)
    first = _resume(run, recipe, network, head, optimizer) if resume else 0
    log = _Log(run / "log.jsonl", report, keep=first > 0)
    log.write(
        {
            "recipe": recipe.name,
            "from_step": first,
            "classes": crops.classes,
            "utterances": int(training.start.size),
        }
    )
    network.train()
    window, began = [], time.monotonic()
    for step, (features, labels) in _prefetch(recipe, crops, first):
        point = schedule(recipe, step)
        window.append(_learn(network, head, optimizer, features, labels, point, recipe.bfloat16))
        done = step + 1
        if done % 50 == 0:
            speed = len(window) * point.stage.batch / (time.monotonic() - began)
            row = {"step": done, "loss": round(float(np.mean(window)), 4), "lr": point.lr}
            log.write({**row, "margin": round(point.margin, 3), "crops_per_s": round(speed, 1)})
            window, began = [], time.monotonic()
        if done % recipe.checkpoint_every_steps == 0 or done == recipe.total_steps:
            _save(run, recipe, network, head, optimizer, done)
        if done % recipe.validate_every_steps == 0 or done == recipe.total_steps:
            log.write({"step": done, "held_out_eer": validate(network, held_out)})
            network.train()
            began = time.monotonic()
    return network.eval()


def _learn(
    network: torch.nn.Module,
    head: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    point: Point,
    bfloat16: bool,
) -> float:
    """Take one step on fbank (B, T, 80) and labels (B,), and return the loss before it."""
    for group in optimizer.param_groups:
        group["lr"] = point.lr
    x = torch.from_numpy(features)
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        z = network(x, x.new_ones(x.shape[0], 1, x.shape[1]))[:, 0]
    loss = head(z, torch.from_numpy(labels), point.margin)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_([*network.parameters(), *head.parameters()], _MAX_GRADIENT_NORM)
    optimizer.step()
    return float(loss.item())


def _prefetch(recipe: Recipe, crops: Crops, first: int) -> Iterator[tuple[int, Batch]]:
    """Yield (step, batch) from a thread; each step has its own generator, so resuming repeats nothing."""
    queue: Queue[tuple[int, Batch] | Exception | None] = Queue(maxsize=8)

    def fill() -> None:
        try:
            for step in range(first, recipe.total_steps):
                stage = schedule(recipe, step).stage
                rng = np.random.default_rng([recipe.seed, step])
                features, labels = crops.draw(stage.batch, int(stage.crop_s * _FRAMES_PER_S), rng)
                if stage.spec_augment:
                    spec_augment(features, rng)
                queue.put((step, (features, labels)))
            queue.put(None)
        except (
            Exception
        ) as error:  # told where the batches are awaited; a dead thread would let training wait forever
            queue.put(error)

    Thread(target=fill, daemon=True).start()
    while (item := queue.get()) is not None:
        if isinstance(item, Exception):
            raise item
        yield item


def _identity(recipe: Recipe) -> str:
    """The parts of a recipe that a checkpoint must agree with; the schedule may be changed between resumptions."""
    return json.dumps([recipe.name, asdict(recipe.network), asdict(recipe.loss), recipe.seed], sort_keys=True)


def _save(
    run: Path,
    recipe: Recipe,
    network: torch.nn.Module,
    head: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
) -> None:
    state = {
        "identity": _identity(recipe),
        "step": step,
        "network": network.state_dict(),
        "head": head.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    torch.save(state, run / "checkpoint.pt.part")
    (run / "checkpoint.pt.part").replace(run / "checkpoint.pt")


def _resume(
    run: Path,
    recipe: Recipe,
    network: torch.nn.Module,
    head: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
) -> int:
    if not (run / "checkpoint.pt").is_file():
        return 0
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    if state["identity"] != _identity(recipe):
        raise CompatibilityError(
            "checkpoint_of_another_recipe",
            f"{run / 'checkpoint.pt'} was made by another recipe (name, network, loss or seed differ); "
            "give another run folder or delete it.",
        )
    network.load_state_dict(state["network"])
    head.load_state_dict(state["head"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


class _Log:
    """JSON lines, flushed row by row."""

    def __init__(self, path: Path, report: Report, keep: bool) -> None:
        self._file = path.open("a" if keep else "w", encoding="utf-8")
        self._report = report
        self._began = time.monotonic()

    def write(self, row: dict[str, Any]) -> None:
        row = {"elapsed_s": round(time.monotonic() - self._began, 1), **row}
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        self._report(row)
