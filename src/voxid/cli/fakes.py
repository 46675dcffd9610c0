"""``voxid simulate fakes``: spoofed speech made out of genuine speech, to train and test detectors with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voxid.cli import options
from voxid.cli.output import command, note, print_json, progress, results
from voxid.errors import InputError


@command
def fakes(
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where FLAC files and manifest.csv go.")
    ],
    speech: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FOLDER",
            help="Genuine speech, one folder per speaker; not needed for synthesisers.",
        ),
    ] = None,
    generators: Annotated[
        str | None,
        typer.Option(
            "--generators", metavar="A,B", help="Names or families; without it all that work on recordings."
        ),
    ] = None,
    per_utterance: Annotated[
        int, typer.Option("--per-utterance", min=1, metavar="N", help="Fakes of each recording or sentence.")
    ] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Same seed, same fakes.")] = 0,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.5, metavar="S", help="Of each recording, from its start.")
    ] = 8.0,
    texts: Annotated[
        Path | None,
        typer.Option("--texts", metavar="FILE", help="For synthesisers: lines of language<TAB>sentence."),
    ] = None,
    lyra: Annotated[
        Path | None, typer.Option("--lyra", metavar="FOLDER", help="Weights of the neural codec Lyra.")
    ] = None,
    licence: Annotated[
        str, typer.Option("--licence", metavar="TEXT", help="Of the genuine speech, for the manifest.")
    ] = "as the source recording",
    processes: Annotated[int, typer.Option("--processes", min=1, metavar="N", help="At a time.")] = 2,
    as_json: options.AsJson = False,
) -> None:
    """Make spoofed speech: vocoders, changed voices, splices, simulated replays, synthesisers.

    Nobody's voice is cloned: a recording is said again by the same voice with the marks of a machine on it. What is in
    the folder already is kept, so that a broken run goes on where it stopped.

    Examples:

        voxid simulate fakes --from speech --out fakes --per-utterance 2 --seed 1

        voxid simulate fakes --generators espeak-ng,flite-diphone --texts sentences.txt --out spoken
    """
    from voxid.simulate.forging import MANIFEST, Plan, chosen_names, forge_all, plan_forgeries
    from voxid.simulate.synthesisers import read_sentences

    names = chosen_names(generators, lyra is not None)
    sentences = tuple(read_sentences(texts)) if texts is not None else ()
    plan = Plan(speech, out, names, per_utterance, seed, seconds, licence, sentences, lyra)
    planned = plan_forgeries(plan)
    with progress(f"Making {len(planned)} fakes", quiet=as_json) as report:
        outcome = forge_all(plan, planned, processes, report)
    for code, count in sorted(outcome.left_out.items()):
        note(f"left out: {count} × {code}: {outcome.messages[code]}")
    if not outcome.made and not outcome.kept:
        raise InputError(
            "nothing_made", f"None of the {len(planned)} fakes could be made; see what was left out."
        )
    if as_json:
        told = {"made": outcome.made, "kept": outcome.kept, "left_out": outcome.left_out}
        print_json({"folder": str(out), "manifest": str(out / MANIFEST), "seed": seed, **told})
        return
    results().print(
        f"wrote {outcome.made} fakes to {out} ({outcome.kept} were there)", markup=False, style="green"
    )
