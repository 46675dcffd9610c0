"""``voxid models``: which bundles there are, what is in one, and whether its files are intact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxid.cli import options
from voxid.cli.output import command, print_json, results

if TYPE_CHECKING:
    from voxid.bundle import Bundle

app = typer.Typer(no_args_is_help=True, help="Model bundles: list, show, verify.")

Folder = Annotated[
    Path | None,
    typer.Argument(metavar="[FOLDER]", help="A bundle; without it the one inside the package."),
]


@app.command("list")
@command
def list_models(as_json: options.AsJson = False) -> None:
    """List the bundles inside the package; the default one is marked.

    Example:

        voxid models list
    """
    from voxid.bundle import default_bundle, installed_bundles, load_bundle

    bundles = [load_bundle(path) for path in installed_bundles()]
    default = default_bundle()
    if as_json:
        print_json(
            {"models": [_summary(bundle) | {"default": bundle.id == default.id} for bundle in bundles]}
        )
        return
    for bundle in bundles:
        mark = "default" if bundle.id == default.id else ""
        results().print(f"{bundle.id}  {bundle.dim}-d  {mark}  {bundle.path}", markup=False)


@app.command()
@command
def show(folder: Folder = None, as_json: options.AsJson = False) -> None:
    """Show a bundle's card: training speech, licence, thresholds and what they rest on.

    Examples:

        voxid models show

        voxid models show runs/ecapa/bundle --json
    """
    bundle = options.choose_bundle(folder)
    if as_json:
        print_json(_summary(bundle) | {"card": bundle.card})
        return
    from rich.pretty import Pretty

    console = results()
    console.print(f"{bundle.id}  {bundle.dim}-d  {bundle.path}", markup=False, style="bold")
    console.print(Pretty(bundle.card, expand_all=True))


@app.command()
@command
def verify(folder: Folder = None, as_json: options.AsJson = False) -> None:
    """Check every file of a bundle against its recorded SHA-256. Exit code 2 when one differs.

    Example:

        voxid models verify runs/ecapa/bundle
    """
    bundle = options.choose_bundle(folder)  # loading checks the hashes and raises on the first that differs
    if as_json:
        print_json({"id": bundle.id, "path": str(bundle.path), "intact": True})
    else:
        results().print(f"{bundle.id} is intact", markup=False, style="green")


def _summary(bundle: Bundle) -> dict[str, Any]:
    return {"id": bundle.id, "path": str(bundle.path), "dim": bundle.dim}
