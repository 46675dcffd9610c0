"""``voxid serve``: the gallery behind an API and a console; ``voxid tenants``: whose galleries there are."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxid.cli.output import command, note, print_json
from voxid.errors import ConfigError, InputError

if TYPE_CHECKING:
    from voxid.service.settings import ServiceSettings

tenants_app = typer.Typer(no_args_is_help=True, help="The tenants of a service: list, create, make a key.")

Data = Annotated[
    Path | None, typer.Option("--data", metavar="FOLDER", help="Galleries and their key; ./voxid-data.")
]
GalleryFile = Annotated[
    Path | None,
    typer.Option("--gallery", "-g", metavar="FILE", help="Serve this gallery, as the only tenant."),
]
SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", metavar="FILE", help="Settings (TOML); ./voxid.toml where there is one."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout, also for errors.")]
TenantId = Annotated[str, typer.Argument(metavar="TENANT", help="Lower-case letters, digits and hyphens.")]


@command
def serve(
    data: Data = None,
    gallery: GalleryFile = None,
    host: Annotated[str | None, typer.Option(help="Address to listen at; 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 8470.")] = None,
    bundle: Annotated[str | None, typer.Option("--bundle", metavar="NAME|FOLDER", help="Model.")] = None,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Serve the gallery: API under /v1, console at /. The first start prints an administrator's key, once.

    Example:

        voxid serve --gallery people.voxid
    """
    read = settings_from(
        settings, {"data": data, "gallery": gallery, "host": host, "port": port, "bundle": bundle}
    )
    from voxid.allocation import give_back_now_and_then, keep_little_freed_memory, set_aside_what_stays
    from voxid.service.app import create_app
    from voxid.service.serving import first_key, server_for

    keep_little_freed_memory()
    app = create_app(read)
    shown = read.operations.show_first_key
    key = first_key(app.state.service.tenants, datetime.now(UTC)) if shown else None
    address = f"http://{read.host}:{read.port}"
    if as_json:
        print_json({"address": address, "console": f"{address}/", "key": key})
        sys.stdout.flush()
    else:
        note(f"voxid serves {address}/v1; the console is at {address}/")
        if key is not None:
            note("This key may do everything. It is shown this once; keep it safe:")
            sys.stdout.write(f"{key}\n")
            sys.stdout.flush()
    set_aside_what_stays()
    give_back_now_and_then()
    server_for(app, read).run()


@tenants_app.command("list")
@command
def list_tenants(data: Data = None, settings: SettingsFile = None, as_json: AsJson = False) -> None:
    """List the tenants.

    Example:

        voxid tenants list
    """
    from voxid.service.state import Tenants

    ids = Tenants(settings_from(settings, {"data": data})).ids()
    if as_json:
        print_json({"tenants": ids})
    else:
        sys.stdout.write("".join(f"{id_}\n" for id_ in ids))


@tenants_app.command()
@command
def create(
    tenant: TenantId, data: Data = None, settings: SettingsFile = None, as_json: AsJson = False
) -> None:
    """Make a tenant, and an administrator's key for it, which is shown once.

    Example:

        voxid tenants create acme
    """
    from voxid.service.state import Tenants

    tenants = Tenants(settings_from(settings, {"data": data}))
    _show_key(
        tenants.create(tenant).keys.create("first administrator", datetime.now(UTC), roles=["admin"])[1],
        as_json,
    )


@tenants_app.command()
@command
def key(
    tenant: TenantId,
    roles: Annotated[
        list[str] | None, typer.Option("--role", help="operator, reviewer, auditor or admin.")
    ] = None,
    label: Annotated[str, typer.Option(help="What the key is for.")] = "made at the command line",
    data: Data = None,
    gallery: GalleryFile = None,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a key for a tenant, e.g. when the last administrator's was lost.

    Example:

        voxid tenants key default --role admin
    """
    from voxid.service.roles import scopes_of
    from voxid.service.state import Tenants

    scopes_of(roles or [])
    if not roles:
        raise InputError(
            "role_unknown", "No role was given; name at least one with --role, e.g. --role operator."
        )
    tenants = Tenants(settings_from(settings, {"data": data, "gallery": gallery}))
    _show_key(tenants.get(tenant).keys.create(label, datetime.now(UTC), roles=roles)[1], as_json)


def _show_key(text: str, as_json: bool) -> None:
    if as_json:
        print_json({"key": text})
    else:
        note("This key is shown once; keep it safe:")
        sys.stdout.write(f"{text}\n")


def settings_from(file: Path | None, flags: dict[str, Any]) -> ServiceSettings:
    try:
        import argon2  # noqa: F401
        import fastapi  # noqa: F401
    except ImportError:
        raise ConfigError(
            "serve_extra_missing",
            "The service needs the extra serve; install it: pip install 'voxid[serve]'.",
        ) from None
    from voxid.service.settings import load_settings

    return load_settings(flags, file=file)
