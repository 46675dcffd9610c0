"""Overlapping turns: who speaks at each moment, where voices overlap, and the timeline with one voice at a time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from voxid.errors import InputError
from voxid.segments import Segment, merge_segments
from voxid.timeline import Stretch, Timeline, Turn

NAMES = ("ann", "bob", "SPEAKER_00")


def turn(start_s: float, end_s: float, speaker: str, confidence: float | None = None) -> Turn:
    return Turn(Segment(start_s, end_s), speaker, confidence=confidence)


def random_talk(rng: np.random.Generator, sure: bool = True) -> tuple[Timeline, np.ndarray]:
    """A timeline of up to 25 turns on a grid of 10 ms over 3 s, and who speaks in each cell: (3, 300) of bool."""
    turns, cells = [], np.zeros((3, 300), bool)
    for _ in range(int(rng.integers(0, 26))):
        start = int(rng.integers(0, 295))
        end = int(rng.integers(start + 1, 300))
        who = int(rng.integers(3))
        confidence = round(float(rng.uniform()), 2) if sure and rng.uniform() < 0.8 else None
        turns.append(turn(start / 100, end / 100, NAMES[who], confidence))
        cells[who, start:end] = True
    return Timeline(tuple(turns), 3.0), cells


def test_stretches_agree_with_a_grid() -> None:
    """In every cell the stretch over it names exactly who speaks there; silence has none; neighbours differ."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        timeline, cells = random_talk(rng)
        found = np.zeros_like(cells)
        stretches = timeline.stretches()
        for stretch in stretches:
            first, last = round(stretch.segment.start_s * 100), round(stretch.segment.end_s * 100)
            for name in stretch.speakers:
                found[NAMES.index(name), first:last] = True
        np.testing.assert_array_equal(found, cells)
        for left, right in itertools.pairwise(stretches):
            assert left.segment.end_s <= right.segment.start_s
            assert left.segment.end_s < right.segment.start_s or left.speakers != right.speakers


def test_stretches_of_a_small_talk() -> None:
    """Speakers stand in the order of first speech; two turns of one person that touch are one stretch."""
    talk = Timeline((turn(0, 2, "bob"), turn(1, 3, "ann"), turn(3, 4, "ann")), 5.0)
    assert talk.stretches() == [
        Stretch(Segment(0, 1), ("bob",)),
        Stretch(Segment(1, 2), ("bob", "ann")),
        Stretch(Segment(2, 4), ("ann",)),
    ]
    assert Timeline((), 5.0).stretches() == []


def test_overlap_of_each_turn() -> None:
    """Seconds in which somebody else speaks; one's own other turn does not count."""
    talk = Timeline((turn(0, 4, "ann"), turn(1, 2, "bob"), turn(3, 5, "cid"), turn(3.5, 4.5, "cid")), 6.0)
    assert [one.speaker for one in talk.turns] == ["ann", "bob", "cid", "cid"]
    assert talk.overlapped_s() == [2.0, 1.0, 1.0, 0.5]
    rng = np.random.default_rng(1)
    for _ in range(50):
        timeline, cells = random_talk(rng)
        several = cells.sum(0) > 1
        for one, shared_s in zip(timeline.turns, timeline.overlapped_s(), strict=True):
            expected = several[round(one.start_s * 100) : round(one.end_s * 100)].sum() / 100
            assert shared_s == pytest.approx(expected)


@pytest.mark.parametrize("sure", [True, False])
def test_exclusive_has_one_voice_and_loses_no_speech(sure: bool) -> None:
    """No two turns overlap, the same moments are speech, and everyone heard did speak then."""
    rng = np.random.default_rng(2)
    for _ in range(100):
        timeline, cells = random_talk(rng, sure)
        alone = timeline.exclusive()
        for left, right in itertools.pairwise(alone.turns):
            assert left.end_s <= right.start_s
        assert alone.regions() == timeline.regions()
        assert alone.overlaps() == []
        assert alone.exclusive() == alone
        for one in alone.turns:
            first, last = round(one.start_s * 100), round(one.end_s * 100)
            assert cells[NAMES.index(one.speaker), first:last].all()


def test_exclusive_keeps_the_most_confident() -> None:
    """At the middle of every stretch the turn kept has the highest confidence of those that run."""
    rng = np.random.default_rng(3)
    for _ in range(100):
        timeline, _ = random_talk(rng)
        for one in timeline.exclusive().turns:
            middle_s = (one.start_s + one.end_s) / 2
            there = [
                -1.0 if other.confidence is None else other.confidence
                for other in timeline.turns
                if other.start_s <= middle_s < other.end_s
            ]
            assert (-1.0 if one.confidence is None else one.confidence) == max(there)


def test_who_has_the_floor_keeps_it() -> None:
    """A surer interruption splits a turn; one that is no surer is not heard inside it."""
    surer = Timeline((turn(0, 4, "ann", 0.6), turn(1, 2, "bob", 0.9)), 5.0).exclusive()
    assert [(one.start_s, one.end_s, one.speaker) for one in surer.turns] == [
        (0, 1, "ann"),
        (1, 2, "bob"),
        (2, 4, "ann"),
    ]
    for first, second in ((0.9, 0.9), (None, None), (0.1, None)):
        same = Timeline((turn(0, 4, "ann", first), turn(1, 5, "bob", second)), 5.0).exclusive()
        assert [(one.start_s, one.end_s, one.speaker) for one in same.turns] == [
            (0, 4, "ann"),
            (4, 5, "bob"),
        ]
    reviewed = Turn(Segment(1, 2), "bob", reviewed=True)
    assert Timeline((turn(0, 4, "ann", 0.99), reviewed), 5.0).exclusive().turns[1] == reviewed


def test_exclusive_keeps_what_a_turn_knows() -> None:
    """The parts of a split turn have its name, LLR and confidence; the recording stays the same."""
    long = Turn(Segment(0, 4), "ann", named=True, llr=4.5, confidence=0.5)
    timeline = Timeline((long, turn(1, 2, "bob", 0.9)), 5.0, "talk", "a" * 64)
    alone = timeline.exclusive()
    assert (alone.uri, alone.duration_s, alone.audio_sha256) == ("talk", 5.0, "a" * 64)
    assert {(one.named, one.llr, one.confidence) for one in alone.turns if one.speaker == "ann"} == {
        (True, 4.5, 0.5)
    }


def test_ten_hours_of_turns_are_cut_quickly() -> None:
    """20,000 turns of eight people: one pass, not one for each pair."""
    rng = np.random.default_rng(4)
    starts = np.sort(rng.uniform(0, 35_990, 20_000))
    turns = tuple(
        turn(start, start + 0.2 + float(rng.uniform(0, 3)), f"SPEAKER_{rng.integers(8):02}", 0.5)
        for start in starts.tolist()
    )
    timeline = Timeline(turns, 36_000.0)
    assert merge_segments(one.segment for one in timeline.exclusive().turns) == timeline.regions()
    assert len(timeline.overlapped_s()) == 20_000


@pytest.mark.parametrize("confidence", [-0.1, 1.1, float("nan"), float("inf")])
def test_confidence_is_a_probability(confidence: float) -> None:
    """Anything else is refused with the number that was found."""
    with pytest.raises(InputError) as caught:
        turn(0, 1, "ann", confidence)
    assert caught.value.code == "confidence_invalid"
    assert caught.value.message == (
        f"A confidence of {confidence} was given for ann; it is a probability: expected 0 to 1."
    )
