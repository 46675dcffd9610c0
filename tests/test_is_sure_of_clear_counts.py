"""The confidence of a count is high where voices are apart and low where they run into each other."""

from __future__ import annotations

import numpy as np
import pytest

from synthetic_voices import draw_windows, plda_of_people
from voxid.diarize.clustering import ClusterOptions, cluster
from voxid.diarize.clustering.bounds import split_in_two
from voxid.diarize.clustering.confidence import Evidence, measure_gap
from voxid.diarize.options import SpeakerCount
from voxid.diarize.vbx import VbxOptions

METHODS = ("ahc", "spectral", "nme-sc", "vbx", "k-means", "ahc-centroid")


def confidence(method: str, n_people: int, spread: float, seed: int) -> float:
    voices, _ = draw_windows(n_people, 96, spread, seed)
    threshold = 0.35 if method in ("ahc", "k-means") else None
    options = ClusterOptions(method, threshold, vbx=VbxOptions(dim=40))
    return cluster(voices, None, options, plda_of_people()).confidence


@pytest.mark.parametrize("method", METHODS)
def test_clear_voices_are_surer_than_muddled_ones(method: str) -> None:
    """Over four draws of two to five people; noise as long as a third of the voice, against twice its length."""
    clear = [confidence(method, 2 + seed, 0.35, seed) for seed in range(4)]
    muddled = [confidence(method, 2 + seed, 2.0, seed) for seed in range(4)]
    assert np.mean(clear) > np.mean(muddled) + 0.05
    assert all(0 <= value <= 1 for value in (*clear, *muddled))


def test_a_count_that_was_given_is_certain() -> None:
    """The caller said so; what the voices say of it is not asked."""
    voices, _ = draw_windows(3, 60, 2.0, seed=1)
    assert cluster(voices, SpeakerCount(5, 5)).confidence == 1.0
    assert cluster(voices, SpeakerCount(2, 5)).confidence < 1.0


def test_every_observation_pulls_the_right_way() -> None:
    base = Evidence(0.3, 0.5, 1).confidence
    assert Evidence(0.5, 0.5, 1).confidence > base
    assert Evidence(0.3, 0.9, 1).confidence > base
    assert Evidence(0.3, 0.5, 0).confidence > base


def test_the_gap_closes_as_voices_blur() -> None:
    """Wide for three clear voices, narrower with more noise; below that when one voice is called two."""
    gaps = []
    for spread in (0.3, 1.0, 2.0):
        voices, truth = draw_windows(3, 96, spread, seed=2)
        gaps.append(measure_gap(voices.embeddings, np.full(96, 0.75), truth, 5.0))
    assert gaps == sorted(gaps, reverse=True)
    voices, truth = draw_windows(1, 96, 0.5, seed=3)
    halved = np.arange(96) % 2
    one = measure_gap(voices.embeddings, np.full(96, 0.75), truth, 5.0)
    assert measure_gap(voices.embeddings, np.full(96, 0.75), halved, 5.0) < one


@pytest.mark.parametrize("n_rows", [2, 3, 50])
def test_halves_are_never_empty(n_rows: int) -> None:
    """Also of rows that are all alike."""
    voices, _ = draw_windows(2, n_rows, 0.5, seed=4)
    for rows in (voices.embeddings, np.repeat(voices.embeddings[:1], n_rows, axis=0)):
        halves = split_in_two(rows, np.ones(n_rows))
        assert 0 < halves.sum() < n_rows


def test_the_confidence_is_the_same_each_time() -> None:
    assert confidence("ahc", 3, 1.5, 5) == confidence("ahc", 3, 1.5, 5)


def test_a_single_window_has_a_confidence() -> None:
    voices, _ = draw_windows(1, 1, 0.0, seed=6)
    assert 0 <= cluster(voices).confidence <= 1
