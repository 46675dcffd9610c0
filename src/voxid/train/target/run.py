"""The whole of a target-speech run: pack the speech, train on conversations made from it, validate, export."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from voxid.bundle import GRAPH_FILE, Bundle, load_bundle
from voxid.diarize.target_speech import TargetDetector
from voxid.train.course import load_course
from voxid.train.fitting import fit
from voxid.train.recipe import Recipe, load_recipe
from voxid.train.segmentation.run import training_speech
from voxid.train.shards import Shard, prepare
from voxid.train.target.export import export_detector
from voxid.train.target.objective import TargetSpeech, validate
from voxid.train.target.recipe import TASK, TargetRecipe
from voxid.train.target.speech import Asked, TargetConversations

_BATCH = 10


def run_target_speech(
    recipe_path: str | Path,
    corpora_root: str | Path,
    *,
    work: str | Path,
    out: str | Path,
    teacher: str | Path | None = None,
    resume: bool = True,
    on_pack: Callable[[str, int, int], None] = lambda shard, done, total: None,
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
) -> TargetDetector:
    """Return the target-speech model written to ``out``; arguments as of ``run_segmentation``.

    Raises:
        ConfigError: recipe, corpora or teacher are missing or wrong.
        CompatibilityError: the checkpoint belongs to another recipe, or the export differs from PyTorch.
    """
    recipe, work, out = load_course(TargetRecipe, TASK, recipe_path), Path(work), Path(out)
    speech = load_recipe(Path(recipe_path).parent / recipe.speech)
    bundle = load_bundle(Path(str(resources.files("voxid") / "bundles" / recipe.bundle)))
    training, held_out = prepare(
        speech, Path(corpora_root), work / "packed", on_pack, Path(teacher) if teacher else None
    )
    objective = TargetSpeech(
        recipe, TargetConversations(recipe, training, bundle), held_out_batches(recipe, held_out, bundle)
    )
    folder = work / recipe.name
    network = fit(objective, recipe, folder, on_row, resume)
    result = validate(network, objective.held_out)
    detector = export_detector(network, out, card(recipe, speech, training, held_out, bundle, result))
    shutil.copyfile(folder / "log.jsonl", out / "log.jsonl")
    shutil.copyfile(recipe_path, out / "recipe.yaml")
    return detector


def held_out_batches(recipe: TargetRecipe, held_out: Shard, bundle: Bundle) -> list[Asked]:
    """Return conversations of held-out people, half of them distorted, the same for the same recipe."""
    rng = np.random.default_rng([recipe.seed, 1])
    source = TargetConversations(recipe, held_out, bundle)
    return [source.draw(_BATCH, 0.5, rng) for _ in range(-(-recipe.held_out_conversations // _BATCH))]


def card(
    recipe: TargetRecipe,
    speech: Recipe,
    training: Shard,
    held_out: Shard,
    bundle: Bundle,
    result: dict[str, float],
) -> dict[str, Any]:
    """Return what is known of a model besides its graph."""
    return {
        "name": recipe.name,
        "licence": "Apache-2.0",
        "intended_use": "Finding when one given person speaks in a recording, also under others.",
        "chunk_frames": round(100 * recipe.seconds),
        "embeds_with": {"name": bundle.name, "sha256": bundle.card["sha256"][GRAPH_FILE]},
        "training_speech": training_speech(recipe, speech, training),
        "network": asdict(recipe.network),
        "held_out": {
            "people": len(held_out.speakers),
            "conversations": recipe.held_out_conversations,
            "percent": result,
        },
    }
