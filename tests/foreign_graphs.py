"""Small ONNX graphs with the signatures public speaker models have, for tests that add such models.

Each is a random projection of every frame through tanh, averaged over time: it tells voices apart a little, and an
oracle in three lines of numpy gives the same embedding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DIM = 48


def weights(n_in: int, dim: int = DIM, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((n_in, dim)) / np.sqrt(n_in)).astype(np.float32)


def expected(frames: np.ndarray, seed: int = 0) -> np.ndarray:
    """The embedding, of length 1, that such a graph gives for (T, F) frames."""
    out = np.tanh(frames @ weights(frames.shape[1], seed=seed)).mean(axis=0)
    return out / np.linalg.norm(out)


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[str | int],
    *,
    names: tuple[str, str] = ("feats", "embs"),
    constants: Mapping[str, np.ndarray] | None = None,
    metadata: Mapping[str, str] | None = None,
    out_shape: Sequence[str | int] = ("B", DIM),
    opset: Sequence[onnx.OperatorSetIdProto] = (),
) -> Path:
    """Write a graph of these nodes from ``names[0]`` of ``shape`` to ``names[1]``."""
    graph = helper.make_graph(
        list(nodes),
        "speaker",
        [helper.make_tensor_value_info(names[0], TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(names[1], TensorProto.FLOAT, list(out_shape))],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13), *opset])
    model.ir_version = 8
    for key, value in (metadata or {}).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save(model, path)
    return path


def fbank_graph(
    path: Path,
    *,
    names: tuple[str, str] = ("feats", "embs"),
    shape: Sequence[str | int] = ("B", "T", 80),
    metadata: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Path:
    """WeSpeaker's signature, or 3D-Speaker's by other names: (B, T, 80) -> (B, D)."""
    nodes = [
        helper.make_node("MatMul", [names[0], "W"], ["h"]),
        helper.make_node("Tanh", ["h"], ["t"]),
        helper.make_node("ReduceMean", ["t"], [names[1]], axes=[1], keepdims=0),
    ]
    return save(
        path,
        nodes,
        shape,
        names=names,
        constants={"W": weights(int(shape[-1]), seed=seed)},
        metadata=metadata,
    )


def mel_graph(path: Path) -> Path:
    """ReDimNet2 without its features: (1, 1, 72, T) -> (1, D)."""
    nodes = [
        helper.make_node("Squeeze", ["features", "one"], ["f"]),
        helper.make_node("Transpose", ["f"], ["x"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["x", "W"], ["h"]),
        helper.make_node("Tanh", ["h"], ["t"]),
        helper.make_node("ReduceMean", ["t"], ["embedding"], axes=[1], keepdims=0),
    ]
    constants = {"W": weights(72), "one": np.array([1], np.int64)}
    return save(
        path, nodes, (1, 1, 72, "T"), names=("features", "embedding"), constants=constants, out_shape=(1, DIM)
    )


def waveform_graph(path: Path, kernel: int = 400) -> Path:
    """ReDimNet's signature: samples (B, N) -> (B, D), by a convolution; nothing shorter than ``kernel`` works."""
    nodes = [
        helper.make_node("Unsqueeze", ["waveform", "one"], ["x"]),
        helper.make_node("Conv", ["x", "K"], ["h"], strides=[160]),
        helper.make_node("Tanh", ["h"], ["t"]),
        helper.make_node("ReduceMean", ["t"], ["embedding"], axes=[2], keepdims=0),
    ]
    rng = np.random.default_rng(5)
    constants = {
        "K": rng.standard_normal((DIM, 1, kernel)).astype(np.float32),
        "one": np.array([1], np.int64),
    }
    return save(path, nodes, ("B", "N"), names=("waveform", "embedding"), constants=constants)


def without_masks(path: Path, graph: bytes) -> Path:
    """One of voxid's own graphs as others publish theirs: features in, one embedding out, no weights."""
    model = onnx.load_from_string(graph)
    for node in model.graph.node:
        node.input[:] = ["feats" if name == "fbank" else name for name in node.input]
        node.output[:] = ["pooled" if name == "embeddings" else name for name in node.output]
    constants = {
        "none": np.float32(0),
        "all": np.float32(1),
        "two": np.array([2], np.int64),
        "k": np.array([1], np.int64),
    }
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), f"own/{name}") for name, value in constants.items()
    )
    before = [
        helper.make_node("ReduceSum", ["feats", "own/two"], ["own/sum"], keepdims=1),
        helper.make_node("Mul", ["own/sum", "own/none"], ["own/zero"]),
        helper.make_node("Add", ["own/zero", "own/all"], ["own/ones"]),
        helper.make_node("Transpose", ["own/ones"], ["weights"], perm=[0, 2, 1]),
    ]
    nodes = [*before, *model.graph.node, helper.make_node("Squeeze", ["pooled", "own/k"], ["embs"])]
    del model.graph.node[:], model.graph.input[:], model.graph.output[:]
    model.graph.node.extend(nodes)
    model.graph.input.append(helper.make_tensor_value_info("feats", TensorProto.FLOAT, ["B", "T", 80]))
    model.graph.output.append(helper.make_tensor_value_info("embs", TensorProto.FLOAT, ["B", "D"]))
    onnx.save(model, path)
    return path


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
