"""Every stored format ever written opens, or is refused with a sentence."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from synthetic_people import names, new_store, person
from unknown_people import unknown
from voxid.errors import CompatibilityError, StoreError
from voxid.gallery.documents import Document
from voxid.gallery.store import FORMAT_VERSION, Store

FIXTURES = Path(__file__).parent / "fixtures"


GOLDEN = sorted(path.stem for path in FIXTURES.glob("gallery_format_*.db"))


def test_every_format_has_a_golden_gallery() -> None:
    assert {int(name.split("_")[2]) for name in GOLDEN} == set(range(1, FORMAT_VERSION + 1))


@pytest.mark.parametrize("name", GOLDEN)
def test_the_golden_gallery_still_reads(tmp_path: Path, name: str) -> None:
    """Names, consents, voiceprints, their speech, opt-out: as written on the day the format was made."""
    path = tmp_path / "people.voxid"
    shutil.copy(FIXTURES / f"{name}.db", path)
    key = tmp_path / "people.voxid.key"
    shutil.copy(FIXTURES / f"{name}.test-key", key)
    key.chmod(0o600)
    expected = json.loads((FIXTURES / f"{name}.json").read_text())
    store = Store.open(path, create=False)
    people = sorted(store.read_many(store.person_ids()), key=lambda record: record.name)
    assert [record.public().to_dict() for record in people] == expected["people"]
    for record, line in zip(people, expected["embeddings"], strict=True):
        assert np.stack([p.embedding for p in record.voiceprints]) == pytest.approx(np.array(line), abs=1e-6)
    speech = [[[p.info.snr_db, p.info.high_band_db] for p in record.voiceprints] for record in people]
    nothing = [[[None, None] for _ in record.voiceprints] for record in people]
    assert speech == expected.get("speech", nothing)
    assert [store.opted_out(name) for name in ("Dora Opted", "Alice Fixture")] == [True, False]
    unknown = store.read_unknown()
    assert [record.public().to_dict() for record in unknown] == expected.get("unknown", [])
    for record, line in zip(unknown, expected.get("unknown_embeddings", []), strict=True):
        assert np.stack([p.embedding for p in record.voiceprints]) == pytest.approx(np.array(line), abs=1e-6)
    forgotten = expected.get("forgotten")
    with store.snapshot() as roster:
        assert roster.known_as == expected.get("known_as", {})
    with store.changing() as change:
        if forgotten:
            assert change.forgotten_share(forgotten["audio_sha256"], [*forgotten["seconds"], 99]) == 0.8
    documents = [document for kind in ("policy", "receipt") for document in store.documents(kind)]
    written = [[d.kind, d.id, d.body, d.state, d.person_id, d.version] for d in documents]
    assert written == expected.get("documents", [])
    store.check()
    store.close()


@pytest.mark.parametrize("name", [name for name in GOLDEN if not name.startswith("gallery_format_3")])
def test_an_older_gallery_becomes_one_of_the_newest_format(tmp_path: Path, name: str) -> None:
    """Opening is enough; what was there stays, unknown people and documents can be put in, and it opens again."""
    path = tmp_path / "people.voxid"
    shutil.copy(FIXTURES / f"{name}.db", path)
    shutil.copy(FIXTURES / f"{name}.test-key", tmp_path / "people.voxid.key")
    (tmp_path / "people.voxid.key").chmod(0o600)
    first, second = Store.open(path), Store.open(path)
    before = names(first)
    n_unknown = len(first.read_unknown())
    assert before
    with first.changing() as change:
        change.unknown.put(unknown("unknown-00000009", 5, dim=8))
        change.put_document(Document("policy", "current", {"identify": True}))
    assert second.read_unknown()[-1].id == "unknown-00000009"
    assert second.document("policy", "current") is not None
    first.close()
    second.close()
    again = Store.open(path)
    assert names(again) == before
    assert (again.check().unknown, again.check().documents) == (n_unknown + 1, 1)
    again.close()


def test_an_upgrade_that_fails_changes_nothing(tmp_path: Path) -> None:
    """All in one transaction: cut off in the middle, the gallery is one of format 1, and the next opening succeeds."""
    path = tmp_path / "people.voxid"
    shutil.copy(FIXTURES / "gallery_format_1.db", path)
    shutil.copy(FIXTURES / "gallery_format_1.test-key", tmp_path / "people.voxid.key")
    (tmp_path / "people.voxid.key").chmod(0o600)
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE TRIGGER cut BEFORE UPDATE ON meta BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
    )
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="The disk of people.voxid is full; nothing was changed") as caught:
        Store.open(path)
    assert caught.value.code == "store_full"
    connection = sqlite3.connect(path)
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert not {"unknown_person", "known_as", "document", "person_key", "counter"} & tables
    connection.execute("DROP TRIGGER cut")
    connection.commit()
    connection.close()
    store = Store.open(path)
    assert store.check().unknown == 0
    store.close()


def test_a_gallery_of_format_1_with_the_wrong_key_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "people.voxid"
    shutil.copy(FIXTURES / "gallery_format_1.db", path)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is not the key of") as caught:
        Store.open(path, key=b"k" * 32)
    assert caught.value.code == "key_wrong"
    assert path.read_bytes() == before


def with_format(path: Path, version: int) -> Path:
    """The file as if another version of voxid had written it."""
    number = version.to_bytes(4, "big")
    connection = sqlite3.connect(path)
    value = number + hashlib.sha256(number).digest()[:8]
    connection.execute("UPDATE meta SET value = ? WHERE key = 'format'", [value])
    connection.commit()
    connection.close()
    return path


def test_a_newer_format_asks_for_an_upgrade(tmp_path: Path) -> None:
    store = new_store(tmp_path, person("Alice", 1))
    store.close()
    with pytest.raises(
        CompatibilityError, match=r"is a gallery of format 7; .* reads format 3: upgrade"
    ) as caught:
        Store.open(with_format(store.path, 7))
    assert caught.value.code == "store_format_newer"


def test_an_older_format_says_how_to_bring_it_over(tmp_path: Path) -> None:
    store = new_store(tmp_path, person("Alice", 1))
    store.close()
    with pytest.raises(
        CompatibilityError, match=r"is a gallery of format 0; .* export it, and import"
    ) as caught:
        Store.open(with_format(store.path, 0))
    assert caught.value.code == "store_format_older"


def test_somebody_elses_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "bookmarks.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmark (url TEXT)")
    connection.commit()
    connection.close()
    with pytest.raises(CompatibilityError, match="is an SQLite database, but not a voxid gallery") as caught:
        Store.open(path)
    assert caught.value.code == "store_format_unknown"
