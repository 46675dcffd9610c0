"""Error measures agree with slow oracles written from the definitions, and with cases done by hand."""

from __future__ import annotations

import math
from itertools import pairwise, product

import numpy as np
import pytest
from numpy.typing import NDArray

from voxid.errors import InputError
from voxid.evaluate import metrics

Floats = NDArray[np.float64]


def rates_oracle(target: Floats, nontarget: Floats, threshold: float) -> tuple[float, float]:
    """(FAR, FRR) by counting."""
    far = sum(score >= threshold for score in nontarget) / len(nontarget)
    frr = sum(score < threshold for score in target) / len(target)
    return far, frr


def eer_oracle(target: Floats, nontarget: Floats) -> float:
    """Where the broken line through all (FAR, FRR) points crosses FAR = FRR, by walking along it."""
    thresholds = [*sorted({*target, *nontarget}), math.inf]
    points = [rates_oracle(target, nontarget, threshold) for threshold in thresholds]
    for (far0, frr0), (far1, frr1) in pairwise(points):
        if frr1 >= far1:
            share = (far0 - frr0) / ((far0 - frr0) + (frr1 - far1))
            return frr0 + share * (frr1 - frr0)
    raise AssertionError("the curve always crosses")


def min_cllr_oracle(target: Floats, nontarget: Floats) -> float:
    """Cllr after pool-adjacent-violators, done one violation at a time on counts per distinct score."""
    blocks = [
        [np.sum(target == score), np.sum(nontarget == score)] for score in sorted({*target, *nontarget})
    ]
    merged = True
    while merged:
        merged = False
        for k in range(len(blocks) - 1):
            (t0, n0), (t1, n1) = blocks[k], blocks[k + 1]
            if t0 * (t1 + n1) >= t1 * (t0 + n0):  # not increasing
                blocks[k : k + 2] = [[t0 + t1, n0 + n1]]
                merged = True
                break
    total = 0.0
    for t, n in blocks:
        ratio = math.inf if n == 0 else (t / len(target)) / (n / len(nontarget))
        total += t / len(target) * (math.log2(1 + 1 / ratio) if t else 0.0)
        total += n / len(nontarget) * (math.log2(1 + ratio) if n else 0.0)
    return total / 2


def draws() -> list[tuple[Floats, Floats]]:
    """Scores of both kinds: continuous, with many ties, tiny, separable."""
    generator = np.random.default_rng(7)
    found = []
    for n_target, n_nontarget, shift in ((40, 70, 1.5), (13, 200, 0.3), (2, 3, 1.0), (30, 30, 9.0)):
        target, nontarget = generator.normal(shift, 1, n_target), generator.normal(0, 1, n_nontarget)
        found += [(target, nontarget), (np.round(target), np.round(nontarget))]
    return found


@pytest.mark.parametrize(("target", "nontarget"), draws())
def test_measures_agree_with_their_definitions(target: Floats, nontarget: Floats) -> None:
    """EER, minDCF, AUC and min Cllr equal what counting gives."""
    thresholds = [*sorted({*target, *nontarget}), math.inf]
    costs = [
        (0.01 * frr + 0.99 * far) / 0.01
        for far, frr in (rates_oracle(target, nontarget, t) for t in thresholds)
    ]
    wins = [1.0 if t > n else 0.5 if t == n else 0.0 for t, n in product(target, nontarget)]
    assert metrics.eer(target, nontarget) == pytest.approx(eer_oracle(target, nontarget), abs=1e-12)
    assert metrics.min_dcf(target, nontarget) == pytest.approx(min(costs), abs=1e-9)
    assert metrics.auc(target, nontarget) == pytest.approx(np.mean(wins), abs=1e-12)
    assert metrics.min_cllr(target, nontarget) == pytest.approx(min_cllr_oracle(target, nontarget), abs=1e-9)


def test_weights_mean_repeated_trials() -> None:
    """A weight of 3 gives what writing the trial three times gives, and 0 what leaving it out gives."""
    generator = np.random.default_rng(1)
    scores = np.round(generator.normal(0, 1, 60), 1)
    is_target = generator.random(60) < 0.4
    weights = generator.integers(0, 4, (5, 60))
    ranked = metrics.RankedTrials(scores, is_target)
    curve, min_cllr = ranked.curve(weights), ranked.min_cllr(weights)
    cllr = metrics.weighted_cllr(scores, is_target, weights)
    far, frr = metrics.rates_at(scores, is_target, 0.5, weights)
    for row, counts in enumerate(weights):
        target = np.repeat(scores, counts)[np.repeat(is_target, counts)]
        nontarget = np.repeat(scores, counts)[~np.repeat(is_target, counts)]
        assert curve.eer()[row] == pytest.approx(metrics.eer(target, nontarget))
        assert curve.min_dcf()[row] == pytest.approx(metrics.min_dcf(target, nontarget))
        assert curve.auc()[row] == pytest.approx(metrics.auc(target, nontarget))
        assert min_cllr[row] == pytest.approx(metrics.min_cllr(target, nontarget))
        assert cllr[row] == pytest.approx(metrics.cllr(target, nontarget))
        assert (far[row], frr[row]) == pytest.approx(rates_oracle(target, nontarget, 0.5))


