"""``voxid find``: every moment one person speaks in a recording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voxid.cli import options, targets
from voxid.cli.output import EXIT_DONE, EXIT_REJECTED, command, note, print_json, progress, results
from voxid.cli.targets import Targets
from voxid.cli.who import show_timeline
from voxid.decision import DEFAULT_PROFILE
from voxid.errors import InputError

if TYPE_CHECKING:
    from voxid.diarize.find import Findings

_Reference = Annotated[
    Path | None,
    typer.Option(
        "--reference",
        metavar="FILE",
        help="Look for the voice of this recording instead of an enrolled person.",
    ),
]
_Method = Annotated[
    str | None,
    typer.Option(
        "--method",
        metavar="NAME",
        help="How to find: diarization, or network (target-speech detection by the model of --detector).",
    ),
]
_Detector = Annotated[
    Path | None,
    typer.Option("--detector", metavar="FOLDER", help="The target-speech model for --method network."),
]


@command
def find(
    words: Annotated[
        list[str], typer.Argument(metavar="[NAME] AUDIO", help="Who to find, and the recording to look in.")
    ],
    reference: _Reference = None,
    method: _Method = None,
    detector: _Detector = None,
    profile: options.Profile = DEFAULT_PROFILE,
    html: targets.Html = None,
    rttm: targets.Rttm = None,
    uem: targets.Uem = None,
    timeline_json: targets.Json = None,
    csv: targets.Csv = None,
    textgrid: targets.TextGrid = None,
    srt: targets.Srt = None,
    vtt: targets.Vtt = None,
    svg: targets.Svg = None,
    png: targets.Png = None,
    no_sound: targets.Silent = False,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    bundle: options.BundlePath = None,
    channel: options.Channel = None,
    as_json: options.AsJson = False,
) -> int:
    """Find every moment one person speaks, also while others do. Exit code 1 means the person was not heard.

    An enrolled person's consent must cover "diarize-name". Nothing about the voices is kept.

    Examples:

        voxid find ALICE meeting.wav

        voxid find --reference alice.wav meeting.wav --rttm alice.rttm
    """
    from voxid.audio import load
    from voxid.diarize.find import FindOptions
    from voxid.diarize.find import find as find_voice
    from voxid.diarize.pipeline import PACK_BEYOND_S
    from voxid.diarize.target_speech import TargetDetector

    name, audio = _asked(words, reference)
    files = Targets(rttm, uem, timeline_json, csv, textgrid, srt, vtt, svg, png, html, sound=not no_sound)
    files.check()
    people = None if reference else options.open_gallery(gallery, bundle)
    try:
        with progress(f"Listening to {audio.name}", quiet=as_json) as report:
            found = find_voice(
                reference or name,
                audio,
                gallery=people,
                bundle=people.bundle if people else options.choose_bundle(bundle),
                channel=channel,
                options=FindOptions(method=method or FindOptions.method, profile=profile),
                detector=TargetDetector.load(detector) if detector else None,
                progress=report,
            )
    finally:
        if people:
            people.close()
    if files.paths:
        files.write(found.timeline, load(audio, channel=channel, pack_beyond_s=PACK_BEYOND_S))
    if as_json:
        print_json(found.to_dict() | {"written": [str(path) for path in files.paths]})
    else:
        _show(found)
        for path in files.paths:
            note(f"wrote {path}")
    return EXIT_DONE if found.present else EXIT_REJECTED


def _asked(words: list[str], reference: Path | None) -> tuple[str, Path]:
    """Return the name (empty with a reference) and the recording."""
    if len(words) != (1 if reference else 2):
        raise InputError(
            "find_whom",
            f"Found {' '.join(words)!r} {'with' if reference else 'without'} --reference; expected a NAME and a "
            "recording, or --reference FILE and a recording.",
        )
    return words[0], Path(words[-1])


def _show(found: Findings) -> None:
    console = results()
    if found.present:
        show_timeline(found.timeline, console)
        count, spoken_s = len(found.timeline.turns), found.timeline.speech_s()
        console.print(f"{found.person}: {count} times, {spoken_s:.1f} s in all.", markup=False)
        return
    if found.llr is None:
        why = "nothing sounds like that voice for long enough to compare"
    else:
        why = f"what sounds most alike has LLR {found.llr:.2f}, under the threshold {found.threshold_llr:.2f}"
    console.print(f"{found.person} was not found: {why}.", markup=False)
