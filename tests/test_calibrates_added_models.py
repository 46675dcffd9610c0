"""An added model gets its first calibration, and the mean of many voices, from the user's trials; then it judges."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip(
    "onnx", reason="graphs are built with onnx, of the train extra: pip install 'voxid[train]'"
)

from foreign_graphs import fbank_graph, sha256_of
from voxid.bundle import load_bundle
from voxid.cli import main
from voxid.evaluate import recalibrate
from voxid.gallery.consent import Consent
from voxid.recognize import Gallery
from voxid.zoo.shelf import FOLDER_VARIABLE, find_bundle

VOICES = Path(__file__).parents[1] / "src" / "voxid" / "data" / "voices"
PEOPLE, UTTERANCES = 24, 4


@pytest.fixture
def trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """24 coloured noises of four utterances each, all pairs of them: 144 same, 4,416 different."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "models"))
    root = tmp_path / "wav"
    files = []
    for person in range(PEOPLE):
        rng = np.random.default_rng(person)
        colour = np.exp(rng.standard_normal(12))
        for utterance in range(UTTERANCES):
            noise = np.fft.rfft(rng.standard_normal(9_600))
            bands = np.interp(
                np.linspace(0, 11, noise.size), np.arange(12), colour * np.exp(0.2 * rng.standard_normal(12))
            )
            samples = np.fft.irfft(noise * bands)
            path = root / f"{person:02d}" / f"{utterance}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, 0.3 * samples / np.abs(samples).max(), 16_000)
            files.append(path.relative_to(root))
    lines = [f"{int(a.parent == b.parent)} {a} {b}" for a, b in combinations(files, 2)]
    (tmp_path / "trials.txt").write_text("\n".join(lines) + "\n")
    return tmp_path / "trials.txt"


def added(folder: Path) -> str:
    path = fbank_graph(folder / "x.onnx")
    assert main(["models", "add", str(path), "--sha256", sha256_of(path)]) == 0
    return find_bundle("x").id


def test_the_first_calibration_stands_in_the_models_place(
    trials: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No --out is needed; afterwards the model judges, and refuses to be changed under the people enrolled."""
    before = added(tmp_path)
    capsys.readouterr()
    call = [
        "calibrate",
        "--bundle",
        "x",
        "--trials",
        str(trials),
        "--audio-root",
        str(tmp_path / "wav"),
        "--json",
    ]
    assert main(call) == 0
    told = json.loads(capsys.readouterr().out)
    bundle = find_bundle("x")
    assert told["id"] == bundle.id != before
    assert bundle.is_calibrated
    assert bundle.mean.any()
    assert bundle.card["mean_of"].startswith(f"{PEOPLE * UTTERANCES} utterances of trial list ")
    assert set(bundle.profiles) == {"far_1pct"}
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["x"]
    assert main(call) == 2
    assert json.loads(capsys.readouterr().out)["error"] == "out_missing"

    gallery = Gallery.open(tmp_path / "people.voxid", bundle=bundle, create=True)
    consent = Consent({"verify"}, evidence="synthetic")
    gallery.enroll("ada", VOICES / "ada" / "01.opus", consent)
    assert gallery.verify("ada", VOICES / "ada" / "02.opus").llr is not None


def test_the_mean_takes_away_what_all_voices_share(trials: Path, tmp_path: Path) -> None:
    """Cosines of different voices lie round 0 afterwards, and targets above them."""
    added(tmp_path)
    made = recalibrate(trials, tmp_path / "wav", tmp_path / "ours", bundle=find_bundle("x"))
    with np.load(made.path / "backend.npz") as stored:
        assert stored.files == ["mean"]
        assert 0.1 < np.linalg.norm(stored["mean"]) < 1.0
    assert load_bundle(tmp_path / "ours").calibration.scale > 0
    assert not find_bundle("x").is_calibrated


def test_too_few_trials_leave_the_model_as_it_was(
    trials: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = added(tmp_path)
    few = tmp_path / "few.txt"
    few.write_text("\n".join(trials.read_text().splitlines()[:400]) + "\n")
    capsys.readouterr()
    call = [
        "calibrate",
        "--bundle",
        "x",
        "--trials",
        str(few),
        "--audio-root",
        str(tmp_path / "wav"),
        "--json",
    ]
    assert main(call) == 2
    assert json.loads(capsys.readouterr().out)["error"] in {"too_few_trials", "calibration_needs_trials"}
    assert find_bundle("x").id == before
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["x"]
