"""``voxid people unknown``: voices kept without a name; list, name, join, forget, purge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from voxid.cli import consent, options
from voxid.cli.output import command, note, print_json, results
from voxid.cli.people import Yes, confirm, done
from voxid.cli.recognition import show_enrollment
from voxid.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from voxid.gallery import UnknownPerson

_HELP = """Voices kept without a name (`voxid who --remember`): list them, name, join or forget them.

Nobody here is verified or identified: their voices are found again in recordings, and nothing else.

Examples:

    voxid people unknown

    voxid people unknown name unknown-7k3f2m9x ALICE --consent "signed form 17" --purpose diarize-name

    voxid people unknown forget unknown-7k3f2m9x --yes
"""

app = typer.Typer(help=_HELP, invoke_without_command=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="As a timeline or the list shows it.")]


@app.callback()
def unknown(
    context: typer.Context,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """List the voices kept without a name."""
    if context.invoked_subcommand is None:
        _list(gallery=gallery, as_json=as_json)
        return
    for option in ("gallery", "as_json"):
        source = context.get_parameter_source(option)
        if source is not None and source.name == "COMMANDLINE":
            command_name = context.invoked_subcommand
            raise typer.BadParameter(f"give the options after {command_name!r}, which they are for")


unknown.__doc__ = _HELP


@command
def _list(*, gallery: str, as_json: bool) -> None:
    with options.open_gallery(gallery) as opened:
        people = opened.unknown.people()
    if as_json:
        print_json({"unknown": [person.to_dict() for person in people]})
    else:
        _show_table(people, results())


@app.command()
@command
def show(
    id_: Id, gallery: options.GalleryPath = options.DEFAULT_GALLERY, as_json: options.AsJson = False
) -> None:
    """Show one of them: in which recordings, on which grounds, until when. No embedding is shown.

    Example:

        voxid people unknown show unknown-7k3f2m9x
    """
    with options.open_gallery(gallery) as opened:
        found = [person for person in opened.unknown.people() if person.id == id_]
    if not found:
        raise InputError(
            "unknown_missing",
            f"No unknown person here has the id {id_!r}; `voxid people unknown` lists them.",
        )
    if as_json:
        print_json(found[0].to_dict())
    else:
        _show_person(found[0], results())


@app.command()
@command
def name(
    id_: Id,
    person: Annotated[str, typer.Argument(metavar="NAME", help="The person's name.")],
    evidence: consent.Evidence = None,
    purpose: consent.Purposes = None,
    consent_text: consent.ConsentText = None,
    signer: consent.Signer = None,
    jurisdiction: consent.Jurisdiction = None,
    expires: consent.Expires = None,
    allow_duplicate: consent.AllowDuplicate = False,
    allow_inconsistent: consent.AllowInconsistent = False,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    bundle: options.BundlePath = None,
    as_json: options.AsJson = False,
) -> None:
    """Give a voice its name: it is enrolled under it, and `voxid relabel` takes the name to every earlier timeline.

    The person's consent, given here or on record, must cover diarize-name. Of the recordings the voice was heard in
    nothing is kept any longer.

    Examples:

        voxid people unknown name unknown-7k3f2m9x ALICE --consent "signed form 17" --purpose diarize-name

        voxid people unknown name unknown-7k3f2m9x BOB

    The second one adds the voice to BOB, whose consent is on record.
    """
    given = consent.ConsentOptions(evidence, purpose, consent_text, signer, jurisdiction, expires).consent()
    with consent.told_how(given, "diarize-name"), options.open_gallery(gallery, bundle) as opened:
        enrollment = opened.unknown.name(
            id_,
            person,
            given,
            allow_duplicate=allow_duplicate,
            allow_inconsistent=allow_inconsistent,
        )
    if as_json:
        print_json({"id": id_, **enrollment.to_dict()})
        return
    show_enrollment(enrollment, results())
    note(f"{id_} is {enrollment.person} now: voxid relabel TIMELINE.json takes the name to earlier timelines")


@app.command()
@command
def merge(
    keep: Annotated[str, typer.Argument(metavar="KEEP", help="The id that stays.")],
    other: Annotated[str, typer.Argument(metavar="OTHER", help="The id that leads to KEEP from then on.")],
    allow_inconsistent: Annotated[
        bool, typer.Option("--allow-inconsistent", help="Join although the voices do not sound alike.")
    ] = False,
    yes: Yes = False,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    bundle: options.BundlePath = None,
    as_json: options.AsJson = False,
) -> None:
    """Make two ids of one human one. It cannot be undone.

    Example:

        voxid people unknown merge unknown-7k3f2m9x unknown-0c9d8e7f --yes
    """
    confirm(f"Join {other} to {keep}? This cannot be undone.", yes)
    with options.open_gallery(gallery, bundle) as opened:
        joined = opened.unknown.merge(keep, other, allow_inconsistent=allow_inconsistent)
    done(f"{other} is {keep} now", joined.to_dict(), as_json)


@app.command()
@command
def forget(
    id_: Id,
    yes: Yes = False,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Destroy the key, the voice and the list of recordings. It cannot be undone.

    The recordings it was taken from do not bring the voice back; in others nothing is left to know it by.
    Forgetting somebody who opted out lifts the opt-out.

    Example:

        voxid people unknown forget unknown-7k3f2m9x --yes
    """
    confirm(f"Forget {id_} for good?", yes)
    with options.open_gallery(gallery) as opened:
        opened.unknown.forget(id_)
    done(f"{id_} is forgotten", {"forgotten": id_}, as_json)


