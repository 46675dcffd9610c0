"""``voxid correct``: what a person says about a timeline, kept with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voxid.cli import drafts, options
from voxid.cli.output import command, note, print_json, results
from voxid.errors import InputError
from voxid.segments import clock

if TYPE_CHECKING:
    from rich.console import Console

    from voxid.audio import Waveform
    from voxid.recognize import Enrollment
    from voxid.timeline import Correction, Timeline


@dataclass(frozen=True)
class _Wanted:
    """What the options ask to correct; one of the three ways."""

    file: Path | None
    turn: int | None
    speaker: str | None
    name: str | None

    def items(self, timeline: Timeline) -> tuple[Correction, ...]:
        """Return the corrections.

        Raises:
            InputError: correction_unclear when it is none of the three ways; those of the readers.
        """
        from voxid.timeline import correct_speaker, correct_turn, read_correction_table

        by_turn = self.turn is not None and self.speaker is not None and self.name is None
        by_speaker = self.turn is None and self.speaker is not None and self.name is not None
        nothing_else = self.turn is None and self.speaker is None and self.name is None
        if self.file is not None and nothing_else:
            if self.file.suffix.lower() == ".csv":
                return read_correction_table(self.file)
            return self._from_page(self.file, timeline)
        if by_turn and self.file is None and self.turn is not None and self.speaker is not None:
            return (correct_turn(timeline, self.turn, self.speaker),)
        if by_speaker and self.file is None and self.speaker is not None and self.name is not None:
            return correct_speaker(timeline, self.speaker, self.name)
        raise InputError(
            "correction_unclear",
            "It is not clear what to correct; give a file of --corrections, or --turn N --speaker NAME, or --speaker "
            "SPEAKER_01 --is NAME.",
        )

    @staticmethod
    def _from_page(file: Path, timeline: Timeline) -> tuple[Correction, ...]:
        from voxid.timeline import read_corrections

        made = read_corrections(file)
        made.apply(timeline)  # refuses the corrections of another recording
        return made.items


@command
def correct(
    timeline: Annotated[
        Path, typer.Argument(metavar="TIMELINE.json", help="What `voxid who --timeline` wrote.")
    ],
    corrections: Annotated[
        Path | None,
        typer.Option(
            "--corrections",
            metavar="FILE",
            help="What the page saved, or a CSV with start_s, end_s, old_label (or speaker) and new_name.",
        ),
    ] = None,
    turn: Annotated[
        int | None,
        typer.Option("--turn", metavar="N", help="The turn, from 1 as --list numbers them; needs --speaker."),
    ] = None,
    speaker: Annotated[
        str | None,
        typer.Option(
            "--speaker",
            metavar="NAME",
            help="Who speaks in the turn; with --is: whom to rename in all turns.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--is", metavar="NAME", help="Who the speaker is, in every turn.")
    ] = None,
    reviewer: Annotated[
        str | None, typer.Option("--reviewer", metavar="NAME", help="Who says so; kept in the history.")
    ] = None,
    list_turns: Annotated[bool, typer.Option("--list", help="Number the turns, and change nothing.")] = False,
    add_reference: Annotated[
        bool,
        typer.Option(
            "--add-reference",
            help="Add the corrected turns' speech to the person's voiceprints; needs --audio and their consent.",
        ),
    ] = False,
    audio: Annotated[
        Path | None, typer.Option("--audio", metavar="AUDIO", help="The recording of the timeline.")
    ] = None,
    output: drafts.Output = None,
    formats: drafts.Formats = None,
    force: drafts.Force = False,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    bundle: options.BundlePath = None,
    channel: options.Channel = None,
    as_json: options.AsJson = False,
) -> None:
    """Correct who speaks on a timeline; every correction stays in its history.

    Without --output the corrected timeline of MEETING.json goes to MEETING.corrected.json.

    A corrected turn counts as reviewed. With --add-reference what was said in the corrected turns becomes one more
    reference of the person, who must be enrolled with a consent that covers diarize-name; else nothing is written.

    Examples:

        voxid correct meeting.json --list

        voxid correct meeting.json --turn 12 --speaker ALICE

        voxid correct meeting.json --speaker SPEAKER_01 --is ALICE --add-reference --audio meeting.wav

        voxid correct meeting.json --corrections meeting.corrections.json --output meeting.json --force
    """
    from voxid.timeline import Timeline, apply_corrections

    before = Timeline.read_json(timeline)
    if list_turns:
        _list_turns(before, results(), as_json)
        return
    items = _Wanted(corrections, turn, speaker, name).items(before)
    after = apply_corrections(before, items, reviewer=reviewer)
    heard = _reference(after, items, audio, channel) if add_reference else None
    target = output or timeline.with_name(f"{timeline.stem}.corrected.json")
    added = None
    with drafts.drafted(drafts.texts_of(after, target, formats), force=force) as waiting:
        if heard is not None:
            # The last thing that can be refused: the files are on the disk by now and only wait for their names.
            with options.open_gallery(gallery, bundle) as people:
                added = people.add_reference(*heard)
        written = waiting.publish()
    _tell(items, added, written, as_json)


def _reference(
    after: Timeline, items: Sequence[Correction], audio: Path | None, channel: int | None
) -> tuple[str, Waveform]:
    """Return whose reference it is, and the speech."""
    from voxid.diarize import reference_of
    from voxid.timeline.turn import is_label

    people = sorted({item.new_name for item in items if not is_label(item.new_name)})
    if audio is None:
        raise InputError(
            "reference_without_audio", "--add-reference takes speech from the recording; add --audio FILE."
        )
    if len(people) != 1:
        found = ", ".join(people) or "nobody"
        raise InputError(
            "reference_unclear",
            f"The corrections name {found}; a reference is added for one person at a time: correct one speaker with "
            "--speaker and --is.",
        )
    return people[0], reference_of(after, items, people[0], audio, channel)


def _list_turns(timeline: Timeline, console: Console, as_json: bool) -> None:
    if as_json:
        turns = timeline.to_dict()["turns"]
        print_json({"turns": [{"turn": number, **turn} for number, turn in enumerate(turns, start=1)]})
        return
    for number, turn in enumerate(timeline.turns, start=1):
        line = f"{number:>5}  {clock(turn.start_s, tenths=True)}  {clock(turn.end_s, tenths=True)}  {turn.speaker}"
        console.print(line + ("  (reviewed)" if turn.reviewed else ""), markup=False)


def _tell(items: Sequence[Correction], added: Enrollment | None, written: list[Path], as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "corrected": len(items),
                "reference": None if added is None else added.to_dict(),
                "written": [str(path) for path in written],
            }
        )
        return
    results().print(
        f"{len(items)} turn{'s' if len(items) != 1 else ''} corrected", markup=False, style="green"
    )
    if added is not None:
        note(f"{added.person} has {added.total} voiceprints now, {added.net_speech_s:.1f} s of speech")
        for warning in added.warnings:
            note(warning)
    for path in written:
        note(f"wrote {path}")
