"""The spoof detector's training on small packs: it learns what tells fakes, is calibrated, and is exported."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install 'voxid[train]'")

import soundfile
import torch
from numpy.typing import NDArray

from voxid.errors import ConfigError, InputError
from voxid.spoof.detector import SpoofDetector
from voxid.train.course import Part, load_course
from voxid.train.fitting import fit
from voxid.train.spoof.calibrating import BPCER, calibrated, domain_of
from voxid.train.spoof.distortion import Distortion, carried
from voxid.train.spoof.export import export_detector
from voxid.train.spoof.material import (
    GENUINE,
    REPLAYED,
    SPOOFED,
    Clip,
    Pack,
    family_of,
    of_folder,
    parted,
    prepare,
)
from voxid.train.spoof.network import DetectorNetwork, DetectorSize
from voxid.train.spoof.objective import Heard, Spoofs, hear, thinned
from voxid.train.spoof.recipe import TASK, ClipFolder, SpoofRecipe
from voxid.train.tasks import TASKS

RECIPES = Path(__file__).parents[1] / "recipes"
TINY = DetectorSize(front="lfcc", channels=4, embedding=8, dropout=0.0, loss="two_class", piece_s=1.0)


def recipe(steps: int = 40, **changed: object) -> SpoofRecipe:
    plan: dict[str, object] = {
        "task": TASK,
        "name": "tiny",
        "speech": "none",
        "stages": (Part(steps, 5e-3, 1e-3),),
        "network": TINY,
        "clips": (),
        "warm_steps": 5,
        "batch": 16,
        "distort": 0.0,
        "optimizer": "adamw",
        "train_s": 1.0,
        "validate_every_steps": 1000,
        "held_out_families": ("bark",),
    }
    return SpoofRecipe(**{**plan, **changed})  # type: ignore[arg-type]


def buzz(rng: np.random.Generator, kind: int) -> NDArray[np.int16]:
    """Return a second and a half of noise: fading above 4 kHz where it is fake, tonal where it is replayed."""
    noise = rng.standard_normal(24_000)
    if kind == SPOOFED:
        spectrum = np.fft.rfft(noise)
        spectrum[len(spectrum) // 2 :] *= np.linspace(1.0, 0.02, len(spectrum) - len(spectrum) // 2)
        noise = np.fft.irfft(spectrum, 24_000)
    if kind == REPLAYED:
        noise = noise + 3.0 * np.sin(2 * np.pi * 1_000 * np.arange(24_000) / 16_000)
    swell = 0.3 + np.abs(np.sin(np.arange(24_000) / rng.uniform(900, 2_000)))
    return (2_000 * noise * swell).astype(np.int16)


def pack(people: int = 40) -> Pack:
    rng = np.random.default_rng(3)
    kinds = np.array([GENUINE, SPOOFED, REPLAYED] * people)
    names = np.array(["" if k == GENUINE else ("bark" if i % 2 else "world") for i, k in enumerate(kinds)])
    names[kinds == REPLAYED] = "replay"
    pieces = [buzz(rng, int(kind)) for kind in kinds]
    lengths = np.array([len(piece) for piece in pieces])
    return Pack(
        samples=np.concatenate(pieces),
        start=np.concatenate([[0], np.cumsum(lengths)[:-1]]),
        length=lengths,
        kind=kinds,
        carried=np.arange(len(kinds)) % 4 > 1,
        of_held_out=np.arange(len(kinds)) >= 2 * people,
        generator=names,
        family=np.where(names == "bark", "tts", np.where(names == "world", "vocoder", "")),
        corpus=np.array(["a", "b", "c"])[np.arange(len(kinds)) % 3],
    )


def test_learns_what_tells_fakes_and_is_exported_as_users_load_it(tmp_path: Path) -> None:
    torch.manual_seed(1)
    plan = recipe()
    training, held_out, left_out = parted(pack(80), plan)
    assert not len(left_out)
    objective = Spoofs(plan, training, held_out)
    network = fit(objective, plan, tmp_path / "run", lambda row: None)
    found = objective.validate(network)
    assert found["eer"] < 10.0
    assert found["replay_eer"] < 10.0
    heard = hear(network, held_out)
    entries = {"name": "tiny", "training": {}, **calibrated(heard, held_out), "domain": domain_of(heard)}
    detector = export_detector(network, tmp_path / "model", entries)
    assert isinstance(detector, SpoofDetector)
    piece = held_out.piece(0, 16_000, 0.5)
    with torch.inference_mode():
        expected = network(torch.from_numpy(piece)[None])[0].numpy()
    assert np.abs(detector.scores(piece)[0] - expected).max() < 0.01


def test_held_out_generators_and_people_are_not_learnt_from() -> None:
    training, held_out, left_out = parted(pack(), recipe(left_out=("vocoder",)))
    assert "bark" not in training.generator
    assert "world" not in training.generator
    assert set(left_out.generator) == {"world"}
    assert set(held_out.generator[held_out.kind == SPOOFED]) == {"bark"}
    assert not training.of_held_out.any()
    assert held_out.of_held_out[held_out.kind == GENUINE].all()


def test_thresholds_let_the_promised_share_of_genuine_speech_through() -> None:
    whole = pack(200)
    rng = np.random.default_rng(2)
    scores = np.where(whole.kind == GENUINE, 1.0, -1.0)[:, None] + rng.standard_normal((len(whole), 2))
    told = calibrated(Heard(scores, scores), whole)
    for column, case in enumerate(("synthetic", "replay")):
        llrs = told["calibration"][case]["slope"] * scores[:, column] + told["calibration"][case]["offset"]
        genuine = llrs[whole.kind == GENUINE]
        low, high = told["thresholds"][case]["spoof_llr"], told["thresholds"][case]["genuine_llr"]
        assert (genuine < low).mean() == pytest.approx(BPCER[case][0], abs=0.008)
        assert (genuine < high).mean() == pytest.approx(BPCER[case][1], abs=0.012)
        assert llrs[whole.kind == GENUINE].mean() > 0 > llrs[whole.kind == SPOOFED].mean()


def test_distortions_keep_level_and_length_and_are_the_same_for_the_same_seed() -> None:
    rng = np.random.default_rng(5)
    samples = torch.from_numpy(0.1 * rng.standard_normal((6, 16_000)).astype(np.float32))
    first, again = (Distortion()(samples, np.random.default_rng(8)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.shape == samples.shape
    assert not torch.allclose(first, samples)
    gains = first.square().mean(dim=1) / samples.square().mean(dim=1)
    assert ((gains > 0.05) & (gains < 20.0)).all()
    carried_one = carried(samples[0].numpy(), [np.eye(1, 800, dtype=np.float32)[0]], np.random.default_rng(1))
    assert carried_one.shape == (16_000,)
    assert np.isfinite(carried_one).all()


def test_recordings_are_packed_as_they_came_and_carried_and_copied(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    clips = []
    for number in range(6):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal(24_000), 16_000)
        clips.append(
            Clip(path, number < 4, "" if number < 4 else "bark", "" if number < 4 else "tts", "c", False)
        )
    plan = recipe(made="phase-zero", made_share=1.0, replayed_share=1.0)
    packed = prepare(clips, plan, tmp_path / "cache", lambda done, total: None)
    assert sorted(set(packed.generator)) == ["", "bark", "phase-zero", "replay"]
    assert (
        (packed.kind == GENUINE).sum(),
        (packed.kind == REPLAYED).sum(),
        (packed.kind == SPOOFED).sum(),
    ) == (12, 8, 12)
    again = prepare(clips, plan, tmp_path / "cache", lambda done, total: pytest.fail("packed twice"))
    assert np.array_equal(again.samples, packed.samples)
    assert packed.piece(0, 40_000, 0.0).shape == (40_000,)
    with pytest.raises(InputError, match="none that are genuine or none that are spoofed could be used"):
        prepare(clips[:4], recipe(), tmp_path / "cache", lambda done, total: None)


def test_clips_are_read_from_a_manifest(tmp_path: Path) -> None:
    entry = ClipFolder(folder="clips", per_generator=2)
    with pytest.raises(ConfigError, match="gather or make the clips first"):
        of_folder(entry, tmp_path, tmp_path, np.random.default_rng(0))
    (tmp_path / "clips").mkdir()
    manifest = tmp_path / "clips" / "manifest.csv"
    manifest.write_text("path,label\na,spoof\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="lacks rows or some of the columns"):
        of_folder(entry, tmp_path, tmp_path, np.random.default_rng(0))
    with manifest.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "generator", "family", "source", "speaker"])
        rows.writerows([f"{n}.wav", "spoof", "vits(x)", "tts", "page@1", "eve"] for n in range(5))
        rows.writerow(["g.wav", "genuine", "", "", "page@1", "eve"])
    found = of_folder(entry, tmp_path, tmp_path, np.random.default_rng(0))
    assert [clip.genuine for clip in found].count(False) == 2
    assert [clip.corpus for clip in found if clip.genuine] == ["page"]


def test_groups_of_generators_weigh_no_more_than_they_should() -> None:
    whole = pack(60)
    kept = thinned(whole, 1, 10)
    assert (kept.generator == "bark").sum() == 10
    assert (kept.kind == GENUINE).sum() == 60
    assert family_of("vits-piper") == "vits"


def test_the_shipped_recipe_says_what_is_trained() -> None:
    plan = load_course(SpoofRecipe, TASK, RECIPES / "lcnn-small.yaml")
    assert TASKS[TASK].recipe is SpoofRecipe
    assert isinstance(plan, SpoofRecipe)
    DetectorNetwork(plan.network)
