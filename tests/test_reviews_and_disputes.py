"""What lies in the review band, is suggested or disputed waits for a person, whose word is kept and has effect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from served import Served, clip, serving
from voxid.decision import Decision, Outcome
from voxid.gallery.documents import Document, new_document_id
from voxid.segments import Segment
from voxid.service.decisions import keep_decision
from voxid.service.diarizing import TIMELINE
from voxid.service.reviewing import suggestion_reviews
from voxid.service.timelines import KeptTimeline
from voxid.timeline import Suggestion, Timeline, Turn


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("data")) as running:
        running.enroll("Ada", "ada", 1, 2)
        running.enroll("Bruno", "bruno", 1, 2)
        yield running


def in_review_band(served: Served) -> str:
    """The id of a kept decision about Ada in the review band."""
    ada = served.tenant.gallery.get("Ada").id
    decision = Decision(
        Outcome.REVIEW, "Ada", 1.2345, 0.4, "far_1pct", 0.01, 5.0, "m@1", "0f" * 32, "in the review band"
    )
    id_ = keep_decision(served.tenant.store, decision, ada, served.clock())
    assert id_ is not None
    return id_


def talk(served: Served) -> str:
    """The id of a kept timeline: Ada named in two turns, Bruno suggested for a stranger."""
    ids = {name: served.tenant.gallery.get(name).id for name in ("Ada", "Bruno")}
    turns = (
        Turn(Segment(0, 2), "Ada", True, 6.0),
        Turn(Segment(2, 5), "SPEAKER_00", suggestion=Suggestion("Bruno", 1.0, 2.0)),
        Turn(Segment(5, 6), "Ada", True, 6.0),
        Turn(Segment(6, 7), "SPEAKER_00", suggestion=Suggestion("Bruno", 1.0, 2.0)),
    )
    kept = KeptTimeline.of(Timeline(turns, 8.0, "talk", "0f" * 32), ids)
    id_ = new_document_id()
    with served.tenant.store.changing() as change:
        change.put_document(Document(TIMELINE, id_, kept.to_dict()))
        for review in suggestion_reviews(id_, kept.timeline, served.clock()):
            change.put_document(review)
    return id_


def open_review(served: Served, subject: str) -> dict[str, Any]:
    found = [one for one in served.call("GET", "/reviews?state=open")["reviews"] if one["subject"] == subject]
    assert len(found) == 1
    review: dict[str, Any] = found[0]
    return review


def speakers(served: Served, timeline: str) -> list[str]:
    return [turn["speaker"] for turn in served.call("GET", f"/diarizations/{timeline}/timeline")["turns"]]


def test_a_decision_in_the_review_band_waits_for_a_person(served: Served) -> None:
    """It is under review; the reviewer's word holds from then on, beside what was decided at first."""
    decision = in_review_band(served)
    before = served.call("GET", f"/decisions/{decision}")
    assert (before["outcome"], before["standing"], before["under_review"]) == ("review", "review", True)
    assert before["llr"] == 1.23
    review = open_review(served, "verification")
    assert (review["person"], review["about"]["decision_id"]) == ("Ada", decision)
    verdict = {"outcome": "confirmed", "note": "listened to it"}
    assert served.call("POST", f"/reviews/{review['id']}/decide", json=verdict)["state"] == "confirmed"
    after = served.call("GET", f"/decisions/{decision}")
    assert (after["outcome"], after["standing"], after["under_review"]) == ("review", "accept", False)
    assert after["judged"]["note"] == "listened to it"
    assert after["judged"]["by"].startswith("key:")
    again = served.refusal("POST", f"/reviews/{review['id']}/decide", 409, json=verdict)
    assert again == (
        "review_decided",
        "This was decided already, and stays as it was decided; open a dispute instead.",
    )


def test_a_suggested_name_is_given_or_not(served: Served) -> None:
    """Confirmed, all turns of the speaker have it, and it can be undone; rejected, they are confirmed without it."""
    timeline = talk(served)
    review = open_review(served, "suggested_name")
    assert (review["person"], review["about"]["speaker"]) == ("Bruno", "SPEAKER_00")
    served.call("POST", f"/reviews/{review['id']}/decide", json={"outcome": "confirmed"})
    assert speakers(served, timeline) == ["Ada", "Bruno", "Ada", "Bruno"]
    served.call("POST", f"/diarizations/{timeline}/undo", json={})
    assert speakers(served, timeline) == ["Ada", "SPEAKER_00", "Ada", "SPEAKER_00"]
    timeline = talk(served)
    review = open_review(served, "suggested_name")
    served.call("POST", f"/reviews/{review['id']}/decide", json={"outcome": "rejected"})
    shown = served.call("GET", f"/diarizations/{timeline}/timeline")
    assert [turn["reviewed"] for turn in shown["turns"]] == [False, True, False, True]
    assert shown["review"] == []


