"""The training loop of the segmentation network: draw chunks, step, validate, checkpoint; resumable."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim.swa_utils import AveragedModel

from voxid.train.checkpoints import CHECKPOINT_FILE, read_checkpoint, write_checkpoint
from voxid.train.optimizer import build_optimizers
from voxid.train.run_log import Report, RunLog
from voxid.train.segmentation.network import STEP_FRAMES, SegmentationNetwork
from voxid.train.segmentation.powerset import permuted_to, powerset_loss
from voxid.train.segmentation.recipe import Part, SegmentationRecipe
from voxid.train.spectra import distort

_WARM_STEPS = 200
_MAX_GRADIENT_NORM = 5.0
_AHEAD = 6


@dataclass(frozen=True, eq=False)
class Chunk:
    """Ten seconds: fbank (T, 80) float32 and who is heard in each frame, (T, any number) bool."""

    features: NDArray[np.float32]
    active: NDArray[np.bool_]


class ChunkSource(Protocol):
    """Conversations without end."""

    def draw(self, rng: np.random.Generator) -> Chunk:
        """Return a chunk; the same generator state gives the same one."""


@dataclass(frozen=True, eq=False)
class ChunkBatch:
    """Features (B, T, 80) and activity (B, S, N), 0 or 1."""

    features: NDArray[np.float32]
    active: NDArray[np.float32]


def stacked(chunks: Sequence[Chunk], speakers: int) -> ChunkBatch:
    """Return chunks as a batch; of more than ``speakers`` voices those who speak most are kept."""
    active = np.zeros((len(chunks), chunks[0].active.shape[0] // STEP_FRAMES, speakers), np.float32)
    for row, chunk in enumerate(chunks):
        most = np.argsort(-chunk.active.sum(axis=0), kind="stable")[:speakers]
        steps = chunk.active[STEP_FRAMES // 2 :: STEP_FRAMES, most]
        active[row, :, : most.size] = steps[: active.shape[1]]
    return ChunkBatch(np.stack([chunk.features for chunk in chunks]), active)


def schedule(recipe: SegmentationRecipe, step: int) -> tuple[Part, float]:
    """Return the part of the schedule and the learning rate at ``step`` (0-based)."""
    begin = 0
    for part in recipe.stages:
        if step < begin + part.steps:
            break
        begin += part.steps
    done = min(1.0, (step - begin) / part.steps)
    lr = part.lr_to + 0.5 * (part.lr_from - part.lr_to) * (1.0 + math.cos(math.pi * done))
    return part, lr * min(1.0, (step + 1) / _WARM_STEPS)


def train(
    recipe: SegmentationRecipe,
    source: ChunkSource,
    held_out: Sequence[Chunk],
    run: Path,
    report: Report,
    resume: bool = True,
) -> SegmentationNetwork:
    """Return the trained network, in evaluation mode.

    Args:
        recipe: what to do.
        source: conversations of people to learn from.
        held_out: chunks of other people's, for validation.
        run: folder for ``checkpoint.pt`` and ``log.jsonl``.
        report: receives each log row.
        resume: go on from the checkpoint when there is one.

    Raises:
        CompatibilityError: ``checkpoint_of_another_recipe``.
    """
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    state = _Training.start(recipe)
    first = state.load(run / CHECKPOINT_FILE) if resume else 0
    log = RunLog(run / "log.jsonl", report, keep=first > 0)
    log.write({"recipe": recipe.name, "from_step": first, "parameters": state.parameters})
    window, began = [], time.monotonic()
    for step, batch in _prefetch(recipe, source, first, state.network.powerset.speakers):
        part, lr = schedule(recipe, step)
        torch.manual_seed(recipe.seed + step)  # dropout, so that resuming repeats nothing
        window.append(state.learn(batch, lr, part.average))
        done = step + 1
        last = done == recipe.total_steps
        if done % 50 == 0:
            speed = len(window) * recipe.batch / (time.monotonic() - began)
            row = {"step": done, "loss": round(float(np.mean(window)), 4), "lr": lr}
            log.write({**row, "chunks_per_s": round(speed, 1)})
            window, began = [], time.monotonic()
        if done % recipe.checkpoint_every_steps == 0 or last:
            state.save(run / CHECKPOINT_FILE, done)
        if done % recipe.validate_every_steps == 0 or last:
            log.write({"step": done, "held_out": validate(state.result(), held_out)})
            state.network.train()
            began = time.monotonic()
    return state.result()


def validate(network: SegmentationNetwork, chunks: Sequence[Chunk], batch: int = 16) -> dict[str, float]:
    """Return the local diarization error in percent of true speech, with its parts; the best order of speakers counts.

    Speech is what is more likely than not; no collar, overlap scored, steps of 20 ms.
    """
    network.eval()
    missed = false_alarm = confused = speech = 0.0
    for first in range(0, len(chunks), batch):
        one = stacked(chunks[first : first + batch], network.powerset.speakers)
        with torch.inference_mode():
            logits = network(torch.from_numpy(one.features))
            likeliest = network.powerset.members[logits.argmax(dim=-1)]
            truth = permuted_to(likeliest, torch.from_numpy(one.active))
        found_count, true_count = likeliest.sum(dim=-1), truth.sum(dim=-1)
        right = (likeliest * truth).sum(dim=-1)
        missed += float((true_count - found_count).clamp(min=0).sum())
        false_alarm += float((found_count - true_count).clamp(min=0).sum())
        confused += float((torch.minimum(found_count, true_count) - right).sum())
        speech += float(true_count.sum())
    parts = {"missed": missed, "false_alarm": false_alarm, "confused": confused}
    rates = {name: round(100.0 * value / max(speech, 1.0), 2) for name, value in parts.items()}
    return {"error": round(100.0 * sum(parts.values()) / max(speech, 1.0), 2), **rates}


def _prefetch(
    recipe: SegmentationRecipe, source: ChunkSource, first: int, speakers: int
) -> Iterator[tuple[int, ChunkBatch]]:
    """Yield (step, batch) from a thread; each step has its own generator."""
    queue: Queue[tuple[int, ChunkBatch] | Exception | None] = Queue(maxsize=_AHEAD)

    def fill() -> None:
        try:
            for step in range(first, recipe.total_steps):
                rng = np.random.default_rng([recipe.seed, step])
                batch = stacked([source.draw(rng) for _ in range(recipe.batch)], speakers)
                if recipe.distort:
                    distort(batch.features, recipe.distort, rng)
                queue.put((step, batch))
            queue.put(None)
        except Exception as error:  # told where the batches are awaited
            queue.put(error)

    Thread(target=fill, daemon=True).start()
    while (item := queue.get()) is not None:
        if isinstance(item, Exception):
            raise item
        yield item


@dataclass
class _Training:
    """What a checkpoint holds."""

    recipe: SegmentationRecipe
    network: SegmentationNetwork
    optimizers: list[torch.optim.Optimizer]
    average: AveragedModel

    @classmethod
    def start(cls, recipe: SegmentationRecipe) -> _Training:
        network = SegmentationNetwork(recipe.network).train()
        optimizers = build_optimizers(recipe.optimizer, network, network, recipe.weight_decay)
        return cls(recipe, network, optimizers, AveragedModel(network, use_buffers=True))

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.network.parameters())

    def learn(self, batch: ChunkBatch, lr: float, average: bool) -> float:
        """Take one step and return the loss before it."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.zero_grad(set_to_none=True)
        logits = self.network(torch.from_numpy(batch.features))
        loss = powerset_loss(logits, torch.from_numpy(batch.active), self.network.powerset)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _MAX_GRADIENT_NORM)
        for optimizer in self.optimizers:
            optimizer.step()
        if average:
            self.average.update_parameters(self.network)
        return float(loss.item())

    def result(self) -> SegmentationNetwork:
        network = self.average.module if int(self.average.n_averaged) else self.network
        return cast(SegmentationNetwork, network.eval())

    def save(self, file: Path, step: int) -> None:
        """Write the checkpoint, all or nothing."""
        write_checkpoint(
            file,
            {
                "identity": _identity(self.recipe),
                "step": step,
                "network": self.network.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                "average": self.average.state_dict(),
            },
        )

    def load(self, file: Path) -> int:
        """Take over a checkpoint and return its step, 0 when there is none."""
        state = read_checkpoint(file, _identity(self.recipe))
        if state is None:
            return 0
        self.network.load_state_dict(state["network"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.average.load_state_dict(state["average"])
        return int(state["step"])


def _identity(recipe: SegmentationRecipe) -> str:
    """The parts of a recipe that a checkpoint must agree with; the schedule may be changed between resumptions."""
    return json.dumps([recipe.name, asdict(recipe.network), recipe.optimizer, recipe.seed], sort_keys=True)
