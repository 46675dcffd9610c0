"""``voxid backup`` and ``voxid restore``: a copy of a gallery in use, and back without those erased since."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voxid.cli import options
from voxid.cli.output import command, waiting
from voxid.cli.people import Yes, confirm, done

__all__ = ["backup", "restore"]

Key = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="FILE",
        help="The master key; without it VOXID_MASTER_KEY, VOXID_KEY_FILE, or the file beside the gallery.",
    ),
]
Erasures = Annotated[
    Path | None,
    typer.Option("--erasures", metavar="FILE", help="The list of erasures, kept apart from the gallery."),
]


@command
def backup(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A new file; not needed with --erasures alone.")
    ] = None,
    erasures: Erasures = None,
    key: Key = None,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Copy a gallery while it is used, and read the copy back. The key is not in it: keep that elsewhere.

    With --erasures what was erased, withdrawn and refused is added to a list: small, nothing but sealed hashes. Write
    it often and keep it apart; a restore after everything else is lost needs it, so that nobody erased comes back.

    Example:

        voxid backup monday.backup --erasures /elsewhere/people.erased
    """
    from voxid.errors import InputError
    from voxid.gallery.backup import back_up, write_erasures
    from voxid.gallery.store import Store

    if file is None and erasures is None:
        raise InputError(
            "backup_nothing_asked", "Nothing to write was named; give a FILE, or --erasures FILE."
        )
    store = Store.open(gallery, key=key, create=False)
    told: dict[str, object] = {}
    sentences = []
    try:
        if file is not None:
            with waiting("copying and reading back"):
                report = back_up(store, file)
            told |= report.to_dict()
            sentences.append(f"{file} holds {report.people} people, {report.voiceprints} voiceprints")
        if erasures is not None:
            told["new_erasures"] = write_erasures(store, erasures)
            sentences.append(f"{told['new_erasures']} new lines in {erasures}")
    finally:
        store.close()
    done("; ".join(sentences), told, as_json)


@command
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `voxid backup` wrote.")],
    erasures: Erasures = None,
    nobody_erased: Annotated[
        bool,
        typer.Option(
            "--nobody-erased",
            help="There is no list of erasures, and nobody was erased, withdrew or opted out since the backup.",
        ),
    ] = False,
    yes: Yes = False,
    key: Key = None,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Bring a gallery back to the state of a backup; nobody erased, withdrawn or opted out since comes back.

    Who that is stands in the gallery, where one stands, and in the list beside it. Where both are lost, give a copy
    of the list. A gallery that is in use may stay so: it goes back in one change.

    Example:

        voxid restore monday.backup --yes
    """
    from voxid.gallery.backup import restore as bring_back

    confirm(f"Bring {gallery} back to {file}? What was enrolled since is lost.", yes)
    with waiting("restoring"):
        report = bring_back(gallery, file, key=key, erasures=erasures, nobody_erased=nobody_erased)
    sentence = f"{report.people} people are back"
    if report.left_out:
        sentence += f"; {report.left_out} of the backup are not: erased, withdrawn or opted out since"
    done(sentence, report.to_dict(), as_json)
