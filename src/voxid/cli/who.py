"""``voxid who``: who speaks when in a recording, by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from voxid.cli import calls, options, remembering, targets
from voxid.cli.lanes import draw_lanes
from voxid.cli.output import EXIT_DONE, command, exit_code_of, note, print_json, progress, results
from voxid.cli.targets import Targets
from voxid.decision import DEFAULT_PROFILE
from voxid.segments import clock

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from voxid.bundle import Bundle
    from voxid.decision import Decision
    from voxid.recognize import Gallery
    from voxid.timeline import ReviewPolicy, Timeline

_MOST_DOUBTS: Final = 20

_Method = Annotated[
    str | None,
    typer.Option(
        "--clustering",
        metavar="NAME",
        help="How voices are told apart: auto, vbx, nme-sc, ahc, spectral, ...",
    ),
]


_Hearing = Annotated[
    Literal["network", "chunks", "vad"] | None,
    typer.Option(
        "--segmentation",
        help="How turns are found: network (overlap by it, voices by windows), chunks (both by the network's ten "
        "seconds), vad (speech detection, no overlap).",
    ),
]


_Sure = Annotated[
    float | None,
    typer.Option(
        "--min-confidence",
        metavar="P",
        help="List turns less sure than P (0 to 1) as needing review.",
        rich_help_panel="Output",
    ),
]
_Exclusive = Annotated[
    bool,
    typer.Option(
        "--exclusive",
        help="Show and write one speaker at a time: where several speak, the more confident one.",
        rich_help_panel="Output",
    ),
]


@command
def who(
    audio: Annotated[Path, typer.Argument(metavar="AUDIO", help="A recording of one or more people.")],
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
    exclusive: _Exclusive = False,
    min_confidence: _Sure = None,
    speakers: options.Speakers = None,
    min_speakers: options.MinSpeakers = None,
    max_speakers: options.MaxSpeakers = None,
    clustering: _Method = None,
    segmentation: _Hearing = None,
    remember: remembering.Remember = False,
    basis: remembering.Basis = None,
    keep_days: remembering.KeepDays = None,
    profile: options.Profile = DEFAULT_PROFILE,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    bundle: options.BundlePath = None,
    channel: options.Channel = None,
    channels: calls.Channels = None,
    by_channel: calls.ByChannel = False,
    telephone: calls.Telephone = False,
    agent: calls.Agent = None,
    as_json: options.AsJson = False,
) -> int:
    """Show who speaks when: a timeline with the names of enrolled people; strangers are SPEAKER_00, ...

    Only people whose consent covers "diarize-name" are named. Nothing about the voices is kept, unless --remember asks
    for it: then voices without a name get ids that stay (voxid people unknown --help).

    Examples:

        voxid who meeting.wav

        voxid who meeting.wav --html meeting.html --rttm meeting.rttm --max-speakers 6

        voxid who meeting.wav --exclusive --srt meeting.srt

        voxid who call.wav --channels agent,customer --agent Alice

        voxid who meeting.wav --timeline meeting.json --remember --basis "minutes of the board; assessment 12"
    """
    from voxid.audio import load
    from voxid.diarize import DiarizeOptions, diarize
    from voxid.diarize.options import SpeakerCount
    from voxid.diarize.pipeline import PACK_BEYOND_S, check_served
    from voxid.diarize.telephone import diarize_call
    from voxid.timeline import ReviewPolicy

    # Whatever was asked for wrongly is said before a recording is opened, which may take an hour to go through.
    policy = ReviewPolicy() if min_confidence is None else ReviewPolicy(min_confidence)
    files = Targets(rttm, uem, timeline_json, csv, textgrid, srt, vtt, svg, png, html, sound=not no_sound)
    files.check()
    SpeakerCount.checked(speakers, min_speakers, max_speakers)
    chosen = DiarizeOptions(
        clustering=clustering or DiarizeOptions.clustering,
        segmentation=segmentation or DiarizeOptions.segmentation,
        profile=profile,
    )
    grounds = remembering.grounds_of(remember, basis, keep_days)
    numbers = {"--speakers": speakers, "--min-speakers": min_speakers, "--max-speakers": max_speakers}
    plan = calls.plan_call(
        channels, by_channel, telephone, agent, numbers | {"--channel": channel, "--remember": grounds}
    )
    people = people_to_name(gallery, bundle, create=grounds is not None)
    decision: Decision | None = None
    try:
        with progress(f"Listening to {audio.name}", quiet=as_json) as report:
            model = people.bundle if people else options.choose_bundle(bundle)
            check_served(chosen, model, people)
            if plan is None:
                waveform = load(audio, channel=channel, pack_beyond_s=PACK_BEYOND_S)
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
            else:
                call = diarize_call(
                    audio, plan, gallery=people, bundle=model, options=chosen, progress=report
                )
                waveform, timeline, decision = call.waveform, call.timeline, call.agent
        if people and grounds:
            timeline = remembering.keep_voices(timeline, waveform, people, grounds, profile)
    finally:
        if people:
            people.close()
    if plan is None:
        warn_of_missing(timeline, speakers or min_speakers or 1)
        if not speakers:
            _warn_of_guesses(model)
    if exclusive:
        timeline = timeline.exclusive()
    written = files.write(timeline, waveform, policy)
    if as_json:
        told = {} if decision is None else {"agent": decision.to_dict()}
        print_json(timeline.to_dict(policy) | told | {"written": [str(path) for path in written]})
    else:
        show_timeline(timeline, results(), policy)
        if decision is not None:
            calls.show_agent(decision, results())
        for path in written:
            note(f"wrote {path}")
    return EXIT_DONE if decision is None else exit_code_of(decision.outcome)


def warn_of_missing(timeline: Timeline, asked: int) -> None:
    """Say so where fewer speak than were asked for."""
    if asked > max(1, len(timeline.speakers)):
        note(
            f"{asked} voices were asked for, heard are {len(timeline.speakers)}: there is too little speech to "
            "tell so many apart."
        )


def _warn_of_guesses(model: Bundle) -> None:
    if "source" in model.card and "diarization" not in model.card:
        note(
            f"The threshold at which voices are joined was never set for {model.name}: the number of speakers is a "
            "guess. Give --speakers, or see docs/models.md."
        )


def people_to_name(gallery: str, bundle: str | None, *, create: bool = False) -> Gallery | None:
    """The gallery to name people from; none when the default one was simply never made, unless `create` makes one."""
    if not create and gallery == options.DEFAULT_GALLERY and not Path(gallery).exists():
        note(
            f"There is no {gallery} here, so voices get labels instead of names: voxid enroll --help says more."
        )
        return None
    return options.open_gallery(gallery, bundle, create=create)


def show_timeline(timeline: Timeline, console: Console, policy: ReviewPolicy | None = None) -> None:
    """Print the turns as a table, one lane per speaker, how sure their number is, and what needs review."""
    from voxid.timeline.counted import describe_count

    if not timeline.turns:
        console.print("nobody speaks")
        return
    console.print(_table(timeline))
    console.print()
    for line in draw_lanes(timeline, console.width):
        console.print(line, markup=False, no_wrap=True, overflow="crop")
    if timeline.count_confidence is not None:
        console.print(describe_count(len(timeline.speakers), timeline.count_confidence), style="dim")
    console.print()
    doubts = timeline.review(policy)
    if doubts:
        console.print(f"Needs review ({len(doubts)}):", style="bold")
        for item in doubts[:_MOST_DOUBTS]:
            console.print(f"  {clock(item.segment.start_s, tenths=True)}  {item.reason}", markup=False)
        if len(doubts) > _MOST_DOUBTS:
            console.print(f"  and {len(doubts) - _MOST_DOUBTS} more: --html shows all of them.", markup=False)
        console.print()


def _table(timeline: Timeline) -> Table:
    """The turns; columns of confidence and overlap only where there is any."""
    from rich.table import Table
    from rich.text import Text

    sure = any(turn.confidence is not None for turn in timeline.turns)
    shared_s = timeline.overlapped_s()
    shared = any(shared_s)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("from", "to", "seconds"):
        table.add_column(heading, justify="right")
    table.add_column("who", overflow="fold")
    table.add_column("LLR", justify="right")
    if sure:
        table.add_column("sure", justify="right")
    if shared:
        table.add_column("overlap", justify="right")
    for turn, both_s in zip(timeline.turns, shared_s, strict=True):
        cells: list[str | Text] = [
            clock(turn.start_s, tenths=True),
            clock(turn.end_s, tenths=True),
            f"{turn.duration_s:.1f}",
        ]
        cells.append(Text(turn.speaker, style="" if turn.named else "dim"))
        cells.append("" if turn.llr is None else f"{turn.llr:.1f}")
        if sure:
            cells.append("" if turn.confidence is None else f"{turn.confidence:.0%}")
        if shared:
            cells.append(f"{both_s:.1f}" if both_s >= 0.05 else "")
        table.add_row(*cells)
    return table
