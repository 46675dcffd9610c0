"""ECAPA-TDNN checkpoints of other toolkits become bundles that give the same embeddings, and pool under masks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install 'voxid[train]'")
pytest.importorskip("onnx", reason="needs the train extra: pip install 'voxid[train]'")

import torch

from foreign_graphs import sha256_of
from foreign_networks import EMBEDDING, SpeechBrainEcapa, TaoEcapa, trained
from voxid.audio import load
from voxid.embedding import Embedder
from voxid.errors import CompatibilityError
from voxid.features import fbank, frame_count
from voxid.spectrogram import htk_filters, speechbrain_fbank, torchaudio_melspec
from voxid.train.convert import convert_checkpoint
from voxid.zoo.adding import Added, Wish, add_model
from voxid.zoo.formats import named_format
from voxid.zoo.shelf import FOLDER_VARIABLE


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


def add(path: Path, **wish: Any) -> Added:
    return add_model(Wish(str(path), sha256_of(path), **wish), convert_checkpoint)


def samples(seconds: float = 3.0, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * 16_000))).astype(np.float32)


def alone(network: torch.nn.Module, frames: np.ndarray) -> np.ndarray:
    """The network's own embedding of an utterance, of length 1; its mean is taken away first."""
    with torch.inference_mode():
        out = network(torch.from_numpy(frames - frames.mean(axis=0))[None])[0].numpy()
    return out / np.linalg.norm(out)


def tao_state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """As TaoRuijie's trainer saves it: the encoder with its features, and the classifier."""
    state = {f"speaker_encoder.{name}": value for name, value in network.state_dict().items()}
    state["speaker_encoder.torchfbank.0.flipped_filter"] = torch.tensor([[[-0.97, 1.0]]])
    state["speaker_encoder.torchfbank.1.spectrogram.window"] = torch.hamming_window(400)
    state["speaker_encoder.torchfbank.1.mel_scale.fb"] = torch.from_numpy(htk_filters(80).copy())
    state["speaker_loss.weight"] = torch.zeros(7, EMBEDDING)
    return state


@pytest.mark.parametrize("seconds", [0.4, 3.0])
def test_speechbrain_gives_its_own_embeddings(tmp_path: Path, seconds: float) -> None:
    """From the waveform to the embedding: dB features, mean of the sentence, network."""
    network = trained(SpeechBrainEcapa())
    torch.save(network.state_dict(), tmp_path / "embedding_model.ckpt")
    added = add(tmp_path / "embedding_model.ckpt")
    assert added.bundle.card["source"]["format"] == "speechbrain-ecapa"
    assert added.bundle.card["onnx_parity"] < 1e-4
    assert added.bundle.card["parameters"] == sum(p.numel() for p in network.parameters())
    assert any("3D-Speaker's ECAPA has the same parameters" in sentence for sentence in added.assumed)
    heard = samples(seconds)
    found = Embedder(added.bundle, threads=1).embed(load((heard, 16_000)))
    np.testing.assert_allclose(found, alone(network, speechbrain_fbank(heard)), atol=2e-5)


def test_taoruijie_gives_its_own_embeddings(tmp_path: Path) -> None:
    network = trained(TaoEcapa(), seed=1)
    torch.save(tao_state(network), tmp_path / "pretrain.model")
    added = add(tmp_path / "pretrain.model")
    assert added.bundle.card["source"]["format"] == "taoruijie-ecapa"
    found = Embedder(added.bundle, threads=1).embed(load((samples(), 16_000)))
    np.testing.assert_allclose(found, alone(network, torchaudio_melspec(samples())), atol=2e-5)


def test_3d_speaker_has_other_features(tmp_path: Path) -> None:
    network = trained(SpeechBrainEcapa())
    torch.save(network.state_dict(), tmp_path / "ecapa_tdnn.bin")
    added = add(tmp_path / "ecapa_tdnn.bin", form="3dspeaker-ecapa")
    found = Embedder(added.bundle, threads=1).embed(load((samples(), 16_000)))
    np.testing.assert_allclose(found, alone(network, fbank(samples(), scale=1.0)), atol=2e-5)


