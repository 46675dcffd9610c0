"""Unknown people in the store: sealed apart, erased for real, their ids handed on, all in one transaction."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from synthetic_people import NOW, new_store, person, remove
from unknown_people import unknown
from voxid.errors import InputError, PolicyError, StoreError
from voxid.gallery import Grounds
from voxid.gallery.names import clean_name
from voxid.gallery.store import Store
from voxid.gallery.transfer import export_gallery, import_gallery
from voxid.gallery.unknown import MAX_SIGHTINGS, OptOut, UnknownRecord, is_unknown_id, new_unknown_id

BOTH_ENGINES = True

ONE, TWO, THREE = "unknown-00000001", "unknown-00000002", "unknown-00000003"
PASSPHRASE = "four words of a passphrase"


def stored_bytes(path: Path) -> bytes:
    files = sorted(path.parent.glob(path.name + "*"))
    return b"".join(file.read_bytes() for file in files if file.suffix != ".key")


def keep(store: Store, *records: UnknownRecord) -> None:
    with store.changing() as change:
        for record in records:
            change.unknown.put(record)


def sealed_of(path: Path, id_: str) -> list[bytes]:
    connection = sqlite3.connect(path)
    row = connection.execute("SELECT wrapped_key, sealed FROM unknown_person WHERE id = ?", [id_]).fetchone()
    connection.close()
    return list(row)


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    """Also after the gallery was closed; the check counts it."""
    record = unknown(ONE, 3)
    store = new_store(tmp_path, person("Alice", 1))
    keep(store, record)
    store.close()
    again = Store.open(store.path)
    (back,) = again.read_unknown()
    assert back.public() == record.public()
    assert (back.embeddings("test@0123456789ab") == record.embeddings("test@0123456789ab")).all()
    assert [voice.seconds for voice in back.heard] == [voice.seconds for voice in record.heard]
    assert again.check().unknown == 1
    again.close()


@pytest.mark.file_only
def test_nothing_of_an_unknown_person_is_stored_in_the_clear(tmp_path: Path) -> None:
    """Neither the recordings, nor the grounds, nor the embedding; the id alone, which means nothing."""
    record = unknown(ONE, 3)
    store = new_store(tmp_path)
    keep(store, record)
    pieces = [b"Konferenz", b"minutes of the board", record.heard[0].sighting.audio_sha256.encode()]
    pieces += [bytes.fromhex(record.heard[0].sighting.audio_sha256)]
    pieces += [print_.embedding.tobytes()[:16] for print_ in record.voiceprints]
    left = stored_bytes(store.path)
    assert [piece for piece in pieces if piece in left] == []
    assert ONE.encode() in left
    store.close()


@pytest.mark.file_only
@pytest.mark.parametrize("crowd", [0, 20])
def test_no_byte_of_a_forgotten_unknown_person_is_left(tmp_path: Path, crowd: int) -> None:
    """Neither id, nor former id, nor wrapped key, nor any piece of ciphertext, nor the embedding."""
    gone = unknown(ONE, 99, n_recordings=5)
    store = new_store(tmp_path, *(person(f"neighbour {n}", n) for n in range(crowd)))
    keep(store, gone, unknown(TWO, 7))
    with store.changing() as change:
        change.unknown.add_known_as(THREE, ONE)
    blobs = sealed_of(store.path, ONE)
    assert all(blob[:64] in stored_bytes(store.path) for blob in blobs)
    with store.changing() as change:
        change.forget_seconds("ab" * 32, range(40))
        change.unknown.remove(ONE)
    pieces = [blob[at : at + 16] for blob in blobs for at in range(0, len(blob) - 15, 16)]
    pieces += [ONE.encode(), THREE.encode(), b"Konferenz 99", b"ab" * 32]
    pieces += [print_.embedding.tobytes()[:16] for print_ in gone.voiceprints]
    for _ in range(2):
        left = stored_bytes(store.path)
        assert [piece for piece in pieces if piece in left] == []
        assert TWO.encode() in left
        store.close()


@pytest.mark.file_only
def test_a_row_put_back_from_before_is_noticed(tmp_path: Path) -> None:
    """As with people: behind our back nothing is removed, added or exchanged."""
    store = new_store(tmp_path)
    keep(store, unknown(ONE, 3), unknown(TWO, 4))
    store.close()
    for statement in (
        "DELETE FROM unknown_person WHERE id = 'unknown-00000001'",
        "UPDATE unknown_person SET sealed = (SELECT sealed FROM unknown_person WHERE id = 'unknown-00000002')",
        "INSERT INTO known_as VALUES ('unknown-00000003', 'unknown-00000001')",
    ):
        copy = tmp_path / "copy.voxid"
        copy.write_bytes(store.path.read_bytes())
        connection = sqlite3.connect(copy)
        connection.execute(statement)
        connection.commit()
        connection.close()
        with pytest.raises(StoreError) as caught:
            Store.open(copy, key=tmp_path / "people.voxid.key").read_unknown()
        assert caught.value.code == "store_damaged", statement


@pytest.mark.file_only
def test_a_person_erased_takes_former_ids_along(tmp_path: Path) -> None:
    """And one who is merely rewritten keeps them."""
    alice = person("Alice", 1)
    store = new_store(tmp_path, alice, person("Bob", 2))
    with store.changing() as change:
        change.unknown.add_known_as(ONE, alice.id)
    with store.changing() as change:
        change.put(replace(alice, name="Alice L."))
    with store.snapshot() as roster:
        assert roster.known_as == {ONE: alice.id}
    remove(store, "Alice L.")
    with store.snapshot() as roster:
        assert roster.known_as == {}
    assert ONE.encode() not in stored_bytes(store.path)
    store.close()


def test_all_or_nothing(tmp_path: Path) -> None:
    """An exception in the middle of a change leaves unknown people, ids and the list as they were."""
    store = new_store(tmp_path, person("Alice", 1))
    keep(store, unknown(ONE, 3))

    def cut_off() -> None:
        with store.changing() as change:
            change.unknown.put(unknown(TWO, 4))
            change.unknown.remove(ONE, heir=TWO)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        cut_off()
    assert [record.id for record in store.read_unknown()] == [ONE]
    with store.snapshot() as roster:
        assert roster.known_as == {}
    store.close()
    again = Store.open(store.path)
    assert [record.id for record in again.read_unknown()] == [ONE]
    again.close()


def test_two_processes_see_the_same_unknown_people(tmp_path: Path) -> None:
    """A second opening of the file notices what the first one changed."""
    first = new_store(tmp_path)
    second = Store.open(first.path)
    keep(first, unknown(ONE, 3))
    assert [record.id for record in second.read_unknown()] == [ONE]
    with second.changing() as change:
        change.unknown.remove(ONE)
    assert first.read_unknown() == []
    first.close()
    second.close()


def test_expired_recordings_are_not_used() -> None:
    """Each by its own day; nothing is left of a person whose recordings have all expired."""
    record = unknown(ONE, 3, n_recordings=2, keep_days=30)
    assert record.at(NOW + timedelta(days=29)) is record
    later = record.at(NOW + timedelta(days=30))
    assert later is not None
    assert [voice.sighting.uri for voice in later.heard] == ["Konferenz 3.1"]
    assert record.at(NOW + timedelta(days=31)) is None


def test_a_recording_heard_again_counts_once() -> None:
    record = unknown(ONE, 3)
    again = replace(record.heard[0], sighting=replace(record.heard[0].sighting, speech_s=1.0))
    assert [voice.sighting.speech_s for voice in record.hearing([again]).heard] == [1.0, 12.5]
    many = unknown(ONE, 4, n_recordings=MAX_SIGHTINGS + 3)
    assert len(UnknownRecord(ONE, NOW, ()).hearing(many.heard).heard) == MAX_SIGHTINGS


def test_ids_are_no_names() -> None:
    """An id has one form, is never given twice, and nobody may be called like one."""
    made = {new_unknown_id(()) for _ in range(200)}
    assert len(made) == 200
    assert all(is_unknown_id(id_) for id_ in made)
    for name in ("unknown-7k3f2m9x", "UNKNOWN-0001", "Unknown 12", "unknown_x", "unknown"):
        with pytest.raises(InputError, match="is what strangers are called on a timeline") as caught:
            clean_name(name)
        assert caught.value.code == "name_invalid"
    assert clean_name("Unknownson") == "Unknownson"


@pytest.mark.parametrize(
    ("basis", "days", "error", "code"),
    [
        ("", 30, PolicyError, "basis_missing"),
        (" \n", 30, PolicyError, "basis_missing"),
        ("x" * 5000, 30, InputError, "basis_invalid"),
        ("assessment 12", 0, InputError, "retention_invalid"),
        ("assessment 12", 366, InputError, "retention_invalid"),
    ],
)
def test_grounds_are_stated(basis: str, days: int, error: type[Exception], code: str) -> None:
    with pytest.raises(error) as caught:
        Grounds(basis, days)
    assert caught.value.code == code  # type: ignore[attr-defined]


def test_an_export_carries_opt_outs_and_former_ids_and_no_unknown_people(tmp_path: Path) -> None:
    """The wish not to be kept holds in the other gallery too; who is merely unknown stays where they are."""
    alice = person("Alice", 1)
    store = new_store(tmp_path, alice)
    opted_out = unknown(TWO, 4).opted_out(OptOut("letter of 3 May", NOW))
    keep(store, unknown(ONE, 3), opted_out)
    with store.changing() as change:
        change.unknown.add_known_as(THREE, alice.id)
        change.forget_seconds("ab" * 32, [5, 6])
        change.add_opt_out("Dora")
    report = export_gallery(store, tmp_path / "out", PASSPHRASE, NOW)
    assert (report.people, report.opt_outs) == (("Alice",), 1)
    store.close()
    (tmp_path / "other").mkdir()
    other = Store.open(tmp_path / "other" / "people.voxid")
    report = import_gallery(other, tmp_path / "out", PASSPHRASE)
    assert (report.people, report.opt_outs) == (("Alice",), 1)
    (back,) = other.read_unknown()
    assert (back.id, back.opt_out) == (TWO, OptOut("letter of 3 May", NOW))
    assert [print_.info.audio_sha256 for print_ in back.voiceprints] == ["0" * 64] * 2
    with other.changing() as change:
        assert change.forgotten_share("ab" * 32, [5, 6, 7, 8]) == 0.5
        assert change.opted_out("Dora")
    with other.snapshot() as roster:
        assert roster.known_as == {THREE: alice.id}
    other.close()
