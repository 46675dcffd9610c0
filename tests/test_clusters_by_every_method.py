"""Every method of clustering finds voices that are apart, and honours every bound."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from synthetic_voices import draw_chunks, draw_windows, plda_of_people, same_partition
from voxid.diarize.clustering import METHODS, Clustering, ClusterOptions, Voices, cluster, unit_rows
from voxid.diarize.clustering.linkage import link_centroids, link_complete
from voxid.diarize.clustering.similarity import cosine_matrix, cosine_scores, plda_scores, split_scores
from voxid.diarize.options import CLUSTERINGS, SpeakerCount
from voxid.diarize.vbx import VbxOptions
from voxid.errors import CompatibilityError, InputError

COUNTING = [name for name in CLUSTERINGS if "complete" not in name]
"""Complete linkage splits a voice whose windows vary; its count is the caller's to give."""


def run(voices: Voices, method: str, **count: int) -> Clustering:
    """Cluster with a threshold where one voice ends: .4 for cosines, else found in the recording."""
    threshold = 0.4 if method in ("ahc", "k-means") else None
    options = ClusterOptions(method=method, threshold=threshold, vbx=VbxOptions(dim=40))
    return cluster(voices, SpeakerCount.checked(**count), options, plda_of_people())


def test_every_name_has_its_method() -> None:
    assert set(METHODS) == set(CLUSTERINGS)


@pytest.mark.parametrize("method", COUNTING)
@pytest.mark.parametrize("n_people", [2, 4])
def test_counts_voices_that_are_apart(method: str, n_people: int) -> None:
    voices, truth = draw_windows(n_people, 120, 0.6, seed=n_people)
    found = run(voices, method)
    assert same_partition(found.labels, truth)
    assert (found.n_speakers, found.method) == (n_people, method)


@pytest.mark.parametrize("method", CLUSTERINGS)
@pytest.mark.parametrize("speakers", [1, 2, 3, 7])
def test_honours_an_exact_count(method: str, speakers: int) -> None:
    """However many voices there are."""
    voices, _ = draw_windows(3, 60, 1.0, seed=1)
    found = run(voices, method, speakers=speakers)
    assert found.n_speakers == len(set(found.labels.tolist())) == speakers


def test_the_automatic_method_cuts_the_tree_where_the_count_asked_for_is_another() -> None:
    """VBx finds three voices; four are asked for: they are AHC's four, and three are VBx's own."""
    voices, truth = draw_windows(3, 240, 0.8, seed=1)
    options = ClusterOptions(method="auto", threshold=0.4, vbx=VbxOptions(dim=40))

    def found(options: ClusterOptions, speakers: int) -> list[int]:
        return cluster(voices, SpeakerCount(speakers, speakers), options, plda_of_people()).labels.tolist()

    assert found(options, 4) == found(replace(options, method="ahc"), 4)
    assert found(options, 3) == found(replace(options, method="vbx", threshold=None), 3)
    assert same_partition(np.asarray(found(options, 3)), truth)


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_honours_bounds(method: str) -> None:
    voices, _ = draw_windows(4, 80, 0.6, seed=2)
    assert run(voices, method, max_speakers=2).n_speakers <= 2
    assert run(voices, method, min_speakers=6).n_speakers >= 6
    assert 2 <= run(voices, method, min_speakers=2, max_speakers=6).n_speakers <= 6


@pytest.mark.parametrize("method", CLUSTERINGS)
@pytest.mark.parametrize("seed", range(3))
def test_bounds_hold_for_any_voices(method: str, seed: int) -> None:
    """Property: for voices drawn without any order, and bounds drawn as well, the count lies inside."""
    rng = np.random.default_rng(seed)
    n_voices = int(rng.integers(2, 40))
    vectors = unit_rows(rng.standard_normal((n_voices, 48)).astype(np.float32))
    voices = Voices.of_windows(vectors, rng.uniform(0.1, 3.0, n_voices), np.arange(n_voices) * 1.0)
    least = int(rng.integers(1, n_voices + 1))
    most = int(rng.integers(least, n_voices + 1))
    found = run(voices, method, min_speakers=least, max_speakers=most)
    assert least <= found.n_speakers <= most
    assert found.labels.min() == 0
    assert found.labels.max() == found.n_speakers - 1


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_labels_are_numbered_by_first_appearance(method: str) -> None:
    voices, _ = draw_windows(3, 60, 0.8, seed=3)
    labels = run(voices, method, speakers=3).labels
    firsts = [int(np.flatnonzero(labels == label)[0]) for label in range(3)]
    assert firsts == sorted(firsts)


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_one_voice_and_equal_voices(method: str) -> None:
    """A single window is one speaker; 30 equal windows are one, and three when three are asked for."""
    one, _ = draw_windows(1, 1, 0.0, seed=4)
    assert run(one, method).labels.tolist() == [0]
    equal = Voices.of_windows(np.repeat(one.embeddings, 30, axis=0), np.full(30, 0.75), np.arange(30.0))
    assert run(equal, method, speakers=3).n_speakers == 3


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_two_levels_find_what_one_level_finds(method: str) -> None:
    """Beyond ``direct_windows`` small pure clusters stand for the windows; voices that are apart come out alike."""
    voices, truth = draw_windows(3, 1200, 0.5, seed=5)
    options = ClusterOptions(method=method, direct_windows=400, vbx=VbxOptions(dim=40))
    assert same_partition(cluster(voices, SpeakerCount(3, 3), options, plda_of_people()).labels, truth)


