"""Waveform samples to log-Mel filterbank energies as Kaldi computes them: what voxid's own networks see.

The extractor is kaldi-native-fbank with Kaldi's ``compute-fbank-feats`` defaults, 80 bins and no dither,
so public models trained with Kaldi, WeSpeaker or torchaudio's Kaldi-compatible features see what they expect.
"""

from __future__ import annotations

from functools import cache

import kaldi_native_fbank as knf
import numpy as np
from numpy.typing import NDArray

from voxid.errors import InputError

N_MELS = 80
FRAME_LENGTH_S = 0.025
FRAME_HOP_S = 0.010

_SAMPLE_RATE_HZ = 16_000
_FRAME_LENGTH_SAMPLES = 400
_FRAME_HOP_SAMPLES = 160

INT16_SCALE = 32_768.0
"""Kaldi's energies are those of 16-bit integers; models trained with it expect that scale."""


def frame_count(n_samples: int) -> int:
    """Return how many whole 25 ms frames, 10 ms apart, fit into ``n_samples`` at 16 kHz.

    Example:
        >>> frame_count(16_000), frame_count(399)
        (98, 0)
    """
    if n_samples < _FRAME_LENGTH_SAMPLES:
        return 0
    return 1 + (n_samples - _FRAME_LENGTH_SAMPLES) // _FRAME_HOP_SAMPLES


def fbank(
    samples: NDArray[np.float32], *, window: str = "povey", scale: float = INT16_SCALE, mels: int = N_MELS
) -> NDArray[np.float32]:
    """Return the log-Mel filterbank energies of mono 16 kHz speech.

    Args:
        samples: (N,) float32 in [-1, 1].
        window: Kaldi's name of the analysis window: povey, hamming, hanning, blackman or rectangular.
        scale: what the samples are multiplied by. It matters where a band is so quiet that Kaldi's floor is reached
            (energy 1.2e-7): digital silence only at the default, at 1 also real pauses.
        mels: number of bands between 20 Hz and 8 kHz.

    Returns:
        (T, mels) float32, natural log; frame ``t`` covers 10 t to 10 t + 25 ms. T is ``frame_count(N)``.

    Raises:
        InputError: ``audio_too_short`` below one frame (25 ms); ``audio_not_mono`` for another shape.

    Source: Kaldi feat/feature-fbank.cc as packaged by kaldi-native-fbank.
    """
    if samples.ndim != 1:
        raise InputError(
            "audio_not_mono",
            f"fbank got samples of shape {samples.shape}; it takes one channel of shape (N,). "
            "Load the recording with voxid.load, which picks or averages channels.",
        )
    n_frames = frame_count(samples.shape[0])
    if n_frames == 0:
        raise InputError(
            "audio_too_short",
            f"the audio has {samples.shape[0]} samples ({samples.shape[0] / _SAMPLE_RATE_HZ:.4f} s); "
            "features need at least 400 samples (0.025 s). Give a longer recording.",
        )
    extractor = knf.OnlineFbank(_kaldi_options(window, mels))
    extractor.accept_waveform(_SAMPLE_RATE_HZ, np.asarray(samples, dtype=np.float32) * np.float32(scale))
    extractor.input_finished()
    frames = np.empty((n_frames, mels), dtype=np.float32)
    for t in range(n_frames):
        frames[t] = extractor.get_frame(t)
    return frames


@cache
def _kaldi_options(window: str, mels: int) -> knf.FbankOptions:
    options = knf.FbankOptions()
    options.frame_opts.samp_freq = _SAMPLE_RATE_HZ
    options.frame_opts.frame_length_ms = FRAME_LENGTH_S * 1000
    options.frame_opts.frame_shift_ms = FRAME_HOP_S * 1000
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = True
    options.frame_opts.window_type = window
    options.mel_opts.num_bins = mels
    options.mel_opts.low_freq = 20.0
    options.mel_opts.high_freq = 0.0
    return options
