"""Damaged, swapped, removed or rolled-back data is named; it never turns into an answer."""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from synthetic_people import FORM, names, new_store, person, put
from voxid.errors import StoreError, VoxidError
from voxid.gallery.store import Store

PEOPLE = {"Alice": 1, "Bob": 2, "Carla": 3}


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """A closed gallery of three people, one of them with an opt-out besides."""
    store = new_store(tmp_path, *(person(name, seed) for name, seed in PEOPLE.items()))
    with store.changing() as change:
        change.add_opt_out("Dora")
    store.close()
    return store.path


def tamper(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def id_of(path: Path, name: str) -> str:
    store = Store.open(path)
    person_id = store.find(name)
    store.close()
    assert person_id is not None
    return person_id


def contents(path: Path) -> tuple[list[tuple[str, bytes]], bool, int]:
    """Everything a reader could be told: names with their embeddings, the opt-out, the full check."""
    store = Store.open(path, create=False)
    try:
        people = sorted(
            (record.name, b"".join(p.embedding.tobytes() for p in record.voiceprints))
            for record in store.read_many(store.person_ids())
        )
        found = [store.find(name) is not None for name in PEOPLE]
        assert found == [True] * 3
        return people, store.opted_out("dora"), store.check().voiceprints
    finally:
        store.close()


def test_flipped_bytes_never_change_an_answer(gallery: Path, tmp_path: Path) -> None:
    """Wherever a byte of the file is flipped, everything read is right or the damage is reported."""
    whole, before = gallery.read_bytes(), contents(gallery)
    dice = random.Random(4)
    used = [at for at in range(len(whole)) if whole[at]]  # flips in never used space change nothing
    offsets = sorted({*range(0, 100, 7), *dice.sample(used, 220), *dice.sample(range(len(whole)), 40)})
    copy = tmp_path / "copy.voxid"
    shutil.copy(gallery.with_name(gallery.name + ".key"), copy.with_name(copy.name + ".key"))
    refused = 0
    for at in offsets:
        damaged = bytearray(whole)
        damaged[at] ^= dice.choice([0x01, 0x10, 0x80, 0xFF])
        copy.write_bytes(damaged)
        for leftover in ("-wal", "-shm"):
            copy.with_name(copy.name + leftover).unlink(missing_ok=True)
        try:
            assert contents(copy) == before, f"byte {at}"
        except VoxidError as error:
            assert isinstance(error, StoreError), f"byte {at}: {error!r}"
            assert error.code == "store_damaged", f"byte {at}: {error!r}"
            refused += 1
    assert refused > 0.8 * 220


@pytest.mark.parametrize("size", [0, 100, 4096, 20000])
def test_a_cut_off_file_is_refused(gallery: Path, size: int) -> None:
    """A truncated gallery is damaged; an empty file is not taken for a new gallery."""
    gallery.write_bytes(gallery.read_bytes()[:size])
    with pytest.raises(StoreError, match=r"people\.voxid is damaged") as caught:
        contents(gallery)
    assert caught.value.code == "store_damaged"
    assert "restore the gallery from a backup" in str(caught.value)


def test_a_text_file_is_no_gallery(tmp_path: Path) -> None:
    path = tmp_path / "notes.voxid"
    path.write_text("milk, bread, eggs")
    with pytest.raises(StoreError, match="its first bytes are not those of a gallery"):
        Store.open(path)
    assert path.read_text() == "milk, bread, eggs"


def test_swapped_voiceprints_do_not_open(gallery: Path) -> None:
    """Two people's sealed voiceprints exchanged in place: neither is read as the other's."""
    alice, bob = id_of(gallery, "Alice"), id_of(gallery, "Bob")
    tamper(
        gallery,
        f"UPDATE voiceprint SET person_id = 'x' WHERE person_id = '{alice}'",
        f"UPDATE voiceprint SET person_id = '{alice}' WHERE person_id = '{bob}'",
        f"UPDATE voiceprint SET person_id = '{bob}' WHERE person_id = 'x'",
    )
    store = Store.open(gallery)
    with pytest.raises(StoreError, match=r"the voiceprint .* of 'Alice' does not open"):
        store.read(alice)
    assert store.read(id_of(gallery, "Carla")) is not None
    store.close()


def test_swapped_people_do_not_open(gallery: Path) -> None:
    """The whole sealed row of one person under the id of another is noticed."""
    alice, bob = id_of(gallery, "Alice"), id_of(gallery, "Bob")
    tamper(
        gallery,
        f"UPDATE person SET sealed = (SELECT sealed FROM person WHERE id = '{bob}'), wrapped_key = "
        f"(SELECT wrapped_key FROM person WHERE id = '{bob}') WHERE id = '{alice}'",
    )
    store = Store.open(gallery)
    with pytest.raises(StoreError, match=f"the key of the person with id {alice} does not open"):
        store.read(alice)
    store.close()


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("DELETE FROM voiceprint WHERE id = (SELECT min(id) FROM voiceprint)", "rows of '.*' are missing"),
        ("DELETE FROM consent WHERE person_id = (SELECT min(id) FROM person)", "rows of '.*' are missing"),
        ("UPDATE voiceprint SET bundle_id = 'other@1'", "the voiceprint .* does not open"),
        ("DELETE FROM person WHERE id = (SELECT min(id) FROM person)", "list of people and opt-outs"),
        ("DELETE FROM opt_out", "list of people and opt-outs"),
        ("UPDATE person SET name_tag = randomblob(32)", "list of people and opt-outs"),
        ("DELETE FROM meta WHERE key = 'state'", "its state record is missing"),
        (
            "UPDATE meta SET value = randomblob(length(value)) WHERE key = 'state'",
            "fails its integrity check",
        ),
        ("UPDATE meta SET value = randomblob(16) WHERE key = 'key_check'", "key check record"),
        ("DROP TABLE opt_out", "the table opt_out is missing"),
    ],
)
def test_rows_changed_behind_our_back_are_noticed(gallery: Path, statement: str, sentence: str) -> None:
    """Rows deleted or rewritten by somebody with the file but without the key."""
    tamper(gallery, statement)
    with pytest.raises(StoreError, match=sentence):
        contents(gallery)