def converted(tmp_path: Path) -> Embedder:
    torch.save(trained(SpeechBrainEcapa()).state_dict(), tmp_path / "x.ckpt")
    return Embedder(add(tmp_path / "x.ckpt").bundle, threads=1)


def test_masks_share_a_pass_and_do_not_touch_each_other(tmp_path: Path) -> None:
    embedder = converted(tmp_path)
    masks = np.zeros((3, frame_count(samples(8.0).size)), np.float32)
    masks[0, :200], masks[1, 150:400], masks[2, 500:] = 1.0, 1.0, 1.0
    found = embedder.embed_masks(samples(8.0), masks)
    turned = embedder.embed_masks(samples(8.0), masks[::-1].copy())
    np.testing.assert_allclose(found, turned[::-1], atol=1e-5)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_who_speaks_elsewhere_does_not_matter(tmp_path: Path) -> None:
    """Nothing of what lies more than 6.2 s away reaches an embedding, except through the mean that is taken away."""
    embedder = converted(tmp_path)
    frames = speechbrain_fbank(samples(16.0))
    other = frames.copy()
    other[801:] = other[801:][
        ::-1
    ]  # turned about its middle, round which the second mask lies: the same mean
    masks = np.zeros((2, len(frames)), np.float32)
    masks[0, :150], masks[1, 1_101:1_301] = 1.0, 1.0
    before, after = (embedder._pool_masks(x, masks) for x in (frames, other))
    np.testing.assert_allclose(before[0], after[0], atol=1e-5)
    assert not np.allclose(before[1], after[1], atol=1e-3)


def test_long_chunks_go_through_in_neighbourhoods(tmp_path: Path) -> None:
    """A minute in stretches of 30 s gives what one pass gives, but for what fades in from the neighbouring stretch."""
    embedder = converted(tmp_path)
    heard = samples(61.0)
    masks = np.zeros((40, frame_count(heard.size)), np.float32)
    for row in range(40):
        masks[row, 150 * row : 150 * row + 150] = 1.0
    assert embedder.front_end.max_frames == 3_000
    pieces = embedder.embed_masks(heard, masks)
    object.__setattr__(embedder.front_end, "max_frames", 0)
    np.testing.assert_allclose(pieces, embedder.embed_masks(heard, masks), atol=5e-3)


@pytest.mark.parametrize(
    "wrap", [lambda s: {"state_dict": s}, lambda s: {f"module.{k}": v for k, v in s.items()}]
)
def test_usual_wrappings_are_opened(tmp_path: Path, wrap: Any) -> None:
    torch.save(wrap(trained(SpeechBrainEcapa()).state_dict()), tmp_path / "x.pt")
    assert convert_checkpoint(tmp_path / "x.pt", None, tmp_path / "x.onnx").dim == EMBEDDING


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path) -> None:
    """A pickle is a program: this one would write a file."""

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    for legacy in (True, False):
        torch.save({"blocks": Evil()}, tmp_path / "evil.ckpt", _use_new_zipfile_serialization=not legacy)
        with pytest.raises(CompatibilityError, match="holds more than tensors") as caught:
            add(tmp_path / "evil.ckpt")
        assert caught.value.code == "checkpoint_unsafe"
        assert "It was not. Save torch.save(model.state_dict(), ...) alone" in str(caught.value)
    assert not (tmp_path / "ran").exists()
    assert list((tmp_path / "models").iterdir()) == []


