"""How sure a counted number of speakers is: kept, shown, and dropped where it is about another number."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from voxid.cli.who import show_timeline
from voxid.errors import InputError
from voxid.picture.drawing import draw_facts
from voxid.timeline import CountedSpeakers, Segment, Timeline, Turn

TALK = Timeline(
    (Turn(Segment(0.0, 2.0), "SPEAKER_00"), Turn(Segment(2.0, 3.5), "SPEAKER_01")),
    4.0,
    counted=CountedSpeakers(2, 0.62),
)


def test_it_goes_through_json() -> None:
    """And a document without it, as versions before wrote it, is read."""
    assert TALK.to_dict()["count_confidence"] == 0.62
    assert Timeline.from_json(TALK.to_json()) == TALK
    older = TALK.to_dict()
    del older["count_confidence"]
    assert Timeline.from_json(json.dumps(older)) == replace(TALK, counted=None)


def test_it_is_dropped_where_the_number_changes() -> None:
    """Another name changes nothing; two speakers who are one do."""
    assert TALK.rename({"SPEAKER_00": "Anna"}).count_confidence == 0.62
    joined = TALK.rename({"SPEAKER_00": "Anna", "SPEAKER_01": "Anna"})
    assert joined.count_confidence is None
    assert "count_confidence" not in joined.to_dict()
    assert replace(TALK, counted=None).count_confidence is None


def test_tables_and_pages_say_it() -> None:
    """In the same words; nothing is said where nothing was measured."""
    shown = StringIO()
    show_timeline(TALK, Console(file=shown, width=90))
    assert "2 speakers (the number is right with 62%)\n" in shown.getvalue()
    assert "2 speakers (the number is right with 62%)" in draw_facts(TALK)
    shown = StringIO()
    show_timeline(replace(TALK, counted=None), Console(file=shown, width=90))
    assert "is right with" not in shown.getvalue() + draw_facts(replace(TALK, counted=None))


@pytest.mark.parametrize("value", [1.2, -0.1, "a", [], True])
def test_what_is_no_probability_is_refused(value: object) -> None:
    """In a document and in Python."""
    with pytest.raises(InputError) as caught:
        Timeline.from_json(json.dumps(TALK.to_dict() | {"count_confidence": value}))
    assert caught.value.code == "timeline_invalid"
    with pytest.raises(InputError, match="for 2 speakers; it is a probability: expected 0 to 1"):
        CountedSpeakers(2, float("nan"))
