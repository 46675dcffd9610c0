"""``voxid people``: who is enrolled, and what one may do about it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxid.cli import options
from voxid.cli.output import command, note, print_json, results, waiting
from voxid.errors import ConfigError, InputError

if TYPE_CHECKING:
    from rich.console import Console

    from voxid.gallery import Person, TransferReport

app = typer.Typer(
    no_args_is_help=True, help="The people of a gallery: list, show, rename, merge, delete, carry over."
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The person's name.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="First line is the passphrase; without it VOXID_EXPORT_PASSPHRASE is taken, or you are asked.",
    ),
]


@app.command("list")
@command
def list_people(
    gallery: options.GalleryPath = options.DEFAULT_GALLERY, as_json: options.AsJson = False
) -> None:
    """List everybody enrolled.

    Example:

        voxid people list
    """
    with options.open_gallery(gallery) as opened:
        everybody = opened.people()
    if as_json:
        print_json({"people": [person.to_dict() for person in everybody]})
    else:
        _show_table(everybody, results())


@app.command()
@command
def show(
    name: Name, gallery: options.GalleryPath = options.DEFAULT_GALLERY, as_json: options.AsJson = False
) -> None:
    """Show one person: voiceprints, speech behind them, consent and its history. No embedding is shown.

    Example:

        voxid people show ALICE --json
    """
    with options.open_gallery(gallery) as opened:
        person = opened.get(name)
    if as_json:
        print_json(person.to_dict())
    else:
        _show_person(person, results())


@app.command()
@command
def rename(
    name: Name,
    new_name: Annotated[str, typer.Argument(metavar="NEW_NAME", help="The name from now on.")],
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Give a person another name.

    Example:

        voxid people rename ALICE "Alice Liddell"
    """
    with options.open_gallery(gallery) as opened:
        opened.rename(name, new_name)
    done(f"{name} is now {new_name}", {"renamed": name, "to": new_name}, as_json)


@app.command()
@command
def merge(
    keep: Annotated[str, typer.Argument(metavar="KEEP", help="Who stays.")],
    other: Annotated[str, typer.Argument(metavar="OTHER", help="Goes into KEEP and is gone.")],
    allow_inconsistent: Annotated[
        bool, typer.Option("--allow-inconsistent", help="Merge although the voices do not sound alike.")
    ] = False,
    yes: Yes = False,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    bundle: options.BundlePath = None,
    as_json: options.AsJson = False,
) -> None:
    """Make two records of one human one person. It cannot be undone.

    What both consents allow stays allowed, until the earlier of their ends.

    Example:

        voxid people merge ALICE "A. Liddell"
    """
    confirm(f"Merge {other} into {keep}? This cannot be undone.", yes)
    with options.open_gallery(gallery, bundle) as opened:
        person = opened.merge(keep, other, allow_inconsistent=allow_inconsistent)
    done(f"{other} is part of {keep} now", person.to_dict(), as_json)


