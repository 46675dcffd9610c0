"""`voxid models add`: public graphs become bundles with the front end of their toolkit, or nothing is added."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip(
    "onnx", reason="graphs are built with onnx, of the train extra: pip install 'voxid[train]'"
)

from onnx import helper

from foreign_graphs import (
    DIM,
    expected,
    fbank_graph,
    mel_graph,
    save,
    sha256_of,
    waveform_graph,
    weights,
    without_masks,
)
from voxid.audio import load
from voxid.bundle import default_bundle, load_bundle
from voxid.cli import main
from voxid.embedding import Embedder
from voxid.errors import CompatibilityError, InputError
from voxid.features import fbank, frame_count
from voxid.recognize import Gallery
from voxid.segments import Segment
from voxid.spectrogram import tf_melbanks
from voxid.speech import detect_speech
from voxid.zoo.adding import Added, Wish, add_bundle, add_model
from voxid.zoo.shelf import FOLDER_VARIABLE, added_bundles, find_bundle, name_from, remove

VOICES = Path(__file__).parents[1] / "src" / "voxid" / "data" / "voices"


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models"
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    return folder


def no_torch(*_: object) -> object:
    raise AssertionError("a graph needs no conversion")


def add(path: Path, **wish: object) -> Added:
    return add_model(Wish(str(path), sha256_of(path), **wish), no_torch)  # type: ignore[arg-type]


def samples(seconds: float = 2.0, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * 16_000)) / 16_000
    tone = sum(np.sin(2 * np.pi * 130 * k * t) / k for k in range(1, 20))
    return (0.05 * tone + 0.02 * rng.standard_normal(t.size)).astype(np.float32)


def cut(frames: np.ndarray) -> np.ndarray:
    return frames - frames.mean(axis=0)


def test_wespeaker(tmp_path: Path) -> None:
    """Hamming window, samples times 32,768, mean of the utterance: as its infer_onnx.py."""
    added = add(fbank_graph(tmp_path / "voxceleb_resnet34_LM.onnx"))
    assert added.bundle.name == "voxceleb_resnet34_lm"
    assert added.bundle.card["source"]["format"] == "wespeaker"
    assert "the input's name 'feats'" in added.assumed[0]
    assert "times 32,768, hamming window" in added.assumed[1]
    found = Embedder(added.bundle, threads=1).embed(load((samples(), 16_000)))
    np.testing.assert_allclose(found, expected(cut(fbank(samples(), window="hamming"))), atol=1e-5)


def test_3d_speaker(tmp_path: Path) -> None:
    """Povey window, samples in [-1, 1], mean of the utterance: as its processor.py."""
    path = fbank_graph(tmp_path / "campplus.onnx", names=("feature", "embedding"))
    added = add(path)
    assert added.bundle.card["source"]["format"] == "3dspeaker"
    found = Embedder(added.bundle, threads=1).embed(load((samples(), 16_000)))
    np.testing.assert_allclose(found, expected(cut(fbank(samples(), scale=1.0))), atol=1e-5)


def test_redimnet_takes_the_waveform(tmp_path: Path) -> None:
    """Samples in [-1, 1] go in as they are, to the last one."""
    path = waveform_graph(tmp_path / "redimnet2-b2.onnx")
    added = add(path)
    assert added.bundle.card["input"]["features"] == "waveform"
    heard = samples(1.987)
    kernel = np.random.default_rng(5).standard_normal((DIM, 1, 400)).astype(np.float32)[:, 0]
    frames = np.stack([heard[160 * t : 160 * t + 400] for t in range(frame_count(heard.size))])
    wanted = np.tanh(frames @ kernel.T).mean(axis=0)
    found = Embedder(added.bundle, threads=1).embed(load((heard, 16_000)))
    np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted), atol=1e-5)


def test_redimnet2_without_its_features(tmp_path: Path) -> None:
    """72 Mel bands on axes (1, 1, F, T), a multiple of four frames, one voice at a time."""
    added = add(mel_graph(tmp_path / "b2-vox2-lm.onnx"))
    entry = added.bundle.card["input"]
    assert (entry["features"], entry["axes"], entry["batch"]) == ("tfmel", "B1FT", 1)
    frames = cut(tf_melbanks(samples()))
    found = Embedder(added.bundle, threads=1).embed(load((samples(), 16_000)))
    np.testing.assert_allclose(found, expected(frames[: len(frames) // 4 * 4]), atol=1e-5)


def test_a_real_network_without_its_masks_hears_the_same(tmp_path: Path) -> None:
    """voxid's own network, published as others publish theirs, embeds every sample voice as the bundle does."""
    path = without_masks(tmp_path / "small.onnx", default_bundle().graph)
    added = add(path, front_end=("window=povey",))
    ours, theirs = (Embedder(bundle, threads=1) for bundle in (default_bundle(), added.bundle))
    for file in sorted(VOICES.glob("*/01.opus")):
        waveform = load(file)
        regions = detect_speech(waveform)
        np.testing.assert_allclose(theirs.embed(waveform, regions), ours.embed(waveform, regions), atol=1e-5)
    chunk = load(VOICES / "meeting.opus").samples[: 20 * 16_000]
    masks = np.zeros((12, frame_count(chunk.size)), np.float32)
    for row in range(12):
        masks[row, 150 * row : 150 * row + 150] = 1.0
    alike = np.sum(ours.embed_masks(chunk, masks) * theirs.embed_masks(chunk, masks), axis=1)
    assert np.median(alike) > 0.7, alike  # a mean of 1.5 s takes more of the voice away than one of 20 s


