"""Scores and the quality of the speech behind them to log-likelihood ratios.

A score of 0.4 from a second of noisy speech is weaker evidence than 0.4 from a minute. So the affine map of Brümmer
and du Preez is fitted together with quality measures: what the speech was like shrinks or stretches the LLR, and
shifts it.

    llr = gain * (scale * score + offset) + shift
    gain = exp(sum of log_gain * z), shift = sum of shift * z, over the quality measures
    z = measure, kept within the range seen when it was fitted, minus its neutral value; 0 where not measured

The gain is above 0, so a higher score never means a lower LLR; where nothing is known of the speech, the map is
``scale * score + offset``.

Source: Brümmer and du Preez, "Application-independent evaluation of speaker detection", 2006 (logistic regression
that minimises Cllr); Thienpondt et al., "The IDLab VoxSRC-20 submission", 2021 (quality measure functions: duration,
cohort statistics).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import CompatibilityError, InputError

Floats = NDArray[np.float64]

MIN_TRIALS = 20
"""Fewest target and non-target trials a calibration is fitted on."""


@dataclass(frozen=True)
class QualityWeight:
    """How one quality measure changes the LLR.

    Args:
        name: of the measure, one of :data:`voxid.backend.QUALITIES`.
        low, high: range seen in fitting; a measure outside counts as the nearer end.
        neutral: value at which the measure changes nothing; stands for "not measured".
        shift: added to the LLR per unit of the measure.
        log_gain: added to the logarithm of the gain per unit of the measure.
    """

    name: str
    low: float
    high: float
    neutral: float
    shift: float
    log_gain: float

    def deviation(self, measured: ArrayLike) -> Floats:
        """Return the measure, any shape, within its range and minus the neutral value; 0 where it is NaN."""
        z = np.clip(np.asarray(measured, dtype=np.float64), self.low, self.high) - self.neutral
        return np.where(np.isnan(z), 0.0, z)


@dataclass(frozen=True)
class Calibration:
    """The map at the head of this file, with the trials it was fitted on; natural logarithm."""

    scale: float
    offset: float
    targets: int
    nontargets: int
    fitted_on: str
    qualities: tuple[QualityWeight, ...] = ()

    def llr(self, score: ArrayLike, measured: Mapping[str, ArrayLike] | None = None) -> Floats:
        """Return the log-likelihood ratio of scores, any shape; above 0 speaks for the same person.

        Args:
            score: any shape; higher is more alike.
            measured: quality measure -> values that broadcast with the scores; NaN or left out: not measured.

        Example:
            >>> Calibration(20.0, -8.0, 10, 10, "doctest").llr([0.4, 0.9]).tolist()
            [0.0, 10.0]
        """
        evidence = np.asarray(score, dtype=np.float64) * self.scale + self.offset
        if not self.qualities or measured is None:
            return evidence
        known = [(weight, weight.deviation(measured.get(weight.name, np.nan))) for weight in self.qualities]
        log_gain = sum(weight.log_gain * z for weight, z in known)
        return np.asarray(np.exp(log_gain) * evidence + sum(weight.shift * z for weight, z in known))

    def to_dict(self) -> dict[str, Any]:
        """Return the calibration as bundles store it; an affine one as every version of voxid reads it."""
        fields = asdict(self)
        qualities = fields.pop("qualities")
        return {**fields, "qualities": list(qualities)} if qualities else fields

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Calibration:
        """Return the calibration of :meth:`to_dict`.

        Raises:
            TypeError, ValueError: for entries that are missing, unknown or not finite.
        """
        weights = tuple(QualityWeight(**entry) for entry in stored.get("qualities", ()))
        found = cls(**{**stored, "qualities": weights})
        numbers = [found.scale, found.offset]
        for weight in weights:
            numbers += [weight.low, weight.high, weight.neutral, weight.shift, weight.log_gain]
        if not np.isfinite(numbers).all() or not found.scale > 0.0:
            raise ValueError("calibration weights that are finite, the scale above 0")
        return found


@dataclass(frozen=True)
class Uncalibrated(Calibration):
    """What stands in a bundle for which nothing has been fitted yet: it refuses instead of guessing."""

    scale: float = float("nan")
    offset: float = float("nan")
    targets: int = 0
    nontargets: int = 0
    fitted_on: str = ""
    bundle: str = ""

    def llr(self, score: ArrayLike, measured: Mapping[str, ArrayLike] | None = None) -> Floats:
        """Raise CompatibilityError ``bundle_uncalibrated``."""
        raise self.refusal()

    def refusal(self) -> CompatibilityError:
        """Return the error that says what to do."""
        return CompatibilityError(
            "bundle_uncalibrated",
            f"{self.bundle} has no calibration: its scores are no likelihood ratios yet and it has no thresholds. Fit "
            f"them on trials of your own speech: voxid calibrate --bundle {self.bundle} --trials LIST "
            "--audio-root FOLDER.",
        )


@dataclass(frozen=True, eq=False)
class CalibrationTrials:
    """Scored trials to fit a calibration on.

    Args:
        scores: (N,); higher is more alike.
        is_target: (N,).
        measured: quality measure -> (N,), NaN where not measured.
        weights: (N,) of each trial within its kind; None: all alike.
    """

    scores: Floats
    is_target: NDArray[np.bool_]
    measured: Mapping[str, Floats] = field(default_factory=dict)
    weights: Floats | None = None

    def shares(self, prior: float) -> Floats:
        """Return (N,) weights that add up to ``prior`` over targets and the rest over non-targets."""
        weights = np.ones(self.scores.size) if self.weights is None else self.weights
        total = np.where(self.is_target, weights[self.is_target].sum(), weights[~self.is_target].sum())
        return np.asarray(weights / total * np.where(self.is_target, prior, 1.0 - prior))


def fit_calibration(
    target_scores: ArrayLike, nontarget_scores: ArrayLike, fitted_on: str, prior: float = 0.5
) -> Calibration:
    """Return the affine map that minimises prior-weighted logistic loss, which at prior 0.5 is Cllr.

    Args:
        target_scores: (N,) scores of same-person trials.
        nontarget_scores: (M,) scores of different-person trials.
        fitted_on: what speech the trials came from, for the card.
        prior: target prior the loss is weighted to, in (0, 1).

    Raises:
        InputError: ``calibration_needs_trials`` with fewer than 20 of either kind or scores that are not finite,
            ``calibration_backwards`` when higher scores do not speak for the same person.
    """
    target = np.asarray(target_scores, dtype=np.float64).ravel()
    nontarget = np.asarray(nontarget_scores, dtype=np.float64).ravel()
    is_target = np.arange(target.size + nontarget.size) < target.size
    return fit_quality_calibration(
        CalibrationTrials(np.concatenate([target, nontarget]), is_target), (), fitted_on, prior=prior
    )


def fit_quality_calibration(
    trials: CalibrationTrials,
    names: tuple[str, ...],
    fitted_on: str,
    *,
    prior: float = 0.5,
    strength: float = 1e-3,
    around: tuple[QualityWeight, ...] = (),
) -> Calibration:
    """Return the map at the head of this file that minimises prior-weighted logistic loss.

    Args:
        trials: with every measure that is to be used.
        names: measures to use; one that never varies is left out.
        fitted_on: what speech the trials came from, for the card.
        prior: target prior the loss is weighted to, in (0, 1).
        strength: of the pull of the quality weights to 0: the loss (nats) a weight of 1 per standard deviation
            costs. Larger: nearer to the affine map.
        around: weights of another calibration, by ``names``, that the pull is to instead of 0. Their ranges are kept,
            so that a few trials change what many have taught no more than they can.

    Raises:
        InputError: as :func:`fit_calibration`.
    """
    _check(trials)
    known = {weight.name: weight for weight in around}
    found = [known.get(name) or _range_of(name, trials.measured[name]) for name in names]
    ranges = [weight for weight in found if weight is not None]
    # A quarter of the range is about the standard deviation, and is there also where these trials do not vary.
    spread = np.array([(weight.high - weight.low) / 4 for weight in ranges])
    z = np.zeros((trials.scores.size, len(ranges)))
    for column, weight in enumerate(ranges):
        z[:, column] = weight.deviation(trials.measured[weight.name]) / spread[column]
    taught = np.array([[weight.shift, weight.log_gain] for weight in ranges]).reshape(-1, 2).T * spread
    scale, offset, shift, log_gain = _minimise(trials, z, taught, (prior, strength))
    if scale <= 0.0:
        raise InputError(
            "calibration_backwards",
            "higher scores do not speak for the same person in these trials; check the labels and "
            "the score's direction.",
        )
    fitted = tuple(
        QualityWeight(w.name, w.low, w.high, w.neutral, float(s), float(g))
        for w, s, g in zip(ranges, shift / spread, log_gain / spread, strict=True)
    )
    targets = int(trials.is_target.sum())
    return Calibration(scale, offset, targets, trials.scores.size - targets, fitted_on, fitted)


def _check(trials: CalibrationTrials) -> None:
    targets = int(trials.is_target.sum())
    nontargets = trials.scores.size - targets
    if min(targets, nontargets) < MIN_TRIALS or not np.isfinite(trials.scores).all():
        raise InputError(
            "calibration_needs_trials",
            f"found {targets} target and {nontargets} non-target scores; "
            f"calibration needs at least {MIN_TRIALS} finite scores of each. Add trials.",
        )


def _range_of(name: str, measured: Floats) -> QualityWeight | None:
    """Return the range of a measure, without weights yet; None for one that says nothing."""
    known = measured[~np.isnan(measured)]
    if known.size == 0:
        return None
    # A handful of outliers must not widen the range the weights are trusted in.
    low, neutral, high = (float(v) for v in np.percentile(known, (0.5, 50, 99.5)))
    return QualityWeight(name, low, high, neutral, 0.0, 0.0) if high > low else None


def _minimise(
    trials: CalibrationTrials, z: Floats, taught: Floats, costs: tuple[float, float]
) -> tuple[float, float, Floats, Floats]:
    """Return scale, offset, shifts (Q,), log gains (Q,) for standardised measures z (N, Q).

    Args:
        taught: (2, Q) shifts and log gains the pull is to.
        costs: prior and strength.
    """
    from scipy.optimize import minimize  # a third of a second that verifying must not wait for

    prior, strength = costs
    shares, sign = trials.shares(prior), np.where(trials.is_target, -1.0, 1.0)
    prior_shift = float(np.log(prior / (1.0 - prior)))
    # Cosines lie within 1, normalised scores and PLDA within tens: one optimiser wants one unit.
    centre, unit = float(trials.scores.mean()), float(max(trials.scores.std(), 1e-9))
    s, n_measures = (trials.scores - centre) / unit, z.shape[1]

    def loss(parameters: Floats) -> tuple[float, Floats]:
        scale, offset = parameters[:2]
        shift, log_gain = parameters[2 : 2 + n_measures], parameters[2 + n_measures :]
        gain = np.exp(np.clip(z @ log_gain, -5.0, 5.0))
        evidence = scale * s + offset
        x = sign * (gain * evidence + z @ shift + prior_shift)
        away = np.concatenate([shift - taught[0], log_gain - taught[1]])
        value = shares @ np.logaddexp(0.0, x) + strength * (away @ away)
        pull = shares * sign / (1.0 + np.exp(np.clip(-x, -500, 500)))
        gradient = np.concatenate(
            [[pull @ (gain * s), pull @ gain], z.T @ pull, z.T @ (pull * gain * evidence)]
        )
        gradient[2:] += 2.0 * strength * away
        return float(value), gradient

    found = minimize(loss, np.r_[1.0, 0.0, taught.ravel()], jac=True, method="L-BFGS-B").x
    scale = float(found[0] / unit)
    return scale, float(found[1] - scale * centre), found[2 : 2 + n_measures], found[2 + n_measures :]
