"""The affine calibration recovers known likelihood ratios and refuses trials it cannot use."""

import numpy as np
import pytest

from voxid.calibration import fit_calibration
from voxid.decision import Decision, Outcome, ThresholdProfile, choose_profile, decide
from voxid.errors import CompatibilityError, InputError
from voxid.score import center, cosine


def gaussian_scores(n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Two normal score populations with one variance: the true LLR is affine in the score."""
    rng = np.random.default_rng(5)
    return rng.normal(0.6, 0.1, n), rng.normal(0.1, 0.1, n)


def test_recovers_the_true_llr_of_gaussian_scores() -> None:
    target, nontarget = gaussian_scores()
    fitted = fit_calibration(target, nontarget, "gaussians")
    # log N(s; .6, .1) - log N(s; .1, .1) = 50 s - 17.5
    assert fitted.scale == pytest.approx(50.0, rel=0.05)
    assert fitted.offset == pytest.approx(-17.5, rel=0.05)
    assert (fitted.targets, fitted.nontargets, fitted.fitted_on) == (20_000, 20_000, "gaussians")


def test_refuses_too_few_trials() -> None:
    with pytest.raises(InputError, match="found 19 target and 50 non-target scores") as caught:
        fit_calibration(np.ones(19), np.zeros(50), "few")
    assert caught.value.code == "calibration_needs_trials"


def test_refuses_scores_that_run_backwards() -> None:
    target, nontarget = gaussian_scores(500)
    with pytest.raises(InputError, match="higher scores do not speak for the same person") as caught:
        fit_calibration(nontarget, target, "swapped")
    assert caught.value.code == "calibration_backwards"


@pytest.mark.parametrize("far", [0.01, 0.001])
def test_profile_holds_its_false_accept_rate(far: float) -> None:
    target, nontarget = gaussian_scores(40_000)
    profile = choose_profile("p", far, target, nontarget)
    accepted = (nontarget >= profile.threshold_llr).sum()
    assert accepted == int(40_000 * far)
    assert profile.frr == pytest.approx(float((target < profile.threshold_llr).mean()))
    assert profile.nontargets == 40_000


def test_profile_needs_thirty_false_accepts() -> None:
    with pytest.raises(InputError, match="needs at least 30000 non-target trials, found 29999") as caught:
        choose_profile("p", 0.001, np.ones(50), np.zeros(29_999))
    assert caught.value.code == "too_few_trials"


def test_decisions_follow_the_bands() -> None:
    profile = ThresholdProfile("p", 0.01, 2.0, 1.0, 10, 10, 0.1)
    assert [decide(llr, profile) for llr in (2.0, 1.99, 1.0, 0.99)] == [
        Outcome.ACCEPT,
        Outcome.REVIEW,
        Outcome.REVIEW,
        Outcome.REJECT,
    ]


@pytest.mark.parametrize("llr", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_is_an_error_not_a_rejection(llr: float) -> None:
    with pytest.raises(InputError, match="it must be finite"):
        decide(llr, ThresholdProfile("p", 0.01, 2.0, None, 10, 10, 0.1))


@pytest.mark.parametrize("outcome", list(Outcome))
def test_only_accept_is_true(outcome: Outcome) -> None:
    decision = Decision(outcome, "ann", 1.2345, 0.98765, "far_1pct", 0.01, 2.0, "m@1", "0" * 64, "because")
    assert bool(decision) is (outcome is Outcome.ACCEPT)
    assert decision.to_dict()["llr"] == 1.23
    assert decision.to_dict()["score"] == 0.988


def test_cosine_stays_within_bounds_and_ranks_likeness() -> None:
    rng = np.random.default_rng(1)
    vectors = center(rng.standard_normal((5, 8)), np.zeros(8))
    scores = cosine(vectors, vectors)
    np.testing.assert_allclose(np.diag(scores), 1.0, atol=1e-6)
    assert np.abs(scores).max() <= 1.0


def test_vectors_of_two_models_are_not_compared() -> None:
    with pytest.raises(CompatibilityError, match="192 and 256 dimensions") as caught:
        cosine(np.ones((1, 192)), np.ones((1, 256)))
    assert caught.value.code == "dimension_mismatch"
