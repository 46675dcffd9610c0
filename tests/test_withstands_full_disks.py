"""Disk full, key gone: said in a sentence, nobody half there, erasing works, nothing in the clear."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from synthetic_people import names, new_store, person, put, remove
from voxid.errors import ConfigError, StoreError
from voxid.gallery.documents import Document
from voxid.gallery.store import Store
from voxid.service.spool import Spool


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of six megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no small file system can be mounted here: that takes an administrator")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> None:
    descriptor = os.open(disk / "full", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for size in (65536, 512):
        try:
            while os.write(descriptor, bytes(size)) == size:
                pass
        except OSError:
            continue
    os.close(descriptor)


def test_on_a_full_disk_nobody_is_half_there_and_deleting_works(small_disk: Path) -> None:
    """What was set aside for it lets people be erased; enrolling is refused until there is space again."""
    alice, bob = person("Alice", 1), person("Bob", 2, n_voiceprints=40)
    store = new_store(small_disk, alice, bob)
    fill(small_disk)

    def enroll_many() -> None:
        for n in range(100):
            put(store, person(f"late {n}", n + 10, n_voiceprints=20))

    with pytest.raises(StoreError, match="is full; nothing was changed: free some space") as caught:
        enroll_many()
    assert caught.value.code == "store_full"
    assert {"Alice", "Bob"} <= set(names(store))
    store.check()
    remove(store, "Bob")
    assert "Bob" not in names(store)
    left = b"".join(file.read_bytes() for file in small_disk.glob("people.voxid*"))
    assert bob.id.encode() not in left
    store.close()
    (small_disk / "full").unlink()
    store = Store.open(store.path)
    put(store, person("Carla", 3))
    assert {"Alice", "Carla"} <= set(names(store))
    assert (small_disk / "people.voxid.reserve").exists(), "set aside again"
    store.check()
    store.close()


def test_on_a_full_disk_a_document_is_written_wholly_or_not(small_disk: Path) -> None:
    store = new_store(small_disk, person("Alice", 1))
    fill(small_disk)
    written: list[str] = []

    def write_many() -> None:
        for n in range(100):
            with store.changing() as change:
                change.put_document(Document("job", f"{n:03}", {"text": "x" * 20_000}))
            written.append(f"{n:03}")

    with pytest.raises(StoreError, match="is full"):
        write_many()
    assert [each.id for each in store.documents("job")] == written
    store.check()
    store.close()


def test_on_a_full_disk_a_spooled_file_is_refused_and_gone(small_disk: Path) -> None:
    """An import that has no room is told so, and nothing of it is left."""
    spool = Spool(small_disk / "spool")
    said = "No space is left in .*spool for what is sent; make room and send it again"
    with pytest.raises(StoreError, match=said) as caught, spool.encrypted() as path:
        path.write_bytes(bytes(8 << 20))
    assert caught.value.code == "spool_full"
    assert spool.names() == set()


def test_without_its_key_a_gallery_neither_opens_nor_starts_anew(tmp_path: Path) -> None:
    """No key is made, nothing is written, no name is found in any file."""
    store = new_store(tmp_path, person("Wilhelmina", 1))
    store.close()
    (tmp_path / "people.voxid.key").unlink()
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(ConfigError, match="no new one was made"):
        Store.open(store.path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert not any(b"ilhelmina" in content for content in before.values())
