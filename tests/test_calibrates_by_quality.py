"""Quality measures make an LLR mean the same for a second of speech and for a minute, and never turn it round."""

from __future__ import annotations

import json

import numpy as np
import pytest

from voxid.calibration import Calibration, CalibrationTrials, QualityWeight, fit_quality_calibration
from voxid.evaluate.metrics import cllr, min_cllr

NAMES = ("probe_log_speech_s",)


def trials(n: int, seed: int) -> CalibrationTrials:
    """Scores that separate the better and lie the higher, the longer the probe."""
    rng = np.random.default_rng(seed)
    log_speech = rng.uniform(0.0, 3.0, 2 * n)
    is_target = np.arange(2 * n) < n
    centre = np.where(is_target, 0.3 + 0.1 * log_speech, 0.07 * log_speech)
    scores = centre + rng.normal(0.0, 1.0, 2 * n) * (0.25 - 0.03 * log_speech)
    return CalibrationTrials(scores, is_target, {"probe_log_speech_s": log_speech})


def cost(calibration: Calibration, of: CalibrationTrials, rows: np.ndarray) -> tuple[float, float]:
    measured = {name: values[rows] for name, values in of.measured.items()}
    llrs, target = calibration.llr(of.scores[rows], measured), of.is_target[rows]
    return cllr(llrs[target], llrs[~target]), min_cllr(llrs[target], llrs[~target])


def test_short_and_long_probes_both_mean_what_they_say() -> None:
    """On fresh trials: within 5 % of the least cost for short and for long probes, where the affine map is not."""
    plain, aware = (fit_quality_calibration(trials(20_000, 1), names, "drawn") for names in ((), NAMES))
    fresh = trials(20_000, 2)
    gaps = {"plain": [], "aware": []}
    for low, high in ((0.0, 0.5), (2.5, 3.0)):
        log_speech = fresh.measured["probe_log_speech_s"]
        rows = np.flatnonzero((log_speech >= low) & (log_speech < high))
        for name, fitted in (("plain", plain), ("aware", aware)):
            actual, least = cost(fitted, fresh, rows)
            gaps[name].append(actual / least - 1.0)
    assert max(gaps["aware"]) < 0.05 < max(gaps["plain"])


def test_a_higher_score_is_never_worth_less() -> None:
    """Whatever the qualities, also far outside the range of the fit."""
    fitted = fit_quality_calibration(trials(2_000, 3), NAMES, "drawn")
    scores = np.linspace(-1, 1, 50)
    for log_speech in (-100.0, 0.0, 1.5, 3.0, 100.0, np.nan):
        llrs = fitted.llr(scores, {"probe_log_speech_s": np.full(50, log_speech)})
        assert (np.diff(llrs) > 0).all()


def test_what_lies_outside_the_range_counts_as_its_end() -> None:
    weight = QualityWeight("probe_snr_db", low=0.0, high=30.0, neutral=15.0, shift=0.1, log_gain=0.02)
    fitted = Calibration(10.0, -4.0, 100, 100, "by hand", (weight,))
    at = {db: float(fitted.llr(0.5, {"probe_snr_db": db})) for db in (-50.0, 0.0, 15.0, 30.0, 90.0)}
    assert at[-50.0] == at[0.0] == pytest.approx(1.0 * np.exp(-0.3) - 1.5)
    assert at[90.0] == at[30.0] == pytest.approx(1.0 * np.exp(0.3) + 1.5)
    assert at[15.0] == 1.0


def test_what_was_not_measured_changes_nothing() -> None:
    """NaN, a measure left out, and no measures at all are the neutral value; no LLR is ever NaN."""
    fitted = fit_quality_calibration(trials(2_000, 4), NAMES, "drawn")
    affine = fitted.scale * 0.5 + fitted.offset
    neutral = fitted.qualities[0].neutral
    for measured in (None, {}, {"probe_log_speech_s": np.nan}, {"probe_log_speech_s": neutral}):
        assert float(fitted.llr(0.5, measured)) == pytest.approx(affine)


def test_measures_that_never_vary_are_left_out() -> None:
    drawn = trials(500, 5)
    drawn = CalibrationTrials(
        drawn.scores,
        drawn.is_target,
        {"probe_snr_db": np.full(1_000, 20.0), "enroll_snr_db": np.full(1_000, np.nan)},
    )
    assert fit_quality_calibration(drawn, ("probe_snr_db", "enroll_snr_db"), "drawn").qualities == ()


