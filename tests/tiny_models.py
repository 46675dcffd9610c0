"""A tiny network, its bundle and packed speech, made by the test: for what is done to models after training."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from voxid.bundle import BACKEND_FILE, GRAPH_FILE, Bundle, load_bundle, write_card
from voxid.train.export import export_graph
from voxid.train.networks import EmbeddingNetwork, build_network
from voxid.train.recipe import CorpusEntry, Data, Network, Recipe, Stage
from voxid.train.shards import Shard
from voxid.train.validation import embed_shard

SIZES = {
    "ecapa": Network("ecapa", 32, 48, 16, 2),
    "xvector": Network("xvector", 32, 48, 16, 2),
    "resnet": Network("resnet", 8, 48, 16, 2),
    "redim": Network("redim", 8, 48, 16, 2),
}


def tiny_network(name: str = "ecapa", seed: int = 0) -> EmbeddingNetwork:
    """Return an untrained network whose normalisation has heard speech; no channel is like another."""
    torch.manual_seed(seed)
    network = build_network(SIZES[name])
    crops = np.stack([speech_like(100, speaker, speaker).astype(np.float32) for speaker in range(16)])
    x = torch.from_numpy(crops - crops.mean(axis=1, keepdims=True))
    with torch.no_grad():
        for one in network.modules():
            if isinstance(one, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                one.weight.uniform_(0.5, 1.5)
                one.bias.uniform_(-0.3, 0.3)
                one.momentum = None  # the plain mean over what is heard now
        network.train()(x, torch.ones(16, 1, 100))
    return network.eval()


def tiny_bundle(folder: Path, name: str = "ecapa", seed: int = 0) -> Bundle:
    """Return the network's bundle, written to ``folder``; its calibration is made up."""
    network = tiny_network(name, seed)
    folder.mkdir(parents=True)
    export_graph(network, folder / GRAPH_FILE)
    np.savez(folder / BACKEND_FILE, mean=embed_shard(network, packed_speech(12, 1)).mean(axis=0))
    card = {
        "name": f"tiny-{name}",
        "dim": 16,
        "input": {"features": "fbank", "mels": 80, "rate_hz": 16_000, "mean": "pooled frames"},
        "network": asdict(SIZES[name]),
        "parameters": sum(p.numel() for p in network.parameters()),
        "calibration": {
            "scale": 8.0,
            "offset": -2.0,
            "targets": 50,
            "nontargets": 50,
            "fitted_on": "nothing",
        },
        "profiles": [],
    }
    write_card(folder, card)
    return load_bundle(folder)


def speech_like(n_frames: int, speaker: int, seed: int) -> np.ndarray:
    """Return (T, 80) fbank: a speaker's own five vowels in random order, some 15 frames each, and noise."""
    own = np.random.default_rng(1_000 + speaker).standard_normal((5, 84))
    vowels = np.stack([3.0 * np.convolve(one, np.ones(5) / 5, "valid") for one in own])
    rng = np.random.default_rng(seed)
    order = np.repeat(rng.integers(0, 5, n_frames // 15 + 1), 15)[:n_frames]
    return (10.0 + vowels[order] + 0.5 * rng.standard_normal((n_frames, 80))).astype(np.float16)


def packed_speech(speakers: int, utterances: int, first: int = 0) -> Shard:
    """Return a shard in memory, as :func:`voxid.train.shards.open_shards` would open it."""
    lengths = [120 + 30 * (i % 5) for i in range(speakers * utterances)]
    frames = [speech_like(n, first + i // utterances, i + 7_919 * first) for i, n in enumerate(lengths)]
    count = len(frames)
    return Shard(
        features=(np.concatenate(frames),),
        file=np.zeros(count, np.int64),
        start=np.cumsum([0, *lengths[:-1]]),
        frames=np.array(lengths),
        speaker=np.repeat(np.arange(speakers), utterances),
        copy=np.zeros(count, np.int64),
        augmented=np.zeros(count, np.bool_),
        session=np.array([str(i % 2) for i in range(count)]),
        corpus=np.full(count, "made"),
        text=np.arange(count),
        labelled=np.ones(count, np.bool_),
        teacher=np.zeros((count, 0), np.float16),
        speakers=tuple(f"p{first + s}" for s in range(speakers)),
    )


def tiny_recipe(steps: int, name: str = "ecapa") -> Recipe:
    """Return a recipe of one short stage."""
    corpus = CorpusEntry("made", "spoken_digits", "none", "none", "none", "none")
    return Recipe(
        "tiny",
        Data((corpus,)),
        (Stage(steps, 0.6, 16, 3e-3, 1e-3),),
        network=SIZES[name],
        checkpoint_every_steps=1_000,
        validate_every_steps=1_000,
    )
