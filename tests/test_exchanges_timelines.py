"""JSON of every version, CSV, TextGrid, WebVTT and pyannote: golden files, round trips, hostile files."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from voxid.errors import ConfigError, InputError
from voxid.segments import Segment
from voxid.timeline import Naming, Revision, Suggestion, Timeline, Turn, read_uem

FIXTURES = Path(__file__).parent / "fixtures" / "timelines"
TALK = Timeline(
    (
        Turn(Segment(0.5, 2.25), "Anna Maria", named=True, llr=7.125, confidence=0.97),
        Turn(Segment(2.0, 4.5), "SPEAKER_00", confidence=0.5, suggestion=Suggestion("Zoë", 1.25, 1.938)),
        Turn(Segment(4.5, 5.0), '"=李雷" <&>', named=True, llr=-0.5, reviewed=True),
        Turn(Segment(4.5, 6.0), "Anna Maria", named=True, llr=7.125),
    ),
    6.5,
    "my meeting",
    "0123456789abcdef" * 4,
)
REMEMBERED = replace(
    TALK,
    turns=(
        *TALK.turns[:1],
        replace(TALK.turns[1], speaker="unknown-7k3f2m9x", llr=4.5, voice_id="unknown-7k3f2m9x"),
        *TALK.turns[2:],
    ),
    naming=Naming("far_1pct", 0.01, 2.391, 3, 2, 2.9),
    history=(
        Revision(
            datetime(2026, 11, 21, 9, 30, tzinfo=UTC), Segment(4.5, 5.0), "SPEAKER_01", '"=李雷" <&>', "Dora"
        ),
    ),
)
GOLDEN: dict[str, Callable[[Timeline], str]] = {
    "talk-v3.json": lambda talk: REMEMBERED.to_json(),
    "talk.rttm": Timeline.to_rttm,
    "talk.uem": Timeline.to_uem,
    "talk.srt": Timeline.to_srt,
    "talk.vtt": Timeline.to_vtt,
    "talk.csv": Timeline.to_csv,
    "talk.TextGrid": Timeline.to_textgrid,
}
NAMES = ("ann", "Zoë B", "=cmd()", "'=x", "'t Hooft", '"quoted" "', "SPEAKER_00", "a,b;c", "-5", "<v>&amp;")


def random_talk(rng: np.random.Generator) -> Timeline:
    """Up to 30 turns on whole milliseconds, one speaker's never overlapping, with all a turn can know."""
    turns = []
    for name in NAMES:
        at_ms = 0
        for _ in range(int(rng.integers(0, 4))):
            start_ms = at_ms + int(rng.integers(0, 2000))
            at_ms = start_ms + int(rng.integers(1, 3000))
            known = rng.uniform(size=5) < 0.5
            turns.append(
                Turn(
                    Segment(start_ms / 1000, at_ms / 1000),
                    name,
                    bool(known[0]),
                    round(float(rng.normal()), 3) if known[0] else None,
                    round(float(rng.uniform()), 3) if known[1] else None,
                    Suggestion("=sum", round(float(rng.normal()), 3), 2.5) if known[2] else None,
                    bool(known[3]),
                    "unknown-7k3f2m9x" if known[4] else None,
                )
            )
    return Timeline(tuple(turns), 20.5, "talk", "ab" * 32)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_files(name: str) -> None:
    """What is written today is, byte for byte, what other programs were given before."""
    assert GOLDEN[name](TALK) == (FIXTURES / name).read_text(encoding="utf-8")


def test_json_of_every_version_is_read() -> None:
    """Older ones know less; what they know is kept."""
    assert Timeline.read_json(FIXTURES / "talk-v3.json") == REMEMBERED
    assert Timeline.read_json(FIXTURES / "talk-v2.json") == TALK
    old = Timeline.read_json(FIXTURES / "talk-v1.json")
    assert (old.uri, old.duration_s, old.audio_sha256) == ("my meeting", 3726.0, None)
    assert old.turns == (
        Turn(Segment(0.5, 2.25), "Anna Maria", named=True, llr=7.125),
        Turn(Segment(2.0, 3725.5), "SPEAKER_00"),
    )


def test_json_says_what_follows_from_the_turns() -> None:
    """Overlaps, seconds of overlap in each turn, and the review list with its sentences."""
    data = TALK.to_dict()
    assert data["overlaps"] == [{"start_s": 2.0, "end_s": 2.25}, {"start_s": 4.5, "end_s": 5.0}]
    assert [turn["overlapped_s"] for turn in data["turns"]] == [0.25, 0.25, 0.5, 0.5]
    assert [item["kind"] for item in data["review"]] == ["low_confidence", "suggested_name"]


