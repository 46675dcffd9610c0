"""A model bundle on disk: everything a score depends on, in one folder, hash-checked.

    model.onnx       the graph: fbank (B, T, 80), weights (B, K, T) -> embeddings (B, K, D)
    backend.npz      mean (D,) of the training speakers' unit embeddings; where the scoring needs them also
                     cohort (N, D) float16, one raw unit embedding per training speaker, and the PLDA's
                     plda_mean (D,), plda_transform (D', D), plda_between (D',)
    narrow.npz       may be missing: matrix (D, D) and shift (D,), where embeddings of telephone speech belong
    card.json        name, licence, training speech, results, scoring, calibration, thresholds, SHA-256 of the
                     other files

A bundle's id is its name and the beginning of a hash over card and files: whatever changes a score changes the id,
and templates of different ids are never compared. Only ``narrow.npz`` stays out of it: wide-band speech, which nearly
all templates are of, is embedded and compared with it as without it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxid.backend import COSINE, Backend, Scoring
from voxid.calibration import Calibration, Uncalibrated
from voxid.decision import ThresholdProfile
from voxid.errors import CompatibilityError, InputError
from voxid.narrowband import NarrowBand
from voxid.plda import Plda
from voxid.score import center

FORMAT_VERSION = 1
GRAPH_FILE = "model.onnx"
BACKEND_FILE = "backend.npz"
NARROW_FILE = "narrow.npz"
CARD_FILE = "card.json"
DEFAULT_BUNDLE = "ecapa-base"
_MAX_CARD_BYTES = 4_000_000


@dataclass(frozen=True)
class Bundle:
    """A loaded, checked bundle. ``graph`` holds the ONNX bytes that were hashed, so what is run is what was checked."""

    name: str
    id: str
    path: Path
    dim: int
    mean: NDArray[np.float32] = field(repr=False)
    calibration: Calibration
    profiles: dict[str, ThresholdProfile]
    card: dict[str, Any] = field(repr=False)
    graph: bytes = field(repr=False)
    scoring: Scoring = COSINE
    cohort: NDArray[np.float32] | None = field(default=None, repr=False)
    plda: Plda | None = field(default=None, repr=False)
    narrow_band: NarrowBand | None = field(default=None, repr=False)

    @cached_property
    def backend(self) -> Backend:
        """What turns embeddings into scores and LLRs."""
        return Backend(self.mean, self.calibration, self.scoring, self.cohort, self.plda)

    @property
    def files(self) -> dict[str, str]:
        """Names of the files in its folder that its card vouches for, with their SHA-256."""
        narrow = self.narrow_band
        return {**self.card["sha256"], **({NARROW_FILE: narrow.sha256} if narrow is not None else {})}

    @property
    def is_calibrated(self) -> bool:
        """Whether scores mean something: False for a model that was added and not calibrated yet."""
        return not isinstance(self.calibration, Uncalibrated)

    def check_calibrated(self) -> None:
        """Raise CompatibilityError ``bundle_uncalibrated`` unless scores mean something."""
        if isinstance(self.calibration, Uncalibrated):
            raise self.calibration.refusal()

    def profile(self, name: str) -> ThresholdProfile:
        """Return a threshold profile by name.

        Raises:
            InputError: ``profile_unknown``; the sentence lists the names there are.
            CompatibilityError: ``bundle_uncalibrated``.
        """
        self.check_calibrated()
        if name not in self.profiles:
            raise InputError(
                "profile_unknown",
                f"bundle {self.id} has no threshold profile {name!r}; it has {', '.join(sorted(self.profiles))}.",
            )
        return self.profiles[name]


def load_bundle(path: str | Path) -> Bundle:
    """Return the bundle in a folder after checking every file against the card's SHA-256.

    Raises:
        InputError: ``bundle_missing`` when the folder or a file is not there.
        CompatibilityError: ``bundle_hash_mismatch`` for a changed file, ``bundle_invalid`` for a useless card,
            ``bundle_version`` for a format this version of voxid does not read.
    """
    path = Path(path)
    card = _read_card(path)
    contents = {name: _checked_bytes(path, name, digest) for name, digest in card["sha256"].items()}
    try:
        with np.load(path / BACKEND_FILE, allow_pickle=False) as backend:
            arrays = {name: backend[name] for name in backend.files}
        mean = np.asarray(arrays["mean"], dtype=np.float32)
        fitted = card["calibration"]
        calibration = (
            Uncalibrated(bundle=str(card["name"])) if fitted is None else Calibration.from_dict(fitted)
        )
        scoring = Scoring(**card.get("scoring", {}))
        profiles = {p["name"]: ThresholdProfile(**p) for p in card["profiles"]}
        dim, name, graph = int(card["dim"]), str(card["name"]), contents[GRAPH_FILE]
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise CompatibilityError(
            "bundle_invalid", f"{path / CARD_FILE} lacks or misstates {error}; get the bundle again."
        ) from error
    if mean.shape != (dim,) or not np.isfinite(mean).all():
        raise CompatibilityError(
            "bundle_invalid", f"{path / BACKEND_FILE} holds a mean of shape {mean.shape}, expected ({dim},)."
        )
    cohort, plda = _cohort(arrays, mean, path), _plda(arrays, dim, path)
    narrow = _narrow_band(card, dim, path)
    bundle = Bundle(
        name,
        bundle_id(card),
        path,
        dim,
        mean,
        calibration,
        profiles,
        card,
        graph,
        scoring,
        cohort,
        plda,
        narrow,
    )
    try:
        bundle.backend  # noqa: B018  # checks that all its parts are there, now rather than at the first score
    except ValueError as error:
        raise CompatibilityError(
            "bundle_invalid", f"the bundle at {path} lacks {error}; get the bundle again."
        ) from error
    return bundle


@cache
def default_bundle() -> Bundle:
    """Return the bundle that comes with voxid."""
    return load_bundle(Path(str(resources.files("voxid") / "bundles" / DEFAULT_BUNDLE)))


def installed_bundles() -> list[Path]:
    """Return the folders of the bundles that come with voxid."""
    root = Path(str(resources.files("voxid") / "bundles"))
    return sorted(card.parent for card in root.glob(f"*/{CARD_FILE}"))


def bundle_id(card: dict[str, Any]) -> str:
    """Return ``name@hash``, where the hash covers files, scoring and calibration: all that scores depend on."""
    keys = ("sha256", "calibration", "input", "dim", *(key for key in ("scoring",) if key in card))
    scored = {key: card[key] for key in keys}
    return f"{card['name']}@{hashlib.sha256(json.dumps(scored, sort_keys=True).encode()).hexdigest()[:12]}"


def write_card(path: Path, card: dict[str, Any]) -> None:
    """Write ``card.json`` beside the bundle's other files, with their hashes in it.

    What the card says of narrow-band speech is left out where the folder holds no map for it.
    """
    hashes = {name: _file_hash(path / name) for name in (GRAPH_FILE, BACKEND_FILE)}
    written = {**card, "format_version": FORMAT_VERSION, "sha256": hashes}
    narrow = written.pop("narrow_band", {})
    if (path / NARROW_FILE).is_file():
        written["narrow_band"] = {**narrow, "sha256": _file_hash(path / NARROW_FILE)}
    text = json.dumps(written, indent=1, ensure_ascii=False)
    (path / CARD_FILE).write_text(text + "\n", encoding="utf-8")


def _read_card(path: Path) -> dict[str, Any]:
    file = path / CARD_FILE
    if not file.is_file():
        raise InputError(
            "bundle_missing",
            f"there is no bundle at {path}: {CARD_FILE} is not there. Give a bundle's folder.",
        )
    if file.stat().st_size > _MAX_CARD_BYTES:
        raise CompatibilityError(
            "bundle_invalid", f"{file} is larger than {_MAX_CARD_BYTES} bytes, which no card is."
        )
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
        version = card["format_version"]
        hashes = card["sha256"]
        complete = {GRAPH_FILE, BACKEND_FILE} <= set(hashes) and {
            "calibration",
            "input",
            "dim",
            "name",
        } <= set(card)
    except (ValueError, KeyError, TypeError) as error:
        raise CompatibilityError(
            "bundle_invalid", f"{file} is not a bundle card ({error}); get the bundle again."
        ) from error
    if version != FORMAT_VERSION:
        raise CompatibilityError(
            "bundle_version",
            f"{file} has format {version}, this voxid reads {FORMAT_VERSION}; update voxid or get a matching bundle.",
        )
    if not complete:
        raise CompatibilityError(
            "bundle_invalid", f"{file} lacks hashes, calibration, input, dim or name; get the bundle again."
        )
    return dict(card)


def _cohort(
    arrays: Mapping[str, NDArray[Any]], mean: NDArray[np.float32], path: Path
) -> NDArray[np.float32] | None:
    """Return the cohort (N, D), centred, unit length; None where the bundle has none."""
    if "cohort" not in arrays:
        return None
    stored = np.asarray(arrays["cohort"], dtype=np.float32)
    if stored.ndim != 2 or stored.shape[1] != mean.size or not stored.size or not np.isfinite(stored).all():
        raise CompatibilityError(
            "bundle_invalid",
            f"{path / BACKEND_FILE} holds a cohort of shape {stored.shape}, expected finite (N, {mean.size}).",
        )
    return center(stored, mean)


def _plda(arrays: Mapping[str, NDArray[Any]], dim: int, path: Path) -> Plda | None:
    names = ("plda_mean", "plda_transform", "plda_between")
    if not any(name in arrays for name in names):
        return None
    found = {name: np.asarray(arrays[name], dtype=np.float64) for name in names if name in arrays}
    shapes = [found[name].shape for name in names if name in found]
    kept = found["plda_between"].shape[0] if found.get("plda_between", np.zeros(())).ndim == 1 else 0
    sound = kept > 0 and all(np.isfinite(values).all() for values in found.values())
    if not sound or shapes != [(dim,), (kept, dim), (kept,)] or (found["plda_between"] < 0).any():
        raise CompatibilityError(
            "bundle_invalid",
            f"{path / BACKEND_FILE} holds a PLDA of shapes {shapes}, expected finite ({dim},), (K, {dim}) and (K,) "
            "with no variance below 0.",
        )
    return Plda(*(found[name] for name in names))


def _narrow_band(card: Mapping[str, Any], dim: int, path: Path) -> NarrowBand | None:
    if "narrow_band" not in card:
        return None
    digest = str(card["narrow_band"].get("sha256"))
    content = _checked_bytes(path, NARROW_FILE, digest)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            matrix, shift = (np.asarray(stored[name], dtype=np.float32) for name in ("matrix", "shift"))
    except (KeyError, ValueError, OSError) as error:
        raise CompatibilityError(
            "bundle_invalid",
            f"{path / NARROW_FILE} is no map of narrow-band speech ({error}); get the bundle again.",
        ) from error
    shapes = [matrix.shape, shift.shape]
    if shapes != [(dim, dim), (dim,)] or not (np.isfinite(matrix).all() and np.isfinite(shift).all()):
        raise CompatibilityError(
            "bundle_invalid",
            f"{path / NARROW_FILE} holds a map of shapes {shapes}, expected finite ({dim}, {dim}) and ({dim},).",
        )
    return NarrowBand(matrix, shift, digest)


def _file_hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _checked_bytes(path: Path, name: str, digest: str) -> bytes:
    file = path / name
    if "/" in name or not file.is_file():
        raise InputError("bundle_missing", f"the bundle at {path} lacks {name}; get the bundle again.")
    content = file.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise CompatibilityError(
            "bundle_hash_mismatch",
            f"{file} has SHA-256 {found[:12]}…, its card says {digest[:12]}…; the file was changed or "
            "damaged. Get the bundle again.",
        )
    return content
