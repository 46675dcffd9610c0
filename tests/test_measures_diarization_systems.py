"""The pipeline measured beside the first one, beside itself with parts known or left out, with names and seconds."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from voxid.audio import Waveform
from voxid.bundle import default_bundle
from voxid.cli.app import app
from voxid.diarize.options import DiarizeOptions
from voxid.diarize.segmentation import LocalActivity, default_segmenter
from voxid.embedding import get_embedder
from voxid.errors import InputError
from voxid.evaluate.diarization_page import draw_systems_page
from voxid.evaluate.diarization_study import (
    DiarizationPlan,
    DiarizationStudy,
    evaluate_systems,
    find_recordings,
)
from voxid.evaluate.named_speech import NamedSpeech, is_stranger, measure_names
from voxid.evaluate.systems import SYSTEMS, Listening, choose_systems, speaking, true_activity
from voxid.evaluate.turn_gates import check_turn_gates, parse_turn_gates
from voxid.features import frame_count
from voxid.segments import Segment
from voxid.timeline import Timeline, Turn, read_rttms

VOICES = Path(str(files("voxid") / "data" / "voices"))
TRUTH = next(iter(read_rttms(VOICES / "meeting.rttm").values()))


def hear_truth(waveform: Waveform) -> LocalActivity:
    """Return what a network that never errs would hear in the sample meeting."""
    return true_activity(speaking(TRUTH, TRUTH.speakers, frame_count(len(waveform.samples))))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of each sample voice, under the names of the reference."""
    folder = tmp_path_factory.mktemp("people")
    for name in TRUTH.speakers:
        (folder / name).mkdir()
        for number in (1, 2):
            shutil.copyfile(
                VOICES / name.lower() / f"{number:02d}.opus", folder / name / f"{number:02d}.opus"
            )
    return folder


@pytest.fixture(scope="module")
def study(people: Path) -> DiarizationStudy:
    plan = DiarizationPlan(people=people, strangers=0.0, segment=hear_truth, resamples=20)
    return evaluate_systems("sample", {TRUTH.uri: VOICES / "meeting.opus"}, {TRUTH.uri: TRUTH}, plan=plan)


def test_every_system_has_a_row_the_pipeline_first(study: DiarizationStudy) -> None:
    expected = [
        system.name for system in SYSTEMS if not system.needs_plda or default_bundle().plda is not None
    ]
    assert [row.system.name for row in study.results] == expected
    assert expected[0] == "network"
    if len(expected) < len(SYSTEMS):
        assert any("brings no PLDA" in note for note in study.notes)


def test_with_true_activity_hardly_anything_is_wrong(study: DiarizationStudy) -> None:
    """The network of this test never errs, so knowing the truth adds nothing, and all protocols agree on it."""
    for name in ("network", "oracle-segmentation", "oracle-vad", "oracle-count"):
        row = study.result(name)
        assert row is not None
        for protocol in row.report.der.values():
            assert protocol.value < 0.03, name
        assert row.report.count_exact.value == 1.0
    first = study.result("vad")
    assert first is not None
    assert first.report.der["collar_0_overlap"].value > 0.02, "one voice at a time cannot have the overlap"


def test_enrolled_people_carry_their_names(study: DiarizationStudy) -> None:
    row = study.results[0]
    assert study.enrolled == len(TRUTH.speakers)
    assert row.names["named"].value > 0.9
    assert row.names["named_wrong"].value < 0.05
    assert "strangers_named" not in row.names, "nobody is a stranger here"


def test_seconds_are_of_what_one_could_use(study: DiarizationStudy) -> None:
    rows = {row.system.name: row.seconds_per_hour for row in study.results}
    assert rows["oracle-vad"] is None
    assert rows["oracle-segmentation"] is None
    assert rows["network"] is not None
    assert rows["network"] > 0


def test_the_report_is_json_and_a_page(study: DiarizationStudy) -> None:
    record = json.loads(json.dumps(study.to_dict(), allow_nan=False))
    assert record["systems"][0]["report"]["protocols"]["collar_0_overlap"]["missed"] < 0.03
    gates = check_turn_gates(parse_turn_gates(["der>50"], ["network"], named=True), study)
    page = draw_systems_page(replace(study, name="<b>set</b>"), gates)
    assert "<b>set</b>" not in page
    assert "Diarization of &lt;b&gt;set&lt;/b&gt;" in page
    for row in study.results:
        assert row.system.title in page
    assert "Passed." in page
    assert "<script" not in page


@pytest.mark.parametrize(
    ("gate", "failed"),
    [
        ("der>5", False),
        ("der@collar_025_no_overlap<5%", True),
        ("vad:missed>=0", True),
        ("count_exact<80", False),
        ("named<50", False),
        ("seconds_per_hour>.000001", True),
        ("jer<=100", True),
    ],
)
def test_gates_look_at_a_system_and_a_protocol(study: DiarizationStudy, gate: str, failed: bool) -> None:
    names = [row.system.name for row in study.results]
    (result,) = check_turn_gates(parse_turn_gates([gate], names, named=True), study)
    assert result.failed is failed
    assert gate in result.sentence
    assert ("fails" if failed else "passes") in result.sentence


