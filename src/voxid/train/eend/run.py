"""The whole of an EEND run: pack the speech, train on conversations made from it, validate, export."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from voxid.diarize.segmentation import Segmenter
from voxid.train.course import load_course
from voxid.train.eend.export import export_eend
from voxid.train.eend.objective import Eend, validate
from voxid.train.eend.recipe import TASK, EendRecipe
from voxid.train.fitting import fit
from voxid.train.recipe import load_recipe
from voxid.train.segmentation.run import distorted_half, training_speech
from voxid.train.segmentation.speech import FeatureChunks, PackedVoices
from voxid.train.shards import Shard, prepare


def run_eend(
    recipe_path: str | Path,
    corpora_root: str | Path,
    *,
    work: str | Path,
    out: str | Path,
    teacher: str | Path | None = None,
    resume: bool = True,
    on_pack: Callable[[str, int, int], None] = lambda shard, done, total: None,
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
) -> Segmenter:
    """Return the model written to ``out``, which is a segmentation model of up to six voices; arguments as of
    ``run_segmentation``.

    Raises:
        ConfigError: recipe, corpora or teacher are missing or wrong.
        CompatibilityError: the checkpoint belongs to another recipe, or the export differs from PyTorch.
    """
    recipe, work, out = load_course(EendRecipe, TASK, recipe_path), Path(work), Path(out)
    speech = load_recipe(Path(recipe_path).parent / recipe.speech)
    training, held_out = prepare(
        speech, Path(corpora_root), work / "packed", on_pack, Path(teacher) if teacher else None
    )
    rng = np.random.default_rng([recipe.seed, 1])
    other = conversations(recipe, held_out)
    chunks = distorted_half([other.draw(rng) for _ in range(recipe.held_out_conversations)], rng)
    objective, folder = Eend(recipe, conversations(recipe, training), chunks), work / recipe.name
    network = fit(objective, recipe, folder, on_row, resume)
    card = {
        "name": recipe.name,
        "licence": "Apache-2.0",
        "intended_use": "Comparison with local segmentation: who speaks when among up to six voices in half a minute.",
        "chunk_frames": round(100 * recipe.seconds),
        "training_speech": training_speech(recipe, speech, training),
        "network": asdict(recipe.network),
        "held_out": {
            "people": len(held_out.speakers),
            "conversations": recipe.held_out_conversations,
            "percent": validate(network, chunks),
        },
    }
    model = export_eend(network, out, card)
    shutil.copyfile(folder / "log.jsonl", out / "log.jsonl")
    shutil.copyfile(recipe_path, out / "recipe.yaml")
    return model


def conversations(recipe: EendRecipe, shard: Shard) -> FeatureChunks:
    """Return conversations without end of the people in a shard."""
    return FeatureChunks(PackedVoices(shard), recipe.seconds, most_voices=recipe.network.speakers)
