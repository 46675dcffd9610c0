"""The map of telephone speech: least squares with a pull, fitted and measured on recordings, written whole or not."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install 'voxid[train]'")

from voxid.bundle import default_bundle, load_bundle
from voxid.errors import InputError
from voxid.train.narrowband import NarrowBandOptions, fit_map, fit_narrow_band

VOICES = Path(str(files("voxid") / "data" / "voices"))


@dataclass(frozen=True)
class Clip:
    path: Path
    speaker: str
    corpus: str = "package"
    session: str = "0"


def clips() -> list[Clip]:
    return [
        Clip(path, path.parent.name)
        for path in sorted(VOICES.glob("*/*.opus"))
        if path.parent.name != "stranger"
    ]


def test_without_a_pull_the_map_is_found_again() -> None:
    rng = np.random.default_rng(5)
    matrix, shift = np.eye(6) + 0.2 * rng.standard_normal((6, 6)), rng.standard_normal(6)
    x = rng.standard_normal((200, 6)).astype(np.float32)
    found = fit_map(x, (x @ matrix.T + shift).astype(np.float32), 0.0)
    np.testing.assert_allclose(found[0], matrix, atol=1e-4)
    np.testing.assert_allclose(found[1], shift, atol=1e-4)


def test_pulled_hard_the_map_is_a_shift() -> None:
    rng = np.random.default_rng(6)
    x = rng.standard_normal((100, 4)).astype(np.float32)
    y = (2.0 * x + np.float32(3.0)).astype(np.float32)
    matrix, shift = fit_map(x, y, 1e9)
    np.testing.assert_allclose(matrix, np.eye(4), atol=1e-6)
    np.testing.assert_allclose(shift, y.mean(axis=0) - x.mean(axis=0), atol=1e-4)


def test_few_recordings_are_refused_and_the_bundle_stays(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(default_bundle().path, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError, match="a map needs 100. Check the corpora") as caught:
        fit_narrow_band(folder, clips()[:2], clips(), NarrowBandOptions(longest_s=2.0))
    assert caught.value.code == "no_development_speech"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_map_is_fitted_and_measured(tmp_path: Path) -> None:
    """The id stays; the card says what the map was fitted on and what it does for people held out."""
    folder = tmp_path / "bundle"
    shutil.copytree(default_bundle().path, folder)
    short = NarrowBandOptions(recordings=8, copies=7, held_out=12, longest_s=2.0)
    bundle = fit_narrow_band(folder, clips(), clips(), short)
    assert bundle.id == default_bundle().id
    facts = load_bundle(folder).card["narrow_band"]
    assert facts["fitted_on"]["pairs"] >= 100
    assert set(facts["held_out"]) == {"speakers", "recordings", "without", "with"}
    assert bundle.narrow_band is not None
    assert bundle.narrow_band.sha256 == facts["sha256"]
