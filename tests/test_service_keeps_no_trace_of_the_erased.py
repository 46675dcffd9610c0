"""Who was enrolled, verified and found through the service, and then erased, left no byte in a file or an answer."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from served import Served, clip, serving
from voxid.service.idempotency import Idempotency
from voxid.service.underway import UnderWay

BOTH_ENGINES = True
NAME = "Wilhelmina Quast"
KEYED = {"Idempotency-Key": "one-request-and-no-other"}
KEYED_ERASURE = {"Idempotency-Key": "one-erasure-and-no-other"}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path / "data") as running:
        yield running


def enrolled(served: Served, name: str, voice: str) -> str:
    """The id of a person enrolled recording by recording."""
    consent = {"purposes": ["verify", "identify"], "evidence": "order 12/26"}
    id_: str = served.call("POST", "/people", 201, json={"name": name, "consent": consent})["id"]
    begun = served.call("POST", "/enrollments", 201, json={"person_id": id_})["id"]
    for number in (1, 2):
        served.call("POST", f"/enrollments/{begun}/recordings", content=clip(voice, number).read_bytes())
    served.call("POST", f"/enrollments/{begun}/complete", json={})
    return id_


def identified(served: Served, voice: str) -> list[str]:
    """Who is found in a recording, asked for under one Idempotency-Key."""
    found = served.call("POST", "/identifications", content=clip(voice, 4).read_bytes(), headers=KEYED)
    return [one["name"] for one in found["candidates"]]


def test_no_byte_and_no_answer_tells_of_the_erased(served: Served, tmp_path: Path) -> None:
    """Neither name nor id, nor a hash of what was heard of them, in the data or in the exported log."""
    id_ = enrolled(served, NAME, "ada")
    heard = [sha256(clip("ada", number).read_bytes()).hexdigest() for number in (1, 2, 3)]
    served.call("POST", f"/people/{id_}/verifications", content=clip("ada", 3).read_bytes())
    purpose = {"identify_purpose": "Greeting members who called before", "version": 0}
    served.call("PUT", "/policies", json=purpose)
    assert identified(served, "ada") == [NAME]
    assert identified(served, "ada") == [NAME]
    receipt = served.call("POST", "/erasures", 201, json={"person_id": id_}, headers=KEYED_ERASURE)
    assert served.call("POST", "/erasures", 201, json={"person_id": id_}, headers=KEYED_ERASURE) == receipt
    assert identified(served, "ada") == []
    (tmp_path / "log.jsonl").write_bytes(served.call("GET", "/audit/export").content)
    pieces = [NAME, NAME.lower(), id_, "order 12/26", *heard]
    files = [file for file in tmp_path.rglob("*") if file.is_file() and file.suffix != ".key"]
    assert [(file.name, one) for file in files for one in pieces if one.encode() in file.read_bytes()] == []


class Found(BaseModel):
    """An answer."""

    names: list[str]


def test_an_answer_about_several_people_is_not_kept(served: Served) -> None:
    """It could go with one of them only; the request, which only looked, is done again."""
    people = [served.enroll("Ada", "ada", 1), served.enroll("Bruno", "bruno", 1)]
    asked: list[int] = []

    def look() -> Found:
        asked.append(len(people))
        return Found(names=["Ada", "Bruno"][: len(people)])

    store, now = served.tenant.store, served.clock()
    once = Idempotency("one-request-and-no-other", "key:k", store, now, 24, "POST /v1/looks", UnderWay())
    for _ in range(2):
        assert isinstance(once.answer(look, about=(), people_of=lambda _: people), Found)
    del people[1]
    once.answer(look, about=(), people_of=lambda _: people)
    assert isinstance(once.answer(look, about=(), people_of=lambda _: people), JSONResponse)
    assert asked == [2, 2, 1]
