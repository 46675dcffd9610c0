"""A public d-vector model as a teacher: its embedding of every packed utterance is what the student also predicts.

Resemblyzer 0.1.4 (Apache-2.0): three LSTM layers over 40 Mel bands, trained with the GE2E loss. Its weights are the
file ``resemblyzer/pretrained.pt`` inside its wheel; voxid neither contains nor fetches them.

Source: Wan et al., "Generalized end-to-end loss for speaker verification", 2018, for network and windows.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from voxid.errors import CompatibilityError, ConfigError

TEACHER_DIM = 256
_RATE_HZ, _FFT, _HOP, _MELS = 16_000, 400, 160, 40
_WINDOW_FRAMES = 160
_LEVEL_DBFS = -30.0


class TeacherNetwork(nn.Module):
    """LSTM d-vector network, Mel power (W, 160, 40) -> unit embeddings (W, 256)."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(_MELS, TEACHER_DIM, 3, batch_first=True)
        self.linear = nn.Linear(TEACHER_DIM, TEACHER_DIM)

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        """(W, 160, 40) -> (W, 256), not negative, unit length."""
        _, (hidden, _) = self.lstm(mels)
        return nn.functional.normalize(torch.relu(self.linear(hidden[-1])), dim=1)


def load_teacher(file: Path, sha256: str) -> TeacherNetwork:
    """Return the teacher from its wheel or from the ``pretrained.pt`` inside.

    Args:
        file: ``Resemblyzer-0.1.4-*.whl`` or ``pretrained.pt``.
        sha256: what the recipe pins ``pretrained.pt`` to.

    Raises:
        ConfigError: ``teacher_missing`` when there is no such file.
        CompatibilityError: ``teacher_hash_mismatch`` when the weights are others.
    """
    if not file.is_file():
        raise ConfigError(
            "teacher_missing",
            f"there is no teacher at {file}; get it with `pip download --no-deps Resemblyzer==0.1.4` "
            "and give the wheel by --teacher.",
        )
    content = file.read_bytes()
    if zipfile.is_zipfile(file) and file.suffix == ".whl":
        with zipfile.ZipFile(file) as wheel:
            content = wheel.read("resemblyzer/pretrained.pt")
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise CompatibilityError(
            "teacher_hash_mismatch",
            f"the teacher in {file} has SHA-256 {found[:12]}…, the recipe pins {sha256[:12]}…; "
            "give the file the recipe was made with.",
        )
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)["model_state"]
    network = TeacherNetwork()
    network.load_state_dict(
        {key: value for key, value in state.items() if key.startswith(("lstm", "linear"))}
    )
    return network.eval()


def teach(network: TeacherNetwork, utterances: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return (U, 256), for each utterance the unit mean of the teacher's embeddings of its 1.6 s windows.

    Quiet speech is raised to -30 dBFS first. Windows follow each other without overlap, the last ends with the
    utterance; less than 1.6 s is padded with silence.
    """
    windows = [_windows(samples) for samples in utterances]
    stacked = torch.from_numpy(np.concatenate(windows))
    with torch.inference_mode():
        embeddings = torch.cat([network(stacked[i : i + 64]) for i in range(0, len(stacked), 64)]).numpy()
    firsts = np.cumsum([0, *(w.shape[0] for w in windows[:-1])])
    means = np.add.reduceat(embeddings, firsts, axis=0)
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), dtype=np.float32)


def _windows(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return Mel power of the utterance's windows, (W, 160, 40)."""
    level_db = 10.0 * np.log10(float(np.mean(samples.astype(np.float64) ** 2)) + 1e-12)
    mel = mel_power(samples * np.float32(10.0 ** (max(0.0, _LEVEL_DBFS - level_db) / 20.0)))
    if mel.shape[0] < _WINDOW_FRAMES:
        mel = np.pad(mel, ((0, _WINDOW_FRAMES - mel.shape[0]), (0, 0)))
    last = mel.shape[0] - _WINDOW_FRAMES
    return np.stack(
        [mel[i : i + _WINDOW_FRAMES] for i in sorted({*range(0, last + 1, _WINDOW_FRAMES), last})]
    )


def mel_power(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return Mel power (T, 40): 25 ms periodic Hann windows, centred every 10 ms, Slaney's bands of equal area."""
    padded = np.pad(samples, _FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP]
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(_FFT) / _FFT)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    return np.asarray(power @ _slaney_bands(), dtype=np.float32)


@cache
def _slaney_bands() -> NDArray[np.float64]:
    """Return (201, 40) triangular bands, linear below 1 kHz and logarithmic above (Slaney, Auditory Toolbox, 1998)."""
    top = 15.0 + np.log(8.0) / (np.log(6.4) / 27.0)
    mel = np.linspace(0.0, top, _MELS + 2)
    edge_hz = np.where(mel < 15.0, mel * 200.0 / 3.0, 1_000.0 * np.exp((mel - 15.0) * np.log(6.4) / 27.0))
    bin_hz = np.fft.rfftfreq(_FFT, 1.0 / _RATE_HZ)[:, None]
    rising = (bin_hz - edge_hz[:-2]) / (edge_hz[1:-1] - edge_hz[:-2])
    falling = (edge_hz[2:] - bin_hz) / (edge_hz[2:] - edge_hz[1:-1])
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return np.asarray(triangles * 2.0 / (edge_hz[2:] - edge_hz[:-2]))
