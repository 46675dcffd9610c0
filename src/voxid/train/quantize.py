"""A graph whose convolutions compute in 8 bits: static quantisation with ranges measured on speech.

Weights are rounded per output channel, activations per tensor (QDQ form, which ONNX Runtime turns into integer
kernels). Pooling, attention's softmax and the last projection compute in float; what is left of their weights is stored
in 8 bits all the same. Layers whose rounding costs too much are found by measuring and go back to float.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.shape_inference import quant_pre_process

from voxid.errors import CompatibilityError
from voxid.train.graph_embedder import Floats, Inputs, open_session, unit
from voxid.train.graph_surgery import compact, round_stored_weights, share_equal, share_statistics

Progress = Callable[[str, int, int], None]
Ranges = dict[
    str, NDArray[np.float32]
]  # activation -> (N, 2), the least and largest value in each of N inputs

_INTEGER_KERNELS: Final = ("Conv",)
# Shares of the calibration inputs whose extremes may be cut off. One recording with digital silence reaches four times
# as far as any speech; a range that holds it leaves speech few of the 256 steps.
_CLIPPED: Final = (0.0, 0.02, 0.1)
_SENSITIVITY_INPUTS: Final = 24


@dataclass(frozen=True)
class QuantizeOptions:
    """How far a quantised graph may be from the float one.

    Args:
        eer_lost_percent: absolute, on speakers held out, where there are any.
        min_cosine: mean cosine between quantised and float embeddings, where no EER can be measured.
        portable: weights of 7 bits, because 8-bit products overflow on x86 processors without VNNI. Measured on the
            first default bundle it costs nothing: mean cosine .9996 instead of .9997, and the same speed with VNNI.
    """

    eer_lost_percent: float = 0.1
    min_cosine: float = 0.98
    portable: bool = True


@dataclass(frozen=True)
class Attempt:
    """What one way to quantise did.

    Attributes:
        clipped: share of the calibration inputs whose extremes were cut off.
        float_layers: nodes left in float, by name.
        cosine: mean with the float embeddings, on speech the ranges were not measured on.
        eer_percent: of held-out speakers; None where it was not measured.
    """

    clipped: float
    float_layers: tuple[str, ...]
    cosine: float
    eer_percent: float | None


@dataclass(frozen=True)
class Quantized:
    """The graph, what was tried, and how many layers compute in 8 bits."""

    graph: bytes
    integer_layers: int
    attempts: tuple[Attempt, ...]

    @property
    def chosen(self) -> Attempt:
        """The attempt that became the graph."""
        return self.attempts[-1]


class MeasureEer(Protocol):
    """EER in percent of a graph, on speakers nothing is chosen by but this."""

    def __call__(self, graph: bytes) -> float:
        """Return the EER of an ONNX graph with the inputs and outputs of the original."""


def quantize_graph(
    graph: bytes,
    calibration: Sequence[Inputs],
    check: Sequence[Inputs],
    measure_eer: MeasureEer | None = None,
    options: QuantizeOptions | None = None,
    progress: Progress = lambda part, done, total: None,
) -> Quantized:
    """Return the graph in 8 bits, with as few layers left in float as the options allow.

    Args:
        graph: float ONNX.
        calibration: graph inputs of speech, one voice each, of several lengths: ranges are measured on them.
        check: others, for the cosine with the float embeddings.
        measure_eer: EER of a graph on held-out speakers; None leaves the cosine to decide.
        options: None takes the defaults.
        progress: called with (part, done, in all).

    Raises:
        CompatibilityError: ``nothing_to_quantize`` for a graph without convolutions; ``quantization_costs_too_much``
            when not even a single layer may be rounded.
    """
    asked = options or QuantizeOptions()
    model = prepare(graph)
    layers = quantizable(model)
    if not layers:
        raise CompatibilityError(
            "nothing_to_quantize",
            "the graph has no convolution with stored weights; it gains nothing from INT8.",
        )
    ranges = observe(model, layers, calibration, progress)
    trial = _Trial(model, ranges, asked, check, measure_eer)
    limit = None if measure_eer is None else trial.float_eer() + asked.eer_lost_percent
    clips = [trial.attempt(clip, layers) for clip in _CLIPPED]
    clip = max(clips, key=lambda attempt: attempt.cosine).clipped
    attempts = [*sorted(clips, key=lambda attempt: attempt.clipped == clip)]
    order: list[str] = []
    left = 0
    while True:
        made, verdict = trial.judged(clip, [name for name in layers if name not in order[:left]], layers)
        attempts.append(verdict)
        if _within(verdict, limit, asked):
            return Quantized(made, len(layers) - left, tuple(attempts))
        if left >= len(layers) - 1:
            raise CompatibilityError(
                "quantization_costs_too_much",
                f"with {len(layers) - left} of {len(layers)} layers in 8 bits the embeddings still differ too much "
                f"(mean cosine {verdict.cosine:.4f}); give more speech like that of the model's use.",
            )
        order = order or trial.by_sensitivity(clip, layers, progress)
        left = min(max(1, 2 * left), len(layers) - 1)


def _within(attempt: Attempt, limit: float | None, options: QuantizeOptions) -> bool:
    if limit is None or attempt.eer_percent is None:
        return attempt.cosine >= options.min_cosine
    return attempt.eer_percent <= limit


def prepare(graph: bytes) -> onnx.ModelProto:
    """Return the graph with shapes inferred, constants folded, batch normalisation fused, and every node named."""
    with tempfile.TemporaryDirectory() as work:
        before, after = Path(work) / "before.onnx", Path(work) / "after.onnx"
        before.write_bytes(graph)
        quant_pre_process(str(before), str(after), skip_symbolic_shape=True)
        model = onnx.load(str(after))
    taken: set[str] = set()
    for number, node in enumerate(model.graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{number}"
        taken.add(node.name)
    return model


def quantizable(model: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes that can compute in 8 bits: convolutions with stored weights."""
    stored = {one.name for one in model.graph.initializer}
    return [
        node.name for node in model.graph.node if node.op_type in _INTEGER_KERNELS and node.input[1] in stored
    ]


