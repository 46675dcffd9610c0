"""Which channels of a network can go, and what has to go with each.

A channel made by one convolution is read by others, added to a skip, normalised, gated, pooled twice: taking it away
means taking a slice of every parameter it runs through. The network is traced once into single operations, and every
index of every parameter is given the number of the channel it belongs to; where two channels are added or multiplied,
their numbers become one. What the tracing does not understand is left alone.

Source: Fang et al., "DepGraph: towards any structural pruning", 2023, for the idea of grouping by dependency.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx

from voxid.features import N_MELS

Numbers = NDArray[np.int64]
Node = Any  # an fx.Node, whose arguments torch types as a union of everything
Axes = list[
    Numbers | None
]  # of one tensor: the channel number of each index of each axis, None where it has none
_TRACE_FRAMES = (
    256  # beyond the reach of squeeze and excitation, so that the branch users run is the one traced
)

_KEEP_SHAPE = ("clone", "detach", "alias", "_to_copy", "contiguous", "expand")
_PADDING = ("constant_pad_nd", "replication_pad1d", "replication_pad2d", "reflection_pad1d")
_REDUCTIONS = ("mean", "sum", "amax", "amin")
_CONSTANTS = (
    "new_ones",
    "new_zeros",
    "new_full",
    "ones_like",
    "zeros_like",
    "full_like",
    "new_empty",
    "empty_like",
)


@dataclass(frozen=True, eq=False)
class Channels:
    """The channels of a network.

    Attributes:
        owner: by parameter or buffer, for each axis the channel number (N,) of each of its indices.
        layers: by the parameter that makes them, the distinct channels that may be taken away, (C,); a channel shared
            by several layers stands with the first.
    """

    owner: dict[str, tuple[Numbers, ...]]
    layers: dict[str, Numbers]


def find_channels(network: nn.Module) -> Channels:
    """Return the channels of a network in evaluation mode that takes fbank (B, T, 80) and weights (B, K, T)."""
    state = network.state_dict()
    names = list(state)

    def run(fbank: Tensor, weights: Tensor, *values: Tensor) -> Any:
        return torch.func.functional_call(network, dict(zip(names, values, strict=True)), (fbank, weights))

    inputs = torch.zeros(1, _TRACE_FRAMES, N_MELS), torch.ones(1, 1, _TRACE_FRAMES)
    with torch.no_grad():
        traced = make_fx(run, tracing_mode="fake")(*inputs, *state.values())
    walk = _Walk()
    walk.follow(traced.graph, names)
    owner = {name: tuple(walk.roots(axis) for axis in axes) for name, axes in walk.parameters.items()}
    layers: dict[str, Numbers] = {}
    seen: set[int] = set()
    for name in walk.makers:
        free = [c for c in dict.fromkeys(owner[name][0].tolist()) if not walk.is_frozen(c) and c not in seen]
        seen.update(free)
        if free:
            layers[name] = np.array(free)
    return Channels(owner, layers)


class _Walk:
    """Channel numbers of every value of a traced graph, as a union-find whose roots may be frozen."""

    def __init__(self) -> None:
        self.parameters: dict[str, list[Numbers]] = {}
        self.makers: list[str] = []
        self._name_of: dict[fx.Node, str] = {}
        self._axes: dict[fx.Node, Any] = {}
        self._parent: list[int] = []
        self._frozen: set[int] = set()

    def follow(self, graph: fx.Graph, names: list[str]) -> None:
        """Visit every node; placeholders are the two inputs, then the parameters in the order of ``names``."""
        placeholders = [node for node in graph.nodes if node.op == "placeholder"]
        for node, name in zip(placeholders[2:], names, strict=True):
            self.parameters[name] = [self._fresh(n) for n in node.meta["val"].shape]
            self._axes[node], self._name_of[node] = list(self.parameters[name]), name
        for node in graph.nodes:
            if node.op == "output":
                self._freeze_all(node.all_input_nodes)
            elif node.op == "call_function":
                self._axes[node] = self._visit(node)

    def roots(self, numbers: Numbers) -> Numbers:
        """Return each number's representative."""
        return np.array([self._root(int(n)) for n in numbers], dtype=np.int64)

    def is_frozen(self, root: int) -> bool:
        """Return whether the channel has to stay."""
        return root in self._frozen

    # Numbers

    def _fresh(self, count: int) -> Numbers:
        first = len(self._parent)
        self._parent.extend(range(first, first + count))
        return np.arange(first, first + count)

    def _root(self, number: int) -> int:
        while self._parent[number] != number:
            self._parent[number] = number = self._parent[self._parent[number]]
        return number

    def _join(self, first: Numbers | None, second: Numbers | None) -> Numbers | None:
        """Make two axes' channels one, index by index, and return them; an axis without numbers takes the other's."""
        if first is None or second is None:
            return second if first is None else first
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            low, high = sorted((self._root(a), self._root(b)))
            self._parent[high] = low
            if high in self._frozen:
                self._frozen.add(low)
        return first

    def _freeze(self, axis: Numbers | None) -> None:
        if axis is not None:
            self._frozen.update(self._root(int(n)) for n in axis)

    def _freeze_all(self, nodes: Iterable[fx.Node]) -> None:
        for node in nodes:
            for axis in self._of(node) or []:
                self._freeze(axis)

    def _of(self, node: Any) -> Axes:
        """Return a copy of a value's axes; numbers and constants have none."""
        found = self._axes.get(node)
        if found is None:
            value = node.meta.get("val") if isinstance(node, fx.Node) else None
            return [None] * (value.dim() if isinstance(value, Tensor) else 0)
        return list(found)

    # Operations

    def _visit(self, node: Node) -> Any:
        target = node.target
        if target is operator.getitem:
            source = self._axes[node.args[0]]
            return source[node.args[1]] if isinstance(source, tuple) else source
        name = cast(Any, target).overloadpacket.__name__
        rule: Callable[[Node], Any] | None = getattr(self, f"_on_{name}", None)
        if rule is not None:
            return rule(node)
        if name in _KEEP_SHAPE:
            return self._on_elementwise(node)
        if name in _PADDING:
            return self._of(node.args[0])
        if name in _REDUCTIONS:
            return self._on_reduction(node)
        if torch.Tag.pointwise in cast(Any, target).tags:
            return self._on_elementwise(node)
        if name in _CONSTANTS:
            return None
        self._freeze_all(node.all_input_nodes)
        return None

    def _on_elementwise(self, node: Node) -> Axes:
        shape = node.meta["val"].shape
        out: Axes = [None] * len(shape)
        for source in node.all_input_nodes:
            axes = self._of(source)
            for place, axis in enumerate(axes, start=len(shape) - len(axes)):
                if (
                    axis is not None and axis.size == shape[place]
                ):  # an axis of length 1 is spread and joins nothing
                    out[place] = self._join(out[place], axis)
        return out

    def _on_convolution(self, node: Node) -> Axes:
        x, weight, bias, *_, groups = node.args
        inside, kernel = self._of(x), self._of(weight)
        made = kernel[0]
        if groups == 1:
            self._meet(inside[1], kernel[1])
        elif groups == node.meta["val"].shape[1] and cast(Tensor, weight.meta["val"]).shape[1] == 1:
            self._join(inside[1], made)
        else:
            self._freeze(inside[1])
            self._freeze(made)
        if bias is not None:
            self._join(made, self._of(bias)[0])
        if weight in self._name_of:
            self.makers.append(self._name_of[weight])
        return [None, made, *[None] * (len(inside) - 2)]

    def _on_addmm(self, node: Node) -> Axes:
        bias, *factors = node.args
        out = self._product(*factors)
        self._join(out[-1], self._of(bias)[-1])
        return out

    def _on_mm(self, node: Node) -> Axes:
        return self._product(*node.args)

    _on_bmm = _on_mm

    def _product(self, left: Any, right: Any) -> Axes:
        """Rows times columns: the inner axes meet, the outer ones stay."""
        a, b = self._of(left), self._of(right)
        self._meet(a[-1], b[-2])
        weight = right.args[0] if right.op == "call_function" and right.args else right  # x @ W.T
        if weight in self._name_of:
            self.makers.append(self._name_of[weight])
        return [*a[:-1], b[-1]]

    def _meet(self, carried: Numbers | None, read: Numbers | None) -> None:
        """The channels ``carried`` are read by the axis ``read``; without numbers they cannot be taken away."""
        if carried is None or read is None:
            self._freeze(carried)
            self._freeze(read)
        else:
            self._join(carried, read)

    def _on_native_batch_norm(self, node: Node) -> tuple[Axes, None, None]:
        x, *parameters = node.args[:5]
        axes = self._of(x)
        for parameter in parameters:
            axes[1] = self._join(axes[1], self._of(parameter)[0])
        return axes, None, None

    _on__native_batch_norm_legit_no_training = _on_native_batch_norm

    def _on_reduction(self, node: Node) -> Axes:
        axes = self._of(node.args[0])
        given = node.args[1] if len(node.args) > 1 else list(range(len(axes)))
        dims = {int(d) % len(axes) for d in (given if isinstance(given, list | tuple) else [given])}
        for d in dims:
            self._freeze(axes[d])
        kept = len(axes) == node.meta["val"].dim()
        return [None if d in dims else axis for d, axis in enumerate(axes) if kept or d not in dims]

    def _on_cumsum(self, node: Node) -> Axes:
        axes = self._of(node.args[0])
        self._freeze(axes[int(node.args[1])])
        return axes

    _on__softmax = _on_cumsum

    def _on_slice(self, node: Node) -> Axes:
        axes = self._of(node.args[0])
        d = int(node.args[1]) if len(node.args) > 1 else 0
        whole = node.args[0].meta["val"].shape[d] == node.meta["val"].shape[d]
        if axes[d] is not None and not whole:
            self._freeze(axes[d])
            axes[d] = None
        return axes

    def _on_select(self, node: Node) -> Axes:
        axes = self._of(node.args[0])
        self._freeze(axes.pop(int(node.args[1])))
        return axes

    def _on_unbind(self, node: Node) -> tuple[Axes, ...]:
        one = self._of(node.args[0])
        self._freeze(one.pop(int(node.args[1]) if len(node.args) > 1 else 0))
        return tuple(list(one) for _ in node.meta["val"])

    def _on_split(self, node: Node) -> tuple[Axes, ...]:
        """Equal parts of an axis: whatever goes from one must go from all, or they would no longer be equal."""
        axes = self._of(node.args[0])
        d = int(node.args[2]) if len(node.args) > 2 else 0
        sizes = [part.shape[d] for part in node.meta["val"]]
        whole = axes[d]
        if whole is None:
            return tuple(list(axes) for _ in sizes)
        parts = np.split(whole, np.cumsum(sizes)[:-1])
        for part in parts[1:]:
            if part.size == parts[0].size:
                self._join(parts[0], part)
            else:
                self._freeze(whole)
        return tuple([*axes[:d], part, *axes[d + 1 :]] for part in parts)

    def _on_cat(self, node: Node) -> Axes:
        sources = [self._of(source) for source in node.args[0]]
        d = int(node.args[1]) % len(sources[0]) if len(node.args) > 1 else 0
        out = sources[0]
        for other in sources[1:]:
            for place, axis in enumerate(other):
                if place != d:
                    out[place] = self._join(out[place], axis)
        pieces = [axes[d] for axes in sources]
        if all(piece is None for piece in pieces):
            out[d] = None
        else:
            out[d] = np.concatenate(
                [self._constant(s, d) if p is None else p for s, p in zip(node.args[0], pieces, strict=True)]
            )
        return out

    def _constant(self, node: Node, axis: int) -> Numbers:
        numbers = self._fresh(node.meta["val"].shape[axis])
        self._freeze(numbers)
        return numbers

    def _on_transpose(self, node: Node) -> Axes:
        axes = self._of(node.args[0])
        a, b = (int(d) for d in node.args[1:3])
        axes[a], axes[b] = axes[b], axes[a]
        return axes

    def _on_t(self, node: Node) -> Axes:
        return self._of(node.args[0])[::-1]

    def _on_permute(self, node: Node) -> Axes:
        axes = self._of(node.args[0])
        return [axes[int(d)] for d in node.args[1]]

    def _on_unsqueeze(self, node: Node) -> Axes:
        axes = self._of(node.args[0])
        axes.insert(int(node.args[1]) % (len(axes) + 1), None)
        return axes

    def _on_squeeze(self, node: Node) -> Axes:
        return self._on_view(node)

    def _on_view(self, node: Node) -> Axes:
        """Axes merged or taken apart; see :func:`_matched`."""
        axes = self._of(node.args[0])
        before, after = tuple(node.args[0].meta["val"].shape), tuple(node.meta["val"].shape)
        out: Axes = [None] * len(after)
        for old, new in _matched(before, after):
            numbered = [d for d in old if axes[d] is not None and before[d] > 1]
            if not numbered:
                continue
            wide = [d for d in new if after[d] > 1]
            if len(numbered) > 1 or not wide:
                for d in numbered:
                    self._freeze(axes[d])
                continue
            spread = [before[d] for d in old]
            shape = [before[d] if d == numbered[0] else 1 for d in old]
            flat = np.broadcast_to(cast(Numbers, axes[numbered[0]]).reshape(shape), spread).reshape(-1)
            if len(wide) == 1:
                out[wide[0]] = flat
                continue
            # Taken apart, the outermost axis keeps the channels: what lies below one of its indices goes as a whole.
            blocks = flat.reshape(after[wide[0]], -1)
            for column in blocks.T[1:]:
                self._join(blocks[:, 0], column)
            out[wide[0]] = blocks[:, 0]
        return out

    _on__unsafe_view = _on_view
    _on_reshape = _on_view


def _matched(before: tuple[int, ...], after: tuple[int, ...]) -> list[tuple[list[int], list[int]]]:
    """Return which axes of one shape become which of the other: the smallest runs of equal product."""
    pairs: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(before) or j < len(after):
        old: list[int] = []
        new: list[int] = []
        left = right = 1
        while not old or not new or left != right:
            if (left <= right and i < len(before)) or j >= len(after):
                if i >= len(before):
                    break
                old.append(i)
                left *= before[i]
                i += 1
            else:
                new.append(j)
                right *= after[j]
                j += 1
        pairs.append((old, new))
    return pairs
