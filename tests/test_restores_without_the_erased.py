"""A backup brings a gallery back, and nobody who was erased, withdrew or opted out after it was made."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from synthetic_people import NOW, names, new_store, person, put, remove
from unknown_people import unknown
from voxid.errors import ConfigError, InputError, StoreError
from voxid.gallery.backup import back_up, restore, write_erasures
from voxid.gallery.documents import Document
from voxid.gallery.sqlite import SqliteDatabase
from voxid.gallery.store import Store
from voxid.recognize import Gallery

BOTH_ENGINES = True
ALICE, BOB, CARLA = person("Alice", 1), person("Bob", 2), person("Carla", 3)
STRANGER = "unknown-00000001"


def filled(folder: Path) -> Store:
    """A gallery of three people, an unknown one and documents, with an audit log."""
    store = new_store(folder, ALICE, BOB, CARLA)
    store.start_audit()
    with store.changing() as change:
        change.unknown.put(unknown(STRANGER, 5))
        change.put_document(Document("receipt", "a", {"x": 1}, person_id=ALICE.id))
        change.put_document(Document("policy", "current", {"identify": True}))
        change.put_document(Document("api_key", "k", {"hash": "y"}, "active"))
    return store


def live_on(store: Store) -> None:
    """What happens after the backup: Alice is erased, Bob opts out, the stranger is forgotten, a key is revoked."""
    remove(store, "Alice")
    with store.changing() as change:
        bob = change.find("Bob")
        assert bob is not None
        change.remove(bob)
        change.add_opt_out("Bob")
        change.unknown.remove(STRANGER)
        change.put_document(Document("api_key", "k", {"hash": "y"}, "revoked", version=2))
    put(store, person("Dora", 4))


def check_nobody_came_back(store: Store) -> None:
    assert names(store) == ["Carla"]
    assert store.read_unknown() == []
    assert store.opted_out("bob")
    assert store.document("receipt", "a") is None
    assert store.document("api_key", "k") is None
    assert store.document("policy", "current") is not None
    store.check()
    assert store.audit().verify().whole


def test_a_backup_is_a_whole_gallery_made_while_it_is_used(tmp_path: Path) -> None:
    """Open readers and later changes do not matter; it opens with the same key and reads the same."""
    store = filled(tmp_path)
    with store.snapshot():
        report = back_up(store, tmp_path / "b.backup")
    assert (report.people, report.voiceprints, report.documents) == (3, 6, 3)
    put(store, person("Dora", 4))
    copy = store.beside(SqliteDatabase(tmp_path / "b.backup"))
    assert names(copy) == ["Alice", "Bob", "Carla"]
    for record in store.read_many([ALICE.id, BOB.id]):
        kept = copy.read(record.id)
        assert kept is not None
        pairs = zip(kept.voiceprints, record.voiceprints, strict=True)
        assert all((left.embedding == right.embedding).all() for left, right in pairs), (
            "so all scores are the same"
        )
    assert copy.audit().verify().whole
    copy.close()
    store.close()
    assert oct((tmp_path / "b.backup").stat().st_mode & 0o777) == "0o600"
    assert [each.name for each in tmp_path.glob(".voxid-*")] == []
    with pytest.raises(InputError, match="already exists; give the path of a new file"):
        back_up(store, tmp_path / "b.backup")


def test_a_gallery_that_stands_goes_back(tmp_path: Path) -> None:
    """To the backup's people and documents, without those who must not come back, in one change all processes see."""
    store = filled(tmp_path)
    back_up(store, tmp_path / "b.backup")
    live_on(store)
    elsewhere = Store.open(store.path)
    n_entries = len(list(store.audit().events(limit=1000)))
    report = restore(store.path, tmp_path / "b.backup")
    assert (report.people, report.left_out, report.replaced) == (1, 2, "state")
    check_nobody_came_back(elsewhere)
    assert elsewhere.audit().verify().entries > n_entries, "the audit log is not put back"
    elsewhere.close()
    store.close()


