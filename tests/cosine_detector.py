"""A target-speech model that goes by the cosine of windows with the person alone: a real graph, without training."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from voxid.bundle import GRAPH_FILE, Bundle, default_bundle
from voxid.diarize.target_speech import WINDOW_FRAMES, WINDOW_HOP_FRAMES, TargetDetector
from voxid.train.graph_export import GraphForm, write_model

CHUNK_FRAMES = 1_000


class Cosine(nn.Module):
    """Steep around a cosine of 0.3 with the shorter windows; deaf to anything quieter than 12 nepers below the peak."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.steepness = nn.Parameter(torch.tensor(30.0))

    def forward(self, fbank: Tensor, windows: Tensor, targets: Tensor) -> Tensor:
        alike = windows[:, :, : self.dim] @ targets.transpose(1, 2)  # (B, W, K)
        steps = alike.transpose(1, 2).unsqueeze(3).expand(-1, -1, -1, WINDOW_HOP_FRAMES // 2).flatten(2)
        power = fbank.mean(dim=2)[:, ::2]
        loud = (power > power.amax(dim=1, keepdim=True) - 12.0).unsqueeze(1).float()
        return torch.sigmoid(self.steepness * (steps - 0.3)) * loud


def cosine_detector(folder: Path, bundle: Bundle | None = None) -> TargetDetector:
    """Return it, written to ``folder`` and loaded again."""
    bundle = bundle or default_bundle()
    width = len(WINDOW_FRAMES) * bundle.dim
    torch.manual_seed(0)
    example = (
        torch.randn(1, CHUNK_FRAMES, 80),
        0.06 * torch.randn(1, CHUNK_FRAMES // WINDOW_HOP_FRAMES, width),
        0.06 * torch.randn(1, 2, bundle.dim),
    )
    axes = {"fbank": {0: "B"}, "windows": {0: "B"}, "targets": {0: "B", 1: "K"}}
    form = GraphForm(("fbank", "windows", "targets"), "activity", axes, [example])
    card = {
        "name": "cosine",
        "chunk_frames": CHUNK_FRAMES,
        "embeds_with": {"name": bundle.name, "sha256": bundle.card["sha256"][GRAPH_FILE]},
    }
    write_model(Cosine(bundle.dim), form, folder, card)
    return TargetDetector.load(folder)
