"""``voxid backup`` and ``voxid restore``: what is asked, what is told, and the codes they end with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synthetic_people import names, new_store, person, remove
from voxid.cli import main
from voxid.gallery.store import Store


@pytest.fixture
def gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("VOXID_GALLERY", "VOXID_MASTER_KEY", "VOXID_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    store = new_store(tmp_path, person("Alice", 1), person("Bob", 2))
    store.close()
    return store.path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_back_up_erase_lose_restore(gallery: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole life of it; the key was kept, the list of erasures elsewhere."""
    code, told = run(capsys, "backup", "monday.backup")
    assert (code, told["people"], told["voiceprints"], len(told["sha256"])) == (0, 2, 4, 64)
    store = Store.open(gallery)
    remove(store, "Alice")
    store.close()
    assert run(capsys, "backup", "--erasures", "elsewhere")[1] == {"new_erasures": 1}
    for file in gallery.parent.glob("people.voxid*"):
        if file.suffix != ".key":
            file.unlink()
    code, told = run(capsys, "restore", "monday.backup", "--yes")
    assert (code, told["error"]) == (2, "erasures_unknown")
    code, told = run(capsys, "restore", "monday.backup", "--yes", "--erasures", "elsewhere")
    assert (code, told) == (0, {"people": 1, "left_out": 1, "replaced": "nothing"})
    store = Store.open(gallery)
    assert names(store) == ["Bob"]
    store.close()


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["backup"], 2, "backup_nothing_asked"),
        (["backup", "people.voxid"], 2, "backup_exists"),
        (["backup", "no/where.backup"], 2, "backup_unwritable"),
        (["backup", "b", "--gallery", "no.voxid"], 2, "store_missing"),
        (["backup", "b", "--key", "no.key"], 2, "key_missing"),
        (["restore", "no.backup", "--yes"], 2, "backup_missing"),
    ],
)
def test_what_cannot_be_is_said(
    gallery: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, error: str
) -> None:
    before = sorted(each.name for each in gallery.parent.iterdir())
    ended, told = run(capsys, *arguments)
    assert (ended, told["error"]) == (code, error)
    assert sorted(each.name for each in gallery.parent.iterdir()) == before