def test_a_gallery_that_is_lost_comes_back_with_the_list_of_erasures(tmp_path: Path) -> None:
    """From the list kept elsewhere; the tombstones then stand in the gallery that came back."""
    store = filled(tmp_path)
    back_up(store, tmp_path / "b.backup")
    live_on(store)
    assert write_erasures(store, tmp_path / "list") > 4
    assert write_erasures(store, tmp_path / "list") == 0
    location, old = store.path, tmp_path / "old"
    store.close()
    lose(location)
    with pytest.raises(InputError, match=r"Give a copy of the list \(--erasures FILE\)") as caught:
        restore(location, tmp_path / "b.backup")
    assert caught.value.code == "erasures_unknown"
    report = restore(location, tmp_path / "b.backup", erasures=tmp_path / "list")
    assert (report.people, report.left_out, report.replaced) == (1, 2, "nothing")
    back = Store.open(location)
    check_nobody_came_back(back)
    back_up(back, old)
    back.close()
    assert restore(location, tmp_path / "b.backup").left_out == 2, (
        "also the second time, from its own tombstones"
    )


def lose(location: object) -> None:
    if isinstance(location, Path):
        for file in location.parent.glob(location.name + "*"):
            if file.suffix != ".key":
                file.unlink()
    else:
        from conftest import drop

        drop(location)  # type: ignore[arg-type]


def test_said_to_have_erased_nobody_all_come_back(tmp_path: Path) -> None:
    store = filled(tmp_path)
    back_up(store, tmp_path / "b.backup")
    store.close()
    lose(store.path)
    report = restore(store.path, tmp_path / "b.backup", nobody_erased=True)
    assert (report.people, report.left_out) == (3, 0)
    back = Store.open(store.path)
    assert back.document("receipt", "a") is not None
    assert [each.id for each in back.read_unknown()] == [STRANGER]
    remove(back, "Alice")
    back.close()


def test_a_withdrawal_in_part_is_not_undone(tmp_path: Path) -> None:
    """The person stays as they are now where the gallery stands, and is left out where it is lost."""
    with Gallery.open(tmp_path / "people.voxid", clock=lambda: NOW) as gallery:
        store = gallery.stored()[0]
        put(store, ALICE, BOB)
        back_up(store, tmp_path / "b.backup")
        gallery.withdraw("Alice", {"identify"})
        write_erasures(store, tmp_path / "list")
        restore(store.path, tmp_path / "b.backup")
        now = gallery.get("Alice")
        assert now.consents[-1].act == "withdrawn"
        location = store.path
    lose(location)
    assert restore(location, tmp_path / "b.backup", erasures=tmp_path / "list").left_out == 1


def test_a_lifted_opt_out_stays_lifted(tmp_path: Path) -> None:
    """Refused before the backup, allowed after it: the restored gallery allows the name where one stands."""
    store = new_store(tmp_path, ALICE)
    with store.changing() as change:
        change.add_opt_out("Emil")
    back_up(store, tmp_path / "b.backup")
    with store.changing() as change:
        change.lift_opt_out("Emil")
    restore(store.path, tmp_path / "b.backup")
    assert not store.opted_out("Emil")
    with store.changing() as change:
        change.add_opt_out("Emil")
    store.close()
    again = Store.open(store.path)
    assert again.opted_out("Emil")
    again.close()


def test_restoring_undoes_what_is_nobodys_wish(tmp_path: Path) -> None:
    """A rename and references added since are undone; names may have changed hands meanwhile."""
    store = filled(tmp_path)
    back_up(store, tmp_path / "b.backup")
    put(store, replace(ALICE, name="Alicia"))
    put(store, replace(person("Alice", 77), id="11111111-1111-4111-8111-111111111111"))
    put(store, replace(BOB, voiceprints=BOB.voiceprints + person("x", 9).voiceprints))
    restore(store.path, tmp_path / "b.backup")
    assert names(store) == ["Alice", "Bob", "Carla"]
    assert store.find("alice") == ALICE.id
    found = store.read(BOB.id)
    assert found is not None
    assert len(found.voiceprints) == 2
    receipt = store.document("receipt", "a")
    assert receipt is not None
    assert receipt.body == {"x": 1}
    store.close()


@pytest.mark.file_only
def test_an_older_file_put_in_place_by_hand_brings_nobody_back(tmp_path: Path) -> None:
    """The list beside the gallery is compared at every opening."""
    store = filled(tmp_path)
    store.close()
    shutil.copy(store.path, tmp_path / "copy")
    store = Store.open(store.path)
    live_on(store)
    store.close()
    shutil.copy(tmp_path / "copy", store.path)
    again = Store.open(store.path)
    check_nobody_came_back(again)
    again.close()
    left = b"".join(file.read_bytes() for file in tmp_path.glob("people.voxid*"))
    assert ALICE.id.encode() not in left


