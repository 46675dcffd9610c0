"""``voxid who``: a file for each format asked for, one speaker at a time, doubts by the confidence asked."""

from __future__ import annotations

import importlib.util
import json
import re
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from voxid.audio import load
from voxid.cli import main
from voxid.cli.app import app
from voxid.cli.demo import VOICES
from voxid.cli.targets import Targets
from voxid.cli.who import warn_of_missing
from voxid.errors import InputError
from voxid.segments import Segment
from voxid.timeline import ReviewPolicy, Timeline, Turn, read_corrections, read_uem
from voxid.timeline.text import write_text

FILES = ("rttm", "uem", "timeline", "csv", "textgrid", "srt", "vtt", "svg", "html")


def test_every_format_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From one run: the same turns in each format that is read back, the hash of the file in the JSON."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VOXID_GALLERY", raising=False)
    flags = [part for name in FILES for part in (f"--{name}", f"out.{name}")]
    assert main(["who", str(VOICES / "ada" / "01.opus"), *flags, "--no-sound", "--exclusive", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert sorted(told["written"]) == sorted(f"out.{name}" for name in FILES)
    waveform = load(VOICES / "ada" / "01.opus")
    assert told["audio_sha256"] == waveform.sha256
    whole = Timeline.read_json(tmp_path / "out.timeline")
    assert whole.audio_sha256 == waveform.sha256
    assert whole.turns
    expected = [(one.segment, one.speaker) for one in whole.turns]
    for back in (Timeline.read_csv(tmp_path / "out.csv"), Timeline.read_textgrid(tmp_path / "out.textgrid")):
        assert [(one.segment, one.speaker) for one in back.turns] == expected
    rttm = Timeline.read_rttm(tmp_path / "out.rttm")
    assert [one.speaker for one in rttm.turns] == [speaker for _, speaker in expected]
    assert read_uem(tmp_path / "out.uem")["01"][0].end_s == pytest.approx(waveform.duration_s, abs=0.001)
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert 'id="recording"' in page
    assert "data:audio" not in page


@pytest.fixture(scope="module")
def talk() -> Timeline:
    """Two turns that overlap, one of them unsure."""
    turns = (Turn(Segment(0, 2), "ann", True, 5.0, 0.9), Turn(Segment(1, 3), "bob", True, 5.0, 0.4))
    return Timeline(turns, 4.0, "talk")


def test_targets_follow_the_policy_and_know_the_recording(talk: Timeline, tmp_path: Path) -> None:
    """What is listed for review in page and JSON is the same; nothing asked for, nothing written."""
    waveform = load(VOICES / "ada" / "01.opus")
    assert Targets().write(talk, waveform) == []
    files = Targets(timeline=tmp_path / "a.json", html=tmp_path / "a.html", sound=False)
    for least, expected in ((0.3, 0), (0.5, 1), (0.95, 2)):
        assert files.write(talk, waveform, ReviewPolicy(least)) == [tmp_path / "a.json", tmp_path / "a.html"]
        data = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
        assert len(data["review"]) == expected
        assert data["audio_sha256"] == waveform.sha256
        page = (tmp_path / "a.html").read_text(encoding="utf-8")
        assert (f"Needs review ({expected})" in page) == bool(expected)
        assert waveform.sha256 in page


def test_fewer_speakers_than_asked_for_are_told(talk: Timeline, capsys: pytest.CaptureFixture[str]) -> None:
    warn_of_missing(talk, 2)
    assert capsys.readouterr().err == ""
    warn_of_missing(talk, 3)
    told = " ".join(capsys.readouterr().err.split())
    assert told == "3 voices were asked for, heard are 2: there is too little speech to tell so many apart."


def test_a_confidence_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused before an hour of work."""
    monkeypatch.chdir(tmp_path)
    assert main(["who", "none.wav", "--min-confidence", "60", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"] == "review_policy_invalid"


def test_a_file_that_cannot_be_written(talk: Timeline, tmp_path: Path) -> None:
    """Said for every format."""
    waveform = load(VOICES / "ada" / "01.opus")
    for name in FILES:
        with pytest.raises(InputError) as caught:
            Targets(**{name: tmp_path / "no" / "x"}).write(talk, waveform)
        assert caught.value.code == "output_unwritable"


@pytest.mark.parametrize("words", [["who"], ["find", "ANN"], ["live"]], ids=lambda words: words[0])
def test_a_place_that_is_none_is_said_before_anything_is_opened(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not after an hour of listening: the recording does not even exist."""
    monkeypatch.chdir(tmp_path)
    assert main([*words, "none.wav", "--svg", "no/x.svg", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["error"] == "output_unwritable"
    assert told["message"] == "no/x.svg cannot be written (there is no folder no); choose another place."


def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    """Of a disk that is full in the middle nothing remains but what was there before."""
    path = tmp_path / "talk.rttm"
    write_text(path, "as it was\n")
    was = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, was[1]))
    try:
        with pytest.raises(
            InputError, match="talk.rttm cannot be written \\(File too large\\); choose another place"
        ):
            write_text(path, "x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, was)
    assert path.read_text(encoding="utf-8") == "as it was\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_and_a_pipe_stay_what_they_are(tmp_path: Path) -> None:
    """Also as the target of a file: ``--rttm /dev/stdout`` writes there."""
    (tmp_path / "link").symlink_to(tmp_path / "talk.rttm")
    write_text(tmp_path / "link", "a\n")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "talk.rttm").read_text(encoding="utf-8") == "a\n"
    write_text("/dev/null", "b\n")
    assert not Path("/dev/null").is_file()


ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "output.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


def test_the_document_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its Python runs, its corrections are read and applied, and every option it names is one."""
    monkeypatch.chdir(tmp_path)
    known: dict[str, Any] = {}
    for block in blocks("python"):
        if "annotation" in block and importlib.util.find_spec("pyannote") is None:
            continue
        exec(compile(block, "docs/output.md", "exec"), known)
    talk = known["talk"]
    assert talk.overlaps() == [Segment(3.0, 4.0)]
    assert [item.speaker for item in talk.review()] == ["SPEAKER_00"]
    (example,) = blocks("json")
    (tmp_path / "c.json").write_text(example, encoding="utf-8")
    made = read_corrections(tmp_path / "c.json")
    fixed = made.apply(replace(talk, audio_sha256=made.audio_sha256))
    assert fixed.speakers == ("Anna", "Bob")
    assert fixed.review() == ()
    command = get_command(app).commands["who"]  # type: ignore[attr-defined]
    options = {name for parameter in command.params for name in parameter.opts}
    named = set(re.findall(r"`(--[a-z-]+)`", DOCUMENT))
    assert named
    assert named <= options


def test_keys_of_the_document_are_the_keys_of_the_page() -> None:
    """Each key in the table is one the page listens to."""
    script = (ROOT / "src" / "voxid" / "picture" / "correcting.js").read_text(encoding="utf-8")
    for key in "RUNE":
        assert re.search(rf"^\| {key}\b", DOCUMENT, re.MULTILINE), key
        assert re.search(rf"^    {key.lower()}: ", script, re.MULTILINE), key
