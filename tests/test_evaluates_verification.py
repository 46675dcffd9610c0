"""From trials to a verification report: cosine of averaged embeddings, LLRs, intervals, honest claims."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from voxid.bundle import default_bundle
from voxid.calibration import Calibration
from voxid.decision import ThresholdProfile
from voxid.errors import InputError
from voxid.evaluate import (
    evaluate_embeddings,
    evaluate_scores,
    evaluate_verification,
    load_embeddings,
    look_up,
    read_trials,
)
from voxid.evaluate.embeddings import network_id
from voxid.evaluate.metrics import act_dcf, cllr, eer
from voxid.evaluate.scoring import cosine_scores
from voxid.evaluate.trials import TrialList
from voxid.evaluate.utterances import MEASURES
from voxid.evaluate.verification_report import METRICS

VOICES = Path(str(files("voxid") / "data" / "voices"))


def made_embeddings(people: int, clips: int, noise: float, dim: int = 16) -> dict[str, NDArray[np.float32]]:
    """Unit vectors around one direction per person, shifted by a mean all share."""
    generator = np.random.default_rng(people)
    voices = generator.normal(0, 1, (people, dim))
    found = {}
    for person in range(people):
        for clip in range(clips):
            vector = 0.7 + voices[person] + noise * generator.normal(0, 1, dim)
            found[f"p{person}/{clip}.wav"] = (vector / np.linalg.norm(vector)).astype(np.float32)
    return found


def pair_list(folder: Path, people: int, clips: int) -> TrialList:
    """Every pair of clips."""
    paths = [f"p{person}/{clip}.wav" for person in range(people) for clip in range(clips)]
    lines = [
        f"{int(a.split('/')[0] == b.split('/')[0])} {a} {b}\n"
        for i, a in enumerate(paths)
        for b in paths[i + 1 :]
    ]
    (folder / "trials.txt").write_text("".join(lines))
    return read_trials(folder / "trials.txt")


def model_list(folder: Path, people: int, clips: int, enrolled: int) -> TrialList:
    """Models of the first clips against the others of everybody."""
    enrol = [f"m{p} " + " ".join(f"p{p}/{c}.wav" for c in range(enrolled)) + "\n" for p in range(people)]
    lines = [
        f"m{p} p{q}/{c}.wav {'target' if p == q else 'nontarget'}\n"
        for p in range(people) for q in range(people) for c in range(enrolled, clips)
    ]  # fmt: skip
    (folder / "enrol3.txt").write_text("".join(enrol))
    (folder / "trials3.txt").write_text("".join(lines))
    return read_trials(folder / "trials3.txt", folder / "enrol3.txt")


def test_enrolment_is_the_mean_of_unit_embeddings_less_the_mean_voice(tmp_path: Path) -> None:
    """Slow oracle: average, subtract, normalise, dot, one trial at a time."""
    embeddings = made_embeddings(5, 6, noise=0.5)
    trials = model_list(tmp_path, 5, 6, enrolled=3)
    mean = np.full(16, 0.15, dtype=np.float32)
    scores = cosine_scores(trials, look_up(embeddings), mean)
    for number in range(0, len(trials), 7):
        model = np.mean([embeddings[path] for path in trials.enrolment[trials.enrol[number]]], axis=0) - mean
        test = embeddings[trials.test[number]] - mean
        wanted = model @ test / np.linalg.norm(model) / np.linalg.norm(test)
        assert scores[number] == pytest.approx(wanted, abs=1e-5)


def test_every_measure_has_a_value_and_an_interval(tmp_path: Path) -> None:
    """With a calibration the report holds all six measures, the profiles and the counts."""
    trials = pair_list(tmp_path, 12, 5)
    calibration = Calibration(12.0, -6.0, 100, 100, "made up")
    profiles = {"far_1pct": ThresholdProfile("far_1pct", 0.01, 2.0, None, 100, 100, 0.1)}
    report = evaluate_embeddings(
        trials, look_up(made_embeddings(12, 5, noise=1.0)), model_id="made", calibration=calibration,
        profiles=profiles, resamples=100,
    )  # fmt: skip
    record = report.to_dict()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert (record["trials"], record["targets"], record["speakers"]) == (60 * 59 // 2, 120, 12)
    for name in METRICS:
        assert record[name]["low"] <= record[name]["high"], name
    target, nontarget = report.scores[report.is_target], report.scores[~report.is_target]
    assert record["eer"]["value"] == pytest.approx(eer(target, nontarget))
    assert record["cllr"]["value"] == pytest.approx(cllr(calibration.llr(target), calibration.llr(nontarget)))
    assert record["act_dcf_p01"]["value"] == pytest.approx(
        act_dcf(calibration.llr(target), calibration.llr(nontarget))
    )
    assert record["profiles"]["far_1pct"]["far"]["value"] == pytest.approx(
        np.mean(calibration.llr(nontarget) >= 2.0)
    )


def test_a_system_without_llrs_has_no_calibration_measures(tmp_path: Path) -> None:
    """They are null and the report says why; nothing is fitted on the test trials."""
    trials = pair_list(tmp_path, 5, 4)
    report = evaluate_embeddings(trials, look_up(made_embeddings(5, 4, 1.0)), model_id="other", resamples=10)
    record = report.to_dict()
    assert record["cllr"] is None
    assert record["act_dcf_p01"] is None
    assert any("other gives no calibrated LLRs" in note for note in report.notes)


def test_no_far_is_reported_that_the_trials_cannot_show(tmp_path: Path) -> None:
    """480 non-targets: FAR 10 % and 1 % are listed (3/480 = 0.6 %), 0.1 % is not, and the report says so."""
    trials = pair_list(tmp_path, 4, 4)
    scores = np.random.default_rng(0).normal(0, 1, len(trials)) + 2 * trials.is_target
    assert trials.nontargets == 96
    report = evaluate_scores(trials, scores, model_id="x", resamples=20)
    assert [point.point.far_wanted for point in report.far_points] == [0.1]
    assert not report.far_points[0].firm
    assert report.notes[0] == (
        "96 non-target trials: no FAR below 3.12 % is claimed (rule of 3), and below 31.2 % it rests on fewer than "
        "30 errors (rule of 30)."
    )


def test_zero_errors_are_bounded_by_the_rule_of_three(tmp_path: Path) -> None:
    """24 targets without an error: the EER's interval ends at 3/24, not at 0."""
    trials = pair_list(tmp_path, 4, 4)
    report = evaluate_scores(trials, trials.is_target.astype(float), model_id="x", resamples=50)
    assert report.metrics["eer"].value == 0.0
    assert report.metrics["eer"].high == pytest.approx(3 / 24)
    assert any("makes no error on these trials" in note for note in report.notes)


