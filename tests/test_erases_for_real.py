"""After delete returns, the file and its log hold nothing of the person."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from synthetic_people import names, new_store, person, put, remove
from voxid.errors import StoreError
from voxid.gallery import sqlite
from voxid.gallery.consent import Consent
from voxid.gallery.store import Store


def stored_bytes(path: Path) -> bytes:
    files = sorted(path.parent.glob(path.name + "*"))
    return b"".join(file.read_bytes() for file in files if file.suffix != ".key")


def sealed_of(path: Path, person_id: str) -> list[bytes]:
    """What lies in the tables for a person, read past our own code."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT wrapped_key, sealed FROM person WHERE id = ?", [person_id]).fetchall()
    for table in ("voiceprint", "consent"):
        rows += connection.execute(f"SELECT sealed, sealed FROM {table} WHERE person_id = ?", [person_id])
    connection.close()
    return sorted({blob for row in rows for blob in row})


@pytest.mark.parametrize("crowd", [0, 60])
def test_no_byte_of_a_deleted_person_is_left(tmp_path: Path, crowd: int) -> None:
    """Neither name, nor ids, nor wrapped key, nor any piece of ciphertext, nor the embedding."""
    gone = person("Wilhelmina Quast", 99, n_voiceprints=5)
    store = new_store(tmp_path, *(person(f"neighbour {n}", n) for n in range(crowd)), gone)
    blobs = sealed_of(store.path, gone.id)
    assert len(blobs) == 8
    assert all(blob in stored_bytes(store.path) for blob in blobs)
    remove(store, "wilhelmina quast")
    left = stored_bytes(store.path)
    pieces = [blob[at : at + 16] for blob in blobs for at in range(0, len(blob) - 15, 16)]
    pieces += [gone.id.encode(), b"Wilhelmina", b"signed form 17"]
    pieces += [print_.info.id.encode() for print_ in gone.voiceprints]
    pieces += [print_.embedding.tobytes()[:16] for print_ in gone.voiceprints]
    assert [piece for piece in pieces if piece in left] == []
    assert len(names(store)) == crowd
    store.close()
    assert [piece for piece in pieces if piece in stored_bytes(store.path)] == []


def test_nothing_is_stored_in_the_clear(tmp_path: Path) -> None:
    """Name, evidence, audio hash and embedding are not found in the file of a person who is enrolled."""
    alice = person("Wilhelmina Quast", 5)
    store = new_store(tmp_path, alice)
    info = alice.voiceprints[0]
    pieces = [b"Wilhelmina", b"wilhelmina", b"signed form", info.info.audio_sha256.encode()]
    pieces += [bytes.fromhex(info.info.audio_sha256), info.embedding.tobytes()[:16]]
    assert [piece for piece in pieces if piece in stored_bytes(store.path)] == []
    store.close()


def test_an_opt_out_keeps_no_name(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    with store.changing() as change:
        change.add_opt_out("Wilhelmina Quast")
    assert store.opted_out("WILHELMINA  QUAST")
    assert b"ilhelmina" not in stored_bytes(store.path)
    store.close()


def test_a_rewritten_person_can_be_erased_of_the_past(tmp_path: Path) -> None:
    """A withdrawal that keeps the person destroys the voiceprints and every former row."""
    alice = person("Alice", 1, n_voiceprints=4)
    store = new_store(tmp_path, alice, person("Bob", 2))
    blobs = sealed_of(store.path, alice.id)
    with store.changing() as change:
        change.put(replace(alice, voiceprints=()), erase_old=True)
    assert [blob for blob in blobs if blob[:16] in stored_bytes(store.path)] == []
    assert names(store) == ["Alice", "Bob"]
    store.close()


def test_an_erasure_cut_off_is_finished_at_the_next_open(tmp_path: Path) -> None:
    """Killed between the deletion and the overwriting: the next open removes the bytes from the log."""
    gone = person("Wilhelmina Quast", 99)
    store = new_store(tmp_path, person("Bob", 2), gone)
    blobs = sealed_of(store.path, gone.id)
    store.close()
    script = """
import os, signal, sys
from pathlib import Path
from synthetic_people import remove
from voxid.gallery.sqlite import SqliteDatabase
from voxid.gallery.store import Store
SqliteDatabase.purge = lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL)
remove(Store.open(Path(sys.argv[1])), "Wilhelmina Quast")
"""
    here = Path(__file__).parent
    environ = {**os.environ, "PYTHONPATH": f"{here}:{here.parent / 'src'}"}
    killed = subprocess.run([sys.executable, "-c", script, str(store.path)], env=environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert any(blob in stored_bytes(store.path) for blob in blobs), "the log should still hold the old pages"
    store = Store.open(store.path)
    assert [blob for blob in blobs if blob[:16] in stored_bytes(store.path)] == []
    assert names(store) == ["Bob"]
    store.close()


def test_a_reader_that_holds_old_pages_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The person is gone for everybody, and that the bytes are not yet is said."""
    monkeypatch.setattr(sqlite, "_PURGE_TIMEOUT_S", 0.2)
    monkeypatch.setattr(sqlite, "_BUSY_TIMEOUT_S", 0.1)
    store = new_store(tmp_path, person("Alice", 1), person("Bob", 2))
    reader = sqlite3.connect(store.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM person").fetchall()
    with pytest.raises(StoreError, match="another process still reads their old copy") as caught:
        remove(store, "Alice")
    assert caught.value.code == "erase_incomplete"
    assert names(store) == ["Bob"]
    reader.close()
    put(store, person("Carla", 3, consent=Consent({"verify"}, evidence="form")))
    store.close()
    again = Store.open(store.path)
    assert names(again) == ["Bob", "Carla"]
    again.close()
