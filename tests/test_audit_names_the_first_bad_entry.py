"""Flip, delete, reorder, truncate or replace anything of the audit log: the first bad entry is named."""

from __future__ import annotations

import ast
import json
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from synthetic_people import NOW, new_store, person, put
from voxid.audit import Actor, Event, acting_as
from voxid.audit.exporting import head_line
from voxid.audit.merkle import only_grew
from voxid.errors import InputError, StoreError
from voxid.gallery.documents import Document
from voxid.gallery.store import Store

SCRIPT = Path(__file__).parents[1] / "scripts" / "verify_audit.py"


def event(number: int, person_id: str | None = None) -> Event:
    personal = {"llr": number + 0.5} if person_id else None
    return Event("verify.decided", "accept", person_id, {"number": number}, personal, NOW)


def audited(folder: Path, n_events: int = 8) -> Store:
    """A gallery of two people with a log of 2 + n entries."""
    store = new_store(folder)
    store.start_audit()
    alice, bob = person("Alice", 1), person("Bob", 2)
    with store.changing() as change:
        for one in (alice, bob):
            change.put(one)
        change.record(Event("person.enrolled", person_id=alice.id, at=NOW))
    for number in range(n_events):
        store.record([event(number, alice.id if number % 2 else bob.id)])
    return store