def test_scores_of_a_file_and_of_embeddings_give_one_report(tmp_path: Path) -> None:
    """The entrances meet in one measurement."""
    trials = pair_list(tmp_path, 6, 3)
    embeddings = made_embeddings(6, 3, 0.8)
    by_embeddings = evaluate_embeddings(trials, look_up(embeddings), model_id="a", resamples=30)
    by_scores = evaluate_scores(
        trials, cosine_scores(trials, look_up(embeddings)), model_id="a", resamples=30
    )
    assert by_embeddings.to_dict() == by_scores.to_dict()


def test_reads_another_systems_embeddings(tmp_path: Path) -> None:
    """An npz of paths and embeddings is enough to be compared; a missing utterance is named."""
    embeddings = made_embeddings(6, 3, 0.8)
    np.savez(
        tmp_path / "e.npz",
        paths=np.asarray(list(embeddings)),
        embeddings=3 * np.stack(list(embeddings.values())),
    )
    loaded = load_embeddings(tmp_path / "e.npz")
    assert np.allclose(loaded["p0/0.wav"], embeddings["p0/0.wav"], atol=1e-6)
    with pytest.raises(InputError, match="There is no embedding of q.wav"):
        look_up(loaded)("q.wav")


@pytest.mark.parametrize(
    ("paths", "vectors", "sentence"),
    [
        (["a"], np.zeros((1, 4)), "zero or not finite"),
        (["a"], np.full((1, 4), np.nan), "zero or not finite"),
        (["a", "b"], np.ones((1, 4)), r"paths \(2,\) and embeddings \(1, 4\)"),
    ],
)
def test_rejects_embeddings_that_are_none(
    tmp_path: Path, paths: list[str], vectors: NDArray[np.float64], sentence: str
) -> None:
    """A zero vector has no direction to compare."""
    np.savez(tmp_path / "e.npz", paths=np.asarray(paths), embeddings=vectors)
    with pytest.raises(InputError, match=sentence) as caught:
        load_embeddings(tmp_path / "e.npz")
    assert caught.value.code == "embeddings_invalid"


