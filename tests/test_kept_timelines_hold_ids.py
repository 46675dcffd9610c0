"""A kept timeline holds person ids and no name; edits are undone one by one, back to the first byte."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from voxid.errors import CompatibilityError, InputError
from voxid.segments import Segment
from voxid.service.edits import merge_turns, rename, split_turn, undo, wanted_corrections
from voxid.service.timelines import KeptTimeline
from voxid.timeline import Suggestion, Timeline, Turn

ANNA, BOB = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
AT = datetime(2026, 11, 21, 9, tzinfo=UTC)
TALK = Timeline(
    (
        Turn(Segment(0.0, 1.50004), "Anna", True, 4.2, 0.97),
        Turn(Segment(1.6, 3.0), "SPEAKER_00", confidence=0.4, suggestion=Suggestion("Bob", 1.0, 2.0)),
        Turn(Segment(3.0, 4.0), "unknown-7k3f2m9x", voice_id="unknown-7k3f2m9x"),
        Turn(Segment(4.0, 5.0), "Gone", True, 5.0),
    ),
    6.0,
    "talk",
    "0123456789abcdef" * 4,
)
KEPT = KeptTimeline.of(TALK, {"Anna": ANNA, "Bob": BOB})


def speakers(kept: KeptTimeline, **names: str | None) -> list[str]:
    known = {ANNA: names.get("anna"), BOB: names.get("bob")}
    return [turn.speaker for turn in kept.named(known, {})]


def test_no_name_is_kept() -> None:
    """Ids in their place; somebody who was deleted before it was written is a stranger."""
    text = json.dumps(KEPT.to_dict())
    assert not any(name in text for name in ("Anna", "Bob", "Gone"))
    assert [turn.speaker for turn in KEPT.timeline.turns] == [
        ANNA,
        "SPEAKER_00",
        "unknown-7k3f2m9x",
        "SPEAKER_01",
    ]
    assert KEPT.people() == {ANNA, BOB}
    assert KeptTimeline.from_dict(json.loads(text)) == KEPT


def test_names_are_those_of_the_moment() -> None:
    """Renamed, withdrawn, deleted, an unknown person named: the next reading shows it."""
    assert speakers(KEPT, anna="Anna") == ["Anna", "SPEAKER_00", "unknown-7k3f2m9x", "SPEAKER_01"]
    assert speakers(KEPT, anna="Annette")[0] == "Annette"
    shown = KEPT.named({ANNA: None, BOB: "Bob"}, {"unknown-7k3f2m9x": "Cid"})
    assert [(turn.speaker, turn.named, turn.llr) for turn in shown] == [
        ("SPEAKER_02", False, None),
        ("SPEAKER_00", False, None),
        ("Cid", True, None),
        ("SPEAKER_01", False, None),
    ]
    assert shown[1].suggestion == Suggestion("Bob", 1.0, 2.0)
    assert KEPT.named({ANNA: "Anna", BOB: None}, {})[1].suggestion is None


def test_a_turn_is_renamed_and_the_history_says_so() -> None:
    """By its number, with who said so."""
    after = rename(KEPT, wanted_corrections(KEPT, BOB, turns=[2]), AT, "key:1")
    turn = after.named({ANNA: "Anna", BOB: "Bob"}, {})[1]
    assert (turn.speaker, turn.named, turn.reviewed) == ("Bob", True, True)
    assert [(entry.old_label, entry.new_name, entry.reviewer) for entry in after.timeline.history] == [
        ("SPEAKER_00", BOB, "key:1")
    ]


def test_a_label_that_stood_in_for_a_person_gives_way() -> None:
    """A turn is given to SPEAKER_02, which Anna was called when she may not be named: she gets another."""
    after = rename(KEPT, wanted_corrections(KEPT, "SPEAKER_02", turns=[3]), AT, "key:1")
    seen = speakers(after)
    assert seen[2] == "SPEAKER_02"
    assert len(set(seen)) == 4


def test_two_records_of_one_person_become_one_on_timelines_too() -> None:
    """Turns, suggestions, history and what can be undone."""
    cid = "33333333-3333-4333-8333-333333333333"
    edited = rename(KEPT, wanted_corrections(KEPT, BOB, turns=[2]), AT, "key:1")
    joined = edited.handed_on(BOB, cid).handed_on(ANNA, cid)
    assert BOB not in json.dumps(joined.to_dict())
    assert [turn.speaker for turn in joined.timeline.turns[:2]] == [cid, cid]
    assert undo(joined).timeline.turns[1].suggestion == Suggestion(cid, 1.0, 2.0)


def test_edits_are_undone_to_where_they_began() -> None:
    """Renamed, split, merged, stored in between; four times back, and then there is nothing."""
    states = [KEPT]
    for edit in (
        lambda kept: rename(kept, wanted_corrections(kept, BOB, formers=["SPEAKER_00"]), AT, "key:1"),
        lambda kept: split_turn(kept, 1, 0.7004, BOB, AT, "key:1"),
        lambda kept: merge_turns(kept, [3, 4], "SPEAKER_05", AT, "key:2"),
        lambda kept: split_turn(kept, 1, 0.2, None, AT, "key:2"),
    ):
        states.append(KeptTimeline.from_dict(json.loads(json.dumps(edit(states[-1]).to_dict()))))
    split = states[2].timeline.turns
    assert [(turn.end_s, turn.speaker) for turn in split[:2]] == [(0.7, ANNA), (1.5, BOB)]
    merged = states[3].timeline.turns[2]
    assert (merged.start_s, merged.end_s, merged.speaker) == (1.6, 4.0, "SPEAKER_05")
    back = states[-1]
    for earlier in reversed(states[:-1]):
        back = undo(back)
        assert back.timeline == earlier.timeline
        assert back.edits == earlier.edits
    with pytest.raises(CompatibilityError) as caught:
        undo(back)
    assert caught.value.message == ("Nothing was changed by hand on this timeline, or it was undone already.")


@pytest.mark.parametrize(
    ("edit", "code", "found"),
    [
        (lambda: split_turn(KEPT, 1, 1.5, None, AT, "k"), "split_outside", "1.500 s is not inside turn 1"),
        (lambda: split_turn(KEPT, 9, 1.5, None, AT, "k"), "turn_missing", "There is no turn 9"),
        (lambda: merge_turns(KEPT, [1], None, AT, "k"), "merge_unclear", "1 turns of 1 speakers"),
        (lambda: merge_turns(KEPT, [1, 2], None, AT, "k"), "merge_unclear", "2 turns of 2 speakers"),
        (lambda: wanted_corrections(KEPT, BOB), "correction_unclear", "Give the numbers of the turns"),
        (lambda: wanted_corrections(KEPT, BOB, formers=["X"]), "speaker_missing", "Nobody is called 'X'"),
    ],
)
def test_an_edit_that_cannot_be(edit, code: str, found: str) -> None:  # type: ignore[no-untyped-def]
    """Nothing is changed, and the sentence says why."""
    with pytest.raises(InputError) as caught:
        edit()
    assert caught.value.code == code
    assert found in caught.value.message
