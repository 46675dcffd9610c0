"""Documents: sealed, in the same transactions as people, erased with their person; counters that have a limit."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from synthetic_people import NOW, new_store, person, put, remove
from voxid.errors import CompatibilityError, InputError, StoreError
from voxid.gallery.documents import MAX_DOCUMENT_BYTES, Document, new_document_id
from voxid.gallery.store import Store

BOTH_ENGINES = True

ALICE = person("Alice", 1)


def write(store: Store, *written: Document) -> None:
    with store.changing() as change:
        for document in written:
            change.put_document(document)


def stored_bytes(path: Path) -> bytes:
    files = sorted(path.parent.glob(path.name + "*"))
    return b"".join(file.read_bytes() for file in files if file.suffix != ".key")


def test_a_document_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Every field, with and without a person, also after closing and opening."""
    store = new_store(tmp_path, ALICE)
    own = Document("receipt", "r1", {"text": "Überprüft", "n": [1, 2.5, None]}, "open", ALICE.id, NOW)
    write(store, own, Document("policy", "current", {"identify": False}))
    assert store.document("receipt", "r1") == own
    assert store.document("receipt", "r2") is None
    store.close()
    store = Store.open(store.path)
    assert store.document("receipt", "r1") == own
    assert store.document("policy", "current") == Document("policy", "current", {"identify": False})
    assert store.check().documents == 2
    store.close()


def test_a_document_changed_meanwhile_is_said(tmp_path: Path) -> None:
    """Two who read version 1: the second to write version 2 is refused, and what it did besides is undone."""
    store = new_store(tmp_path, ALICE)
    first = Document("dispute", "d", {"n": 1})
    write(store, first)
    write(store, replace(first, body={"n": 2}, version=2))
    with pytest.raises(CompatibilityError, match="version 2 is stored: it was changed meanwhile") as caught:
        write(store, Document("dispute", "other", {}), replace(first, body={"n": 3}, version=2))
    assert caught.value.code == "document_changed"
    assert caught.value.http_status == 409
    assert store.document("dispute", "other") is None
    found = store.document("dispute", "d")
    assert found is not None
    assert found.body == {"n": 2}
    with pytest.raises(CompatibilityError, match="version 0 is stored"):
        write(store, Document("dispute", "new", {}, version=2))
    store.close()


def test_documents_are_listed_by_what_is_in_the_clear(tmp_path: Path) -> None:
    store = new_store(tmp_path, ALICE)
    ids = [f"job-{n:02}" for n in range(10)]
    write(
        store,
        *(
            Document("job", id_, {"n": n}, "queued" if n % 2 else "done", due_at=NOW + timedelta(days=n))
            for n, id_ in enumerate(ids)
        ),
        Document("receipt", "job-03", {}, person_id=ALICE.id),
    )
    assert [each.id for each in store.documents("job")] == ids
    assert [each.body["n"] for each in store.documents("job", state="queued")] == [1, 3, 5, 7, 9]
    assert [each.id for each in store.documents("job", due_before=NOW + timedelta(days=2))] == ids[:2]
    assert [each.id for each in store.documents("job", after_id="job-03", limit=2)] == ids[4:6]
    assert [each.kind for each in store.documents("receipt", person_id=ALICE.id)] == ["receipt"]
    assert store.documents("job", person_id=ALICE.id) == []
    store.close()


@pytest.mark.file_only
def test_documents_go_with_their_person(tmp_path: Path) -> None:
    """Deleted in the same transaction, key and bytes; those of others stay."""
    store = new_store(tmp_path, ALICE, person("Bob", 2))
    write(store, Document("receipt", "a", {"x": 1}, person_id=ALICE.id), Document("job", "b", {}))
    connection = sqlite3.connect(store.path)
    blobs = [row[0] for row in connection.execute("SELECT sealed FROM document WHERE kind = 'receipt'")]
    blobs += [row[0] for row in connection.execute("SELECT wrapped_key FROM person_key")]
    connection.close()
    assert len(blobs) == 2
    assert all(blob in stored_bytes(store.path) for blob in blobs)
    remove(store, "Alice")
    assert store.document("receipt", "a") is None
    assert store.document("job", "b") is not None
    pieces = [blob[at : at + 16] for blob in blobs for at in range(0, len(blob) - 15, 8)]
    assert [piece for piece in pieces if piece in stored_bytes(store.path)] == []
    assert store.check().documents == 1
    store.close()


