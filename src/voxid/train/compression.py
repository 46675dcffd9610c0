"""Bundles made smaller: quantised, pruned, distilled; each measured beside the one it came from.

Choices rest on training speech and on the recipe's held-out speakers. A trial list given by the user is only reported.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from voxid.bundle import BACKEND_FILE, CARD_FILE, GRAPH_FILE, Bundle, load_bundle, write_card
from voxid.errors import CompatibilityError, ConfigError, InputError
from voxid.evaluate.verification import evaluate_verification
from voxid.frontend import FrontEnd
from voxid.train.backend import fit_backend
from voxid.train.calibration_speech import from_audio, from_packed
from voxid.train.distill import BundleTeacher, distilling, tuning
from voxid.train.export import export_bundle, export_graph
from voxid.train.footprint import Comparison, held_out_eer, measure
from voxid.train.graph_embedder import GraphEmbedder, random_crops
from voxid.train.loop import Tuition, train
from voxid.train.networks import EmbeddingNetwork
from voxid.train.prune import prune_network
from voxid.train.quantize import Quantized, QuantizeOptions, quantize_graph
from voxid.train.recipe import Network, Recipe, load_recipe
from voxid.train.restore import restore_network
from voxid.train.run import NOTES
from voxid.train.shards import Shard, prepare, split

Progress = Callable[[str, int, int], None]
_INFLUENCE_CROPS = 128
_INFLUENCE_FRAMES = 200


@dataclass(frozen=True, eq=False)
class PackedSpeech:
    """A recipe's speech: what choices rest on, what networks learn from, and where the audio is."""

    recipe: Recipe
    training: Shard
    held_out: Shard
    corpora_root: Path
    work: Path


