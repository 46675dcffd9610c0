"""The fbank is Kaldi's: checked against a slow, plain numpy reading of its definition."""

import numpy as np
import pytest

from voxid.errors import InputError
from voxid.features import N_MELS, fbank, frame_count


def oracle(samples: np.ndarray) -> np.ndarray:
    """Kaldi compute-fbank-feats, 25/10 ms, povey window, pre-emphasis .97, 512-point FFT, 80 mel bins from 20 Hz."""
    x = samples.astype(np.float64) * 32768.0
    frames = np.stack([x[160 * t : 160 * t + 400] for t in range(1 + (x.size - 400) // 160)])
    frames = frames - frames.mean(axis=1, keepdims=True)
    frames = frames - 0.97 * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
    power = np.abs(np.fft.rfft(frames * window, 512)) ** 2

    def mel(hz: np.ndarray | float) -> np.ndarray:
        return 1127.0 * np.log(1.0 + np.asarray(hz) / 700.0)

    edges = np.linspace(mel(20.0), mel(8000.0), N_MELS + 2)
    bins = mel(np.arange(256) * 16000 / 512)
    rise = (bins[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins[None]) / (edges[2:] - edges[1:-1])[:, None]
    filters = np.maximum(0.0, np.minimum(rise, fall))
    return np.log(np.maximum(power[:, :256] @ filters.T, np.finfo(np.float32).eps))


def test_equals_the_definition() -> None:
    rng = np.random.default_rng(3)
    samples = (0.1 * rng.standard_normal(8_000)).astype(np.float32)
    np.testing.assert_allclose(fbank(samples), oracle(samples), atol=2e-3)


@pytest.mark.parametrize(("n_samples", "frames"), [(400, 1), (559, 1), (560, 2), (16_000, 98)])
def test_frames_fit_whole(n_samples: int, frames: int) -> None:
    found = fbank(np.zeros(n_samples, np.float32) + 1e-3)
    assert found.shape == (frames, N_MELS)
    assert frame_count(n_samples) == frames
    assert np.isfinite(found).all()


def test_refuses_less_than_a_frame() -> None:
    with pytest.raises(InputError, match=r"has 399 samples .* need at least 400 samples") as caught:
        fbank(np.zeros(399, np.float32))
    assert caught.value.code == "audio_too_short"


def test_refuses_two_channels() -> None:
    with pytest.raises(InputError, match=r"shape \(400, 2\)") as caught:
        fbank(np.zeros((400, 2), np.float32))
    assert caught.value.code == "audio_not_mono"
