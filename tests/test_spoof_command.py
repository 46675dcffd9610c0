"""``voxid spoof`` and ``voxid verify --spoof``: words, numbers and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from level_detector import SPOOF_GAIN, SUSPICIOUS_GAIN, write_detector
from voxid.audio import load
from voxid.cli import main

VOICES = Path(__file__).parents[1] / "src" / "voxid" / "data" / "voices"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of each outcome, beside a detector that goes by level."""
    folder = tmp_path_factory.mktemp("spoofs")
    write_detector(folder / "level")
    samples = load(VOICES / "ada" / "03.opus").samples
    for name, gain in (("live", 1.0), ("doubtful", SUSPICIOUS_GAIN), ("fake", SPOOF_GAIN)):
        soundfile.write(folder / f"{name}.wav", samples * np.float32(gain), 16_000, subtype="FLOAT")
    soundfile.write(folder / "short.wav", samples[8_000:14_400], 16_000)
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    code = main([*(str(argument) for argument in arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("name", "code", "outcome"),
    [
        ("live", 0, "genuine"),
        ("doubtful", 1, "suspicious"),
        ("fake", 1, "spoof"),
        ("short", 2, "cannot_tell"),
    ],
)
def test_only_genuine_ends_with_0(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, code: int, outcome: str
) -> None:
    """A script that only looks at the code goes on with genuine speech alone."""
    ended, told = run(capsys, "spoof", folder / f"{name}.wav", "--detector", folder / "level")
    assert (ended, told["outcome"]) == (code, outcome)
    assert (told["llr"] is None) == (name == "short")


def test_people_read_a_word_and_a_reason(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The outcome is said in words; colour only repeats it."""
    assert main(["spoof", str(folder / "fake.wav"), "--detector", str(folder / "level")]) == 1
    told = capsys.readouterr().out
    assert "spoof  taken for synthesised, converted or replayed speech" in told
    assert "Least live of 2 pieces" in told
    assert any(line.startswith("LLR ") and line.endswith(".") for line in told.splitlines())
    assert max(len(line) for line in told.splitlines()) > 80


def test_a_missing_detector_has_a_code(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a detector nothing is said about the voice."""
    code, told = run(capsys, "spoof", folder / "live.wav", "--detector", folder / "nowhere")
    assert (code, told["error"]) == (2, "spoof_detector_missing")


def test_verify_refuses_fakes_where_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same recording is accepted by its voice alone and refused with the check."""
    people = ("--gallery", folder / "people.voxid")
    enrolled = [VOICES / "ada" / "01.opus", VOICES / "ada" / "02.opus"]
    code, _ = run(capsys, "enroll", "ada", *enrolled, "--consent", "form", "--purpose", "verify", *people)
    assert code == 0
    claim = ("verify", "ada", folder / "fake.wav", "--detector", folder / "level", *people)
    code, told = run(capsys, *claim)
    assert (code, told["outcome"], told["spoof"]) == (0, "accept", None)
    code, told = run(capsys, *claim, "--spoof", "check")
    assert (code, told["outcome"]) == (1, "spoof_suspected")
    assert told["spoof"]["outcome"] == "spoof"
    assert [part["name"] for part in told["parts"]] == ["speaker", "quality", "spoof"]
    code, told = run(capsys, *claim, "--spoof", "maybe")
    assert (code, told["error"]) == (2, "spoof_policy_invalid")
