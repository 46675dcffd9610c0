"""A trained network to a bundle: ONNX graph, mean, calibration, thresholds, card."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from voxid.bundle import BACKEND_FILE, GRAPH_FILE, Bundle, load_bundle, write_card
from voxid.calibration import fit_calibration
from voxid.decision import choose_profiles
from voxid.embedding import MARGIN_FRAMES
from voxid.errors import CompatibilityError
from voxid.score import center
from voxid.train.networks import EmbeddingNetwork
from voxid.train.recipe import Recipe
from voxid.train.shards import Shard
from voxid.train.validation import eer_by_corpus, embed_shard, pair_scores

PARITY_TOLERANCE = 1e-4
_MEAN_UTTERANCES = 3_000
_MIN_CALIBRATION_FRAMES = 100  # 1 s, the least a verification asks for


def export_graph(network: EmbeddingNetwork, path: Path) -> float:
    """Write the network as ONNX and return the largest difference from PyTorch over several shapes.

    Initialisers keep the names of the network's parameters and batch normalisation stays separate, so that a bundle
    can be turned into the network it came from; ONNX Runtime fuses and folds when it loads the graph.

    Raises:
        CompatibilityError: ``export_differs`` above 1e-4, relative to unit embeddings.
    """
    network.eval()
    fbank, weights = torch.randn(1, 200, 80), torch.ones(1, 2, 200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (fbank, weights),
            str(path),
            input_names=["fbank", "weights"],
            output_names=["embeddings"],
            dynamic_axes={
                "fbank": {0: "B", 1: "T"},
                "weights": {0: "B", 1: "K", 2: "T"},
                "embeddings": {0: "B", 1: "K"},
            },
            opset_version=17,
            dynamo=False,
            training=torch.onnx.TrainingMode.PRESERVE,  # of a network in eval mode: nothing is fused
            do_constant_folding=False,
        )
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for batch, masks, frames in ((1, 1, 98), (1, 1, 99), (2, 3, 301), (1, 40, 1000)):
        x = 3.0 * torch.randn(batch, frames, 80, generator=generator)
        w = (torch.rand(batch, masks, frames, generator=generator) > 0.4).float()
        with torch.inference_mode():
            expected = torch.nn.functional.normalize(network(x, w), dim=-1).numpy()
        found = session.run(None, {"fbank": x.numpy(), "weights": w.numpy()})[0]
        found = found / np.linalg.norm(found, axis=-1, keepdims=True)
        worst = max(worst, float(np.abs(found - expected).max()))
    if not worst <= PARITY_TOLERANCE:
        raise CompatibilityError(
            "export_differs",
            f"the ONNX graph differs from PyTorch by {worst:.2e}, more than {PARITY_TOLERANCE:g}; do not ship it.",
        )
    return worst


def training_mean(network: EmbeddingNetwork, training: Shard, seed: int) -> NDArray[np.float32]:
    """Return (D,), the mean of unit embeddings of as-recorded training utterances, one speaker after another."""
    plain = np.flatnonzero((training.copy == 0) & ~training.augmented & (training.frames >= 50))
    rng = np.random.default_rng(seed)
    order = rng.permutation(plain)
    _, first = np.unique(training.speaker[order], return_index=True)
    rows = np.sort(order[first])[:_MEAN_UTTERANCES]
    return np.asarray(embed_shard(network, training.subset(rows)).mean(axis=0), dtype=np.float32)


def export_bundle(
    network: EmbeddingNetwork,
    recipe: Recipe,
    training: Shard,
    held_out: Shard,
    folder: Path,
    notes: dict[str, Any],
) -> Bundle:
    """Write a bundle and return it as users will load it.

    Mean subtraction uses training speakers; calibration and thresholds held-out ones; evaluation sets are left alone.

    Args:
        network: trained.
        recipe: what trained it.
        training, held_out: the packed speech.
        folder: where the bundle goes; replaced only when everything succeeded.
        notes: further entries for the card (licence, intended use, log).
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        draft = Path(work)
        parity = export_graph(network, draft / GRAPH_FILE)
        mean = training_mean(network, training, recipe.seed)
        np.savez(draft / BACKEND_FILE, mean=mean)
        vectors = center(embed_shard(network, held_out), mean)
        # Impostors come from the same corpus: those of another one are told apart by their microphones alone.
        pairs = [
            pair_scores(vectors, held_out, str(c), _MIN_CALIBRATION_FRAMES) for c in set(held_out.corpus)
        ]
        target, nontarget = (np.concatenate(side) for side in zip(*pairs, strict=True))
        calibration = fit_calibration(
            target, nontarget, f"{len(held_out.speakers)} held-out speakers of {recipe.name}"
        )
        llrs = calibration.llr(target), calibration.llr(nontarget)
        profiles = choose_profiles(*llrs)
        write_card(
            draft,
            {
                "name": recipe.name,
                "dim": int(mean.size),
                "created": date.today().isoformat(),
                "input": {
                    "features": "fbank",
                    "mels": 80,
                    "rate_hz": 16_000,
                    "scale": "int16",
                    "mean": "pooled frames",
                    "margin_frames": MARGIN_FRAMES,
                },
                "network": asdict(recipe.network),
                "parameters": sum(p.numel() for p in network.parameters()),
                "onnx_parity": parity,
                "calibration": calibration.to_dict(),
                "profiles": [p.to_dict() for p in profiles],
                "held_out_eer_percent": eer_by_corpus(vectors, held_out),
                "training": _training_facts(recipe, training),
                **notes,
            },
        )
        load_bundle(draft)
        for file in draft.iterdir():
            file.replace(folder / file.name)
    return load_bundle(folder)


def _training_facts(recipe: Recipe, training: Shard) -> dict[str, Any]:
    """Return what the card says of the training speech: licence, speakers and hours per corpus, copies, teacher."""
    plain = (training.copy == 0) & ~training.augmented
    corpora = []
    for entry in recipe.data.corpora:
        rows = plain & (training.corpus == entry.name)
        known = rows & training.labelled
        corpora.append(
            {
                "name": entry.name,
                "repository": entry.repository,
                "commit": entry.commit,
                "licence": entry.licence,
                "speakers": int(np.unique(training.speaker[known]).size),
                "utterances": int(rows.sum()),
                "unlabelled_utterances": int((rows & ~training.labelled).sum()),
                "hours": round(float(training.frames[rows].sum()) / 360_000, 2),
            }
        )
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "steps": recipe.total_steps,
        "crops": sum(stage.steps * stage.batch for stage in recipe.stages),
        "copies": [asdict(copy) for copy in recipe.data.copies],
        "augmented_share": recipe.data.augmented_share,
        "teacher": asdict(recipe.data.teacher),
        "corpora": corpora,
    }
