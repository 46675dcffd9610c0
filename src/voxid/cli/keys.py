"""``voxid keys``: the master key of a gallery, or of all galleries of a service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voxid.cli import options
from voxid.cli.output import command, waiting
from voxid.cli.people import Yes, confirm, done

app = typer.Typer(no_args_is_help=True, help="The master key: exchange it for another.")


@app.callback()
def keys() -> None:
    """The master key: exchange it for another."""


@app.command()
@command
def exchange(
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FOLDER", help="All galleries of a service and their one key."),
    ] = None,
    settings: Annotated[
        Path | None, typer.Option("--settings", metavar="FILE", help="Settings of a service (TOML).")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="The key as it is; found as always without it."),
    ] = None,
    new_key: Annotated[
        Path | None,
        typer.Option(
            "--new-key",
            metavar="FILE",
            help="The key to be, made where there is none; needed where the old one is kept elsewhere.",
        ),
    ] = None,
    yes: Yes = False,
    gallery: options.GalleryPath = options.DEFAULT_GALLERY,
    as_json: options.AsJson = False,
) -> None:
    """Seal everything in a gallery anew under another master key; the old one opens nothing of it afterwards.

    Stop what uses the gallery first: a process that goes on refuses everything until it is started again. Cut off, the
    gallery opens as before, and the same command goes on. Backups and copies of the list of erasures stay under the old
    key, whose file is kept as FILE.former: make new ones, then destroy it.

    Example:

        voxid keys exchange --gallery people.voxid
    """
    from voxid.gallery.exchange import exchange_key
    from voxid.gallery.locations import Location, location_of

    places: list[Location] = [location_of(gallery)]
    if data is not None or settings is not None:
        from voxid.cli.serve import settings_from
        from voxid.service.state import Tenants

        tenants = Tenants(settings_from(settings, {"data": data}))
        places, key = tenants.locations(), key or tenants.key_file()
    confirm(f"Exchange the master key of {', '.join(place.name for place in places)}?", yes)
    with waiting("sealing anew"):
        report = exchange_key(places, key, new_key)
    sentence = f"the key of {len(places)} galleries is now {report.key_file}"
    if report.former_file is not None:
        sentence += f"; the former one is kept as {report.former_file} until you destroy it"
    done(sentence, report.to_dict(), as_json)
