"""Options of the commands that work on lists of trials, and what they all do with a finished report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voxid.cli.output import note, print_json, results

if TYPE_CHECKING:
    from voxid.evaluate.report import Report as AnyReport

Trials = Annotated[
    Path,
    typer.Option(
        "--trials",
        metavar="FILE",
        help='The list: "label enrol test" (1 = same person), or "model test target|nontarget" with --enrol.',
    ),
]
Root = Annotated[
    Path, typer.Option("--audio-root", metavar="FOLDER", help="Paths in the list are relative to it.")
]
Enrol = Annotated[
    Path | None, typer.Option("--enrol", metavar="FILE", help='The models: "model utterance utterance ...".')
]
Cache = Annotated[
    Path | None, typer.Option("--cache", metavar="FOLDER", help="Keep embeddings here, for the next run.")
]
Report = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Also write the JSON report to this file.")
]
Plots = Annotated[
    Path | None,
    typer.Option("--plots", metavar="FOLDER", help="Draw the plots there (needs the plot extra)."),
]


def finish(measured: list[AnyReport], plots: Path | None, report: Path | None, as_json: bool) -> None:
    """Draw, write and print reports; the first is ours, and --json puts the others under "peers"."""
    from voxid.evaluate import render, write_json

    ours, *peers = measured
    if plots:
        from voxid.evaluate.plots import write_plots

        for path in write_plots(ours, plots):
            note(f"wrote {path}")
    if report:
        write_json(measured, report)
        note(f"wrote {report}")
    if as_json:
        beside = {"peers": [peer.to_dict() for peer in peers]} if peers else {}
        print_json(ours.to_dict() | beside)
    else:
        results().print(render(measured))
