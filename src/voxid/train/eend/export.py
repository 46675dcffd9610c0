"""A trained EEND network to a model on disk that segmentation runs like its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from voxid.diarize.segmentation import Segmenter
from voxid.features import N_MELS
from voxid.train.eend.network import EendNetwork, LocalVoices
from voxid.train.graph_export import GraphForm, write_model

_AXES = {"fbank": {0: "B"}, "activity": {0: "B"}}


def export_eend(network: EendNetwork, folder: Path, entries: dict[str, Any]) -> Segmenter:
    """Write a model and return it as users will load it; an existing one is replaced file by file, card last.

    Args:
        entries: for the card: name, chunk_frames, speech, results, licence.

    Raises:
        CompatibilityError: ``export_differs`` above 1e-4 in probability.
    """
    generator = torch.Generator().manual_seed(0)
    frames = int(entries["chunk_frames"])
    examples = [(3.0 * torch.randn(batch, frames, N_MELS, generator=generator),) for batch in (2, 1, 3)]
    told = {
        "parameters": sum(p.numel() for p in network.parameters()),
        "input": "fbank of 16 kHz speech, 80 bands, samples as 16-bit integers, no mean taken away",
        "voices": network.size.speakers,
        "at_once": network.size.speakers,
    }
    form = GraphForm(("fbank",), "activity", _AXES, examples)
    write_model(LocalVoices(network.eval()).eval(), form, folder, {**entries, **told})
    return Segmenter.load(folder)
