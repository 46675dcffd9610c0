"""Error measures of verification scores: EER, DCF, Cllr, AUC, DET and operating points.

A trial is accepted when its score is at or above the threshold. Trials are sorted once
(``RankedTrials``); every measure then follows from cumulative sums of trial weights, so a bootstrap
replicate, which only changes the weights, costs one pass and no sort. The plain functions at the end
of the file are the same code with every weight 1.

The EER is read off the empirical ROC by linear interpolation between the two thresholds where
FRR - FAR changes sign, not off its convex hull: the hull reports the best of mixtures of thresholds,
which is optimistic on small lists and not what published tables contain. ``min_cllr`` does need the
optimal monotone calibration, so it uses the pool-adjacent-violators solution, i.e. the hull.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression

from voxid.errors import InputError

Floats = NDArray[np.float64]

P_TARGET = 0.01
"""Prior of a target in the two detection costs reported; miss and false-accept costs are 1."""


@dataclass(frozen=True)
class ErrorCurve:
    """Both error rates at every threshold, for R weightings of the same trials.

    Attributes:
        thresholds: (K,) ascending; the last is +inf (nothing is accepted).
        far: (R, K) weighted share of non-target trials accepted, falling along K.
        frr: (R, K) weighted share of target trials rejected, rising along K.
    """

    thresholds: Floats
    far: Floats
    frr: Floats

    def eer(self) -> Floats:
        """Return the equal error rate of each weighting, (R,) in [0, 1]; lower is better."""
        gap = self.frr - self.far
        upper = np.argmax(gap >= 0.0, axis=1)
        rows = np.arange(len(upper))
        lower = upper - 1
        below, above = gap[rows, lower], gap[rows, upper]
        step = -below / (above - below)
        frr_low, frr_high = self.frr[rows, lower], self.frr[rows, upper]
        return np.asarray(frr_low + step * (frr_high - frr_low))

    def min_dcf(self, p_target: float = P_TARGET) -> Floats:
        """Return the lowest normalised detection cost over all thresholds, (R,); 1 is a useless system."""
        return np.asarray(np.min(detection_cost(self.far, self.frr, p_target), axis=1))

    def auc(self) -> Floats:
        """Return the area under the ROC, (R,): the chance that a target outscores a non-target."""
        hit = 1.0 - self.frr
        widths = self.far[:, :-1] - self.far[:, 1:]
        return np.asarray(np.sum(widths * (hit[:, :-1] + hit[:, 1:]) / 2.0, axis=1))

    def frr_at(self, far: float) -> Floats:
        """Return the FRR at the lowest threshold whose FAR does not exceed ``far``, (R,)."""
        first = np.argmax(self.far <= far + 1e-12, axis=1)
        return np.asarray(self.frr[np.arange(len(first)), first])


class RankedTrials:
    """Trials sorted once by score, measured under any weighting.

    Args:
        scores: (N,) finite; higher is more alike.
        is_target: (N,) true where both sides are the same speaker.

    Raises:
        InputError: ``scores_invalid`` when a score is not finite or the lengths differ,
            ``trials_one_sided`` when targets or non-targets are absent.
    """

    def __init__(self, scores: ArrayLike, is_target: ArrayLike) -> None:
        values = np.asarray(scores, dtype=np.float64)
        labels = np.asarray(is_target, dtype=bool)
        _check_trials(values, labels)
        self.order = np.argsort(values, kind="stable")
        self.scores: Floats = values[self.order]
        self.is_target: NDArray[np.bool_] = labels[self.order]
        # Equal scores cannot be told apart by a threshold, so the curve has one point per distinct score.
        self._tie_ends = np.append(np.flatnonzero(np.diff(self.scores) > 0), len(values) - 1)

    def __len__(self) -> int:
        return len(self.scores)

    def curve(self, weights: ArrayLike | None = None) -> ErrorCurve:
        """Return both error rates at every threshold.

        Args:
            weights: (R, N) or (N,), not negative, in the order the trials were given; None means all 1.

        Returns:
            The curve of R rows; a row without target or without non-target weight is NaN.
        """
        target_sum, nontarget_sum = self._cumulative(weights)
        with np.errstate(invalid="ignore", divide="ignore"):
            frr = target_sum / target_sum[:, -1:]
            far = 1.0 - nontarget_sum / nontarget_sum[:, -1:]
        far[:, -1] = np.where(np.isnan(far[:, -1]), np.nan, 0.0)
        thresholds = np.append(self.scores[np.append(0, self._tie_ends[:-1] + 1)], np.inf)
        return ErrorCurve(thresholds, np.maximum(far, 0.0), frr)

    def min_cllr(self, weights: ArrayLike | None = None) -> Floats:
        """Return Cllr after the best possible monotone calibration, (R,) in bits; 1 is a useless system.

        Source: Brümmer & du Preez, "Application-independent evaluation of speaker detection" (2006), sec. 5.
        """
        target_sum, nontarget_sum = self._cumulative(weights)
        targets, nontargets = np.diff(target_sum, axis=1), np.diff(nontarget_sum, axis=1)
        return np.asarray([_cllr_after_pav(t, n) for t, n in zip(targets, nontargets, strict=True)])

    def _cumulative(self, weights: ArrayLike | None) -> tuple[Floats, Floats]:
        """Return target and non-target weight below each threshold, two (R, K)."""
        given = np.ones(len(self)) if weights is None else np.asarray(weights, dtype=np.float64)
        ranked = np.atleast_2d(given)[:, self.order]
        start = np.zeros((len(ranked), 1))
        target = np.cumsum(np.where(self.is_target, ranked, 0.0), axis=1)[:, self._tie_ends]
        nontarget = np.cumsum(np.where(self.is_target, 0.0, ranked), axis=1)[:, self._tie_ends]
        return np.concatenate([start, target], axis=1), np.concatenate([start, nontarget], axis=1)


def detection_cost(far: Floats, frr: Floats, p_target: float = P_TARGET) -> Floats:
    """Return the detection cost divided by that of the better constant decision; same shape as the rates.

    Source: NIST SRE evaluation plans, C_miss = C_fa = 1.
    """
    return (p_target * frr + (1.0 - p_target) * far) / min(p_target, 1.0 - p_target)


def bayes_threshold(p_target: float = P_TARGET) -> float:
    """Return the natural-log LLR at which accepting starts to pay under prior ``p_target`` and unit costs."""
    return float(np.log((1.0 - p_target) / p_target))


def rates_at(
    scores: ArrayLike, is_target: ArrayLike, threshold: float, weights: ArrayLike | None = None
) -> tuple[Floats, Floats]:
    """Return (FAR, FRR) at one threshold, each (R,), under the weightings ``weights`` (R, N)."""
    values, labels = np.asarray(scores, dtype=np.float64), np.asarray(is_target, dtype=bool)
    given = np.atleast_2d(np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64))
    accepted = values >= threshold
    with np.errstate(invalid="ignore", divide="ignore"):
        far = given @ (accepted & ~labels) / (given @ ~labels)
        frr = given @ (~accepted & labels) / (given @ labels)
    return np.asarray(far), np.asarray(frr)


def weighted_cllr(llrs: ArrayLike, is_target: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Return Cllr of natural-log LLRs in bits, (R,), under the weightings ``weights`` (R, N)."""
    values, labels = np.asarray(llrs, dtype=np.float64), np.asarray(is_target, dtype=bool)
    _check_trials(values, labels)
    given = np.atleast_2d(np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64))
    cost_bits = np.logaddexp(0.0, np.where(labels, -values, values)) / np.log(2.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        target = given @ (cost_bits * labels) / (given @ labels)
        nontarget = given @ (cost_bits * ~labels) / (given @ ~labels)
    return np.asarray((target + nontarget) / 2.0)


def eer(target_scores: ArrayLike, nontarget_scores: ArrayLike) -> float:
    """Return the equal error rate in [0, 1], interpolated on the empirical ROC; lower is better.

    Raises:
        InputError: ``scores_invalid`` or ``trials_one_sided``.

    Example:
        >>> eer([2.0, 3.0, 0.0, 5.0], [-1.0, 1.0, -2.0, -3.0])
        0.25
    """
    return float(_ranked(target_scores, nontarget_scores).curve().eer()[0])


def min_dcf(target_scores: ArrayLike, nontarget_scores: ArrayLike, p_target: float = P_TARGET) -> float:
    """Return the normalised detection cost at the best threshold for these very trials."""
    return float(_ranked(target_scores, nontarget_scores).curve().min_dcf(p_target)[0])


def act_dcf(target_llrs: ArrayLike, nontarget_llrs: ArrayLike, p_target: float = P_TARGET) -> float:
    """Return the normalised detection cost at the Bayes threshold: what a user of the LLRs would pay."""
    llrs, is_target = _pooled(target_llrs, nontarget_llrs)
    _check_trials(llrs, is_target)
    far, frr = rates_at(llrs, is_target, bayes_threshold(p_target))
    return float(detection_cost(far, frr, p_target)[0])


def cllr(target_llrs: ArrayLike, nontarget_llrs: ArrayLike) -> float:
    """Return the log-likelihood-ratio cost in bits: 0 is perfect, 1 is saying nothing, above 1 misleads.

    Example:
        >>> cllr([0.0, 0.0], [0.0])
        1.0
    """
    return float(weighted_cllr(*_pooled(target_llrs, nontarget_llrs))[0])


def min_cllr(target_scores: ArrayLike, nontarget_scores: ArrayLike) -> float:
    """Return Cllr in bits after the best monotone calibration of these very trials (PAV)."""
    return float(_ranked(target_scores, nontarget_scores).min_cllr()[0])


def auc(target_scores: ArrayLike, nontarget_scores: ArrayLike) -> float:
    """Return the chance that a target outscores a non-target, ties counted half; higher is better."""
    return float(_ranked(target_scores, nontarget_scores).curve().auc()[0])


def det_curve(target_scores: ArrayLike, nontarget_scores: ArrayLike) -> ErrorCurve:
    """Return (thresholds, FAR, FRR) of one system as an ``ErrorCurve`` with R = 1."""
    return _ranked(target_scores, nontarget_scores).curve()


@dataclass(frozen=True)
class OperatingPoint:
    """The threshold that keeps the FAR at or under a wish, and what it costs.

    Attributes:
        far_wanted: the ceiling asked for.
        far: the share of non-target trials accepted there, at most ``far_wanted``.
        frr: the share of target trials rejected there.
        threshold: accept at or above it (inf: nothing is accepted).
        false_accepts: number of non-target trials accepted there.
    """

    far_wanted: float
    far: float
    frr: float
    threshold: float
    false_accepts: int


def operating_points(
    target_scores: ArrayLike, nontarget_scores: ArrayLike, fars: Sequence[float]
) -> list[OperatingPoint]:
    """Return, for each FAR ceiling, the most tolerant threshold that respects it (no interpolation)."""
    curve = _ranked(target_scores, nontarget_scores).curve()
    nontargets = np.size(np.asarray(nontarget_scores))
    points = []
    for wanted in fars:
        k = int(np.argmax(curve.far[0] <= wanted + 1e-12))
        far, frr = float(curve.far[0, k]), float(curve.frr[0, k])
        points.append(OperatingPoint(wanted, far, frr, float(curve.thresholds[k]), round(far * nontargets)))
    return points


def _cllr_after_pav(target: Floats, nontarget: Floats) -> float:
    """Return Cllr in bits after PAV of the weights per distinct score, ascending; NaN if one-sided."""
    total = target + nontarget
    present = total > 0
    target, nontarget, total = target[present], nontarget[present], total[present]
    n_target, n_nontarget = float(np.sum(target)), float(np.sum(nontarget))
    if n_target <= 0 or n_nontarget <= 0:
        return float("nan")
    posterior = np.asarray(isotonic_regression(target / total, weights=total).x)
    prior_odds = n_target / n_nontarget
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = posterior / (1.0 - posterior) / prior_odds
        target_bits = np.where(target > 0, target * np.log2(1.0 + 1.0 / odds), 0.0)
        nontarget_bits = np.where(nontarget > 0, nontarget * np.log2(1.0 + odds), 0.0)
    return float((np.sum(target_bits) / n_target + np.sum(nontarget_bits) / n_nontarget) / 2.0)


def _pooled(target_scores: ArrayLike, nontarget_scores: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    target = np.atleast_1d(np.asarray(target_scores, dtype=np.float64))
    nontarget = np.atleast_1d(np.asarray(nontarget_scores, dtype=np.float64))
    return np.concatenate([target, nontarget]), np.arange(len(target) + len(nontarget)) < len(target)


def _ranked(target_scores: ArrayLike, nontarget_scores: ArrayLike) -> RankedTrials:
    return RankedTrials(*_pooled(target_scores, nontarget_scores))


def _check_trials(scores: Floats, is_target: NDArray[np.bool_]) -> None:
    if scores.ndim != 1 or scores.shape != is_target.shape:
        raise InputError(
            "scores_invalid",
            f"Got scores of shape {scores.shape} for labels of shape {is_target.shape}; expected one score "
            "per trial; give two flat arrays of the same length.",
        )
    bad = int(np.sum(~np.isfinite(scores)))
    if bad:
        raise InputError(
            "scores_invalid",
            f"{bad} of {len(scores)} scores are not finite numbers; expected finite scores; "
            "remove or recompute those trials.",
        )
    targets = int(np.sum(is_target))
    if targets in (0, len(scores)):
        raise InputError(
            "trials_one_sided",
            f"Got {targets} target and {len(scores) - targets} non-target trials; expected at least one of "
            "each; error rates do not exist otherwise.",
        )
