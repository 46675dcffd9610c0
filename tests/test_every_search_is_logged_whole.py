"""Every search is in the audit log with every field: when, by whom, among whom, what was heard, who it was."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from typing import Any

import pytest

from served import EVERYTHING, Served, clip, serving, talk_of

BOTH_ENGINES = True
FACTS = {"purpose", "search", "profile", "model_id", "started_at", "audio_sha256", "voices", "matches"}
SEARCHES = ("identify.searched", "watchlist.searched", "diarize.named")
VOICES = ("ada", "bruno", "clara", "stranger", "dev")


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("data")) as running:
        running.enroll("Ada", "ada", 1, 2, purposes=EVERYTHING)
        running.enroll("Bruno", "bruno", 1, 2, purposes=EVERYTHING)
        running.call("PUT", "/policies", json={"identify_purpose": "Greeting members", "version": 0})
        yield running


def searched(served: Served) -> list[str]:
    """Ask in every way; return the hash of each recording, in the order it was asked about."""
    heard = []
    for voice in VOICES:
        heard.append(clip(voice, 3).read_bytes())
        served.call("POST", "/identifications", content=heard[-1])
    purpose = {"title": "Call back", "purpose": "Calling back, on their own wish (form 9)"}
    watchlist = served.call("POST", "/watchlists", 201, json=purpose)["id"]
    ada = served.tenant.gallery.get("Ada").id
    served.call("PUT", f"/watchlists/{watchlist}/entries/{ada}", json={"reason": "asked"})
    heard.append(clip("ada", 4).read_bytes())
    served.call("POST", f"/watchlists/{watchlist}/searches", content=heard[-1])
    heard.append(talk_of(("ada", 3), ("clara", 3), ("ada", 4), ("clara", 4)))
    served.ended(served.call("POST", "/diarizations?speakers=2", 202, content=heard[-1]))
    return [sha256(content).hexdigest() for content in heard]


def test_no_field_is_missing(served: Served) -> None:
    """Of a search start, end, reference set and its version, input, matches, and who asked; of a review who decided."""
    began = served.clock()
    hashes = searched(served)
    events = served.call("GET", "/audit/events?limit=1000")["events"]
    found: list[dict[str, Any]] = [event for event in events if event["act"] in SEARCHES]
    assert [event["facts"]["audio_sha256"] for event in found] == hashes
    for event in found:
        facts = event["facts"]
        assert set(facts) - {"watchlist"} == FACTS
        assert None not in facts.values()
        assert began <= datetime.fromisoformat(facts["started_at"]) <= datetime.fromisoformat(event["at"])
        assert event["generation"] >= 2  # of the list of people it was compared with
        assert event["actor"]["kind"] == "key"
        assert event["actor"]["request_id"]
        matches = [one for one in events if one["facts"].get("search") == facts["search"]][1:]
        assert len(matches) == facts["matches"]
        assert all(one["person_id"] and set(one["personal"]) == {"voice", "rank", "llr"} for one in matches)
    assert sum(event["facts"]["matches"] for event in found) >= 4
    (review,) = served.call("GET", "/reviews")["reviews"]
    served.call("POST", f"/reviews/{review['id']}/decide", json={"outcome": "confirmed"})
    decided = served.call("GET", "/audit/events?act=review.decided")["events"]
    assert [(one["outcome"], one["actor"]["kind"]) for one in decided] == [("confirmed", "key")]
