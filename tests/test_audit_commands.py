"""`voxid audit`: begin, list, check against a head kept earlier, prove, export."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from synthetic_people import new_store, person
from voxid.audit import Event, SignedHead
from voxid.cli import main
from voxid.gallery.store import Store

SCRIPT = Path(__file__).parents[1] / "scripts" / "verify_audit.py"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A gallery with Alice in it, not yet audited, beside which commands run."""
    monkeypatch.chdir(tmp_path)
    store = new_store(tmp_path, person("Alice", 1))
    store.close()
    return tmp_path / "people.voxid"


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    capsys.readouterr()
    code = main(["audit", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def write_events(path: Path, n_events: int) -> None:
    store = Store.open(path)
    for _ in range(n_events):
        store.record([Event("verify.decided", "accept", store.find("Alice"), {}, {"llr": 3.0})])
    store.close()


def test_a_log_is_begun_listed_and_checked(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = answer(capsys, "verify")
    assert (code, said["error"]) == (2, "audit_not_started")
    assert answer(capsys, "start")[1]["audited"] is True
    write_events(path, 3)
    entries = answer(capsys, "list", "--person", "alice")[1]["entries"]
    assert [entry["sequence"] for entry in entries] == [2, 3, 4]
    assert entries[0]["personal"] == {"llr": 3.0}
    assert answer(capsys, "list", "--act", "audit.started")[1]["entries"][0]["person"] is None
    assert answer(capsys, "list", "--person", "Nobody")[1]["error"] == "person_missing"
    code, report = answer(capsys, "verify")
    assert (code, report["whole"], report["entries"]) == (0, True, 4)


def test_damage_ends_with_4_and_the_entry(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["audit", "start"])
    write_events(path, 3)
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM audit_entry WHERE sequence = 2")
    connection.commit()
    connection.close()
    code, report = answer(capsys, "verify")
    assert (code, report["bad_entry"], report["problem"]) == (4, 2, "entry 2 is missing")


def test_a_head_kept_elsewhere_tells_a_log_put_back(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole gallery restored from a copy is consistent in itself; the head says that entries are missing."""
    main(["audit", "start"])
    copy = path.read_bytes()
    write_events(path, 2)
    main(["audit", "head", "head.json"])
    assert answer(capsys, "verify", "--head", "head.json")[0] == 0
    path.write_bytes(copy)
    assert answer(capsys, "verify")[0] == 0
    code, report = answer(capsys, "verify", "--head", "head.json")
    assert (code, report["bad_entry"]) == (4, 2)
    assert report["problem"].startswith("entry 2 is missing: the head of 20")
    write_events(path, 3)
    assert "are not those that the head of" in answer(capsys, "verify", "--head", "head.json")[1]["problem"]
    (path.parent / "none.json").write_text("[]")
    assert answer(capsys, "verify", "--head", "none.json")[1]["error"] == "audit_head_invalid"


def test_exports_are_checked_without_voxid(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two exports, one after the other, and a proof; no file is overwritten."""
    main(["audit", "start"])
    write_events(path, 2)
    assert main(["audit", "export", "first.jsonl"]) == 0
    write_events(path, 2)
    assert main(["audit", "export", "second.jsonl", "--after", "3"]) == 0
    assert main(["audit", "prove", "2", "proof.json"]) == 0
    done = subprocess.run(
        [sys.executable, "-I", str(SCRIPT), "first.jsonl", "second.jsonl", "--proof", "proof.json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[1].startswith("whole: 5 entries, root ")
    head = json.loads((path.parent / "second.jsonl").read_text().splitlines()[-1])["head"]
    assert SignedHead.from_dict(head).head.size == 5
    assert main(["audit", "export", "first.jsonl"]) == 2
    assert "give the path of a new file" in capsys.readouterr().err.replace("\n", " ")
    assert main(["audit", "export", "--format", "cef"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("CEF:0|voxid|voxid|") for line in lines)


def test_json_holds_what_else_is_written(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json one object on stdout, beside the file where one is named; errors too; nothing half-written."""
    main(["audit", "start"])
    write_events(path, 2)
    code, head = answer(capsys, "head", "head.json")
    assert (code, json.loads((path.parent / "head.json").read_text())) == (0, head)
    code, proof = answer(capsys, "prove", "2", "proof.json")
    assert (code, json.loads((path.parent / "proof.json").read_text())) == (0, proof)
    exported = answer(capsys, "export", "--format", "cef")[1]
    assert (exported["format"], len(exported["lines"])) == ("cef", 3)
    code, refused = answer(capsys, "prove", "2", "proof.json")
    assert (code, refused["error"]) == (2, "output_unwritable")
    code, refused = answer(capsys, "prove", "99", "later.json")
    assert (code, (path.parent / "later.json").exists()) == (2, False)
