"""RTTM, UEM, JSON and SRT: what is written is read back; hostile files name their line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voxid.errors import InputError
from voxid.segments import Segment
from voxid.timeline import Timeline, Turn, read_rttms, read_uem, write_uem

SHARED = Path(__file__).parents[2] / "shared"
TALK = Timeline(
    (
        Turn(Segment(0.5, 2.25), "Anna Maria", named=True, llr=7.125),
        Turn(Segment(2.0, 3725.5), "SPEAKER_00"),
    ),
    3726.0,
    "my meeting",
)


def test_rttm_lines() -> None:
    """Ten fields, milliseconds, and no white space inside a field."""
    assert TALK.to_rttm() == (
        "SPEAKER my_meeting 1 0.500 1.750 <NA> <NA> Anna_Maria <NA> <NA>\n"
        "SPEAKER my_meeting 1 2.000 3723.500 <NA> <NA> SPEAKER_00 <NA> <NA>\n"
    )


def test_rttm_round_trip(tmp_path: Path) -> None:
    """Random turns come back within a millisecond; names in any script survive."""
    rng = np.random.default_rng(1)
    names = ["Zoë", "李雷", "Ωμέγα", "SPEAKER_01", "a;;b", "<NA>"]
    starts = np.sort(rng.uniform(0, 100, 200))
    turns = tuple(
        Turn(Segment(start, start + rng.uniform(0.0004, 9)), names[rng.integers(6)]) for start in starts
    )
    timeline = Timeline(turns, 120.0, "x")
    path = tmp_path / "x.rttm"
    timeline.write_rttm(path)
    back = Timeline.read_rttm(path, duration_s=120.0)
    assert len(back.turns) == 200
    assert back.uri == "x"
    for name in names:
        assert back.speech_s(name) == pytest.approx(timeline.speech_s(name), abs=0.05)
    for before, after in zip(timeline.turns, back.turns, strict=True):
        assert after.start_s == pytest.approx(before.start_s, abs=0.0006)


def test_rttm_of_several_recordings(tmp_path: Path) -> None:
    """One is chosen by its uri; none chosen is said with the choice there is."""
    path = tmp_path / "two.rttm"
    path.write_text(
        "\ufeff;; a comment\n\nSPKR-INFO b 1 <NA> <NA> <NA> unknown y <NA>\n"
        "SPEAKER b 1 1 1 <NA> <NA> y <NA>\r\nSPEAKER a 1 0 2.5 <NA> <NA> x <NA> <NA>\n"
        "SPEAKER a 1 3 0 <NA> <NA> nobody <NA> <NA>\n",
        encoding="utf-8",
    )
    assert Timeline.read_rttm(path, "b").turns == (Turn(Segment(1, 2), "y"),)
    assert set(read_rttms(path)) == {"a", "b"}
    assert read_rttms(path)["a"].speakers == ("x",)
    for uri, found in ((None, "holds 2 recordings"), ("c", "holds no recording 'c'")):
        with pytest.raises(InputError) as caught:
            Timeline.read_rttm(path, uri)
        assert caught.value.code == "rttm_uri_missing"
        assert found in caught.value.message
        assert "it has: a, b; name one of them." in caught.value.message


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("SPEAKER a 1 0 1", "5 fields instead of 8 or more"),
        ("SPEAKER a 1 zero 1 <NA> <NA> x <NA> <NA>", "a start or duration that is no number"),
        ("SPEAKER a 1 0 -1 <NA> <NA> x <NA> <NA>", "is no stretch of time"),
        ("SPEAKER a 1 -5 1 <NA> <NA> x <NA> <NA>", "is no stretch of time"),
        ("SPEAKER a 1 nan 1 <NA> <NA> x <NA> <NA>", "is no stretch of time"),
        ("SPEAKER a 1 0 1e999 <NA> <NA> x <NA> <NA>", "is no stretch of time"),
        ("SPEAKER a 1 0 1 <NA> <NA> x\0y <NA> <NA>", "is no speaker name"),
        ("SPEAKER a 1 0 1 <NA> <NA> " + "x" * 5000 + " <NA> <NA>", "is no speaker name"),
    ],
)
def test_hostile_rttm(line: str, found: str, tmp_path: Path) -> None:
    """The sentence names the file, the line and what is wrong with it."""
    path = tmp_path / "bad.rttm"
    path.write_text("SPEAKER a 1 0 1 <NA> <NA> x <NA> <NA>\n" + line + "\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_rttms(path)
    assert caught.value.code == "rttm_invalid"
    assert caught.value.message.startswith(f"{path}, line 2: ")
    assert found in caught.value.message
    assert len(caught.value.message) < 400


def test_files_that_are_no_rttm(tmp_path: Path) -> None:
    """Missing, a folder, not text."""
    binary = tmp_path / "binary.rttm"
    binary.write_bytes(b"\xff\xfe\x00")
    for path, code in (
        (tmp_path / "no", "rttm_missing"),
        (tmp_path, "rttm_invalid"),
        (binary, "rttm_invalid"),
    ):
        with pytest.raises(InputError) as caught:
            read_rttms(path)
        assert caught.value.code == code


def test_uem_round_trip(tmp_path: Path) -> None:
    """Regions come back merged; a bad line is named."""
    path = tmp_path / "x.uem"
    write_uem(path, {"a b": [Segment(5, 9), Segment(0, 5)], "c": [Segment(1.5, 2)]})
    assert read_uem(path) == {"a_b": [Segment(0, 9)], "c": [Segment(1.5, 2)]}
    for line, found in (("c 1 2", "3 fields"), ("c 1 a b", "no number"), ("c 1 3 2", "no stretch of time")):
        path.write_text(line + "\n", encoding="utf-8")
        with pytest.raises(InputError) as caught:
            read_uem(path)
        assert caught.value.code == "uem_invalid"
        assert "line 1" in caught.value.message
        assert found in caught.value.message


def test_json_round_trip() -> None:
    """Everything a timeline holds comes back."""
    assert Timeline.from_json(TALK.to_json()) == TALK
    assert TALK.to_dict()["speakers"] == [
        {"name": "Anna Maria", "speech_s": 1.75},
        {"name": "SPEAKER_00", "speech_s": 3723.5},
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"version": 4},
        {"history": None},
        {"history": [{}]},
        {
            "history": [
                {"at": "soon", "start_s": 0, "end_s": 1, "old_label": "a", "new_name": "b", "reviewer": None}
            ]
        },
        {"naming": {}},
        {"naming": 7},
        {"version": True},
        {"audio_sha256": "f" * 63},
        {"audio_sha256": 7},
        {"turns": None},
        {"turns": [{}]},
        {"duration_s": "long"},
        {"duration_s": True},
        {"duration_s": 1.0},
        {"turns": [{"start_s": 0, "end_s": float("nan"), "speaker": "x", "named": False, "llr": None}]},
        {"turns": [{"start_s": 0, "end_s": 1, "speaker": ["x"], "named": False, "llr": None}]},
        {"turns": [{"start_s": 0, "end_s": 1, "speaker": "x", "named": False, "llr": "high"}]},
    ],
)
def test_hostile_json(change: dict[str, object]) -> None:
    """JSON of another kind is refused as such."""
    with pytest.raises(InputError) as caught:
        Timeline.from_json(json.dumps(TALK.to_dict() | change))
    assert caught.value.code == "timeline_invalid"


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000])
def test_text_that_is_no_json(text: str) -> None:
    """Not even nesting without end escapes as another error."""
    with pytest.raises(InputError) as caught:
        Timeline.from_json(text)
    assert caught.value.code == "timeline_invalid"


def test_srt() -> None:
    """Numbered cues with hours and a comma before the milliseconds; who speak at once share a cue."""
    assert TALK.to_srt() == (
        "1\n00:00:00,500 --> 00:00:02,000\nAnna Maria\n\n"
        "2\n00:00:02,000 --> 00:00:02,250\n- Anna Maria\n- SPEAKER_00\n\n"
        "3\n00:00:02,250 --> 01:02:05,500\nSPEAKER_00\n"
    )
    arrow = Timeline((Turn(Segment(0, 0.9996), "a --> b"),), 1.0)
    assert arrow.to_srt() == "1\n00:00:00,000 --> 00:00:01,000\na -> b\n"
    sliver = Timeline((Turn(Segment(0.5001, 0.5002), "a"), Turn(Segment(0.7, 0.9), "b")), 1.0)
    assert sliver.to_srt() == "1\n00:00:00,700 --> 00:00:00,900\nb\n"


def test_files_are_written(tmp_path: Path) -> None:
    """Each format to its file; a place that cannot be written is said."""
    TALK.write_rttm(tmp_path / "a.rttm")
    TALK.write_json(tmp_path / "a.json")
    TALK.write_srt(tmp_path / "a.srt")
    assert (tmp_path / "a.rttm").read_text(encoding="utf-8") == TALK.to_rttm()
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == TALK.to_json()
    assert (tmp_path / "a.srt").read_text(encoding="utf-8") == TALK.to_srt()
    with pytest.raises(InputError) as caught:
        TALK.write_rttm(tmp_path / "no" / "a.rttm")
    assert caught.value.code == "output_unwritable"
    assert "No such file or directory" in caught.value.message


def test_published_references_are_read() -> None:
    """AMI's and VoxConverse's RTTM and UEM files."""
    if not SHARED.exists():
        pytest.skip("published references are not beside this checkout (../shared)")
    folder = SHARED / "eval" / "diarization"
    rttms = sorted(folder.rglob("*.rttm"))
    assert rttms
    for path in rttms[::10]:
        for timeline in read_rttms(path).values():
            assert timeline.speech_s() <= timeline.duration_s + 1e-6
    for path in folder.rglob("*.uem"):
        assert read_uem(path)
