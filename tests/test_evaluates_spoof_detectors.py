"""Detectors on audio: verdicts on a protocol and on genuine speech, by cohort; the page and the gates that follow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from level_detector import SPOOF_GAIN, SUSPICIOUS_GAIN, write_detector
from voxid.audio import Waveform, load
from voxid.cli.app import main
from voxid.errors import InputError
from voxid.evaluate.spoof import evaluate_spoof_scores
from voxid.evaluate.spoof_gates import check_spoof_gates, parse_spoof_gates
from voxid.evaluate.spoof_genuine import GenuineReport, evaluate_genuine, read_genuine_set
from voxid.evaluate.spoof_hearing import hear_trials
from voxid.evaluate.spoof_page import draw_spoof_page, write_spoof_page
from voxid.evaluate.spoof_protocol import read_protocol, read_spoof_scores, write_spoof_scores
from voxid.evaluate.spoof_report import SpoofReport
from voxid.spoof.verdict import SpoofOutcome, SpoofVerdict

RATE_HZ = 16_000
VOICES = Path(__file__).parents[1] / "src" / "voxid" / "data" / "voices"


@dataclass
class LoudnessDetector:
    """Loud is genuine, soft is spoof, in between suspicious; silence is nothing it can tell of."""

    id: str = "loudness@1"
    card: Mapping[str, Any] = field(
        default_factory=lambda: {"thresholds": {"synthetic": {"spoof_llr": -1.0, "genuine_llr": 1.0}}}
    )
    heard: list[str] = field(default_factory=list)

    def detect(self, waveform: Waveform, regions: object = None) -> SpoofVerdict:
        self.heard.append(waveform.uri)
        level = float(np.sqrt(np.mean(np.square(waveform.samples))))
        if level < 1e-4:
            return self.verdict(SpoofOutcome.CANNOT_TELL, None)
        llr = float(np.log(level / 0.1))
        outcome = "spoof" if llr < -1.0 else "suspicious" if llr < 1.0 else "genuine"
        return self.verdict(SpoofOutcome(outcome), llr)

    def verdict(self, outcome: SpoofOutcome, llr: float | None) -> SpoofVerdict:
        replay = None if llr is None else llr - 5.0
        return SpoofVerdict(outcome, llr, replay, 2.0, 4.0, 1.0, 8_000.0, self.id, "by loudness")


def tone(path: Path, llr: float) -> None:
    """Write a second of sound at which the detector gives this LLR."""
    path.parent.mkdir(parents=True, exist_ok=True)
    level = 0.1 * np.exp(llr) * np.sqrt(2.0)
    samples = level * np.sin(2.0 * np.pi * 200.0 * np.arange(RATE_HZ) / RATE_HZ)
    soundfile.write(path, samples.astype(np.float32), RATE_HZ, subtype="FLOAT")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten genuine recordings, one of them silent; five spoofs of each of two generators; one file that is no audio."""
    lines = ["path,label,generator,family,corpus,speaker"]
    for n in range(10):
        tone(tmp_path / f"g{n}.wav", -np.inf if n == 9 else -1.5 if n == 8 else 1.2 + 0.1 * n)
        lines.append(f"g{n}.wav,genuine,,,page,p{n // 2}")
    for name, family, llr in (("soft", "tts", -2.0), ("louder", "replay", 0.0)):
        for n in range(5):
            tone(tmp_path / f"{name}{n}.wav", llr + 0.5 * (n == 4))
            lines.append(f"{name}{n}.wav,spoof,{name},{family},page,")
    (tmp_path / "broken.wav").write_bytes(b"no audio at all")
    lines.append("broken.wav,spoof,broken,tts,page,")
    (tmp_path / "protocol.csv").write_text("\n".join(lines))
    return tmp_path


def measured(folder: Path, head: str = "synthetic") -> SpoofReport:
    trials = read_protocol(folder / "protocol.csv")
    scored, notes = hear_trials(LoudnessDetector(), trials, folder, head)
    return evaluate_spoof_scores(trials, scored, notes=notes, resamples=20)


def test_verdicts_are_counted_and_unusable_files_are_said(folder: Path) -> None:
    report = measured(folder)
    assert report.outcomes["genuine"] == {"genuine": 8, "suspicious": 0, "spoof": 1, "cannot_tell": 1}
    assert report.outcomes["spoof"] == {"genuine": 0, "suspicious": 5, "spoof": 5, "cannot_tell": 1}
    assert report.unscored == {"genuine": 1, "spoof": 1}
    assert report.thresholds == (-1.0, 1.0)
    assert "broken.wav: audio_unknown_format); they count as cannot tell" in " ".join(report.notes)
    assert "5 recordings are of the family replay" in " ".join(report.notes)


