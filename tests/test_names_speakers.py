"""Names in a timeline: one person one cluster, by evidence above the threshold, strangers numbered."""

from __future__ import annotations

from itertools import permutations
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from voxid.diarize.naming import Name, assign_people, choose_voice_segments, label_turns, suggest_people
from voxid.diarize.turns import DrawnTurn
from voxid.timeline import Segment, Suggestion


def candidates(*rows: dict[str, float]) -> list[list[Any]]:
    """Return ranked candidates per cluster from person -> LLR."""
    return [
        [SimpleNamespace(person=p, llr=llr, score=0.5) for p, llr in sorted(row.items(), key=lambda x: -x[1])]
        for row in rows
    ]


def test_one_person_is_one_cluster() -> None:
    """Two clusters like Alice: only the likelier is named."""
    assert assign_people(candidates({"alice": 5.0}, {"alice": 7.0}), 2.0) == {1: Name("alice", 7.0)}


def test_the_sum_of_evidence_decides() -> None:
    """Alice fits both clusters, Bob only the first: both get a name."""
    names = assign_people(candidates({"alice": 8.0, "bob": 7.0}, {"alice": 6.0}), 2.0)
    assert names == {0: Name("bob", 7.0), 1: Name("alice", 6.0)}


def test_below_the_threshold_is_nobody() -> None:
    assert assign_people(candidates({"alice": 1.9}, {"bob": 2.0}), 2.0) == {1: Name("bob", 2.0)}
    assert assign_people(candidates({}, {}), 2.0) == {}


@pytest.mark.parametrize("seed", range(8))
def test_assignment_is_the_best_of_all(seed: int) -> None:
    """Equal to trying every assignment of people to clusters."""
    rng = np.random.default_rng(seed)
    llr = rng.normal(2, 4, (4, 3))
    rows = [{f"p{person}": float(llr[row, person]) for person in range(3)} for row in range(4)]
    names = assign_people(candidates(*rows), 1.0)
    total = sum(name.llr - 1.0 for name in names.values())
    best = max(
        sum(max(0.0, llr[row, person] - 1.0) for person, row in enumerate(order))
        for order in permutations(range(4), 3)
    )
    assert total == pytest.approx(best, abs=1e-6)


def test_strangers_are_numbered_by_first_appearance() -> None:
    turns = [DrawnTurn(Segment(i, i + 1), cluster) for i, cluster in enumerate([3, 1, 3, 0])]
    labelled = label_turns(turns, {1: Name("alice", 4.5)})
    assert [turn.speaker for turn in labelled] == ["SPEAKER_00", "alice", "SPEAKER_00", "SPEAKER_01"]
    assert [turn.named for turn in labelled] == [False, True, False, False]
    assert [turn.llr for turn in labelled] == [None, 4.5, None, None]


def test_the_best_of_the_review_band_is_suggested_and_never_named() -> None:
    """Rows with a name get none; a row that lost its person to a likelier one is told of that person."""
    rows = candidates({"alice": 5.0}, {"alice": 4.0, "bob": 1.0}, {"bob": 1.5, "cid": 1.2}, {})
    names = assign_people(rows, 2.0)
    assert names == {0: Name("alice", 5.0)}
    suggested = suggest_people(rows, names, 2.0)
    assert suggested == {1: Suggestion("alice", 4.0, 2.0), 2: Suggestion("bob", 1.5, 2.0)}
    turns = [DrawnTurn(Segment(i, i + 1), i, 0.9) for i in range(4)]
    labelled = label_turns(turns, suggested | names)
    assert [turn.speaker for turn in labelled] == ["alice", "SPEAKER_00", "SPEAKER_01", "SPEAKER_02"]
    assert [turn.named for turn in labelled] == [True, False, False, False]
    assert [turn.suggestion for turn in labelled] == [None, suggested[1], suggested[2], None]
    assert [turn.llr for turn in labelled] == [5.0, None, None, None]
    assert [turn.confidence for turn in labelled] == [0.9] * 4


def test_an_id_keeps_the_suggestion_beside_it_and_takes_no_name() -> None:
    """Somebody known without a name may also be like a person: the label is the id, the name waits for a reviewer."""
    bob = Suggestion("bob", 1.5, 2.0)
    turns = [DrawnTurn(Segment(i, i + 1), i) for i in range(3)]
    id_ = "unknown-7k3f2m9x"
    labelled = label_turns(
        turns, {0: Name("alice", 5.0), 1: bob}, {0: Name("unknown-0", 9.0), 1: Name(id_, 3.0)}
    )
    assert [turn.speaker for turn in labelled] == ["alice", id_, "SPEAKER_00"]
    assert [turn.named for turn in labelled] == [True, False, False]
    assert [turn.voice_id for turn in labelled] == [None, id_, None]
    assert [turn.llr for turn in labelled] == [5.0, 3.0, None]
    assert [turn.suggestion for turn in labelled] == [None, bob, None]


def test_a_person_called_speaker_00_is_not_mixed_with_a_stranger() -> None:
    turns = [DrawnTurn(Segment(0, 1), 0), DrawnTurn(Segment(1, 2), 1)]
    labelled = label_turns(turns, {1: Name("SPEAKER_00", 4.5)})
    assert [turn.speaker for turn in labelled] == ["SPEAKER_01", "SPEAKER_00"]


def test_a_voice_is_taken_from_the_longest_turns() -> None:
    """At most 8 s of one turn and 20 s in all, from the middle of the turns."""
    said = [Segment(0, 30), Segment(31, 31.1), Segment(40, 46), Segment(50, 60)]
    turns = [DrawnTurn(segment, 0) for segment in said]
    segments = choose_voice_segments(turns, 0)
    assert [(s.start_s, s.end_s) for s in segments] == [(11.0, 19.0), (51.0, 59.0), (41.0, 45.0)]
    assert choose_voice_segments([DrawnTurn(Segment(0, 0.1), 0)], 0) == []


def test_a_voice_is_taken_from_where_it_speaks_alone() -> None:
    """Who is never alone is still heard."""
    turns = [DrawnTurn(Segment(0, 6), 0), DrawnTurn(Segment(4, 9), 1), DrawnTurn(Segment(7, 8), 2)]
    assert choose_voice_segments(turns, 0) == [Segment(0, 4)]
    assert choose_voice_segments(turns, 1) == [Segment(6, 7), Segment(8, 9)]
    assert choose_voice_segments(turns, 2) == [Segment(7, 8)]
