"""The audit log through the service: who did what, proofs, checks, downloads."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from served import Served, serving
from voxid.audit.events import Entry
from voxid.audit.heads import SignedHead
from voxid.audit.merkle import only_grew

BASE = {"name": "Ada", "consent": {"purposes": ["verify"], "evidence": "form 17"}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("data")) as running:
        running.call("POST", "/people", 201, json=BASE)
        running.call("POST", "/opt-outs", 201, json={"name": "Eve"})
        yield running


def test_acts_say_who_did_them(served: Served) -> None:
    """The key and the request; page by page; about one person."""
    answer = served.http.post("/v1/opt-outs", json={"name": "Trudy"})
    events = served.call("GET", "/audit/events?limit=1000")["events"]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    asked = [event for event in events if event["actor"]["request_id"] == answer.headers["X-Request-Id"]]
    assert asked
    assert {event["actor"]["kind"] for event in asked} == {"key"}
    first = served.call("GET", "/audit/events?limit=1")
    assert first["next"] == 1
    assert served.call("GET", "/audit/events?limit=1&after=1")["events"][0]["sequence"] == 2
    ada = served.tenant.gallery.get("Ada").id
    about = served.call("GET", f"/audit/events?person_id={ada}")["events"]
    assert about
    assert {event["person_id"] for event in about} == {ada}


def test_an_entry_is_proved_and_heads_are_consistent(served: Served) -> None:
    """As anybody can check who has the public key and no access."""
    old = SignedHead.from_dict(served.call("GET", "/audit/head"))
    assert old.signed_by(served.tenant.store.audit().public_key)
    proof = served.call("GET", "/audit/events/2/proof")
    assert json.loads(proof["entry"])["sequence"] == 2
    assert SignedHead.from_dict(proof["head"]).head.size >= 2
    served.call("POST", "/opt-outs", 201, json={"name": "Mallory"})
    new = SignedHead.from_dict(served.call("GET", "/audit/head"))
    path = served.call("GET", f"/audit/consistency?size1={old.head.size}")["path"]
    first, second = (bytes.fromhex(head.head.root) for head in (old, new))
    parts = [bytes.fromhex(part) for part in path]
    assert only_grew(old.head.size, first, new.head.size, second, parts)
    assert served.refusal("GET", "/audit/events/99999/proof", 404)[0] == "audit_entry_missing"


def test_the_whole_log_is_checked_and_downloaded(served: Served) -> None:
    """Line by line as it is hashed; no name is in it; in CEF for a SIEM."""
    report = served.call("POST", "/audit/verify")
    assert (report["whole"], report["bad_entry"]) == (True, None)
    lines = served.call("GET", "/audit/export").content.splitlines()
    assert [Entry.parse(line).sequence for line in lines] == list(range(1, report["entries"] + 1))
    assert b"Ada" not in b"".join(lines)
    siem = served.call("GET", "/audit/export?form=cef").text.splitlines()
    assert len(siem) == len(lines)
    assert all(line.startswith("CEF:0|") for line in siem)


def test_only_auditors_read_it(served: Served) -> None:
    """An operator does not."""
    operator = served.key(roles=["operator"])
    for method, path in (("GET", "/audit/events"), ("GET", "/audit/export"), ("POST", "/audit/verify")):
        assert served.refusal(method, path, 403, headers=operator)[0] == "scope_missing"
    served.call("GET", "/audit/head", headers=served.key(roles=["auditor"]))