def test_rejects_a_file_that_is_no_npz(tmp_path: Path) -> None:
    """Text, pickles and missing files are refused with one sentence."""
    (tmp_path / "e.npz").write_text("hello")
    np.save(tmp_path / "pickle.npy", np.asarray([{"a": 1}], dtype=object))
    for name in ("e.npz", "pickle.npy", "none.npz"):
        with pytest.raises(InputError, match="cannot be read as embeddings"):
            load_embeddings(tmp_path / name)


def test_scores_must_fit_the_trials(tmp_path: Path) -> None:
    """One score too few is refused."""
    trials = pair_list(tmp_path, 3, 2)
    with pytest.raises(InputError, match="expected one score per trial"):
        evaluate_scores(trials, np.zeros(len(trials) - 1), model_id="x")


def voice_lists(folder: Path) -> TrialList:
    """Two clips of each sample voice of the package, every pair."""
    clips = [
        f"{voice.name}/{clip:02d}.opus"
        for voice in sorted(VOICES.iterdir())
        if voice.is_dir()
        for clip in (1, 2)
    ]
    clips = [clip for clip in clips if (VOICES / clip).is_file()]
    lines = [
        f"{int(a.split('/')[0] == b.split('/')[0])} {a} {b}\n"
        for i, a in enumerate(clips)
        for b in clips[i + 1 :]
    ]
    (folder / "voices.txt").write_text("".join(lines))
    return read_trials(folder / "voices.txt")


def test_measures_the_default_bundle_on_audio_and_again_from_its_cache(tmp_path: Path) -> None:
    """The second run reads no audio twice and reports the same numbers."""
    trials = voice_lists(tmp_path)
    shares: list[float] = []
    first = evaluate_verification(
        trials, VOICES, cache_dir=tmp_path / "cache", resamples=50, progress=shares.append
    )
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert first.model_id == default_bundle().id
    assert first.metrics["auc"].value > 0.9
    kept = sorted(path.name for path in (tmp_path / "cache").iterdir())
    assert kept == [f"{network_id(default_bundle())}.npz", f"speech-{MEASURES}.json"]
    second = evaluate_verification(trials, VOICES, cache_dir=tmp_path / "cache", resamples=50)
    assert second.to_dict() == first.to_dict()


def test_a_missing_recording_is_named(tmp_path: Path) -> None:
    """No trial is scored without its audio."""
    (tmp_path / "t.txt").write_text("1 ada/01.opus ada/99.opus\n0 ada/01.opus bruno/01.opus\n")
    with pytest.raises(
        InputError, match=r"There is no file .*99\.opus; expected the audio of a trial"
    ) as caught:
        evaluate_verification(tmp_path / "t.txt", VOICES)
    assert caught.value.code == "audio_missing"