def test_documents_stay_when_their_person_is_changed(tmp_path: Path) -> None:
    """The person's rows get a new key at every change; the documents' key stays until the person goes."""
    store = new_store(tmp_path, ALICE)
    write(store, Document("receipt", "a", {"x": 1}, person_id=ALICE.id))
    with store.changing() as change:
        change.put(replace(ALICE, name="Alicia", voiceprints=()), erase_old=True)
    assert [each.body for each in store.documents("receipt", person_id=ALICE.id)] == [{"x": 1}]
    store.close()


def test_a_document_of_nobody_known_is_refused(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    with pytest.raises(InputError, match="belongs to a person who is not enrolled") as caught:
        write(store, Document("receipt", "a", {}, person_id=ALICE.id))
    assert caught.value.code == "person_missing"
    put(store, ALICE)
    write(store, Document("receipt", "a", {}, person_id=ALICE.id))
    store.close()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"kind": "Api Key"}, "expected a lower-case word"),
        ({"id": "../x"}, "expected up to 128 letters"),
        ({"state": "Is Alice"}, "expected a lower-case word such as 'open'"),
        ({"due_at": NOW.replace(tzinfo=None)}, "without time zone"),
        ({"version": 0}, "expected 1 for a new one"),
    ],
)
def test_what_a_document_may_be_called(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        Document(**{"kind": "job", "id": "a", "body": {}, **fields})  # type: ignore[arg-type]
    assert caught.value.code == "document_invalid"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"x": float("nan")}, "document_invalid"),
        ({"x": b"bytes"}, "document_invalid"),
        ({"x": "a" * MAX_DOCUMENT_BYTES}, "document_too_large"),
    ],
)
def test_a_body_that_is_no_json_is_refused(tmp_path: Path, body: dict[str, object], code: str) -> None:
    store = new_store(tmp_path)
    with pytest.raises(InputError) as caught:
        write(store, Document("job", "a", body))
    assert caught.value.code == code
    assert store.documents("job") == []
    store.close()


@pytest.mark.file_only
def test_nothing_of_a_body_lies_in_the_clear(tmp_path: Path) -> None:
    store = new_store(tmp_path, ALICE)
    write(store, Document("job", "a", {"note": "Wilhelmina"}))
    write(store, Document("receipt", "a", {"note": "Wilhelmina"}, person_id=ALICE.id))
    with store.changing() as change:
        change.count("failed verifies of Wilhelmina", 60, 3, NOW)
    assert b"ilhelmina" not in stored_bytes(store.path)
    store.close()


@pytest.mark.file_only
@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("DELETE FROM document WHERE id = 'a'", "list of documents does not match"),
        ("DELETE FROM person_key", "list of documents does not match"),
        ("UPDATE document SET state = 'open' WHERE id = 'a'", "the document a of kind job does not open"),
        ("UPDATE document SET due_at_us = 5 WHERE id = 'a'", "the document a of kind job does not open"),
        ("UPDATE document SET person_id = '' WHERE kind = 'receipt'", "of kind receipt does not open"),
        ("UPDATE document SET version = 9 WHERE id = 'a'", "the document a of kind job does not open"),
        (
            "UPDATE document SET sealed = (SELECT sealed FROM document WHERE id = 'b') WHERE id = 'a'",
            "the document a of kind job does not open",
        ),
    ],
)
def test_documents_changed_behind_our_back_are_noticed(tmp_path: Path, statement: str, sentence: str) -> None:
    store = new_store(tmp_path, ALICE)
    write(store, Document("job", "a", {"n": 1}), Document("job", "b", {"n": 2}))
    write(store, Document("receipt", "r", {"n": 3}, person_id=ALICE.id))
    store.close()
    connection = sqlite3.connect(store.path)
    connection.execute(statement)
    connection.commit()
    connection.close()

    def read_all() -> None:
        opened = Store.open(store.path)
        try:
            opened.documents("job")
            opened.documents("receipt")
        finally:
            opened.close()

    with pytest.raises(StoreError, match=sentence) as caught:
        read_all()
    assert caught.value.code == "store_damaged"