@app.command()
@command
def delete(
    name: Name,
    yes: Yes = False,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Delete a person: rows, key, and the bytes in the file. It cannot be undone; a legal hold stands in the way.

    Example:

        voxid people delete ALICE --yes
    """
    confirm(f"Delete {name} for good?", yes)
    with options.open_gallery(gallery) as opened:
        opened.delete(name)
    done(f"{name} is deleted", {"deleted": name}, as_json)


@app.command("opt-out")
@command
def opt_out(
    name: Name,
    lift: Annotated[
        bool, typer.Option("--lift", help="Allow the name again, on the person's own wish.")
    ] = False,
    voice_wish: Annotated[
        str | None,
        typer.Option(
            "--voice-wish",
            metavar="TEXT",
            help="Where it is written that the voice is never to be kept without a name either; the voice is then "
            "kept to be recognised, for nothing else.",
        ),
    ] = None,
    yes: Yes = False,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Never enroll or look for this name again; whoever is enrolled under it is deleted.

    Works for people who were never enrolled. What is kept is a keyed hash of the name, not the name.

    Example:

        voxid people opt-out ALICE --yes
    """
    confirm(f"Allow {name} again?" if lift else f"Opt {name} out and delete what is kept?", yes)
    voice_id = None
    with options.open_gallery(gallery, create=not lift) as opened:
        if lift:
            opened.lift_opt_out(name)
        else:
            voice_id = opened.opt_out(name, voice_wish=voice_wish)
    sentence = f"{name} may be enrolled again" if lift else f"{name} has opted out"
    if voice_id is not None:
        sentence += f", by voice too ({voice_id})"
    done(sentence, {"name": name, "opted_out": not lift, "voice_id": voice_id}, as_json)


@app.command()
@command
def withdraw(
    name: Name,
    purpose: Annotated[
        list[str] | None,
        typer.Option(
            "--purpose", metavar="NAME", help="Only this purpose; repeat it. Without it: all of them."
        ),
    ] = None,
    yes: Yes = False,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Record that a person withdrew their consent; with no purpose left their voiceprints are destroyed.

    Example:

        voxid people withdraw ALICE --purpose identify --yes
    """
    confirm(f"Withdraw the consent of {name}?", yes)
    with options.open_gallery(gallery) as opened:
        person = opened.withdraw(name, purpose or None)
    left = ", ".join(sorted(person.consent.purposes)) if person.consent else "nothing"
    done(f"{name} has withdrawn consent; what is left: {left}", person.to_dict(), as_json)


@app.command()
@command
def check(gallery: options.GalleryPath = options.DEFAULT_GALLERY, as_json: options.AsJson = False) -> None:
    """Read and authenticate everything stored. Exit code 4 names the first damage found.

    Example:

        voxid people check
    """
    with options.open_gallery(gallery) as opened, waiting("Reading everything", quiet=as_json):
        report = opened.check()
    sentence = f"whole: {report.people} people, {report.voiceprints} voiceprints, {report.opt_outs} opt-outs"
    if report.unknown:
        sentence += f", {report.unknown} without a name"
    done(sentence, asdict(report), as_json)


@app.command("export")
@command
def export_people(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file, encrypted with the passphrase.")],
    passphrase_file: PassphraseFile = None,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Write everybody to one encrypted file with a manifest.

    Example:

        voxid people export people.export --passphrase-file passphrase.txt
    """
    passphrase = read_passphrase(passphrase_file, twice=True)
    with options.open_gallery(gallery) as opened, waiting(f"Writing {file}", quiet=as_json):
        report = opened.export(file, passphrase=passphrase)
    _show_transfer(report, f"wrote {file}", as_json)


@app.command("import")
@command
def import_people(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `people export` wrote.")],
    passphrase_file: PassphraseFile = None,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Take over everybody in an exported file, all or nobody. People who opted out here stay out.

    Example:

        voxid people import people.export --passphrase-file passphrase.txt
    """
    passphrase = read_passphrase(passphrase_file, twice=False)
    with options.open_gallery(gallery, create=True) as opened, waiting(f"Reading {file}", quiet=as_json):
        report = opened.import_(file, passphrase=passphrase)
    _show_transfer(report, f"read {file}", as_json)


def confirm(question: str, yes: bool) -> None:
    """Ask before something that cannot be undone; without a terminal --yes must be given."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError(
            "confirmation_missing", f"{question} There is no terminal to answer at; add --yes to mean it."
        )
    if not typer.confirm(question, err=True):
        raise InputError("not_confirmed", "You said no; nothing was changed.")


def read_passphrase(file: Path | None, twice: bool) -> str:
    """Return the passphrase of an export: from the file, the environment, or asked for at the terminal."""
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, UnicodeDecodeError):
            raise ConfigError(
                "passphrase_unreadable",
                f"{file} cannot be read as text; give a file whose first line is the passphrase.",
            ) from None
    given = os.environ.get("VOXID_EXPORT_PASSPHRASE")
    if given:
        return given
    if not sys.stdin.isatty():
        raise ConfigError(
            "passphrase_missing",
            "No passphrase was given and there is no terminal to ask at; use --passphrase-file or "
            "VOXID_EXPORT_PASSPHRASE.",
        )
    answer: str = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=twice, err=True)
    return answer


def done(sentence: str, record: Mapping[str, Any], as_json: bool) -> None:
    """Say that it is done: as one JSON object, else as a green sentence."""
    if as_json:
        print_json(record)
    else:
        results().print(sentence, markup=False, style="green")


def _show_transfer(report: TransferReport, what: str, as_json: bool) -> None:
    if as_json:
        print_json(report.to_dict())
        return
    results().print(
        f"{what}: {len(report.people)} people, {report.voiceprints} voiceprints, {report.opt_outs} opt-outs",
        markup=False,
        style="green",
    )
    for name in report.skipped_opted_out:
        note(f"{name} has opted out here and was left out")


def _show_table(everybody: list[Person], console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    if not everybody:
        console.print("nobody is enrolled", markup=False)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("name", overflow="fold")
    for heading in ("voiceprints", "speech s"):
        table.add_column(heading, justify="right")
    table.add_column("consent to", overflow="fold")
    table.add_column("until")
    for person in everybody:
        consent = person.consent
        table.add_row(
            Text(person.name),
            str(len(person.voiceprints)),
            f"{person.net_speech_s:.1f}",
            "withdrawn" if consent is None else ", ".join(sorted(consent.purposes)),
            "" if consent is None or consent.expires_at is None else f"{consent.expires_at:%Y-%m-%d}",
        )
    console.print(table)


def _show_person(person: Person, console: Console) -> None:
    console.print(person.name, markup=False, style="bold")
    console.print(
        f"enrolled {person.created_at:%Y-%m-%d}, {person.net_speech_s:.1f} s of speech", markup=False
    )
    for voiceprint in person.voiceprints:
        console.print(
            f"  voiceprint {voiceprint.id[:8]}  {voiceprint.net_speech_s:.1f} s  {voiceprint.bundle_id}  "
            f"{voiceprint.created_at:%Y-%m-%d}",
            markup=False,
        )
    for record in person.consents:
        what = "nothing" if record.consent is None else ", ".join(sorted(record.consent.purposes))
        evidence = "" if record.consent is None else f" ({record.consent.evidence})"
        console.print(f"  consent {record.act} {record.recorded_at:%Y-%m-%d}: {what}{evidence}", markup=False)