@pytest.mark.parametrize("method", ["spectral", "nme-sc", "k-means"])
def test_the_same_seed_gives_the_same_labels(method: str) -> None:
    voices, _ = draw_windows(4, 80, 2.0, seed=6)
    assert np.array_equal(run(voices, method, speakers=4).labels, run(voices, method, speakers=4).labels)


def test_short_voices_are_assigned_but_shape_nothing() -> None:
    """Half a second of something else is no speaker, however far from all voices it is."""
    voices, truth = draw_windows(2, 40, 0.3, seed=7)
    seconds = voices.seconds.copy()
    odd = np.arange(0, 40, 5)
    seconds[odd] = 0.2
    embeddings = voices.embeddings.copy()
    embeddings[odd] = unit_rows(np.random.default_rng(8).standard_normal((len(odd), 48)).astype(np.float32))
    noisy = Voices(embeddings, voices.chunk, seconds, voices.start_s)
    found = cluster(noisy, options=ClusterOptions(threshold=0.4, min_voice_s=0.5, min_cluster_s=0.0))
    assert found.n_speakers == 2
    others = np.setdiff1d(np.arange(40), odd)
    assert same_partition(found.labels[others], truth[others])
    assert found.labels.min() == 0


def test_voices_of_chunks_are_clustered_by_vbx_without_order() -> None:
    voices, truth = draw_chunks(4, 80, 0.6, seed=9)
    found = cluster(voices, options=ClusterOptions("vbx", min_cluster_s=2.0), plda=plda_of_people())
    assert same_partition(found.labels, truth)


def test_complete_linkage_agrees_with_scipy() -> None:
    vectors = unit_rows(np.random.default_rng(10).standard_normal((150, 20)).astype(np.float32))
    tree = link_complete(cosine_matrix(vectors), np.ones(150))
    distance = 1 - cosine_matrix(vectors).astype(np.float64)
    np.fill_diagonal(distance, 0)
    oracle = linkage(squareform(distance, checks=False), "complete")
    assert np.allclose(1 - tree.similarities, oracle[:, 2], atol=1e-5)
    assert same_partition(tree.labels_after(130), fcluster(oracle, 20, "maxclust"))


def test_centroid_linkage_agrees_with_the_definition() -> None:
    """The most alike pair of centroids joins, step by step."""
    vectors = unit_rows(np.random.default_rng(11).standard_normal((40, 6)).astype(np.float32))
    tree = link_centroids(vectors, np.ones(40), unit_rows, cosine_scores)
    groups = [{index} for index in range(40)]
    while len(groups) > 5:
        centres = unit_rows(np.stack([vectors[list(group)].mean(axis=0) for group in groups]))
        near = centres @ centres.T - 2 * np.eye(len(groups))
        i, j = sorted(np.unravel_index(int(near.argmax()), near.shape))
        groups[i] |= groups.pop(j)
    labels = tree.labels_after(35)
    assert {frozenset(np.flatnonzero(labels == label).tolist()) for label in range(5)} == set(
        map(frozenset, groups)
    )


def test_plda_scores_agree_with_the_back_end() -> None:
    """Pair by pair they are the log-likelihood ratios that verification uses."""
    plda = plda_of_people()
    x = plda.project(draw_windows(5, 30, 1.0, seed=12)[0].embeddings)
    left, right = np.repeat(np.arange(30), 30), np.tile(np.arange(30), 30)
    one = np.ones(900, dtype=np.int64)
    expected = plda.llr(x[left], one, x[right], one).reshape(30, 30)
    assert np.allclose(plda_scores(x, x, plda.between), expected, rtol=1e-4, atol=1e-3)


def test_the_threshold_lies_between_two_heaps_of_scores() -> None:
    """Where two Gaussians of one variance cross, found from the scores alone."""
    rng = np.random.default_rng(13)
    scores = np.concatenate([rng.normal(0.1, 0.1, 30_000), rng.normal(0.6, 0.1, 10_000)])
    expected = 0.35 + 0.1**2 * np.log(3) / 0.5
    assert split_scores(scores) == pytest.approx(expected, abs=0.01)
    assert split_scores(np.full(9, 0.5)) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("method", ["vbx", "ahc-plda", "ahc-complete-plda", "ahc-centroid-plda"])
def test_needs_a_plda_where_it_uses_one(method: str) -> None:
    voices, _ = draw_windows(2, 20, 0.5, seed=14)
    with pytest.raises(
        CompatibilityError, match=f"clustering by {method} needs a PLDA.*take another"
    ) as caught:
        cluster(voices, options=ClusterOptions(method))
    assert caught.value.code == "plda_missing"


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_rejects_more_speakers_than_voices(method: str) -> None:
    voices, _ = draw_windows(2, 4, 0.5, seed=15)
    with pytest.raises(InputError, match=r"has 4 window.* ask for fewer"):
        run(voices, method, speakers=5)


def test_rejects_an_unknown_method() -> None:
    with pytest.raises(
        InputError, match=r"clustering is 'dbscan'; expected one of ahc, .* change it"
    ) as caught:
        ClusterOptions("dbscan")
    assert caught.value.code == "option_invalid"


def test_every_name_is_documented_with_a_source() -> None:
    """The page has a row for each name, and each method's docstring says where it comes from."""
    page = (Path(__file__).parents[1] / "docs" / "clustering.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in CLUSTERINGS)
    assert all("Source:" in (method.__doc__ or "") for method in METHODS.values())
