"""An export moves everybody and every opt-out, encrypted, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from synthetic_people import BUNDLE_ID, DIM, NOW, names, new_store, person, put, remove
from voxid.errors import CompatibilityError, ConfigError, InputError, StoreError
from voxid.gallery import transfer
from voxid.gallery.search import reference_vector
from voxid.gallery.store import Store
from voxid.gallery.transfer import export_gallery, import_gallery

BOTH_ENGINES = True

PASSPHRASE = "correct horse battery staple"
MEAN = (np.arange(DIM) / 1000).astype(np.float32)


@pytest.fixture(autouse=True)
def _quick_key_derivation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost of a guess is a number in the file, so tests may take a small one."""
    monkeypatch.setattr(transfer, "_SCRYPT_LOG2_N", 10)


@pytest.fixture
def source(tmp_path: Path) -> Store:
    folder = tmp_path / "source"
    folder.mkdir()
    store = new_store(folder, person("Alice", 1), person("Bob", 2, n_voiceprints=3))
    with store.changing() as change:
        change.add_opt_out("Dora")
    return store


@pytest.fixture
def target(tmp_path: Path) -> Store:
    folder = tmp_path / "target"
    folder.mkdir()
    return new_store(folder)


def score_of(store: Store, name: str) -> float:
    person_id = store.find(name)
    assert person_id is not None
    record = store.read(person_id)
    assert record is not None
    probe = np.ones(DIM, dtype=np.float32) / np.sqrt(DIM)
    return float(probe @ reference_vector(record.embeddings(BUNDLE_ID), MEAN))


def test_an_empty_gallery_becomes_the_same(source: Store, target: Store, tmp_path: Path) -> None:
    """People, ids, consents, times and scores; and the opt-out holds in the new place too."""
    report = export_gallery(source, tmp_path / "all.voxidexport", PASSPHRASE, NOW)
    assert (report.people, report.voiceprints, report.opt_outs) == (("Alice", "Bob"), 5, 1)
    taken = import_gallery(target, tmp_path / "all.voxidexport", PASSPHRASE)
    assert taken == report
    for name in ("Alice", "Bob"):
        assert score_of(target, name) == pytest.approx(score_of(source, name), abs=1e-6)
        before, after = (store.read(str(store.find(name))) for store in (source, target))
        assert before is not None
        assert after is not None
        assert after.public() == before.public()
    assert target.opted_out("DORA")
    assert target.check() == source.check()


@pytest.mark.file_only
def test_nothing_in_the_file_is_readable(source: Store, tmp_path: Path) -> None:
    path = tmp_path / "all.voxidexport"
    export_gallery(source, path, PASSPHRASE, NOW)
    content = path.read_bytes()
    assert not [word for word in (b"Alice", b"signed form", BUNDLE_ID.encode(), b"Dora") if word in content]
    assert oct(path.stat().st_mode & 0o777) == "0o600"


@pytest.mark.parametrize("passphrase", [None, ""])
def test_without_a_passphrase_nothing_is_written(
    source: Store, tmp_path: Path, passphrase: str | None
) -> None:
    with pytest.raises(ConfigError, match="always encrypted; give a passphrase") as caught:
        export_gallery(source, tmp_path / "all", passphrase, NOW)
    assert caught.value.code == "passphrase_missing"
    assert not (tmp_path / "all").exists()


def test_a_wrong_passphrase_is_said(source: Store, target: Store, tmp_path: Path) -> None:
    export_gallery(source, tmp_path / "all", PASSPHRASE, NOW)
    with pytest.raises(ConfigError, match="The passphrase does not open all") as caught:
        import_gallery(target, tmp_path / "all", "wrong")
    assert caught.value.code == "passphrase_wrong"


