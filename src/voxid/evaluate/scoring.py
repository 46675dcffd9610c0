"""Trials to scores: a bundle scores them as `Gallery.verify` does, another system by the cosine of its embeddings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.backend import Quality, Sides
from voxid.bundle import Bundle
from voxid.evaluate.embeddings import BundleEmbedder, Embed, EmbeddingCache, Vector, embed_all, network_id
from voxid.evaluate.trials import TrialList
from voxid.evaluate.utterances import FactsCache
from voxid.score import center

__all__ = [
    "bundle_scores",
    "cosine_scores",
    "embed_utterances",
    "measured_scores",
    "search_llrs",
    "sides_of",
]

Floats = NDArray[np.float64]
_BLOCK_TRIALS = 65_536
"""Trials scored at once: a long list never needs (N, D) at once."""


def embed_utterances(
    paths: tuple[str, ...],
    audio_root: str | Path,
    bundle: Bundle,
    cache_dir: str | Path | None,
    progress: Callable[[float], None] | None,
) -> tuple[BundleEmbedder, dict[str, Vector]]:
    """Return the embedder used and path -> embedding, saving the caches also when a file fails."""
    cache = None if cache_dir is None else EmbeddingCache(cache_dir, network_id(bundle), bundle.dim)
    embedder = BundleEmbedder(bundle, Path(audio_root), cache, FactsCache(cache_dir))
    try:
        vectors = embed_all(paths, embedder, progress)
    finally:
        embedder.save()
    return embedder, vectors


def sides_of(
    utterances: Sequence[tuple[str, ...]],
    vectors: Mapping[str, Vector],
    qualities: Mapping[str, Quality],
    bundle: Bundle,
) -> Sides:
    """Return one side per group of utterance paths: a probe alone, or all references of a person."""
    return bundle.backend.sides(
        [np.stack([vectors[path] for path in paths]) for paths in utterances],
        [[qualities[path] for path in paths] for paths in utterances],
    )


def bundle_scores(
    trials: TrialList, vectors: Mapping[str, Vector], qualities: Mapping[str, Quality], bundle: Bundle
) -> tuple[Floats, Floats | None]:
    """Return scores and LLRs (natural logarithm) of every trial, each (N,), by the bundle's own back-end.

    A bundle that is not calibrated yet has scores alone: None in place of LLRs.

    Args:
        trials: the list.
        vectors: utterance path -> raw embedding (D,).
        qualities: utterance path -> quality of the speech in it.
        bundle: what the embeddings were made with.
    """
    scores, measured = measured_scores(trials, vectors, qualities, bundle)
    return scores, bundle.calibration.llr(scores, measured) if bundle.is_calibrated else None


def measured_scores(
    trials: TrialList, vectors: Mapping[str, Vector], qualities: Mapping[str, Quality], bundle: Bundle
) -> tuple[Floats, dict[str, Floats]]:
    """Return scores (N,) and quality measures (name -> (N,)) of every trial; arguments as ``bundle_scores``."""
    names, tests = sorted(set(trials.enrol)), sorted(set(trials.test))
    models = sides_of([trials.enrolment[name] for name in names], vectors, qualities, bundle)
    probes = sides_of([(path,) for path in tests], vectors, qualities, bundle)
    rows, columns = _places(names, trials.enrol), _places(tests, trials.test)
    scores, parts = np.empty(len(trials)), []
    for start in range(0, len(trials), _BLOCK_TRIALS):
        block = slice(start, start + _BLOCK_TRIALS)
        enroll, probe = models.take(rows[block]), probes.take(columns[block])
        scores[block] = bundle.backend.scores(enroll, probe)
        parts.append(bundle.backend.measured(enroll, probe))
    return scores, {
        name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())
    }


def search_llrs(
    gallery: Sequence[tuple[str, ...]],
    probes: Sequence[str],
    vectors: Mapping[str, Vector],
    qualities: Mapping[str, Quality],
    bundle: Bundle,
) -> Floats:
    """Return the LLRs (P, G) of P probes with G people (scores, where not calibrated); arguments as above."""
    people = sides_of(gallery, vectors, qualities, bundle)
    heard = sides_of([(path,) for path in probes], vectors, qualities, bundle)
    rows = [heard.take([at]) for at in range(len(probes))]
    if bundle.is_calibrated:
        return np.stack([bundle.backend.compare(people, probe)[1] for probe in rows])
    return np.stack([bundle.backend.scores(people, probe) for probe in rows])


def cosine_scores(trials: TrialList, embed: Embed, mean: ArrayLike | None = None) -> Floats:
    """Return the cosine of both sides of every trial, (N,); higher is more alike.

    An enrolment side of several utterances is the mean of their unit embeddings.
    """
    names, tests = sorted(set(trials.enrol)), sorted(set(trials.test))
    models = np.stack([np.mean([embed(path) for path in trials.enrolment[name]], axis=0) for name in names])
    probes = np.stack([embed(path) for path in tests])
    offset = np.zeros(probes.shape[1]) if mean is None else np.asarray(mean)
    left = np.asarray(center(models, offset), dtype=np.float64)
    right = np.asarray(center(probes, offset), dtype=np.float64)
    rows, columns = _places(names, trials.enrol), _places(tests, trials.test)
    scores = np.empty(len(trials))
    for start in range(0, len(trials), _BLOCK_TRIALS):
        block = slice(start, start + _BLOCK_TRIALS)
        scores[block] = np.einsum("nd,nd->n", left[rows[block]], right[columns[block]])
    return scores


def _places(names: Sequence[str], wanted: Sequence[str]) -> NDArray[np.int64]:
    place = {name: number for number, name in enumerate(names)}
    return np.asarray([place[name] for name in wanted], dtype=np.int64)
