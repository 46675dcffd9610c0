"""Processes and threads at one gallery: nobody's change is lost, everybody sees the newest state."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synthetic_people import BUNDLE_ID, DIM, NOW, names, new_store, person, put, remove
from voxid.errors import InputError, StoreError
from voxid.gallery.search import PeopleIndex, reference_vector
from voxid.gallery.store import Store

ENROLL_TWENTY = """
import sys
from pathlib import Path
from synthetic_people import person, put
from voxid.gallery.store import Store

BOTH_ENGINES = True
store, who = Store.open(Path(sys.argv[1])), sys.argv[2]
for n in range(20):
    put(store, person(f"{who} {n}", hash((who, n)) % 2**32))
"""
MEAN = np.zeros(DIM, dtype=np.float32)


def start(script: str, *arguments: str) -> subprocess.Popen[bytes]:
    here = Path(__file__).parent
    environ = {**os.environ, "PYTHONPATH": f"{here}:{here.parent / 'src'}", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", script, *arguments], env=environ)


def nearest(store: Store, index: PeopleIndex, seed: int) -> list[str]:
    """Ids the voice of the person made from `seed` is found under, freshly looked up."""
    record = person("probe", seed)
    voice = reference_vector(record.embeddings(BUNDLE_ID), MEAN)
    with store.snapshot() as roster:
        index.sync(roster)
        return [id_ for id_, score in next(index.search(voice[None], 3, "identify", NOW)) if score > 0.9]


@pytest.mark.file_only
def test_two_processes_make_and_fill_one_gallery(tmp_path: Path) -> None:
    """Started together on a path where nothing is: one key, one gallery, all forty people in it."""
    path = tmp_path / "people.voxid"
    workers = [start(ENROLL_TWENTY, str(path), who) for who in ("left", "right")]
    assert [worker.wait(60) for worker in workers] == [0, 0]
    store = Store.open(path, create=False)
    assert names(store) == sorted(f"{who} {n}" for who in ("left", "right") for n in range(20))
    assert store.check().people == 40
    store.close()


def test_a_change_by_another_process_is_seen_at_once(tmp_path: Path) -> None:
    """The search index follows additions and removals made through another handle on the file."""
    here = new_store(tmp_path, *(person(f"p{n}", n) for n in range(12)))
    elsewhere = Store.open(here.path)
    index = PeopleIndex(here, BUNDLE_ID, MEAN)
    assert nearest(here, index, 3) == [person("p3", 3).id]
    assert nearest(here, index, 77) == []
    put(elsewhere, person("newcomer", 77))
    assert nearest(here, index, 77) == [person("newcomer", 77).id]
    remove(elsewhere, "p3")
    assert nearest(here, index, 3) == []
    assert here.find("p3") is None
    assert nearest(here, index, 4) == [person("p4", 4).id]
    elsewhere.close()
    here.close()


def test_threads_see_their_own_writes(tmp_path: Path) -> None:
    """After put returns the person is found by every thread, after remove returns by none."""
    store = new_store(tmp_path, person("bystander", 1))
    index = PeopleIndex(store, BUNDLE_ID, MEAN)
    failures: list[str] = []

    def live(thread: int) -> None:
        try:
            for n in range(6):
                seed = 1000 * thread + n + 10
                record = person(f"thread {thread} person {n}", seed)
                put(store, record)
                if nearest(store, index, seed) != [record.id]:
                    failures.append(f"{record.name} not found after put")
                remove(store, record.name)
                if nearest(store, index, seed):
                    failures.append(f"{record.name} found after remove")
        except Exception as error:  # a thread's error would otherwise be lost
            failures.append(repr(error))

    threads = [threading.Thread(target=live, args=(thread,)) for thread in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert names(store) == ["bystander"]
    store.close()


def test_a_failed_change_leaves_nothing(tmp_path: Path) -> None:
    """An exception in the middle of a change undoes all of it, in the file and in memory."""
    store = new_store(tmp_path, person("Alice", 1))
    generation = store.generation()

    def fail_halfway() -> None:
        with store.changing() as change:
            change.put(person("Bob", 2))
            change.add_opt_out("Carla")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert (names(store), store.opted_out("Carla")) == (["Alice"], False)
    assert store.generation() == generation
    store.close()


def test_a_name_is_given_once(tmp_path: Path) -> None:
    store = new_store(tmp_path, person("Alice", 1))
    with pytest.raises(InputError, match="already a person called 'ALICE'") as caught:
        put(store, person("ALICE", 2))
    assert caught.value.code == "person_exists"
    assert names(store) == ["Alice"]
    store.close()


def test_a_voiceprint_belongs_to_one_person(tmp_path: Path) -> None:
    """An exported person who was merged into another since cannot come back with the same voiceprints."""
    alice = person("Alice", 1)
    store = new_store(tmp_path, alice)
    with pytest.raises(InputError, match="already stored under another person") as caught:
        put(store, replace(alice, id="another", name="Bob"))
    assert caught.value.code == "voiceprint_exists"
    assert names(store) == ["Alice"]
    store.close()


@pytest.mark.file_only
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A gallery whose file is read-only can be read, and a change is refused with a sentence."""
    if os.geteuid() == 0:
        pytest.skip("the administrator may write anywhere")
    store = new_store(tmp_path, person("Alice", 1))
    store.close()
    store.path.chmod(0o400)
    store = Store.open(store.path)
    with pytest.raises(StoreError, match="cannot be written; nothing was changed") as caught:
        put(store, person("Bob", 2))
    assert caught.value.code == "store_readonly"
    store.close()
