"""A trained spoof detector to a model on disk: ONNX graph with its front end inside, and card."""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch

from voxid.errors import CompatibilityError
from voxid.graph import CARD_FILE, GRAPH_FILE
from voxid.spoof.detector import SpoofDetector
from voxid.train.half_weights import halve_weights
from voxid.train.spoof.network import DetectorNetwork

__all__ = ["export_detector"]

_OUTPUTS = ("scores", "embedding")
_TOLERANCE = 5e-3


def export_detector(network: DetectorNetwork, folder: Path, entries: dict[str, Any]) -> SpoofDetector:
    """Write a model and return it as users will load it; an existing one is replaced file by file, card last.

    Args:
        network: trained.
        folder: of the model.
        entries: for the card: name, licence, training, calibration, thresholds, domain.

    Raises:
        CompatibilityError: ``export_differs`` where the graph's scores are more than 0.005 from the network's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network = network.eval()
    generator = torch.Generator().manual_seed(7)
    examples = [0.1 * torch.randn(batch, network.size.piece_samples, generator=generator) for batch in (2, 1)]
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        draft = Path(work) / GRAPH_FILE
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                (examples[0],),
                str(draft),
                input_names=["samples"],
                output_names=list(_OUTPUTS),
                dynamic_axes={name: {0: "B"} for name in ("samples", *_OUTPUTS)},
                opset_version=17,
                dynamo=False,
            )
        halve_weights(draft)
        worst = _difference(network, examples, draft)
        if not worst <= _TOLERANCE:
            raise CompatibilityError(
                "export_differs",
                f"the ONNX graph's scores differ from PyTorch's by {worst:.2e}, more than {_TOLERANCE:g}; "
                "do not ship it.",
            )
        card = {
            **entries,
            "piece_samples": network.size.piece_samples,
            "parameters": sum(p.numel() for p in network.parameters()),
            "created": date.today().isoformat(),
            "onnx_parity": worst,
            "sha256": {GRAPH_FILE: hashlib.sha256(draft.read_bytes()).hexdigest()},
        }
        draft.replace(folder / GRAPH_FILE)
    (folder / CARD_FILE).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return SpoofDetector.load(folder)


def _difference(network: DetectorNetwork, examples: list[torch.Tensor], path: Path) -> float:
    """Return how far the scores of the graph, its weights rounded to 16 bits, and of the network are apart at most."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for example in examples:
        with torch.inference_mode():
            expected = network(example)[0].numpy()
        found = session.run(["scores"], {"samples": example.numpy()})[0]
        worst = max(worst, float(np.abs(found - expected).max()))
    return worst
