"""A spoof detector on disk that needs no training: it goes by level and offset, so that a test can make any outcome.

Speech at its usual level (-25 dB of full scale) is genuine; 10 dB softer is suspicious, 20 dB softer a spoof; with a
constant of 0.01 added it is a replay. White noise and pure tones lie outside its domain.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

PIECE_SAMPLES = 64_000
SUSPICIOUS_GAIN, SPOOF_GAIN, REPLAY_OFFSET = 0.3, 0.1, 0.01


def write_detector(folder: Path, **changed: Any) -> Path:
    """Write ``model.onnx`` and ``card.json``; ``changed`` replaces entries of the card."""
    folder.mkdir(parents=True, exist_ok=True)
    data = _graph().SerializeToString()
    (folder / "model.onnx").write_bytes(data)
    card = {
        "name": "level",
        "version": "1",
        "licence": "Apache-2.0",
        "training": {"domain": ["none"], "generators": [], "families": []},
        "piece_samples": PIECE_SAMPLES,
        "parameters": 0,
        "sha256": {"model.onnx": hashlib.sha256(data).hexdigest()},
        "calibration": {
            "synthetic": {"slope": 0.5, "offset": 16.0},
            "replay": {"slope": 1.0, "offset": 3.0},
        },
        "thresholds": {
            "synthetic": {"spoof_llr": -3.0, "genuine_llr": 0.0},
            "replay": {"spoof_llr": -3.0, "genuine_llr": 0.0},
        },
        "domain": {"mean": [0.55, 0.4], "precision": [[250.0, 0.0], [0.0, 40.0]], "limit": 5.0},
    }
    (folder / "card.json").write_text(json.dumps({**card, **changed}), encoding="utf-8")
    return folder


def expected(pieces: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (scores (B, 2), embedding (B, 2)) as the graph gives them for (B, N) samples."""
    x = pieces.astype(np.float64)
    power = np.square(x).mean(axis=1) + 1e-9
    scores = np.stack([10 * np.log10(power), -1000 * np.abs(x.mean(axis=1))], axis=1)
    rms = np.sqrt(power)
    steps = np.sqrt(np.square(np.diff(x, axis=1)).mean(axis=1))
    return scores, np.stack([np.abs(x).mean(axis=1) / rms, steps / rms], axis=1)


def _graph() -> Any:
    nodes = [
        helper.make_node("Mul", ["samples", "samples"], ["squares"]),
        helper.make_node("ReduceMean", ["squares"], ["power"], axes=[1], keepdims=1),
        helper.make_node("Add", ["power", "floor"], ["lifted"]),
        helper.make_node("Log", ["lifted"], ["nepers"]),
        helper.make_node("Mul", ["nepers", "decibel"], ["level"]),
        helper.make_node("ReduceMean", ["samples"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Abs", ["mean"], ["offset"]),
        helper.make_node("Mul", ["offset", "thousand"], ["constant"]),
        helper.make_node("Concat", ["level", "constant"], ["scores"], axis=1),
        helper.make_node("Sqrt", ["lifted"], ["rms"]),
        helper.make_node("Abs", ["samples"], ["sizes"]),
        helper.make_node("ReduceMean", ["sizes"], ["size"], axes=[1], keepdims=1),
        helper.make_node("Slice", ["samples", "one", "end", "one"], ["later"]),
        helper.make_node("Slice", ["samples", "zero", "last", "one"], ["earlier"]),
        helper.make_node("Sub", ["later", "earlier"], ["steps"]),
        helper.make_node("Mul", ["steps", "steps"], ["step_squares"]),
        helper.make_node("ReduceMean", ["step_squares"], ["step_power"], axes=[1], keepdims=1),
        helper.make_node("Sqrt", ["step_power"], ["step"]),
        helper.make_node("Concat", ["size", "step"], ["both"], axis=1),
        helper.make_node("Div", ["both", "rms"], ["embedding"]),
    ]
    numbers = {"floor": 1e-9, "decibel": 10 / np.log(10), "thousand": -1000.0}
    places = {"zero": 0, "one": 1, "last": -1, "end": 1 << 40}
    graph = helper.make_graph(
        nodes,
        "level",
        [helper.make_tensor_value_info("samples", TensorProto.FLOAT, ["B", "N"])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["B", 2]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["B", 2]),
        ],
        [
            *(helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in numbers.items()),
            *(helper.make_tensor(name, TensorProto.INT64, [1], [value]) for name, value in places.items()),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model
