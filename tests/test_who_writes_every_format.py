"""``voxid who``: a file for each format asked for, one speaker at a time, doubts by the confidence asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from voxid.audio import load
from voxid.cli import main
from voxid.cli.demo import VOICES
from voxid.cli.targets import Targets
from voxid.errors import InputError
from voxid.segments import Segment
from voxid.timeline import ReviewPolicy, Timeline, Turn, read_uem

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