def test_exact_round_trips(tmp_path: Path) -> None:
    """JSON keeps everything; CSV all of the turns; TextGrid and RTTM who and when."""
    rng = np.random.default_rng(6)
    for _ in range(40):
        talk = random_talk(rng)
        assert Timeline.from_json(talk.to_json()) == talk
        talk.write_csv(tmp_path / "talk.csv")
        assert Timeline.read_csv(tmp_path / "talk.csv", duration_s=20.5).turns == talk.turns
        talk.write_textgrid(tmp_path / "talk.TextGrid")
        back = Timeline.read_textgrid(tmp_path / "talk.TextGrid")
        assert (back.duration_s, back.uri) == (20.5, "talk")
        assert [(one.segment, one.speaker) for one in back.turns] == [
            (one.segment, one.speaker) for one in talk.turns
        ]
        if talk.turns:
            talk.write_rttm(tmp_path / "talk.rttm")
            back = Timeline.read_rttm(tmp_path / "talk.rttm")
            assert [(one.start_s, one.speaker, one.confidence) for one in back.turns] == [
                (one.start_s, one.speaker.replace(" ", "_"), one.confidence) for one in talk.turns
            ]


def test_round_trips_of_any_times(tmp_path: Path) -> None:
    """Times off the millisecond grid, turns of microseconds, one speaker over himself: nothing is refused later."""
    rng = np.random.default_rng(7)
    for _ in range(20):
        turns = tuple(
            Turn(Segment(start, start + float(10 ** rng.uniform(-6, 1))), NAMES[rng.integers(3)])
            for start in rng.uniform(0, 60, 40).tolist()
        )
        talk = Timeline(turns, 75.0, "talk")
        talk.write_csv(tmp_path / "talk.csv")
        for back in (Timeline.from_json(talk.to_json()), Timeline.read_csv(tmp_path / "talk.csv")):
            assert len(back.turns) == 40
            assert back.speech_s() == pytest.approx(talk.speech_s(), abs=0.05)
        talk.write_textgrid(tmp_path / "talk.TextGrid")
        back = Timeline.read_textgrid(tmp_path / "talk.TextGrid")
        for name in talk.speakers:
            assert back.speech_s(name) == pytest.approx(talk.speech_s(name), abs=0.05)


def test_an_empty_timeline_in_every_format(tmp_path: Path) -> None:
    """Written and, where the format can say nothing, read back as nothing."""
    empty = Timeline((), 3.0, "quiet")
    assert (empty.to_rttm(), empty.to_srt(), empty.to_vtt()) == ("", "", "WEBVTT\n")
    assert Timeline.from_json(empty.to_json()) == empty
    empty.write_csv(tmp_path / "quiet.csv")
    assert Timeline.read_csv(tmp_path / "quiet.csv", duration_s=3.0) == empty
    empty.write_textgrid(tmp_path / "quiet.TextGrid")
    assert Timeline.read_textgrid(tmp_path / "quiet.TextGrid") == empty
    empty.write_uem(tmp_path / "quiet.uem")
    assert read_uem(tmp_path / "quiet.uem") == {"quiet": [Segment(0, 3)]}
    assert Timeline((), 0.0).to_uem() == ""


# --- CSV ---


def test_no_cell_is_a_formula() -> None:
    """Names a spreadsheet would run begin with an apostrophe; others are as they are."""
    names = [row["speaker"] for row in csv.DictReader(io.StringIO(named(*NAMES).to_csv()))]
    assert names == [
        "ann",
        "Zoë B",
        "'=cmd()",
        "''=x",
        "'t Hooft",
        '"quoted" "',
        "SPEAKER_00",
        "a,b;c",
        "'-5",
        "<v>&amp;",
    ]


def named(*names: str) -> Timeline:
    return Timeline(
        tuple(Turn(Segment(at, at + 1), name) for at, name in enumerate(names)), float(len(names))
    )


