"""A whole training run: recipe in, bundle out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from voxid.bundle import Bundle
from voxid.train.backend import fit_backend
from voxid.train.export import export_bundle
from voxid.train.loop import train
from voxid.train.recipe import load_recipe
from voxid.train.shards import prepare, split

NOTES: dict[str, Any] = {
    "licence": "Apache-2.0",
    "intended_use": "Speaker verification, identification and diarization of consenting people.",
    "unfit_for": "Identification in public space, decisions without a person's review that have legal effect, "
    "guessing sex, age, emotion or origin, detection of synthetic speech.",
}


def run(
    recipe_path: str | Path,
    corpora_root: str | Path,
    *,
    work: str | Path,
    out: str | Path,
    teacher: str | Path | None = None,
    resume: bool = True,
    on_pack: Callable[[str, int, int], None] = lambda shard, done, total: None,
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
    on_fit: Callable[[str, int, int], None] = lambda part, done, total: None,
) -> Bundle:
    """Pack the speech, train, validate, export, fit the back-end; return the bundle written to ``out``.

    Args:
        recipe_path: YAML recipe.
        corpora_root: folder with one clone per corpus of the recipe.
        work: folder for packed speech and checkpoints; kept, so that the next run starts at once.
        out: the bundle's folder. Recipe and log are put beside the graph.
        teacher: file of the teacher the recipe names, when it names one and speech is still to be packed.
        resume: go on from the last checkpoint in ``work``.
        on_pack: called with (corpus, speakers done, speakers in all).
        on_row: called with every row of the training log.
        on_fit: called with (part of the back-end's fit, done, in all).

    Raises:
        ConfigError: recipe, corpora or teacher are missing or wrong.
        CompatibilityError: the teacher is another than the recipe's, the checkpoint belongs to another recipe, or
            the export differs from PyTorch.
        InputError: the held-out people are too few to fit a back-end on; the bundle in ``out`` has a quick one.
    """
    recipe, work, out = load_recipe(recipe_path), Path(work), Path(out)
    training, held_out = prepare(
        recipe, Path(corpora_root), work / "packed", on_pack, Path(teacher) if teacher else None
    )
    run_folder = work / recipe.name
    network = train(recipe, training, held_out, run_folder, on_row, resume)
    bundle = export_bundle(network, recipe, training, held_out, out, NOTES)
    shutil.copyfile(run_folder / "log.jsonl", out / "log.jsonl")
    shutil.copyfile(recipe_path, out / "recipe.yaml")
    if recipe.backend.methods:
        labelled = {entry.name for entry in recipe.data.corpora if entry.labelled}
        known, others = split(recipe, Path(corpora_root))
        known = [utterance for utterance in known if utterance.corpus in labelled]
        bundle = fit_backend(out, known, others, recipe.backend, cache=work / "backend", progress=on_fit)
    return bundle
