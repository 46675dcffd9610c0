"""Features: what kaldi-native-fbank computes frame by frame, computed many frames at once."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import kaldi_native_fbank as knf
import numpy as np
import pytest
from numpy.typing import NDArray

from voxid.audio import load
from voxid.errors import InputError
from voxid.features import INT16_SCALE, fbank, frame_count

VOICES = Path(str(resources.files("voxid") / "data" / "voices"))


def kaldi(samples: NDArray[np.float32], window: str, scale: float, mels: int) -> NDArray[np.float32]:
    """Return (T, mels) from kaldi-native-fbank."""
    options = knf.FbankOptions()
    options.frame_opts.samp_freq = 16_000
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = True
    options.frame_opts.window_type = window
    options.mel_opts.num_bins = mels
    options.mel_opts.low_freq = 20.0
    options.mel_opts.high_freq = 0.0
    extractor = knf.OnlineFbank(options)
    extractor.accept_waveform(16_000, samples * np.float32(scale))
    extractor.input_finished()
    return np.stack([extractor.get_frame(t) for t in range(extractor.num_frames_ready)])


@pytest.mark.parametrize("window", ["povey", "hamming", "hanning", "blackman", "rectangular"])
@pytest.mark.parametrize(("scale", "mels"), [(INT16_SCALE, 80), (1.0, 64)])
def test_speech_gives_what_kaldi_gives(window: str, scale: float, mels: int) -> None:
    """In natural log within 0.00002 on average, and 0.003 in the quietest of all frames and bands: float32 rounds."""
    samples = np.asarray(load(VOICES / "ada" / "01.opus").samples)
    found = fbank(samples, window=window, scale=scale, mels=mels)
    assert found.dtype == np.float32
    expected = kaldi(samples, window, scale, mels)
    np.testing.assert_allclose(found, expected, atol=3e-3)
    assert np.abs(found - expected).mean() < 2e-5


def test_silence_is_the_floor() -> None:
    np.testing.assert_allclose(
        fbank(np.zeros(4_000, np.float32)), np.log(np.finfo(np.float32).eps), atol=1e-5
    )


@pytest.mark.parametrize("n_samples", [400, 401, 560, 41_200, 41_519])
def test_frames_do_not_depend_on_those_around_them(n_samples: int) -> None:
    """A call's features are made half a second at a time and are those of the whole."""
    samples = np.random.default_rng(0).standard_normal(n_samples).astype(np.float32)
    whole = fbank(samples)
    assert whole.shape == (frame_count(n_samples), 80)
    last = len(whole) - 1
    own = fbank(samples[last * 160 : last * 160 + 400])
    np.testing.assert_allclose(whole[last:], own, atol=1e-5)


def test_less_than_a_frame_is_refused() -> None:
    with pytest.raises(InputError, match="needs? at least 400 samples") as caught:
        fbank(np.zeros(399, np.float32))
    assert caught.value.code == "audio_too_short"