def observe(
    model: onnx.ModelProto, layers: Sequence[str], calibration: Sequence[Inputs], progress: Progress
) -> Ranges:
    """Return the extremes of what goes into and comes out of the layers, input by input."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    chosen = set(layers)
    names: dict[str, None] = {}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for node in model.graph.node:
        if node.name in chosen:
            names.update(dict.fromkeys([node.input[0], node.output[0]]))
            after = readers.get(node.output[0], [])
            names.update(dict.fromkeys(name for one in after if one.op_type == "Relu" for name in one.output))
    fed, returned = ({value.name for value in side} for side in (watched.graph.input, watched.graph.output))
    inner = [name for name in names if name not in fed]
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner if name not in returned)
    session = open_session(watched.SerializeToString())
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for done, inputs in enumerate(calibration):
        progress("calibration speech", done, len(calibration))
        values = dict(zip(inner, session.run(inner, inputs), strict=True)) | inputs
        for name, extremes in seen.items():
            extremes.append((float(values[name].min()), float(values[name].max())))
    progress("calibration speech", len(calibration), len(calibration))
    return {name: np.array(extremes, dtype=np.float32) for name, extremes in seen.items()}


class _Trial:
    """Quantises one prepared model in different ways and says what each does."""

    def __init__(
        self,
        model: onnx.ModelProto,
        ranges: Ranges,
        options: QuantizeOptions,
        check: Sequence[Inputs],
        measure_eer: MeasureEer | None,
    ) -> None:
        self._model, self._ranges, self._options = model, ranges, options
        self._check, self._measure_eer = check, measure_eer
        self._expected = _embeddings(model.SerializeToString(), check)

    def float_eer(self) -> float:
        """Return the EER of the float graph."""
        if self._measure_eer is None:
            raise ValueError("no speech to measure an EER on")
        return self._measure_eer(self._model.SerializeToString())

    def attempt(self, clipped: float, layers: Sequence[str]) -> Attempt:
        """Return what rounding these layers does to the embeddings, without an EER."""
        return Attempt(clipped, (), self.cosine(self.quantized(clipped, layers), len(self._check)), None)

    def judged(self, clipped: float, layers: Sequence[str], every: Sequence[str]) -> tuple[bytes, Attempt]:
        """Return the finished graph with these layers rounded, and its EER or cosine."""
        made = finish(self.quantized(clipped, layers))
        eer = None if self._measure_eer is None else self._measure_eer(made)
        kept = tuple(name for name in every if name not in set(layers))
        return made, Attempt(clipped, kept, self.cosine(made, len(self._check)), eer)

    def by_sensitivity(self, clipped: float, layers: Sequence[str], progress: Progress) -> list[str]:
        """Return the layers, first the one that alone moves the embeddings most."""
        cosines = []
        for done, name in enumerate(layers):
            progress("sensitivity of layers", done, len(layers))
            cosines.append(self.cosine(self.quantized(clipped, [name]), _SENSITIVITY_INPUTS))
        progress("sensitivity of layers", len(layers), len(layers))
        return [layers[int(i)] for i in np.argsort(cosines, kind="stable")]

    def cosine(self, graph: bytes | onnx.ModelProto, count: int) -> float:
        """Return the mean cosine with the float embeddings on the first ``count`` inputs of the check."""
        content = graph if isinstance(graph, bytes) else graph.SerializeToString()
        found = _embeddings(content, self._check[:count])
        return float((found * self._expected[:count]).sum(axis=1).mean())

    def quantized(self, clipped: float, layers: Sequence[str]) -> onnx.ModelProto:
        """Return the model in QDQ form with these layers rounded."""
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        limits = {
            name: tuple(np.float32(value) for value in _clip(extremes, clipped))
            for name, extremes in self._ranges.items()
        }
        quantizer = QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=self._options.portable,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, limits),
            nodes_to_quantize=[*layers, *_relus_after(model, layers)],
            nodes_to_exclude=[],
            op_types_to_quantize=[*_INTEGER_KERNELS, "Relu"],
            extra_options={},
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
        return quantizer.model.model


def finish(model: onnx.ModelProto) -> bytes:
    """Return the bytes to ship: remaining large weights stored in 8 bits, names short, nothing that is not needed."""
    round_stored_weights(model)
    share_statistics(model)
    share_equal(model)
    compact(model)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _clip(extremes: NDArray[np.float32], share: float) -> tuple[float, float]:
    """Return the range that leaves out the extremes of ``share`` of the inputs on either side."""
    return float(np.quantile(extremes[:, 0], share)), float(np.quantile(extremes[:, 1], 1.0 - share))


def _relus_after(model: onnx.ModelProto, layers: Sequence[str]) -> list[str]:
    """Return the ReLUs that become part of a rounded layer: their range begins at 0 and costs nothing."""
    made = {node.output[0] for node in model.graph.node if node.name in set(layers)}
    return [node.name for node in model.graph.node if node.op_type == "Relu" and node.input[0] in made]


def _embeddings(graph: bytes, inputs: Sequence[Inputs]) -> Floats:
    session = open_session(graph)
    return np.stack([unit(session.run(None, one)[0].reshape(-1)) for one in inputs])