def test_a_truncated_checkpoint(tmp_path: Path) -> None:
    torch.save(trained(SpeechBrainEcapa()).state_dict(), tmp_path / "x.ckpt")
    whole = (tmp_path / "x.ckpt").read_bytes()
    for length in (len(whole) // 2, 200, 9):
        (tmp_path / "x.ckpt").write_bytes(whole[:length])
        with pytest.raises(CompatibilityError, match="Get it again") as caught:
            add(tmp_path / "x.ckpt")
        assert caught.value.code == "model_broken"


def test_a_tensor_larger_than_its_bytes(tmp_path: Path) -> None:
    """A view with stride 0 claims 40 GB and holds four bytes."""
    state = trained(SpeechBrainEcapa()).state_dict()
    state["fc.conv.weight"] = torch.zeros(1).expand(100_000, 100_000)
    torch.save(state, tmp_path / "x.ckpt")
    with pytest.raises(CompatibilityError, match="claims 40,0.* bytes of parameters and holds") as caught:
        add(tmp_path / "x.ckpt")
    assert caught.value.code == "model_too_large"


def test_nan_in_the_weights(tmp_path: Path) -> None:
    state = trained(SpeechBrainEcapa()).state_dict()
    state["mfa.conv.conv.bias"][3] = float("nan")
    torch.save(state, tmp_path / "x.ckpt")
    with pytest.raises(CompatibilityError, match="mfa.conv.conv.bias holds NaN or infinity") as caught:
        add(tmp_path / "x.ckpt")
    assert caught.value.code == "model_not_finite"


def without(state: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: without(s, "mfa.norm.norm.bias"), "it lacks aggregate.norm.bias and has nothing besides"),
        (lambda s: {**s, "shortcut.conv.weight": torch.zeros(2)}, "has shortcut.conv.weight besides"),
        (lambda s: {**s, "asp.conv.conv.weight": torch.zeros(3, 3, 1)}, "size mismatch"),
        (lambda s: {"encoder.weight": torch.zeros(3)}, "are of no network voxid converts: speechbrain-ecapa"),
        (lambda s: {"step": 3}, "holds no named tensors"),
        (lambda s: [torch.zeros(3)], "holds no named tensors"),
    ],
)  # fmt: skip
def test_other_networks_are_named(tmp_path: Path, change: Any, sentence: str) -> None:
    torch.save(change(trained(SpeechBrainEcapa()).state_dict()), tmp_path / "x.ckpt")
    with pytest.raises(CompatibilityError) as caught:
        add(tmp_path / "x.ckpt")
    assert caught.value.code == "model_format_unsupported"
    assert sentence in str(caught.value)


def test_a_checkpoint_with_another_filterbank(tmp_path: Path) -> None:
    """TaoRuijie's checkpoints carry their filters: they must be the ones voxid uses."""
    state = tao_state(trained(TaoEcapa()))
    state["speaker_encoder.torchfbank.1.mel_scale.fb"] *= 1.1
    torch.save(state, tmp_path / "x.model")
    with pytest.raises(CompatibilityError, match="own filterbank, of shape") as caught:
        add(tmp_path / "x.model")
    assert caught.value.code == "front_end_invalid"


def test_an_onnx_format_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save(trained(SpeechBrainEcapa()).state_dict(), tmp_path / "x.ckpt")
    with pytest.raises(
        CompatibilityError, match="wespeaker is a format of ONNX graphs, and this file is a torch"
    ):
        convert_checkpoint(tmp_path / "x.ckpt", named_format("wespeaker"), tmp_path / "x.onnx")


def test_without_torch_the_extra_is_named(tmp_path: Path) -> None:
    """In a process in which torch cannot be imported, as after a core install."""
    torch.save(trained(SpeechBrainEcapa()).state_dict(), tmp_path / "x.ckpt")
    call = ["models", "add", str(tmp_path / "x.ckpt"), "--sha256", sha256_of(tmp_path / "x.ckpt"), "--json"]
    code = f"import sys; sys.modules['torch'] = None; from voxid.cli import main; sys.exit(main({call!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    assert (done.returncode, told["error"]) == (2, "train_extra_missing")
    assert "converting it needs torch, which the core leaves out" in told["message"]
    assert "pip install 'voxid[train]', or add the model as ONNX" in told["message"]
