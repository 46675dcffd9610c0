"""``voxid who``: who speaks when in a recording, by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxid.cli import options
from voxid.cli.lanes import clock, draw_lanes
from voxid.cli.output import command, note, print_json, progress, results

if TYPE_CHECKING:
    from rich.console import Console

    from voxid.audio import Waveform
    from voxid.recognize import Gallery
    from voxid.timeline import Timeline

_Voices = Annotated[int | None, typer.Option("--speakers", metavar="N", help="Exactly N voices.")]
_Least = Annotated[int | None, typer.Option("--min-speakers", metavar="N", help="At least N voices.")]
_Most = Annotated[int | None, typer.Option("--max-speakers", metavar="N", help="At most N voices.")]
_Method = Annotated[
    str | None,
    typer.Option(
        "--clustering", metavar="NAME", help="How voices are told apart: ahc, vbx, spectral, nme-sc, ..."
    ),
]


def _target(flag: str, what: str) -> Any:
    return typer.Option(flag, metavar="FILE", dir_okay=False, help=f"Write {what}.")


@dataclass(frozen=True)
class Targets:
    """Where a timeline is written to; None writes nothing."""

    rttm: Path | None = None
    html: Path | None = None
    svg: Path | None = None
    srt: Path | None = None

    def write(self, timeline: Timeline, waveform: Waveform) -> list[Path]:
        """Write what was asked for and return the files, in order."""
        if self.rttm:
            timeline.write_rttm(self.rttm)
        if self.srt:
            timeline.write_srt(self.srt)
        if self.svg:
            from voxid.picture import write_svg

            write_svg(timeline, waveform, self.svg)
        if self.html:
            from voxid.picture import write_html

            write_html(timeline, waveform, self.html)
        return [path for path in (self.rttm, self.srt, self.svg, self.html) if path]


@command
def who(
    audio: Annotated[Path, typer.Argument(metavar="AUDIO", help="A recording of one or more people.")],
    rttm: Annotated[Path | None, _target("--rttm", "the turns as RTTM")] = None,
    html: Annotated[Path | None, _target("--html", "a page with the picture; click to play")] = None,
    svg: Annotated[Path | None, _target("--svg", "the picture alone")] = None,
    srt: Annotated[Path | None, _target("--srt", "subtitles that show the names")] = None,
    speakers: _Voices = None,
    min_speakers: _Least = None,
    max_speakers: _Most = None,
    clustering: _Method = None,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    bundle: options.BundlePath = None,
    channel: options.Channel = None,
    as_json: options.AsJson = False,
) -> None:
    """Show who speaks when: a timeline with the names of enrolled people; strangers are SPEAKER_00, ...

    Only people whose consent covers "diarize-name" are named. Nothing about the voices is kept.

    Examples:

        voxid who meeting.wav

        voxid who meeting.wav --html meeting.html --rttm meeting.rttm --max-speakers 6
    """
    from voxid.audio import load
    from voxid.diarize import DiarizeOptions, diarize

    chosen = DiarizeOptions(clustering=clustering) if clustering else DiarizeOptions()
    people = _people_to_name(gallery, bundle)
    try:
        with progress(f"Listening to {audio.name}", quiet=as_json) as report:
            waveform = load(audio, channel=channel)
            model = people.bundle if people else options.choose_bundle(bundle)
            timeline = diarize(
                waveform,
                gallery=people,
                speakers=speakers,
                min_speakers=min_speakers,
                max_speakers=max_speakers,
                bundle=model,
                options=chosen,
                progress=report,
            )
    finally:
        if people:
            people.close()
    if "source" in model.card and "diarization" not in model.card and not speakers:
        note(
            f"The threshold at which voices are joined was never set for {model.name}: the number of speakers is a "
            "guess. Give --speakers, or see docs/models.md."
        )
    written = Targets(rttm, html, svg, srt).write(timeline, waveform)
    if as_json:
        print_json(timeline.to_dict() | {"written": [str(path) for path in written]})
        return
    show_timeline(timeline, results())
    for path in written:
        note(f"wrote {path}")


def _people_to_name(gallery: str, bundle: str | None) -> Gallery | None:
    """The gallery to name people from; none when the default one was simply never made."""
    if gallery == options.DEFAULT_GALLERY and not Path(gallery).exists():
        note(
            f"There is no {gallery} here, so voices get labels instead of names: voxid enroll --help says more."
        )
        return None
    return options.open_gallery(gallery, bundle)


def show_timeline(timeline: Timeline, console: Console) -> None:
    """Print the turns as a table, then one lane per speaker."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("from", "to", "seconds"):
        table.add_column(heading, justify="right")
    table.add_column("who", overflow="fold")
    table.add_column("LLR", justify="right")
    for turn in timeline.turns:
        llr = "" if turn.llr is None else f"{turn.llr:.1f}"
        who = Text(turn.speaker, style="" if turn.named else "dim")
        table.add_row(clock(turn.start_s), clock(turn.end_s), f"{turn.duration_s:.1f}", who, llr)
    console.print(table)
    console.print()
    for line in draw_lanes(timeline, console.width):
        console.print(line, markup=False, no_wrap=True, overflow="crop")
    console.print()
