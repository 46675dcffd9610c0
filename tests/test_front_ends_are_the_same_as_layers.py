"""What the spoof networks hear inside their graph is what voxid.spoof measures in numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from voxid.errors import ConfigError  # noqa: E402
from voxid.spoof.cepstra import cqcc, lfcc  # noqa: E402
from voxid.spoof.phase import mgdcc  # noqa: E402
from voxid.train.spoof.fronts import FRONTS, front_named, levelled  # noqa: E402


def speech_like(n_samples: int = 16_000) -> NDArray[np.float32]:
    rng = np.random.default_rng(5)
    time_s = np.arange(n_samples) / 16_000
    tone = sum(np.sin(2 * np.pi * 140.0 * k * time_s) / k for k in range(1, 40))
    return (0.05 * tone + 0.01 * rng.standard_normal(n_samples)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "measured", "tolerance"),
    [("lfcc", lfcc, 2e-3), ("cqcc", cqcc, 5e-3), ("group_delay", mgdcc, 2e-2)],
)
def test_layers_measure_what_numpy_measures(
    name: str, measured: Callable[[NDArray[np.float32]], NDArray[np.float32]], tolerance: float
) -> None:
    samples = speech_like()
    expected = measured(samples)
    with torch.inference_mode():
        found = front_named(name)(torch.from_numpy(samples)[None])[0].numpy()
    n_frames = min(len(expected), len(found))
    assert abs(len(expected) - len(found)) <= 2
    scale = np.abs(expected).max()
    assert np.abs(found[4 : n_frames - 4] - expected[4 : n_frames - 4]).max() < tolerance * scale


def test_bands_do_not_hear_the_channel() -> None:
    samples = torch.from_numpy(speech_like())[None]
    front = front_named("bands")
    with torch.inference_mode():
        assert torch.allclose(front(samples), front(4.0 * samples), atol=1e-4)


def test_loudness_is_taken_away() -> None:
    samples = torch.from_numpy(speech_like())[None]
    assert torch.allclose(levelled(samples), levelled(0.001 * samples), atol=1e-5)
    assert torch.equal(levelled(torch.zeros(1, 400)), torch.zeros(1, 400))


def test_an_unknown_front_end_is_refused() -> None:
    with pytest.raises(ConfigError, match="the front end is 'wavelets'; known: raw, lfcc, bands, cqcc"):
        front_named("wavelets")
    assert all(hasattr(make(), "coefficients") for make in FRONTS.values())