def test_csv_of_others(tmp_path: Path) -> None:
    """Three columns in any order are enough, further ones are passed over, TRUE is true."""
    path = tmp_path / "mine.csv"
    path.write_text("speaker,remark,end_s,start_s,named\nann,hm,2.5,1,TRUE\n", encoding="utf-8-sig")
    assert Timeline.read_csv(path) == Timeline((Turn(Segment(1, 2.5), "ann", named=True),), 2.5, "mine")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "line 1: no column start_s, end_s, speaker in the header"),
        ("start_s,end_s\n1,2\n", "line 1: no column speaker in the header"),
        ("start_s,end_s,speaker\n1,2,a\n2,x,b\n", "line 3: 'x' in column end_s is no number"),
        ("start_s,end_s,speaker\n,2,a\n", "line 2: a turn without a start or an end"),
        ("start_s,end_s,speaker\n1\n", "line 2: a turn without a start or an end"),
        ("start_s,end_s,speaker\n2,1,a\n", "line 2: A segment from 2.0 to 1.0 s is no stretch of time"),
        ("start_s,end_s,speaker\n1,nan,a\n", "is no stretch of time"),
        ("start_s,end_s,speaker\n1,2,\n", "line 2: '' is no speaker name"),
        ("start_s,end_s,speaker,named\n1,2,a,yes\n", "'yes' in column named is neither true nor false"),
        ("start_s,end_s,speaker,confidence\n1,2,a,7\n", "A confidence of 7.0 was given for a"),
        ("start_s,end_s,speaker,suggestion\n1,2,a,b\n", "a suggestion without its LLR and threshold"),
        ('start_s,end_s,speaker\n1,2,"a\n', "unexpected end of data"),
        ("start_s,end_s,speaker\n1,2," + "x" * 200_000 + "\n", "field larger than field limit"),
    ],
)
def test_hostile_csv(text: str, found: str, tmp_path: Path) -> None:
    """The sentence names the file, the line and what is wrong with it."""
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        Timeline.read_csv(path)
    assert caught.value.code == "csv_invalid"
    assert caught.value.message.startswith(f"{path}, line ")
    assert found in caught.value.message


# --- TextGrid ---


def test_textgrids_of_others(tmp_path: Path) -> None:
    """Praat's short form, UTF-16, a point tier, a transcript as text, comments."""
    path = tmp_path / "praat.TextGrid"
    path.write_text(
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n3.5\n<exists>\n2\n'
        '"IntervalTier" "Zoë"\n0 3.5 3\n0 1 ""\n1 2.25 "she said ""no 5 times"" [2]" ! a comment 9\n2.25 3.5 " "\n'
        '"TextTier"\n"beeps"\n0 3.5 1\n1.5 "beep"\n',
        encoding="utf-16",
    )
    assert Timeline.read_textgrid(path) == Timeline((Turn(Segment(1, 2.25), "Zoë"),), 3.5, "praat")


HEAD = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "it ends too early"),
        ('"x" "y" 0 1', 'it does not begin with "ooTextFile" and "TextGrid"'),
        (HEAD + '0 "x"', "'x' where a number should be"),
        (HEAD + "0 1 <exists> 1.5", "a count of 1.5"),
        (HEAD + "0 1 <exists> -1", "a count of -1"),
        (HEAD + "0 1 <exists> 1e99", "a count of 1e+99"),
        (HEAD + '0 1 <exists> 1 "IntervalTier" "a" 0 1 1e300', "it ends too early"),
        (HEAD + '0 1 <exists> 1 "Table" "a" 0 1 0', "a tier of kind 'Table'"),
        (HEAD + '0 1 <exists> 1 "IntervalTier" "a" 0 1 1 0 1 2', "a number (2.0) where a text should be"),
        (HEAD + '0 1 <exists> 1 "IntervalTier" "a" 0 1 1 1 0 "x"', "is no stretch of time"),
        (HEAD + '0 1 <exists> 1 "IntervalTier" "" 0 1 1 0 1 "x"', "'' is no speaker name"),
        (HEAD + '0 1 <exists> 1 "IntervalTier" "a', "it ends too early"),
    ],
)
def test_hostile_textgrids(text: str, found: str, tmp_path: Path) -> None:
    """Truncated, of another kind, lying about its counts."""
    path = tmp_path / "bad.TextGrid"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        Timeline.read_textgrid(path)
    assert caught.value.code == "textgrid_invalid"
    assert caught.value.message.startswith(f"{path} is no TextGrid: ")
    assert found in caught.value.message


def test_tiers_are_without_gap_or_overlap() -> None:
    """As Praat wants them, also where turns of one speaker overlap each other."""
    rng = np.random.default_rng(8)
    turns = tuple(
        Turn(Segment(start, start + float(rng.uniform(0.0001, 9))), "ann")
        for start in rng.uniform(0, 60, 30).tolist()
    )
    text = Timeline(turns, 70.0).to_textgrid()
    bounds = [
        (float(start), float(end)) for start, end in re.findall(r" {12}xmin = (.*)\n +xmax = (.*)\n", text)
    ]
    assert bounds[0][0] == 0
    assert bounds[-1][1] == 70
    assert all(left[1] == right[0] for left, right in itertools.pairwise(bounds))
    assert all(start < end for start, end in bounds)


# --- pyannote ---


