"""``who --remember``, ``people unknown``, ``relabel`` and ``correct``: whole or not at all, and never silently."""

from __future__ import annotations

import json
import shutil
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from test_remembers_unknown_people import FRIDAY, MONDAY, clip
from voxid.audio import SAMPLE_RATE_HZ, Waveform, load
from voxid.cli import main
from voxid.cli.drafts import drafted
from voxid.errors import InputError
from voxid.segments import Segment
from voxid.timeline import Correction, Corrections, Timeline

Run = Callable[..., tuple[int, dict[str, Any]]]
BASIS = ["--remember", "--basis", "minutes of the board; assessment 12"]
CONSENT = ["--consent", "signed form 17", "--purpose", "verify,diarize-name"]


def write_wav(path: Path, waveform: Waveform) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((np.clip(waveform.samples, -1, 1) * 32767).astype("<i2").tobytes())


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two meetings as files, and the first one's timeline as JSON."""
    folder = tmp_path_factory.mktemp("recordings")
    for (waveform, timeline), name in ((MONDAY, "monday"), (FRIDAY, "friday")):
        write_wav(folder / f"{name}.wav", waveform)
        known = replace(timeline, audio_sha256=load(folder / f"{name}.wav").sha256)
        known.write_json(folder / f"{name}.json")
    return folder


