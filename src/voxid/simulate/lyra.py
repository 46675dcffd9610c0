"""Lyra V2, a neural codec, as a generator: speech through a network's encoder, quantiser and generative decoder.

Its weights are not part of voxid: ``lyra_generator`` takes the folder they lie in (three files of google/lyra,
folder lyra/model_coeffs, Apache-2.0).

Source: Zeghidour et al., "SoundStream: an end-to-end neural audio codec", IEEE/ACM TASLP 30, 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxid.errors import ConfigError
from voxid.simulate.distortions import Samples
from voxid.simulate.fakes import Generator

__all__ = ["LYRA", "lyra_generator"]

LYRA = "lyra"
"""Name of the generator."""

_FILES = ("soundstream_encoder.tflite", "quantizer.tflite", "lyragan.tflite")
_FRAME_SAMPLES = 320
_BITS_A_FRAME = (None, 184, 120, 64)  # None: not quantised; else 9.2, 6 and 3.2 kbit/s
_BITS_A_STAGE, _STAGES = 4, 46
_AHEAD_FRAMES = 2  # silence after the end, so that the last frames come out


@dataclass(frozen=True)
class _Networks:
    """The three networks of a folder, opened anew for every recording: the streaming ones keep a state."""

    folder: Path
    interpreter: Any

    def opened(self, name: str) -> Any:
        network = self.interpreter(str(self.folder / name), num_threads=1)
        network.allocate_tensors()
        return network


def lyra_generator(folder: Path) -> Generator:
    """Return the generator ``lyra`` of the family neural, with the weights in a folder.

    Raises:
        ConfigError: ``lyra_weights_missing``; ``litert_missing``: the package that runs them is not installed.
    """
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise ConfigError(
            "lyra_weights_missing",
            f"{folder} holds no {', '.join(missing)}; copy the three .tflite files of google/lyra's folder "
            "lyra/model_coeffs there.",
        )
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise ConfigError(
            "litert_missing",
            "Lyra's networks need ai-edge-litert, which is not installed; run: pip install ai-edge-litert.",
        ) from None
    networks = _Networks(folder, Interpreter)

    def forge(samples: Samples, rng: np.random.Generator, others: Sequence[Samples]) -> Samples:
        return _coded(samples, networks, _BITS_A_FRAME[int(rng.integers(len(_BITS_A_FRAME)))])

    return Generator(LYRA, "neural", "Zeghidour et al. 2022 (Lyra V2)", forge, needs="ai_edge_litert")


def _coded(samples: Samples, networks: _Networks, bits: int | None) -> Samples:
    """Return the samples after encoder, quantiser (``bits`` a frame; None: without) and decoder, as long."""
    encoder, decoder = networks.opened(_FILES[0]), networks.opened(_FILES[2])
    quantiser = networks.opened(_FILES[1])
    heard, told = encoder.get_input_details()[0], encoder.get_output_details()[0]["index"]
    given, made = decoder.get_input_details()[0], decoder.get_output_details()[0]["index"]
    padding = -samples.size % _FRAME_SAMPLES + _AHEAD_FRAMES * _FRAME_SAMPLES
    frames = np.pad(samples, (0, padding)).reshape(-1, _FRAME_SAMPLES)
    pieces = []
    for frame in frames:
        encoder.set_tensor(heard["index"], frame.reshape(heard["shape"]).astype(np.float32))
        encoder.invoke()
        features = encoder.get_tensor(told)
        if bits is not None:
            features = _quantised(features, quantiser, bits // _BITS_A_STAGE)
        decoder.set_tensor(given["index"], features.reshape(given["shape"]).astype(np.float32))
        decoder.invoke()
        pieces.append(decoder.get_tensor(made).reshape(-1).copy())
    return np.asarray(np.concatenate(pieces)[: samples.size], dtype=np.float32)


def _quantised(features: NDArray[np.float32], quantiser: Any, stages: int) -> NDArray[np.float32]:
    """Return the features through the first ``stages`` of the residual quantiser."""
    encode, decode = quantiser.get_signature_runner("encode"), quantiser.get_signature_runner("decode")
    shape = encode.get_input_details()["input_frames"]["shape"]
    found = encode(num_quantizers=np.array(stages, np.int32), input_frames=features.reshape(shape))[
        "output_0"
    ]
    indices = np.full((_STAGES, 1, 1), -1, np.int32)
    indices[:stages, 0, 0] = found.reshape(-1)[:stages]
    return np.asarray(decode(encoding_indices=indices)["output_0"], dtype=np.float32)
