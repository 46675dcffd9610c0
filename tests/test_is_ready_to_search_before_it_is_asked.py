"""A large gallery gets ready to search while others use it: from the copy on disk, else in steps."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

import voxid.gallery.search as search
from synthetic_people import BUNDLE_ID, DIM, NOW, new_store, person, put, remove
from voxid.errors import StoreError
from voxid.gallery.search import PeopleIndex, reference_vector
from voxid.gallery.store import Store
from voxid.service.warming import IndexWarming

MEAN = np.zeros(DIM, np.float32)
PEOPLE = [person(f"person {number}", number, n_voiceprints=1) for number in range(40)]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Forty people, read seven at a time, and no index file."""
    monkeypatch.setattr(search, "_STEP_PEOPLE", 7)
    return new_store(tmp_path, *PEOPLE)


def nearest(store: Store, index: PeopleIndex, number: int) -> str:
    """Return the id of who is most like one of the people, the index being in step."""
    with store.snapshot() as roster:
        index.sync(roster)
        wanted = reference_vector(PEOPLE[number].embeddings(BUNDLE_ID), MEAN)
        return next(index.search(wanted[None], 1, "identify", NOW))[0][0]


def test_everybody_is_found_and_no_row_is_opened_by_the_first_search(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read ahead is what the search uses; the copy on disk is written as well."""
    index = PeopleIndex(store, BUNDLE_ID, MEAN, 10)
    index.warm()
    assert store.index_path is not None
    assert store.index_path.exists()
    opened: list[str] = []
    monkeypatch.setattr(store, "glimpse_many", lambda ids, bundle_id, **_: iter(opened.extend(ids) or ()))
    assert [nearest(store, index, number) for number in range(40)] == [someone.id for someone in PEOPLE]
    again = PeopleIndex(store, BUNDLE_ID, MEAN, 10)
    again.warm()
    assert nearest(store, again, 3) == PEOPLE[3].id
    assert opened == []
    store.close()


def test_what_changes_between_two_steps_is_seen(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others have their turn: who was erased meanwhile is not found, who came is, and who renewed is as now."""
    index, turns = PeopleIndex(store, BUNDLE_ID, MEAN, 10), iter(range(100))
    newcomer = person("newcomer", 99, n_voiceprints=1)
    renewed = person("person 2", 2, n_voiceprints=1)

    def others(_: float) -> None:
        turn = next(turns)
        if turn == 1:
            remove(store, "person 3")  # read already
            remove(store, "person 30")  # still to come
            put(store, newcomer, renewed)

    monkeypatch.setattr(time, "sleep", others)
    index.warm()
    assert nearest(store, index, 3) != PEOPLE[3].id
    assert nearest(store, index, 30) != PEOPLE[30].id
    assert nearest(store, index, 2) == PEOPLE[2].id
    assert len(index) == len(PEOPLE) - 2 + 1
    store.close()


def test_a_search_meanwhile_is_not_undone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who searches before all is read reads for itself; what was read ahead is thrown away."""
    index, found = PeopleIndex(store, BUNDLE_ID, MEAN, 10), []
    monkeypatch.setattr(time, "sleep", lambda _: found.append(nearest(store, index, len(found))))
    index.warm()
    assert found == [someone.id for someone in PEOPLE[: len(found)]]
    assert found
    assert len(index) == len(PEOPLE)
    store.close()


def test_few_people_are_left_to_the_first_search(store: Store) -> None:
    """Nothing is read where it takes no time."""
    index = PeopleIndex(store, BUNDLE_ID, MEAN, 41)
    index.warm()
    assert len(index) == 0
    assert nearest(store, index, 1) == PEOPLE[1].id
    store.close()


def test_it_gives_up_when_the_service_ends(store: Store) -> None:
    """Nothing half read is searched."""
    index = PeopleIndex(store, BUNDLE_ID, MEAN, 10)
    index.warm(lambda: True)
    assert len(index) == 0
    assert nearest(store, index, 1) == PEOPLE[1].id
    store.close()


def test_after_an_erasure_the_copy_is_written_again_soon(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a minute later, not five: until then a process that is killed would read everybody again."""
    index = PeopleIndex(store, BUNDLE_ID, MEAN, 10)
    nearest(store, index, 1)
    path = store.index_path
    assert path is not None
    assert path.exists()
    remove(store, "person 3")
    nearest(store, index, 1)
    assert not path.exists()
    passed_s = time.monotonic() + 31
    monkeypatch.setattr(time, "monotonic", lambda: passed_s)
    put(store, person("newcomer", 99, n_voiceprints=1))
    nearest(store, index, 1)
    assert path.exists()
    store.close()


class Damaged:
    """A gallery that cannot be read."""

    def warm(self, stopped: object) -> None:
        raise StoreError("store_damaged", "It is damaged; restore it.")


class Whole:
    """A gallery that notes that it was made ready."""

    ready = False

    def warm(self, stopped: object) -> None:
        self.ready = True


def test_a_damaged_tenant_keeps_no_other_from_being_ready(caplog: pytest.LogCaptureFixture) -> None:
    """The log says why by its code; the search of that tenant will say the rest."""
    galleries = {"broken": Damaged(), "whole": Whole()}
    warming = IndexWarming(lambda: list(galleries), galleries.__getitem__)  # type: ignore[arg-type]
    warming.start()
    while not galleries["whole"].ready:  # type: ignore[union-attr]
        time.sleep(0.01)
    warming.close()
    assert "store_damaged" in caplog.text
