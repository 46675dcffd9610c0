"""Two voices of one chunk are two people, whatever their embeddings say."""

from __future__ import annotations

import numpy as np
import pytest

from synthetic_voices import draw_chunks, plda_of_people, same_partition
from voxid.diarize.clustering import ClusterOptions, Voices, cluster
from voxid.diarize.clustering.constraint import assign_apart
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