def test_the_head_chooses_the_score(folder: Path) -> None:
    synthetic, joint = measured(folder), measured(folder, "joint")
    assert joint.thresholds is None
    assert np.allclose(synthetic.scores - joint.scores, np.log(0.5 + 0.5 * np.exp(5.0)))
    with pytest.raises(InputError, match="expected one of synthetic, replay, joint"):
        measured(folder, "video")


def test_scores_are_written_as_they_are_read(folder: Path) -> None:
    """Measured again from the file, with its verdicts, the report is the same."""
    trials = read_protocol(folder / "protocol.csv")
    scored, _ = hear_trials(LoudnessDetector(), trials, folder)
    write_spoof_scores(trials, scored, folder / "scores.csv")
    again = read_spoof_scores(folder / "scores.csv", trials, are_llrs=True)
    assert np.array_equal(again.scores, scored.scores, equal_nan=True)
    assert again.outcomes == scored.outcomes
    with pytest.raises(InputError, match="Cannot write the scores"):
        write_spoof_scores(trials, scored, folder / "nowhere" / "scores.csv")


def test_nothing_is_heard_when_a_file_is_missing(folder: Path) -> None:
    (folder / "soft3.wav").unlink()
    detector = LoudnessDetector()
    with pytest.raises(InputError, match=r"1 of 21 files are not below .*, first soft3.wav"):
        hear_trials(detector, read_protocol(folder / "protocol.csv"), folder)
    assert detector.heard == []


def test_a_recording_is_heard_once_however_often_it_is_listed(folder: Path) -> None:
    (folder / "twice.csv").write_text(
        "path,label,generator,family\ng1.wav,genuine,,tts\ng1.wav,genuine,,vc\nsoft0.wav,spoof,soft,tts\n"
    )
    detector = LoudnessDetector()
    hear_trials(detector, read_protocol(folder / "twice.csv"), folder)
    assert detector.heard == ["g1", "soft0"]


@pytest.fixture(scope="module")
def flagged(tmp_path_factory: pytest.TempPathFactory) -> GenuineReport:
    """Six men, never flagged; six women, every second recording flagged; three people of whom nothing is stated."""
    tmp_path = tmp_path_factory.mktemp("flagged")
    lines = ["speaker\tsex"]
    for person in range(15):
        sex = "m" if person < 6 else "f" if person < 12 else ""
        for n in range(2):
            tone(tmp_path / "people" / f"p{person:02}" / f"{n}.wav", -2.0 if sex == "f" and n % 2 else 1.5)
        lines.append(f"p{person:02}\t{sex}")
    table = tmp_path / "speakers.tsv"
    table.write_text("\n".join(lines) + "\n")
    return evaluate_genuine(
        LoudnessDetector(), read_genuine_set(tmp_path / "people"), cohorts=table, resamples=50
    )


def test_genuine_speech_falsely_flagged_is_counted_by_cohort(flagged: GenuineReport) -> None:
    cohorts = {(cohort.attribute, cohort.value): cohort for cohort in flagged.cohorts}
    assert flagged.whole.flagged is not None
    assert flagged.whole.flagged.value == pytest.approx(6 / 30)
    women, men, unstated = (cohorts["sex", value] for value in ("f", "m", "not stated"))
    assert women.flagged is not None
    assert women.flagged.value == 0.5
    assert men.flagged is not None
    assert men.flagged.high is not None
    assert men.flagged.high >= 3 / 12  # none of 12: not zero
    assert unstated.flagged is None
    assert unstated.speakers == 3
    assert {attribute for attribute, _ in cohorts} == {"sex", "seconds of speech", "SNR", "channel"}


def test_genuine_sets_come_from_trial_lists_too(folder: Path) -> None:
    (folder / "trials.txt").write_text("1 g0.wav g1.wav\n1 g2.wav g3.wav\n0 g0.wav g2.wav\n")
    of = read_genuine_set(folder / "trials.txt")
    assert of.trials.test == ("g0.wav", "g1.wav", "g2.wav", "g3.wav")
    assert of.speakers[0] == of.speakers[1] != of.speakers[2]
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match="holds no audio files; expected recordings of people"):
        read_genuine_set(folder / "empty")