def test_annotation_round_trip() -> None:
    """Every turn becomes a track and comes back, also two of the same time and two of one speaker."""
    core = pytest.importorskip(
        "pyannote.core", reason="pyannote.core is an extra: pip install 'voxid[pyannote]'"
    )
    rng = np.random.default_rng(9)
    for _ in range(20):
        talk = random_talk(rng)
        annotation = talk.to_annotation()
        assert isinstance(annotation, core.Annotation)
        assert len(list(annotation.itertracks())) == len(talk.turns)
        back = Timeline.from_annotation(annotation, duration_s=20.5)
        assert [(one.segment, one.speaker) for one in back.turns] == [
            (one.segment, one.speaker) for one in talk.turns
        ]
        assert back.uri == "talk"
    twins = Timeline(
        (Turn(Segment(0, 1), "a"), Turn(Segment(0, 1), "b"), Turn(Segment(1, 1.0000001), "a")), 2.0
    )
    tracks = list(twins.to_annotation().itertracks(yield_label=True))
    assert [(track, label) for _, track, label in tracks] == [(0, "a"), (1, "b"), (2, "a")]


def test_annotation_speaks_as_pyannote_does() -> None:
    """Speech time, overlap and support of the same turns agree with pyannote's own."""
    pytest.importorskip("pyannote.core", reason="pyannote.core is an extra: pip install 'voxid[pyannote]'")
    annotation = TALK.to_annotation()
    assert annotation.uri == "my meeting"
    assert dict(annotation.chart()) == pytest.approx({name: TALK.speech_s(name) for name in TALK.speakers})
    assert [(one.start, one.end) for one in annotation.get_overlap()] == [
        (one.start_s, one.end_s) for one in TALK.overlaps()
    ]
    assert annotation.get_timeline().support().duration() == pytest.approx(TALK.speech_s())


def test_annotations_of_others() -> None:
    """Labels of any kind are written out; what has no place on a recording is refused."""
    core = pytest.importorskip(
        "pyannote.core", reason="pyannote.core is an extra: pip install 'voxid[pyannote]'"
    )
    annotation = core.Annotation()
    annotation[core.Segment(1, 2)] = 7
    assert Timeline.from_annotation(annotation) == Timeline((Turn(Segment(1, 2), "7"),), 2.0, "audio")
    annotation[core.Segment(-1, 2)] = "early"
    with pytest.raises(InputError) as caught:
        Timeline.from_annotation(annotation)
    assert caught.value.code == "segment_invalid"
    with pytest.raises(InputError) as caught:
        Timeline.from_annotation([("ann", 1, 2)])  # type: ignore[arg-type]
    assert caught.value.code == "annotation_invalid"
    assert caught.value.message == "A list was given; expected a pyannote.core.Annotation."


def test_without_pyannote_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coded error with the command to install it."""
    monkeypatch.setitem(sys.modules, "pyannote.core", None)
    for exchange in (TALK.to_annotation, lambda: Timeline.from_annotation(object())):  # type: ignore[arg-type]
        with pytest.raises(ConfigError) as caught:
            exchange()
        assert caught.value.code == "pyannote_extra_missing"
        assert caught.value.message.endswith("pip install 'voxid[pyannote]'.")


# --- RTTM, files ---


def test_rttm_carries_confidence(tmp_path: Path) -> None:
    """In the ninth field; another tool's score that is no probability is no confidence."""
    path = tmp_path / "x.rttm"
    path.write_text(
        "".join(
            f"SPEAKER x 1 {at} 1 <NA> <NA> a {field} <NA>\n"
            for at, field in enumerate(["0.25", "<NA>", "-3", "inf"])
        )
        + "SPEAKER x 1 9 1 <NA> <NA> a\n",
        encoding="utf-8",
    )
    assert [one.confidence for one in Timeline.read_rttm(path).turns] == [0.25, None, None, None, None]


def test_files_are_written(tmp_path: Path) -> None:
    """Each format to its file; a place that cannot be written is said."""
    for name in ("uem", "vtt", "csv", "textgrid", "json"):
        write, form = getattr(Timeline, f"write_{name}"), getattr(Timeline, f"to_{name}")
        write(TALK, tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8") == form(TALK)
        with pytest.raises(InputError) as caught:
            write(TALK, tmp_path / "no" / name)
        assert caught.value.code == "output_unwritable"
    assert json.loads((tmp_path / "json").read_text(encoding="utf-8"))["version"] == 3
    for name, code in (("json", "timeline"), ("csv", "csv"), ("textgrid", "textgrid")):
        with pytest.raises(InputError) as caught:
            getattr(Timeline, f"read_{name}")(tmp_path / "none")
        assert caught.value.code == f"{code}_missing"
