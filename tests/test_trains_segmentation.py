"""The segmentation network's training on made-up chunks: sets of speakers, permutations, resuming."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install 'voxid[train]'")

import onnx
import torch

from voxid.diarize.segmentation import Segmenter
from voxid.errors import CompatibilityError, ConfigError, InputError
from voxid.features import fbank
from voxid.train.course import Part
from voxid.train.half_weights import LEAST_VALUES
from voxid.train.networks import build_network
from voxid.train.optimizer import build_optimizers
from voxid.train.recipe import Network
from voxid.train.segmentation.export import export_segmenter
from voxid.train.segmentation.network import SegmentationNetwork, Size, Trunk
from voxid.train.segmentation.objective import Chunk, stacked, train, validate
from voxid.train.segmentation.powerset import Powerset, permuted_to, powerset_loss
from voxid.train.segmentation.recipe import SegmentationRecipe

TINY = Size(channels=32, blocks=1, heads=2, kernel=5, widening=1, dropout=0.0)


class Tones:
    """Up to three voices, each a band of the spectrum of its own choosing that is loud while it speaks."""

    def draw(self, rng: np.random.Generator) -> Chunk:
        active = np.zeros((200, 3), bool)
        features = 0.3 * rng.standard_normal((200, 80)).astype(np.float32)
        for voice, band in enumerate(rng.permutation(8)[:3]):
            start = int(rng.integers(0, 150))
            active[start : start + int(rng.integers(20, 100)), voice] = True
            features[active[:, voice], 10 * band : 10 * band + 10] += 3.0
        return Chunk(features, active)


def recipe(steps: int, lr_to: float = 1e-3) -> SegmentationRecipe:
    return SegmentationRecipe(
        task="segmentation",
        name="tiny",
        speech="none",
        stages=(Part(steps, 3e-3, lr_to),),
        network=TINY,
        batch=8,
        distort=0.0,
        validate_every_steps=1000,
        checkpoint_every_steps=10,
    )


def test_sets_of_up_to_three_of_four_speakers_are_fifteen() -> None:
    powerset = Powerset()
    assert powerset.classes == 15
    assert torch.equal(powerset.members[powerset.classes_of(powerset.members)], powerset.members)
    assert torch.equal(powerset.members[powerset.classes_of(torch.ones(4))], torch.tensor([1.0, 1, 1, 0]))


def test_the_order_of_the_true_speakers_does_not_matter() -> None:
    torch.manual_seed(0)
    active = (torch.rand(3, 50, 4) > 0.7).float()
    logits = torch.randn(3, 50, 15)
    shuffled = active[:, :, [2, 0, 3, 1]]
    one, two = (powerset_loss(logits, a, Powerset()) for a in (active, shuffled))
    assert one.item() == pytest.approx(two.item(), rel=1e-6)


def test_the_best_order_is_found() -> None:
    torch.manual_seed(0)
    active = (torch.rand(2, 50, 4) > 0.6).float()
    found = (0.8 * active + 0.1)[:, :, [3, 1, 0, 2]]
    assert torch.equal(permuted_to(found, active), active[:, :, [3, 1, 0, 2]])


def test_of_many_voices_those_who_speak_most_are_kept() -> None:
    active = np.zeros((200, 6), bool)
    for voice in range(6):
        active[: 20 * (voice + 1), voice] = True
    batch = stacked([Chunk(np.zeros((200, 80), np.float32), active)], 4)
    assert batch.active.shape == (1, 100, 4)
    assert batch.active[0].sum(axis=0).tolist() == [60.0, 50.0, 40.0, 30.0]


def test_a_tiny_network_learns_who_speaks_when(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(99)
    held_out = [Tones().draw(rng) for _ in range(40)]
    torch.manual_seed(0)
    untrained = validate(SegmentationNetwork(TINY), held_out)
    network = train(recipe(120), Tones(), held_out, tmp_path, lambda row: None)
    trained = validate(network, held_out)
    assert trained["error"] < 0.5 * untrained["error"]
    assert trained["error"] == pytest.approx(
        sum(trained[part] for part in ("missed", "false_alarm", "confused")), abs=0.02
    )


def test_resuming_gives_the_same_network_as_not_stopping(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    held_out = [Tones().draw(np.random.default_rng(5))]
    whole = train(recipe(20, 3e-3), Tones(), held_out, tmp_path / "whole", lambda row: None)
    train(recipe(10, 3e-3), Tones(), held_out, tmp_path / "parts", lambda row: None)
    rows: list[dict[str, object]] = []
    parts = train(recipe(20, 3e-3), Tones(), held_out, tmp_path / "parts", rows.append)
    assert rows[0]["from_step"] == 10
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], value, atol=1e-5, rtol=1e-4)


def test_an_exported_model_hears_what_the_network_hears(tmp_path: Path) -> None:
    """The recording is longer than a chunk and no multiple of one; what lies beyond its end is silent."""
    torch.manual_seed(0)
    network = SegmentationNetwork(TINY).eval()
    segmenter = export_segmenter(network, tmp_path / "model", {"name": "tiny"})
    samples = 0.1 * np.random.default_rng(0).standard_normal(16_000 * 17).astype(np.float32)
    activity = segmenter.segment(samples)
    assert activity.start_frames.tolist() == [0, 500, 1000]
    assert activity.n_frames == 1698
    features = fbank(samples)
    with torch.inference_mode():
        expected = network.activity(torch.from_numpy(features[None, 500:1500]))[0].numpy()
    np.testing.assert_allclose(activity.probability[1].astype(np.float32), expected, atol=2e-3)
    assert (activity.probability[2, 349:] == 0).all()


def test_a_network_with_a_trunk_exports_and_leaves_the_trunk_as_it_was(tmp_path: Path) -> None:
    """A step moves what hears the trunk and nothing in it, its statistics neither."""
    torch.manual_seed(0)
    embedding = build_network(Network("ecapa", channels=32, aggregation=48, embedding=16, stride=4))
    network = SegmentationNetwork(TINY, trunk=Trunk(embedding)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizers = build_optimizers("muon", network, network, 0.01)
    logits = network(torch.randn(2, 200, 80))
    torch.autograd.backward(powerset_loss(logits, torch.ones(2, 100, 4), network.powerset))
    for optimizer in optimizers:
        optimizer.step()
    moved = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert "hear.weight" in moved
    assert not any(name.startswith("trunk.") for name in moved)
    model = export_segmenter(network, tmp_path / "model", {"name": "tiny"})  # refuses a graph that differs
    assert 0 < model.card["rounding"] < 0.01
    stored = onnx.load(str(tmp_path / "model" / "model.onnx")).graph.initializer
    large = [
        one for one in stored if np.prod(one.dims) >= LEAST_VALUES and one.data_type != onnx.TensorProto.INT64
    ]
    assert large
    assert all(one.data_type == onnx.TensorProto.FLOAT16 for one in large)


def test_a_trunk_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="stride 4; found XvectorFrames with stride 1") as refused:
        Trunk(build_network(Network("xvector", channels=32, aggregation=48, embedding=16, stride=1)))
    assert refused.value.code == "trunk_unfit"


def test_a_changed_model_is_refused(tmp_path: Path) -> None:
    export_segmenter(SegmentationNetwork(TINY), tmp_path / "model", {"name": "tiny"})
    graph = tmp_path / "model" / "model.onnx"
    graph.write_bytes(graph.read_bytes() + b" ")
    with pytest.raises(CompatibilityError, match="not the file its card was written for"):
        Segmenter.load(tmp_path / "model")
    with pytest.raises(InputError, match="there is no segmentation model"):
        Segmenter.load(tmp_path / "nowhere")