@pytest.mark.parametrize(
    ("gate", "code"),
    [
        ("der", "gate_invalid"),
        ("eer>5", "gate_metric_unknown"),
        ("named>5", "gate_metric_unknown"),
        ("jer@collar_0_overlap>5", "gate_needs_of"),
        ("der@collar_9>5", "gate_needs_of"),
        ("vbx:der>5", "gate_condition_unmeasured"),
    ],
)
def test_gates_on_what_is_not_measured_are_refused(gate: str, code: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_turn_gates([gate], ["network", "vad"], named=False)
    assert caught.value.code == code


def test_a_gate_without_a_number_is_an_error(study: DiarizationStudy) -> None:
    gates = parse_turn_gates(["strangers_named>1"], ["network"], named=True)
    with pytest.raises(InputError, match="has no number to look at"):
        check_turn_gates(gates, study)


def test_names_are_counted_by_what_is_said_while_who_speaks() -> None:
    """Ann has her name for 6 of 10 s and Bob's alone for 2; a stranger has Ann's for 3 of 5 s, 1 of them with her."""
    truth = Timeline(
        (Turn(Segment(0, 10), "ann"), Turn(Segment(9, 14), "guest"), Turn(Segment(20, 24), "bob")), 30.0
    )
    found = Timeline(
        (
            Turn(Segment(0, 6), "ann", named=True, llr=5.0),
            Turn(Segment(6, 8), "bob", named=True, llr=5.0),
            Turn(Segment(9, 12), "ann", named=True, llr=5.0),
            Turn(Segment(20, 24), "bob"),
        ),
        30.0,
    )
    seconds = measure_names(truth, found, ["ann", "bob"])
    assert seconds.values() == pytest.approx((14.0, 7.0, 2.0, 5.0, 2.0))
    inside = measure_names(truth, found, ["ann", "bob"], [Segment(0, 6)])
    assert inside.values() == pytest.approx((6.0, 6.0, 0.0, 0.0, 0.0))
    assert (seconds + NamedSpeech()).values() == seconds.values()


def test_strangers_are_the_same_people_for_ever() -> None:
    names = [f"person-{number}" for number in range(400)]
    strange = [name for name in names if is_stranger(name, 0.25)]
    assert 60 < len(strange) < 140
    assert not any(is_stranger(name, 0.0) for name in names)


def test_silence_is_all_missed_and_no_crash() -> None:
    waveform = Waveform(np.zeros(160_000, np.float32), "meeting", "", 16_000)
    listening = Listening(waveform, TRUTH, get_embedder(default_bundle()), DiarizeOptions(), _hear_nothing)
    for system in SYSTEMS:
        if system.hearing in ("network", "overlapped", "chunks"):
            assert system.run(listening)[0] == []


def _hear_nothing(waveform: Waveform) -> LocalActivity:
    n_frames = frame_count(len(waveform.samples))
    activity = hear_truth(waveform)
    return LocalActivity(activity.probability * 0, activity.start_frames, n_frames)


def test_unknown_systems_and_missing_recordings_are_named(tmp_path: Path) -> None:
    assert choose_systems("") == SYSTEMS
    assert [system.name for system in choose_systems("vad, network,vad")] == ["vad", "network"]
    with pytest.raises(InputError, match=r"no system 'pyannote'; expected some of network"):
        choose_systems("pyannote")
    with pytest.raises(InputError, match="has no recording of meeting"):
        find_recordings(tmp_path, ["meeting"])
    with pytest.raises(InputError, match="holds no folder NAME"):
        evaluate_systems(
            "x", {}, {"meeting": TRUTH}, plan=DiarizationPlan(choose_systems("vad"), people=tmp_path)
        )


def test_the_command_measures_writes_and_gates(tmp_path: Path) -> None:
    """From a folder of recordings with their truth; the first pipeline needs no segmentation model."""
    for ending in ("opus", "rttm"):
        shutil.copyfile(VOICES / f"meeting.{ending}", tmp_path / f"meeting.{ending}")
    page, report = tmp_path / "page.html", tmp_path / "report.json"
    arguments = ["evaluate", "diarization", "--reference", str(tmp_path), "--audio", str(tmp_path)]
    arguments += ["--systems", "vad", "--html", str(page), "--report", str(report), "--json"]
    done = CliRunner().invoke(app, [*arguments, "--fail-if", "der>90", "--fail-if", "count_exact<=100"])
    assert done.exit_code == 1, done.output
    shown = json.loads(done.stdout)
    assert [gate["failed"] for gate in shown["gates"]] == [False, True]
    assert json.loads(report.read_text())["systems"][0]["system"] == "vad"
    assert "the first pipeline" in page.read_text()


def test_the_command_measures_another_segmentation_model(tmp_path: Path) -> None:
    for ending in ("opus", "rttm"):
        shutil.copyfile(VOICES / f"meeting.{ending}", tmp_path / f"meeting.{ending}")
    model = default_segmenter()
    folder = VOICES.parents[1] / "segmenters" / model.name
    arguments = ["evaluate", "diarization", "--reference", str(tmp_path), "--audio", str(tmp_path), "--json"]
    done = CliRunner().invoke(app, [*arguments, "--systems", "chunks", "--segmenter", str(folder)])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["facts"]["Segmentation"] == model.id
    missing = CliRunner().invoke(app, [*arguments, "--segmenter", str(tmp_path / "none")])
    assert json.loads(missing.stdout)["error"] == "segmenter_missing"


def test_the_command_wants_answers_or_recordings(tmp_path: Path) -> None:
    truth = ["evaluate", "diarization", "--reference", str(VOICES / "meeting.rttm")]
    neither = CliRunner().invoke(app, [*truth, "--json"])
    assert "Found neither of --hypothesis and --audio" in neither.stdout
    mixed = CliRunner().invoke(
        app, [*truth, "--hypothesis", str(VOICES / "meeting.rttm"), "--fail-if", "der>5", "--json"]
    )
    assert "are of a run with --audio" in mixed.stdout