def execute(store: Store, *statements: str) -> None:
    connection = sqlite3.connect(store.path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_an_untouched_log_is_whole(tmp_path: Path) -> None:
    store = audited(tmp_path)
    report = store.audit().verify()
    assert report.to_dict() == {
        "whole": True,
        "entries": 10,
        "bad_entry": None,
        "problem": None,
        "root": store.audit().head().root,
    }
    acts = [recorded.entry.act for recorded in store.audit().events(limit=3)]
    assert acts == ["audit.started", "person.enrolled", "verify.decided"]
    store.close()


TAMPERED = {
    "a byte of a line": (
        "UPDATE audit_entry SET line = CAST(replace(CAST(line AS TEXT), 'accept', 'reject') AS BLOB) "
        "WHERE sequence = 5",
        5,
        "entry 5 was changed, moved or written by somebody without the key",
    ),
    "a byte of a hash": (
        "UPDATE audit_entry SET hash = zeroblob(32) WHERE sequence = 4",
        4,
        "entry 4 is not",
    ),
    "a byte of a tag": (
        "UPDATE audit_entry SET tag = zeroblob(32) WHERE sequence = 9",
        9,
        "entry 9 was changed",
    ),
    "sealed fields": (
        "UPDATE audit_entry SET sealed = zeroblob(60) WHERE sequence = 6",
        6,
        "entry 6 was changed",
    ),
    "sealed fields removed": (
        "UPDATE audit_entry SET sealed = x'' WHERE sequence = 6",
        6,
        "entry 6 was changed",
    ),
    "whom it is about": (
        "UPDATE audit_entry SET person = 'x' WHERE sequence = 3",
        3,
        "entry 3 is not the one",
    ),
    "what was done": ("UPDATE audit_entry SET act = 'x.y' WHERE sequence = 3", 3, "entry 3 is not the one"),
    "an entry deleted": ("DELETE FROM audit_entry WHERE sequence = 7", 7, "entry 7 is missing"),
    "the first deleted": ("DELETE FROM audit_entry WHERE sequence = 1", 1, "entry 1 is missing"),
    "the end cut off": ("DELETE FROM audit_entry WHERE sequence > 8", 9, "the log ends before entry 10"),
    "all deleted": ("DELETE FROM audit_entry", 1, "entry 1 is missing: the log ends before entry 10"),
    "another type of value": (
        "UPDATE audit_entry SET line = 'text' WHERE sequence = 8",
        8,
        "entry 8 was changed",
    ),
    "a person's wrapped key": (
        "UPDATE audit_key SET wrapped_key = zeroblob(60)",
        2,
        "is gone or was changed",
    ),
    "whose key it is": ("UPDATE audit_key SET person_id = person_id || 'x'", 2, "is gone or was changed"),
    "two swapped": (
        "UPDATE audit_entry SET sequence = CASE sequence WHEN 4 THEN -6 ELSE -4 END WHERE sequence IN (4, 6);"
        "UPDATE audit_entry SET sequence = -sequence WHERE sequence < 0",
        4,
        "entry 4 was changed, moved or written",
    ),
    "one repeated at the end": (
        "INSERT INTO audit_entry SELECT 11, line, hash, person, act, sealed, tag FROM audit_entry WHERE sequence = 10",
        11,
        "entry 11 was changed, moved or written",
    ),
    "the head": (
        "UPDATE meta SET value = zeroblob(150) WHERE key = 'audit'",
        11,
        "the head of the log is missing",
    ),
    "the head removed": ("DELETE FROM meta WHERE key = 'audit'", 11, "the head of the log is missing"),
    "a person's key": (
        "DELETE FROM audit_key WHERE rowid = 1",
        2,
        "is gone or was changed, and no entry says",
    ),
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an audited gallery that nothing was done to yet."""
    folder = tmp_path_factory.mktemp("original")
    audited(folder).close()
    return folder


@pytest.mark.parametrize("what", TAMPERED)
def test_tampering_is_named_by_its_entry(original: Path, tmp_path: Path, what: str) -> None:
    statements, bad_entry, sentence = TAMPERED[what]
    shutil.copytree(original, tmp_path / "copy")
    store = Store.open(tmp_path / "copy" / "people.voxid")
    execute(store, *statements.split(";"))
    report = store.audit().verify()
    assert report.bad_entry == bad_entry, report.problem
    assert sentence in str(report.problem)
    with pytest.raises(StoreError, match="in its audit log"):
        store.check()
    store.close()


def test_a_log_and_head_put_back_together_are_told_by_the_list_of_people(tmp_path: Path) -> None:
    """An older head row is genuine; the gallery has moved on since, and the log must have too."""
    store = audited(tmp_path)
    old = sqlite3.connect(store.path).execute("SELECT value FROM meta WHERE key = 'audit'").fetchone()[0]
    put(store, person("Carla", 3))
    assert store.audit().head().size == 11  # nobody wrote an event, so the change itself is one
    execute(
        store,
        "DELETE FROM audit_entry WHERE sequence = 11",
        f"UPDATE meta SET value = x'{old.hex()}' WHERE key = 'audit'",
    )
    report = store.audit().verify()
    assert (report.bad_entry, report.whole) == (11, False)
    assert "the gallery is at change 3, the log ends at change 2" in str(report.problem)
    store.close()


def test_nothing_is_added_to_a_log_without_its_head(tmp_path: Path) -> None:
    store = audited(tmp_path)
    execute(store, "DELETE FROM meta WHERE key = 'audit'")
    with pytest.raises(StoreError, match="nothing was done; `voxid audit verify` says what is wrong"):
        store.record([event(1)])
    with pytest.raises(StoreError, match="nothing was done"):
        put(store, person("Carla", 3))
    assert store.find("Carla") is None
    store.close()


def test_a_changed_entry_is_not_shown(tmp_path: Path) -> None:
    store = audited(tmp_path)
    execute(store, TAMPERED["a byte of a line"][0])
    with pytest.raises(StoreError, match="Audit entry 5 of people.voxid was changed"):
        store.audit().events()
    store.close()


def test_the_log_stays_whole_when_a_person_goes(tmp_path: Path) -> None:
    """Personal fields, id and key are gone, the entries and every hash are there."""
    store = audited(tmp_path)
    person_id = store.find("Alice")
    assert person_id is not None
    before = store.audit().events(person_id=person_id)
    pseudonym = before[0].entry.person
    assert [recorded.personal for recorded in before][1:] == [{"llr": n + 0.5} for n in (1, 3, 5, 7)]
    old = store.audit().sign_head(NOW)
    with store.changing() as change:
        change.remove(person_id)
        change.record(Event("person.deleted", person_id=person_id, at=NOW))
    log = store.audit()
    assert log.verify().whole
    assert log.events(person_id=person_id) == []
    about = [recorded for recorded in log.events() if recorded.entry.person == pseudonym]
    assert [recorded.entry.act for recorded in about][-2:] == ["person.deleted", "person.erased"]
    assert all(recorded.erased and recorded.personal is None for recorded in about)
    files = b"".join(file.read_bytes() for file in tmp_path.glob("people.voxid*"))
    assert person_id.encode() not in files
    path = [bytes.fromhex(part) for part in log.consistency(old.head.size)]
    head = log.head()
    roots = bytes.fromhex(old.head.root), bytes.fromhex(head.root)
    assert only_grew(old.head.size, roots[0], head.size, roots[1], path)
    store.close()


def test_events_of_documents_and_of_nobody(tmp_path: Path) -> None:
    """Who is not in the gallery gets no key; a document changed without an event is written down by its kind."""
    store = audited(tmp_path, 0)
    store.record([Event("verify.decided", "not_enrolled", "nobody-here", personal={"secret": 1})])
    with store.changing() as change:
        change.put_document(Document("policy", "current", {"identify": False}))
    with store.changing() as change:
        change.put_document(Document("job", "j1", {"progress": 0}))
    log = store.audit().events(after=2)
    assert [(r.entry.act, r.entry.person, r.personal) for r in log] == [
        ("verify.decided", None, None),
        ("document.changed", None, None),
    ]
    assert log[1].entry.facts == {"documents": ["policy"]}
    assert store.audit().verify().whole
    store.close()


def test_a_gallery_that_is_not_audited_writes_nothing(tmp_path: Path) -> None:
    store = new_store(tmp_path, person("Alice", 1))
    store.record([event(1)])
    with pytest.raises(InputError, match="keeps no audit log; `voxid audit start` begins one"):
        store.audit()
    store.start_audit()
    store.start_audit()
    assert store.audit().head().size == 1
    store.close()
    again = Store.open(store.path)
    assert again.audited
    again.close()


def test_threads_share_a_transaction(tmp_path: Path) -> None:
    """Eight threads, forty events each: all there, by whom they were, in far fewer commits."""
    store = audited(tmp_path, 0)
    commits: list[int] = []
    write = store._sharing._write
    store._sharing._write = lambda waiting: (commits.append(len(waiting)), write(waiting))[1]

    def work(thread: int) -> None:
        with acting_as(Actor("key", f"k{thread}")):
            for number in range(40):
                store.record([event(number)])

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = store.audit().events(after=2, limit=1000)
    assert sum(commits) == len(written) == 320
    assert len(commits) < 160
    for thread in range(8):
        mine = [r.entry.facts["number"] for r in written if r.entry.actor.id == f"k{thread}"]
        assert mine == list(range(40))
    assert store.audit().verify().whole
    store.close()


def run_script(*arguments: object) -> tuple[int, str]:
    command = [sys.executable, "-I", str(SCRIPT), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, (done.stdout + done.stderr).strip()


def test_the_script_is_short_and_imports_nothing_of_ours() -> None:
    text = SCRIPT.read_text()
    assert len(text.splitlines()) <= 100
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [str(node.module)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported - sys.stdlib_module_names == {"cryptography"}


def exported(store: Store, path: Path) -> list[bytes]:
    lines = [*store.audit().lines(), head_line(store.audit().sign_head(NOW)).encode()]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return lines


def test_the_standalone_script_agrees(tmp_path: Path) -> None:
    """Whole, with the right signer, an older head and a proof; and each kind of tampering named."""
    store = audited(tmp_path)
    log = store.audit()
    (tmp_path / "old.json").write_text(head_line(log.sign_head(NOW)))
    store.record([event(8), event(9)])
    path = tmp_path / "log.jsonl"
    lines = exported(store, path)
    key = log.public_key
    assert run_script(path, tmp_path / "old.json", "--public-key", key) == (
        0,
        f"whole: 12 entries, root {log.head().root}",
    )
    (tmp_path / "proof.json").write_text(json.dumps(log.proof(5, NOW).to_dict()))
    assert run_script("--proof", tmp_path / "proof.json")[1].startswith(
        "entry 5 is in the log of 12 entries: "
    )
    assert "is not signed by the given key" in run_script(path, "--public-key", "00" * 32)[1]
    for changed, sentence in [
        ([*lines[:4], lines[4].replace(b"accept", b"reject"), *lines[5:]], "entry 5 was changed"),
        (lines[:6] + lines[7:], "entry 7 is missing"),
        ([*lines[:3], lines[4], lines[3], *lines[5:]], "entry 4 is missing: entry 5 is in its place"),
        (lines[:9] + lines[12:], "entry 10 is missing: a head says there are more"),
        (lines[:12], "entry 1 is covered by no signed head"),
        (
            [*lines[:12], lines[12].replace(b'"size":12', b'"size":11')],
            "entry 12 is covered by no signed head",
        ),
        (
            [*lines[:12], lines[12].replace(b'"at":"2026', b'"at":"2027')],
            "signature of the head of 12 entries is wrong",
        ),
    ]:
        path.write_bytes(b"\n".join(changed))
        code, said = run_script(path)
        assert (code, sentence in said) == (1, True), said
    store.close()


def test_readers_writers_and_whoever_holds_the_list_do_not_wait_for_each_other_for_ever(
    tmp_path: Path,
) -> None:
    """Events are written inside `snapshot`, inside `changing` and beside both, by threads at once."""
    store = audited(tmp_path, 0)

    def hold_the_list() -> None:
        for number in range(10):
            with store.snapshot():
                store.record([event(number)])

    def change() -> None:
        for number in range(10):
            with store.changing() as open_change:
                open_change.put(person(f"person {number}", 10 + number, n_voiceprints=1))
                store.record([event(number)])

    def write() -> None:
        for number in range(10):
            store.record([event(number)])

    threads = [threading.Thread(target=work, daemon=True) for work in (hold_the_list, change, write, write)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    assert len(store.audit().events(act="verify.decided")) == 40
    assert store.audit().verify().whole
    store.close()