SHERPA = {"framework": "3d-speaker", "sample_rate": "16000", "output_dim": "48", "normalize_samples": "1"}


def test_sherpa_metadata_says_what_is_known(tmp_path: Path) -> None:
    """With sherpa-onnx's metadata nothing is assumed."""
    metadata = {**SHERPA, "feature_normalize_type": "global-mean"}
    added = add(fbank_graph(tmp_path / "x.onnx", names=("x", "embedding"), metadata=metadata))
    assert added.assumed == ()
    entry = added.bundle.card["input"]
    assert (entry["scale"], entry["mean"], entry["window"]) == ("unit", "utterance", "povey")
    assert added.bundle.card["source"]["metadata"] == metadata


def test_sherpa_wespeaker_keeps_the_window_and_mean_it_was_trained_with(tmp_path: Path) -> None:
    metadata = {**SHERPA, "framework": "wespeaker", "normalize_samples": "0"}
    entry = add(fbank_graph(tmp_path / "x.onnx", metadata=metadata)).bundle.card["input"]
    assert (entry["scale"], entry["mean"], entry["window"]) == ("int16", "utterance", "hamming")


def test_the_front_end_can_be_set(tmp_path: Path) -> None:
    path = fbank_graph(tmp_path / "x.onnx", names=("in", "out"))
    added = add(path, form="wespeaker", front_end=("window=povey", "mean=none", "scale=unit"))
    found = Embedder(added.bundle, threads=1).embed(load((samples(), 16_000)))
    np.testing.assert_allclose(found, expected(fbank(samples(), scale=1.0)), atol=1e-5)


def test_other_bands_and_axes_are_read_from_the_shape(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["feats"], ["x"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["x", "W"], ["h"]),
        helper.make_node("ReduceMean", ["h"], ["m"], axes=[1], keepdims=0),
        helper.make_node("ReduceMax", ["h"], ["n"], axes=[1], keepdims=0),
        helper.make_node("Sub", ["n", "m"], ["embs"]),
    ]
    path = save(tmp_path / "x.onnx", nodes, ("B", 64, "T"), constants={"W": weights(64)})
    entry = add(path, front_end=("mels=64",)).bundle.card["input"]
    assert (entry["axes"], entry["mels"]) == ("BFT", 64)


def test_a_graph_of_fixed_length_is_given_that_length(tmp_path: Path) -> None:
    """Shorter speech is repeated, longer speech goes in pieces that are averaged."""
    added = add(fbank_graph(tmp_path / "x.onnx", shape=("B", 200, 80)))
    entry = added.bundle.card["input"]
    assert (entry["min_frames"], entry["max_frames"]) == (200, 200)
    embedder = Embedder(added.bundle, threads=1)
    for seconds in (0.5, 2.0, 7.3):
        assert np.linalg.norm(embedder.embed(load((samples(seconds), 16_000)))) == pytest.approx(
            1.0, abs=1e-5
        )


def test_a_graph_that_needs_longer_speech_is_found_out(tmp_path: Path) -> None:
    """Its kernel is half a second: shorter speech is repeated, and the card says from where."""
    added = add(waveform_graph(tmp_path / "x.onnx", kernel=6_000))
    assert added.bundle.card["input"]["min_frames"] == 50
    embedder = Embedder(added.bundle, threads=1)
    assert np.isfinite(embedder.embed(load((samples(0.3), 16_000)))).all()


