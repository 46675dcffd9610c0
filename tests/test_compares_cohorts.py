"""Cohorts: rates counted by hand, intervals against a slow bootstrap, ratios with their limits, and too few said so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from voxid.decision import ThresholdProfile
from voxid.errors import InputError
from voxid.evaluate import evaluate_scores, read_trials
from voxid.evaluate.attributes import Attribute, measured_attributes, read_attributes
from voxid.evaluate.cohorts import Cohort, CohortTable, evaluate_cohorts, threshold_of
from voxid.evaluate.trials import TrialList
from voxid.evaluate.utterances import UtteranceFacts
from voxid.evaluate.verification_report import VerificationReport
from voxid.segments import Segment
from voxid.speech import SpeechQuality

PROFILE = {"far_1pct": ThresholdProfile("far_1pct", 0.01, 1.0, None, 3_000, 3_000, 0.1)}


def pair_list(folder: Path, people: int, clips: int) -> TrialList:
    """Every pair of clips; person p is in folder p<p>."""
    paths = [f"wav/p{person}/{clip}.wav" for person in range(people) for clip in range(clips)]
    lines = [
        f"{int(a.split('/')[1] == b.split('/')[1])} {a} {b}\n"
        for i, a in enumerate(paths)
        for b in paths[i + 1 :]
    ]
    (folder / "trials.txt").write_text("".join(lines))
    return read_trials(folder / "trials.txt")


def people_of(trials: TrialList, side: tuple[str, ...]) -> NDArray[np.int64]:
    return np.asarray([int(path.split("/")[1][1:]) for path in side])


def measured(trials: TrialList, harder: NDArray[np.bool_], seed: int = 0) -> VerificationReport:
    """LLRs around 3 and -3; widely spread; those of `harder` trials nearer to 0."""
    rng = np.random.default_rng(seed)
    llrs = np.where(trials.is_target, 3.0, -3.0) * np.where(harder, 0.6, 1.0) + rng.normal(
        0, 2.0, len(trials)
    )
    return evaluate_scores(trials, llrs, llrs=llrs, model_id="made", profiles=PROFILE, resamples=10)


def table_file(folder: Path, rows: list[str], header: str = "speaker\tsex") -> Path:
    path = folder / "speakers.tsv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def trials(tmp_path: Path) -> TrialList:
    return pair_list(tmp_path, people=16, clips=5)


@pytest.fixture
def halves(tmp_path: Path, trials: TrialList) -> Attribute:
    """People 0 to 7 are f, the others m."""
    return read_attributes(
        table_file(tmp_path, [f"p{n}\t{'f' if n < 8 else 'm'}" for n in range(16)]), trials
    )[0]


@pytest.fixture
def by_sex(trials: TrialList, halves: Attribute) -> tuple[VerificationReport, CohortTable]:
    report = measured(trials, people_of(trials, trials.test) >= 8)
    return report, evaluate_cohorts(report, trials, [halves], resamples=400)[0]


def cohort(table: CohortTable, value: str) -> Cohort:
    return next(found for found in table.cohorts if found.value == value)


def test_rates_are_those_counted_by_hand(
    trials: TrialList, by_sex: tuple[VerificationReport, CohortTable]
) -> None:
    """Target trials of the group; impostor trials within the group, at the shipped threshold."""
    report, table = by_sex
    assert (table.threshold.name, table.threshold.value) == ("far_1pct", 1.0)
    first, second = people_of(trials, trials.enrol) >= 8, people_of(trials, trials.test) >= 8
    assert report.llrs is not None
    for value, group in (("f", ~first & ~second), ("m", first & second)):
        found = cohort(table, value)
        targets, others = group & trials.is_target, group & ~trials.is_target
        assert (found.targets, found.nontargets, found.speakers) == (targets.sum(), others.sum(), 8)
        assert found.false_rejects == np.sum(report.llrs[targets] < 1.0)
        assert found.frr is not None
        assert found.far is not None
        assert found.frr.value == pytest.approx(np.mean(report.llrs[targets] < 1.0))
        assert found.far.value == pytest.approx(np.mean(report.llrs[others] >= 1.0))
    assert json.loads(json.dumps(table.to_dict(), allow_nan=False)) == table.to_dict()


def test_disparity_is_the_worst_over_the_best(by_sex: tuple[VerificationReport, CohortTable]) -> None:
    """The harder half has the higher rates, and the ratio is that of the two rates."""
    _, table = by_sex
    for rate in ("frr", "far"):
        found = table.disparity(rate)
        assert found is not None
        worst, best = (getattr(cohort(table, value), rate).value for value in ("m", "f"))
        assert (found.worst, found.best) == ("m", "f")
        assert found.ratio is not None
        assert found.ratio.value == pytest.approx(worst / best)
        assert found.ratio.low is not None
        assert found.ratio.low <= found.ratio.value
        assert found.ratio.high is None or found.ratio.high >= found.ratio.value


def test_intervals_are_those_of_a_slow_bootstrap(
    trials: TrialList, halves: Attribute, by_sex: tuple[VerificationReport, CohortTable]
) -> None:
    """Oracle: draw people with replacement, write every trial as often as its people were drawn, count anew."""
    report, table = by_sex
    assert report.llrs is not None
    wrong = np.where(trials.is_target, report.llrs < 1.0, report.llrs >= 1.0)
    sides = trials.speakers
    rng = np.random.default_rng(99)
    frr, ratio = [], []
    for _ in range(400):
        drawn = np.bincount(rng.integers(sides.count, size=sides.count), minlength=sides.count)
        rates = {}
        for value in ("f", "m"):
            errors = total = 0
            for at in np.flatnonzero(trials.is_target & (halves.test == value)):
                errors += drawn[sides.test[at]] * wrong[at]
                total += drawn[sides.test[at]]
            rates[value] = errors / total if total else np.nan
        frr.append(rates["m"])
        ratio.append(rates["m"] / rates["f"] if rates["f"] else np.inf)
    low, high = np.nanpercentile(frr, [2.5, 97.5])
    estimate = cohort(table, "m").frr
    assert estimate is not None
    assert estimate.low == pytest.approx(low, abs=0.02)
    assert estimate.high == pytest.approx(high, abs=0.02)
    found = table.disparity("frr")
    assert found is not None
    assert found.ratio is not None
    assert found.ratio.low == pytest.approx(np.nanpercentile(ratio, 2.5), rel=0.25)


def test_equal_groups_have_a_ratio_whose_interval_reaches_one(trials: TrialList, halves: Attribute) -> None:
    """Worst over best is above 1 by construction; the interval says when that means nothing."""
    report = measured(trials, np.ones(len(trials), dtype=bool), seed=3)
    found = evaluate_cohorts(report, trials, [halves], resamples=300)[0].disparity("frr")
    assert found is not None
    assert found.ratio is not None
    assert found.ratio.low is not None
    assert found.ratio.low < 1.0


def test_a_faultless_group_has_no_ratio_but_a_lower_end(trials: TrialList, halves: Attribute) -> None:
    """No error in 80 target trials: the rate may be as high as 3/80, so the ratio is at least that much."""
    llrs = np.where(trials.is_target, 3.0, -3.0)
    of_m = trials.is_target & (halves.test == "m")
    llrs[np.flatnonzero(of_m)[::2]] = 0.0
    report = evaluate_scores(trials, llrs, llrs=llrs, model_id="made", profiles=PROFILE, resamples=10)
    table = evaluate_cohorts(report, trials, [halves], resamples=50)[0]
    assert cohort(table, "f").targets == 80
    assert cohort(table, "f").frr is not None
    assert cohort(table, "f").frr.high == pytest.approx(3 / 80)  # type: ignore[union-attr]
    found = table.disparity("frr")
    assert found is not None
    assert found.ratio is None
    assert found.at_least == pytest.approx(0.5 / (3 / 80))


def test_small_groups_say_too_few_and_stay_out_of_the_ratio(tmp_path: Path, trials: TrialList) -> None:
    """Three people carry no rate, whatever their trials; the counts are still there."""
    rows = [f"p{n}\t{'x' if n < 3 else 'f' if n < 9 else 'm'}" for n in range(16)]
    attribute = read_attributes(table_file(tmp_path, rows), trials)[0]
    report = measured(trials, people_of(trials, trials.test) < 3)
    table = evaluate_cohorts(report, trials, [attribute], resamples=20)[0]
    few = cohort(table, "x")
    assert (few.frr, few.far, few.eer, few.speakers) == (None, None, None, 3)
    assert few.targets == 30
    found = table.disparity("frr")
    assert found is not None
    assert "x" not in (found.worst, found.best)


def test_people_who_are_not_stated_are_a_line_but_not_a_side_of_the_ratio(
    tmp_path: Path, trials: TrialList
) -> None:
    """Nobody is discriminated against by a missing entry."""
    attribute = read_attributes(table_file(tmp_path, [f"p{n}\tf" for n in range(8)]), trials)[0]
    assert attribute.order == ("f", "not stated")
    table = evaluate_cohorts(
        measured(trials, np.zeros(len(trials), bool)), trials, [attribute], resamples=10
    )[0]
    assert cohort(table, "not stated").frr is not None
    assert table.disparities == ()


def test_a_system_without_llrs_is_measured_at_its_own_threshold(trials: TrialList, halves: Attribute) -> None:
    """The FAR of 1 % is set on this very list, and the table says so."""
    scores = np.random.default_rng(0).normal(0, 1, len(trials)) + 3 * trials.is_target
    report = evaluate_scores(trials, scores, model_id="other", resamples=10)
    threshold = threshold_of(report)
    assert threshold is not None
    assert threshold.name == "FAR 0.01 on this list"
    table = evaluate_cohorts(report, trials, [halves], resamples=10)[0]
    accepted = sum(found.false_accepts for found in table.cohorts)
    assert accepted <= 0.02 * trials.nontargets


def test_ages_in_years_become_children_and_adults(tmp_path: Path, trials: TrialList) -> None:
    """6 and 17 are under 18; an empty field is not stated; other columns stay as they are."""
    rows = [f"p{n}\t{age}\txx" for n, age in enumerate(["6", "17", "18", "43", ""])]
    age, language = read_attributes(table_file(tmp_path, rows, "speaker\tage\tlanguage"), trials)
    assert age.order == ("18 and over", "under 18", "not stated")
    assert age.test[list(trials.test).index("wav/p1/4.wav")] == "under 18"
    assert language.order == ("xx", "not stated")


def test_utterances_may_have_attributes_of_their_own(tmp_path: Path, trials: TrialList) -> None:
    """They belong to the probe; commas do as well as tabs."""
    rows = [f"wav/p{n}/{c}.wav,{'phone' if c % 2 else 'desk'}" for n in range(16) for c in range(5)]
    attribute = read_attributes(table_file(tmp_path, rows, "utterance,device"), trials)[0]
    assert attribute.of_probe
    assert attribute.order == ("desk", "phone")
    assert attribute.test[list(trials.test).index("wav/p3/1.wav")] == "phone"


def test_probes_are_divided_by_what_was_measured_of_them(trials: TrialList) -> None:
    """Speech, noise and channel in buckets whose lower edge belongs to them."""

    def facts(path: str) -> UtteranceFacts:
        clip = int(path.split("/")[2][0])
        quality = SpeechQuality(9.0, (0.5, 1.0, 3.0, 8.0, 20.0)[clip], (None, 4.9, 5.0, 20.0, 30.0)[clip], 0.0,
                                -50.0 if clip == 4 else -20.0)  # fmt: skip
        return UtteranceFacts("0" * 64, (Segment(0, 1),), quality, 8_000 if clip == 3 else 16_000)

    speech, snr, channel = measured_attributes(trials, {path: facts(path) for path in set(trials.test)})
    assert speech.order == ("under 1 s", "1 to 2 s", "2 to 4 s", "8 s and more")
    assert snr.order == ("under 5 dB", "5 to 10 dB", "20 to 30 dB", "30 dB and more", "not measured")
    assert channel.order == ("telephone band", "wide band, 16 kHz")
    assert all(attribute.of_probe and not attribute.stated for attribute in (speech, snr, channel))


@pytest.mark.parametrize(
    ("content", "code", "sentence"),
    [
        ("", "cohorts_invalid", "line 1: found the columns ''; expected `speaker` or `utterance`"),
        ("person\tsex\np1\tf\n", "cohorts_invalid", "found the columns 'person"),
        ("speaker\np1\n", "cohorts_invalid", "one name per attribute"),
        ("speaker\tsex\np1\tf\nx\n", "cohorts_invalid", "line 3: found 1 fields; expected 2"),
        ("speaker\tsex\np1\tf\np1\tm\n", "cohorts_invalid", "line 3: found speaker 'p1' a second time"),
        ("speaker\tsex\n", "cohorts_invalid", "line 2: found the end of the table"),
        ("speaker\tsex\nnobody\tf\n", "cohorts_unmatched", "None of the 1 rows"),
    ],
)
def test_tables_that_say_nothing_are_refused(
    tmp_path: Path, trials: TrialList, content: str, code: str, sentence: str
) -> None:
    """With the line and what was expected there."""
    (tmp_path / "t.tsv").write_text(content)
    with pytest.raises(InputError, match=sentence.replace("(", r"\(")) as caught:
        read_attributes(tmp_path / "t.tsv", trials)
    assert caught.value.code == code


def test_a_missing_table_is_named(tmp_path: Path, trials: TrialList) -> None:
    """No cohorts are quietly left out."""
    with pytest.raises(InputError, match=r"There is no file .*none\.tsv; expected a table of speakers"):
        read_attributes(tmp_path / "none.tsv", trials)
