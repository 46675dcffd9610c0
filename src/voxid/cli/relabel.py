"""``voxid relabel``: names given since, on timelines made before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voxid.cli import drafts, options
from voxid.cli.output import command, note, print_json
from voxid.errors import InputError


@command
def relabel(
    timelines: Annotated[
        list[Path], typer.Argument(metavar="TIMELINE.json...", help="What `voxid who --timeline` wrote.")
    ],
    output: drafts.Output = None,
    formats: drafts.Formats = None,
    in_place: Annotated[
        bool,
        typer.Option("--in-place", help="Write over the timelines themselves.", rich_help_panel="Output"),
    ] = False,
    force: drafts.Force = False,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Take the names that voices were given since (`voxid people unknown name`) to earlier timelines.

    Every turn of an unknown person carries an id that stays; it gets the name of the person the id leads to now, if
    that person consents to be named, else the id again. Without --output, --in-place or another name, MEETING.json
    becomes MEETING.relabelled.json; formats stand beside it.

    Examples:

        voxid relabel meeting.json

        voxid relabel meetings/*.json --in-place --format rttm --format srt --force
    """
    from voxid.timeline import Timeline

    if output is not None and (in_place or len(timelines) > 1):
        raise InputError(
            "output_ambiguous",
            "--output names the file of one timeline; leave out --in-place and the others.",
        )
    before = [Timeline.read_json(path) for path in timelines]
    with options.open_gallery(gallery) as opened:
        ids = sorted({id_ for timeline in before for id_ in timeline.voice_ids})
        names = opened.unknown.names(ids)
    texts: list[tuple[Path, str]] = []
    told = []
    for path, timeline in zip(timelines, before, strict=True):
        after = timeline.relabel(names)
        target = path if in_place else output or path.with_name(f"{path.stem}.relabelled.json")
        changed = sum(
            one.speaker != two.speaker for one, two in zip(timeline.turns, after.turns, strict=True)
        )
        texts += drafts.texts_of(after, target, formats)
        told.append((str(path), changed))
    if in_place and not force:
        others = [path for path, _ in texts if path not in timelines and path.exists()]
        if others:
            raise InputError(
                "output_exists",
                f"{others[0]} is there already; nothing was written: leave out its format, or add --force.",
            )
    with drafts.drafted(texts, force=force or in_place) as waiting:
        written = waiting.publish()
    if as_json:
        print_json(
            {
                "names": names,
                "changed_turns": dict(told),
                "written": [str(path) for path in written],
            }
        )
        return
    for id_, name in names.items():
        note(f"{id_} is {name}" if name else f"{id_} leads to nobody who may be named")
    for source, changed in told:
        note(f"{source}: {changed} turn{'s' if changed != 1 else ''} changed")
    for path in written:
        note(f"wrote {path}")
