"""A trained segmentation network to a model on disk: ONNX graph and card."""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from datetime import date
from pathlib import Path
from typing import Any

import onnxruntime as ort
import torch

from voxid.diarize.segmentation import CARD_FILE, GRAPH_FILE, Segmenter
from voxid.errors import CompatibilityError
from voxid.train.segmentation.network import Activity, SegmentationNetwork

CHUNK_FRAMES = 1_000
PARITY_TOLERANCE = 1e-4


def export_graph(network: SegmentationNetwork, path: Path) -> float:
    """Write the network as ONNX, fbank (B, T, 80) -> activity (B, S, N), and return its largest difference.

    Raises:
        CompatibilityError: ``export_differs`` above 1e-4 in probability.
    """
    module = Activity(network.eval()).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.randn(2, CHUNK_FRAMES, 80),),
            str(path),
            input_names=["fbank"],
            output_names=["activity"],
            dynamic_axes={"fbank": {0: "B", 1: "T"}, "activity": {0: "B", 1: "S"}},
            opset_version=17,
            dynamo=False,
        )
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for batch, frames in ((1, CHUNK_FRAMES), (3, CHUNK_FRAMES), (1, 200)):
        x = 3.0 * torch.randn(batch, frames, 80, generator=generator)
        with torch.inference_mode():
            expected = module(x)
        found = torch.from_numpy(session.run(None, {"fbank": x.numpy()})[0])
        worst = max(worst, float((found - expected).abs().max()))
    if not worst <= PARITY_TOLERANCE:
        raise CompatibilityError(
            "export_differs",
            f"the ONNX graph differs from PyTorch by {worst:.2e}, more than {PARITY_TOLERANCE:g}; do not ship it.",
        )
    return worst


def export_segmenter(network: SegmentationNetwork, folder: Path, entries: dict[str, Any]) -> Segmenter:
    """Write a model and return it as users will load it; an existing one is replaced file by file, card last.

    Args:
        entries: further ones for the card: name, speech, results, licence.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        draft = Path(work) / GRAPH_FILE
        parity = export_graph(network, draft)
        card = {
            **entries,
            "created": date.today().isoformat(),
            "input": "fbank of 16 kHz speech, 80 bands, samples as 16-bit integers, no mean taken away",
            "chunk_frames": CHUNK_FRAMES,
            "voices": network.powerset.speakers,
            "at_once": network.powerset.at_once,
            "parameters": sum(p.numel() for p in network.parameters()),
            "onnx_parity": parity,
            "sha256": hashlib.sha256(draft.read_bytes()).hexdigest(),
        }
        draft.replace(folder / GRAPH_FILE)
    (folder / CARD_FILE).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return Segmenter.load(folder)
