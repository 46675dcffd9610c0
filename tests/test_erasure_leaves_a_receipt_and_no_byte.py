"""`erase`: a signed receipt, and no byte of the person in gallery, log, exports, receipts or anything written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from privacy_gallery import Clock, consent, enroll, open_gallery, seen
from voxid.audit.exporting import head_line
from voxid.audit.statements import SignedStatement
from voxid.cli import main
from voxid.errors import InputError, PolicyError
from voxid.gallery import sqlite
from voxid.privacy.disclosures import Disclosure, disclose
from voxid.privacy.erasing import ERASURE_RECEIPT, erase, erasure_receipt, finish_erasures
from voxid.privacy.holds import hold, release
from voxid.privacy.processing import processing_record
from voxid.privacy.receipts import issue_receipt
from voxid.recognize import Gallery


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with open_gallery(tmp_path, Clock()) as opened:
        enroll(opened, "Bob", 2, consent("verify"))
        yield opened


def sealed_blobs(path: Path) -> list[bytes]:
    """Every sealed value of every table but the log, read past our own code."""
    connection = sqlite3.connect(path)
    blobs: list[bytes] = []
    for table, column in [
        ("person", "wrapped_key"),
        ("person", "sealed"),
        ("voiceprint", "sealed"),
        ("consent", "sealed"),
        ("document", "sealed"),
        ("person_key", "wrapped_key"),
        ("audit_key", "wrapped_key"),
    ]:
        blobs += [row[0] for row in connection.execute(f"SELECT {column} FROM {table}")]
    connection.close()
    return blobs


def test_no_byte_is_left_in_any_store(gallery: Gallery, tmp_path: Path) -> None:
    """Names, ids, evidence, hashes, embeddings, keys and ciphertext: 0 hits in everything on the disk."""
    store = gallery.stored()[0]
    before = set(sealed_blobs(tmp_path / "people.voxid"))
    gone = enroll(gallery, "Wilhelmina Quast", 99, consent("verify", "identify", jurisdiction="EU-DE"))
    seen(gallery, "Wilhelmina Quast")
    disclose(store, "Wilhelmina Quast", Disclosure("City Court", "timeline", "order 12/26"), gallery.now())
    receipt = issue_receipt(gallery, "Wilhelmina Quast")
    theirs = [blob for blob in sealed_blobs(tmp_path / "people.voxid") if blob not in before]
    assert len(theirs) == 9
    statement = erase(gallery, "wilhelmina quast")
    (tmp_path / "log.jsonl").write_bytes(b"\n".join(store.audit().lines()))
    (tmp_path / "head.json").write_text(head_line(store.audit().sign_head()))
    (tmp_path / "receipt.json").write_text(json.dumps(statement.to_dict()))
    (tmp_path / "record.json").write_text(json.dumps(processing_record(gallery)))
    gallery.export(tmp_path / "export", passphrase="a long passphrase")
    pieces = [blob[at : at + 16] for blob in theirs for at in range(0, len(blob) - 15, 16)]
    pieces += [
        gone.id.encode(),
        b"Wilhelmina",
        b"wilhelmina",
        b"order 12/26",
        str(receipt.body["record_id"]).encode(),
    ]
    for print_ in gone.voiceprints:
        pieces += [
            print_.info.id.encode(),
            print_.embedding.tobytes()[:16],
            print_.info.audio_sha256.encode(),
        ]

    def hits() -> list[tuple[str, bytes]]:
        files = [file for file in tmp_path.rglob("*") if file.is_file() and file.suffix != ".key"]
        return [(file.name, piece) for file in files for piece in pieces if piece in file.read_bytes()]

    assert hits() == []
    gallery.close()
    assert hits() == []


def test_the_receipt_says_what_was_done_and_names_nobody(gallery: Gallery) -> None:
    store = gallery.stored()[0]
    enroll(gallery, "Alice", 1, consent("verify"))
    disclose(store, "Alice", Disclosure("City Court", "voiceprints", "order 12/26"), gallery.now())
    statement = erase(gallery, "Alice")
    assert statement.holds(store.audit().public_key)
    body = statement.body
    assert (body["voiceprints"], body["consent_records"], body["reason"]) == (2, 1, "request")
    assert body["recipients_to_tell"] == ["City Court"]
    assert "read again without finding them" in body["method"]
    log = store.audit()
    assert body["audit_log"]["origin"] == log.head().origin
    assert log.verify().whole
    assert "Alice" not in json.dumps(statement.to_dict())
    assert erasure_receipt(store, body["receipt_id"]) == statement
    changed = replace(statement, body={**body, "voiceprints": 3})
    assert not changed.holds()
    assert SignedStatement.from_dict(statement.to_dict()) == statement
    with pytest.raises(InputError, match="There is no receipt 'x' here"):
        erasure_receipt(store, "x")
    with pytest.raises(InputError, match="Nobody called 'Alice'"):
        erase(gallery, "Alice")


def test_a_person_under_a_hold_is_not_erased(gallery: Gallery) -> None:
    hold(gallery.stored()[0], "Bob", "case 12/26", gallery.now())
    acts: list[Callable[[], object]] = [
        lambda: erase(gallery, "Bob"),
        lambda: gallery.delete("Bob"),
        lambda: gallery.opt_out("Bob"),
        lambda: gallery.merge("Carol", "Bob"),
    ]
    enroll(gallery, "Carol", 3, consent("verify"))
    for act in acts:
        with pytest.raises(PolicyError, match="is under a legal hold, so nothing was erased"):
            act()
    assert gallery.get("Bob").name == "Bob"
    assert not gallery.opted_out("Bob")
    log = gallery.stored()[0].audit().events(after=0, limit=100)
    refused = [one.entry.act for one in log if one.entry.outcome == "refused:legal_hold"]
    assert refused == ["person.deleted", "person.deleted", "person.opted_out", "person.merged"]
    release(gallery.stored()[0], "Bob", gallery.now())
    gallery.delete("Bob")


def test_the_command_line_keeps_to_a_hold(gallery: Gallery, capsys: pytest.CaptureFixture[str]) -> None:
    """A policy error, exit code 3, with the way to end the hold."""
    hold(gallery.stored()[0], "Bob", "case 12/26", gallery.now())
    path = str(gallery.stored()[0].path)
    for command in (["people", "delete"], ["people", "opt-out"]):
        assert main([*command, "Bob", "--yes", "--gallery", path, "--json"]) == 3
        assert json.loads(capsys.readouterr().out)["error"] == "legal_hold"
    assert gallery.get("Bob").name == "Bob"


def test_a_proof_that_is_still_to_be_made_is_not_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader holds the old bytes: the person is gone, the receipt waits until the bytes are."""
    monkeypatch.setattr(sqlite, "_PURGE_TIMEOUT_S", 0.2)
    monkeypatch.setattr(sqlite, "_BUSY_TIMEOUT_S", 0.1)
    gallery = open_gallery(tmp_path, Clock())
    enroll(gallery, "Bob", 2, consent("verify"))
    store = gallery.stored()[0]
    reader = sqlite3.connect(tmp_path / "people.voxid", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM person").fetchall()
    with pytest.raises(Exception, match="another process still reads their old copy"):
        erase(gallery, "Bob")
    assert finish_erasures(store, gallery.now()) == []
    (waiting,) = store.documents(ERASURE_RECEIPT)
    assert waiting.state == "erasing"
    reader.close()
    gallery.close()
    with Gallery.open(tmp_path / "people.voxid", clock=Clock()) as again:
        (statement,) = finish_erasures(again.stored()[0], again.now())
        assert statement.holds()
        assert erasure_receipt(again.stored()[0], waiting.id) == statement