@dataclass(frozen=True)
class TrialFiles:
    """A trial list whose EER is reported before and after; nothing is chosen by it."""

    trials: Path
    audio_root: Path
    enrol: Path | None = None


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What every command has besides its bundle.

    Args:
        speech: of a recipe, or None.
        trials: to report on, or None.
        refit: fit calibration and thresholds anew where there is speech, instead of carrying them over.
        progress: called with (part, done, in all).
    """

    speech: PackedSpeech | None = None
    trials: TrialFiles | None = None
    refit: bool = True
    progress: Progress = lambda part, done, total: None


def open_speech(recipe: Path, corpora_root: Path, work: Path, progress: Progress) -> PackedSpeech:
    """Return the speech of a recipe, packed into ``work`` first if it is not there yet; see ``voxid train``.

    Raises:
        ConfigError: recipe or corpora are missing or wrong; ``speech_not_packed`` when packing needs the teacher the
            recipe names.
    """
    loaded = load_recipe(recipe)
    try:
        training, held_out = prepare(loaded, corpora_root, work / "packed", progress)
    except ConfigError as error:
        if error.code != "teacher_missing":
            raise
        raise ConfigError(
            "speech_not_packed",
            f"the speech of {recipe} is not packed in {work}, and packing needs {loaded.data.teacher.name}; run voxid "
            f"train {recipe} --teacher FILE --work {work} first.",
        ) from error
    return PackedSpeech(loaded, training, held_out, corpora_root, work)


def quantize_bundle(
    source: Bundle,
    out: Path,
    around: Surroundings,
    audio: Path | None = None,
    options: QuantizeOptions | None = None,
) -> tuple[Bundle, Comparison, Quantized]:
    """Write a bundle whose convolutions compute in 8 bits; return it, the comparison, and what was tried.

    Args:
        source: bundle to quantise.
        out: the new bundle's folder; must not exist.
        around: speech, trials, progress.
        audio: folder of recordings to measure ranges on where there is no packed speech.
        options: None takes the defaults.

    Raises:
        InputError: ``bundle_exists``, ``no_calibration_speech``.
        CompatibilityError: of :func:`voxid.train.quantize.quantize_graph`; ``already_quantized``.
    """
    _refuse_existing(out)
    if "quantization" in source.card:
        raise CompatibilityError(
            "already_quantized",
            f"{source.id} is quantised already; give {source.card['quantization'].get('from', 'its source')}.",
        )
    speech = around.speech
    measure_eer = None
    if speech is not None:
        heard = from_packed(source, speech.training, speech.recipe.seed)
        front_end = FrontEnd.from_card(source.card["input"])
        if held_out_eer(GraphEmbedder.of(source), speech.held_out):

            def measure_eer(graph: bytes) -> float:
                return held_out_eer(GraphEmbedder(graph, front_end), speech.held_out)["mean"]
    elif audio is not None:
        heard = from_audio(source, audio, 0, around.progress)
    else:
        raise InputError(
            "no_calibration_speech", "quantising needs speech; give --recipe with --corpora, or --audio."
        )
    quantized = quantize_graph(
        source.graph, heard.calibration, heard.check, measure_eer, options, around.progress
    )
    facts = {
        "from": source.id,
        "integer_layers": quantized.integer_layers,
        "float_layers": len(quantized.chosen.float_layers),
        "clipped_share": quantized.chosen.clipped,
        "calibrated_on": "training speech" if speech is not None else "a folder of recordings",
    }
    entries = {"name": f"{source.name}-int8", "quantization": facts}
    bundle, comparison = _publish(
        source,
        out,
        around,
        lambda draft: _carry_over(source, quantized.graph, draft, entries),
        quantized.chosen.cosine,
    )
    return bundle, comparison, quantized


def prune_bundle(
    source: Bundle,
    out: Path,
    share: float,
    around: Surroundings,
    steps: int = 0,
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
) -> tuple[Bundle, Comparison, dict[str, float]]:
    """Write a bundle without the least important channels; return it, the comparison, and the EERs before tuning.

    Without speech to fit a back-end on, the new bundle is uncalibrated: its embeddings are others.

    Args:
        source: bundle to prune; one of voxid's own networks, not quantised.
        out: the new bundle's folder; must not exist.
        share: of each layer's channels, in (0, 1).
        around: speech, trials, progress.
        steps: of tuning after the cut, by distillation from ``source``; needs speech.
        on_row: called with every row of the training log.

    Raises:
        InputError: ``bundle_exists``, ``prune_share``, ``tuning_needs_speech``.
        CompatibilityError: ``bundle_not_restorable``, ``network_not_prunable``.
    """
    _refuse_existing(out)
    speech = around.speech
    if steps and speech is None:
        raise InputError(
            "tuning_needs_speech", "--steps needs speech to learn from; give --recipe and --corpora."
        )
    network = restore_network(source)
    crops = None
    if speech is not None:
        drawn = random_crops(speech.training, [_INFLUENCE_FRAMES], _INFLUENCE_CROPS, speech.recipe.seed)
        whole = [crop for crop in drawn if len(crop) == _INFLUENCE_FRAMES]
        crops = np.stack([crop - crop.mean(axis=0) for crop in whole]) if whole else None
    network = prune_network(network, share, crops)
    untuned: dict[str, float] = {}
    if speech is not None and steps:
        front_end = FrontEnd.from_card(source.card["input"])
        untuned = held_out_eer(GraphEmbedder(_graph_of(network), front_end), speech.held_out)
        recipe = replace(
            tuning(speech.recipe, steps),
            name=f"{source.name}-pruned",
            network=Network(**source.card["network"]),
        )
        teacher = BundleTeacher.of(source, source.dim, speech.training, recipe.seed)
        folder = speech.work / f"{recipe.name}-{share:g}"
        network = train(
            recipe, speech.training, speech.held_out, folder, on_row, tuition=Tuition(network, teacher)
        )
    facts = {"from": source.id, "share": share, "tuned_steps": steps}
    entries = {
        "name": f"{source.name}-pruned",
        "parameters": sum(p.numel() for p in network.parameters()),
        "pruned": facts,
    }
    graph = _graph_of(network)
    bundle, comparison = _publish(
        source, out, around, lambda draft: _uncalibrated(source, graph, draft, entries), None
    )
    return bundle, comparison, untuned


def distill_bundle(
    teacher: Bundle,
    out: Path,
    around: Surroundings,
    classify: float = 0.0,
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
) -> tuple[Bundle, Comparison]:
    """Write a bundle whose network, named by the recipe, learnt a teacher's embeddings; return it and the comparison.

    Args:
        teacher: any bundle that listens to fbank.
        out: the new bundle's folder; must not exist.
        around: speech of the student's recipe; trials, progress.
        classify: weight of the recipe's loss over speakers beside the distance to the teacher.
        on_row: called with every row of the training log.

    Raises:
        InputError: ``bundle_exists``, ``tuning_needs_speech``.
        CompatibilityError: ``not_for_packed_speech``, ``checkpoint_of_another_recipe``.
    """
    _refuse_existing(out)
    speech = around.speech
    if speech is None:
        raise InputError("tuning_needs_speech", "a student learns from speech; give --recipe and --corpora.")
    recipe = distilling(speech.recipe, classify)
    dim = recipe.network.embedding
    live = BundleTeacher.of(teacher, dim, speech.training, recipe.seed)
    folder = speech.work / f"{recipe.name}-from-{teacher.id.replace('@', '-')}"
    network = train(recipe, speech.training, speech.held_out, folder, on_row, tuition=Tuition(None, live))
    notes = {**NOTES, "distilled": {"from": teacher.id, "classify": classify}}

    def make(draft: Path) -> None:
        export_bundle(network, recipe, speech.training, speech.held_out, draft, notes)
        shutil.copyfile(folder / "log.jsonl", draft / "log.jsonl")

    return _publish(teacher, out, around, make, None)


def _graph_of(network: EmbeddingNetwork) -> bytes:
    with tempfile.TemporaryDirectory() as work:
        export_graph(network, Path(work) / GRAPH_FILE)
        return (Path(work) / GRAPH_FILE).read_bytes()


def _carry_over(source: Bundle, graph: bytes, draft: Path, entries: Mapping[str, Any]) -> None:
    """Write a bundle with a graph of nearly the same embeddings, and the source's back-end."""
    draft.mkdir()
    (draft / GRAPH_FILE).write_bytes(graph)
    for name in source.files:
        if name != GRAPH_FILE:
            shutil.copyfile(source.path / name, draft / name)
    write_card(draft, {**source.card, "created": date.today().isoformat(), **entries})