@pytest.mark.file_only
def test_a_damaged_gallery_is_replaced(tmp_path: Path) -> None:
    """The list beside it still stands; the damaged file, its log and its shared memory go."""
    store = filled(tmp_path)
    back_up(store, tmp_path / "b.backup")
    live_on(store)
    store.close()
    content = bytearray(store.path.read_bytes())
    content[4096:60000] = bytes(60000 - 4096)
    store.path.write_bytes(content)
    report = restore(store.path, tmp_path / "b.backup")
    assert (report.people, report.left_out, report.replaced) == (1, 2, "damaged")
    back = Store.open(store.path)
    check_nobody_came_back(back)
    back.close()


@pytest.mark.file_only
def test_the_list_of_erasures_holds_hashes_only_and_survives_a_torn_line(tmp_path: Path) -> None:
    store = filled(tmp_path)
    assert not (tmp_path / "people.voxid.erased").exists(), "not before somebody is erased"
    live_on(store)
    store.close()
    beside = tmp_path / "people.voxid.erased"
    content = beside.read_bytes()
    assert oct(beside.stat().st_mode & 0o777) == "0o600"
    assert ALICE.id.encode() not in content
    assert STRANGER.encode() not in content
    beside.write_bytes(content[:-30])
    Store.open(store.path).close()
    lost = tmp_path / "copy.erased"
    shutil.copy(beside, lost)
    store = Store.open(store.path)
    remove(store, "Dora")
    assert len(beside.read_bytes().splitlines()) > len(lost.read_bytes().splitlines())
    beside.unlink()
    store.close()
    Store.open(store.path).close()
    assert beside.exists(), "written again from the gallery"


@pytest.mark.file_only
@pytest.mark.parametrize(
    ("prepare", "error", "sentence"),
    [
        (lambda folder: (folder / "b.backup").unlink(), InputError, "There is no backup at"),
        (lambda folder: (folder / "people.voxid.key").unlink(), ConfigError, "no new one was made"),
        (lambda folder: flip(folder / "b.backup"), StoreError, "is damaged"),
        (lambda folder: other_gallery(folder), InputError, "is of another gallery than the one at"),
    ],
)
def test_a_restore_that_cannot_be_changes_nothing(
    tmp_path: Path, prepare: Callable[[Path], None], error: type[Exception], sentence: str
) -> None:
    store = filled(tmp_path)
    back_up(store, tmp_path / "b.backup")
    live_on(store)
    store.close()
    prepare(tmp_path)
    before = (tmp_path / "people.voxid").read_bytes()
    with pytest.raises(error, match=sentence):
        restore(store.path, tmp_path / "b.backup")
    assert (tmp_path / "people.voxid").read_bytes() == before
    assert list(tmp_path.glob(".voxid-*")) == []


def flip(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE meta SET value = randomblob(16) WHERE key = 'key_check'")
    connection.commit()
    connection.close()


def other_gallery(folder: Path) -> None:
    key = (folder / "people.voxid.key").read_bytes()
    for file in folder.glob("people.voxid*"):
        if file.suffix != ".key":
            file.unlink()
    (folder / "people.voxid.key").write_bytes(key)
    Store.open(folder / "people.voxid").close()


@pytest.mark.file_only
def test_a_name_allowed_again_after_an_older_copy_stays_allowed(tmp_path: Path) -> None:
    """Refused after the copy, taken over from the list, then allowed: the next opening does not refuse again."""
    store = new_store(tmp_path, ALICE)
    store.close()
    shutil.copy(store.path, tmp_path / "copy")
    store = Store.open(store.path)
    for n in range(5):
        with store.changing() as change:
            change.put_document(Document("job", f"{n}", {}))
    with store.changing() as change:
        change.add_opt_out("Emil")
    store.close()
    shutil.copy(tmp_path / "copy", store.path)
    store = Store.open(store.path)
    assert store.opted_out("Emil")
    with store.changing() as change:
        change.lift_opt_out("Emil")
    store.close()
    for _ in range(2):
        store = Store.open(store.path)
        assert not store.opted_out("Emil")
        assert store.generation() == 4, "nothing was changed by opening it"
        store.close()
