"""A segmentation model on disk that needs no training: one voice, heard wherever the fbank is loud."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from onnx import TensorProto, helper


def write_segmenter(folder: Path, above: float = 11.0) -> Path:
    """Write ``model.onnx`` and ``card.json``; fbank (B, T, 80) whose mean over bands passes ``above`` is a voice."""
    nodes = [
        helper.make_node("ReduceMean", ["fbank"], ["level"], axes=[2], keepdims=0),
        helper.make_node("Unsqueeze", ["level", "one"], ["rows"]),
        helper.make_node("AveragePool", ["rows"], ["steps"], kernel_shape=[25], strides=[2], pads=[12, 11]),
        helper.make_node("Sub", ["steps", "above"], ["over"]),
        helper.make_node("Sigmoid", ["over"], ["heard"]),
        helper.make_node("Transpose", ["heard"], ["activity"], perm=[0, 2, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "loudness",
        [helper.make_tensor_value_info("fbank", TensorProto.FLOAT, ["B", "T", 80])],
        [helper.make_tensor_value_info("activity", TensorProto.FLOAT, ["B", "S", 1])],
        [
            helper.make_tensor("one", TensorProto.INT64, [1], [1]),
            helper.make_tensor("above", TensorProto.FLOAT, [], [above]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    data = model.SerializeToString()
    (folder / "model.onnx").write_bytes(data)
    card = {
        "name": "loudness",
        "chunk_frames": 1_000,
        "voices": 1,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    return folder
