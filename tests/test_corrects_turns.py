"""Corrections from a page: every value checked, applied whole to the right recording or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxid.errors import InputError
from voxid.segments import Segment
from voxid.timeline import Correction, Corrections, Suggestion, Timeline, Turn, read_corrections

FIXTURES = Path(__file__).parent / "fixtures" / "timelines"
HASH = "0123456789abcdef" * 4
TALK = Timeline(
    (
        Turn(Segment(0.0, 1.5), "Anna", True, 4.2, 0.97),
        Turn(Segment(1.2004, 3.0), "SPEAKER_00", confidence=0.4, suggestion=Suggestion("Bob", 1.0, 2.0)),
        Turn(Segment(3.0, 4.0), "SPEAKER_00"),
    ),
    5.0,
    "talk",
    HASH,
)
RIGHT = Correction(Segment(0.0, 1.5), "Anna", "Anna")
IT_IS_BOB = Correction(Segment(1.2, 3.0), "SPEAKER_00", "Bob")


def test_a_corrected_turn_has_the_new_name_and_no_old_evidence() -> None:
    """The other turns are as they were; a confirmed one keeps its evidence."""
    fixed = Corrections(HASH, "talk", (IT_IS_BOB, RIGHT)).apply(TALK)
    anna, bob, stranger = fixed.turns
    assert bob == Turn(Segment(1.2004, 3.0), "Bob", named=True, reviewed=True)
    assert (anna.llr, anna.confidence, anna.reviewed) == (4.2, 0.97, True)
    assert stranger == TALK.turns[2]
    assert fixed.review() == ()
    assert (fixed.uri, fixed.audio_sha256) == ("talk", HASH)


def test_another_stranger_stays_a_stranger() -> None:
    """A label as the new name names nobody."""
    fixed = Corrections(HASH, "talk", (Correction(Segment(3, 4), "SPEAKER_00", "SPEAKER_01"),)).apply(TALK)
    assert fixed.turns[2] == Turn(Segment(3, 4), "SPEAKER_01", named=False, reviewed=True)


def test_corrections_of_another_recording_are_refused() -> None:
    """Also where the timeline does not know its recording: a name is never applied on a guess."""
    made = Corrections("f" * 64, "talk", (IT_IS_BOB,))
    for timeline, found in ((TALK, HASH[:12]), (Timeline(TALK.turns, 5.0, "talk"), "an unknown recording")):
        with pytest.raises(InputError) as caught:
            made.apply(timeline)
        assert caught.value.code == "corrections_of_other_audio"
        assert "of the recording ffffffffffff… (talk)" in caught.value.message
        assert found in caught.value.message
        assert caught.value.message.endswith("expected the same; give the timeline they were made on.")


@pytest.mark.parametrize(
    "item",
    [
        Correction(Segment(1.2, 3.0), "Anna", "Bob"),
        Correction(Segment(1.21, 3.0), "SPEAKER_00", "Bob"),
        Correction(Segment(1.2, 3.01), "SPEAKER_00", "Bob"),
    ],
)
def test_a_turn_that_is_not_there(item: Correction) -> None:
    """Another label or other times: nothing is applied, and the turn is named."""
    with pytest.raises(InputError) as caught:
        Corrections(HASH, "talk", (RIGHT, item)).apply(TALK)
    assert caught.value.code == "correction_unmatched"
    assert "(1 of 2 corrections find none)" in caught.value.message
    assert caught.value.message.startswith(f"{item.old_label} from {item.segment.start_s:.3f} to ")


def test_corrections_find_turns_through_any_stored_form(tmp_path: Path) -> None:
    """Random turns, stored as JSON, exported and read again: every correction finds its turn."""
    rng = np.random.default_rng(5)
    turns = tuple(
        Turn(Segment(start, start + float(rng.uniform(0.0002, 3))), f"SPEAKER_{rng.integers(4):02}")
        for start in rng.uniform(0, 100, 300).tolist()
    )
    timeline = Timeline(turns, 110.0, "talk", HASH)
    stored = Timeline.from_json(timeline.to_json())
    items = {(one.start_s, one.end_s, one.speaker): one for one in stored.turns}
    made = Corrections(
        HASH, "talk", tuple(Correction(one.segment, one.speaker, "Zoë") for one in items.values())
    )
    made.write(tmp_path / "c.json")
    read = read_corrections(tmp_path / "c.json")
    assert read == made
    for base in (timeline, stored):
        assert read.apply(base).speakers == ("Zoë",)


def test_the_stored_format_is_read_as_it_was_written() -> None:
    """Version 1, as a page exported it."""
    read = read_corrections(FIXTURES / "corrections-v1.json")
    assert read == Corrections(HASH, "talk", (RIGHT, IT_IS_BOB))
    assert [item.confirms for item in read.items] == [True, False]
    text = (FIXTURES / "corrections-v1.json").read_text(encoding="utf-8")
    assert read.to_dict() == json.loads(text)


ENTRY: dict[str, Any] = {"start_s": 1.2, "end_s": 3.0, "old_label": "SPEAKER_00", "new_name": "Bob"}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"format": "rttm"}, "format 'rttm'"),
        ({"version": 2}, "version 2"),
        ({"audio_sha256": None}, "is no SHA-256 of 64 hex digits"),
        ({"audio_sha256": "F" * 64}, "is no SHA-256 of 64 hex digits"),
        ({"uri": 7}, "uri is no text"),
        ({"corrections": {}}, "corrections are no list"),
        ({"corrections": [7]}, "holds no corrections (TypeError"),
        ({"corrections": [{}]}, "holds no corrections (KeyError: 'start_s')"),
        ({"corrections": [ENTRY | {"start_s": "1"}]}, "expected a finite number"),
        ({"corrections": [ENTRY | {"end_s": float("inf")}]}, "expected a finite number"),
        ({"corrections": [ENTRY | {"end_s": 1e308}]}, "holds no corrections (OverflowError"),
        ({"corrections": [ENTRY | {"end_s": 1.0}]}, "is no stretch of time"),
        ({"corrections": [ENTRY | {"new_name": ""}]}, "'' is no speaker name"),
        ({"corrections": [ENTRY | {"new_name": "a\nb"}]}, "is no speaker name"),
        ({"corrections": [ENTRY | {"new_name": "x" * 5000}]}, "is no speaker name"),
        ({"corrections": [ENTRY | {"old_label": None}]}, "is no speaker name"),
        ({"corrections": [ENTRY, ENTRY | {"new_name": "Cid"}]}, "to 3.000 s is corrected twice"),
    ],
)
def test_hostile_corrections(change: dict[str, object], found: str, tmp_path: Path) -> None:
    """The sentence names the file and what is wrong."""
    path = tmp_path / "bad.json"
    good = Corrections(HASH, "talk", (IT_IS_BOB,)).to_dict()
    path.write_text(json.dumps(good | change), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_corrections(path)
    assert caught.value.code == "corrections_invalid"
    assert caught.value.message.startswith(str(path))
    assert found in caught.value.message
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000])
def test_text_that_is_no_corrections(text: str, tmp_path: Path) -> None:
    """Nor a file that is not there."""
    path = tmp_path / "bad.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_corrections(path)
    assert caught.value.code == "corrections_invalid"
    with pytest.raises(InputError) as caught:
        read_corrections(tmp_path / "none.json")
    assert caught.value.code == "corrections_missing"