def test_a_weighting_without_targets_has_no_rates() -> None:
    """It gives NaN, not zero errors."""
    ranked = metrics.RankedTrials([1.0, 0.0], [True, False])
    curve = ranked.curve([[0.0, 1.0], [1.0, 1.0]])
    assert np.isnan(curve.eer()[0])
    assert np.isnan(ranked.min_cllr([0.0, 1.0])[0])
    assert curve.eer()[1] == 0.0


def test_eer_by_hand() -> None:
    """One target of four lies below one non-target of four: 25 %."""
    assert metrics.eer([0.9, 0.8, 0.7, 0.3], [0.4, 0.2, 0.1, 0.0]) == pytest.approx(0.25)


def test_eer_is_between_the_two_rates_where_no_threshold_makes_them_equal() -> None:
    """1 of 2 targets against 1 of 3 non-targets: the line crosses the diagonal at 1/3, not at 5/12."""
    assert metrics.eer([2.0, 0.5], [1.0, 0.0, -1.0]) == pytest.approx(1 / 3)


def test_separable_scores_cost_nothing_and_useless_scores_everything() -> None:
    """The ends of every scale."""
    assert metrics.eer([2, 3], [0, 1]) == 0.0
    assert metrics.min_dcf([2, 3], [0, 1]) == pytest.approx(0.0)
    assert metrics.min_cllr([2, 3], [0, 1]) == pytest.approx(0.0)
    assert metrics.auc([2, 3], [0, 1]) == 1.0
    same = [1.0, 1.0, 1.0]
    assert metrics.eer(same, same) == pytest.approx(0.5)
    assert metrics.min_dcf(same, same) == pytest.approx(1.0)
    assert metrics.min_cllr(same, same) == pytest.approx(1.0)
    assert metrics.auc(same, same) == pytest.approx(0.5)


def test_actual_cost_is_paid_at_the_bayes_threshold() -> None:
    """At prior 0.01 the threshold is ln 99 = 4.595; LLRs of 4.5 are rejected, of 4.7 accepted."""
    assert metrics.bayes_threshold() == pytest.approx(math.log(99))
    assert metrics.act_dcf([4.5, 4.7], [0.0, -1.0]) == pytest.approx(0.5)
    assert metrics.act_dcf([5.0], [5.0] + [0.0] * 9) == pytest.approx(99 * 0.1)


def test_cllr_by_hand() -> None:
    """LLR ln 3 for a target costs log2(4/3), LLR -ln 3 for a non-target the same."""
    assert metrics.cllr([math.log(3)], [-math.log(3)]) == pytest.approx(math.log2(4 / 3))


def test_min_cllr_is_never_above_cllr() -> None:
    """No calibration beats the best monotone one, whatever the affine map."""
    generator = np.random.default_rng(3)
    target, nontarget = generator.normal(2, 1, 80), generator.normal(-1, 2, 200)
    for scale, offset in ((1.0, 0.0), (3.0, -1.0), (0.2, 0.5)):
        assert metrics.min_cllr(target, nontarget) <= metrics.cllr(
            scale * target + offset, scale * nontarget + offset
        )


def test_operating_point_never_exceeds_the_far_asked_for() -> None:
    """With 200 non-targets, 1 % allows two false accepts, and the threshold is the lowest that allows them."""
    generator = np.random.default_rng(5)
    target, nontarget = generator.normal(2, 1, 100), generator.normal(0, 1, 200)
    (point,) = metrics.operating_points(target, nontarget, [0.01])
    assert point.false_accepts == 2
    assert point.far == pytest.approx(0.01)
    assert point.frr == pytest.approx(np.mean(target < point.threshold))
    assert np.sum(nontarget >= np.nextafter(point.threshold, -np.inf)) == 2
    third = np.sort(nontarget)[-3]
    assert not np.any((target > third) & (target < point.threshold))


def test_tied_nontargets_are_accepted_together_or_not_at_all() -> None:
    """Ten equal non-target scores cannot give a FAR of 50 %."""
    (point,) = metrics.operating_points([2.0, 0.0], [1.0] * 10, [0.5])
    assert (point.far, point.frr) == (0.0, 0.5)


def test_det_curve_runs_from_accept_all_to_reject_all() -> None:
    """FAR falls from 1 to 0 while FRR rises from 0 to 1, and the last threshold is infinite."""
    curve = metrics.det_curve([1, 2, 3], [0, 1, 2])
    assert (curve.far[0, 0], curve.frr[0, 0]) == (1.0, 0.0)
    assert (curve.far[0, -1], curve.frr[0, -1]) == (0.0, 1.0)
    assert np.all(np.diff(curve.far[0]) <= 0)
    assert np.all(np.diff(curve.frr[0]) >= 0)
    assert np.isinf(curve.thresholds[-1])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_rejects_scores_that_are_not_finite(bad: float) -> None:
    """The sentence says how many there are."""
    with pytest.raises(
        InputError, match=r"1 of 4 scores are not finite numbers; expected finite scores"
    ) as caught:
        metrics.eer([1.0, bad], [0.0, 0.1])
    assert caught.value.code == "scores_invalid"


def test_rejects_one_sided_trials() -> None:
    """Without non-targets there is no error rate."""
    with pytest.raises(InputError, match="Got 2 target and 0 non-target trials") as caught:
        metrics.eer([1.0, 2.0], [])
    assert caught.value.code == "trials_one_sided"
