"""The whole of a segmentation run: pack the speech, train on conversations made from it, validate, export."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from voxid.diarize.segmentation import Segmenter
from voxid.train.course import Course, load_course
from voxid.train.recipe import Recipe, load_recipe
from voxid.train.segmentation.export import export_segmenter
from voxid.train.segmentation.objective import Chunk, train, validate
from voxid.train.segmentation.recipe import TASK, SegmentationRecipe
from voxid.train.segmentation.speech import FeatureChunks, PackedVoices
from voxid.train.shards import Shard, prepare
from voxid.train.spectra import distort


def run_segmentation(
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
    """Return the segmentation model written to ``out``.

    Args:
        recipe_path: YAML recipe; the embedding recipe whose speech it uses lies beside it.
        corpora_root, work, teacher, resume, on_pack, on_row: as for :func:`voxid.train.run`.
        out: the model's folder. Recipe and log are put beside the graph.

    Raises:
        ConfigError: recipe, corpora or teacher are missing or wrong.
        CompatibilityError: the checkpoint belongs to another recipe, or the export differs from PyTorch.
    """
    recipe, work, out = load_course(SegmentationRecipe, TASK, recipe_path), Path(work), Path(out)
    speech = load_recipe(Path(recipe_path).parent / recipe.speech)
    training, held_out = prepare(
        speech, Path(corpora_root), work / "packed", on_pack, Path(teacher) if teacher else None
    )
    chunks = held_out_chunks(recipe, held_out)
    folder = work / recipe.name
    network = train(recipe, FeatureChunks(PackedVoices(training)), chunks, folder, on_row, resume)
    card = _card(recipe, speech, training, held_out, validate(network, chunks))
    segmenter = export_segmenter(network, out, card)
    shutil.copyfile(folder / "log.jsonl", out / "log.jsonl")
    shutil.copyfile(recipe_path, out / "recipe.yaml")
    return segmenter


def held_out_chunks(recipe: SegmentationRecipe, held_out: Shard) -> list[Chunk]:
    """Return conversations of held-out people, half of them distorted, the same for the same recipe."""
    rng = np.random.default_rng([recipe.seed, 1])
    source = FeatureChunks(PackedVoices(held_out))
    return distorted_half([source.draw(rng) for _ in range(recipe.held_out_chunks)], rng)


def distorted_half(chunks: Sequence[Chunk], rng: np.random.Generator) -> list[Chunk]:
    """Return the chunks, about half of them distorted."""
    features = np.stack([chunk.features for chunk in chunks])
    distort(features, 0.5, rng)
    return [Chunk(x, chunk.active) for x, chunk in zip(features, chunks, strict=True)]


def training_speech(recipe: Course, speech: Recipe, training: Shard) -> dict[str, Any]:
    """Return what a card says about the speech a network was trained on."""
    return {
        "recipe": recipe.speech,
        "voices": len(PackedVoices(training)),
        "hours": round(float(training.frames.sum()) / 360_000, 1),
        "corpora": [
            {"name": c.name, "repository": c.repository, "commit": c.commit, "licence": c.licence}
            for c in speech.data.corpora
        ],
    }


def _card(
    recipe: SegmentationRecipe, speech: Recipe, training: Shard, held_out: Shard, result: dict[str, float]
) -> dict[str, Any]:
    return {
        "name": recipe.name,
        "licence": "Apache-2.0",
        "intended_use": "Finding who speaks when among up to four voices in ten seconds, before they are told apart.",
        "unfit_for": "Finding speech by itself: it was never taught real noise or far microphones, and takes some "
        "rooms for voices. It is used next to detected speech only. It misses about half of what is said while "
        "others speak.",
        "training_speech": training_speech(recipe, speech, training),
        "network": asdict(recipe.network),
        "held_out": {"people": len(held_out.speakers), "chunks": recipe.held_out_chunks, "percent": result},
    }
