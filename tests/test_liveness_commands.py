"""``voxid challenge`` and ``voxid answer``: what is asked, what came of it, and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pocketsphinx", reason="the extra challenge is not installed")

from service_app import clips
from voxid.cli import main
from voxid.gallery import Consent
from voxid.recognize import Gallery

ANSWER = Path(__file__).parent / "fixtures" / "answers" / "ada_170296.opus"


def test_asks_and_hears(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The digits stand alone on stdout; a wrong answer is exit code 1 and says why, and is the only one."""
    people = str(tmp_path / "people.voxid")
    with Gallery.open(people) as gallery:
        gallery.enroll("ada", list(clips("ada", 1, 2)), Consent({"verify"}, evidence="synthetic voice"))

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "--gallery", people])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    def told(*arguments: str) -> tuple[int, dict[str, Any]]:
        code, out, _ = run(*arguments, "--json")
        return code, json.loads(out)

    code, out, err = run("challenge", "ada", "--words")
    assert code == 0
    assert len(out.split()) == 4
    assert "Say this within 60 s, record it, and run: voxid answer ada" in err
    code, asked = told("challenge", "ada", "--length", "12")
    assert (code, len(asked["words"])) == (0, 12)
    code, refused = told("answer", "ada", asked["id"], "anser.opus", "--spoof", "off")
    assert (code, refused["error"]) == (2, "audio_missing")
    code, result = told("answer", "ada", asked["id"], str(ANSWER), "--spoof", "off")
    assert code == 1
    assert [part["name"] for part in result["parts"] if part["holds"] is False] == ["content"]
    assert result["decision"]["outcome"] == "accept"
    code, out, _ = run("answer", "ada", asked["id"], str(ANSWER), "--spoof", "off")
    assert code == 1
    assert "not passed" in out
    assert "answered before, or has" in " ".join(out.split())
    code, refused = told("challenge", "eve")
    assert (code, refused["error"]) == (2, "person_missing")
