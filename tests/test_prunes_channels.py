"""Channels taken out of a network: what goes with them, what stays, and that nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install 'voxid[train]'")

import torch

from tiny_models import SIZES, packed_speech, tiny_bundle, tiny_network, tiny_recipe
from voxid.errors import CompatibilityError, InputError
from voxid.score import center
from voxid.train.channels import find_channels
from voxid.train.compression import PackedSpeech, Surroundings, prune_bundle
from voxid.train.graph_embedder import GraphEmbedder, random_crops
from voxid.train.prune import by_influence, by_norm, kept_channels, prune_network, silenced
from voxid.train.restore import restore_network
from voxid.train.validation import embed_shard


def unit(network: torch.nn.Module, x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return torch.nn.functional.normalize(network(x, weights), dim=-1)


def test_layers_that_are_added_share_their_channels() -> None:
    """ECAPA's skips join the first layer with every block's last; a Res2 layer's groups go together."""
    channels = find_channels(tiny_network("ecapa"))
    first = channels.owner["frames.first.conv.weight"][0]
    for block in range(3):
        assert np.array_equal(channels.owner[f"frames.blocks.{block}.layers.2.norm.weight"][0], first)
    inner = channels.owner["frames.blocks.0.layers.0.conv.weight"][0].reshape(8, 4)
    assert (inner == inner[0]).all()
    assert channels.layers["frames.first.conv.weight"].size == 32
    assert "project.weight" not in channels.layers  # the embedding keeps its length


@pytest.mark.parametrize("name", SIZES)
def test_every_kind_of_network_loses_about_the_share_asked_for(name: str) -> None:
    network = tiny_network(name)
    pruned = prune_network(network, 0.5)  # refuses by itself when the rest does not compute the same
    before, after = (sum(p.numel() for p in one.parameters()) for one in (network, pruned))
    assert 0.2 < after / before < 0.55
    assert pruned.project.weight.shape[0] == 16


def test_shapes_are_as_predicted() -> None:
    pruned = prune_network(tiny_network("xvector"), 0.25)
    shapes = [tuple(layer.conv.weight.shape) for layer in pruned.frames]
    assert shapes == [(24, 80, 5), (24, 24, 3), (24, 24, 3), (24, 24, 1), (36, 24, 1)]
    assert tuple(pruned.project.weight.shape) == (16, 72)
    assert (kept_channels(32, 0.25), kept_channels(48, 0.25)) == (24, 36)


@pytest.mark.parametrize("name", ["ecapa", "resnet"])
def test_channels_at_zero_can_go_without_any_change(name: str) -> None:
    """Channels that are zero weigh nothing and influence nothing: taking them out changes nothing."""
    network = tiny_network(name)
    channels = find_channels(network)
    rng = np.random.default_rng(0)
    gone = np.concatenate(
        [rng.permutation(c)[: c.size - kept_channels(c.size, 0.5)] for c in channels.layers.values()]
    )
    zeroed = silenced(network, channels, gone)
    x, weights = torch.randn(2, 140, 80), torch.ones(2, 1, 140)
    crops = np.random.default_rng(1).standard_normal((4, 100, 80)).astype(np.float32)
    pruned = prune_network(zeroed, 0.5)
    torch.testing.assert_close(unit(pruned, x, weights), unit(zeroed, x, weights), atol=1e-5, rtol=1e-4)
    assert max(by_norm(zeroed, channels)[int(c)] for c in gone) == 0.0
    assert max(by_influence(zeroed, channels, crops)[int(c)] for c in gone) == 0.0


def test_the_network_given_is_left_alone() -> None:
    network = tiny_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    prune_network(network, 0.5, np.random.default_rng(1).standard_normal((2, 100, 80)).astype(np.float32))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2])
def test_shares_outside_zero_to_one_are_refused(share: float) -> None:
    with pytest.raises(InputError, match="give a share of the channels, above 0, below 1") as caught:
        prune_network(tiny_network(), share)
    assert caught.value.code == "prune_share"


def test_a_share_too_small_for_any_layer_is_refused() -> None:
    with pytest.raises(CompatibilityError, match="no layer is wide enough to lose 1%") as caught:
        prune_network(tiny_network(), 0.01)
    assert caught.value.code == "network_not_prunable"


def test_a_pruned_bundle_without_speech_is_smaller_and_refuses_to_judge(tmp_path: Path) -> None:
    source = tiny_bundle(tmp_path / "source", "resnet")
    bundle, comparison, untuned = prune_bundle(source, tmp_path / "pruned", 0.5, Surroundings())
    assert bundle.id != source.id
    assert comparison.smaller > 2.0
    assert bundle.card["parameters"] < source.card["parameters"]
    assert bundle.card["pruned"] == {"from": source.id, "share": 0.5, "tuned_steps": 0}
    assert not bundle.is_calibrated
    assert untuned == {}
    narrower = restore_network(bundle)
    assert sum(p.numel() for p in narrower.parameters()) == bundle.card["parameters"]


def test_tuning_brings_a_pruned_network_back_towards_the_one_it_was(tmp_path: Path) -> None:
    source = tiny_bundle(tmp_path / "source")
    speech = PackedSpeech(
        tiny_recipe(1), packed_speech(12, 4), packed_speech(8, 4, first=50), tmp_path, tmp_path / "work"
    )
    around = Surroundings(speech, refit=False)
    rows: list[dict[str, object]] = []
    bundle, _, untuned = prune_bundle(source, tmp_path / "pruned", 0.5, around, steps=150, on_row=rows.append)
    losses = [row["loss"] for row in rows if "loss" in row]
    assert losses[-1] < 0.8 * losses[0]
    was = GraphEmbedder.of(source).embed_shard(speech.training)
    tuned = GraphEmbedder.of(bundle).embed_shard(speech.training)
    network = restore_network(source)
    crops = random_crops(speech.training, [100], 16, 0)
    cut = prune_network(network, 0.5, np.stack([crop - crop.mean(axis=0) for crop in crops]))
    untaught = center(embed_shard(cut, speech.training), source.mean)
    expected, found = center(was, source.mean), center(tuned, source.mean)
    assert (found * expected).sum(axis=1).mean() > (untaught * expected).sum(axis=1).mean()
    assert set(untuned) == {"made", "mean"}
    assert bundle.card["compression"]["after"]["eer_percent"].keys() == {"made", "mean"}


def test_tuning_without_speech_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give --recipe and --corpora") as caught:
        prune_bundle(tiny_bundle(tmp_path / "b"), tmp_path / "out", 0.3, Surroundings(), steps=5)
    assert caught.value.code == "tuning_needs_speech"
    assert not (tmp_path / "out").exists()
