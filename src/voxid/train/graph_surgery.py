"""ONNX graphs made smaller on disk without changing what they compute, or hardly."""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

_MIN_VALUES: Final = 2_048  # smaller weights are not worth their scales
_LARGEST: Final = 127


def round_stored_weights(model: onnx.ModelProto) -> int:
    """Store the large float weights of matrix products and convolutions in 8 bits, in place; return how many.

    Each output channel has its own scale; a node in front of the product makes floats of them again, so that the
    product itself stays a float one.
    """
    stored = {one.name: one for one in model.graph.initializer}
    rounded: dict[str, onnx.NodeProto] = {}
    for node in model.graph.node:
        axis = _channel_axis(node)
        weight = stored.get(node.input[1]) if axis is not None else None
        if axis is None or weight is None or weight.data_type != onnx.TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(weight)
        if values.size < _MIN_VALUES or (node.op_type != "Conv" and values.ndim != 2):
            continue
        name = weight.name
        if name not in rounded:
            whole, scale = _rounded(values, axis)
            model.graph.initializer.remove(weight)
            model.graph.initializer.extend(
                [
                    numpy_helper.from_array(whole, f"{name}/whole"),
                    numpy_helper.from_array(scale, f"{name}/scale"),
                ]
            )
            rounded[name] = helper.make_node(
                "DequantizeLinear", [f"{name}/whole", f"{name}/scale"], [f"{name}/float"], axis=axis
            )
        node.input[1] = f"{name}/float"
    everything = [*rounded.values(), *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(everything)
    return len(rounded)


def share_statistics(model: onnx.ModelProto) -> None:
    """Put the mean and variance of batch normalisations into their scale and shift, in place.

    What is left, mean 0 and variance 1, is the same for all of one width: see :func:`share_equal`.
    """
    stored = {one.name: one for one in model.graph.initializer}
    uses = Counter(name for node in model.graph.node for name in node.input)
    for node in model.graph.node:
        parts = [stored.get(name) for name in node.input[1:]]
        if node.op_type != "BatchNormalization" or any(p is None or uses[p.name] > 1 for p in parts):
            continue
        known = [part for part in parts if part is not None]
        scale, shift, mean, variance = (numpy_helper.to_array(part).astype(np.float64) for part in known)
        epsilon = next((one.f for one in node.attribute if one.name == "epsilon"), 1e-5)
        gain = scale / np.sqrt(variance + epsilon)
        values = (gain * np.sqrt(1.0 + epsilon), shift - mean * gain, np.zeros_like(mean), np.ones_like(mean))
        for part, value in zip(known, values, strict=True):
            part.CopyFrom(numpy_helper.from_array(value.astype(np.float32), part.name))


def share_equal(model: onnx.ModelProto) -> None:
    """Keep one of the stored tensors that are equal to the byte, in place."""
    first: dict[bytes, str] = {}
    name_of: dict[str, str] = {}
    kept = []
    for one in model.graph.initializer:
        nameless = onnx.TensorProto()
        nameless.CopyFrom(one)
        nameless.name = ""
        name_of[one.name] = first.setdefault(nameless.SerializeToString(), one.name)
        if name_of[one.name] == one.name:
            kept.append(one)
    for node in model.graph.node:
        node.input[:] = [name_of.get(name, name) for name in node.input]
    everything = [onnx.TensorProto.FromString(one.SerializeToString()) for one in kept]
    del model.graph.initializer[:]
    model.graph.initializer.extend(everything)


def compact(model: onnx.ModelProto) -> None:
    """Shorten the names inside the graph and drop what ONNX Runtime does not read, in place.

    Names of inputs and outputs stay. A graph with graphs inside keeps its names.
    """
    graph = model.graph
    del graph.value_info[:]
    model.doc_string = graph.doc_string = ""
    del model.metadata_props[:]
    for node in graph.node:
        node.doc_string = ""
    if any(
        one.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
        for n in graph.node
        for one in n.attribute
    ):
        return
    short = {value.name: value.name for value in (*graph.input, *graph.output)} | {"": ""}

    def rename(name: str) -> str:
        if name not in short:
            short[name] = f"_{len(short)}"
        return short[name]

    for one in graph.initializer:
        one.name = rename(one.name)
    for number, node in enumerate(graph.node):
        node.name = f"n{number}"
        node.input[:] = [rename(name) for name in node.input]
        node.output[:] = [rename(name) for name in node.output]


def _channel_axis(node: onnx.NodeProto) -> int | None:
    """Return the axis of the second input that numbers output channels; None for other nodes."""
    if node.op_type == "Conv":
        return 0
    if node.op_type == "MatMul":
        return 1
    if node.op_type == "Gemm":
        return 0 if any(one.name == "transB" and one.i for one in node.attribute) else 1
    return None


def _rounded(values: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return whole numbers in [-127, 127] and the scale of each index along ``axis``."""
    others = tuple(d for d in range(values.ndim) if d != axis)
    scale = np.maximum(np.abs(values).max(axis=others) / _LARGEST, 1e-12).astype(np.float32)
    spread = np.expand_dims(scale, others)
    return np.clip(np.round(values / spread), -_LARGEST, _LARGEST).astype(np.int8), scale
