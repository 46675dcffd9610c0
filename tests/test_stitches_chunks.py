"""Local voices of overlapping chunks become one timeline."""

from __future__ import annotations

import numpy as np
import pytest

from voxid.diarize.local import find_voices, mask_of
from voxid.diarize.segmentation import LocalActivity
from voxid.diarize.stitching import decide, draw, stitch

STEPS = 500


def heard(truth: np.ndarray, seed: int = 0) -> LocalActivity:
    """Return what a perfect network hears of (F, G) truth: half-overlapping chunks, voices in random order."""
    rng = np.random.default_rng(seed)
    starts = np.arange(0, max(1, len(truth) - STEPS + 250), 250)
    probability = np.zeros((len(starts), STEPS, 4), np.float16)
    for row, start in enumerate(starts):
        part = truth[start : start + STEPS]
        present = np.flatnonzero(part.any(axis=0))
        columns = rng.permutation(4)[: present.size]
        probability[row, : len(part), columns] = part[:, present].T
    return LocalActivity(probability, starts * 2, 2 * len(truth))


def labels_by_truth(activity: LocalActivity, truth: np.ndarray) -> np.ndarray:
    found = find_voices(activity)
    labels = []
    for chunk, voice in zip(found.chunk, found.voice, strict=True):
        start = activity.start_frames[chunk] // 2
        part = truth[start : start + STEPS]
        own = activity.probability[chunk, : len(part), voice] > 0.5
        labels.append(int((part == own[:, None]).mean(axis=0).argmax()))
    return np.array(labels)


@pytest.fixture
def truth() -> np.ndarray:
    """Three people over 40 s, overlap at 9 to 10 s and 25 to 26 s, silence at the end."""
    active = np.zeros((2000, 3), bool)
    active[50:500, 0] = active[450:900, 1] = active[1000:1300, 2] = active[1250:1800, 0] = True
    return active


def test_a_perfect_network_gives_the_truth_back(truth: np.ndarray) -> None:
    activity = heard(truth)
    found = find_voices(activity)
    whole = stitch(activity, found, labels_by_truth(activity, truth))
    assert np.array_equal(decide(whole), truth)
    turns = draw(decide(whole), whole, 40.0, max_gap_s=0.3, min_turn_s=0.1)
    assert [(t.speaker, t.segment.start_s, t.segment.end_s) for t in turns] == [
        (0, 1.0, 10.0),
        (1, 9.0, 18.0),
        (2, 20.0, 26.0),
        (0, 25.0, 36.0),
    ]
    assert all(t.confidence == pytest.approx(1.0, abs=1e-3) for t in turns)


def test_voices_know_how_long_they_are_heard_alone(truth: np.ndarray) -> None:
    activity = heard(truth)
    found = find_voices(activity)
    first = found.chunk == 0
    assert sorted(found.spoken_s[first].tolist()) == pytest.approx([1.0, 9.0])
    assert sorted(found.clean_s[first].tolist()) == pytest.approx([0.0, 8.0])
    assert sorted(found.first_s[first].tolist()) == pytest.approx([1.0, 9.0])


def test_overlap_is_pooled_over_only_where_nothing_else_is_left() -> None:
    active = np.zeros((100, 4), bool)
    active[0:60, 0] = active[50:70, 1] = True
    assert np.flatnonzero(mask_of(active, 0, 0.5)).tolist() == list(
        range(100)
    )  # 50 steps alone, without 50:60
    assert np.flatnonzero(mask_of(active, 1, 0.5)).tolist() == list(
        range(100, 140)
    )  # 0.2 s alone is too little


def test_doubtful_steps_take_as_many_speakers_as_the_chunks_heard() -> None:
    """Two chunks disagree about who is heard, but both hear one voice: one speaker is given, the likelier."""
    probability = np.zeros((2, STEPS, 4), np.float16)
    probability[0, :, 0] = 0.9
    probability[1, :, 0] = 0.6
    activity = LocalActivity(probability, np.array([0, 0]), 2 * STEPS)
    whole = stitch(activity, find_voices(activity), np.array([0, 1]))
    assert decide(whole)[:, 0].all()
    assert not decide(whole)[:, 1].any()


def test_short_turns_go_and_short_pauses_close() -> None:
    truth = np.zeros((500, 1), bool)
    truth[10:12] = truth[100:200] = truth[210:300] = truth[340:400] = True
    activity = heard(truth)
    whole = stitch(activity, find_voices(activity), np.zeros(len(find_voices(activity)), np.int64))
    turns = draw(truth, whole, 10.0, max_gap_s=0.3, min_turn_s=0.1)
    assert [(t.segment.start_s, t.segment.end_s) for t in turns] == [(2.0, 6.0), (6.8, 8.0)]
