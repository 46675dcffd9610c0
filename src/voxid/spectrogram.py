"""Waveform samples to Mel energies as toolkits other than Kaldi compute them, for models trained with those.

Each function is the definition of its toolkit at 16 kHz with the settings its public speaker models use, written
anew in numpy; shapes are (T frames, F bands), 10 ms apart. Models see large differences where a pause is digital
silence, so the floors under the logarithms are part of each definition.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from voxid.errors import InputError

_HOP_SAMPLES = 160
_WINDOW_SAMPLES = 400
_RATE_HZ = 16_000
_BLOCK_FRAMES = 4_096  # spectra of an hour at once would be 1.5 GB
_PREEMPHASIS = 0.97

Floats = NDArray[np.float32]


def speechbrain_fbank(samples: Floats, mels: int = 80) -> Floats:
    """Return the filterbank energies in dB that SpeechBrain's speaker models are trained on.

    Hamming window of 25 ms centred on each 10 ms (zeros outside), 400-point power spectrum, triangles on a Mel scale
    from 0 to 8 kHz whose both flanks are as wide as the lower one, floor 1e-10, and never more than 80 dB under
    the loudest value of the whole input.

    Args:
        samples: (N,) float32 in [-1, 1], N at least 1.
        mels: number of bands.

    Returns:
        (1 + N // 160, mels) float32, dB.

    Source: speechbrain/processing/features.py (STFT, Filterbank), settings of recipes/VoxCeleb/SpeakerRec.
    """
    _check(samples, 1)
    padded = np.pad(np.asarray(samples, dtype=np.float32), _WINDOW_SAMPLES // 2)
    power = _power(padded, _periodic_hamming(), 400) @ _speechbrain_filters(mels)
    decibels = 10.0 * np.log10(np.maximum(power, 1e-10))
    return np.asarray(np.maximum(decibels, decibels.max() - 80.0), dtype=np.float32)


def torchaudio_melspec(samples: Floats, mels: int = 80) -> Floats:
    """Return the log Mel spectrogram that TaoRuijie's ECAPA-TDNN and the first ReDimNet are trained on.

    Pre-emphasis, a Hamming window of 25 ms in the middle of 512 points centred on each 10 ms (reflected at the ends),
    power spectrum, triangles on a Mel scale from 20 to 7,600 Hz, natural logarithm of the energy plus 1e-6.

    Args:
        samples: (N,) float32 in [-1, 1], N above 256.
        mels: number of bands.

    Returns:
        (1 + N // 160, mels) float32.

    Raises:
        InputError: ``audio_too_short`` with 256 samples or fewer, which cannot be reflected.

    Source: torchaudio.transforms.MelSpectrogram with the settings of TaoRuijie/ECAPA-TDNN, model.py.
    """
    _check(samples, 257)
    padded = np.pad(_emphasised(samples), 256, mode="reflect")
    window = np.pad(_periodic_hamming(), (512 - _WINDOW_SAMPLES) // 2)
    return np.asarray(np.log(_power(padded, window, 512) @ htk_filters(mels) + 1e-6), dtype=np.float32)


def tf_melbanks(samples: Floats, mels: int = 72) -> Floats:
    """Return the log Mel energies inside ReDimNet2, for graphs exported without them.

    The input is brought to mean 0 and deviation 1 first, so loudness plays no part. Symmetric Hamming window of 25 ms,
    half a hop of zeros at the ends, the first 256 bins of a 512-point power spectrum, and triangles whose flanks are
    straight in Mel, not in Hz.

    Args:
        samples: (N,) float32, N at least 400.
        mels: number of bands.

    Returns:
        (1 + (N - 240) // 160, mels) float32.

    Raises:
        InputError: ``audio_too_short`` below 400 samples.

    Source: PalabraAI/redimnet2, redimnet2/layers/features_tf.py (TFMelBanks).
    """
    _check(samples, _WINDOW_SAMPLES)
    x = np.asarray(samples, dtype=np.float32)
    padded = np.pad(_emphasised((x - x.mean()) / (x.std() + 1e-8)), _HOP_SAMPLES // 2)
    window = np.hamming(_WINDOW_SAMPLES).astype(np.float32)
    power = np.clip(_power(padded, window, 512)[:, :256], 1e-8, 1e8)
    return np.asarray(
        np.log(np.clip(power @ _mel_straight_filters(mels), 1e-8, 1e8) + 1e-8), dtype=np.float32
    )


def _check(samples: Floats, least: int) -> None:
    if samples.ndim != 1:
        raise InputError(
            "audio_not_mono",
            f"features got samples of shape {samples.shape}; they take one channel of shape (N,). "
            "Load the recording with voxid.load, which picks or averages channels.",
        )
    if samples.size < least:
        raise InputError(
            "audio_too_short",
            f"the audio has {samples.size} samples ({samples.size / _RATE_HZ:.4f} s); these features need at least "
            f"{least}. Give a longer recording.",
        )


def _power(padded: Floats, window: Floats, n_fft: int) -> Floats:
    """Return (T, n_fft / 2 + 1) power spectra of the windows that fit into ``padded``, one every 10 ms."""
    frames = sliding_window_view(padded, window.size)[::_HOP_SAMPLES]
    out = np.empty((frames.shape[0], n_fft // 2 + 1), dtype=np.float32)
    for start in range(0, frames.shape[0], _BLOCK_FRAMES):
        spectrum = np.fft.rfft(frames[start : start + _BLOCK_FRAMES] * window, n_fft)
        out[start : start + _BLOCK_FRAMES] = spectrum.real**2 + spectrum.imag**2
    return out


def _emphasised(samples: Floats) -> Floats:
    """Return samples minus 0.97 times the one before; the second stands before the first."""
    before = np.concatenate([samples[1:2], samples[:-1]])
    return np.asarray(samples - np.float32(_PREEMPHASIS) * before, dtype=np.float32)


@cache
def _periodic_hamming() -> Floats:
    turn = 2.0 * np.pi * np.arange(_WINDOW_SAMPLES) / _WINDOW_SAMPLES
    return np.asarray(0.54 - 0.46 * np.cos(turn), dtype=np.float32)


def _mel(hz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hz) / 700.0))


def _edges_hz(low_hz: float, high_hz: float, mels: int) -> NDArray[np.float64]:
    """Return (mels + 2,) corners of the triangles, equally far apart on HTK's Mel scale."""
    corners = np.linspace(_mel(low_hz), _mel(high_hz), mels + 2)
    return 700.0 * (10.0 ** (corners / 2595.0) - 1.0)


def _triangles(points: NDArray[np.float64], corners: NDArray[np.float64]) -> Floats:
    """Return (P, F) heights at ``points`` of triangles from corner to corner, 1 at the middle one."""
    rise = (points[:, None] - corners[:-2]) / (corners[1:-1] - corners[:-2])
    fall = (corners[2:] - points[:, None]) / (corners[2:] - corners[1:-1])
    return np.asarray(np.maximum(0.0, np.minimum(rise, fall)), dtype=np.float32)


@cache
def _speechbrain_filters(mels: int) -> Floats:
    """Return (201, mels) filters."""
    corners = _edges_hz(0.0, 8_000.0, mels)
    distance = np.abs(np.linspace(0.0, 8_000.0, 201)[:, None] - corners[1:-1]) / np.diff(corners)[:-1]
    return np.asarray(np.maximum(0.0, 1.0 - distance), dtype=np.float32)


@cache
def htk_filters(mels: int) -> Floats:
    """Return (257, mels), the filters of ``torchaudio_melspec``; checkpoints carry them, to be compared."""
    return _triangles(np.linspace(0.0, 8_000.0, 257), _edges_hz(20.0, 7_600.0, mels))


@cache
def _mel_straight_filters(mels: int) -> Floats:
    """Return (256, mels) filters; the lowest bin counts for none of them."""
    points, corners = _mel(np.linspace(0.0, 8_000.0, 256)), np.linspace(_mel(20.0), _mel(7_600.0), mels + 2)
    filters = _triangles(points, corners)
    filters[0] = 0.0
    return filters
