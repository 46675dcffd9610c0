"""The detector's networks learn a toy problem, by either loss, and say the same whatever is beside in the batch."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from voxid.train.spoof.cepstral import LightNetwork, LightSize, MaxFeatureMap  # noqa: E402
from voxid.train.spoof.losses import OneClass, TwoClassMargin  # noqa: E402
from voxid.train.spoof.raw import GraphNetwork, GraphSize, SincBands  # noqa: E402

N_SAMPLES = 8_000
SMALL = LightSize(coefficients=32, channels=8, embedding=16, dropout=0.0)


def hum(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise; half of it, called spoofed, with a faint tone at 6 kHz."""
    rng = np.random.default_rng(seed)
    samples = rng.standard_normal((count, N_SAMPLES)).astype(np.float32) * 0.1
    genuine = np.arange(count) % 2 == 0
    tone = 0.05 * np.sin(2 * np.pi * 6_000 * np.arange(N_SAMPLES) / 16_000)
    samples[~genuine] += tone.astype(np.float32)
    return torch.from_numpy(samples), torch.from_numpy(genuine)


def bands(samples: torch.Tensor) -> torch.Tensor:
    """Log energies of 32 linear bands every 10 ms."""
    power = torch.stft(samples, 512, 160, window=torch.hann_window(512), return_complex=True).abs() ** 2
    return (power[:, :256].unflatten(1, (32, 8)).mean(2) + 1e-6).log().transpose(1, 2)


def networks() -> list[tuple[str, torch.nn.Module, int]]:
    torch.manual_seed(0)
    graph = GraphNetwork(GraphSize(bands=24, taps=65, channels=(4, 8), nodes=8), N_SAMPLES)
    return [("light", LightNetwork(SMALL), 16), ("graph", graph, graph.embedding_size)]


@pytest.mark.parametrize("loss", [OneClass, TwoClassMargin])
def test_learns_what_gives_it_away(loss: type) -> None:
    """After some steps unseen noise with the tone scores under noise without it."""
    _, network, width = networks()[0]
    criterion = loss(width)
    learn(
        network, criterion, [(bands(samples), genuine) for samples, genuine in (hum(8, n) for n in range(40))]
    )
    samples, genuine = hum(32, 1_000)
    with torch.inference_mode():
        scores = criterion.score(network.eval()(bands(samples)))
    assert (scores[genuine][:, None] > scores[~genuine][None]).float().mean() > 0.95


def test_the_graph_learns_from_the_waveform() -> None:
    """It takes thousands of steps to learn what a spoof is; a few show that every part of it is moved by the loss."""
    _, network, width = networks()[1]
    criterion = OneClass(width)
    before = {name: value.clone() for name, value in network.named_parameters()}
    losses = learn(network, criterion, [hum(8, 0)] * 12)
    assert np.mean(losses[-3:]) < 0.7 * losses[0]
    assert all((value != before[name]).any() for name, value in network.named_parameters())


def learn(network: torch.nn.Module, criterion: torch.nn.Module, batches: list) -> list[float]:
    optimizer = torch.optim.Adam([*network.parameters(), *criterion.parameters()], lr=0.005)
    network.train()
    losses = []
    for samples, genuine in batches:
        value = criterion(network(samples), genuine).mean()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(float(value.detach()))
    return losses


@pytest.mark.parametrize("kind", [0, 1], ids=["light", "graph"])
def test_batches_do_not_mix(kind: int) -> None:
    name, network, _ = networks()[kind]
    network.eval()
    samples, _ = hum(4, 7)
    inputs = bands(samples) if name == "light" else samples
    with torch.inference_mode():
        whole, alone = network(inputs), network(inputs[2:3])
    assert torch.allclose(whole[2:3], alone, atol=1e-4)


def test_one_class_asks_nothing_beyond_its_margins() -> None:
    """A genuine embedding along the direction costs little, a spoofed one much; across it, the other way round."""
    criterion = OneClass(4)
    along = criterion.direction.detach()[None]
    opposite = -along
    yes, no = torch.tensor([True]), torch.tensor([False])
    assert criterion.score(along).item() == pytest.approx(1.0, abs=1e-5)
    assert criterion(along, yes).item() < 0.2 < 5.0 < criterion(along, no).item()
    assert criterion(opposite, no).item() < 1e-6 < 5.0 < criterion(opposite, yes).item()


def test_the_maximum_halves_the_channels() -> None:
    x = torch.tensor([[1.0, 5.0, 3.0, 2.0]])[..., None]
    assert MaxFeatureMap()(x)[0, :, 0].tolist() == [3.0, 5.0]


def test_sinc_bands_split_the_spectrum() -> None:
    """A tone of 1 kHz is loudest in the band that holds 1 kHz."""
    samples = torch.sin(2 * torch.pi * 1_000 * torch.arange(N_SAMPLES) / 16_000)[None]
    levels = SincBands(24, 129)(samples)[0, 0].mean(dim=1)
    mel = 2595 * np.log10(1 + 1_000 / 700) / (2595 * np.log10(1 + 8_000 / 700)) * 24
    assert int(levels.argmax()) == int(mel)
