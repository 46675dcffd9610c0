"""Ids of unknown people on a timeline: names follow them; corrections are kept, and end what was known of a turn."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from voxid.errors import InputError
from voxid.segments import Segment
from voxid.timeline import (
    Correction,
    Suggestion,
    Timeline,
    Turn,
    apply_corrections,
    correct_speaker,
    correct_turn,
    read_correction_table,
)

ONE, TWO = "unknown-00000001", "unknown-00000002"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
TALK = Timeline(
    (
        Turn(Segment(0, 2), "Anna", named=True, llr=4.0),
        Turn(
            Segment(2, 4), ONE, llr=3.5, confidence=0.9, suggestion=Suggestion("Bob", 1.0, 2.0), voice_id=ONE
        ),
        Turn(Segment(4, 6), "SPEAKER_00"),
        Turn(Segment(6, 8), TWO, voice_id=TWO),
        Turn(Segment(8, 9), ONE, llr=3.5, voice_id=ONE),
    ),
    10.0,
)


def test_a_name_goes_to_every_turn_of_the_id() -> None:
    """And to no other; what was suggested is settled by it."""
    named = TALK.relabel({ONE: "Bob"})
    assert [turn.speaker for turn in named.turns] == ["Anna", "Bob", "SPEAKER_00", TWO, "Bob"]
    assert [turn.named for turn in named.turns] == [True, True, False, False, True]
    assert named.turns[1] == Turn(Segment(2, 4), "Bob", True, 3.5, 0.9, None, False, ONE)
    assert named.voice_ids == TALK.voice_ids == (ONE, TWO)


def test_names_change_and_end() -> None:
    """A second name replaces the first; without one the turns are called by their id again."""
    named = TALK.relabel({ONE: "Bob"})
    assert named.relabel({ONE: "Robert"}).turns[1].speaker == "Robert"
    back = named.relabel({ONE: None})
    assert [(turn.speaker, turn.named) for turn in back.turns[1:2]] == [(ONE, False)]
    assert named.relabel({}) == named


def test_joined_ids_are_one_speaker() -> None:
    joined = TALK.relabel({ONE: TWO, TWO: TWO})
    assert joined.speakers == ("Anna", TWO, "SPEAKER_00")
    assert [turn.named for turn in joined.turns] == [True, False, False, False, False]
    assert joined.voice_ids == (ONE, TWO)


def test_every_format_carries_the_name(tmp_path: Path) -> None:
    """JSON and CSV also the id, so that the next name follows too."""
    named = TALK.relabel({ONE: "Bob"})
    assert Timeline.from_json(named.to_json()) == named
    named.write_csv(tmp_path / "a.csv")
    assert Timeline.read_csv(tmp_path / "a.csv", duration_s=10.0).turns == named.turns
    for text in (named.to_rttm(), named.to_srt(), named.to_vtt(), named.to_textgrid()):
        assert "Bob" in text
        assert ONE not in text
        assert TWO in text


def test_a_correction_ends_the_id_and_is_kept() -> None:
    """Turns that a person called otherwise do not follow the id any more; the history says who did it and when."""
    items = (correct_turn(TALK, 2, "Cid"), correct_turn(TALK, 4, TWO))
    fixed = apply_corrections(TALK, items, at=NOON, reviewer="Dora")
    assert fixed.turns[1] == Turn(Segment(2, 4), "Cid", named=True, reviewed=True)
    assert fixed.turns[3] == Turn(Segment(6, 8), TWO, reviewed=True, voice_id=TWO)
    assert fixed.relabel({ONE: "Bob", TWO: "Eve"}).speakers == ("Anna", "Cid", "SPEAKER_00", "Eve", "Bob")
    assert [(one.old_label, one.new_name, one.reviewer, one.at) for one in fixed.history] == [
        (ONE, "Cid", "Dora", NOON),
        (TWO, TWO, "Dora", NOON),
    ]
    again = apply_corrections(fixed, correct_speaker(fixed, "SPEAKER_00", "Fay"), at=NOON)
    assert len(again.history) == 3
    assert Timeline.from_json(again.to_json()) == again


def test_a_whole_speaker() -> None:
    fixed = apply_corrections(TALK, correct_speaker(TALK, ONE, "Bob"), at=NOON)
    assert fixed.speakers == ("Anna", "Bob", "SPEAKER_00", TWO)
    assert len(fixed.history) == 2
    with pytest.raises(InputError, match="Nobody is called 'Zoe' on this timeline; it has: Anna, ") as caught:
        correct_speaker(TALK, "Zoe", "Bob")
    assert caught.value.code == "speaker_missing"


@pytest.mark.parametrize("number", [0, 6, -1])
def test_a_turn_that_is_not_there(number: int) -> None:
    with pytest.raises(InputError, match="the timeline has 5, numbered from 1") as caught:
        correct_turn(TALK, number, "Bob")
    assert caught.value.code == "turn_missing"


def test_a_suggestion_is_never_applied_by_itself() -> None:
    """Whatever is done to a timeline, nobody gets the name of a suggestion but by a correction that says it."""
    suggested = TALK.turns[1].suggestion
    for changed in (
        TALK.relabel({ONE: TWO}),
        TALK.relabel({ONE: None}),
        TALK.exclusive(),
        Timeline.from_json(TALK.to_json()),
        apply_corrections(TALK, [correct_turn(TALK, 3, "Cid")], at=NOON),
        apply_corrections(TALK, [correct_turn(TALK, 2, ONE)], at=NOON),
    ):
        turn = changed.turns[1]
        assert turn.suggestion == suggested
        assert (turn.named, "Bob" in changed.speakers) == (False, False)
        assert "Bob" not in changed.to_rttm() + changed.to_srt() + changed.to_vtt()


def test_corrections_from_a_spreadsheet(tmp_path: Path) -> None:
    """A timeline's own CSV with a column new_name filled in; rows left empty say nothing."""
    TALK.write_csv(tmp_path / "a.csv")
    header, *rows = (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()
    names = ["", "Bob", "'=Cid", "", " "]
    lines = [header + ",new_name", *(f"{row},{name}" for row, name in zip(rows, names, strict=True))]
    (tmp_path / "b.csv").write_text("\n".join(lines), encoding="utf-8")
    items = read_correction_table(tmp_path / "b.csv")
    assert items == (
        Correction(Segment(2, 4), ONE, "Bob"),
        Correction(Segment(4, 6), "SPEAKER_00", "=Cid"),
    )
    assert apply_corrections(TALK, items, at=NOON).speakers == ("Anna", "Bob", "=Cid", TWO, ONE)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "line 1: no column start_s, end_s, new_name"),
        ("start_s,end_s,new_name\n0,1,x\n", "line 1: no column old_label"),
        ("start_s,end_s,old_label,new_name\n0,soon,a,b\n", "line 2: a time that is no number"),
        ("start_s,end_s,old_label,new_name\n,1,a,b\n", "line 2: "),
        ("start_s,end_s,old_label,new_name\n2,1,a,b\n", "line 2: "),
        ("start_s,end_s,old_label,new_name\n0,1,,b\n", "line 2: '' is no speaker name"),
        ('start_s,end_s,old_label,new_name\n0,1,"a\n', "unexpected end of data"),
    ],
)
def test_tables_that_are_none(text: str, found: str, tmp_path: Path) -> None:
    """The sentence names the file and the line."""
    (tmp_path / "b.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_correction_table(tmp_path / "b.csv")
    assert caught.value.code == "corrections_invalid"
    assert found in caught.value.message


def test_a_turn_corrected_twice_is_refused() -> None:
    items = [correct_turn(TALK, 2, "Bob"), correct_turn(TALK, 2, "Cid")]
    with pytest.raises(InputError, match="to 4.000 s is corrected twice; keep one of the two") as caught:
        apply_corrections(TALK, items)
    assert caught.value.code == "corrections_invalid"
