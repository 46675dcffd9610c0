"""A public model file to a bundle of one's own: taken, looked at, tried, described, put beside the others."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np

from voxid.audio import load
from voxid.bundle import BACKEND_FILE, CARD_FILE, GRAPH_FILE, Bundle, load_bundle, write_card
from voxid.embedding import Embedder
from voxid.errors import CompatibilityError, InputError
from voxid.frontend import RATE_HZ, FrontEnd
from voxid.zoo.catalogue import KnownModel, caveats, known_model, model_of_hash
from voxid.zoo.fetching import Progress, TakenFile, check_address, check_hash, fetch, is_address, take
from voxid.zoo.formats import Format, fit_graph, named_format, parse_front_end
from voxid.zoo.graphs import read_graph
from voxid.zoo.probing import probe_graph
from voxid.zoo.shelf import check_free, check_name, name_from, put, workplace

_HASH: Final = re.compile(r"[0-9a-fA-F]{64}")
_TORCH_MAGIC: Final = b"\x80"
_ZIP_MAGIC: Final = b"PK\x03\x04"


@dataclass(frozen=True)
class Wish:
    """What a user asks to add.

    Attributes:
        source: path of a file, https address, or name in the catalogue.
        sha256: hash the file must have; None where the catalogue knows it.
        name: of the model; None takes it from the source.
        form: name of its format; None recognises it.
        front_end: ``KEY=VALUE`` settings laid over the format's front end.
        folder: of added models; None for the user's own.
    """

    source: str
    sha256: str | None = None
    name: str | None = None
    form: str | None = None
    front_end: tuple[str, ...] = ()
    folder: Path | None = None


@dataclass(frozen=True)
class Converted:
    """A checkpoint that became a graph.

    Attributes:
        form: its format.
        front_end: the format's.
        dim: values per embedding.
        parameters: of the network.
        parity: largest difference between torch and the graph, in unit embeddings.
        assumed: sentences about what the file does not say.
    """

    form: Format
    front_end: FrontEnd
    dim: int
    parameters: int
    parity: float
    assumed: tuple[str, ...]


Converter = Callable[[Path, Format | None, Path], Converted]
"""Turns (checkpoint, format or None, path of the graph to write) into a graph; needs torch."""


@dataclass(frozen=True)
class Added:
    """A model that was added.

    Attributes:
        bundle: as it loads from its place.
        assumed: what the file did not say and was assumed of its front end.
    """

    bundle: Bundle
    assumed: tuple[str, ...]


def add_model(
    wish: Wish,
    convert: Converter,
    progress: Progress | None = None,
) -> Added:
    """Add a public model as an uncalibrated bundle under its name; all of it or nothing.

    Args:
        wish: what to add.
        convert: called for torch checkpoints only.
        progress: hears the share of the file taken, in [0, 1].

    Raises:
        InputError: ``model_source_unknown``, ``sha256_missing``, ``sha256_invalid``, ``model_hash_mismatch``,
            ``model_exists``, ``model_name_invalid``, and what :mod:`voxid.zoo.fetching` says of the file.
        CompatibilityError: what :mod:`voxid.zoo.graphs`, ``formats`` and ``probing`` say of what is in it.
        ConfigError: ``train_extra_missing`` for a torch checkpoint without torch.
    """
    known = None if _is_given(wish.source) else known_model(wish.source)
    name = check_name(wish.name or (known.name if known else name_from(wish.source)))
    form = named_format(wish.form) if wish.form else (_format_of(known) if known else None)
    settings = parse_front_end(wish.front_end)
    check_free(name, wish.folder)
    with workplace(wish.folder) as work:
        taken = _take(wish, known, work / "taken", progress)
        known = known or model_of_hash(taken.sha256)
        form = form or (_format_of(known) if known else None)
        draft = work / "bundle"
        draft.mkdir()
        if _is_torch(taken.path):
            card = _converted(convert, taken, form, settings, draft)
        else:
            card = _wrapped(taken, form, settings, draft)
        card = {"name": name, "created": date.today().isoformat(), **card, **_facts(known)}
        card["source"] = {**_origin(wish, taken, known), **card["source"]}
        np.savez(draft / BACKEND_FILE, mean=np.zeros(card["dim"], np.float32))
        write_card(draft, card)
        _try_out(load_bundle(draft))
        return Added(put(draft, name, wish.folder), tuple(card["source"]["assumed"]))


def add_bundle(folder: Path, name: str | None, shelf: Path | None = None) -> Bundle:
    """Copy a bundle of one's own (from ``voxid train`` or ``voxid calibrate``) beside the added models.

    Raises:
        InputError: ``model_exists``, ``model_name_invalid``. CompatibilityError: what ``load_bundle`` says.
    """
    bundle = load_bundle(folder)
    chosen = check_name(name or name_from(bundle.name))
    check_free(chosen, shelf)
    with workplace(shelf) as work:
        draft = work / "bundle"
        draft.mkdir()
        for file in (*bundle.files, CARD_FILE):
            (draft / file).write_bytes((folder / file).read_bytes())
        return put(draft, chosen, shelf)


def _is_given(source: str) -> bool:
    """Return whether a source is meant as an address or a file rather than as a name."""
    return (
        is_address(source)
        or Path(source).exists()
        or "/" in source
        or Path(source).suffix in (".onnx", ".ckpt", ".pt")
    )


def _format_of(known: KnownModel) -> Format:
    if known.format is None:
        raise CompatibilityError(
            "model_format_unsupported", f"{known.name} cannot be added as it is. {known.note}"
        )
    return named_format(known.format)


def _take(wish: Wish, known: KnownModel | None, target: Path, progress: Progress | None) -> TakenFile:
    """Return the file with the hash it must have."""
    wanted = wish.sha256.lower() if wish.sha256 else None
    if wanted is not None and not _HASH.fullmatch(wanted):
        raise InputError("sha256_invalid", f"{wish.sha256!r} is no SHA-256; expected 64 hexadecimal digits.")
    if known is not None and known.sha256 is not None:
        if wanted not in (None, known.sha256):
            raise InputError(
                "model_hash_mismatch",
                f"the catalogue says that {known.name} has SHA-256 {known.sha256}, you say {wanted}. To add another "
                "version, give its address instead of the name.",
            )
        wanted = known.sha256
    url = known.url if known is not None else wish.source
    if is_address(url):
        check_address(url)
        if wanted is None:
            raise InputError(
                "sha256_missing",
                f"{url} is fetched only with --sha256: the hash its publisher states, or that of a copy you trust. "
                "Nothing was fetched.",
            )
        return fetch(url, wanted, target, progress)
    taken = take(Path(wish.source), target, progress)
    if wanted is None:
        raise InputError(
            "sha256_missing",
            f"{wish.source} has SHA-256 {taken.sha256}. Compare it with the one its publisher states and give it with "
            "--sha256.",
        )
    check_hash(taken, wanted, wish.source)
    return taken


def _is_torch(path: Path) -> bool:
    """Return whether a file is a torch checkpoint rather than an ONNX graph.

    Raises:
        CompatibilityError: ``model_format_unsupported`` for what is neither, named where it can be.
    """
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(_ZIP_MAGIC):
        try:
            with zipfile.ZipFile(path) as archive:
                inside = archive.namelist()
        except (zipfile.BadZipFile, ValueError, OSError) as error:
            raise CompatibilityError(
                "model_broken",
                f"the file is a damaged archive ({error}). Get it again, and compare its SHA-256.",
            ) from error
        if any(name.endswith("data.pkl") for name in inside):
            return True
        raise _other_kind(
            f"a zip archive of {', '.join(inside[:3])[:120]}; unpack it and add the model inside"
        )
    if head.startswith(_TORCH_MAGIC):
        return True
    text = head.lstrip().lower()
    if not head:
        raise _other_kind("empty; get it again")
    if text.startswith((b"<", b"{", b"version https://git-lfs")):
        lfs = text.startswith(b"version")
        raise _other_kind(
            "a pointer of Git LFS, not the file itself; download it from its page"
            if lfs
            else "a web page or text, not a model; download the file itself"
        )
    if head[8:9] == b"{":
        raise _other_kind("in safetensors, which holds weights without their network; export it as ONNX")
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")) or head[257:262] == b"ustar":
        raise _other_kind("a compressed archive; unpack it and add the model inside")
    return False


def _other_kind(what: str) -> CompatibilityError:
    return CompatibilityError("model_format_unsupported", f"the file is {what}. It was not added.")


def _wrapped(
    taken: TakenFile, form: Format | None, settings: Mapping[str, Any], draft: Path
) -> dict[str, Any]:
    """Put an ONNX graph into a draft as it is and return what its card says of it."""
    content = taken.path.read_bytes()
    graph = read_graph(content)
    fitting = fit_graph(graph, form, settings)
    probe = probe_graph(taken.path, fitting.front_end)
    entry = {**fitting.front_end.to_card(), "min_frames": probe.min_frames, "batch": probe.batch}
    (draft / GRAPH_FILE).write_bytes(content)
    return {
        "dim": probe.dim,
        "input": FrontEnd.from_card(entry).to_card(),
        "parameters": graph.parameters,
        "source": {
            "format": fitting.form.name,
            "assumed": list(fitting.assumed),
            "front_end_from": fitting.form.source,
            "metadata": {key[:100]: value[:300] for key, value in list(graph.metadata.items())[:30]},
            "real_time_factor_when_added": probe.real_time_factor,
        },
    }


def _converted(
    convert: Converter, taken: TakenFile, form: Format | None, settings: Mapping[str, Any], draft: Path
) -> dict[str, Any]:
    """Put the graph of a checkpoint into a draft and return what its card says of it."""
    made = convert(taken.path, form, draft / GRAPH_FILE)
    return {
        "dim": made.dim,
        "input": FrontEnd.from_card({**made.front_end.to_card(), **settings}).to_card(),
        "parameters": made.parameters,
        "onnx_parity": made.parity,
        "source": {
            "format": made.form.name,
            "assumed": list(made.assumed),
            "front_end_from": made.form.source,
            "masks": "exact for one voice; with several, squeeze and attention see 1.5 s around each frame",
        },
    }


def _origin(wish: Wish, taken: TakenFile, known: KnownModel | None) -> dict[str, Any]:
    """Return where the file is from; an address of the user's without what follows its path, which may be a key."""
    place = known.url if known is not None else wish.source.split("?")[0].split("#")[0]
    return {
        "file": Path(place.split("?")[0]).name,
        "url": place if is_address(place) else None,
        "sha256": taken.sha256,
        "size_bytes": taken.size_bytes,
        "catalogue": known.name if known is not None else None,
    }


def _facts(known: KnownModel | None) -> dict[str, Any]:
    """Return the card's entries about whose the model is, and that it is not calibrated."""
    uncalibrated: dict[str, Any] = {"calibration": None, "profiles": []}
    if known is None:
        return {**uncalibrated, "licence": "not known to voxid; see where the file came from"}
    caveat = {"training_caveat": caveats()["VoxCeleb"]} if "Vox" in (known.training or "") else {}
    return {
        **uncalibrated,
        "licence": known.licence_weights,
        "licence_code": known.licence_code,
        "page": known.page,
        "training": known.training,
        **caveat,
        "published_eer_percent": known.published,
    }


def _try_out(bundle: Bundle) -> None:
    """Embed three seconds of noise as any recording is, so that a model that was added can be used."""
    noise = 0.05 * np.random.default_rng(0).standard_normal(3 * RATE_HZ)
    Embedder(bundle, threads=1).embed(load((noise.astype(np.float32), RATE_HZ)))