def test_masks_fall_back_to_one_run_per_voice(tmp_path: Path) -> None:
    """Each mask gives the embedding of its frames alone, as if they had been cut out."""
    added = add(fbank_graph(tmp_path / "x.onnx"))
    heard = samples(4.0)
    masks = np.zeros((3, frame_count(heard.size)), np.float32)
    masks[0, :150], masks[1, 120:270], masks[2, ::2] = 1.0, 1.0, 1.0
    found = Embedder(added.bundle, threads=1).embed_masks(heard, masks)
    frames = fbank(heard, window="hamming")
    for row, mask in zip(found, masks, strict=True):
        np.testing.assert_allclose(row, expected(cut(frames[mask > 0])), atol=1e-5)


def test_masks_may_share_the_mean_of_the_chunk(tmp_path: Path) -> None:
    """With the mean of the frames pooled over, what is taken away is the same for all voices of a chunk."""
    added = add(fbank_graph(tmp_path / "x.onnx"), front_end=("mean=pooled frames",))
    heard = samples(4.0)
    masks = np.zeros((2, frame_count(heard.size)), np.float32)
    masks[0, :150], masks[1, 120:270] = 1.0, 1.0
    found = Embedder(added.bundle, threads=1).embed_masks(heard, masks)
    frames = fbank(heard, window="hamming")
    frames -= frames[:270].mean(axis=0)
    for row, mask in zip(found, masks, strict=True):
        np.testing.assert_allclose(row, expected(frames[mask > 0]), atol=1e-5)


def test_pauses_are_cut_out_of_a_waveform(tmp_path: Path) -> None:
    """What lies outside the speech and 0.15 s around it does not reach the graph."""
    embedder = Embedder(add(waveform_graph(tmp_path / "x.onnx")).bundle, threads=1)
    heard = samples(6.0)
    noisy = heard.copy()
    noisy[35_000:60_000] = 0.9
    regions = [Segment(0.2, 1.5), Segment(4.5, 5.5)]
    clean, dirty = (embedder.embed(load((x, 16_000)), regions) for x in (heard, noisy))
    np.testing.assert_allclose(clean, dirty, atol=1e-6)


