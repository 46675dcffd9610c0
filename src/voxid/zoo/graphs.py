"""What an ONNX file says of itself, read without running it and without the ``onnx`` package.

A model file comes from a stranger. Before any runtime loads it, its protobuf is walked here: every length is checked
against what is there, files outside it and operators nobody knows are refused, and inputs, outputs, parameters and
metadata are told. Only the fields looked at are named; the rest is skipped, not copied.

Source: onnx/onnx.proto (field numbers), protobuf.dev/programming-guides/encoding (the wire format).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from voxid.errors import CompatibilityError

MAX_PARAMETERS: Final = 500_000_000
"""More than any speaker model; a file that declares more is broken or means harm."""

KNOWN_DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"})

_MAX_DEPTH: Final = 12
_MAX_NODES: Final = 100_000
_MAX_ENTRIES: Final = 1_000
_ELEMENTS: Final = {1: "float32", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 11: "float64"}

# Field numbers of onnx.proto.
_MODEL_GRAPH, _MODEL_METADATA, _MODEL_PRODUCER, _MODEL_FUNCTION = 7, 14, 2, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_SPARSE = 1, 5, 11, 12, 15
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_FUNCTION_NODE, _FUNCTION_DOMAIN = 7, 10
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_EXTERNAL, _TENSOR_LOCATION = 1, 2, 8, 13, 14


@dataclass(frozen=True)
class Port:
    """One input or output of a graph.

    Attributes:
        name: of the tensor.
        element: ``float32``, ``int64``, ... or ``other``.
        shape: one entry per axis; None where the length is free.
    """

    name: str
    element: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        axes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name} ({axes}) {self.element}"


@dataclass
class Graph:
    """What a file holds.

    Attributes:
        inputs, outputs: what must be fed and what comes out.
        parameters: numbers in its initialisers.
        metadata: what the exporter wrote beside the graph.
        producer: the program that wrote it.
        operators: names of the operators used.
        domains: where operators may come from: ONNX, and functions the file itself defines.
    """

    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)
    parameters: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
    producer: str = ""
    operators: set[str] = field(default_factory=set)
    domains: set[str] = field(default_factory=lambda: set(KNOWN_DOMAINS))


class _BrokenError(Exception):
    """The bytes are no protobuf of this kind; the message says why."""


def read_graph(content: bytes) -> Graph:
    """Return what an ONNX file holds.

    Raises:
        CompatibilityError: ``model_broken`` for bytes that end too early or are no ONNX graph, ``model_external_data``
            when its weights lie in other files, ``model_operator_unknown`` for operators outside the standard,
            ``model_too_large`` when it declares more than 500 million parameters.
    """
    found = Graph()
    names: set[str] = set()
    seen = False
    try:
        functions = [_message(value) for number, value in _fields(content) if number == _MODEL_FUNCTION]
        found.domains |= {_text(dict(_fields(function)).get(_FUNCTION_DOMAIN, b"")) for function in functions}
        for function in functions:
            for number, value in _fields(function):
                if number == _FUNCTION_NODE:
                    _read_node(_message(value), found, set(), 1)
        for number, value in _fields(content):
            if number == _MODEL_GRAPH:
                seen = True
                _read_nodes(_message(value), found, names, 0, top=True)
            elif number == _MODEL_METADATA:
                entry = dict(_fields(_message(value)))
                if len(found.metadata) < _MAX_ENTRIES:
                    found.metadata[_text(entry.get(1, b""))] = _text(entry.get(2, b""))
            elif number == _MODEL_PRODUCER:
                found.producer = _text(value)
    except (_BrokenError, RecursionError) as error:
        raise CompatibilityError(
            "model_broken",
            f"the file is not a whole ONNX model: {error}. Get it again, and compare its SHA-256 with the publisher's.",
        ) from error
    if not seen or not found.outputs:
        raise CompatibilityError(
            "model_broken", "the file holds no ONNX graph with outputs. Get it again, or export it as ONNX."
        )
    found.inputs = [port for port in found.inputs if port.name not in names]
    return found


def _read_nodes(graph: memoryview, found: Graph, names: set[str], depth: int, *, top: bool) -> None:
    """Add what a graph, or one inside a node of it, holds."""
    if depth > _MAX_DEPTH:
        raise _BrokenError(f"graphs lie more than {_MAX_DEPTH} deep in each other")
    nodes = 0
    for number, value in _fields(graph):
        if number == _GRAPH_NODE:
            nodes += 1
            if nodes > _MAX_NODES:
                raise _BrokenError(f"it has more than {_MAX_NODES} nodes")
            _read_node(_message(value), found, names, depth)
        elif number == _GRAPH_INITIALIZER:
            _read_tensor(_message(value), found, names)
        elif number == _GRAPH_SPARSE:
            raise _BrokenError("it stores sparse weights, which voxid does not read")
        elif top and number in (_GRAPH_INPUT, _GRAPH_OUTPUT):
            ports = found.inputs if number == _GRAPH_INPUT else found.outputs
            if len(ports) < _MAX_ENTRIES:
                ports.append(_read_port(_message(value)))


def _read_node(node: memoryview, found: Graph, names: set[str], depth: int) -> None:
    domain, operator = "", ""
    for number, value in _fields(node):
        if number == _NODE_OPERATOR:
            operator = _text(value)
        elif number == _NODE_DOMAIN:
            domain = _text(value)
        elif number == _NODE_ATTRIBUTE:
            for inner, content in _fields(_message(value)):
                if inner in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
                    _read_tensor(_message(content), found, set())
                elif inner in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                    _read_nodes(_message(content), found, names, depth + 1, top=False)
    if domain not in found.domains:
        raise CompatibilityError(
            "model_operator_unknown",
            f"the graph uses the operator {operator[:60]} of {domain[:60]!r}, which is no part of ONNX: it needs a "
            "plug-in, and voxid loads none. Export the model with standard operators.",
        )
    found.operators.add(operator)


def _read_tensor(tensor: memoryview, found: Graph, names: set[str]) -> None:
    dims: list[int] = []
    for number, value in _fields(tensor):
        if number == _TENSOR_DIMS:
            dims += [value] if isinstance(value, int) else _packed(value)
        elif number == _TENSOR_NAME:
            names.add(_text(value))
        elif number == _TENSOR_EXTERNAL or (number == _TENSOR_LOCATION and value == 1):
            raise CompatibilityError(
                "model_external_data",
                "the model keeps weights in other files beside it, which its SHA-256 does not cover. Save it as one "
                "file (onnx.save without external data) and add that.",
            )
    count = math.prod(dims)
    found.parameters += count
    if max((*dims, count, found.parameters)) > MAX_PARAMETERS:
        raise CompatibilityError(
            "model_too_large",
            f"the graph declares a tensor of shape {tuple(dims)[:6]}; a whole model has at most {MAX_PARAMETERS:,} "
            "parameters here. Get the file again.",
        )


def _read_port(info: memoryview) -> Port:
    """Return a ValueInfoProto: name and, inside its type, element kind and shape."""
    entry = dict(_fields(info))
    tensor = dict(_fields(_message(dict(_fields(_message(entry.get(2, b"")))).get(1, b""))))
    shape: list[int | None] = []
    for number, value in _fields(_message(tensor.get(2, b""))):
        if number == 1 and len(shape) < 16:
            size = dict(_fields(_message(value))).get(1)
            shape.append(size if isinstance(size, int) and size > 0 else None)
    element = tensor.get(1, 0)
    return Port(
        _text(entry.get(1, b"")),
        _ELEMENTS.get(element if isinstance(element, int) else 0, "other"),
        tuple(shape),
    )


def _fields(buffer: memoryview | bytes) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (field number, varint or bytes) of a message; fixed-width fields are skipped."""
    view, at = memoryview(buffer), 0
    while at < len(view):
        key, at = _varint(view, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise _BrokenError(f"field number 0 at byte {at}")
        if kind == 0:
            value, at = _varint(view, at)
            yield number, value
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        elif kind == 2:
            length, at = _varint(view, at)
            if length > len(view) - at:
                raise _BrokenError(f"{length} bytes are announced at byte {at}, {len(view) - at} are there")
            yield number, view[at : at + length]
            at += length
        else:
            raise _BrokenError(f"wire type {kind} at byte {at}")
    if at != len(view):
        raise _BrokenError("it ends inside a number")


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(view):
            raise _BrokenError("it ends inside a number")
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _BrokenError(f"a number at byte {at} does not end")


def _packed(view: memoryview) -> list[int]:
    values: list[int] = []
    at = 0
    while at < len(view) and len(values) <= 16:
        value, at = _varint(view, at)
        values.append(value)
    return values


def _message(value: int | memoryview | bytes) -> memoryview:
    if isinstance(value, int):
        raise _BrokenError("a number stands where a message is expected")
    return memoryview(value)


def _text(value: int | memoryview | bytes) -> str:
    return bytes(_message(value)[:4_096]).decode("utf-8", errors="replace")
