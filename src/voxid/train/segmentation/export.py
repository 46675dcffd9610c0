"""A trained segmentation network to a model on disk: ONNX graph and card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from voxid.diarize.segmentation import Segmenter
from voxid.features import N_MELS
from voxid.train.graph_export import GraphForm, write_model
from voxid.train.segmentation.network import Activity, SegmentationNetwork

CHUNK_FRAMES = 1_000
_AXES = {"fbank": {0: "B", 1: "T"}, "activity": {0: "B", 1: "S"}}


def export_segmenter(network: SegmentationNetwork, folder: Path, entries: dict[str, Any]) -> Segmenter:
    """Write a model and return it as users will load it; an existing one is replaced file by file, card last.

    Args:
        entries: further ones for the card: name, speech, results, licence.

    Raises:
        CompatibilityError: ``export_differs`` above 1e-4 in probability.
    """
    generator = torch.Generator().manual_seed(0)
    sizes = ((2, CHUNK_FRAMES), (1, CHUNK_FRAMES), (3, CHUNK_FRAMES), (1, 200))
    examples = [(3.0 * torch.randn(*size, N_MELS, generator=generator),) for size in sizes]
    told = {
        "parameters": sum(p.numel() for p in network.parameters()),
        "input": "fbank of 16 kHz speech, 80 bands, samples as 16-bit integers, no mean taken away",
        "chunk_frames": CHUNK_FRAMES,
        "voices": network.powerset.speakers,
        "at_once": network.powerset.at_once,
    }
    form = GraphForm(("fbank",), "activity", _AXES, examples)
    write_model(Activity(network.eval()).eval(), form, folder, {**entries, **told})
    return Segmenter.load(folder)
