"""``voxid models``: which models there are, what is in one, whether its files are intact; adding and removing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxid.cli import options, zoo
from voxid.cli.output import command, print_json, results
from voxid.errors import VoxidError

if TYPE_CHECKING:
    from voxid.bundle import Bundle

app = typer.Typer(no_args_is_help=True, help="Models: list, show, verify, add, remove.")
app.command("add")(zoo.add)
app.command("remove")(zoo.remove)
app.command("catalogue")(zoo.catalogue)

Named = Annotated[
    str | None,
    typer.Argument(metavar="[NAME|FOLDER]", help="A model; without it the default one."),
]


@app.command("list")
@command
def list_models(models_dir: zoo.ModelsFolder = None, as_json: options.AsJson = False) -> None:
    """List the models: those inside the package, then those that were added. The default one is marked.

    Example:

        voxid models list
    """
    from voxid.bundle import default_bundle, installed_bundles
    from voxid.zoo.shelf import added_bundles

    default = default_bundle().id
    rows = [_row(path, "shipped", default) for path in installed_bundles()]
    rows += [_row(path, "added", default) for path in added_bundles(models_dir)]
    if as_json:
        print_json({"models": rows})
        return
    for row in rows:
        if "error" in row:
            results().print(f"{row['name']}  unusable: {row['message']}", markup=False, style="red")
            continue
        marks = [
            row["from"],
            "default" if row["default"] else "",
            "" if row["calibrated"] else "not calibrated",
        ]
        facts = ", ".join(filter(None, marks))
        results().print(f"{row['id']}  {row['dim']}-d  {facts}  {row['path']}", markup=False)


def _row(path: Path, origin: str, default: str) -> dict[str, Any]:
    """Return what the list says of a bundle; of a damaged one, what is wrong with it."""
    from voxid.bundle import load_bundle

    try:
        bundle = load_bundle(path)
    except VoxidError as error:
        return {"name": path.name, "path": str(path), "from": origin, **error.to_dict()}
    return {
        "name": path.name,
        **_summary(bundle),
        "from": origin,
        "default": bundle.id == default,
        "calibrated": bundle.is_calibrated,
    }


@app.command()
@command
def show(model: Named = None, as_json: options.AsJson = False) -> None:
    """Show a bundle's card: training speech, licence, thresholds and what they rest on.

    Examples:

        voxid models show

        voxid models show runs/ecapa/bundle --json
    """
    bundle = options.choose_bundle(model)
    if as_json:
        print_json(_summary(bundle) | {"card": bundle.card})
        return
    from rich.pretty import Pretty

    console = results()
    console.print(f"{bundle.id}  {bundle.dim}-d  {bundle.path}", markup=False, style="bold")
    console.print(Pretty(bundle.card, expand_all=True))


@app.command()
@command
def verify(model: Named = None, as_json: options.AsJson = False) -> None:
    """Check every file of a bundle against its recorded SHA-256. Exit code 2 when one differs.

    Example:

        voxid models verify runs/ecapa/bundle
    """
    bundle = options.choose_bundle(model)  # loading checks the hashes and raises on the first that differs
    if as_json:
        print_json({"id": bundle.id, "path": str(bundle.path), "intact": True})
    else:
        results().print(f"{bundle.id} is intact", markup=False, style="green")


def _summary(bundle: Bundle) -> dict[str, Any]:
    return {"id": bundle.id, "path": str(bundle.path), "dim": bundle.dim}
