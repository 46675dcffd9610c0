"""Closed-set ranks and open-set FNIR at FPIR, against searches written out one by one."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from voxid.calibration import Calibration
from voxid.decision import ThresholdProfile
from voxid.errors import InputError
from voxid.evaluate import (
    evaluate_identification,
    evaluate_identification_embeddings,
    look_up,
    read_trials,
)
from voxid.evaluate.identification import (
    evaluate_identification_scores,
    mate_ranks,
    open_set_searches,
    people_and_probes,
)
from voxid.evaluate.trials import TrialList

VOICES = Path(str(files("voxid") / "data" / "voices"))
Floats = NDArray[np.float64]


def model_list(folder: Path, people: int, probes: int) -> TrialList:
    """One-utterance models m0 ... against `probes` clips of everybody."""
    (folder / "enrol.txt").write_text("".join(f"m{p} p{p}/enrol.wav\n" for p in range(people)))
    lines = [
        f"m{p} p{q}/{c}.wav {'target' if p == q else 'nontarget'}\n"
        for p in range(people) for q in range(people) for c in range(probes)
    ]  # fmt: skip
    (folder / "trials.txt").write_text("".join(lines))
    return read_trials(folder / "trials.txt", folder / "enrol.txt")


def made_embeddings(people: int, probes: int, noise: float) -> dict[str, NDArray[np.float32]]:
    generator = np.random.default_rng(people)
    found = {}
    for person, voice in enumerate(generator.normal(0, 1, (people, 8))):
        for clip in ("enrol", *range(probes)):
            vector = voice + noise * generator.normal(0, 1, 8)
            found[f"p{person}/{clip}.wav"] = (vector / np.linalg.norm(vector)).astype(np.float32)
    return found


def score_table(people: int, probes: int, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    mate = np.repeat(np.arange(people), probes)
    scores = generator.normal(0, 1, (len(mate), people))
    scores[np.arange(len(mate)), mate] += 2.0
    return scores, mate


def test_rank_by_hand() -> None:
    """First, third, and a tie, which counts against the right person."""
    scores = np.asarray([[0.9, 0.1, 0.2], [0.9, 0.1, 0.2], [0.5, 0.5, 0.1]])
    assert mate_ranks(scores, np.asarray([0, 1, 0])).tolist() == [1, 3, 2]


def test_every_probe_is_a_stranger_once() -> None:
    """Over the folds each probe meets one gallery without its speaker and the others with them."""
    scores, mate = score_table(10, 3, seed=0)
    searches = open_set_searches(scores, mate, left_out_share=0.25, seed=1)
    assert searches.folds == 4
    assert searches.smallest_gallery == 7
    per_probe = searches.is_mated.reshape(4, 30)
    assert np.all(np.sum(~per_probe, axis=0) == 1)
    for person in range(10):
        assert len({tuple(row) for row in per_probe[:, mate == person].T}) == 1


def test_searches_agree_with_looking_through_the_gallery() -> None:
    """Slow oracle: sort the candidates of each gallery by hand."""
    scores, mate = score_table(9, 2, seed=3)
    searches = open_set_searches(scores, mate, left_out_share=0.34, seed=5)
    never = searches.scores.min()
    found = searches.scores.reshape(searches.folds, len(mate))
    mated = searches.is_mated.reshape(searches.folds, len(mate))
    for fold in range(searches.folds):
        gallery = [person for person in range(9) if mated[fold][mate == person].all()]
        for probe, person in enumerate(mate):
            best = max(gallery, key=lambda p: scores[probe, p])
            if person not in gallery:
                assert found[fold, probe] == scores[probe, best]
            elif best == person:
                assert found[fold, probe] == scores[probe, person]
            else:
                assert found[fold, probe] == never < scores.min()


def test_report_counts_misses_and_false_names(tmp_path: Path) -> None:
    """FNIR, FPIR at a profile and rank accuracy equal plain counting; intervals hold the values."""
    trials = model_list(tmp_path, 16, 5)
    embeddings = made_embeddings(16, 5, noise=0.9)
    calibration = Calibration(10.0, -6.0, 100, 100, "made up")
    profiles = {"strict": ThresholdProfile("strict", 0.01, 2.0, None, 100, 100, 0.1)}
    gallery, probes = people_and_probes(trials)
    scores = np.asarray(
        [[embeddings[path] @ embeddings[trials.enrolment[name][0]] for name in gallery] for path in probes]
    )
    report = evaluate_identification_scores(
        trials, calibration.llr(scores), model_id="made", profiles=profiles, resamples=200
    )
    mate = np.asarray([gallery.index(name) for name in probes.values()])
    ranks = mate_ranks(scores, mate)
    assert report.rank_accuracy[1].value == pytest.approx(np.mean(ranks == 1))
    assert report.rank_accuracy[5].value == pytest.approx(np.mean(ranks <= 5))
    searches = report.open_set
    returned = searches.scores >= 2.0
    fpir, fnir = report.profiles["strict"]
    assert fpir.value == pytest.approx(np.mean(returned[~searches.is_mated]))
    assert fnir.value == pytest.approx(np.mean(~returned[searches.is_mated]))
    for estimate in (*report.rank_accuracy.values(), *report.fnir_at_fpir.values(), fpir, fnir):
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low <= estimate.value <= estimate.high
    assert list(report.fnir_at_fpir) == [0.1, 0.05]  # 80 probes show no FPIR of 1 %
    record = report.to_dict()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert (record["people"], record["probes"], record["open_set"]["nonmated_searches"]) == (16, 80, 80)


def test_faultless_identification_is_not_called_certain(tmp_path: Path) -> None:
    """30 probes, none wrong: rank-1 accuracy of at least 90 %, no more."""
    trials = model_list(tmp_path, 10, 3)
    report = evaluate_identification_embeddings(
        trials, look_up(made_embeddings(10, 3, noise=0.01)), model_id="made", resamples=50
    )
    assert (report.rank_accuracy[1].value, report.rank_accuracy[1].low) == (1.0, 0.9)
    assert report.fnir_at_fpir[0.1].to_dict() == {"value": 0.0, "low": 0.0, "high": 0.1}


def test_refuses_lists_that_do_not_identify(tmp_path: Path) -> None:
    """Too few people, and an all-pairs list in which one person is many models."""
    with pytest.raises(
        InputError, match="3 enrolled models of 3 people and 3 probes; expected one model per person"
    ):
        people_and_probes(model_list(tmp_path, 3, 1))
    (tmp_path / "pairs.txt").write_text(
        "".join(f"1 p{p}/1 p{p}/2\n1 p{p}/2 p{p}/3\n0 p{p}/1 q/1\n" for p in range(4))
    )
    with pytest.raises(InputError, match="8 enrolled models of 4 people") as caught:
        people_and_probes(read_trials(tmp_path / "pairs.txt"))
    assert caught.value.code == "identification_impossible"


@pytest.mark.parametrize("share", [0.0, -1.0, 0.6, float("nan")])
def test_refuses_a_share_that_leaves_nobody(share: float) -> None:
    """Half the people is the most that can be left out."""
    scores, mate = score_table(6, 1, seed=0)
    with pytest.raises(
        InputError, match="as the share of people left out; expected more than 0 and at most 0.5"
    ):
        open_set_searches(scores, mate, left_out_share=share)


def test_identifies_the_sample_voices_from_audio(tmp_path: Path) -> None:
    """The default bundle ranks each of the package's voices first among them."""
    voices = sorted(voice.name for voice in VOICES.iterdir() if (voice / "02.opus").is_file())
    (tmp_path / "enrol.txt").write_text("".join(f"{voice} {voice}/01.opus\n" for voice in voices))
    lines = [f"{a} {b}/02.opus {'target' if a == b else 'nontarget'}\n" for a in voices for b in voices]
    (tmp_path / "trials.txt").write_text("".join(lines))
    report = evaluate_identification(
        tmp_path / "trials.txt",
        VOICES,
        enrol=tmp_path / "enrol.txt",
        cache_dir=tmp_path / "cache",
        resamples=20,
    )
    assert report.people == len(voices) >= 4
    assert report.rank_accuracy[5].value == 1.0
