"""Votes of windows become turns: change points found, flicker removed, edges of speech kept."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from voxid.diarize.clustering import unit_rows
from voxid.diarize.options import DiarizeOptions
from voxid.diarize.smoothing import absorb_short_runs, decide_cells, decode_viterbi, draw_turns, vote
from voxid.diarize.windows import Windows, plan_windows
from voxid.timeline import Segment

OPTIONS = DiarizeOptions()


def embed_talk(
    speaker: NDArray[np.int64], spread: float = 0.4
) -> tuple[NDArray[np.float32], Windows, NDArray[np.float32]]:
    """Return speech (T,), windows and their embeddings for frames labelled with a speaker (-1: silence)."""
    rng = np.random.default_rng(0)
    speech = (speaker >= 0).astype(np.float32)
    windows = plan_windows(speech, OPTIONS)
    voices = np.linalg.qr(rng.standard_normal((32, 32)))[0]
    rows = []
    for start, end in windows.bounds:
        inside = speaker[start:end]
        mean = voices[inside[inside >= 0]].mean(axis=0)
        rows.append(mean + rng.standard_normal(32) * spread / np.sqrt(32))
    return speech, windows, unit_rows(np.asarray(rows, dtype=np.float32))


def true_labels(windows: Windows, speaker: NDArray[np.int64]) -> NDArray[np.int64]:
    centres = windows.bounds.sum(axis=1) // 2
    return np.where(windows.clustered, speaker[centres], -1)


def slow_best_path(scores: NDArray[np.float32], penalties: NDArray[np.float64]) -> float:
    """Oracle: the best total over every path."""
    n_cells, n_speakers = scores.shape
    return max(
        sum(float(scores[c, s]) for c, s in enumerate(path))
        - sum(float(penalties[c]) for c in range(1, n_cells) if path[c] != path[c - 1])
        for path in product(range(n_speakers), repeat=n_cells)
    )


@pytest.mark.parametrize("seed", range(5))
def test_viterbi_finds_the_best_path(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((7, 3)).astype(np.float32)
    penalties = rng.uniform(0, 1.5, 7)
    path = decode_viterbi(scores, penalties)
    total = scores[np.arange(7), path].sum() - penalties[1:][np.diff(path) != 0].sum()
    assert total == pytest.approx(slow_best_path(scores, penalties), abs=1e-5)


def test_vote_is_the_windows_mean() -> None:
    """A cell under one window takes its similarity; a cell under none takes the nearest cell's."""
    windows = Windows(np.array([[0, 20], [100, 120]]), np.array([20, 20]), np.array([True, True]))
    votes = vote(windows, np.array([[0.9, 0.1], [0.2, 0.8]], dtype=np.float32), 12)
    assert votes[:2, 0] == pytest.approx([0.9, 0.9])
    assert votes[4, 0] == pytest.approx(0.9)
    assert votes[8:, 1] == pytest.approx([0.8] * 4)


def test_finds_the_change_point() -> None:
    """Two speakers who change at 10 s without a pause: the cut lies within 0.2 s of it."""
    speaker = np.repeat([0, 1], 1000)
    speech, windows, embeddings = embed_talk(speaker)
    active, path = decide_cells(windows, embeddings, true_labels(windows, speaker), speech, OPTIONS)
    turns = draw_turns([Segment(0.0, 20.0)], active, path, 0.3)
    assert [label for _, label in turns] == [0, 1]
    assert turns[0][0].end_s == pytest.approx(10.0, abs=0.2)


def test_two_mistaken_windows_do_not_make_a_turn() -> None:
    """A wrong cluster label in the middle of a monologue is voted down."""
    speaker = np.repeat([0, 1], [2000, 1000])
    speech, windows, embeddings = embed_talk(speaker)
    labels = true_labels(windows, speaker)
    wrong = np.flatnonzero(windows.clustered & (windows.bounds[:, 0] > 900))[:2]
    labels[wrong] = 1
    active, path = decide_cells(windows, embeddings, labels, speech, OPTIONS)
    assert len(draw_turns([Segment(0.0, 30.0)], active, path, 0.3)) == 2


def test_all_speakers_demanded_are_kept() -> None:
    """When smoothing would leave one speaker of two demanded, the clusters decide."""
    speaker = np.zeros(1000, dtype=np.int64)
    speech, windows, embeddings = embed_talk(speaker, spread=0.05)
    labels = np.where(windows.clustered, 0, -1)
    labels[np.flatnonzero(windows.clustered)[3]] = 1
    _, free = decide_cells(windows, embeddings, labels, speech, DiarizeOptions(switch_penalty=9), 1)
    _, forced = decide_cells(windows, embeddings, labels, speech, DiarizeOptions(switch_penalty=9), 2)
    assert set(free.tolist()) == {0}
    assert set(forced.tolist()) == {0, 1}


def test_absorbs_short_runs_inside_a_stretch_only() -> None:
    """A flicker goes to its neighbour; an equally short answer between pauses stays."""
    path = np.array([0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0])
    stretch = np.array([0, 0, 0, 0, 0, 0, 0, 1, 2, 2, 2])
    scores = np.zeros((11, 2), dtype=np.float32)
    smooth = absorb_short_runs(path, scores, stretch, 2)
    assert smooth.tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]


def test_absorbs_into_the_likelier_neighbour() -> None:
    path = np.array([0, 0, 0, 1, 2, 2, 2])
    scores = np.zeros((7, 3), dtype=np.float32)
    scores[3] = [0.1, 0.9, 0.5]
    assert absorb_short_runs(path, scores, np.zeros(7, dtype=np.int64), 2).tolist() == [0, 0, 0, 2, 2, 2, 2]


def test_turns_keep_the_edges_of_speech() -> None:
    """Outer edges are the regions' own, to the millisecond; pauses of one speaker up to the limit close."""
    regions = [Segment(0.123, 1.987), Segment(2.2, 3.0), Segment(5.013, 6.0)]
    active = np.concatenate([np.arange(1, 20), np.arange(22, 30), np.arange(50, 60)])
    path = np.zeros(len(active), dtype=np.int64)
    path[active >= 55] = 1
    turns = draw_turns(regions, active, path, 0.3)
    assert [(round(s.start_s, 3), round(s.end_s, 3), label) for s, label in turns] == [
        (0.123, 3.0, 0),
        (5.013, 5.5, 0),
        (5.5, 6.0, 1),
    ]


def test_a_pause_is_not_closed_across_another_speaker() -> None:
    regions = [Segment(0.0, 1.0), Segment(1.1, 1.2), Segment(1.3, 2.0)]
    active = np.concatenate([np.arange(0, 10), [11], np.arange(13, 20)])
    path = np.where(active == 11, 1, 0)
    turns = draw_turns(regions, active, path, 0.5)
    assert [label for _, label in turns] == [0, 1, 0]
