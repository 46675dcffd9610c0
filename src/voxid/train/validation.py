"""How well a network tells held-out speakers apart, measured while it trains."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from voxid.evaluate.metrics import eer
from voxid.score import center, cosine
from voxid.train.networks import EmbeddingNetwork
from voxid.train.shards import Shard

_MAX_FRAMES = 1_000


def validate(network: EmbeddingNetwork, shard: Shard) -> dict[str, float]:
    """Return the EER in percent by corpus and their mean (``"mean"``), single utterances, mean-subtracted cosine."""
    embeddings = embed_shard(network, shard)
    return eer_by_corpus(center(embeddings, embeddings.mean(axis=0)), shard)


def eer_by_corpus(vectors: NDArray[np.float32], shard: Shard) -> dict[str, float]:
    """Return the EERs of :func:`validate` for centred embeddings (U, D) of a shard's utterances."""
    found: dict[str, float] = {}
    for corpus in sorted(set(shard.corpus)):
        target, nontarget = pair_scores(vectors, shard, str(corpus))
        if target.size >= 20 and nontarget.size >= 20:
            found[str(corpus)] = round(100.0 * eer(target, nontarget), 2)
    return {**found, "mean": round(float(np.mean(list(found.values()))), 3)} if found else {}


def embed_shard(network: EmbeddingNetwork, shard: Shard) -> NDArray[np.float32]:
    """Return (U, D) unit embeddings of every utterance, at most its first 10 s."""
    network.eval()
    out = np.empty((shard.start.size, network.project.out_features), dtype=np.float32)
    with torch.inference_mode():
        for u in range(shard.start.size):
            frames = shard.frames_of(u)[:_MAX_FRAMES].astype(np.float32)
            x = torch.from_numpy(frames - frames.mean(axis=0))[None]
            z = network(x, x.new_ones(1, 1, x.shape[1]))[0, 0].numpy()
            out[u] = z / np.linalg.norm(z)
    return out


def pair_scores(
    vectors: NDArray[np.float32], shard: Shard, corpus: str, min_frames: int = 50
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the cosines of all (target, non-target) pairs within a corpus, of utterances not shorter than that.

    A person recorded on several occasions gives only cross-session target pairs, so that the channel is no help.
    """
    rows = np.flatnonzero((shard.corpus == corpus) & (shard.frames >= min_frames))
    scores = cosine(vectors[rows], vectors[rows])
    first, second = np.triu_indices(rows.size, 1)
    speaker, session = shard.speaker[rows], shard.session[rows]
    same = speaker[first] == speaker[second]
    several = {int(s) for s in set(speaker) if np.unique(session[speaker == s]).size > 1}
    comparable = (session[first] != session[second]) | ~np.isin(speaker[first], list(several))
    return scores[first, second][same & comparable], scores[first, second][~same]
