"""Clustering joins the windows of one voice, counts voices, honours the counts asked for, and scales."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from voxid.diarize.clustering import ClusterOptions, Voices, cluster, cluster_means, unit_rows
from voxid.diarize.clustering.linkage import agglomerate
from voxid.diarize.options import DiarizeOptions, SpeakerCount
from voxid.errors import InputError

D = 64


def draw_voices(
    n_voices: int, n_windows: int, spread: float, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return (K, D) unit embeddings around orthogonal voices in turns of eight windows, and whose each is."""
    rng = np.random.default_rng(seed)
    voices = np.linalg.qr(rng.standard_normal((D, D)))[0][:n_voices]
    truth = (np.arange(n_windows) // 8) % n_voices
    noise = rng.standard_normal((n_windows, D)) * spread / np.sqrt(D)
    return unit_rows((voices[truth] + noise).astype(np.float32)), truth


def run(
    embeddings: NDArray[np.float32], options: DiarizeOptions | None = None, **count: int
) -> NDArray[np.int64]:
    seconds = np.full(len(embeddings), 0.75)
    voices = Voices.of_windows(embeddings, seconds, np.arange(len(embeddings)) * 0.75)
    chosen = ClusterOptions.of(options or DiarizeOptions(), 0.4)
    return cluster(voices, SpeakerCount.checked(**count), chosen).labels


def same_partition(left: NDArray[np.int64], right: NDArray[np.int64]) -> bool:
    pairs = {(int(a), int(b)) for a, b in zip(left, right, strict=True)}
    return len(pairs) == len(set(left.tolist())) == len(set(right.tolist()))


def slow_average_linkage(embeddings: NDArray[np.float32], n_clusters: int) -> list[set[int]]:
    """Oracle straight from the definition: join the two groups with the largest mean pairwise cosine."""
    cosine = embeddings.astype(np.float64) @ embeddings.astype(np.float64).T
    groups = [{index} for index in range(len(embeddings))]
    while len(groups) > n_clusters:
        pairs = [(i, j) for i in range(len(groups)) for j in range(i)]
        i, j = max(pairs, key=lambda p: cosine[np.ix_(list(groups[p[0]]), list(groups[p[1]]))].mean())
        groups[j] |= groups.pop(i)
    return groups


@pytest.mark.parametrize("n_clusters", [2, 5, 11])
def test_agrees_with_the_definition(n_clusters: int) -> None:
    """Any cut of the tree equals average linkage done by its definition."""
    embeddings = unit_rows(np.random.default_rng(3).standard_normal((40, 8)).astype(np.float32))
    labels = agglomerate(embeddings, np.ones(40)).labels_after(40 - n_clusters)
    groups = {frozenset(np.flatnonzero(labels == label).tolist()) for label in range(n_clusters)}
    assert groups == {frozenset(group) for group in slow_average_linkage(embeddings, n_clusters)}


def test_agrees_with_scipy() -> None:
    """Heights and every cut equal scipy's average linkage under cosine distance."""
    embeddings = unit_rows(np.random.default_rng(4).standard_normal((300, D)).astype(np.float32))
    tree = agglomerate(embeddings, np.ones(300))
    oracle = linkage(embeddings.astype(np.float64), "average", metric="cosine")
    assert np.allclose(1 - tree.similarities, oracle[:, 2], atol=1e-5)
    for n_clusters in (2, 17, 150):
        expected = fcluster(oracle, n_clusters, "maxclust")
        assert same_partition(tree.labels_after(300 - n_clusters), expected)


def test_a_tree_over_clusters_continues_the_tree_over_windows() -> None:
    """Stopping, replacing clusters by their means and going on gives the same clusters as not stopping."""
    embeddings = unit_rows(np.random.default_rng(5).standard_normal((200, D)).astype(np.float32))
    weights = np.ones(200)
    whole = agglomerate(embeddings, weights)
    first = whole.labels_after(120)
    means, item_weights = cluster_means(embeddings, weights, first)
    second = agglomerate(means, item_weights)
    assert same_partition(second.labels_after(70)[first], whole.labels_after(190))
    assert np.allclose(second.similarities, whole.similarities[120:], atol=1e-5)


def test_equal_windows_are_one_voice() -> None:
    """Identical embeddings (every similarity tied) end in one cluster."""
    embeddings = np.tile(unit_rows(np.ones((1, D), dtype=np.float32)), (50, 1))
    assert set(run(embeddings).tolist()) == {0}


@pytest.mark.parametrize("n_voices", [1, 2, 5, 9])
def test_counts_voices_by_itself(n_voices: int) -> None:
    embeddings, truth = draw_voices(n_voices, 240, 0.8, seed=n_voices)
    assert same_partition(run(embeddings), truth)


@pytest.mark.parametrize("speakers", [1, 2, 3, 6, 20])
def test_honours_an_exact_count(speakers: int) -> None:
    """However many voices there are, the count asked for comes back."""
    embeddings, _ = draw_voices(4, 160, 0.8, seed=1)
    assert len(set(run(embeddings, speakers=speakers).tolist())) == speakers


def test_honours_bounds() -> None:
    embeddings, truth = draw_voices(4, 160, 0.8, seed=2)
    assert len(set(run(embeddings, max_speakers=2).tolist())) == 2
    assert len(set(run(embeddings, min_speakers=6).tolist())) == 6
    assert same_partition(run(embeddings, min_speakers=2, max_speakers=6), truth)


def test_caps_the_automatic_count() -> None:
    embeddings, _ = draw_voices(30, 480, 0.5, seed=3)
    labels = run(embeddings, DiarizeOptions(clustering="ahc", max_automatic_speakers=10, min_cluster_s=0.5))
    assert len(set(labels.tolist())) == 10


def test_a_cough_is_no_speaker() -> None:
    """A cluster of one odd window goes to the nearest voice instead of becoming a speaker."""
    embeddings, truth = draw_voices(2, 80, 0.5, seed=4)
    odd = np.linalg.qr(np.random.default_rng(9).standard_normal((D, D)))[0][0]
    embeddings[17] = odd
    labels = run(embeddings)
    assert len(set(labels.tolist())) == 2
    others = np.arange(80) != 17
    assert same_partition(labels[others], truth[others])


def test_a_guest_in_a_short_recording_stays() -> None:
    """Two windows out of ten are a fifth of the speech: enough to be a speaker."""
    embeddings, _ = draw_voices(2, 10, 0.3, seed=5)
    assert len(set(run(embeddings).tolist())) == 2


def test_too_few_windows_for_the_count() -> None:
    embeddings, _ = draw_voices(1, 2, 0.3, seed=6)
    with pytest.raises(InputError, match=r"has 2 window.* ask for fewer") as caught:
        run(embeddings, speakers=3)
    assert caught.value.code == "speaker_count_invalid"


def test_two_levels_find_what_one_level_finds() -> None:
    """On voices that are apart the two-level clustering gives the same partition as clustering at once."""
    embeddings, truth = draw_voices(6, 2400, 0.9, seed=7)
    one = run(embeddings, DiarizeOptions(direct_windows=5000))
    two = run(embeddings, DiarizeOptions(direct_windows=500))
    assert same_partition(one, truth)
    assert same_partition(one, two)


def test_ten_hours_are_clustered_in_seconds() -> None:
    """48,000 windows (ten hours) need no 48,000 squared table and stay within a minute of one slow core."""
    embeddings, truth = draw_voices(8, 48_000, 0.9, seed=8)
    started = time.process_time()
    labels = run(embeddings)
    assert time.process_time() - started < 60
    assert same_partition(labels, truth)
