"""``voxid challenge`` and ``voxid answer``: is the person here and now, who says what nobody could know before."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from voxid.cli import options
from voxid.cli.output import (
    EXIT_DONE,
    EXIT_REJECTED,
    command,
    exit_code_of,
    note,
    print_json,
    results,
    waiting,
)
from voxid.decision import DEFAULT_PROFILE
from voxid.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from voxid.recognize.liveness import LivenessResult

Name = Annotated[str, typer.Argument(metavar="NAME", help="The person's name.")]
_MARK: Final = {True: ("✓", "green"), False: ("✗", "red"), None: ("–", "dim")}
_WORDS: Final = {
    "once": "first answer",
    "in_time": "in time",
    "new": "not heard before",
    "speaker": "the person's voice",
    "live": "a live voice",
    "content": "what was asked for",
    "one_voice": "one voice",
}


@command
def challenge(
    name: Name,
    words: Annotated[bool, typer.Option("--words", help="Words instead of digits.")] = False,
    length: Annotated[
        int | None, typer.Option("--length", metavar="N", help="So many; without it 6 digits or 4 words.")
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", metavar="S", help="Time for the answer.")] = 60.0,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    bundle: options.BundlePath = None,
    as_json: options.AsJson = False,
) -> None:
    """Ask a person to say digits, or words, drawn by chance; `voxid answer` takes what they say.

    A challenge is kept sealed in the gallery until it is answered, once, or its time is over.

    Examples:

        voxid challenge ALICE

        voxid challenge ALICE --words --seconds 30
    """
    from voxid.recognize.liveness import issue_challenge
    from voxid.spoof.listening import default_listener

    default_listener()  # what cannot be heard is not asked for
    with options.open_gallery(gallery, bundle) as people:
        issued = issue_challenge(
            people, name, kind="words" if words else "digits", length=length, lifetime_s=seconds
        )
    if as_json:
        print_json(issued.to_dict())
        return
    results().print(issued.text, style="bold", markup=False)
    where = [] if gallery == options.DEFAULT_GALLERY else ["--gallery", gallery]
    run = shlex.join(["voxid", "answer", name, issued.id, "RECORDING", *where])
    note(f"Say this within {seconds:g} s, record it, and run: {run}")


@command
def answer(
    name: Name,
    challenge_id: Annotated[str, typer.Argument(metavar="CHALLENGE", help="Id that `voxid challenge` gave.")],
    audio: Annotated[Path, typer.Argument(metavar="AUDIO", help="What the person said.")],
    spoof: Annotated[
        str,
        typer.Option(
            "--spoof", metavar="off|check|strict", help="What a spoof check must say; see docs/spoof.md."
        ),
    ] = "check",
    profile: options.Profile = DEFAULT_PROFILE,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    bundle: options.BundlePath = None,
    channel: options.Channel = None,
    as_json: options.AsJson = False,
) -> int:
    """Decide whether a recording is the person, live, saying what was asked for. Exit code 0 means that all holds.

    A challenge is spent by its first answer, whatever comes of it; a path where nothing is does not count as one.

    Example:

        voxid answer ALICE 6f0c… answer.wav
    """
    from voxid.recognize.liveness import AnswerOptions, answer_challenge
    from voxid.spoof.fusion import SpoofPolicy

    if not audio.exists():
        raise InputError(
            "audio_missing", f"There is no file {audio}, and the challenge still stands; check the path."
        )
    chosen = AnswerOptions(profile=profile, spoof=SpoofPolicy.named(spoof), channel=channel)
    with (
        options.open_gallery(gallery, bundle) as people,
        waiting(f"Listening to {audio.name}", quiet=as_json),
    ):
        result = answer_challenge(people, name, challenge_id, audio, chosen)
    if as_json:
        print_json(result.to_dict())
    else:
        show_liveness(result, results())
    if result.decision is not None and not result.decision:
        return exit_code_of(result.decision.outcome)
    return EXIT_DONE if result else EXIT_REJECTED


def show_liveness(result: LivenessResult, console: Console) -> None:
    """Print every part, whether it holds, and why."""
    verdict, colour = ("passed", "green") if result else ("not passed", "red")
    console.print(f"{result.person}: {verdict}", style=f"bold {colour}", markup=False)
    for part in result.parts:
        mark, style = _MARK[part.holds]
        console.print(f"  {mark} {_WORDS[part.name]:<20} {part.reason}", style=style, markup=False)
