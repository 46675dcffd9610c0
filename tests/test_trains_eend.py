"""EEND-EDA's training on made-up conversations: attractors, the best order, how many there are, the model on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install 'voxid[train]'")

import torch

from voxid.features import fbank
from voxid.train.course import Part
from voxid.train.eend.export import export_eend
from voxid.train.eend.network import AttractorSize, EendNetwork
from voxid.train.eend.objective import Eend, eend_losses, validate
from voxid.train.eend.recipe import TASK, EendRecipe
from voxid.train.fitting import fit
from voxid.train.segmentation.objective import Chunk

TINY = AttractorSize(channels=32, blocks=1, heads=2, kernel=3, widening=1, speakers=2)


class Tones:
    """One or two voices, each a band of the spectrum of its own that is loud while it speaks."""

    def draw(self, rng: np.random.Generator) -> Chunk:
        active = np.zeros((400, 2), bool)
        features = 0.3 * rng.standard_normal((400, 80)).astype(np.float32)
        for voice, band in enumerate(rng.permutation(4)[: int(rng.integers(1, 3))]):
            start = int(rng.integers(0, 200))
            active[start : start + int(rng.integers(100, 200)), voice] = True
            features[active[:, voice], 20 * band : 20 * band + 20] += 3.0
        return Chunk(features, active)


def test_a_tiny_network_learns_who_speaks_and_how_many_there_are(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    recipe = EendRecipe(
        task=TASK,
        name="tiny",
        speech="none",
        stages=(Part(250, 1e-2, 1e-3),),
        network=TINY,
        warm_steps=20,
        batch=8,
        distort=0.0,
        validate_every_steps=1000,
    )
    rng = np.random.default_rng(99)
    task = Eend(recipe, Tones(), [Tones().draw(rng) for _ in range(40)])
    torch.manual_seed(0)
    untrained = validate(EendNetwork(TINY), task.held_out)
    trained = validate(fit(task, recipe, tmp_path, lambda row: None), task.held_out)
    assert trained["error"] < 0.5 * untrained["error"]
    assert trained["count_right"] > 60.0


def test_the_order_of_the_true_speakers_does_not_matter() -> None:
    torch.manual_seed(0)
    active = (torch.rand(3, 50, 3) > 0.5).float()
    activity, existence = torch.randn(3, 50, 3), torch.randn(3, 4)
    one = eend_losses(activity, existence, active)
    two = eend_losses(activity, existence, active[:, :, [2, 0, 1]])
    assert one[0].item() == pytest.approx(two[0].item(), rel=1e-6)
    assert one[1].item() == two[1].item()


def test_a_right_answer_costs_nothing_and_silence_is_no_error() -> None:
    """Attractors behind the first that is none are never asked."""
    active = torch.zeros(2, 50, 3)
    active[0, :20, 0] = active[0, 10:40, 1] = 1.0
    existence = torch.tensor([[20.0, 20, -20, 9], [-20.0, 9, 9, 9]])
    heard, counted = eend_losses(40.0 * active - 20.0, existence, active)
    assert heard.item() < 1e-6
    assert counted.item() < 1e-6
    heard, _ = eend_losses(torch.zeros(1, 50, 3), torch.zeros(1, 4), torch.zeros(1, 50, 3))
    assert heard.item() == 0.0


def test_an_exported_model_is_run_as_a_segmenter(tmp_path: Path) -> None:
    """Steps of 80 ms are four of 20; who does not exist is silent; what lies beyond the end is silent."""
    torch.manual_seed(0)
    network = EendNetwork(TINY).eval()
    with torch.no_grad():
        network.exists.weight.zero_()
        network.exists.bias.fill_(1.0)
    model = export_eend(network, tmp_path / "all", {"name": "tiny", "chunk_frames": 1_000})
    samples = 0.1 * np.random.default_rng(0).standard_normal(16_000 * 12).astype(np.float32)
    activity = model.segment(samples)
    assert activity.probability.shape == (2, 500, 2)
    with torch.inference_mode():
        logits, _ = network(torch.from_numpy(fbank(samples)[None, :1_000]))
    expected = torch.sigmoid(logits)[0].repeat_interleave(4, dim=0).numpy()
    np.testing.assert_allclose(activity.probability[0].astype(np.float32), expected, atol=2e-3)
    assert (activity.probability[1, 350:] == 0).all()
    with torch.no_grad():
        network.exists.bias.fill_(-1.0)
    nobody = export_eend(network, tmp_path / "nobody", {"name": "tiny", "chunk_frames": 1_000})
    assert (nobody.segment(samples).probability == 0).all()
