"""The whole of a spoof detector's run: pack, train, calibrate on what was held out, export."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from voxid.spoof.detector import SpoofDetector
from voxid.train.course import load_course
from voxid.train.fitting import fit
from voxid.train.recipe import Recipe, load_recipe
from voxid.train.spoof.calibrating import calibrated, domain_of
from voxid.train.spoof.export import export_detector
from voxid.train.spoof.material import GENUINE, REPLAYED, SPOOFED, Pack, family_of, gather, parted, prepare
from voxid.train.spoof.network import DetectorNetwork
from voxid.train.spoof.objective import Spoofs, hear, thinned
from voxid.train.spoof.recipe import TASK, SpoofRecipe

__all__ = ["run_spoof", "told_of"]


def run_spoof(
    recipe_path: str | Path,
    corpora_root: str | Path,
    *,
    work: str | Path,
    out: str | Path,
    teacher: str | Path | None = None,
    resume: bool = True,
    on_pack: Callable[[str, int, int], None] = lambda shard, done, total: None,
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
) -> SpoofDetector:
    """Return the spoof detector written to ``out``.

    Args:
        recipe_path: YAML recipe; the embedding recipe whose genuine speech it uses lies beside it.
        corpora_root: folder of the corpora and of the folders of clips.
        work, resume, on_pack, on_row: as for :func:`voxid.train.run`.
        out: the model's folder. Recipe and log are put beside the graph.
        teacher: not used.

    Raises:
        ConfigError: recipe, corpora or clips are missing or wrong.
        CompatibilityError: the checkpoint belongs to another recipe, or the export differs from PyTorch.
    """
    recipe, work, out = load_course(SpoofRecipe, TASK, recipe_path), Path(work), Path(out)
    speech = load_recipe(Path(recipe_path).parent / recipe.speech)
    clips = gather(recipe, speech, Path(corpora_root), Path(recipe_path).parent)
    pack = prepare(clips, recipe, work / "packed", partial(on_pack, "recordings"))
    training, held_out, left_out = parted(pack, recipe)
    objective = Spoofs(recipe, training, thinned(held_out, recipe.seed))
    folder = work / recipe.name
    network = fit(objective, recipe, folder, on_row, resume)
    card = {
        "name": recipe.name,
        "version": "1",
        "licence": "Apache-2.0",
        "intended_use": "Whether speech was said by a person into a microphone, or synthesised, converted, copied by "
        "a vocoder or replayed. A doubt to be looked into, not a proof.",
        "training": training_facts(speech, training),
        "network": asdict(recipe.network),
        **told_of(network, objective, left_out),
    }
    detector = export_detector(network, out, card)
    shutil.copyfile(folder / "log.jsonl", out / "log.jsonl")
    shutil.copyfile(recipe_path, out / "recipe.yaml")
    return detector


def told_of(network: DetectorNetwork, objective: Spoofs, left_out: Pack) -> dict[str, Any]:
    """Return calibration, thresholds, domain and errors on what was not trained on, for the card."""
    heard = hear(network, objective.held_out)
    known = hear(network, thinned(objective.training, objective.recipe.seed))
    entries = {
        **calibrated(heard, objective.held_out),
        "domain": domain_of(known),
        "held_out": {
            "percent": objective.validate(network),
            "genuine": int((objective.held_out.kind == GENUINE).sum()),
            "spoofed": int((objective.held_out.kind == SPOOFED).sum()),
            "generators": sorted({family_of(str(name)) for name in objective.held_out.generator if name}),
        },
    }
    if len(left_out):
        genuine = objective.held_out.kind == GENUINE
        both = objective.held_out.subset(np.flatnonzero(genuine)).joined(left_out)
        entries["left_out"] = Spoofs(objective.recipe, objective.training, both).validate(network)
    return entries


def training_facts(speech: Recipe, training: Pack) -> dict[str, Any]:
    """Return what a card says about what was learnt from: kinds with hours, corpora, generators and families."""
    hours = {
        name: round(float(training.length[training.kind == kind].sum()) / 16_000 / 3600, 1)
        for name, kind in (("genuine", GENUINE), ("spoofed", SPOOFED), ("replayed", REPLAYED))
    }
    names = Counter(str(name) for name in training.generator[training.kind == SPOOFED])
    return {
        "domain": sorted(str(name) for name in np.unique(training.corpus[training.kind == GENUINE])),
        "hours": hours,
        "generators": dict(sorted(names.items())),
        "families": sorted({str(name) for name in training.family[training.kind == SPOOFED]}),
        "corpora": [
            {"name": c.name, "repository": c.repository, "commit": c.commit, "licence": c.licence}
            for c in speech.data.corpora
        ],
    }
