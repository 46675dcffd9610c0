"""Events are checked, entries are one canonical line, heads are signed, CEF is escaped."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from voxid.audit import Actor, Entry, Event, Head, InclusionProof, SignedHead, acting_as, current_actor
from voxid.audit.exporting import cef_line
from voxid.audit.heads import public_key_of, signed_head
from voxid.audit.merkle import inclusion_path, root_of
from voxid.errors import InputError, StoreError

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
ENTRY = Entry(
    sequence=1,
    at="2026-11-21T09:00:00.000000Z",
    act="verify.decided",
    outcome="accept",
    actor=Actor("key", "k7", "r1"),
    person="ab" * 16,
    facts={"profile": "far_1pct", "sizes": [1, 2]},
    personal_sha256=None,
    generation=3,
    previous="00" * 32,
)


def test_a_line_comes_back_as_it_was() -> None:
    assert Entry.parse(ENTRY.line()) == ENTRY
    assert ENTRY.line().isascii()
    assert b" " not in ENTRY.line()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        ENTRY.line() + b" ",
        ENTRY.line().replace(b'"v":1', b'"v":2'),
        b"\xff" + ENTRY.line(),
    ],
)
def test_anything_else_is_no_entry(line: bytes) -> None:
    with pytest.raises(StoreError) as caught:
        Entry.parse(line)
    assert caught.value.code == "audit_damaged"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"act": "Enrolled"}, "has the act 'Enrolled'; expected noun and verb, e.g. \"person.enrolled\""),
        ({"outcome": "Went well"}, 'has the outcome \'Went well\'; expected "done" or "refused:why"'),
        ({"facts": {"inner": {"name": "alice"}}}, "fact 'inner' of type dict; expected JSON scalars"),
        ({"facts": {"score": float("nan")}}, "fact 'score' of type float"),
        ({"facts": {"text": "x" * 20_000}}, "expected at most 16384: give hashes and counts"),
        ({"personal": {"object": object()}}, "personal field that is not JSON"),
        ({"at": datetime(2026, 1, 1)}, "expected a datetime with a time zone"),
    ],
)
def test_events_are_checked(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        Event(**{"act": "verify.decided", **fields})
    assert sentence in str(caught.value)
    assert caught.value.code == "event_invalid"


def test_the_actor_is_known_inside_the_block_only() -> None:
    assert current_actor() == Actor("local", "", None)
    with acting_as(Actor("oidc", "ann", "r2")):
        assert current_actor().id == "ann"
        with acting_as(Actor("system", "retention")):
            assert current_actor().kind == "system"
        assert current_actor().kind == "oidc"
    assert current_actor().kind == "local"
    with pytest.raises(InputError, match="expected one of local, key, oidc, system"):
        Actor("root")


def test_a_signed_head_is_checked_by_key_and_content() -> None:
    key = Ed25519PrivateKey.generate()
    signed = signed_head(Head("11" * 32, 1, root_of([ENTRY.hash]).hex(), ENTRY.hash.hex()), NOW, key)
    public = public_key_of(key)
    assert SignedHead.from_dict(signed.to_dict()) == signed
    assert signed.signed_by(public)
    assert not signed.signed_by(public_key_of(Ed25519PrivateKey.generate()))
    assert not replace(signed, head=replace(signed.head, size=2)).signed_by(public)
    assert not replace(signed, signature="").signed_by(public)
    with pytest.raises(InputError, match="give what `voxid audit head` wrote"):
        SignedHead.from_dict({"size": "many"})


def test_a_proof_holds_for_its_entry_alone() -> None:
    leaves = [replace(ENTRY, sequence=number).hash for number in range(1, 6)]
    head = Head("11" * 32, 5, root_of(leaves).hex(), leaves[-1].hex())
    line = replace(ENTRY, sequence=3).line().decode()
    path = tuple(part.hex() for part in inclusion_path(leaves, 2))
    proof = InclusionProof(3, line, path, signed_head(head, NOW, Ed25519PrivateKey.generate()))
    assert proof.holds()
    assert not replace(proof, line=line.replace("accept", "reject")).holds()
    assert not replace(proof, sequence=4).holds()


def test_cef_cannot_be_broken_out_of() -> None:
    """Pipes, equals signs and line ends of a request id stay inside their field."""
    entry = replace(ENTRY, actor=Actor("key", "a|b=c\\d", "x\ny"), outcome="refused:consent_missing")
    line = cef_line(entry, "0.1.0")
    assert line.startswith("CEF:0|voxid|voxid|0.1.0|verify.decided|verify decided|6|rt=1795251600000 ")
    assert "\n" not in line
    assert "suid=key:a|b\\=c\\\\d " in line
    assert "requestContext=x\\ny " in line
    assert 'cs1={"profile":"far_1pct","sizes":[1,2]}' in line
