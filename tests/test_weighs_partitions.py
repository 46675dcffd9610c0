"""Partitions of the voices are compared as wholes: rare speakers stay, and a number that is given helps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from synthetic_voices import D, draw_people, plda_of_people, same_partition
from voxid.diarize.clustering import Clustering, ClusterOptions, Voices, cluster, unit_rows
from voxid.diarize.clustering.bounds import absorb_minor
from voxid.diarize.clustering.cluster import make_task
from voxid.diarize.clustering.confidence import measure_margins
from voxid.diarize.clustering.partitions import INDEPENDENT_PER_S, find_likeliest, weigh_partition
from voxid.diarize.options import SpeakerCount
from voxid.diarize.vbx import VbxOptions
from voxid.errors import InputError

WHOLE_S = 1 / INDEPENDENT_PER_S  # seconds that count as one recording


def draw(windows_of_each: tuple[int, ...], spread: float, seed: int) -> tuple[Voices, NDArray[np.int64]]:
    """Return windows of people who speak one after another, so many each, and whose each is."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(windows_of_each)), windows_of_each)
    noise = rng.standard_normal((len(truth), D)) * spread / np.sqrt(D)
    vectors = unit_rows((draw_people(len(windows_of_each), rng)[truth] + noise).astype(np.float32))
    return Voices.of_windows(vectors, np.full(len(truth), 0.75), np.arange(len(truth)) * 0.75), truth


def run(voices: Voices, starts: tuple[int, ...], **count: int) -> Clustering:
    options = ClusterOptions("auto", vbx=VbxOptions(0.1, 2.0, 0.9, dim=40, starts=starts))
    return cluster(voices, SpeakerCount.checked(**count), options, plda_of_people())


def test_two_recordings_are_weighed_as_the_plda_does() -> None:
    """Joined against apart, of two voices, is the log-likelihood ratio of the two recordings."""
    plda = plda_of_people()
    X = plda.project(draw((1, 1), 0.5, seed=1)[0].embeddings)
    weighed = [
        weigh_partition(X, plda.between, np.full(2, WHOLE_S), labels)
        for labels in (np.array([0, 0]), np.array([0, 1]))
    ]
    one = np.ones(1, np.int64)
    assert weighed[0] - weighed[1] == pytest.approx(float(plda.llr(X[:1], one, X[1:], one)[0]))


def test_the_truth_weighs_more_than_a_speaker_lost_or_cut() -> None:
    plda = plda_of_people()
    voices, truth = draw((60, 40, 8), 1.0, seed=2)
    X, seconds = plda.project(voices.embeddings), voices.seconds.astype(np.float64)
    lost, cut = np.minimum(truth, 1), np.where(np.arange(len(truth)) < 30, 3, truth)
    right, *wrong = (weigh_partition(X, plda.between, seconds, labels) for labels in (truth, lost, cut))
    assert right > max(wrong)


def test_partitions_within_the_bounds_come_first() -> None:
    voices, truth = draw((30, 30), 0.6, seed=3)
    task = make_task(voices, SpeakerCount(3, 4), ClusterOptions("vbx"), plda_of_people())
    thirds = np.arange(60) // 20
    assert find_likeliest(task, plda_of_people().project(voices.embeddings), [truth, thirds]) is thirds


def test_a_light_cluster_stays_where_it_is_like_no_heavy_one() -> None:
    """Four windows of another voice are a speaker; four of a voice that is there already, or one window, are none."""
    voices, truth = draw((40, 40, 4), 0.6, seed=4)
    task = make_task(voices, SpeakerCount(), ClusterOptions("vbx"), plda_of_people())
    assert same_partition(absorb_minor(task, truth, 6.0, keep_rare=True), truth)
    assert absorb_minor(task, truth, 6.0).max() == 1
    part_of_another = np.where(np.arange(len(truth)) < 4, 2, np.minimum(truth, 1))
    single = np.where(np.arange(len(truth)) == 83, 2, np.minimum(truth, 1))
    assert [absorb_minor(task, each, 6.0, keep_rare=True).max() for each in (part_of_another, single)] == [
        1,
        1,
    ]


@pytest.mark.parametrize("seed", range(2))
def test_a_number_that_is_given_finds_rare_speakers(seed: int) -> None:
    """Instead of cutting those who speak most."""
    voices, truth = draw((80, 40, 20, 5, 3), 1.0, seed)
    assert same_partition(run(voices, (3, 6, 12), speakers=5).labels, truth)


def test_a_single_voice_is_one_wherever_vb_begins() -> None:
    voices, _ = draw((80,), 1.2, seed=6)
    assert run(voices, (3, 6, 12)).n_speakers == 1


def test_refuses_to_begin_from_no_cluster() -> None:
    with pytest.raises(InputError, match="expected fa, fb, dim, iterations and starts above 0"):
        VbxOptions(starts=(3, 0))


def test_margins_are_those_of_every_partition_with_one_speaker_fewer() -> None:
    """As found by joining each two and weighing the whole; more speech, and clearer margins, are surer."""
    plda = plda_of_people()
    voices, truth = draw((40, 30, 20), 0.8, seed=4)
    task = make_task(voices, SpeakerCount(), ClusterOptions("vbx"), plda)
    X, psi = plda.project(voices.embeddings), plda.between
    right = weigh_partition(X, psi, task.weights, truth)
    fewer = [np.where(truth == one, other, truth) for one, other in ((2, 1), (2, 0))]
    fewer.append(np.maximum(truth - 1, 0))
    margins = measure_margins(task, truth)
    best = max(weigh_partition(X, psi, task.weights, labels) for labels in fewer)
    assert margins.joined_nats == pytest.approx(right - best)
    assert margins.joined_nats > 0
    assert margins.speech_s == pytest.approx(67.5)
    assert measure_margins(task, np.zeros(90, np.int64)).joined_nats == 0
    longer = replace(margins, speech_s=200.0)
    assert margins.confidence < longer.confidence < replace(longer, joined_nats=500.0).confidence < 1
    assert replace(margins, speech_s=9000.0).confidence == replace(margins, speech_s=335.0).confidence
