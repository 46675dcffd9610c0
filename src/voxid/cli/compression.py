"""``voxid models quantize | prune | distill``: smaller bundles, measured beside the ones they came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voxid.cli import options
from voxid.cli.output import command, note, print_json, results
from voxid.cli.training import bars, part_reporter, require_torch, row_reporter
from voxid.errors import InputError

if TYPE_CHECKING:
    from rich.progress import Progress

    from voxid.bundle import Bundle
    from voxid.train.compression import Surroundings, TrialFiles
    from voxid.train.footprint import Comparison

Source = Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle's folder.")]
Out = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The new bundle; must not exist.")]
Recipe = Annotated[
    Path | None,
    typer.Option("--recipe", metavar="FILE", help="Recipe whose speech is used, with --corpora."),
]
Corpora = Annotated[
    Path, typer.Option("--corpora", metavar="FOLDER", help="One folder per corpus of the recipe.")
]
Work = Annotated[Path, typer.Option("--work", metavar="FOLDER", help="Packed speech and checkpoints; kept.")]
Carry = Annotated[
    bool,
    typer.Option(
        "--carry-over", help="Keep the old calibration and thresholds where speech could fit new ones."
    ),
]
Trials = Annotated[
    Path | None,
    typer.Option(
        "--trials", metavar="FILE", help="Also report the EER of this list; nothing is chosen by it."
    ),
]
Root = Annotated[
    Path | None, typer.Option("--audio-root", metavar="FOLDER", help="Paths in the list are relative to it.")
]
Enrol = Annotated[
    Path | None, typer.Option("--enrol", metavar="FILE", help='The models: "model utterance utterance ...".')
]


@command
def quantize(
    bundle: Source,
    out: Out,
    audio: Annotated[
        Path | None,
        typer.Option(
            "--audio", metavar="FOLDER", help="Recordings like those of later use, instead of a recipe."
        ),
    ] = None,
    recipe: Recipe = None,
    corpora: Corpora = Path("corpora"),
    work: Work = Path("runs"),
    carry_over: Carry = False,
    trials: Trials = None,
    audio_root: Root = None,
    enrol: Enrol = None,
    as_json: options.AsJson = False,
) -> None:
    """Make a bundle that computes in 8 bits, and report size, speed and EER before and after (train extra).

    Ranges are measured on the recipe's training speech, or on a folder of recordings. Layers that cost more than 0.1
    of EER on held-out speakers stay in float; without a recipe the cosine with the old embeddings decides.

    Examples:

        voxid models quantize runs/ecapa/bundle --recipe recipes/ecapa-base.yaml --corpora ../corpora --out ecapa-int8

        voxid models quantize runs/ecapa/bundle --audio recordings --out ecapa-int8
    """
    require_torch()
    source = options.choose_bundle(bundle)
    from voxid.train.compression import quantize_bundle

    if audio is not None and not audio.is_dir():
        raise InputError(
            "folder_missing", f"there is no folder {audio}; give --audio a folder of recordings."
        )
    with bars(as_json) as bar:
        speech = _Speech(recipe, corpora, work)
        around = _surroundings(bar, speech, _listed(trials, audio_root, enrol), refit=not carry_over)
        made, comparison, quantized = quantize_bundle(source, out, around, audio)
    chosen = quantized.chosen
    layers = {"integer": quantized.integer_layers, "float": len(chosen.float_layers)}
    if as_json:
        print_json(comparison.to_dict() | {"id": made.id, "path": str(out), "layers": layers})
        return
    _show(made, out, comparison)
    note(f"{layers['integer']} layers in 8 bits, {layers['float']} in float; mean cosine {chosen.cosine:.4f}")
    for name in chosen.float_layers:
        note(f"in float: {name}")


@command
def prune(
    bundle: Source,
    out: Out,
    share: Annotated[
        float, typer.Option("--share", metavar="SHARE", help="Of every layer's channels to take out, 0 to 1.")
    ] = 0.3,
    steps: Annotated[
        int,
        typer.Option(
            "--steps", min=0, metavar="N", help="Tuning afterwards: the bundle teaches what is left of it."
        ),
    ] = 0,
    recipe: Recipe = None,
    corpora: Corpora = Path("corpora"),
    work: Work = Path("runs"),
    trials: Trials = None,
    audio_root: Root = None,
    enrol: Enrol = None,
    as_json: options.AsJson = False,
) -> None:
    """Take whole channels out of a bundle's network, and report size, speed and EER before and after (train extra).

    Without a recipe the channels of least weight go, and the new bundle has to be calibrated before it judges.

    Example:

        voxid models prune runs/ecapa/bundle --share 0.3 --steps 2000 --recipe recipes/ecapa-base.yaml
        --corpora ../corpora --out ecapa-pruned
    """
    require_torch()
    source = options.choose_bundle(bundle)
    from voxid.train.compression import prune_bundle

    with bars(as_json) as bar:
        around = _surroundings(bar, _Speech(recipe, corpora, work), _listed(trials, audio_root, enrol))
        made, comparison, untuned = prune_bundle(source, out, share, around, steps, row_reporter(bar, steps))
    if as_json:
        before_tuning = {"eer_percent_before_tuning": untuned} if untuned else {}
        print_json(comparison.to_dict() | {"id": made.id, "path": str(out)} | before_tuning)
        return
    _show(made, out, comparison)
    if "mean" in untuned:
        note(f"EER before tuning {untuned['mean']:.2f} %, mean over corpora")
    if not made.is_calibrated:
        note(f"{made.id} is not calibrated: voxid calibrate --bundle {out} --trials LIST --audio-root FOLDER")


@command
def distill(
    teacher: Annotated[
        Path, typer.Option("--teacher", metavar="BUNDLE", help="Bundle to learn from, voxid's own or added.")
    ],
    recipe: Annotated[
        Path, typer.Option("--recipe", metavar="FILE", help="Names the student and its speech.")
    ],
    out: Out,
    corpora: Corpora = Path("corpora"),
    work: Work = Path("runs"),
    classify: Annotated[
        float,
        typer.Option(
            "--classify", min=0.0, metavar="WEIGHT", help="Also learn the speakers' labels, this much."
        ),
    ] = 0.0,
    trials: Trials = None,
    audio_root: Root = None,
    enrol: Enrol = None,
    as_json: options.AsJson = False,
) -> None:
    """Train the network a recipe names to give a teacher's embeddings, and report both side by side (train extra).

    Example:

        voxid models distill --teacher runs/base/bundle --recipe recipes/tiny.yaml --corpora ../corpora --out tiny
    """
    require_torch()
    source = options.choose_bundle(teacher)
    from voxid.train import load_recipe
    from voxid.train.compression import distill_bundle

    total_steps = load_recipe(recipe).total_steps
    with bars(as_json) as bar:
        around = _surroundings(bar, _Speech(recipe, corpora, work), _listed(trials, audio_root, enrol))
        made, comparison = distill_bundle(source, out, around, classify, row_reporter(bar, total_steps))
    if as_json:
        print_json(comparison.to_dict() | {"id": made.id, "path": str(out)})
        return
    _show(made, out, comparison)


@dataclass(frozen=True)
class _Speech:
    """Which speech the options name."""

    recipe: Path | None
    corpora: Path
    work: Path


def _listed(trials: Path | None, audio_root: Path | None, enrol: Path | None) -> TrialFiles | None:
    from voxid.train.compression import TrialFiles

    if (trials is None) != (audio_root is None):
        raise InputError(
            "trials_incomplete", "--trials and --audio-root belong together; give both, or neither."
        )
    return None if trials is None or audio_root is None else TrialFiles(trials, audio_root, enrol)


def _surroundings(
    bar: Progress, speech: _Speech, trials: TrialFiles | None, refit: bool = True
) -> Surroundings:
    """Return what there is besides the bundle, the recipe's speech opened."""
    from voxid.train.compression import Surroundings, open_speech

    opened = None
    if speech.recipe is not None:
        opened = open_speech(speech.recipe, speech.corpora, speech.work, part_reporter(bar, "packing"))
    return Surroundings(opened, trials, refit, part_reporter(bar, "measuring:"))


def _show(made: Bundle, out: Path, comparison: Comparison) -> None:
    """Print a bundle and a table of what it costs beside the one it came from."""
    from rich.table import Table

    before, after = comparison.before, comparison.after
    table = Table("", before.id.split("@")[0], after.id.split("@")[0], "", box=None)
    table.add_row(
        "graph, MB",
        f"{before.graph_bytes / 1e6:.2f}",
        f"{after.graph_bytes / 1e6:.2f}",
        f"{comparison.smaller:.1f} times smaller",
    )
    for old, new in zip(before.speed, after.speed, strict=True):
        for what, slow, fast in (
            ("network", old.network, new.network),
            ("with features", old.embedding, new.embedding),
        ):
            label = f"real-time factor, {what}, {old.speech_s:g} s"
            table.add_row(label, f"{slow:.5f}", f"{fast:.5f}", f"{slow / fast:.2f} times faster")
    for name, value in after.eer_percent.items():
        first = before.eer_percent.get(name)
        lost = "" if first is None else f"{value - first:+.2f}"
        table.add_row(f"EER %, {name}", "" if first is None else f"{first:.2f}", f"{value:.2f}", lost)
    results().print(f"{made.id} is in {out}", markup=False, style="green")
    results().print(table)
