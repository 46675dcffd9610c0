"""Each front end equals a slow, plain reading of the toolkit it is named after, and refuses what it does not know."""

from __future__ import annotations

import numpy as np
import pytest

from voxid.errors import CompatibilityError, InputError
from voxid.features import fbank, frame_count
from voxid.frontend import FrontEnd
from voxid.spectrogram import speechbrain_fbank, tf_melbanks, torchaudio_melspec

RATE_HZ = 16_000


def speech(n_samples: int = 12_077, seed: int = 1) -> np.ndarray:
    """Noise with a stretch of digital silence and a very quiet one, where floors under logarithms show."""
    samples = 0.1 * np.random.default_rng(seed).standard_normal(n_samples)
    samples[3_000:5_000] = 0.0
    samples[7_000:9_000] *= 1e-4
    return samples.astype(np.float32)


def mel(hz: float) -> float:
    return 2595.0 * np.log10(1.0 + hz / 700.0)


def hz(value: np.ndarray) -> np.ndarray:
    return 700.0 * (10.0 ** (value / 2595.0) - 1.0)


def dft_power(frames: np.ndarray, n_fft: int) -> np.ndarray:
    """The power spectra of (T, N) frames by their definition, no FFT."""
    turns = np.outer(np.arange(frames.shape[1]), np.arange(n_fft // 2 + 1)) / n_fft
    return np.abs(frames @ np.exp(-2j * np.pi * turns)) ** 2


def hamming(periodic: bool) -> np.ndarray:
    return 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(400) / (400 if periodic else 399))


def speechbrain_oracle(samples: np.ndarray) -> np.ndarray:
    x = np.concatenate([np.zeros(200), samples.astype(np.float64), np.zeros(200)])
    frames = np.stack([x[160 * t : 160 * t + 400] for t in range(1 + samples.size // 160)])
    power = dft_power(hamming(True) * frames, 400)
    corners = hz(np.linspace(mel(0), mel(8_000), 82))
    filters = np.zeros((201, 80))
    for band in range(80):
        width = corners[band + 1] - corners[band]
        for bin_, frequency in enumerate(np.linspace(0, 8_000, 201)):
            slope = (frequency - corners[band + 1]) / width
            filters[bin_, band] = max(0.0, min(1.0 + slope, 1.0 - slope))
    decibels = 10.0 * np.log10(np.maximum(power @ filters, 1e-10))
    return np.maximum(decibels, decibels.max() - 80.0)


def torchaudio_oracle(samples: np.ndarray) -> np.ndarray:
    x = samples.astype(np.float64)
    x = np.array([x[i] - 0.97 * x[abs(i - 1)] for i in range(x.size)])
    x = np.concatenate([x[1:257][::-1], x, x[-257:-1][::-1]])
    window = np.concatenate([np.zeros(56), hamming(True), np.zeros(56)])
    frames = np.stack([x[160 * t : 160 * t + 512] for t in range(1 + samples.size // 160)])
    power = dft_power(window * frames, 512)
    corners = hz(np.linspace(mel(20), mel(7_600), 82))
    bins = np.linspace(0, 8_000, 257)
    rise = (bins[:, None] - corners[None, :-2]) / np.diff(corners)[None, :-1]
    fall = (corners[None, 2:] - bins[:, None]) / np.diff(corners)[None, 1:]
    return np.log(power @ np.clip(np.minimum(rise, fall), 0.0, None) + 1e-6)


def tf_oracle(samples: np.ndarray) -> np.ndarray:
    x = samples.astype(np.float64)
    x = (x - x.mean()) / (x.std() + 1e-8)
    x = np.array([x[i] - 0.97 * x[abs(i - 1)] for i in range(x.size)])
    x = np.concatenate([np.zeros(80), x, np.zeros(80)])
    frames = np.stack([x[160 * t : 160 * t + 400] for t in range(1 + (x.size - 400) // 160)])
    power = dft_power(hamming(False) * frames, 512)[:, :256]
    corners = np.linspace(mel(20), mel(7_600), 74)
    places = np.array([mel(f) for f in np.linspace(0, 8_000, 256)])
    rise = (places[:, None] - corners[None, :-2]) / np.diff(corners)[None, :-1]
    fall = (corners[None, 2:] - places[:, None]) / np.diff(corners)[None, 1:]
    filters = np.clip(np.minimum(rise, fall), 0.0, None)
    filters[0] = 0.0
    return np.log(np.clip(np.clip(power, 1e-8, 1e8) @ filters, 1e-8, 1e8) + 1e-8)


def kaldi_oracle(samples: np.ndarray, window: np.ndarray, scale: float) -> np.ndarray:
    """Kaldi's definition with the window and the scale as arguments."""
    x = samples.astype(np.float64) * scale
    frames = np.stack([x[160 * t : 160 * t + 400] for t in range(frame_count(samples.size))])
    frames = frames - frames.mean(axis=1, keepdims=True)
    frames = frames - 0.97 * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    power = np.abs(np.fft.rfft(frames * window, 512)) ** 2
    places = 1127.0 * np.log(1.0 + np.arange(256) * RATE_HZ / 512 / 700.0)
    edges = np.linspace(1127.0 * np.log(1 + 20 / 700), 1127.0 * np.log(1 + 8_000 / 700), 82)
    rise = (places - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - places) / np.diff(edges)[1:, None]
    energies = power[:, :256] @ np.clip(np.minimum(rise, fall), 0.0, None).T
    return np.log(np.maximum(energies, np.finfo(np.float32).eps))


def test_speechbrain() -> None:
    np.testing.assert_allclose(speechbrain_fbank(speech()), speechbrain_oracle(speech()), atol=2e-3)


def test_torchaudio() -> None:
    np.testing.assert_allclose(torchaudio_melspec(speech()), torchaudio_oracle(speech()), atol=2e-3)


def test_tfmel() -> None:
    np.testing.assert_allclose(tf_melbanks(speech()), tf_oracle(speech()), atol=2e-2)


def test_wespeaker_is_kaldi_with_a_hamming_window() -> None:
    """wespeaker/bin/infer_onnx.py: samples times 32768, hamming, no dither."""
    found = FrontEnd(window="hamming").features_of(speech())
    np.testing.assert_allclose(found, kaldi_oracle(speech(), hamming(False), 32_768.0), atol=2e-2)


def test_3d_speaker_is_kaldi_on_samples_below_one() -> None:
    """speakerlab/process/processor.py: the waveform as torchaudio loads it. Pauses reach Kaldi's floor there."""
    povey = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
    found = FrontEnd(scale="unit").features_of(speech())
    np.testing.assert_allclose(found, kaldi_oracle(speech(), povey, 1.0), atol=2e-2)
    assert found.min() == pytest.approx(np.log(np.finfo(np.float32).eps), abs=1e-4)


def test_scales_differ_by_more_than_a_constant() -> None:
    """Were it one, taking the mean away would undo it and the scale would not matter."""
    apart = fbank(speech()) - fbank(speech(), scale=1.0)
    assert np.ptp(apart) > 1.0


def test_a_waveform_is_given_as_it_is() -> None:
    unit = FrontEnd(features="waveform", scale="unit", layout="plain", axes="BN")
    np.testing.assert_array_equal(unit.features_of(speech()), speech())
    louder = FrontEnd(features="waveform", layout="plain", axes="BN")
    np.testing.assert_allclose(louder.features_of(speech()), 32_768.0 * speech())


@pytest.mark.parametrize("kind", ["fbank", "speechbrain", "torchaudio", "tfmel", "waveform"])
def test_masks_stay_where_the_sound_is(kind: str) -> None:
    """A click lies under a mask of the 50 ms around it, whatever the front end's frames are centred on."""
    samples = np.zeros(RATE_HZ, np.float32)
    samples[8_000] = 0.9
    waveform = kind == "waveform"
    front_end = FrontEnd(
        features=kind, layout="plain" if waveform else "masks", axes="BN" if waveform else "BTF"
    )
    x = front_end.features_of(samples)
    mask = np.zeros((1, frame_count(samples.size)), np.float32)
    mask[0, 47:52] = 1.0
    aligned = front_end.align(mask, x)[0] > 0
    rest = front_end.select(x, ~aligned)
    if waveform:
        assert np.abs(front_end.select(x, aligned)).max() == np.abs(x).max()
        assert not rest.any()
    else:
        assert front_end.select(x, aligned).max() == x.max() > rest.mean() + 3.0
    assert len(x) in (len(aligned), 160 * len(aligned))


def test_means() -> None:
    x = np.array([[1.0, 2.0], [3.0, 6.0], [11.0, 1.0]], np.float32)
    weights = np.array([1.0, 1.0, 0.0], np.float32)
    np.testing.assert_allclose(FrontEnd().normalised(x, weights), x - [[2.0, 4.0]])
    np.testing.assert_allclose(FrontEnd(mean="utterance").normalised(x, weights), x - [[5.0, 3.0]])
    np.testing.assert_allclose(FrontEnd(mean="none").normalised(x, weights), x)


def test_short_speech_is_repeated_and_the_end_cut_to_a_multiple() -> None:
    front_end = FrontEnd(layout="plain", mean="none", min_frames=7, multiple_of_frames=3)
    x = np.arange(5, dtype=np.float32)[:, None]
    assert front_end.arranged(x)[0, :, 0].tolist() == [0, 1, 2, 3, 4, 0]
    assert front_end.arranged(np.arange(8, dtype=np.float32)[:, None])[0, :, 0].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(("axes", "shape"), [("BTF", (1, 5, 2)), ("BFT", (1, 2, 5)), ("B1FT", (1, 1, 2, 5))])
def test_axes(axes: str, shape: tuple[int, ...]) -> None:
    assert FrontEnd(layout="plain", axes=axes).arranged(np.zeros((5, 2), np.float32)).shape == shape


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"features": "mfcc"}, "features is 'mfcc'; expected one of fbank, speechbrain"),
        ({"window": "nonsense"}, "window is 'nonsense'; expected one of povey, hamming"),
        ({"rate_hz": 8_000}, "rate_hz is 8000; expected 16000"),
        ({"dither": 1.0}, "dither is 1.0; expected 0: with noise added"),
        ({"mels": True}, "mels is True; expected a whole number from 8 to 256"),
        ({"mels": "80"}, "mels is '80'"),
        ({"warp": 1.0}, "entry is 'warp'; expected one of axes, batch"),
        ({"features": "waveform"}, "axes is 'BTF'; expected BN for a waveform"),
        ({"features": "waveform", "axes": "BN"}, "layout is 'masks'; expected plain"),
        (
            {"layout": "plain", "min_frames": 200, "max_frames": 100},
            "max_frames is 100; expected 0, or at least",
        ),
    ],
)
def test_what_it_does_not_know_is_refused(entry: dict[str, object], sentence: str) -> None:
    """Ignored, it would change every embedding unseen."""
    with pytest.raises(CompatibilityError) as caught:
        FrontEnd.from_card(entry)
    assert caught.value.code == "front_end_invalid"
    assert sentence in str(caught.value)
    assert "Correct --front-end or the card's input entry." in str(caught.value)


def test_a_card_comes_back_whole() -> None:
    front_end = FrontEnd(window="hamming", layout="plain", mean="utterance", input="feats")
    assert FrontEnd.from_card(front_end.to_card()) == front_end


@pytest.mark.parametrize("make", [speechbrain_fbank, torchaudio_melspec, tf_melbanks])
def test_nothing_and_two_channels_are_refused(make: object) -> None:
    with pytest.raises(InputError, match="need at least") as caught:
        make(np.zeros(0, np.float32))  # type: ignore[operator]
    assert caught.value.code == "audio_too_short"
    with pytest.raises(InputError, match="one channel"):
        make(np.zeros((400, 2), np.float32))  # type: ignore[operator]
