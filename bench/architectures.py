"""Networks on equal terms: the same speech, batches, steps and seed; parameters, work, speed and error of each.

    python bench/architectures.py --recipe recipes/ecapa-base.yaml --corpora DIR --work runs --out bench/results

Trains every network of ``NETWORKS`` on the recipe's speech, by its losses and optimizer, for ``--steps`` steps, some
minutes each, resuming where it was interrupted, and writes ``architectures.json``. The errors are those of a short run:
they rank networks at this budget, and say nothing about where each would end.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from voxid.train.export import export_graph
from voxid.train.graph_embedder import open_session
from voxid.train.loop import train
from voxid.train.networks import EmbeddingNetwork, build_network
from voxid.train.recipe import Network, Recipe, Stage, load_recipe
from voxid.train.shards import Shard, prepare

NETWORKS = (
    Network("xvector", channels=384, aggregation=1024),
    Network("ecapa", channels=256, aggregation=768),
    Network("ecapa", channels=320, aggregation=960, stride=4),
    Network("resnet", channels=12, aggregation=512),
    Network("redim", channels=8, aggregation=768),
)


BATCH = 64
CROP_S = 1.6


def shortened(recipe: Recipe, steps: int) -> Recipe:
    """Return the recipe with one stage of ``steps`` steps and nothing compiled, since every network would be anew."""
    longest = recipe.stages[0]
    stage = Stage(
        steps, CROP_S, BATCH, 1e-3, 3e-5, 0.0, 0.1, distort=longest.distort, distill=longest.distill
    )
    return replace(
        recipe,
        name="comparison",
        stages=(stage,),
        compile=False,
        validate_every_steps=steps,
        checkpoint_every_steps=100,
    )


def multiply_adds(network: EmbeddingNetwork, speech_s: float) -> int:
    """Return the multiplications of convolutions and linear layers for one voice in so much speech."""
    total = 0

    def count(layer: nn.Module, _: Any, out: torch.Tensor) -> None:
        nonlocal total
        weight = layer.weight
        total += out.numel() * (weight.shape[1] if isinstance(layer, nn.Linear) else weight[0].numel())

    kinds = (nn.Conv1d, nn.Conv2d, nn.Linear)
    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, kinds)]
    frames = int(100 * speech_s)
    with torch.inference_mode():
        network.eval()(torch.zeros(1, frames, 80), torch.ones(1, 1, frames))
    for hook in hooks:
        hook.remove()
    return total


def compare(recipe: Recipe, training: Shard, held_out: Shard, work: Path) -> list[dict[str, Any]]:
    """Return one row per network."""
    rows, graphs = [], []
    for size in NETWORKS:
        size = replace(size, embedding=recipe.network.embedding)
        label = f"{size.name}-{size.channels}-{size.stride}"
        run = work / f"{recipe.name}-{label}"
        own = replace(recipe, name=run.name, network=size)
        network = train(own, training, held_out, run, lambda row, label=label: print(label, row, flush=True))
        graphs.append(run / "model.onnx")
        export_graph(network, graphs[-1])
        rows.append(
            {
                "network": asdict(size),
                "parameters": sum(p.numel() for p in network.parameters()),
                "multiply_adds_2_s": multiply_adds(build_network(size), 2.0),
                "steps": own.total_steps,
                "held_out_eer": last_validation(run),
            }
        )
    for row, factor in zip(rows, real_time_factors(graphs), strict=True):
        row["real_time_factor_5_s"] = factor
    return rows


def last_validation(run: Path) -> dict[str, float]:
    """Return the errors in percent that the run's log ends with, by corpus and their mean."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return next(line["held_out_eer"] for line in reversed(lines) if "held_out_eer" in line)


def real_time_factors(graphs: list[Path], speech_s: float = 5.0, turns: int = 15) -> list[float]:
    """Return processor seconds per second of speech on one thread, medians; all graphs take turns."""
    frames = int(100 * speech_s)
    inputs = {
        "fbank": np.random.default_rng(0).standard_normal((1, frames, 80)).astype(np.float32),
        "weights": np.ones((1, 1, frames), np.float32),
    }
    sessions = [open_session(graph.read_bytes()) for graph in graphs]
    seconds: list[list[float]] = [[] for _ in graphs]
    for turn in range(turns + 1):
        for session, own in zip(sessions, seconds, strict=True):
            began = time.process_time()
            session.run(None, inputs)
            if turn:  # the first one warms up
                own.append(time.process_time() - began)
    return [round(float(np.median(own)) / speech_s, 5) for own in seconds]


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| network | parameters, M | G multiply-adds, 2 s | real-time factor, one core | mean EER, % |",
        "|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        size = row["network"]
        lines.append(
            f"| {size['name']} {size['channels']}, stride {size['stride']} | {row['parameters'] / 1e6:.2f} | "
            f"{row['multiply_adds_2_s'] / 1e9:.3f} | {row['real_time_factor_5_s']:.4f} | "
            f"{row['held_out_eer']['mean']:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", required=True, type=Path, help="whose speech and losses are used")
    parser.add_argument("--steps", type=int, default=400, help=f"of {BATCH} crops of {CROP_S:g} s each")
    parser.add_argument("--corpora", required=True, type=Path, help="one folder per corpus of the recipe")
    parser.add_argument(
        "--teacher", type=Path, help="the recipe's teacher, where speech is still to be packed"
    )
    parser.add_argument("--work", required=True, type=Path, help="packed speech and checkpoints; kept")
    parser.add_argument("--out", required=True, type=Path, help="folder for architectures.json")
    arguments = parser.parse_args()
    recipe = shortened(load_recipe(arguments.recipe), arguments.steps)
    training, held_out = prepare(
        recipe, arguments.corpora, arguments.work / "packed", lambda *_: None, arguments.teacher
    )
    rows = compare(recipe, training, held_out, arguments.work)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "architectures.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