def test_a_person_put_back_from_an_older_state_is_noticed(gallery: Path) -> None:
    """Rows of a deleted person copied back in from a backup do not resurrect the person."""
    backup = gallery.with_name("backup")
    shutil.copy(gallery, backup)
    store = Store.open(gallery)
    with store.changing() as change:
        person_id = change.find("Bob")
        assert person_id is not None
        change.remove(person_id)
    store.close()
    tamper(gallery, f"ATTACH '{backup}' AS old", "INSERT INTO person SELECT * FROM old.person WHERE id "
           "NOT IN (SELECT id FROM person)")  # fmt: skip
    with pytest.raises(StoreError, match="list of people and opt-outs does not match"):
        contents(gallery)


def test_an_older_copy_put_in_place_while_open_is_noticed(gallery: Path) -> None:
    """The file rolled back under an open gallery: said, not served."""
    older = gallery.read_bytes()
    store = Store.open(gallery)
    put(store, person("Emil", 9, consent=FORM))
    put(store, person("Fay", 10, consent=FORM))
    other = sqlite3.connect(gallery)
    previous = gallery.with_name("previous")
    previous.write_bytes(older)
    source = sqlite3.connect(previous)
    source.backup(other)
    source.close()
    other.close()
    with pytest.raises(StoreError, match="was replaced by an older copy while in use") as caught:
        names(store)
    assert caught.value.code == "store_rolled_back"
    store.close()


def test_damage_of_one_person_leaves_the_others_readable(gallery: Path) -> None:
    """The damaged person is named, can be deleted, and then the gallery is whole again."""
    alice = id_of(gallery, "Alice")
    tamper(gallery, f"UPDATE voiceprint SET sealed = zeroblob(200) WHERE person_id = '{alice}'")
    store = Store.open(gallery)
    with pytest.raises(StoreError, match="of 'Alice' does not open"):
        store.read(alice)
    assert store.read(id_of(gallery, "Bob")) is not None
    with store.changing() as change:
        change.remove(alice)
    assert store.check().people == 2
    store.close()
