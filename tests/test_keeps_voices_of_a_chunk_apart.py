"""Two voices of one chunk are two people, whatever their embeddings say."""

from __future__ import annotations

import numpy as np
import pytest

from synthetic_voices import draw_chunks, plda_of_people, same_partition
from voxid.diarize.clustering import ClusterOptions, Voices, cluster, unit_rows
from voxid.diarize.clustering.cluster import find_labels, make_task
from voxid.diarize.clustering.constraint import assign_apart, find_apart, find_torn
from voxid.diarize.clustering.linkage import link_average, link_centroids, link_complete
from voxid.diarize.clustering.similarity import cosine_matrix, cosine_scores
from voxid.diarize.options import CLUSTERINGS, SpeakerCount
from voxid.diarize.vbx import LOCAL_VOICES


def shared_places(voices: Voices, labels: np.ndarray) -> int:
    """Return how often two voices of one chunk have one label."""
    placed = labels >= 0
    pairs = list(zip(voices.chunk[placed].tolist(), labels[placed].tolist(), strict=True))
    return len(pairs) - len(set(pairs))


@pytest.mark.parametrize("method", CLUSTERINGS)
@pytest.mark.parametrize("spread", [0.5, 2.0, 4.0])
def test_no_chunk_holds_a_speaker_twice(method: str, spread: float) -> None:
    """Property: also where the embeddings are nearly noise; everybody has a place when there are enough speakers."""
    voices, _ = draw_chunks(4, 25, spread, seed=1)
    found = cluster(voices, SpeakerCount(4, 4), ClusterOptions(method), plda_of_people())
    assert shared_places(voices, found.labels) == 0
    assert found.n_speakers == 4
    assert found.labels.min() == 0


@pytest.mark.parametrize("seed", range(8))
def test_bounds_hold_under_the_constraint(seed: int) -> None:
    """Property: any chunks, any bounds: no shared place, the count inside, -1 only where a chunk is too full."""
    rng = np.random.default_rng(seed)
    voices, _ = draw_chunks(5, int(rng.integers(3, 30)), float(rng.uniform(0.3, 4)), seed, most=4)
    least = int(rng.integers(1, 6))
    most = int(rng.integers(least, 7))
    found = cluster(voices, SpeakerCount(least, most), ClusterOptions(threshold=0.4, min_cluster_s=2.0))
    assert shared_places(voices, found.labels) == 0
    assert least <= found.n_speakers <= most
    homeless = voices.chunk[found.labels < 0]
    sizes = np.bincount(voices.chunk)
    assert all(sizes[chunk] > found.n_speakers for chunk in homeless.tolist())


def test_the_matching_mends_what_clustering_mixed_up() -> None:
    """Two people hard to tell apart, always heard together: the chunk separates them where embeddings blur."""
    voices, truth = draw_chunks(2, 40, 1.8, seed=2, most=2)
    found = cluster(voices, SpeakerCount(2, 2), ClusterOptions("k-means"))
    together = np.isin(voices.chunk, np.flatnonzero(np.bincount(voices.chunk) == 2))
    right = np.mean(found.labels[together] == truth[together])
    assert max(right, 1 - right) > 0.95


def test_without_crowds_nothing_changes() -> None:
    """Windows, a chunk each, keep the labels of the clustering."""
    voices, _ = draw_chunks(3, 30, 1.0, seed=3, most=1)
    labels = np.random.default_rng(4).integers(0, 3, len(voices))
    assert np.array_equal(assign_apart(voices, labels), labels)


def test_the_surplus_voice_of_a_full_chunk_finds_no_place() -> None:
    """Three voices at once and two speakers allowed: the one that fits worst gets -1."""
    voices, truth = draw_chunks(2, 30, 0.3, seed=5, most=2)
    intruder = -voices.embeddings[:1]
    crowd = Voices(
        np.concatenate(
            [voices.embeddings, voices.embeddings[[0, int(np.argmax(truth != truth[0]))]], intruder]
        ),
        np.concatenate([voices.chunk, [99, 99, 99]]),
        np.concatenate([voices.seconds, np.ones(3, np.float32)]),
        np.concatenate([voices.start_s, np.full(3, 999, np.float32)]),
    )
    found = cluster(crowd, SpeakerCount(2, 2))
    assert found.labels[-1] == -1
    assert same_partition(found.labels[:-3], truth)


def test_no_speaker_is_lost_to_the_matching() -> None:
    """A cluster whose only voice is taken by its neighbour gets one back: an exact count stays exact."""
    for seed in range(10):
        voices, _ = draw_chunks(6, 6, 3.0, seed, most=3)
        speakers = min(len(voices), 5)
        found = cluster(voices, SpeakerCount(speakers, speakers))
        assert found.n_speakers == speakers
        assert shared_places(voices, found.labels) == 0


def test_local_voices_have_their_own_values() -> None:
    """Order in time is forgotten where several voices share a place."""
    assert LOCAL_VOICES.loop_probability == 0.0


