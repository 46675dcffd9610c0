"""The search index on disk: used where it fits, never trusted where it does not, dead after an erasure."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from synthetic_people import BUNDLE_ID, DIM, NOW, new_store, person, put, remove
from voxid.gallery.documents import INDEX_KEY
from voxid.gallery.index_file import IndexFile
from voxid.gallery.search import PeopleIndex, reference_vector
from voxid.gallery.store import INDEX_SUFFIX, Store

MEAN = np.zeros(DIM, np.float32)
PEOPLE = [person(f"person {number}", number, n_voiceprints=1) for number in range(40)]


def vector(number: int) -> np.ndarray:
    """Return what one of the people is compared by."""
    return reference_vector(PEOPLE[number].embeddings(BUNDLE_ID), MEAN)


def synced(store: Store, fewest: int = 10) -> PeopleIndex:
    """Return an index in step with the store, which reads or writes the file."""
    index = PeopleIndex(store, BUNDLE_ID, MEAN, fewest)
    with store.snapshot() as roster:
        index.sync(roster)
    return index


def found(index: PeopleIndex, number: int) -> str:
    """Return the id of who is most like one of the people."""
    return next(index.search(vector(number)[None], 1, "identify", NOW))[0][0]


def opened_rows(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by the id of each person whose rows the store opens for a search."""
    opened: list[str] = []
    glimpse_many = store.glimpse_many

    def counting(person_ids: list[str], bundle_id: str, *, speech: bool = False) -> object:
        opened.extend(person_ids)
        return glimpse_many(person_ids, bundle_id, speech=speech)

    monkeypatch.setattr(store, "glimpse_many", counting)
    return opened


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store of forty people whose index was written to disk, opened again."""
    first = new_store(tmp_path, *PEOPLE)
    synced(first)
    first.close()
    return Store.open(str(first.path))


def file_of(store: Store) -> Path:
    """Return the path of the index file."""
    assert store.index_path is not None
    return store.index_path


def test_the_next_start_reads_the_file(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """No row is opened; everybody is found, with the same scores as from the store."""
    opened = opened_rows(store, monkeypatch)
    index = synced(store)
    assert opened == []
    store.index_path = None
    fresh = synced(store)
    assert len(opened) == len(PEOPLE)
    for number, someone in enumerate(PEOPLE):
        assert found(index, number) == someone.id
    queries = np.stack([vector(number) for number in range(len(PEOPLE))])
    assert list(index.search(queries, 5, "identify", NOW)) == list(fresh.search(queries, 5, "identify", NOW))
    store.close()


def test_small_galleries_keep_no_file(tmp_path: Path) -> None:
    """Under the number of people there is no copy of anything."""
    store = new_store(tmp_path, *PEOPLE[:9])
    synced(store)
    assert not list(tmp_path.glob(f"*{INDEX_SUFFIX}*"))
    assert store.documents(INDEX_KEY) == []
    store.close()


def test_what_changed_since_is_taken_from_the_store(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of an older state gives what still holds; who is new is read, who left is not found."""
    copy = file_of(store).with_suffix(".copy")
    shutil.copy(file_of(store), copy)
    newcomer = person("newcomer", 99, n_voiceprints=1)
    put(store, newcomer)
    opened = opened_rows(store, monkeypatch)
    index = synced(store)
    assert opened == [newcomer.id]
    assert len(index) == len(PEOPLE) + 1
    store.close()


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "zeroed", "exchanged", "other"])
def test_a_file_that_was_changed_is_made_again(store: Store, damage: str, tmp_path: Path) -> None:
    """Flipped, cut, emptied, zeroed, of another gallery, anything else: thrown away; the answer is the store's."""
    path = file_of(store)
    content = path.read_bytes()
    middle = len(content) // 2
    (tmp_path / "elsewhere").mkdir()
    elsewhere = new_store(tmp_path / "elsewhere", *PEOPLE)
    synced(elsewhere)
    changed = {
        "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "cut": content[:-1],
        "empty": b"",
        "zeroed": bytes(len(content)),
        "exchanged": file_of(elsewhere).read_bytes(),
        "other": b"voxidix1" + os.urandom(500),
    }
    path.write_bytes(changed[damage])
    index = synced(store)
    assert [found(index, number) for number in range(40)] == [someone.id for someone in PEOPLE]
    assert path.read_bytes() != changed[damage]
    assert IndexFile(path, store, "another bundle").read(DIM) is None
    elsewhere.close()
    store.close()