def _uncalibrated(source: Bundle, graph: bytes, draft: Path, entries: Mapping[str, Any]) -> None:
    """Write a bundle with a graph of other embeddings: it refuses to judge until a back-end is fitted."""
    draft.mkdir()
    (draft / GRAPH_FILE).write_bytes(graph)
    np.savez(draft / BACKEND_FILE, mean=source.mean)
    kept = {name: value for name, value in source.card.items() if name != "scoring"}
    fresh: dict[str, Any] = {"created": date.today().isoformat(), "calibration": None, "profiles": []}
    write_card(draft, {**kept, **fresh, **entries})


def _publish(
    source: Bundle, out: Path, around: Surroundings, make: Callable[[Path], None], cosine: float | None
) -> tuple[Bundle, Comparison]:
    """Make a bundle beside its place, refit it, measure it, note the measurement in its card, and move it there."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as work:
        draft = Path(work) / "bundle"
        make(draft)
        speech = around.speech
        refitted = speech is not None and around.refit and bool(speech.recipe.backend.methods)
        if speech is not None and refitted:
            _refit(draft, speech, around.progress)
        bundle = load_bundle(draft)
        held_out = [_held_out_eers(one, around) for one in (source, bundle)]
        listed = [_listed_eer(one, around) for one in (source, bundle)]
        before, after = measure(
            [source, bundle],
            [one | other for one, other in zip(held_out, listed, strict=True)],
            lambda share: around.progress("speed", round(100 * share), 100),
        )
        comparison = Comparison(before, replace(after, path=str(out)), cosine)
        card = json.loads((draft / CARD_FILE).read_text(encoding="utf-8"))
        if speech is not None:
            card["held_out_eer_percent"] = held_out[1]
        write_card(draft, {**card, "backend_fitted": refitted, "compression": comparison.to_dict()})
        draft.rename(out)
    return load_bundle(out), comparison


def _refit(draft: Path, speech: PackedSpeech, progress: Progress) -> None:
    labelled = {entry.name for entry in speech.recipe.data.corpora if entry.labelled}
    known, others = split(speech.recipe, speech.corpora_root)
    known = [utterance for utterance in known if utterance.corpus in labelled]
    fit_backend(draft, known, others, speech.recipe.backend, cache=speech.work / "backend", progress=progress)


def _held_out_eers(bundle: Bundle, around: Surroundings) -> dict[str, float]:
    """Return EERs in percent of held-out speakers by corpus and their mean; nothing without speech."""
    if around.speech is None:
        return {}
    return held_out_eer(
        GraphEmbedder.of(bundle),
        around.speech.held_out,
        lambda share: around.progress(f"EER of {bundle.name}", round(100 * share), 100),
    )


def _listed_eer(bundle: Bundle, around: Surroundings) -> dict[str, float]:
    """Return the EER in percent of the trial list under its name; nothing without one."""
    if around.trials is None:
        return {}
    files = around.trials
    report = evaluate_verification(files.trials, files.audio_root, enrol=files.enrol, bundle=bundle)
    return {files.trials.name: round(100.0 * report.metrics["eer"].value, 3)}


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise InputError("bundle_exists", f"{out} exists already; name a new folder for the new bundle.")
