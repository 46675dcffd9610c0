"""What a person should look at: unsure turns and suggested names, each with the reason in words."""

from __future__ import annotations

import pytest

from voxid.errors import InputError
from voxid.segments import Segment
from voxid.timeline import ReviewPolicy, Suggestion, Timeline, Turn

MAYBE_ANNA = Suggestion("Anna", 1.25, 1.94)


def test_unsure_turns_are_listed_one_by_one() -> None:
    """With the confidence found and the one expected; those without a confidence are not."""
    talk = Timeline(
        (
            Turn(Segment(0, 2), "Anna", True, 4.0, 0.95),
            Turn(Segment(2, 3), "Bob", True, 3.0, 0.42),
            Turn(Segment(3, 4), "Bob"),
        ),
        5.0,
    )
    (item,) = talk.review()
    assert (item.kind, item.speaker, item.segment) == ("low_confidence", "Bob", Segment(2, 3))
    assert item.reason == "Only 42% sure that this is Bob; under 60%, listen and decide."
    assert talk.review(ReviewPolicy(0.4)) == ()
    assert len(talk.review(ReviewPolicy(1.0))) == 2


def test_a_confidence_just_under_the_least_is_told_to_a_tenth() -> None:
    """Only 60 %, under 60 %, would explain nothing."""
    talk = Timeline((Turn(Segment(0, 2), "Anna", True, 4.0, 0.598),), 5.0)
    assert talk.review()[0].reason == "Only 59.8% sure that this is Anna; under 60%, listen and decide."


def test_a_suggested_name_is_listed_once_and_never_applied() -> None:
    """At the speaker's longest turn, with both numbers and how much it is about."""
    talk = Timeline(
        (
            Turn(Segment(0, 1), "SPEAKER_00", suggestion=MAYBE_ANNA),
            Turn(Segment(4, 7), "SPEAKER_00", suggestion=MAYBE_ANNA),
            Turn(Segment(8, 9), "SPEAKER_01"),
        ),
        10.0,
    )
    assert "Anna" not in talk.speakers
    (item,) = talk.review()
    assert (item.kind, item.speaker, item.segment) == ("suggested_name", "SPEAKER_00", Segment(4, 7))
    assert item.reason == (
        "SPEAKER_00 may be Anna: the LLR is 1.2, a name needs 1.9, so it was not applied "
        "(2 turns, 4.0 s of speech)."
    )
    assert item.to_dict() == {
        "kind": "suggested_name",
        "start_s": 4,
        "end_s": 7,
        "speaker": "SPEAKER_00",
        "reason": item.reason,
    }


def test_a_voice_cut_in_two_is_said_so() -> None:
    """Enough evidence, but the name went to a likelier voice."""
    twice = Turn(Segment(0, 1), "SPEAKER_00", suggestion=Suggestion("Anna", 5.0, 1.94))
    (item,) = Timeline((twice,), 2.0).review()
    assert item.reason == (
        "SPEAKER_00 may be Anna: the LLR is 5.0, but another voice here is likelier, so it was not applied "
        "(1 turn, 1.0 s of speech)."
    )


def test_what_was_reviewed_is_not_asked_again() -> None:
    """Neither the turn nor, once all of its turns are, the speaker's suggestion."""
    talk = Timeline(
        (
            Turn(Segment(0, 1), "Bob", confidence=0.1, reviewed=True),
            Turn(Segment(1, 2), "SPEAKER_00", suggestion=MAYBE_ANNA, reviewed=True),
        ),
        3.0,
    )
    assert talk.review() == ()


def test_the_list_is_in_order_of_time_and_in_the_json() -> None:
    """A suggestion and an unsure turn side by side."""
    talk = Timeline(
        (
            Turn(Segment(5, 6), "Bob", confidence=0.5),
            Turn(Segment(0, 2), "SPEAKER_00", confidence=0.3, suggestion=MAYBE_ANNA),
        ),
        7.0,
    )
    assert [item.kind for item in talk.review()] == ["low_confidence", "suggested_name", "low_confidence"]
    assert [item["start_s"] for item in talk.to_dict()["review"]] == [0, 0, 5]
    assert [item["start_s"] for item in talk.to_dict(ReviewPolicy(0.4))["review"]] == [0, 0]


@pytest.mark.parametrize("least", [-0.1, 1.5, float("nan")])
def test_a_policy_that_is_no_probability(least: float) -> None:
    """Refused with what was found."""
    with pytest.raises(InputError) as caught:
        ReviewPolicy(least)
    assert caught.value.code == "review_policy_invalid"
    assert f"A least confidence of {least} was asked for" in caught.value.message


def test_suggestions_hold_finite_numbers() -> None:
    """And a name."""
    with pytest.raises(InputError) as caught:
        Suggestion("Anna", float("nan"), 1.0)
    assert caught.value.code == "suggestion_invalid"
    assert caught.value.message.endswith("expected finite numbers.")
    with pytest.raises(InputError) as caught:
        Suggestion("", 1.0, 2.0)
    assert caught.value.code == "speaker_invalid"
