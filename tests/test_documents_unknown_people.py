"""docs/unknown-people.md is true: its Python runs, its commands and options are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from test_corrects_from_the_command_line import write_wav
from test_remembers_unknown_people import MONDAY
from voxid.cli.app import app
from voxid.timeline import Timeline

DOCUMENT = (Path(__file__).parents[1] / "docs" / "unknown-people.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a recording to a named timeline."""
    monkeypatch.chdir(tmp_path)
    write_wav(tmp_path / "monday.wav", MONDAY[0])
    (block,) = blocks("python")
    exec(compile(block, "docs/unknown-people.md", "exec"), {})
    named = Timeline.read_json(tmp_path / "monday.json")
    assert named.speakers[0] == "ALICE"
    assert named.turns[0].voice_id == named.voice_ids[0]


def test_its_commands_and_options_are_there() -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    lines += re.findall(r"`(voxid (?:people unknown|relabel|correct)[^`]*)`", DOCUMENT)
    assert len(lines) > 12
    for line in lines:
        words = shlex.split(line)[1:]
        found: Any = get_command(app)
        while hasattr(found, "commands") and words and words[0] in found.commands:
            found = found.commands[words.pop(0)]
        options = {name for parameter in found.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, line
        if hasattr(found, "commands"):
            assert words == [], line


def test_its_table_of_the_json_is_the_json() -> None:
    from voxid.timeline import Naming

    told = Naming("far_1pct", 0.01, 2.4, 3).to_dict()
    table = DOCUMENT[DOCUMENT.index("| field | means |") :].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", table)) == set(told)