def merge_slowly(vectors: np.ndarray, apart: np.ndarray, linkage: str, stop: float) -> np.ndarray:
    """Return labels by the definition: the most alike two clusters without a forbidden pair join, again and again."""
    clusters = [[row] for row in range(len(vectors))]
    cosine = vectors @ vectors.T

    def alike(a: list[int], b: list[int]) -> float:
        if apart[np.ix_(a, b)].any():
            return -np.inf
        if linkage == "centroid":
            return float(unit_rows(vectors[a].mean(axis=0)) @ unit_rows(vectors[b].mean(axis=0)))
        pairs = cosine[np.ix_(a, b)]
        return float(pairs.mean() if linkage == "average" else pairs.min())

    while len(clusters) > 1:
        best, i, j = max(
            (alike(a, b), i, j) for j, b in enumerate(clusters) for i, a in enumerate(clusters[:j])
        )
        if best < stop:
            break
        clusters[i] += clusters.pop(j)
    labels = np.empty(len(vectors), np.int64)
    for number, rows in enumerate(clusters):
        labels[rows] = number
    return labels


@pytest.mark.parametrize("linkage", ["average", "complete", "centroid"])
@pytest.mark.parametrize("seed", range(3))
def test_constrained_merging_follows_its_definition(linkage: str, seed: int) -> None:
    voices, _ = draw_chunks(4, 10, 2.0, seed, most=4)
    apart = find_apart(voices.chunk, np.ones(len(voices), np.bool_), np.arange(len(voices)))
    weights = np.ones(len(voices))
    if linkage == "centroid":
        tree = link_centroids(voices.embeddings, weights, unit_rows, cosine_scores, apart)
    else:
        link = link_average if linkage == "average" else link_complete
        tree = link(cosine_matrix(voices.embeddings), weights, apart)
    for stop in (0.3, 0.1, -0.9):
        labels = tree.labels_after(tree.merges_above(stop))
        assert same_partition(labels, merge_slowly(voices.embeddings, apart, linkage, stop))
        assert shared_places(voices, labels) == 0
    assert len(set(tree.labels_after(len(tree.pairs)).tolist())) == 1, "a caller may demand one speaker"


@pytest.mark.parametrize("method", [name for name in CLUSTERINGS if name.startswith("ahc")])
def test_two_who_sound_alike_are_counted_where_they_are_heard_together(method: str) -> None:
    """Two people with nearly one voice, in every chunk both: without the constraint they were one speaker."""
    rng = np.random.default_rng(0)
    one = np.eye(48)[0]
    two = unit_rows((one + 0.3 * np.eye(48)[1])[None].astype(np.float32))[0]
    people = np.stack([one, two])[np.tile([0, 1], 30)]
    vectors = unit_rows((people + rng.standard_normal((60, 48)) * 0.02).astype(np.float32))
    chunk = np.repeat(np.arange(30), 2)
    voices = Voices(vectors, chunk, np.full(60, 4.0, np.float32), (chunk * 5.0).astype(np.float32))
    threshold = None if method.endswith("plda") else 0.3
    found = cluster(voices, None, ClusterOptions(method, threshold), plda_of_people())
    assert found.n_speakers == 2
    assert same_partition(found.labels, np.tile([0, 1], 30))


def test_the_first_level_respects_chunks() -> None:
    """In two levels, too, before any matching: neither a block nor what joins blocks puts a chunk's voices together."""
    voices, truth = draw_chunks(5, 1_000, 0.8, seed=6)
    options = ClusterOptions(threshold=0.3, direct_windows=200, apart_s=0.0)
    task = make_task(voices, SpeakerCount(), options, None)
    assert int(task.items.max()) + 1 < len(voices) / 4
    assert shared_places(voices, task.items) == 0
    labels = find_labels(task)
    assert shared_places(voices, labels) == 0
    assert same_partition(labels, truth)


def test_a_guest_heard_beside_everybody_stays() -> None:
    """A voice of two seconds is a minor cluster, but its chunk holds both others: it can be neither."""
    voices, _ = draw_chunks(2, 30, 0.3, seed=7, most=2)
    full = int(np.flatnonzero(np.bincount(voices.chunk) == 2)[0])

    def with_guest(seconds: float) -> Voices:
        guest = unit_rows((voices.embeddings[0] + np.eye(48, dtype=np.float32)[5])[None])
        return Voices(
            np.concatenate([voices.embeddings, guest]),
            np.append(voices.chunk, full),
            np.append(voices.seconds, np.float32(seconds)),
            np.append(voices.start_s, np.float32(999)),
        )

    options = ClusterOptions(threshold=0.3)
    assert cluster(with_guest(2.0), None, options).n_speakers == 3
    assert cluster(with_guest(0.4), None, options).n_speakers == 2, "so short a voice may be a slip"
    assert cluster(with_guest(2.0), SpeakerCount(2, 2), options).n_speakers == 2


def test_too_few_speakers_are_split_where_a_chunk_tears_them() -> None:
    chunk = np.array([0, 0, 1, 1])
    weights = np.array([1.0, 2.0, 4.0, 3.0])
    sure = np.ones(4, np.bool_)
    torn = find_torn(chunk, weights, sure, np.zeros(4, np.int64))
    assert torn is not None
    assert torn.tolist() == [2, 3]
    assert find_torn(chunk, weights, sure, np.array([0, 1, 0, 1])) is None
    assert find_torn(chunk, weights, ~sure, np.zeros(4, np.int64)) is None
