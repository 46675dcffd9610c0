"""Scores to log-likelihood ratios: how much more likely is this score if it is the same person.

Source: Brümmer and du Preez, "Application-independent evaluation of speaker detection", 2006: an affine map
fitted by logistic regression that minimises Cllr.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import InputError


@dataclass(frozen=True)
class Calibration:
    """``llr = scale * score + offset``, natural logarithm, with the trials it was fitted on."""

    scale: float
    offset: float
    targets: int
    nontargets: int
    fitted_on: str

    def llr(self, score: ArrayLike) -> NDArray[np.float64]:
        """Return the log-likelihood ratio of scores, any shape; above 0 speaks for the same person.

        Example:
            >>> Calibration(20.0, -8.0, 10, 10, "doctest").llr([0.4, 0.9]).tolist()
            [0.0, 10.0]
        """
        return np.asarray(score, dtype=np.float64) * self.scale + self.offset

    def to_dict(self) -> dict[str, Any]:
        """Return the calibration as bundles store it."""
        return asdict(self)


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
    from scipy.optimize import minimize  # a third of a second that verifying must not wait for

    target = np.asarray(target_scores, dtype=np.float64).ravel()
    nontarget = np.asarray(nontarget_scores, dtype=np.float64).ravel()
    if min(target.size, nontarget.size) < 20 or not (
        np.isfinite(target).all() and np.isfinite(nontarget).all()
    ):
        raise InputError(
            "calibration_needs_trials",
            f"found {target.size} target and {nontarget.size} non-target scores; "
            "calibration needs at least 20 finite scores of each. Add trials.",
        )
    shift = float(np.log(prior / (1.0 - prior)))

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scale, offset = parameters
        t = scale * target + offset + shift
        n = scale * nontarget + offset + shift
        value = prior * np.logaddexp(0.0, -t).mean() + (1.0 - prior) * np.logaddexp(0.0, n).mean()
        pull_t = -prior / target.size / (1.0 + np.exp(np.clip(t, -500, 500)))
        pull_n = (1.0 - prior) / nontarget.size / (1.0 + np.exp(np.clip(-n, -500, 500)))
        gradient = np.array([pull_t @ target + pull_n @ nontarget, pull_t.sum() + pull_n.sum()])
        return float(value), gradient

    found = minimize(loss, np.array([10.0, -4.0]), jac=True, method="L-BFGS-B")
    scale, offset = (float(v) for v in found.x)
    if scale <= 0.0:
        raise InputError(
            "calibration_backwards",
            "higher scores do not speak for the same person in these trials; check the labels and "
            "the score's direction.",
        )
    return Calibration(scale, offset, int(target.size), int(nontarget.size), fitted_on)