def test_a_disputed_decision_is_under_review_until_somebody_decides(served: Served) -> None:
    """A real verification, disputed by the person and overturned: the contrary holds, and both stay on record."""
    ada = served.tenant.gallery.get("Ada").id
    made = served.call("POST", f"/people/{ada}/verifications", content=clip("ada", 3).read_bytes())
    assert made["outcome"] == "accept"
    path = f"/decisions/{made['id']}"
    assert not served.call("GET", path)["under_review"]
    raised = {"subject": "decision", "subject_id": made["id"], "statement": "That was not me."}
    dispute = served.call("POST", "/disputes", 201, json=raised)
    assert (dispute["state"], dispute["person_id"], dispute["answer_by"][:10]) == ("open", ada, "2026-12-21")
    assert served.call("GET", path)["under_review"]
    queued = open_review(served, "dispute")
    assert queued["about"]["dispute_id"] == dispute["id"]
    assert served.refusal("POST", f"/reviews/{queued['id']}/decide", 409, json={"outcome": "confirmed"})[
        0
    ] == ("review_elsewhere")
    resolution = {"outcome": "overturned", "note": "the recording is somebody else's"}
    resolved = served.call("POST", f"/disputes/{dispute['id']}/resolve", json=resolution)
    assert (resolved["state"], resolved["resolved"]["note"]) == ("overturned", resolution["note"])
    after = served.call("GET", path)
    assert (after["outcome"], after["standing"], after["under_review"]) == ("accept", "reject", False)
    assert after["judged"]["dispute_id"] == dispute["id"]
    assert served.call("GET", f"/reviews/{queued['id']}")["state"] == "confirmed"
    assert (
        served.refusal("POST", f"/disputes/{dispute['id']}/resolve", 409, json=resolution)[0]
        == "dispute_resolved"
    )
    acts = [event["act"] for event in served.call("GET", "/audit/events?limit=1000")["events"]]
    assert {"decision.kept", "dispute.raised", "dispute.resolved", "review.decided"} <= set(acts)


def test_disputed_turns_lose_their_name_when_overturned(served: Served) -> None:
    """Only those; an upheld dispute changes nothing."""
    timeline = talk(served)
    raised = {
        "subject": "timeline",
        "subject_id": timeline,
        "turns": [3],
        "statement": "I was not there then.",
    }
    first = served.call("POST", "/disputes", 201, json=raised)
    assert first["person_id"] == served.tenant.gallery.get("Ada").id
    assert served.call("GET", f"/diarizations/{timeline}/timeline")["under_review"]
    served.call("POST", f"/disputes/{first['id']}/resolve", json={"outcome": "upheld"})
    assert speakers(served, timeline) == ["Ada", "SPEAKER_00", "Ada", "SPEAKER_00"]
    assert not served.call("GET", f"/diarizations/{timeline}/timeline")["under_review"]
    second = served.call("POST", "/disputes", 201, json=raised)
    served.call("POST", f"/disputes/{second['id']}/resolve", json={"outcome": "overturned"})
    assert speakers(served, timeline) == ["Ada", "SPEAKER_00", "SPEAKER_01", "SPEAKER_00"]


def test_what_cannot_be_disputed(served: Served) -> None:
    """Nothing there, a decision that waits for its review anyway, turns of a decision."""
    nowhere = {"subject": "decision", "subject_id": new_document_id(), "statement": "no"}
    assert served.refusal("POST", "/disputes", 404, json=nowhere)[0] == "decision_missing"
    waiting = {"subject": "decision", "subject_id": in_review_band(served), "statement": "no"}
    assert served.refusal("POST", "/disputes", 409, json=waiting)[0] == "review_open"
    assert served.refusal("POST", "/disputes", 422, json={**waiting, "turns": [1]})[0] == "dispute_unclear"
    beyond = {"subject": "timeline", "subject_id": talk(served), "turns": [9], "statement": "no"}
    assert served.refusal("POST", "/disputes", 404, json=beyond)[0] == "turn_missing"


def test_everything_about_a_person_goes_with_them(served: Served) -> None:
    """Decisions, disputes and items to review are sealed under the person's own key."""
    served.enroll("Clara", "clara", 1, 2)
    clara = served.tenant.gallery.get("Clara").id
    made = served.call("POST", f"/people/{clara}/verifications", content=clip("clara", 3).read_bytes())
    raised = {"subject": "decision", "subject_id": made["id"], "statement": "no"}
    dispute = served.call("POST", "/disputes", 201, json=raised)
    served.call("DELETE", f"/people/{clara}", 204)
    assert served.refusal("GET", f"/decisions/{made['id']}", 404)[0] == "decision_missing"
    assert served.refusal("GET", f"/disputes/{dispute['id']}", 404)[0] == "dispute_missing"
    assert served.refusal("GET", f"/reviews/{dispute['id']}", 404)[0] == "review_missing"


def test_who_may_decide(served: Served) -> None:
    """An operator raises disputes; a reviewer decides them; an auditor does neither."""
    raised = {"subject": "timeline", "subject_id": talk(served), "statement": "no"}
    operator, reviewer, auditor = (served.key(roles=[role]) for role in ("operator", "reviewer", "auditor"))
    assert served.refusal("POST", "/disputes", 403, json=raised, headers=auditor)[0] == "scope_missing"
    path = f"/disputes/{served.call('POST', '/disputes', 201, json=raised, headers=operator)['id']}/resolve"
    assert (
        served.refusal("POST", path, 403, json={"outcome": "upheld"}, headers=operator)[0] == "scope_missing"
    )
    served.call("POST", path, json={"outcome": "upheld"}, headers=reviewer)
