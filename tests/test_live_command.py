"""``voxid live``: a file or stdin becomes events and a final timeline; bad input is told by a code."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import time
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("onnx", reason="needs the train extra: pip install 'voxid[train]'")

from loudness_segmenter import write_segmenter
from voxid.audio import load
from voxid.cli import main
from voxid.cli.live import Interruption
from voxid.cli.sources import open_source, play, read_raw
from voxid.errors import ConfigError, InputError
from voxid.timeline import Timeline

VOICES = Path(str(resources.files("voxid") / "data" / "voices"))
ADA = VOICES / "ada" / "01.opus"


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network on disk that hears one voice wherever it is loud."""
    return write_segmenter(tmp_path_factory.mktemp("segmenter"))


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VOXID_GALLERY", raising=False)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_file_as_fast_as_possible(segmenter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Events line by line, then the timeline; the files asked for hold the same turns."""
    flags = ["--segmenter", str(segmenter), "--fast", "--json", "--rttm", "a.rttm", "--html", "a.html"]
    assert main(["live", str(ADA), *flags]) == 0
    *events, last = lines(capsys)
    assert {event["event"] for event in events} <= {"tentative", "final", "revised"}
    assert events[0]["event"] == "tentative"
    assert events[0]["at_s"] - events[0]["start_s"] < 1.1
    assert last["event"] == "timeline"
    assert last["written"] == ["a.rttm", "a.html"]
    assert last["audio_sha256"] == load(ADA).sha256
    written = Timeline.read_rttm("a.rttm")
    assert len(written.turns) == len(last["turns"]) > 0
    assert written.speakers == ("SPEAKER_00",)


def test_fewer_speakers_than_asked_for_lose_no_call(
    segmenter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the end of a call it is too late to refuse: what was told stands."""
    assert main(["live", str(ADA), "--segmenter", str(segmenter), "--fast", "--speakers", "9"]) == 0
    told = capsys.readouterr()
    assert "SPEAKER_00" in told.out
    assert "9 voices were asked for, heard are 1" in " ".join(told.err.split())


def test_a_person_reads_turns_and_a_table(segmenter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["live", str(ADA), "--segmenter", str(segmenter), "--fast"]) == 0
    told = capsys.readouterr().out
    assert "#0  SPEAKER_00" in told
    assert "who" in told


def test_raw_samples_on_stdin(
    segmenter: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """16-bit samples at 8 kHz; the picture asked for is drawn from what was heard."""
    half = (load(ADA).samples[::2] * 32_767).astype("<i2")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(half.tobytes())))
    flags = ["--rate", "8000", "--segmenter", str(segmenter), "--json", "--svg", "call.svg"]
    assert main(["live", "-", *flags]) == 0
    last = lines(capsys)[-1]
    assert last["uri"] == "stdin"
    assert last["duration_s"] == pytest.approx(len(half) / 8_000, abs=0.01)
    assert last["turns"]
    assert Path("call.svg").read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_silence_is_a_timeline_without_turns(
    seconds: float, segmenter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write("silence.wav", np.zeros(round(16_000 * seconds)), 16_000)
    assert main(["live", "silence.wav", "--segmenter", str(segmenter), "--fast", "--json"]) == 0
    (last,) = lines(capsys)
    assert last["turns"] == []


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (["missing.wav"], "audio_missing", "InputError"),
        (["nan.wav"], "audio_not_finite", "InputError"),
        ([str(ADA), "--latency", "0.7"], "latency_invalid", "InputError"),
        ([str(ADA), "--segmenter", "nowhere"], "segmenter_missing", "InputError"),
        ([str(ADA), "--speakers", "0"], "speaker_count_invalid", "InputError"),
        ([str(ADA), "--gallery", "nobody.voxid"], "store_missing", "InputError"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], code: str, kind: str, segmenter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write("nan.wav", np.full(16_000, np.nan, np.float32), 16_000, subtype="FLOAT")
    if "--segmenter" not in arguments:
        arguments = [*arguments, "--segmenter", str(segmenter)]
    assert main(["live", *arguments, "--fast", "--json"]) == 2
    (told,) = lines(capsys)
    assert (told["error"], told["kind"]) == (code, kind)


def test_a_file_on_stdin_is_refused() -> None:
    with pytest.raises(InputError, match="expected raw samples") as caught:
        list(read_raw(io.BytesIO((VOICES / "ada" / "01.opus").read_bytes())))
    assert caught.value.code == "stdin_not_raw"


def test_half_a_sample_waits_for_its_other_half() -> None:
    class Dripping(io.BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            return self.read(3)

    samples = np.arange(-50, 50, dtype="<i2")
    assert np.array_equal(np.concatenate(list(read_raw(Dripping(samples.tobytes())))), samples)


def test_a_microphone_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sounddevice", None)
    with pytest.raises(ConfigError, match=r"pip install 'voxid\[microphone\]'") as caught:
        next(open_source(None, 16_000, 1.0, None).blocks)
    assert caught.value.code == "microphone_extra_missing"


def test_a_file_plays_at_its_speed() -> None:
    waveform = load((np.zeros(16_000, np.float32), 16_000))
    started_s = time.monotonic()
    heard = sum(len(block) for block in play(waveform, 4.0))
    assert heard == 16_000
    assert time.monotonic() - started_s >= 0.24


def test_ctrl_c_ends_the_call_after_the_sound_in_hand() -> None:
    """Interrupted while hearing, the piece is heard to its end; while waiting, the wait ends at once."""
    heard = []
    with Interruption() as interruption:
        for piece in range(5):
            with interruption.held():
                if piece == 2:
                    os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)
                heard.append(piece)
            if interruption.asked:
                break
    assert heard == [0, 1, 2]
    started_s = time.monotonic()
    with Interruption():
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        time.sleep(30)
    assert time.monotonic() - started_s < 20