def test_nobody_without_the_key_can_put_one_vector_for_another(store: Store) -> None:
    """Every single byte is covered: wherever one is flipped, the file is not used."""
    path = file_of(store)
    content = path.read_bytes()
    for at in np.linspace(0, len(content) - 1, 60).astype(int).tolist():
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x40]) + content[at + 1 :])
        index = PeopleIndex(store, BUNDLE_ID, MEAN, 10)
        index._load()
        assert len(index) == 0, at
    store.close()


def test_vectors_lie_encrypted(store: Store) -> None:
    """Neither a voiceprint nor an id nor a tag is in the bytes, and only the owner may read the file."""
    content = file_of(store).read_bytes()
    for number, someone in enumerate(PEOPLE):
        assert vector(number).astype("<f2").tobytes()[:8] not in content
        assert someone.id.encode() not in content
    assert file_of(store).stat().st_mode & 0o777 == 0o600
    store.close()


def erase(store: Store) -> None:
    """Erase the first of the people."""
    remove(store, "person 0")


def withdraw(store: Store) -> None:
    """Take the voiceprints of the first of the people away, as a withdrawal does."""
    with store.changing() as change:
        record = change.read(PEOPLE[0].id)
        change.put(
            type(record)(record.id, record.name, record.created_at, (), record.consents), erase_old=True
        )


@pytest.mark.parametrize("erasing", [erase, withdraw], ids=["erased", "withdrawn"])
def test_an_erasure_reaches_every_copy_of_the_file(store: Store, erasing: Callable[[Store], None]) -> None:
    """The file goes with the transaction; a copy of it kept elsewhere never opens again, the key is nowhere."""
    path = file_of(store)
    copy = path.read_bytes()
    document = store.documents(INDEX_KEY)[0]
    with store.rows() as connection:
        line = "SELECT sealed FROM document WHERE kind = 'index_key'"
        sealed = connection.exec_driver_sql(line).scalar_one()
    erasing(store)
    assert not path.exists()
    assert store.documents(INDEX_KEY) == []
    for file in path.parent.iterdir():
        for piece in (sealed[:16], sealed[-16:], bytes.fromhex(str(document.body["key"]))):
            assert piece not in file.read_bytes(), file.name
    path.write_bytes(copy)
    index = synced(store)
    assert len(index) == len(PEOPLE) - 1
    assert path.read_bytes() != copy
    assert all(found(index, 0) != PEOPLE[0].id for _ in range(2))
    store.close()


def test_another_process_notices_the_erasure(store: Store) -> None:
    """A process that has the file in use writes a new one without the person; its old one opens no more."""
    here, there = synced(store), Store.open(str(store.path))
    copy = file_of(store).read_bytes()
    there.index_path = None  # as where each process has a file of its own
    remove(there, "person 3")
    assert file_of(store).exists()
    assert not IndexFile(file_of(store), store, "x").opens()
    with store.snapshot() as roster:
        here.sync(roster)
    assert not file_of(store).exists()
    here.keep()
    assert file_of(store).read_bytes() != copy
    store.close()
    again = Store.open(str(there.path))
    assert len(synced(again)) == len(PEOPLE) - 1
    there.close()
    again.close()


def test_who_is_erased_while_the_file_is_written_is_not_in_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that is another by the time the file would be put in place: it is not put there, and leaves no draft."""
    index, path = synced(store), file_of(store)
    index._on_disk = False
    other = Store.open(str(store.path))
    put_in_place = IndexFile._put_in_place

    def erased_first(self: IndexFile, *given: object) -> bool:
        eraser = threading.Thread(target=remove, args=(other, "person 5"))
        eraser.start()
        eraser.join()
        return put_in_place(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(IndexFile, "_put_in_place", erased_first)
    index.keep()
    assert not path.exists()
    assert not list(path.parent.glob(".*"))
    assert store.documents(INDEX_KEY) == []
    other.close()
    store.close()


def test_a_disk_that_cannot_be_written_is_no_error(store: Store) -> None:
    """Searching goes on without a copy."""
    store.index_path = Path("/proc/nowhere/people.index")
    assert found(synced(store), 7) == PEOPLE[7].id
    store.close()
