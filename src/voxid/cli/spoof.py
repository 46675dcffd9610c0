"""``voxid spoof``: whether the voice in a recording is live and human, or a fake of a kind the detector knows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from voxid.cli import options
from voxid.cli.output import EXIT_DONE, EXIT_INPUT, EXIT_REJECTED, command, print_json, results, waiting

if TYPE_CHECKING:
    from rich.console import Console

    from voxid.spoof.detector import SpoofDetector
    from voxid.spoof.verdict import SpoofVerdict

__all__ = ["DetectorFolder", "choose_detector", "show_verdict", "spoof"]

DetectorFolder = Annotated[
    Path | None,
    typer.Option(
        "--detector",
        envvar="VOXID_DETECTOR",
        metavar="FOLDER",
        help="A spoof detector's folder; without it the one that comes with voxid.",
    ),
]

# A doubt is no acceptance: a script that only looks at the code goes on with genuine speech alone.
_EXIT_OF: Final = {
    "genuine": EXIT_DONE,
    "suspicious": EXIT_REJECTED,
    "spoof": EXIT_REJECTED,
    "cannot_tell": EXIT_INPUT,
}
_COLOUR: Final = {"genuine": "green", "suspicious": "yellow", "spoof": "red", "cannot_tell": "magenta"}
_WORDS: Final = {
    "genuine": "not taken for a fake of a kind the detector knows",
    "suspicious": "a person should listen",
    "spoof": "taken for synthesised, converted or replayed speech",
    "cannot_tell": "the detector cannot tell",
}


@command
def spoof(
    audio: Annotated[
        Path, typer.Argument(metavar="AUDIO", help="A recording of one voice, 1 s of speech or more.")
    ],
    detector: DetectorFolder = None,
    channel: options.Channel = None,
    as_json: options.AsJson = False,
) -> int:
    """Say whether a voice is live: genuine (exit code 0), suspicious or spoof (1), or that it cannot be told (2).

    It cannot be told of telephone speech, of less than 1 s, of clipped speech, and of sound unlike all that the
    detector was trained on. `genuine` is no proof: docs/spoof.md has the shares of fakes that get through.

    Examples:

        voxid spoof call.wav

        voxid spoof call.wav --json
    """
    from voxid.audio import load

    with waiting(f"Listening to {audio.name}", quiet=as_json):
        verdict = choose_detector(detector).detect(load(audio, channel=channel))
    if as_json:
        print_json(verdict.to_dict())
    else:
        show_verdict(verdict, results())
    return _EXIT_OF[verdict.outcome.value]


def choose_detector(folder: Path | None) -> SpoofDetector:
    """Return the detector in a folder, hash-checked, or the one that comes with voxid."""
    from voxid.spoof.detector import SpoofDetector, default_detector

    return default_detector() if folder is None else SpoofDetector.load(folder)


def show_verdict(verdict: SpoofVerdict, console: Console) -> None:
    """Print the outcome in its colour, then what it rests on."""
    word = verdict.outcome.value
    console.print(f"{word}  {_WORDS[word]}", markup=False, style=f"bold {_COLOUR[word]}")
    facts = []
    if verdict.llr is not None and verdict.replay_llr is not None:
        facts += [f"LLR {verdict.llr:.2f}", f"against replay {verdict.replay_llr:.2f}"]
    facts += [
        f"{verdict.net_speech_s:.1f} s of speech",
        f"up to {verdict.bandwidth_hz / 1000:.1f} kHz",
        verdict.model_id,
    ]
    console.print(", ".join(facts), markup=False)
    console.print(verdict.reason, markup=False, style="dim")
    lowest = min(verdict.pieces, key=lambda piece: piece[2], default=None)
    if lowest is not None and len(verdict.pieces) > 1:
        place = f"{lowest[0]:.1f} to {lowest[1]:.1f} s"
        console.print(
            f"Least live of {len(verdict.pieces)} pieces: {place}, LLR {lowest[2]:.2f}.",
            markup=False,
            style="dim",
        )
