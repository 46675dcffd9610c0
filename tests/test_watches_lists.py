"""Watchlists: a stated purpose, consent to it, hits that a person decides; nothing follows from a hit by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from served import Served, clip, serving, talk_of

BOTH_ENGINES = True
LIST = {"title": "Call back", "purpose": "Calling back, on their own wish (form 9)", "keep_days": 30}


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Ada and Clara consent to be watched for, Bruno does not."""
    with serving(tmp_path_factory.mktemp("data")) as running:
        running.enroll("Ada", "ada", 1, 2)
        running.enroll("Clara", "clara", 1, 2)
        running.enroll("Bruno", "bruno", 1, 2, purposes=["verify", "diarize-name"])
        yield running


def person(served: Served, name: str) -> str:
    return served.tenant.gallery.get(name).id


def listed(served: Served, *names: str) -> str:
    made: dict[str, Any] = served.call("POST", "/watchlists", 201, json=LIST)
    for name in names:
        path = f"/watchlists/{made['id']}/entries/{person(served, name)}"
        served.call("PUT", path, json={"reason": "asked for a call back"})
    return str(made["id"])


def test_a_hit_is_a_case_for_review_and_nothing_else(served: Served) -> None:
    """The searcher is told how many; who, a reviewer is told; somebody not on the list is not found."""
    watchlist = listed(served, "Ada")
    path = f"/watchlists/{watchlist}/searches"
    found = served.call("POST", path, content=clip("ada", 3).read_bytes())
    assert (found["hits"], found["compared"]) == (1, 1)
    assert set(found) == {"hits", "review_ids", "compared", "audio_sha256"}
    review = served.call("GET", f"/reviews/{found['review_ids'][0]}")
    assert (review["subject"], review["person"]) == ("watchlist_hit", "Ada")
    assert review["about"]["watchlist_id"] == watchlist
    assert served.call("POST", path, content=clip("clara", 3).read_bytes())["hits"] == 0
    searched = served.call("GET", "/audit/events?act=watchlist.searched")["events"]
    assert [one["facts"]["watchlist"] for one in searched] == [watchlist, watchlist]
    assert searched[0]["facts"]["audio_sha256"] == found["audio_sha256"]
    decided = served.call("POST", f"/reviews/{review['id']}/decide", json={"outcome": "rejected"})
    assert decided["decided"]["outcome"] == "rejected"
    raised = {"subject": "watchlist_hit", "subject_id": review["id"], "statement": "Not me."}
    dispute = served.call("POST", "/disputes", 201, json=raised)
    served.call("POST", f"/disputes/{dispute['id']}/resolve", json={"outcome": "overturned"})


def test_a_recording_of_several_people_is_watched_as_a_job(served: Served) -> None:
    """The hit says where on the timeline."""
    watchlist = listed(served, "Clara")
    recording = talk_of(("clara", 3), ("bruno", 3), ("clara", 4), ("bruno", 4))
    asked = f"/diarizations?speakers=2&watchlist={watchlist}"
    job = served.ended(served.call("POST", asked, 202, content=recording))
    assert job["state"] == "done", job["error"]
    hits = [one for one in served.call("GET", "/reviews")["reviews"] if one["subject"] == "watchlist_hit"]
    assert [(hit["person"], hit["about"]["timeline_id"]) for hit in hits] == [("Clara", job["id"])]
    (searched,) = served.call("GET", "/audit/events?act=watchlist.searched")["events"]
    assert searched["facts"]["watchlist"] == watchlist
    assert searched["facts"]["audio_sha256"] == job["audio_sha256"]
    only = served.key("diarize")
    assert served.refusal("POST", asked, 403, content=recording, headers=only)[0] == "scope_missing"


def test_who_does_not_consent_is_not_listed(served: Served) -> None:
    """Nor is somebody who is not on record; a withdrawn consent ends the looking, deletion the entry."""
    watchlist = listed(served, "Ada", "Clara")
    path = f"/watchlists/{watchlist}/entries"
    why = {"reason": "asked"}
    code, sentence = served.refusal("PUT", f"{path}/{person(served, 'Bruno')}", 403, json=why)
    assert (code, sentence) == (
        "consent_missing",
        "The person has given no consent to the purpose watchlist, so nothing was stored; record one that names it.",
    )
    nobody = "11111111-1111-4111-8111-111111111111"
    assert served.refusal("PUT", f"{path}/{nobody}", 404, json=why)[0] == "person_missing"
    served.tenant.gallery.withdraw("Ada", ["watchlist"])
    found = served.call("POST", f"/watchlists/{watchlist}/searches", content=clip("ada", 3).read_bytes())
    assert found["hits"] == 0
    served.call("DELETE", f"/people/{person(served, 'Clara')}", 204)
    assert [one["person_id"] for one in served.call("GET", path)["entries"]] == [person(served, "Ada")]
    served.call("DELETE", f"{path}/{person(served, 'Ada')}", 204)
    assert served.call("GET", path) == {"entries": [], "next": None}


def test_a_list_is_made_and_gone_through_once_under_a_key(served: Served) -> None:
    """Sent again, the same list and the same hit are answered; no second one is there."""
    keyed = [{"Idempotency-Key": f"{what}-0198f0a2"} for what in ("list", "search")]
    made = [served.call("POST", "/watchlists", 201, json=LIST, headers=keyed[0])["id"] for _ in range(2)]
    path = f"/watchlists/{made[0]}"
    served.call("PUT", f"{path}/entries/{person(served, 'Ada')}", json={"reason": "asked"})
    content = clip("ada", 3).read_bytes()
    found = [served.call("POST", f"{path}/searches", content=content, headers=keyed[1]) for _ in range(2)]
    assert made[0] == made[1]
    assert found[0] == found[1]
    assert len(served.call("GET", "/watchlists")["watchlists"]) == 1
    assert len(served.call("GET", "/reviews")["reviews"]) == 1


def test_a_list_ends_by_itself(served: Served) -> None:
    """After its days nothing is found by it; deleted, its entries are gone."""
    watchlist = listed(served, "Ada")
    assert [one["id"] for one in served.call("GET", "/watchlists")["watchlists"]] == [watchlist]
    served.clock.advance(days=31)
    assert served.call("GET", "/watchlists")["watchlists"] == []
    assert served.refusal("GET", f"/watchlists/{watchlist}", 404)[0] == "watchlist_missing"
    other = listed(served, "Ada")
    served.call("DELETE", f"/watchlists/{other}", 204)
    assert served.refusal("GET", f"/watchlists/{other}/entries", 404)[0] == "watchlist_missing"
    short = {**LIST, "purpose": "because"}
    assert served.refusal("POST", "/watchlists", 422, json=short)[0] == "request_invalid"