@app.command("opt-out")
@command
def opt_out(
    id_: Id,
    wish: Annotated[
        str | None,
        typer.Option("--wish", metavar="TEXT", help='Where the person\'s wish is, e.g. "letter of 3 May".'),
    ] = None,
    yes: Yes = False,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Never keep this voice again. It is known again by the voice itself, which is kept for nothing else.

    Example:

        voxid people unknown opt-out unknown-7k3f2m9x --wish "letter of 3 May" --yes
    """
    confirm(f"Opt {id_} out, and keep the voice for that alone?", yes)
    with options.open_gallery(gallery) as opened:
        person = opened.unknown.opt_out(id_, wish or "")
    done(f"{id_} has opted out", person.to_dict(), as_json)


@app.command()
@command
def purge(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say who it would be.")] = False,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Erase what has expired. Every --remember does it too; run this daily where recordings are rare.

    Example:

        voxid people unknown purge --dry-run
    """
    with options.open_gallery(gallery) as opened:
        gone = opened.unknown.purge(dry_run=dry_run)
    verb = "would be" if dry_run else "is"
    sentence = "\n".join(f"{person.id}: what has expired {verb} erased" for person in gone)
    record = {"purged": [person.id for person in gone], "dry_run": dry_run}
    done(sentence or "nothing has expired", record, as_json)


def _show_table(people: list[UnknownPerson], console: Console) -> None:
    from rich.table import Table

    if not people:
        console.print("no voice is kept without a name", markup=False)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("id", no_wrap=True)
    for heading in ("heard", "speech s"):
        table.add_column(heading, justify="right")
    for heading in ("first", "last", "expires"):
        table.add_column(heading)
    table.add_column("in", overflow="fold")
    for person in people:
        if person.opt_out is not None:
            table.add_row(person.id, "", "", "", "", "", "opted out: never kept again")
            continue
        days = [f"{day:%Y-%m-%d}" if day else "" for day in (person.first_at, person.last_at)]
        end = "" if person.expires_at is None else f"{person.expires_at:%Y-%m-%d}"
        where = ", ".join(sighting.uri for sighting in person.sightings[-5:])
        table.add_row(person.id, str(len(person.sightings)), f"{person.speech_s:.1f}", *days, end, where)
    console.print(table, markup=False)


def _show_person(person: UnknownPerson, console: Console) -> None:
    console.print(person.id, markup=False, style="bold")
    if person.opt_out is not None:
        console.print(
            f"opted out {person.opt_out.recorded_at:%Y-%m-%d}: {person.opt_out.evidence}", markup=False
        )
    for sighting in person.sightings:
        console.print(
            f"  {sighting.uri}  {sighting.speech_s:.1f} s  heard {sighting.heard_at:%Y-%m-%d}  "
            f"until {sighting.expires_at:%Y-%m-%d}  ({sighting.basis})",
            markup=False,
        )
