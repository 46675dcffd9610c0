"""``voxid evaluate``: error rates with intervals, on your own lists."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voxid.cli import diarization, options, spoof_evaluation, verification
from voxid.cli.lists import Cache, Enrol, Plots, Report, Root, Trials, finish
from voxid.cli.output import command, note, print_json, progress, results

app = typer.Typer(
    no_args_is_help=True,
    help="Measure verification, identification, diarization or spoof detection, with intervals.",
)

app.command("verification")(verification.verification)
app.command("diarization")(diarization.diarization)
app.command("spoof")(spoof_evaluation.spoof)


@command
def calibrate(
    trials: Trials,
    audio_root: Root,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help="Where the new bundle goes; must not exist. An added model without a calibration needs none.",
        ),
    ] = None,
    enrol: Enrol = None,
    bundle: options.BundlePath = None,
    cache: Cache = None,
    as_json: options.AsJson = False,
) -> None:
    """Set a bundle's calibration and thresholds anew on your own trials, as a new bundle.

    A model from `voxid models add` that has none yet gets its first, in its place. Needs 3,000 different-person
    trials for a false-accept rate of 1 %, 30,000 for 0.1 %. People enrolled with the old bundle have to be enrolled
    again with the new one: their scores would mean something else.

    Examples:

        voxid calibrate --trials trials.txt --audio-root wav --out ours

        voxid calibrate --bundle campplus --trials trials.txt --audio-root wav
    """
    from voxid.evaluate import recalibrate
    from voxid.zoo.shelf import renewal

    source = options.choose_bundle(bundle)
    with renewal(source, out) as target, progress("Scoring trials", quiet=as_json) as share:
        made = recalibrate(
            trials, audio_root, target, enrol=enrol, bundle=source, cache_dir=cache, progress=share
        )
    place = out or source.path
    if as_json:
        print_json({"id": made.id, "path": str(place), "calibration": made.calibration.to_dict()})
        return
    results().print(f"{made.id} is in {place}", markup=False, style="green")
    for profile in made.profiles.values():
        note(
            f"{profile.name}: LLR at least {profile.threshold_llr:.2f}; {profile.frr:.1%} of {profile.targets:,} "
            f"target trials rejected, set on {profile.nontargets:,} others"
        )


@app.command()
@command
def identification(
    trials: Trials,
    audio_root: Root,
    enrol: Enrol = None,
    bundle: options.BundlePath = None,
    cache: Cache = None,
    plots: Plots = None,
    report: Report = None,
    as_json: options.AsJson = False,
) -> None:
    """Rank accuracy among the people of a list, and FNIR at fixed FPIR with strangers among the probes.

    Example:

        voxid evaluate identification --trials trials3.txt --enrol enrol3.txt --audio-root wav
    """
    from voxid.evaluate import evaluate_identification

    with progress("Searching", quiet=as_json) as share:
        measured = evaluate_identification(
            trials,
            audio_root,
            enrol=enrol,
            bundle=options.choose_bundle(bundle),
            cache_dir=cache,
            progress=share,
        )
    finish([measured], plots, report, as_json)