@pytest.mark.file_only
def test_damage_and_truncation_import_nothing(source: Store, target: Store, tmp_path: Path) -> None:
    """Any flipped byte, any cut: a coded error and an unchanged gallery."""
    path, copy = tmp_path / "all", tmp_path / "copy"
    export_gallery(source, path, PASSPHRASE, NOW)
    whole = path.read_bytes()
    cases = [whole[:size] for size in (0, 5, 9, 12, 40, len(whole) // 2, len(whole) - 1)]
    for at in np.random.default_rng(1).choice(len(whole), 60, replace=False):
        flipped = bytearray(whole)
        flipped[at] ^= 0x20
        cases.append(bytes(flipped))
    for case in cases:
        copy.write_bytes(case)
        with pytest.raises((StoreError, InputError, CompatibilityError, ConfigError)) as caught:
            import_gallery(target, copy, PASSPHRASE)
        assert caught.value.code in {
            "export_damaged", "export_unknown_format", "export_version_unknown", "passphrase_wrong"
        }  # fmt: skip
    assert names(target) == []
    assert target.generation() == 1


@pytest.mark.file_only
def test_records_cannot_be_dropped_or_swapped(source: Store, target: Store, tmp_path: Path) -> None:
    """Whole records removed, exchanged or repeated, each intact in itself."""
    path = tmp_path / "all"
    export_gallery(source, path, PASSPHRASE, NOW)
    whole = path.read_bytes()
    head = 14 + int.from_bytes(whole[10:14], "big")
    records, at = [], head
    while at < len(whole):
        size = 4 + int.from_bytes(whole[at : at + 4], "big")
        records.append(whole[at : at + size])
        at += size
    first, second = records[1], records[2]
    for parts in ([first], [second], [second, first], [first, second, second], []):
        path.write_bytes(b"".join([whole[:head], records[0], *parts]))
        with pytest.raises(StoreError, match="Nothing was imported") as caught:
            import_gallery(target, path, PASSPHRASE)
        assert caught.value.code == "export_damaged"
    assert names(target) == []


@pytest.mark.file_only
def test_a_newer_export_asks_for_an_upgrade(source: Store, target: Store, tmp_path: Path) -> None:
    path = tmp_path / "all"
    export_gallery(source, path, PASSPHRASE, NOW)
    path.write_bytes(path.read_bytes()[:8] + b"\x00\x09" + path.read_bytes()[10:])
    with pytest.raises(
        CompatibilityError, match="an export of version 9; this voxid reads version 1"
    ) as caught:
        import_gallery(target, path, PASSPHRASE)
    assert caught.value.code == "export_version_unknown"


def test_a_header_cannot_ask_for_all_memory(target: Store, tmp_path: Path) -> None:
    """Key derivation cost is capped before any of it is spent."""
    header = json.dumps(
        {"kdf": "scrypt", "log2_n": 40, "r": 8, "salt": "00" * 16, "check": "00" * 16}
    ).encode()
    path = tmp_path / "bomb"
    path.write_bytes(b"VOXIDEXP\x00\x01" + len(header).to_bytes(4, "big") + header)
    with pytest.raises(StoreError, match="its header asks for what no voxid writes"):
        import_gallery(target, path, PASSPHRASE)


def test_somebody_already_here_stops_the_whole_import(source: Store, target: Store, tmp_path: Path) -> None:
    export_gallery(source, tmp_path / "all", PASSPHRASE, NOW)
    put(target, person("BOB", 50))
    with pytest.raises(
        InputError, match=r"1 of 2 people in all are already in the gallery \('Bob'\)"
    ) as caught:
        import_gallery(target, tmp_path / "all", PASSPHRASE)
    assert caught.value.code == "import_conflict"
    assert (names(target), target.opted_out("Dora")) == (["BOB"], False)


def test_who_opted_out_here_is_left_out(source: Store, target: Store, tmp_path: Path) -> None:
    """An old export does not bring back a person who opted out since."""
    export_gallery(source, tmp_path / "all", PASSPHRASE, NOW)
    with target.changing() as change:
        change.add_opt_out("bob")
    report = import_gallery(target, tmp_path / "all", PASSPHRASE)
    assert (report.people, report.skipped_opted_out) == (("Alice",), ("Bob",))
    assert (names(target), target.opted_out("Bob")) == (["Alice"], True)


def test_an_opt_out_of_somebody_enrolled_here_is_a_conflict(
    source: Store, target: Store, tmp_path: Path
) -> None:
    with source.changing() as change:
        change.add_opt_out("Emil")
    export_gallery(source, tmp_path / "all", PASSPHRASE, NOW)
    put(target, person("emil", 60))
    with pytest.raises(InputError, match="holds the opt-out of 1 people enrolled here"):
        import_gallery(target, tmp_path / "all", PASSPHRASE)
    assert names(target) == ["emil"]


def test_the_opt_outs_of_two_galleries_add_up_and_travel_on(
    source: Store, target: Store, tmp_path: Path
) -> None:
    """Through a second export into a third gallery, both are still known."""
    with target.changing() as change:
        change.add_opt_out("Fay")
    export_gallery(source, tmp_path / "one", PASSPHRASE, NOW)
    import_gallery(target, tmp_path / "one", PASSPHRASE)
    export_gallery(target, tmp_path / "two", PASSPHRASE, NOW)
    third = Store.open(tmp_path / "third.voxid")
    report = import_gallery(third, tmp_path / "two", PASSPHRASE)
    assert report.opt_outs == 2
    assert [third.opted_out(name) for name in ("dora", "FAY", "Gil")] == [True, True, False]
    with third.changing() as change:
        change.lift_opt_out("dora")
    assert not third.opted_out("Dora")
    third.close()


def test_a_removed_person_is_not_in_the_next_export(source: Store, target: Store, tmp_path: Path) -> None:
    remove(source, "Alice")
    export_gallery(source, tmp_path / "all", PASSPHRASE, NOW)
    import_gallery(target, tmp_path / "all", PASSPHRASE)
    assert names(target) == ["Bob"]


def test_an_export_never_overwrites(source: Store, tmp_path: Path) -> None:
    (tmp_path / "all").write_text("precious")
    with pytest.raises(InputError, match="already exists; give the path of a new file"):
        export_gallery(source, tmp_path / "all", PASSPHRASE, NOW)
    assert (tmp_path / "all").read_text() == "precious"


def test_a_text_file_is_no_export(target: Store, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("milk, bread")
    with pytest.raises(InputError, match="notes is not a voxid export"):
        import_gallery(target, tmp_path / "notes", PASSPHRASE)
    with pytest.raises(InputError, match=r"cannot be read \(No such file"):
        import_gallery(target, tmp_path / "nowhere", PASSPHRASE)