@pytest.fixture
def run(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run a command in a folder with the meetings; return its exit code and what its --json says."""
    monkeypatch.chdir(tmp_path)
    for name in ("VOXID_GALLERY", "VOXID_BUNDLE", "VOXID_MASTER_KEY", "VOXID_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    for file in recordings.iterdir():
        shutil.copy(file, tmp_path)

    def call(*arguments: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = main([*arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


def gallery_bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.glob("people.voxid*")))


def test_from_meeting_to_name(run: Run, tmp_path: Path) -> None:
    """Two meetings remembered, one voice named, both timelines follow in every format; the other is forgotten."""
    for day in ("monday", "friday"):
        arguments = ["who", f"{day}.wav", "--speakers", "2", "--timeline", f"{day}.who.json", *BASIS]
        assert run(*arguments)[0] == 0
    monday, friday = (Timeline.read_json(tmp_path / f"{day}.who.json") for day in ("monday", "friday"))
    (bruno,) = set(monday.voice_ids) & set(friday.voice_ids)
    (clara,) = set(monday.voice_ids) - {bruno}
    code, listed = run("people", "unknown")
    assert code == 0
    assert {one["id"]: one["times_heard"] for one in listed["unknown"]}[bruno] == 2
    assert run("people", "unknown", "show", bruno)[1]["sightings"][0]["uri"] == "monday"

    code, refused = run("people", "unknown", "name", bruno, "Bruno")
    assert (code, refused["error"]) == (3, "consent_missing")
    assert refused["message"].endswith('Give it here: --consent "signed form 17" --purpose diarize-name.')
    code, named = run("people", "unknown", "name", bruno, "Bruno", *CONSENT)
    assert (code, named["person"], named["added"]) == (0, "Bruno", 2)

    formats = [part for name in ("rttm", "srt", "csv", "textgrid") for part in ("--format", name)]
    code, told = run("relabel", "monday.who.json", "friday.who.json", *formats)
    assert code == 0
    assert told["names"][bruno] == "Bruno"
    assert len(told["written"]) == 10
    for day in ("monday", "friday"):
        after = Timeline.read_json(tmp_path / f"{day}.who.relabelled.json")
        assert "Bruno" in after.speakers
        assert bruno not in after.speakers
        for suffix in ("rttm", "srt", "csv", "TextGrid"):
            assert "Bruno" in (tmp_path / f"{day}.who.relabelled.{suffix}").read_text(encoding="utf-8")
    code, again = run("relabel", "monday.who.json")
    assert (code, again["error"]) == (2, "output_exists")
    assert run("relabel", "monday.who.json", "friday.who.json", "--in-place")[0] == 0
    assert "Bruno" in Timeline.read_json(tmp_path / "monday.who.json").speakers

    assert run("people", "unknown", "forget", clara, "--yes")[0] == 0
    assert clara.encode() not in gallery_bytes(tmp_path)
    assert run("people", "unknown", "purge", "--dry-run")[1] == {"purged": [], "dry_run": True}


def test_nothing_is_remembered_without_grounds(run: Run, tmp_path: Path) -> None:
    """Refused before an hour of work; no gallery comes into being."""
    for arguments, code, error in (
        (["--remember"], 3, "basis_missing"),
        (["--remember", "--basis", " "], 3, "basis_missing"),
        (["--basis", "assessment 12"], 2, "remember_missing"),
        (["--remember", "--basis", "x", "--keep-days", "1000"], 2, "retention_invalid"),
    ):
        found, told = run("who", "monday.wav", *arguments)
        assert (found, told["error"]) == (code, error)
    assert not (tmp_path / "people.voxid").exists()


def test_one_turn_and_a_whole_speaker(run: Run, tmp_path: Path) -> None:
    """Beside the timeline by default, with the history of all corrections; the timeline itself stays as it was."""
    before = (tmp_path / "monday.json").read_bytes()
    assert run("correct", "monday.json", "--list")[1]["turns"][2]["turn"] == 3
    code, told = run("correct", "monday.json", "--turn", "3", "--speaker", "Bruno", "--reviewer", "Dora")
    assert (code, told["corrected"], told["written"]) == (0, 1, ["monday.corrected.json"])
    assert (tmp_path / "monday.json").read_bytes() == before
    first = Timeline.read_json(tmp_path / "monday.corrected.json")
    assert [turn.speaker for turn in first.turns] == ["SPEAKER_00", "SPEAKER_01", "Bruno", "SPEAKER_01"]
    arguments = ["--speaker", "SPEAKER_01", "--is", "Clara", "--output", "b.json", "--format", "rttm"]
    assert run("correct", "monday.corrected.json", *arguments)[0] == 0
    second = Timeline.read_json(tmp_path / "b.json")
    assert [turn.speaker for turn in second.turns] == ["SPEAKER_00", "Clara", "Bruno", "Clara"]
    assert [(one.old_label, one.new_name, one.reviewer) for one in second.history] == [
        ("SPEAKER_00", "Bruno", "Dora"),
        ("SPEAKER_01", "Clara", None),
        ("SPEAKER_01", "Clara", None),
    ]
    assert "Clara" in (tmp_path / "b.rttm").read_text(encoding="utf-8")


def test_corrections_from_the_page_and_from_a_spreadsheet(run: Run, tmp_path: Path) -> None:
    """Those of another recording are refused; a spreadsheet carries no hash and is matched by its turns."""
    talk = Timeline.read_json(tmp_path / "monday.json")
    item = Correction(talk.turns[0].segment, "SPEAKER_00", "Bruno")
    Corrections(talk.audio_sha256 or "", "monday", (item,)).write(tmp_path / "page.json")
    assert run("correct", "monday.json", "--corrections", "page.json")[0] == 0
    assert Timeline.read_json(tmp_path / "monday.corrected.json").turns[0].speaker == "Bruno"
    code, told = run("correct", "friday.json", "--corrections", "page.json")
    assert (code, told["error"]) == (2, "corrections_of_other_audio")
    turn = talk.turns[1]
    line = f"{turn.start_s:.3f},{turn.end_s:.3f},SPEAKER_01,Clara\n"
    (tmp_path / "table.csv").write_text("start_s,end_s,old_label,new_name\n" + line, encoding="utf-8")
    assert run("correct", "monday.json", "--corrections", "table.csv", "--output", "c.json")[0] == 0
    assert Timeline.read_json(tmp_path / "c.json").turns[1].speaker == "Clara"
    code, told = run("correct", "friday.json", "--corrections", "table.csv")
    assert (code, told["error"]) == (2, "correction_unmatched")


def test_nothing_is_overwritten_unless_forced(run: Run, tmp_path: Path) -> None:
    """Neither the JSON nor a format beside it; nothing at all is written then, and no draft is left."""
    (tmp_path / "out.rttm").write_text("mine", encoding="utf-8")
    before = sorted(path.name for path in tmp_path.iterdir())
    arguments = ["correct", "monday.json", "--turn", "1", "--speaker", "Bruno", "--output", "out.json"]
    code, told = run(*arguments, "--format", "rttm")
    assert (code, told["error"]) == (2, "output_exists")
    assert told["message"] == (
        "out.rttm is there already; nothing was written: choose another name, or add --force."
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert run(*arguments, "--format", "rttm", "--force")[0] == 0
    assert "Bruno" in (tmp_path / "out.rttm").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "out.json"])
    assert run(*arguments, "--format", "docx")[1]["error"] == "format_unknown"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--turn", "1"],
        ["--is", "Bruno"],
        ["--turn", "1", "--speaker", "A", "--is", "B"],
        ["--corrections", "page.json", "--turn", "1", "--speaker", "A"],
    ],
)
def test_unclear_corrections(run: Run, arguments: list[str]) -> None:
    code, told = run("correct", "monday.json", *arguments)
    assert (code, told["error"]) == (2, "correction_unclear")


REFERENCE = ["--speaker", "SPEAKER_00", "--is", "Bruno", "--add-reference", "--audio", "monday.wav"]


def test_a_correction_adds_a_reference_with_consent(run: Run, tmp_path: Path) -> None:
    """Of an enrolled person, from the corrected turns only; the same correction again adds nothing."""
    clips = [str(clip("bruno", 3)), str(clip("bruno", 4))]
    assert run("enroll", "Bruno", *clips, *CONSENT)[0] == 0
    code, told = run("correct", "monday.json", *REFERENCE)
    assert code == 0
    assert (told["reference"]["person"], told["reference"]["added"], told["reference"]["total"]) == (
        "Bruno",
        1,
        3,
    )
    spoken_s = sum(turn.duration_s for turn in MONDAY[1].turns if turn.speaker == "SPEAKER_00")
    person = run("people", "show", "Bruno")[1]
    assert max(print_["net_speech_s"] for print_ in person["voiceprints"]) <= spoken_s
    code, told = run("correct", "monday.json", *REFERENCE, "--force")
    assert (told["reference"]["added"], told["reference"]["total"]) == (0, 3)


def test_without_consent_nothing_is_written(run: Run, tmp_path: Path) -> None:
    """Not enrolled, enrolled for verification alone, opted out, or another voice: no file, no draft, no byte."""
    assert run("enroll", "Somebody", str(clip("dev", 3)), *CONSENT)[0] == 0
    for prepare, code, error in (
        ([], 3, "consent_missing"),
        (["people", "opt-out", "Bruno", "--yes"], 3, "opted_out"),
        (["people", "opt-out", "Bruno", "--lift", "--yes"], 3, "consent_missing"),
        (
            ["enroll", "Bruno", str(clip("bruno", 3)), "--consent", "form 17", "--purpose", "verify"],
            3,
            "consent_missing",
        ),
        (["people", "delete", "Bruno", "--yes"], 3, "consent_missing"),
        (["enroll", "Bruno", str(clip("clara", 3)), *CONSENT], 2, "enrollment_inconsistent"),
    ):
        if prepare:
            assert run(*prepare)[0] == 0
        before = gallery_bytes(tmp_path), sorted(path.name for path in tmp_path.iterdir())
        found, told = run("correct", "monday.json", *REFERENCE)
        assert (found, told["error"]) == (code, error), prepare
        assert (gallery_bytes(tmp_path), sorted(path.name for path in tmp_path.iterdir())) == before


def test_a_reference_needs_its_recording_and_one_person(run: Run, tmp_path: Path) -> None:
    """And nothing is added to the gallery when the timeline cannot be written."""
    clips = [str(clip("bruno", 3)), str(clip("bruno", 4))]
    assert run("enroll", "Bruno", *clips, *CONSENT)[0] == 0
    before = gallery_bytes(tmp_path)
    assert run("correct", "monday.json", *REFERENCE[:5])[1]["error"] == "reference_without_audio"
    code, told = run("correct", "monday.json", *REFERENCE[:6], "friday.wav")
    assert (code, told["error"]) == (2, "recording_of_other_timeline")
    code, told = run("correct", "monday.json", *REFERENCE, "--output", "no/folder/a.json")
    assert (code, told["error"]) == (2, "output_unwritable")
    (tmp_path / "monday.corrected.json").write_text("mine", encoding="utf-8")
    assert run("correct", "monday.json", *REFERENCE)[1]["error"] == "output_exists"
    two = ["start_s,end_s,old_label,new_name"]
    for turn, name in zip(MONDAY[1].turns, ("Bruno", "Clara"), strict=False):
        two.append(f"{turn.start_s:.3f},{turn.end_s:.3f},{turn.speaker},{name}")
    (tmp_path / "two.csv").write_text("\n".join(two), encoding="utf-8")
    arguments = ["--corrections", "two.csv", "--add-reference", "--audio", "monday.wav", "--force"]
    code, told = run("correct", "monday.json", *arguments)
    assert (code, told["error"]) == (2, "reference_unclear")
    assert told["message"].startswith("The corrections name Bruno, Clara; a reference is added for one")
    assert gallery_bytes(tmp_path) == before
    assert (tmp_path / "monday.corrected.json").read_text(encoding="utf-8") == "mine"


def test_drafts_are_taken_away(tmp_path: Path) -> None:
    """Whatever happens between writing and publishing; a file that appears meanwhile is not overwritten."""
    target = tmp_path / "a.json"

    def interrupted() -> None:
        with drafted([(target, "new")], force=False):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    with drafted([(target, "new")], force=False) as drafts:
        target.write_text("theirs", encoding="utf-8")
        with pytest.raises(InputError) as caught:
            drafts.publish()
    assert caught.value.code == "output_exists"
    assert [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()] == ["theirs"]


def test_overlapped_speech_is_no_reference(run: Run, tmp_path: Path) -> None:
    """What somebody says while another one speaks is not taken for their voice."""
    talk = Timeline.read_json(tmp_path / "monday.json")
    first, second = talk.turns[0], talk.turns[1]
    covered = replace(second, segment=Segment(first.start_s, first.end_s))
    replace(talk, turns=(first, covered)).write_json(tmp_path / "covered.json")
    code, told = run("correct", "covered.json", *REFERENCE)
    assert (code, told["error"]) == (2, "reference_empty")
