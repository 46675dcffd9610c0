"""A trained target-speech network to a model on disk: ONNX graph and card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from voxid.diarize.target_speech import WINDOW_FRAMES, WINDOW_HOP_FRAMES, TargetDetector
from voxid.features import N_MELS
from voxid.train.graph_export import GraphForm, write_model
from voxid.train.target.network import Probability, TargetNetwork

_AXES = {"fbank": {0: "B"}, "windows": {0: "B"}, "targets": {0: "B", 1: "K"}, "activity": {0: "B", 1: "K"}}


def export_detector(network: TargetNetwork, folder: Path, entries: dict[str, Any]) -> TargetDetector:
    """Write a model and return it as users will load it; an existing one is replaced file by file, card last.

    Args:
        entries: for the card: name, chunk_frames, embeds_with, speech, results, licence.

    Raises:
        CompatibilityError: ``export_differs`` above 1e-4 in probability.
    """
    chunk_frames, dim = int(entries["chunk_frames"]), network.size.embedding

    def inputs(batch: int, people: int) -> tuple[torch.Tensor, ...]:
        generator = torch.Generator().manual_seed(batch)
        sizes = (
            (batch, chunk_frames, N_MELS),
            (batch, chunk_frames // WINDOW_HOP_FRAMES, len(WINDOW_FRAMES) * dim),
            (batch, people, dim),
        )
        fbank, windows, targets = (torch.randn(size, generator=generator) for size in sizes)
        return 3.0 * fbank, 0.06 * windows, 0.06 * targets  # values of unit vectors

    form = GraphForm(
        ("fbank", "windows", "targets"), "activity", _AXES, [inputs(2, 2), inputs(1, 1), inputs(1, 3)]
    )
    told = {
        "parameters": sum(p.numel() for p in network.parameters()),
        "input": "fbank of 16 kHz speech, 80 bands, samples as 16-bit integers, no mean taken away; centred unit "
        "embeddings of windows of 0.8 and 1.6 s, 0.2 s apart; centred unit embeddings of the people asked for",
    }
    write_model(Probability(network.eval()).eval(), form, folder, {**entries, **told})
    return TargetDetector.load(folder)
