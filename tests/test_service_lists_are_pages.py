"""Every list is handed out page by page, whole and in one order; what has ended is not in the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from served import Served, serving
from voxid.errors import CompatibilityError, InputError
from voxid.service import credentials
from voxid.service.purging import purge_due

BOTH_ENGINES = True
CONSENT = {"purposes": ["watchlist"], "evidence": "form 9"}


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("data")) as running:
        yield running


def walked(served: Served, path: str, entries: str) -> list[Any]:
    """Everything in a list, one entry a page."""
    found: list[Any] = []
    after = ""
    while True:
        page = served.call("GET", f"{path}?limit=1{after}")
        assert len(page[entries]) <= 1
        found += page[entries]
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"


def people(served: Served, count: int) -> list[str]:
    return [
        served.call("POST", "/people", 201, json={"name": f"Person {number}", "consent": CONSENT})["id"]
        for number in range(count)
    ]


def test_every_list_is_read_to_its_end(served: Served) -> None:
    """Page by page the same as at once: enrollments, keys, people on watchlists, a person's ledger."""
    first, second, third = sorted(people(served, 3))
    purpose = {"title": "Call back", "purpose": "Calling back, on their own wish (form 9)"}
    made = [served.call("POST", "/watchlists", 201, json=purpose)["id"] for _ in range(2)]
    for watchlist in made:
        for person in (first, second, third):
            served.call("PUT", f"/watchlists/{watchlist}/entries/{person}", json={"reason": "asked"})
    given = {"recipient": "Police of Cork", "what": "a timeline", "basis": "warrant 4711"}
    for _ in range(3):
        served.call("POST", f"/people/{first}/disclosures", 201, json=given)
    served.key("verify")
    lists = {
        "/people": "people",
        "/keys": "keys",
        "/watchlists": "watchlists",
        f"/watchlists/{made[0]}/entries": "entries",
        f"/watchlists/{made[1]}/entries": "entries",
        f"/people/{first}/disclosures": "disclosures",
        "/disclosures": "disclosures",
    }
    for path, entries in lists.items():
        whole = served.call("GET", path)
        assert whole["next"] is None
        assert walked(served, path, entries) == whole[entries], path
        assert len(whole[entries]) > 1, path
    listed = walked(served, f"/watchlists/{made[0]}/entries", "entries")
    assert [one["person_id"] for one in listed] == [first, second, third]
    assert served.refusal("GET", "/keys?after=ffffffffffff", 404)[0] == "key_unknown"


def test_an_enrollment_that_ended_does_not_end_the_list(served: Served) -> None:
    """Sessions that are over lie in the store for a while, among those that go on."""
    ids = people(served, 1)
    begun = []
    for days in (0.0, 0.9, 0.05):
        served.clock.advance(days)
        consent = {"purposes": ["verify"], "evidence": "form 9"}
        name = f"Enrolled {len(begun)}"
        ids.append(served.call("POST", "/people", 201, json={"name": name, "consent": consent})["id"])
        begun.append(served.call("POST", "/enrollments", 201, json={"person_id": ids[-1]})["id"])
    served.clock.advance(0.1)
    assert [one["id"] for one in walked(served, "/enrollments", "enrollments")] == begun[1:]


def test_keys_that_ended_make_room_for_others(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only keys in force are counted; one that was revoked is listed for 90 days, and cannot be rotated."""
    monkeypatch.setattr(credentials, "_MOST_KEYS", 3)
    keys = served.tenant.keys
    made = [keys.create(f"gate {number}", served.clock(), scopes=["verify"])[0] for number in range(2)]
    with pytest.raises(InputError, match="3 keys are in force already; revoke those nobody uses"):
        keys.create("one more", served.clock())
    keys.revoke(made[0].id, served.clock())
    with pytest.raises(CompatibilityError, match=f"The key {made[0].id} has ended; create a new one"):
        keys.rotate(made[0].id, served.clock(), 60)
    keys.create("one more", served.clock(), scopes=["verify"])
    served.clock.advance(89)
    purge_due(served.tenant.store, served.clock())
    assert made[0].id in [key.id for key in keys.list()]
    served.clock.advance(2)
    purge_due(served.tenant.store, served.clock())
    assert {key.label for key in keys.list()} == {"test", "gate 1", "one more"}


def test_a_parameter_nobody_reads_is_refused(served: Served) -> None:
    """A slip in a name is told, with the names there are, where it would change what comes back."""
    code, sentence = served.refusal("GET", "/people?limt=1", 422)
    assert (code, sentence) == (
        "request_invalid",
        "The request cannot be used: there is no parameter 'limt' at this address, it has after, limit; see "
        "/v1/openapi.json.",
    )
    (person,) = people(served, 1)
    path = f"/people/{person}/verifications?chanel=1"
    assert "it has channel, profile" in served.refusal("POST", path, 422, content=b"RIFF")[1]
    assert "it has none" in served.refusal("GET", "/policies?x=1", 422)[1]
    assert served.refusal("POST", "/diarizations?speaker=2", 422, content=b"RIFF")[0] == "request_invalid"
