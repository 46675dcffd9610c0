"""A network to ``model.onnx`` and its ``card.json``, after the graph was run beside the network."""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import onnxruntime as ort
import torch
from torch import Tensor, nn

from voxid.errors import CompatibilityError
from voxid.graph import CARD_FILE, GRAPH_FILE
from voxid.train.half_weights import halve_weights

PARITY_TOLERANCE: Final = 1e-4


@dataclass(frozen=True)
class GraphForm:
    """What goes into a graph and comes out.

    Args:
        inputs: names, in the order of the network's arguments.
        output: name.
        axes: those of any size, by name and number.
        examples: arguments the graph is tried with; it is traced with the first.
    """

    inputs: tuple[str, ...]
    output: str
    axes: dict[str, dict[int, str]]
    examples: Sequence[tuple[Tensor, ...]]


def export_graph(network: nn.Module, form: GraphForm, path: Path) -> float:
    """Write a network that gives probabilities as ONNX and return how far the two are apart at most.

    Raises:
        CompatibilityError: ``export_differs`` above 1e-4.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            form.examples[0],
            str(path),
            input_names=list(form.inputs),
            output_names=[form.output],
            dynamic_axes=form.axes,
            opset_version=17,
            dynamo=False,
        )
    worst = difference(network, form, path)
    if not worst <= PARITY_TOLERANCE:
        raise CompatibilityError(
            "export_differs",
            f"the ONNX graph differs from PyTorch by {worst:.2e}, more than {PARITY_TOLERANCE:g}; do not ship it.",
        )
    return worst


def difference(network: nn.Module, form: GraphForm, path: Path) -> float:
    """Return how far the probabilities of a graph and of the network are apart at most, on the form's examples."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for example in form.examples:
        with torch.inference_mode():
            expected = network(*example)
        fed = {name: part.numpy() for name, part in zip(form.inputs, example, strict=True)}
        found = torch.from_numpy(session.run(None, fed)[0])
        worst = max(worst, float((found - expected).abs().max()))
    return worst


def write_model(network: nn.Module, form: GraphForm, folder: Path, entries: dict[str, Any]) -> None:
    """Write graph, its weights in 16 bits, and card; an existing model is replaced file by file, card last.

    Args:
        entries: of the card, beside date, parity, the difference that rounding the weights makes, and hash.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        draft = Path(work) / GRAPH_FILE
        parity = export_graph(network, form, draft)
        halve_weights(draft)
        card = {
            **entries,
            "created": date.today().isoformat(),
            "onnx_parity": parity,
            "rounding": difference(network, form, draft),
            "sha256": hashlib.sha256(draft.read_bytes()).hexdigest(),
        }
        draft.replace(folder / GRAPH_FILE)
    (folder / CARD_FILE).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
