"""Embeddings of people who do not exist, in turns, and a PLDA of such people."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from voxid.diarize.clustering import Voices, unit_rows
from voxid.plda import Plda, train_plda

D = 48


def draw_people(n_people: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (n, D) directions that are well apart."""
    return np.linalg.qr(rng.standard_normal((D, D)))[0][:n_people]


def draw_windows(n_people: int, n_windows: int, spread: float, seed: int) -> tuple[Voices, NDArray[np.int64]]:
    """Return windows in turns of eight, 0.75 s each, and whose each is; noise of length ``spread`` on unit voices."""
    rng = np.random.default_rng(seed)
    truth = (np.arange(n_windows) // 8) % n_people
    vectors = draw_people(n_people, rng)[truth] + rng.standard_normal((n_windows, D)) * spread / np.sqrt(D)
    seconds = np.full(n_windows, 0.75)
    return Voices.of_windows(
        unit_rows(vectors.astype(np.float32)), seconds, np.arange(n_windows) * 0.75
    ), truth


def draw_chunks(
    n_people: int, n_chunks: int, spread: float, seed: int, most: int = 3
) -> tuple[Voices, NDArray[np.int64]]:
    """Return voices of chunks in each of which one to ``most`` different people speak, and who each is."""
    rng = np.random.default_rng(seed)
    people = draw_people(n_people, rng)
    who = [rng.choice(n_people, int(rng.integers(1, most + 1)), replace=False) for _ in range(n_chunks)]
    truth = np.concatenate(who)
    chunk = np.repeat(np.arange(n_chunks), [len(each) for each in who])
    vectors = people[truth] + rng.standard_normal((len(truth), D)) * spread / np.sqrt(D)
    seconds = rng.uniform(0.5, 5.0, len(truth)).astype(np.float32)
    start_s = (chunk * 5.0).astype(np.float32)
    return Voices(unit_rows(vectors.astype(np.float32)), chunk, seconds, start_s), truth


@cache
def plda_of_people(spread: float = 1.0) -> Plda:
    """Return a PLDA trained on 200 people who do not exist, eight recordings each."""
    rng = np.random.default_rng(99)
    people = rng.standard_normal((200, D)) / np.sqrt(D)
    speaker = np.repeat(np.arange(200), 8)
    vectors = people[speaker] + rng.standard_normal((1600, D)) * spread / np.sqrt(D)
    return train_plda(unit_rows(vectors.astype(np.float32)), speaker)


def same_partition(left: NDArray[np.integer], right: NDArray[np.integer]) -> bool:
    """Return whether both say of every two rows alike that they belong together."""
    pairs = set(zip(left.tolist(), right.tolist(), strict=True))
    return len(pairs) == len(set(left.tolist())) == len(set(right.tolist()))