def test_page_names_every_generator_and_loads_nothing(folder: Path, flagged: GenuineReport) -> None:
    report = measured(folder)
    write_spoof_page(
        report, folder / "page.html", [flagged], check_spoof_gates(parse_spoof_gates(["eer>99"]), report)
    )
    page = (folder / "page.html").read_text()
    for name in ("soft", "louder", "broken", "tts", "replay", "sex: f", "too few people", "passes"):
        assert name in page
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert "Genuine speech only" in draw_spoof_page(None, [flagged])


def test_gates_look_at_what_was_measured(folder: Path, flagged: GenuineReport) -> None:
    report = measured(folder)
    gates = parse_spoof_gates(
        ["eer>0", "eer@tts<50", "eer_kept@20>99", "apcer@worst>=0", "bpcer>5", "abstained>10",
         "min_tdcf>1", "flagged>5", "flagged@f>60%", "held@m>50"]
    )  # fmt: skip
    found = {result.gate.text: result for result in check_spoof_gates(gates, report, [flagged])}
    assert found["bpcer>5"].estimate.value == pytest.approx(10.0)
    assert found["bpcer>5"].failed
    assert found["flagged@f>60%"].estimate.value == pytest.approx(50.0)
    assert not found["flagged@f>60%"].failed
    assert found["flagged>5"].failed
    assert found["abstained>10"].estimate.value == pytest.approx(100 * 7 / 21)


@pytest.mark.parametrize(
    ("gate", "sentence"),
    [
        ("loudness>3", "asks for 'loudness', which is not measured"),
        ("min_tdcf@tts>1", "says of what; expected min_tdcf alone"),
        ("noise5:eer>3", "expected no condition"),
        ("min_adcf>5%", "no % with a cost"),
    ],
)
def test_refuses_gates_it_cannot_read(gate: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        parse_spoof_gates([gate])


def test_command_hears_a_detector_on_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A protocol and a genuine set at once, a page, a plot and a report, and a gate that fails the build."""
    speech = load(VOICES / "ada" / "01.opus").samples
    lines = ["path,label,generator"]
    for n, gain in enumerate((1.0, 0.9, SUSPICIOUS_GAIN, SPOOF_GAIN, SPOOF_GAIN)):
        soundfile.write(tmp_path / f"{n}.wav", gain * speech, RATE_HZ)
        lines.append(f"{n}.wav,{'genuine,' if n < 2 else 'spoof,soft'}")
    (tmp_path / "protocol.csv").write_text("\n".join(lines))
    detector = write_detector(tmp_path / "level")
    (tmp_path / "people").mkdir()
    soundfile.write(tmp_path / "people" / "a.wav", SPOOF_GAIN * speech, RATE_HZ)
    code = main(
        ["evaluate", "spoof", "--protocol", str(tmp_path / "protocol.csv"), "--detector", str(detector),
         "--genuine", str(tmp_path / "people"), "--html", str(tmp_path / "page.html"), "--plots", str(tmp_path),
         "--write-scores", str(tmp_path / "scores.csv"),
         "--report", str(tmp_path / "report.json"), "--fail-if", "apcer<=0", "--json"]
    )  # fmt: skip
    printed = json.loads(capsys.readouterr().out)
    assert code == 1
    assert printed["outcomes"]["spoof"] == {"genuine": 0, "suspicious": 1, "spoof": 2, "cannot_tell": 0}
    assert printed["genuine_sets"][0]["whole"]["outcomes"]["spoof"] == 1
    assert printed["gates"][0]["failed"]
    assert json.loads((tmp_path / "report.json").read_text()) == printed
    assert (tmp_path / "det.png").is_file()
    assert (tmp_path / "scores.csv").read_text().count("spoof") == 2
    assert "Failed." in (tmp_path / "page.html").read_text()


def test_command_needs_something_to_measure_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "spoof", "--json"]) == 2
    assert "neither --protocol nor --genuine" in json.loads(capsys.readouterr().out)["message"]


def test_a_gate_never_passes_by_silence(folder: Path) -> None:
    for text in ("eer@singing>5", "flagged>5", "eer_kept@33>1"):
        with pytest.raises(InputError, match="has no number to look at in this run"):
            check_spoof_gates(parse_spoof_gates([text]), measured(folder))