def test_a_meeting_is_diarized_with_an_added_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sample voices are far enough apart for any projection; how many there are it can only guess, and says so."""
    monkeypatch.chdir(tmp_path)
    add(fbank_graph(tmp_path / "x.onnx"))
    assert main(["who", str(VOICES / "meeting.opus"), "--bundle", "x", "--speakers", "4", "--json"]) == 0
    told = capsys.readouterr()
    assert len({turn["speaker"] for turn in json.loads(told.out)["turns"]}) == 4
    assert "never set" not in told.err
    assert main(["who", str(VOICES / "meeting.opus"), "--bundle", "x"]) == 0
    assert "was never set for x: the number of speakers is a guess" in " ".join(
        capsys.readouterr().err.split()
    )


def test_nobody_is_judged_before_calibration(tmp_path: Path) -> None:
    """Enrolling, verifying and identifying all say how to calibrate; nothing is written."""
    bundle = add(fbank_graph(tmp_path / "x.onnx")).bundle
    assert not bundle.is_calibrated
    gallery = Gallery.open(tmp_path / "people.voxid", bundle=bundle, create=True)
    for act in (
        lambda: gallery.enroll("ada", VOICES / "ada" / "01.opus"),
        lambda: bundle.profile("far_1pct"),
        lambda: bundle.calibration.llr(0.5),
    ):
        with pytest.raises(
            CompatibilityError, match="voxid calibrate --bundle x --trials LIST --audio-root"
        ) as caught:
            act()
        assert caught.value.code == "bundle_uncalibrated"
    assert not (tmp_path / "people.voxid").exists()


def test_an_added_model_is_found_by_its_name(tmp_path: Path, shelf: Path) -> None:
    added = add(fbank_graph(tmp_path / "x.onnx"), name="mine")
    assert find_bundle("mine").id == added.bundle.id
    assert find_bundle(None).id == find_bundle("ecapa-base").id == default_bundle().id
    assert added_bundles() == [shelf / "mine"]
    with pytest.raises(
        InputError, match="no model 'yours' and no such folder; there are ecapa-base"
    ) as caught:
        find_bundle("yours")
    assert caught.value.code == "bundle_missing"


def test_a_folder_of_a_models_name_must_be_written_as_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = add(fbank_graph(tmp_path / "x.onnx"), name="mine").bundle
    monkeypatch.chdir(tmp_path)
    add_bundle(bundle.path, "mine", tmp_path)
    with pytest.raises(InputError, match="write ./mine for the folder") as caught:
        find_bundle("mine")
    assert caught.value.code == "bundle_ambiguous"
    assert find_bundle("./mine").path == Path("mine")


def test_names_are_not_taken_twice(tmp_path: Path) -> None:
    path = fbank_graph(tmp_path / "x.onnx")
    add(path)
    for name in ("x", "ecapa-base"):
        with pytest.raises(
            InputError, match=f"a model named '{name}' already; give another --name"
        ) as caught:
            add(path, name=name)
        assert caught.value.code == "model_exists"


@pytest.mark.parametrize("name", ["../x", "A", ".x", "x/y", "x y", "", "é", "a..b", "x" * 65])
def test_names_stay_inside_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        add(fbank_graph(tmp_path / "x.onnx"), name=name or "-")
    assert caught.value.code == "model_name_invalid"
    assert "is no name for a model; expected up to 64 of a-z" in str(caught.value)


def test_any_file_name_gives_a_name() -> None:
    assert name_from("../..") == "model"
    assert name_from("/tmp/Résumé (1).ONNX") == "r-sum-1"


def test_removing(tmp_path: Path, shelf: Path) -> None:
    add(fbank_graph(tmp_path / "x.onnx"))
    assert remove("x") == shelf / "x"
    assert list(shelf.iterdir()) == []
    with pytest.raises(InputError, match="no model 'x' was added"):
        remove("x")
    with pytest.raises(InputError, match="ecapa-base is part of voxid") as caught:
        remove("ecapa-base")
    assert caught.value.code == "model_shipped"


def test_ones_own_bundle_is_added_as_it_is(tmp_path: Path) -> None:
    added = add_bundle(default_bundle().path, "again")
    assert added.card == default_bundle().card
    assert find_bundle("again").is_calibrated


def test_another_name_or_front_end_is_another_model(tmp_path: Path) -> None:
    """Templates remember the id, so nothing that was made differently is compared."""
    path = fbank_graph(tmp_path / "x.onnx")
    one, two, three = add(path), add(path, name="y"), add(path, name="z", front_end=("window=povey",))
    assert len({added.bundle.id for added in (one, two, three)}) == 3
    hashes = [added.bundle.card["sha256"]["model.onnx"] for added in (one, two, three)]
    assert set(hashes) == {sha256_of(path)}


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Add without a hash (it is told), with one, list, show, verify, remove."""
    path = fbank_graph(tmp_path / "voice.onnx")
    assert main(["models", "add", str(path), "--json"]) == 2
    refused = json.loads(capsys.readouterr().out)
    assert refused["error"] == "sha256_missing"
    assert sha256_of(path) in refused["message"]
    assert main(["models", "add", str(path), "--sha256", sha256_of(path).upper(), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["name"], told["dim"], told["calibrated"], len(told["assumed"])) == ("voice", DIM, False, 2)
    assert main(["models", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["models"]}
    assert rows["ecapa-base"]["default"]
    assert (rows["voice"]["from"], rows["voice"]["calibrated"]) == ("added", False)
    assert main(["models", "verify", "voice", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == told["id"]
    verify = ["verify", "ada", str(VOICES / "ada" / "01.opus"), "--bundle", "voice", "--json"]
    assert main([*verify, "--gallery", str(tmp_path / "none.voxid")]) == 2
    capsys.readouterr()
    assert main(["models", "remove", "voice"]) == 0
    assert main(["models", "show", "voice"]) == 2


def test_a_damaged_model_is_listed_as_unusable(
    tmp_path: Path, shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(fbank_graph(tmp_path / "x.onnx"))
    graph = shelf / "x" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-9])
    assert main(["models", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["models"]}
    assert rows["x"]["error"] == "bundle_hash_mismatch"
    assert rows["ecapa-base"]["default"]


def test_what_an_interrupted_run_left_is_no_model(tmp_path: Path, shelf: Path) -> None:
    add(fbank_graph(tmp_path / "x.onnx"))
    (shelf / ".adding-old").mkdir()
    (shelf / ".adding-old" / "card.json").write_text("{}")
    assert [path.name for path in added_bundles()] == ["x"]
    assert load_bundle(added_bundles()[0]).name == "x"
