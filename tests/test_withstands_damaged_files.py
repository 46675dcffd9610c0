"""Every file of a gallery cut off, zeroed or flipped: right answers or a named damage, never a wrong name."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from synthetic_people import new_store, person, put, remove
from voxid.errors import VoxidError
from voxid.gallery.documents import Document
from voxid.gallery.store import Store

PEOPLE = {f"person {n}": n + 1 for n in range(12)}
FILES = ("people.voxid", "people.voxid-wal", "people.voxid-shm", "people.voxid.erased", "people.voxid.key")
CODES = {"store_damaged", "key_invalid", "key_wrong", "audit_damaged"}
Damage = Callable[[bytearray, random.Random], bytearray]


def cut_off(content: bytearray, dice: random.Random) -> bytearray:
    return content[: dice.randrange(len(content))]


def zeroed(content: bytearray, dice: random.Random) -> bytearray:
    at = dice.randrange(len(content))
    size = min(len(content) - at, dice.choice([1, 64, 4096]))
    return content[:at] + bytes(size) + content[at + size :]


def flipped(content: bytearray, dice: random.Random) -> bytearray:
    for _ in range(dice.choice([1, 8])):
        content[dice.randrange(len(content))] ^= dice.choice([0x01, 0x10, 0x80, 0xFF])
    return content


@pytest.fixture(scope="module")
def left_behind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files as a killed process leaves them: people in the log too, one erased, one refused."""
    folder = tmp_path_factory.mktemp("gallery")
    store = new_store(folder, *(person(name, seed) for name, seed in PEOPLE.items()), person("gone", 99))
    store.start_audit()
    with store.changing() as change:
        change.add_opt_out("Refused")
    remove(store, "gone")
    put(store, person("late", 50))
    with store.changing() as change:
        change.put_document(Document("receipt", "r", {"x": 1}, person_id=person("late", 50).id))
    left = tmp_path_factory.mktemp("left")
    for name in FILES:
        shutil.copy(folder / name, left / name)
    store.close()
    return left


def read_all(folder: Path) -> None:
    """Read everything there is and compare each person with who they are."""
    store = Store.open(folder / "people.voxid", create=False)
    try:
        for record in store.read_many(store.person_ids()):
            expected = person(record.name, {**PEOPLE, "late": 50, "gone": 99}[record.name])
            assert record.id == expected.id
            for found, right in zip(
                sorted(record.voiceprints, key=lambda print_: print_.info.id),
                sorted(expected.voiceprints, key=lambda print_: print_.info.id),
                strict=True,
            ):
                assert (found.embedding == right.embedding).all()
        assert store.find("gone") is None
        store.check()
        store.audit().verify()
    finally:
        store.close()


@pytest.mark.parametrize("damage", [cut_off, zeroed, flipped])
@pytest.mark.parametrize("name", FILES)
def test_damage_is_named_or_harmless(left_behind: Path, tmp_path: Path, name: str, damage: Damage) -> None:
    """Twelve times each; a log cut off may take back what it held last, nothing else may be missing."""
    dice = random.Random(f"{name} {damage.__name__}")
    for n in range(12):
        folder = tmp_path / str(n)
        shutil.copytree(left_behind, folder)
        (folder / name).write_bytes(damage(bytearray((left_behind / name).read_bytes()), dice))
        (folder / "people.voxid.key").chmod(0o600)
        try:
            read_all(folder)
        except VoxidError as error:
            assert error.code in CODES, f"{n}: {error.code}: {error}"
        else:
            assert len(Store.open(folder / "people.voxid").person_ids()) in (12, 13)
