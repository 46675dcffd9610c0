"""The files a timeline is written to, one option for each format."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxid.errors import InputError

if TYPE_CHECKING:
    from voxid.audio import Waveform
    from voxid.timeline import ReviewPolicy, Timeline


def _target(flag: str, what: str) -> Any:
    return typer.Option(flag, metavar="FILE", dir_okay=False, help=f"Write {what}.", rich_help_panel="Output")


Rttm = Annotated[Path | None, _target("--rttm", "the turns as RTTM")]
Uem = Annotated[Path | None, _target("--uem", "the extent of the recording as UEM, to be scored whole")]
Json = Annotated[Path | None, _target("--timeline", "everything as JSON, which voxid reads back")]
Csv = Annotated[Path | None, _target("--csv", "a row per turn, for spreadsheets")]
TextGrid = Annotated[Path | None, _target("--textgrid", "a tier per speaker, for Praat")]
Srt = Annotated[Path | None, _target("--srt", "subtitles that show the names")]
Vtt = Annotated[Path | None, _target("--vtt", "WebVTT with a voice tag per turn")]
Svg = Annotated[Path | None, _target("--svg", "the picture alone, as a drawing")]
Png = Annotated[Path | None, _target("--png", "the picture alone, as pixels (needs the extra plot)")]
Html = Annotated[Path | None, _target("--html", "a page to listen with and to correct names on")]

Silent = Annotated[
    bool, typer.Option("--no-sound", help="Leave the recording out of the page.", rich_help_panel="Output")
]


@dataclass(frozen=True)
class Targets:
    """Where a timeline is written to; None writes nothing.

    Args:
        rttm, uem, timeline, csv, textgrid, srt, vtt, svg, png, html: a file for each format.
        sound: the page holds the recording.
    """

    rttm: Path | None = None
    uem: Path | None = None
    timeline: Path | None = None
    csv: Path | None = None
    textgrid: Path | None = None
    srt: Path | None = None
    vtt: Path | None = None
    svg: Path | None = None
    png: Path | None = None
    html: Path | None = None
    sound: bool = True

    def check(self) -> None:
        """Refuse what could not be written, before anything is listened to for it.

        Raises:
            InputError: output_unwritable. ConfigError: plot_extra_missing.
        """
        for path in self.paths:
            if not path.parent.is_dir():
                raise InputError(
                    "output_unwritable",
                    f"{path} cannot be written (there is no folder {path.parent}); choose another place.",
                )
            if not os.access(path if path.exists() else path.parent, os.W_OK):
                raise InputError(
                    "output_unwritable",
                    f"{path} cannot be written (permission denied); choose another place.",
                )
        if self.png:
            from voxid.picture.image import check_plot

            check_plot()

    @property
    def paths(self) -> list[Path]:
        """The files asked for, in the order of the fields."""
        wanted = (getattr(self, field.name) for field in fields(self) if field.name != "sound")
        return [path for path in wanted if path]

    def write(self, timeline: Timeline, waveform: Waveform, policy: ReviewPolicy | None = None) -> list[Path]:
        """Write what was asked for and return the files, in the order of the fields.

        Raises:
            InputError: output_unwritable. ConfigError: plot_extra_missing.
        """
        # The recording's hash goes wherever the timeline goes: corrections must match it.
        known = replace(timeline, audio_sha256=timeline.audio_sha256 or waveform.sha256)
        for format_name in ("rttm", "uem", "csv", "textgrid", "srt", "vtt"):
            path = getattr(self, format_name)
            if path:
                getattr(known, f"write_{format_name}")(path)
        if self.timeline:
            known.write_json(self.timeline, policy)
        self._draw(known, waveform, policy)
        return self.paths

    def _draw(self, timeline: Timeline, waveform: Waveform, policy: ReviewPolicy | None) -> None:
        if self.svg:
            from voxid.picture import write_svg

            write_svg(timeline, waveform, self.svg, policy=policy)
        if self.png:
            from voxid.picture import write_png

            write_png(timeline, waveform, self.png, policy=policy)
        if self.html:
            from voxid.picture import write_html

            if self.sound:
                write_html(timeline, waveform, self.html, policy=policy)
            else:
                write_html(timeline, waveform, self.html, policy=policy, max_audio_bytes=0)