def test_another_process_sees_documents_at_once_and_people_stay_read(tmp_path: Path) -> None:
    """A document is no new generation of the list of people, and two handles do not undo each other's sums."""
    here = new_store(tmp_path, ALICE)
    elsewhere = Store.open(here.path)
    generation = here.generation()
    for n in range(4):
        write((here, elsewhere)[n % 2], Document("job", f"{n}", {}))
    assert [each.id for each in here.documents("job")] == list("0123")
    assert elsewhere.generation() == generation
    put(elsewhere, person("Bob", 2))
    assert here.generation() == generation + 1
    assert here.check().documents == 4
    here.close()
    elsewhere.close()


def test_documents_can_be_handed_on(tmp_path: Path) -> None:
    """As when two records turn out to be one person: readable under the heir's key, gone with the heir."""
    bob = person("Bob", 2)
    store = new_store(tmp_path, ALICE, bob)
    write(store, Document("receipt", "a", {"x": 1}, person_id=ALICE.id))
    with store.changing() as change:
        change.documents.hand_on(ALICE.id, bob.id)
        change.remove(ALICE.id)
    assert store.document("receipt", "a") == Document("receipt", "a", {"x": 1}, person_id=bob.id, version=2)
    remove(store, "Bob")
    assert store.documents("receipt") == []
    store.close()


@pytest.mark.file_only
def test_deleting_a_document(tmp_path: Path) -> None:
    """Absent afterwards, its bytes too where that is asked; deleting twice is said."""
    store = new_store(tmp_path)
    write(store, Document("session", "s", {"secret": "x" * 40}))
    connection = sqlite3.connect(store.path)
    (sealed,) = connection.execute("SELECT sealed FROM document").fetchone()
    connection.close()
    with store.changing() as change:
        assert change.delete_document("session", "s", erase=True)
        assert not change.delete_document("session", "s")
        assert change.document("session", "s") is None
    assert sealed[:16] not in stored_bytes(store.path)
    store.close()


def test_counters_stop_at_their_limit_and_begin_again(tmp_path: Path) -> None:
    """Three are allowed in a minute; the fourth is one too many, and the next minute is a new one."""
    store = new_store(tmp_path)
    start = NOW.replace(second=0, microsecond=0)

    def count(after_s: float) -> tuple[int, bool]:
        with store.changing() as change:
            counted = change.count("verify by key 7", 60, 3, start + timedelta(seconds=after_s))
        assert counted.resets_at == start + timedelta(seconds=60 * (after_s // 60 + 1))
        return counted.count, counted.exceeded

    assert [count(s) for s in (0, 1, 59, 59.9)] == [(1, False), (2, False), (3, False), (4, True)]
    assert count(59.95) == (4, True)
    assert not store.counted("verify by key 8", 60, 3, start).count
    assert store.counted("verify by key 7", 60, 3, start).exceeded
    assert count(60) == (1, False)
    with store.changing() as change:
        change.documents.forget_count("verify by key 7", 60)
    assert store.counted("verify by key 7", 60, 3, start + timedelta(seconds=61)).count == 0
    store.close()


@pytest.mark.file_only
def test_counters_that_ran_out_are_not_kept(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    with store.changing() as change:
        for n in range(5):
            change.count(f"counter {n}", 10, 3, NOW)
        change.count("counter of tomorrow", 10, 3, NOW + timedelta(days=1))
    connection = sqlite3.connect(store.path)
    assert connection.execute("SELECT count(*) FROM counter").fetchone() == (1,)
    connection.close()
    store.close()


def test_counters_are_shared_by_processes(tmp_path: Path) -> None:
    here = new_store(tmp_path)
    elsewhere = Store.open(here.path)
    for n in range(6):
        with (here, elsewhere)[n % 2].changing() as change:
            counted = change.count("x", 3600, 10, NOW)
    assert counted.count == 6
    here.close()
    elsewhere.close()


def test_new_ids_sort_by_time() -> None:
    """Made a few milliseconds apart, they sort as they were made, and none is made twice."""
    ids = []
    for _ in range(5):
        ids.append(new_document_id())
        time.sleep(0.003)
    assert ids == sorted(ids)
    assert len({new_document_id() for _ in range(1000)}) == 1000
    assert ids[0][14] == "7"
