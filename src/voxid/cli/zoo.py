"""``voxid models add``, ``remove`` and ``catalogue``: public models beside the ones inside the package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from voxid.cli import options
from voxid.cli.output import command, note, print_json, progress, results
from voxid.errors import ConfigError

if TYPE_CHECKING:
    from voxid.bundle import Bundle
    from voxid.zoo.adding import Converted
    from voxid.zoo.formats import Format

ModelsFolder = Annotated[
    Path | None,
    typer.Option(
        "--models-dir",
        envvar="VOXID_MODELS",
        metavar="FOLDER",
        help="Where added models stand; without it voxid/models in your data folder (XDG_DATA_HOME).",
    ),
]


@command
def add(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|URL|NAME",
            help="A model file, its https address, or a name of `voxid models catalogue`.",
        ),
    ],
    sha256: Annotated[
        str | None,
        typer.Option(
            "--sha256", metavar="HEX", help="What the file must hash to. Only the catalogue can spare you it."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="What to call it; without it the file's name."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="wespeaker, 3dspeaker, redimnet, redimnet-mel, speechbrain-ecapa, taoruijie-ecapa or 3dspeaker-ecapa; "
            "without it recognised.",
        ),
    ] = None,
    front_end: Annotated[
        list[str] | None,
        typer.Option(
            "--front-end",
            metavar="KEY=VALUE",
            help="Feed it otherwise than its format says; repeat it. window=povey",
        ),
    ] = None,
    models_dir: ModelsFolder = None,
    as_json: options.AsJson = False,
) -> None:
    """Add a public model: WeSpeaker, 3D-Speaker or ReDimNet ONNX, or an ECAPA-TDNN checkpoint (train extra).

    The file is copied, checked against its SHA-256, tried in a process of its own, and described in a card that says
    what it is fed. It cannot judge anybody until `voxid calibrate` has set its scale on your speech.

    Examples:

        voxid models add wespeaker-resnet34-lm

        voxid models add ./voxceleb_CAM++_LM.onnx --sha256 0123... --name campplus
    """
    from voxid.bundle import CARD_FILE
    from voxid.zoo.adding import Wish, add_bundle, add_model

    if (Path(source) / CARD_FILE).is_file():
        _tell(add_bundle(Path(source), name, models_dir), (), as_json)
        return
    wish = Wish(source, sha256, name, form, tuple(front_end or ()), models_dir)
    with progress("Taking the model", quiet=as_json) as share:
        added = add_model(wish, _convert, share)
    _tell(added.bundle, added.assumed, as_json)


@command
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An added model.")],
    models_dir: ModelsFolder = None,
    as_json: options.AsJson = False,
) -> None:
    """Delete an added model. People enrolled with it cannot be recognised until it is added and calibrated again.

    Example:

        voxid models remove campplus
    """
    from voxid.zoo.shelf import remove as take_away

    place = take_away(name, models_dir)
    if as_json:
        print_json({"removed": name, "path": str(place)})
    else:
        results().print(f"{name} is removed from {place.parent}", markup=False, style="green")


@command
def catalogue(as_json: options.AsJson = False) -> None:
    """List known public models: size, licence of the weights, published error rates. Nothing is fetched.

    Example:

        voxid models catalogue
    """
    from voxid.zoo.catalogue import caveats, known_models

    models = known_models()
    if as_json:
        print_json({"models": [model.to_dict() for model in models.values()], "caveats": caveats()})
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("name", "dim", "M par.", "EER % O/E/H", "hash", "weights", "trained on"):
        justify: Literal["left", "right"] = "right" if title in ("dim", "M par.") else "left"
        table.add_column(title, justify=justify, overflow="fold", no_wrap=title == "name")
    for model in models.values():
        rates = "/".join(_rate(model.eer_percent(trials)) for trials in ("vox1_o", "vox1_e", "vox1_h"))
        table.add_row(
            model.name,
            str(model.dim or "?"),
            str(model.parameters_millions or "?"),
            "-" if model.published is None else rates,
            "known" if model.sha256 else ("give it" if model.format else "not addable"),
            model.licence_weights or "?",
            model.training or "?",
        )
    results().print(table)
    for sentence in caveats().values():
        note(sentence)


def _rate(percent: float | None) -> str:
    return "-" if percent is None else f"{percent:g}"


def _convert(path: Path, form: Format | None, graph: Path) -> Converted:
    missing = [name for name in ("torch", "onnx", "yaml") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            "train_extra_missing",
            f"This is a torch checkpoint; converting it needs {', '.join(missing)}, which the core leaves out. Install "
            "it with: pip install 'voxid[train]', or add the model as ONNX.",
        )
    from voxid.train.convert import convert_checkpoint

    return convert_checkpoint(path, form, graph)


def _tell(bundle: Bundle, assumed: tuple[str, ...], as_json: bool) -> None:
    """Print what was added, what was assumed of it, and what comes next."""
    if as_json:
        facts: dict[str, Any] = {
            "id": bundle.id,
            "name": bundle.path.name,
            "path": str(bundle.path),
            "dim": bundle.dim,
        }
        print_json(
            {
                **facts,
                "input": bundle.card["input"],
                "assumed": list(assumed),
                "calibrated": bundle.is_calibrated,
            }
        )
        return
    results().print(f"{bundle.id} is in {bundle.path}", markup=False, style="green")
    for sentence in assumed:
        note(f"assumed: {sentence}")
    if bundle.card["input"].get("layout") == "plain":
        note("its graph takes one voice at a time: diarization runs it once per window and is slower")
    if not bundle.is_calibrated:
        note(
            f"it cannot judge yet: voxid calibrate --bundle {bundle.path.name} --trials LIST --audio-root FOLDER sets "
            "its scale on your own speech (3,000 different-person trials; the sample voices are synthetic and too few)"
        )