def test_missing_values_in_the_fit_pull_nowhere() -> None:
    """Half of the trials without the measure still give a calibration for both halves."""
    drawn = trials(5_000, 6)
    log_speech = drawn.measured["probe_log_speech_s"].copy()
    log_speech[::2] = np.nan
    fitted = fit_quality_calibration(
        CalibrationTrials(drawn.scores, drawn.is_target, {"probe_log_speech_s": log_speech}), NAMES, "drawn"
    )
    assert fitted.qualities[0].low >= 0.0
    assert np.isfinite(fitted.llr(drawn.scores, {"probe_log_speech_s": log_speech})).all()


def test_weights_decide_which_trials_count() -> None:
    """Trials of weight 0 are as if they were not there."""
    drawn, other = trials(1_000, 7), trials(1_000, 8)
    weights = np.concatenate([np.ones(2_000), np.zeros(2_000)])
    both = CalibrationTrials(
        np.concatenate([drawn.scores, other.scores + 3.0]),
        np.concatenate([drawn.is_target, other.is_target]),
        {},
        weights,
    )
    alone, weighted = (fit_quality_calibration(of, (), "drawn") for of in (drawn, both))
    assert weighted.scale == pytest.approx(alone.scale, rel=1e-2)
    assert weighted.offset == pytest.approx(alone.offset, abs=0.02)


def test_scores_of_any_unit_are_fitted_alike() -> None:
    """Cosines, normalised scores and PLDA differ by factors of hundreds."""
    drawn = trials(3_000, 9)
    small = fit_quality_calibration(drawn, NAMES, "drawn")
    scaled = CalibrationTrials(300.0 * drawn.scores + 70.0, drawn.is_target, drawn.measured)
    large = fit_quality_calibration(scaled, NAMES, "drawn")
    np.testing.assert_allclose(
        large.llr(scaled.scores, scaled.measured), small.llr(drawn.scores, drawn.measured), atol=0.05
    )


def test_the_card_keeps_it() -> None:
    """Through JSON and back; an affine calibration is stored as it always was."""
    fitted = fit_quality_calibration(trials(500, 10), NAMES, "drawn")
    assert Calibration.from_dict(json.loads(json.dumps(fitted.to_dict()))) == fitted
    assert set(Calibration(1.0, 0.0, 1, 1, "x").to_dict()) == {
        "scale",
        "offset",
        "targets",
        "nontargets",
        "fitted_on",
    }


@pytest.mark.parametrize("change", [{"scale": float("nan")}, {"scale": -1.0}, {"offset": float("inf")}])
def test_a_stored_calibration_that_is_none_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="finite, the scale above 0"):
        Calibration.from_dict({**Calibration(1.0, 0.0, 1, 1, "x").to_dict(), **change})


def test_a_pull_to_another_calibration_keeps_what_it_was_taught() -> None:
    """Trials that say the opposite: a strong pull keeps weights and range, a weak one gives them up."""
    taught = fit_quality_calibration(trials(20_000, 11), NAMES, "many").qualities
    other = trials(2_000, 12)
    turned = {"probe_log_speech_s": 3.0 - other.measured["probe_log_speech_s"]}
    opposite = CalibrationTrials(other.scores, other.is_target, turned)
    moved = []
    for strength in (100.0, 1e-6):
        again = fit_quality_calibration(opposite, NAMES, "few", strength=strength, around=taught).qualities[0]
        assert (again.low, again.high, again.neutral) == (taught[0].low, taught[0].high, taught[0].neutral)
        moved.append(abs(again.log_gain - taught[0].log_gain))
    assert moved[0] < 0.02
    assert moved[1] > 0.2


def test_measures_that_do_not_vary_here_keep_what_was_taught() -> None:
    taught = fit_quality_calibration(trials(5_000, 13), NAMES, "many").qualities
    drawn = trials(500, 14)
    same = CalibrationTrials(drawn.scores, drawn.is_target, {"probe_log_speech_s": np.full(1_000, np.nan)})
    kept = fit_quality_calibration(same, NAMES, "few", around=taught).qualities[0]
    assert kept.shift == pytest.approx(taught[0].shift)
    assert kept.log_gain == pytest.approx(taught[0].log_gain)
