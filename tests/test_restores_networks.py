"""A bundle becomes the network it was exported from, or says why it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install 'voxid[train]'")

import onnx
import torch

from tiny_models import SIZES, tiny_bundle, tiny_network
from voxid.bundle import CARD_FILE, GRAPH_FILE, Bundle, default_bundle, load_bundle, write_card
from voxid.errors import CompatibilityError
from voxid.train.restore import restore_network


@pytest.mark.parametrize("name", SIZES)
def test_every_kind_of_network_comes_back_to_the_bit(name: str, tmp_path: Path) -> None:
    original, restored = tiny_network(name), restore_network(tiny_bundle(tmp_path / "b", name))
    x, weights = torch.randn(2, 130, 80), (torch.rand(2, 2, 130) > 0.3).float()
    with torch.inference_mode():
        assert torch.equal(original(x, weights), restored(x, weights))


def test_the_bundle_inside_the_package_comes_back() -> None:
    network = restore_network(default_bundle())
    assert sum(p.numel() for p in network.parameters()) == default_bundle().card["parameters"]


def changed(bundle: Bundle, **entries: object) -> Bundle:
    """Return the bundle with other entries in its card; None takes one out."""
    card = json.loads((bundle.path / CARD_FILE).read_text()) | entries
    write_card(bundle.path, {key: value for key, value in card.items() if value is not None})
    return load_bundle(bundle.path)


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ({"network": None}, "its card has no network entry"),
        ({"network": {"name": "ecapa", "wings": 2}}, "does not fit this voxid"),
        ({"quantization": {"from": "base@1"}}, "rounded to 8 bits; use base@1"),
    ],
)
def test_other_bundles_are_refused(tmp_path: Path, entries: dict[str, object], sentence: str) -> None:
    with pytest.raises(CompatibilityError, match=sentence) as caught:
        restore_network(changed(tiny_bundle(tmp_path / "b"), **entries))
    assert caught.value.code == "bundle_not_restorable"


def test_a_graph_with_other_names_is_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "b")
    model = onnx.load_from_string(bundle.graph)
    for node in model.graph.node:
        node.input[:] = ["folded" if name == "pool.attend.0.weight" else name for name in node.input]
    next(one for one in model.graph.initializer if one.name == "pool.attend.0.weight").name = "folded"
    (bundle.path / GRAPH_FILE).write_bytes(model.SerializeToString())
    with pytest.raises(
        CompatibilityError, match=r"lacks 1 of \d+ parameters, the first is pool.attend.0.weight"
    ):
        restore_network(changed(bundle))
