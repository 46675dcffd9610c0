"""``voxid simulate``: conversations with a known truth, or spoofed speech, made of single-speaker recordings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from voxid.cli import fakes, options
from voxid.cli.output import command, note, print_json, progress, results
from voxid.errors import InputError

if TYPE_CHECKING:
    from voxid.simulate.libraries import FileLibrary
    from voxid.simulate.recipe import SimulationRecipe


class _ConversationsUnlessNamed(TyperGroup):
    """``voxid simulate SPEECH`` goes on meaning conversations: what is no command of the group is their SPEECH."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["conversations", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ConversationsUnlessNamed,
    no_args_is_help=True,
    help="Make conversations or spoofed speech out of single-speaker recordings.",
)


@app.command("conversations")
@command
def simulate(
    speech: Annotated[
        Path,
        typer.Argument(
            metavar="SPEECH",
            help="A folder with one folder per speaker, or a list of lines: speaker, tab, path.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where audio, RTTM and UEM go.")],
    style: Annotated[
        str | None,
        typer.Option("--style", metavar="NAME", help="telephone, meeting (without it) or broadcast."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            "--recipe", metavar="FILE", help="YAML or JSON that says everything, instead of a style."
        ),
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, metavar="N", help="How many conversations.")] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Same seed, same bytes.")] = 0,
    minutes: Annotated[
        float | None, typer.Option("--minutes", metavar="M", help="Length of each, instead of the recipe's.")
    ] = None,
    speakers: Annotated[
        int | None, typer.Option("--speakers", metavar="N", help="1 to 8, instead of the recipe's.")
    ] = None,
    stereo: Annotated[
        bool, typer.Option("--stereo", help="One channel per speaker; not with a room.")
    ] = False,
    ending: Annotated[str, typer.Option("--format", metavar="flac|wav", help="Of the audio.")] = "flac",
    as_json: options.AsJson = False,
) -> None:
    """Make conversations out of single-speaker recordings, with audio, RTTM, UEM and simulation.json.

    Turns, gaps and overlaps are drawn from real meetings (AMI) or broadcasts (VoxConverse); rooms, noise, levels and
    telephones are simulated. The truth follows the speech inside the recordings.

    Examples:

        voxid simulate speech --style telephone --count 5 --stereo --out calls

        voxid simulate speech --style meeting --minutes 5 --seed 7 --out meetings
    """
    from voxid.simulate.conversations import FORMATS, Simulator, write_conversation, write_manifest

    if ending not in FORMATS:
        raise InputError(
            "format_unknown", f"Audio can be written as {' or '.join(FORMATS)}, not as {ending!r}."
        )
    plan = _amended(_chosen(style, recipe), minutes, speakers, stereo)
    library = _open(speech)
    simulator = Simulator(plan, library, seed)
    facts: list[dict[str, Any]] = []
    with progress(f"Simulating {count} × {plan.name}", quiet=as_json) as report:
        for number in range(count):
            made = simulator.conversation(number)
            facts.append(write_conversation(made, out, ending))
            report((number + 1) / count)
    manifest = write_manifest(out, plan, seed, facts)
    if library.left_out:
        told = ", ".join(f"{found} × {code}" for code, found in sorted(library.left_out.items()))
        note(f"recordings left out: {told}")
    if as_json:
        print_json({"folder": str(out), "manifest": str(manifest), "seed": seed, "conversations": facts})
        return
    _show(facts, out)


app.command("fakes")(fakes.fakes)


def _chosen(style: str | None, recipe: Path | None) -> SimulationRecipe:
    from voxid.simulate.recipe import STYLES, load_simulation_recipe

    if recipe is not None and style is not None:
        raise InputError(
            "style_and_recipe", "Both --style and --recipe were given; a recipe says everything, so give one."
        )
    if recipe is not None:
        return load_simulation_recipe(recipe)
    name = style or "meeting"
    if name not in STYLES:
        raise InputError("style_unknown", f"There is no style {name!r}; choose {', '.join(sorted(STYLES))}.")
    return STYLES[name]


def _amended(
    plan: SimulationRecipe, minutes: float | None, speakers: int | None, stereo: bool
) -> SimulationRecipe:
    if minutes is not None:
        plan = replace(plan, minutes=(minutes, minutes))
    if speakers is not None:
        plan = replace(plan, speakers=(float(speakers), float(speakers)))
    return replace(plan, stereo=True) if stereo else plan


def _open(speech: Path) -> FileLibrary:
    from voxid.simulate.libraries import FileLibrary

    return FileLibrary.of_list(speech) if speech.is_file() else FileLibrary.of_folder(speech)


def _show(facts: list[dict[str, Any]], out: Path) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("recording", "speakers", "minutes", "speech", "overlap", "changes/min", "heard twice"):
        table.add_column(heading)
    for fact in facts:
        talk = fact["talk"]
        table.add_row(
            fact["audio"],
            str(len(fact["speakers"])),
            f"{fact['duration_s'] / 60:.1f}",
            f"{talk['speech_share']:.0%}",
            f"{talk['overlap_share']:.1%}",
            f"{talk['changes_per_minute']:.1f}",
            f"{fact['repeated_share']:.0%}",
        )
    results().print(table)
    results().print(f"wrote {len(facts)} × audio, RTTM and UEM to {out}", markup=False, style="green")
