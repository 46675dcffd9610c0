"""``voxid live``: who is speaking now, from a microphone, stdin, or a file at its own speed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
import typer

from voxid.cli import options, targets
from voxid.cli.board import print_line, showing
from voxid.cli.output import command, note, results
from voxid.cli.sources import Source, open_source
from voxid.cli.targets import Targets
from voxid.cli.who import people_to_name, show_timeline, warn_of_missing
from voxid.errors import VoxidError

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from numpy.typing import NDArray

    from voxid.audio import Waveform
    from voxid.diarize.online import LiveOptions, LiveSession, PieceDetector
    from voxid.diarize.options import SpeakerCount
    from voxid.timeline import Timeline

_Audio = Annotated[
    str | None,
    typer.Argument(
        metavar="AUDIO|-", help="A recording, or - for raw samples on stdin; none: the microphone."
    ),
]
_Latency = Annotated[
    float,
    typer.Option("--latency", metavar="S", help="Tell speech when it is S seconds old: 0.5, 1, 1.5 ... 5."),
]
_Speed = Annotated[
    float,
    typer.Option("--speed", min=0, metavar="X", help="Play a file X times as fast; 0: as fast as possible."),
]
_Rate = Annotated[
    int, typer.Option("--rate", metavar="HZ", help="Samples per second on stdin or of the microphone.")
]


@command
def live(
    audio: _Audio = None,
    latency: _Latency = 0.5,
    speed: _Speed = 1.0,
    fast: Annotated[bool, typer.Option("--fast", help="The same as --speed 0.")] = False,
    rate: _Rate = 16_000,
    speakers: options.Speakers = None,
    min_speakers: options.MinSpeakers = None,
    max_speakers: options.MaxSpeakers = None,
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
    segmenter: Annotated[
        Path | None, typer.Option("--segmenter", metavar="FOLDER", help="Another local segmentation model.")
    ] = None,
    channel: options.Channel = None,
    spoof: Annotated[
        bool, typer.Option("--spoof", help="Also tell whether each speaker is a live human voice.")
    ] = False,
    detector: Annotated[
        Path | None,
        typer.Option("--detector", metavar="FOLDER", help="Another spoof detector; with --spoof."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line: every event, then the timeline.")
    ] = False,
) -> int | None:
    """Show who is speaking while they speak; stop with Ctrl-C. At the end the whole call is drawn once more.

    Only people whose consent covers "diarize-name" are named. No sound is kept, unless a page or picture is asked for.

    Examples:

        voxid live

        voxid live meeting.wav --speed 2 --rttm meeting.rttm

        ffmpeg -loglevel quiet -i call.mp3 -f s16le -ac 1 -ar 16000 - | voxid live - --json
    """
    from voxid.diarize.online import LiveOptions
    from voxid.diarize.options import SpeakerCount

    files = Targets(rttm, uem, timeline_json, csv, textgrid, srt, vtt, svg, png, html, sound=not no_sound)
    try:
        files.check()
        chosen = LiveOptions(latency_s=latency)
        count = SpeakerCount.checked(speakers, min_speakers, max_speakers)
        source = open_source(audio, rate, 0.0 if fast else speed, channel)
        judge = _detector(detector) if spoof or detector else None
        with _session(source, segmenter, gallery, bundle, count, chosen, judge) as session:
            kept = Kept(source, wanted=bool(html or svg or png))
            timeline = follow(source, session, kept, as_json)
        waveform = kept.waveform(timeline)
        written = files.write(timeline, waveform)
    except VoxidError as error:
        if as_json:
            print_line(error.to_dict())
            return error.exit_code
        raise
    warn_of_missing(timeline, count.least)
    if as_json:
        known = replace(timeline, audio_sha256=waveform.sha256)
        print_line({"event": "timeline", **known.to_dict(), "written": [str(path) for path in written]})
        return None
    show_timeline(timeline, results())
    for path in written:
        note(f"wrote {path}")
    return None


@contextmanager
def _session(
    source: Source,
    segmenter: Path | None,
    gallery: str,
    bundle: str | None,
    count: SpeakerCount,
    chosen: LiveOptions,
    judge: PieceDetector | None,
) -> Iterator[LiveSession]:
    """Give a session for a source, with the people to name in reach while it lasts."""
    from voxid.diarize.online import LiveSession
    from voxid.diarize.segmentation import Segmenter, default_segmenter

    model = Segmenter.load(segmenter) if segmenter else default_segmenter()
    people = people_to_name(gallery, bundle)
    try:
        yield LiveSession(
            model,
            gallery=people,
            bundle=people.bundle if people else options.choose_bundle(bundle),
            count=count,
            options=chosen,
            rate_hz=source.rate_hz,
            uri=source.name,
            spoof=judge,
        )
    finally:
        if people:
            people.close()


def _detector(folder: Path | None) -> PieceDetector:
    from voxid.spoof.detector import SpoofDetector, default_detector

    return SpoofDetector.load(folder) if folder else default_detector()


def follow(source: Source, session: LiveSession, kept: Kept, as_json: bool) -> Timeline:
    """Return the timeline of a call, after showing it while it went on; Ctrl-C ends the call, not the command."""
    with showing(lambda: session.heard_s, as_json) as show:
        with Interruption() as interruption:
            for block in source.blocks:
                with interruption.held():
                    kept.add(block)
                    show([*session.feed(block), *session.judge()])
                if interruption.asked:
                    break
        timeline = session.close()
        show([*session.closing_events, *session.closing_verdicts])
    if session.kept_speakers:
        note(
            "the last pass kept the speakers told: a short call, or another number of them as a whole (docs/live.md)"
        )
    return timeline


class Interruption:
    """Ctrl-C as the end of a call: while waiting for sound at once, while sound is being heard right after it."""

    def __init__(self) -> None:
        self.asked = False
        self._holding = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        return kind is KeyboardInterrupt

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let a block of work end before an interruption counts."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if not self._holding:
            raise KeyboardInterrupt


class Kept:
    """The recording for what is written at the end; of stdin or a microphone only when ``wanted``."""

    def __init__(self, source: Source, wanted: bool) -> None:
        self._source = source
        self._wanted = wanted and source.waveform is None
        self._blocks: list[NDArray[Any]] = []

    def add(self, block: NDArray[Any]) -> None:
        """Keep a piece, if it will be needed."""
        if self._wanted:
            self._blocks.append(block)

    def waveform(self, timeline: Timeline) -> Waveform:
        """Return what was heard; without samples where they were not kept."""
        from voxid.audio import Waveform, load

        source = self._source
        if source.waveform is not None:
            return source.waveform
        if self._blocks:
            whole = load((np.concatenate(self._blocks), source.rate_hz))
            return replace(whole, uri=source.name)
        digest = timeline.audio_sha256 or ""
        return Waveform(np.zeros(0, np.float32), source.name, digest, source.rate_hz)
