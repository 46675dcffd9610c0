"""Where added models stand, and which bundle a name means."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from voxid.bundle import CARD_FILE, Bundle, default_bundle, installed_bundles, load_bundle
from voxid.errors import InputError

FOLDER_VARIABLE: Final = "VOXID_MODELS"
_WORK_PREFIX: Final = ".adding-"
_ABANDONED_S: Final = 86_400.0
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._+-]{0,63}")


def models_folder(folder: Path | None = None) -> Path:
    """Return the folder of added models: the one given, else VOXID_MODELS, else the user's data folder (XDG)."""
    if folder is not None:
        return folder
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "voxid" / "models"


def added_bundles(folder: Path | None = None) -> list[Path]:
    """Return the folders of the models that were added, by name."""
    root = models_folder(folder)
    return sorted(card.parent for card in root.glob(f"*/{CARD_FILE}") if not card.parent.name.startswith("."))


def check_name(name: str) -> str:
    """Return a model's name.

    Raises:
        InputError: ``model_name_invalid``.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise InputError(
            "model_name_invalid",
            f"{name[:80]!r} is no name for a model; expected up to 64 of a-z, 0-9, '.', '_', '+' and '-', beginning "
            "with a letter or digit. Give another --name.",
        )
    return name


def name_from(text: str) -> str:
    """Return the name for a model that a file name or address suggests.

    Example:
        >>> name_from("https://example.org/models/voxceleb_CAM++_LM.onnx?download=true")
        'voxceleb_cam++_lm'
    """
    stem = Path(text.split("?")[0].split("#")[0]).name
    stem = re.sub(r"\.(onnx|ckpt|pt|pth|bin|model)$", "", stem, flags=re.IGNORECASE)
    return re.sub(r"[^a-z0-9._+-]+", "-", stem.lower()).strip("-._+")[:64] or "model"


def check_free(name: str, folder: Path | None = None) -> None:
    """Raise InputError ``model_exists`` when a shipped or added model has this name."""
    if name in {path.name for path in installed_bundles()} or (models_folder(folder) / name).exists():
        raise InputError(
            "model_exists",
            f"there is a model named {name!r} already; give another --name, or remove it first: voxid models remove "
            f"{name}.",
        )


def find_bundle(named: str | Path | None) -> Bundle:
    """Return the bundle a user names, hash-checked.

    Args:
        named: a bundle's folder, the name of a shipped or added model, or None for the default one.

    Raises:
        InputError: ``bundle_missing``; the sentence lists the names there are. ``bundle_ambiguous`` for a name that is
            also a folder here. And what :func:`voxid.bundle.load_bundle` raises.
    """
    if named is None:
        return default_bundle()
    path, text = Path(named), str(named)
    standing = {bundle.name: bundle for bundle in (*installed_bundles(), *added_bundles())}
    if text in standing:
        if (path / CARD_FILE).is_file() and not path.samefile(standing[text]):
            raise InputError(
                "bundle_ambiguous",
                f"{text!r} is a model's name and also a bundle in this folder; write ./{text} for the folder.",
            )
        return load_bundle(standing[text])
    if not path.exists() and _NAME.fullmatch(text):
        raise InputError(
            "bundle_missing",
            f"there is no model {text!r} and no such folder; there are {', '.join(sorted(standing))}. Add one with "
            "voxid models add.",
        )
    return load_bundle(path)


@contextmanager
def workplace(folder: Path | None = None) -> Iterator[Path]:
    """Yield an empty folder on the models' own disk, gone afterwards; what an interrupted run left goes too.

    Raises:
        InputError: ``models_unwritable``.
    """
    root = models_folder(folder)
    try:
        root.mkdir(parents=True, exist_ok=True)
        for left in root.glob(f"{_WORK_PREFIX}*"):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(left, ignore_errors=True)
        work = tempfile.TemporaryDirectory(prefix=_WORK_PREFIX, dir=root, ignore_cleanup_errors=True)
    except OSError as error:
        raise InputError(
            "models_unwritable",
            f"{root} cannot be written ({error.strerror}); name another folder with --models-dir or {FOLDER_VARIABLE}.",
        ) from error
    with work as name:
        yield Path(name)


def put(draft: Path, name: str, folder: Path | None = None) -> Bundle:
    """Move a finished bundle to its place under ``name``, at once or not at all, and return it.

    Raises:
        InputError: ``model_exists``.
    """
    check_free(name, folder)
    target = models_folder(folder) / name
    try:
        draft.rename(
            target
        )  # fails where a folder with something in it stands: two who add one name do not mix
    except OSError as error:
        check_free(name, folder)
        raise InputError("models_unwritable", f"{target} cannot be written ({error.strerror}).") from error
    return load_bundle(target)


@contextmanager
def renewal(source: Bundle, out: Path | None) -> Iterator[Path]:
    """Yield where a changed copy of a bundle is to be written; it takes the place of the old one at the end.

    Args:
        source: the bundle that is changed.
        out: a new folder for the copy, which then stays there; None for the place of an added model that nobody can
            have been enrolled with, because it has no calibration.

    Raises:
        InputError: ``out_missing`` when a folder of its own is needed.
    """
    if out is not None:
        yield out
        return
    if source.is_calibrated or source.path.resolve().parent != models_folder().resolve():
        raise InputError(
            "out_missing",
            f"{source.id} stays as it is, because people may be enrolled with it; name a new folder with --out.",
        )
    with workplace() as work:
        yield work / "renewed"
        source.path.rename(work / "old")
        (work / "renewed").rename(source.path)


def remove(name: str, folder: Path | None = None) -> Path:
    """Delete an added model and return where it stood.

    Raises:
        InputError: ``model_shipped`` for one that is part of voxid, ``bundle_missing`` for one that is not there.
    """
    target = models_folder(folder) / check_name(name)
    if not (target / CARD_FILE).is_file():
        if name in {path.name for path in installed_bundles()}:
            raise InputError("model_shipped", f"{name} is part of voxid and is not removed.")
        added = ", ".join(path.name for path in added_bundles(folder)) or "none"
        raise InputError("bundle_missing", f"no model {name!r} was added to {target.parent}; added: {added}.")
    with workplace(folder) as work:
        target.rename(work / name)  # from here on no command finds half of it
    return target
