"""What a calibration and its thresholds do for people they were not fitted on, by corpus and by condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxid.calibration import Calibration, CalibrationTrials, fit_quality_calibration
from voxid.decision import choose_profile
from voxid.errors import InputError
from voxid.evaluate.metrics import cllr, eer, min_cllr
from voxid.train.trials import DevelopmentTrials

Floats = NDArray[np.float64]

MIN_TRIALS = 20
"""Fewest target and non-target trials of which a rate is reported."""

FAR = 0.01
"""False-accept rate at which thresholds are tried on left-out people."""


@dataclass(frozen=True, eq=False)
class ScoredTrials:
    """Development trials with their scores and quality measures, all (N,)."""

    trials: DevelopmentTrials
    scores: Floats
    measured: Mapping[str, Floats]

    def fit(
        self, names: tuple[str, ...], strength: float, fitted_on: str, rows: NDArray[np.bool_] | None = None
    ) -> Calibration:
        """Return the calibration of some of the trials, every corpus and condition weighing the same.

        Args:
            names: quality measures; empty: the affine map.
            strength: of the pull to the affine map.
            fitted_on: for the card.
            rows: (N,) which trials; None: all.
        """
        chosen = np.ones(len(self.trials), dtype=bool) if rows is None else rows
        part = self.trials.subset(chosen)
        measured = {name: self.measured[name][chosen] for name in names}
        drawn = CalibrationTrials(self.scores[chosen], part.is_target, measured, part.shares())
        return fit_quality_calibration(drawn, names, fitted_on, strength=strength)

    def llrs(self, calibration: Calibration, rows: NDArray[np.bool_]) -> Floats:
        """Return the LLRs of some of the trials."""
        return calibration.llr(self.scores[rows], {name: of[rows] for name, of in self.measured.items()})


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Trials among the people of one fold, with LLRs of a calibration that has heard none of them.

    Args:
        qualities: measures the calibration uses; none: affine.
        trials: M of them.
        llrs: (M,) natural logarithm.
        accepted: (M,) at a threshold chosen for a false-accept rate of 1 % on the other folds.
        mean_cllr: over corpora and conditions.
    """

    qualities: tuple[str, ...]
    trials: DevelopmentTrials
    llrs: Floats
    accepted: NDArray[np.bool_]
    mean_cllr: float


def cross_validate(scored: ScoredTrials, names: tuple[str, ...], strength: float) -> LeftOut:
    """Return every fold's trials judged by what was fitted on the other folds; arguments as `ScoredTrials.fit`.

    Raises:
        InputError: ``calibration_needs_trials``, ``too_few_trials`` where the folds hold too few people.
    """
    trials = scored.trials
    order, llrs, accepted = [], [], []
    for fold in np.unique(trials.enroll_fold):
        inside, outside = trials.inside(int(fold)), trials.outside(int(fold))
        if not inside.any():
            continue
        calibration = scored.fit(names, strength, "other folds", outside)
        known, target = scored.llrs(calibration, outside), trials.is_target[outside]
        threshold = choose_profile("left out", FAR, known[target], known[~target]).threshold_llr
        order.append(np.flatnonzero(inside))
        llrs.append(scored.llrs(calibration, inside))
        accepted.append(llrs[-1] >= threshold)
    if not order:
        raise InputError(
            "too_few_trials",
            "no fold holds trials among its own people; hold out more speakers with several recordings each.",
        )
    judged, values = trials.subset(np.concatenate(order)), np.concatenate(llrs)
    return LeftOut(names, judged, values, np.concatenate(accepted), mean_cllr(judged, values))


def mean_eer(trials: DevelopmentTrials, scores: Floats) -> float:
    """Return the mean EER (0 to 1) over corpora and conditions, and over each corpus with its conditions together.

    The latter punishes scores that lie elsewhere in each condition, which no threshold can serve.
    """
    cells = [rows for _, _, rows in trials.cells()]
    cells += [trials.corpus == c for c in np.unique(trials.corpus)]
    found = [rate for rows in cells if (rate := _eer_of(scores[rows], trials.is_target[rows])) is not None]
    return float(np.mean(found)) if found else float("nan")


def mean_cllr(trials: DevelopmentTrials, llrs: Floats) -> float:
    """Return the mean Cllr (bits) over corpora and conditions."""
    found = []
    for _, _, rows in trials.cells():
        target = trials.is_target[rows]
        if min(target.sum(), (~target).sum()) >= MIN_TRIALS:
            found.append(cllr(llrs[rows][target], llrs[rows][~target]))
    return float(np.mean(found)) if found else float("nan")


def report(left_out: LeftOut, affine: LeftOut) -> dict[str, Any]:
    """Return what the card says of people left out: in all, by corpus, and by condition.

    Args:
        left_out: judged by the calibration chosen.
        affine: the same trials judged without quality measures.
    """
    trials = left_out.trials
    everything = np.ones(len(trials), dtype=bool)
    return {
        "all": _measures(left_out, affine, everything),
        "by_corpus": {
            trials.corpora[c]: found
            for c in np.unique(trials.corpus)
            if (found := _measures(left_out, affine, trials.corpus == c))
        },
        "by_condition": {
            trials.conditions[k]: found
            for k in np.unique(trials.condition)
            if (found := _measures(left_out, affine, trials.condition == k))
        },
    }


def _measures(left_out: LeftOut, affine: LeftOut, rows: NDArray[np.bool_]) -> dict[str, Any]:
    is_target = left_out.trials.is_target[rows]
    llrs, plain, accepted = left_out.llrs[rows], affine.llrs[rows], left_out.accepted[rows]
    rate = _eer_of(llrs, is_target)
    if rate is None:
        return {}
    return {
        "targets": int(is_target.sum()),
        "nontargets": int((~is_target).sum()),
        "eer_percent": round(100 * rate, 2),
        "cllr": round(cllr(llrs[is_target], llrs[~is_target]), 4),
        "min_cllr": round(min_cllr(llrs[is_target], llrs[~is_target]), 4),
        "affine_eer_percent": round(100 * eer(plain[is_target], plain[~is_target]), 2),
        "affine_cllr": round(cllr(plain[is_target], plain[~is_target]), 4),
        "far_percent": round(100 * float(accepted[~is_target].mean()), 2),
        "frr_percent": round(100 * float(1 - accepted[is_target].mean()), 2),
    }


def _eer_of(scores: Floats, is_target: NDArray[np.bool_]) -> float | None:
    if min(is_target.sum(), (~is_target).sum()) < MIN_TRIALS:
        return None
    return eer(scores[is_target], scores[~is_target])
