"""Gates: a small grammar, refused when it asks for what is not measured, failing with the number and its interval."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from voxid.decision import ThresholdProfile
from voxid.errors import InputError
from voxid.evaluate import evaluate_scores, read_trials
from voxid.evaluate.bootstrap import Estimate
from voxid.evaluate.cohorts import CohortTable, Disparity, Threshold
from voxid.evaluate.conditions import parse_conditions
from voxid.evaluate.gates import check_gates, parse_gates, require_measured
from voxid.evaluate.study import ConditionResult, Study
from voxid.evaluate.verification_report import Refusals, VerificationReport


@pytest.fixture
def report(tmp_path: Path) -> VerificationReport:
    """12 people with overlapping scores."""
    paths = [f"p{person}/{clip}.wav" for person in range(12) for clip in range(4)]
    lines = [f"{int(a[:3] == b[:3])} {a} {b}\n" for i, a in enumerate(paths) for b in paths[i + 1 :]]
    (tmp_path / "trials.txt").write_text("".join(lines))
    trials = read_trials(tmp_path / "trials.txt")
    llrs = np.random.default_rng(0).normal(0, 1.5, len(trials)) + np.where(trials.is_target, 3.0, -3.0)
    profiles = {"far_1pct": ThresholdProfile("far_1pct", 0.01, 0.0, None, 3_000, 3_000, 0.1)}
    made = evaluate_scores(trials, llrs, llrs=llrs, model_id="made", profiles=profiles, resamples=50)
    return replace(made, refused=Refusals(200, 3, 1))


@pytest.fixture
def study(report: VerificationReport) -> Study:
    """With a condition and a disparity beside the clean list."""
    noisy = ConditionResult(parse_conditions("noise5")[0], replace(report, condition="noise5"), 0)
    table = CohortTable(
        "sex", True, False, Threshold("far_1pct", 0.0, 0.01, True), (),
        (Disparity("frr", "m", "f", Estimate(2.5, 1.2, None), None), Disparity("far", "m", "f", None, 4.0)),
    )  # fmt: skip
    return Study(report, conditions=(noisy,), cohorts=(table,))


def test_a_broken_gate_says_which_number_and_interval(study: Study) -> None:
    """Rates are compared and told in percent."""
    eer = study.report.metrics["eer"]
    result = check_gates(parse_gates(["eer>.001"]), study)[0]
    assert result.failed
    assert result.sentence == (
        f"Gate 'eer>.001' fails: eer is {100 * eer.value:.4g} % [{100 * eer.low:.4g}, {100 * eer.high:.4g}], "
        "which is above 0.001 %."
    )


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        ("eer > 50", False),
        ("eer<50%", True),
        ("auc<99.999", True),
        ("cllr>=0", True),
        ("min_cllr > 1.0", False),
        ("act_dcf_p01>1000", False),
        ("refused>1.9", True),
        ("refused>2", False),
        ("frr@far_1pct>99", False),
        ("far@far_1pct > 0", True),
        ("noise5:eer>0", True),
        ("frr_disparity@sex>2", True),
        ("frr_disparity@sex>2.6", False),
        ("far_disparity@sex>3.9", True),
    ],
)
def test_gates_compare_what_they_say(study: Study, text: str, failed: bool) -> None:
    """Every measure, sign and place."""
    assert check_gates(parse_gates([text]), study)[0].failed is failed


def test_a_limit_is_not_above_itself(study: Study) -> None:
    """Equal is not above; >= says at or above."""
    value = study.report.metrics["cllr"].value
    strict, loose = parse_gates([f"cllr>{value!r}", f"cllr>={value!r}"])
    assert [result.failed for result in check_gates((strict, loose), study)] == [False, True]


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        (
            "eer",
            "gate_invalid",
            "The gate 'eer' cannot be read; expected a measure, <, <=, > or >=, and a number",
        ),
        ("eer>five", "gate_invalid", "cannot be read"),
        ("eer>5; rm -rf", "gate_invalid", "cannot be read"),
        ("5<eer", "gate_invalid", "cannot be read"),
        ("cllr>30%", "gate_invalid", "gives cllr in percent; expected a plain number"),
        ("err>5", "gate_metric_unknown", "asks for 'err', which is not measured; expected one of: eer, auc"),
        ("frr>5", "gate_needs_of", "does not say of what; expected a profile; write frr@<profile>"),
        ("frr_disparity>2", "gate_needs_of", "write frr_disparity@<attribute>"),
        (
            "eer@far_1pct>5",
            "gate_needs_of",
            "says of what; expected the measure alone; write eer without @far_1pct",
        ),
    ],
)
def test_what_is_no_gate_is_refused(text: str, code: str, sentence: str) -> None:
    """Before anything is measured."""
    with pytest.raises(InputError, match=sentence.replace("(", r"\(")) as caught:
        parse_gates([text])
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        (
            "noise0:eer>5",
            "gate_condition_unmeasured",
            "this run measures clean, noise5; add --conditions noise0",
        ),
        ("frr@strict>5", "gate_profile_unknown", "looks at the profile 'strict'; the bundle has far_1pct"),
        (
            "far_disparity@age>2",
            "gate_attribute_unmeasured",
            "this run measures sex; give a table with it by --cohorts",
        ),
        ("noise5:far_disparity@sex>2", "gate_condition_unmeasured", "leave out noise5:"),
    ],
)
def test_gates_on_what_is_not_measured_are_refused(text: str, code: str, sentence: str) -> None:
    """A gate that looks at nothing would always pass."""
    with pytest.raises(InputError, match=sentence) as caught:
        require_measured(parse_gates([text]), ["clean", "noise5"], ["far_1pct"], ["sex"])
    assert caught.value.code == code


def test_a_number_that_does_not_exist_is_an_error_not_a_pass(study: Study) -> None:
    """Uncalibrated systems have no Cllr."""
    bare = replace(study.report, metrics={"eer": study.report.metrics["eer"]})
    with pytest.raises(InputError, match=r"The gate 'cllr>1' has no number to look at") as caught:
        check_gates(parse_gates(["cllr>1"]), Study(bare))
    assert caught.value.code == "gate_not_measured"
