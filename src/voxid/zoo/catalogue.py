"""Known public models: where they are, whose they are, and what their publishers say of them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib import resources
from typing import Any

from voxid.errors import InputError


@dataclass(frozen=True)
class KnownModel:
    """One entry of ``catalogue.json``; None where nobody says.

    Attributes:
        name: what ``voxid models add`` takes.
        format: of :data:`voxid.zoo.formats.FORMATS`; None for a file voxid does not read; its ``note`` says what to do.
        url: of the file.
        page: about the model.
        sha256: of the file, and ``sha256_source``: who says so.
        size_bytes: of the file.
        dim: values per embedding.
        parameters_millions: of the network.
        training: the speech it was trained on.
        licence_code, licence_weights: of the toolkit, and of the weights as their publisher states it.
        published: EER in per cent on VoxCeleb1-O, -E, -H (``vox1_o``, ``vox1_e``, ``vox1_h``) and their ``source``.
        note: anything else to know.
    """

    name: str
    format: str | None
    url: str
    page: str | None
    sha256: str | None
    sha256_source: str | None
    size_bytes: int | None
    dim: int | None
    parameters_millions: float | None
    training: str | None
    licence_code: str | None
    licence_weights: str | None
    published: dict[str, Any] | None
    note: str | None

    def eer_percent(self, trials: str) -> float | None:
        """Return the published EER in per cent on ``vox1_o``, ``vox1_e`` or ``vox1_h``."""
        return None if self.published is None else self.published[trials]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


@cache
def known_models() -> dict[str, KnownModel]:
    """Return the known models by name, in the order of the catalogue."""
    keys = {field.name for field in fields(KnownModel)}
    entries = [{key: entry.get(key) for key in keys} for entry in _catalogue()["models"]]
    return {entry["name"]: KnownModel(**entry) for entry in entries}


def caveats() -> dict[str, str]:
    """Return what holds for all of them: subject -> sentences."""
    return dict(_catalogue()["caveats"])


def known_model(name: str) -> KnownModel:
    """Return a known model by name.

    Raises:
        InputError: ``model_source_unknown``.
    """
    if name not in known_models():
        raise InputError(
            "model_source_unknown",
            f"{name[:200]!r} is no file here, no https address and no model of the catalogue. See voxid models "
            "catalogue for the names.",
        )
    return known_models()[name]


def model_of_hash(sha256: str) -> KnownModel | None:
    """Return the known model whose file has this hash."""
    return next((model for model in known_models().values() if model.sha256 == sha256), None)


@cache
def _catalogue() -> dict[str, Any]:
    text = (resources.files("voxid") / "zoo" / "catalogue.json").read_text(encoding="utf-8")
    return dict(json.loads(text))
