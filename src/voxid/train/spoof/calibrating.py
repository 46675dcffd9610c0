"""Raw scores to what a card says: log-likelihood ratios, thresholds, and how far speech may lie from the training's."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxid.calibration import CalibrationTrials, fit_quality_calibration
from voxid.train.spoof.material import GENUINE, REPLAYED, SPOOFED, Pack, family_of
from voxid.train.spoof.network import CASES
from voxid.train.spoof.objective import Heard

__all__ = ["BPCER", "calibrated", "domain_of"]

# Shares of held-out genuine recordings below the two thresholds (spoof, suspicious) of each head; together one in 25 at
# most is held up. People who are wronged weigh more than fakes missed, because what is missed here still has to pass
# for the voice of somebody enrolled; and replay, which is only simulated, is not to hold up many.
BPCER: Final = {"synthetic": (0.01, 0.03), "replay": (0.0025, 0.01)}
_INSIDE: Final = 0.99
_SHRINKAGE: Final = 0.05
_KINDS: Final = {"synthetic": SPOOFED, "replay": REPLAYED}


def calibrated(heard: Heard, pack: Pack) -> dict[str, Any]:
    """Return the card's ``calibration`` and ``thresholds``, set on held-out people and generators.

    Every family of generators weighs the same, however many recordings it has, and every corpus of genuine speech.

    Raises:
        InputError: ``calibration_needs_trials``, ``calibration_backwards``.
    """
    maps: dict[str, Any] = {}
    thresholds: dict[str, Any] = {}
    for column, case in enumerate(CASES):
        rows = np.flatnonzero((pack.kind == GENUINE) | (pack.kind == _KINDS[case]))
        scores, genuine = heard.scores[rows, column], pack.kind[rows] == GENUINE
        groups = np.where(genuine, pack.corpus[rows], [family_of(str(name)) for name in pack.generator[rows]])
        weights = _even(groups)
        trials = CalibrationTrials(scores, genuine, weights=weights)
        fitted = fit_quality_calibration(trials, (), "held-out people and generators")
        maps[case] = {"slope": round(fitted.scale, 5), "offset": round(fitted.offset, 5)}
        llrs = fitted.llr(scores[genuine])
        spoof, suspicious = _weighted_quantiles(llrs, weights[genuine], BPCER[case])
        thresholds[case] = {"spoof_llr": round(spoof, 4), "genuine_llr": round(suspicious, 4)}
    return {"calibration": maps, "thresholds": thresholds}


def domain_of(heard: Heard) -> dict[str, Any]:
    """Return the card's ``domain``: middle and inverse covariance of embeddings, and the distance 99 % lie within.

    Source: Lee, Lee, Lee and Shin, "A simple unified framework for detecting out-of-distribution samples and
    adversarial attacks", NeurIPS 2018, with one class.
    """
    x = heard.embeddings
    mean = x.mean(axis=0)
    centred = x - mean
    covariance = centred.T @ centred / len(x)
    level = float(np.trace(covariance)) / len(covariance)
    precision = np.linalg.inv((1.0 - _SHRINKAGE) * covariance + _SHRINKAGE * level * np.eye(len(covariance)))
    distances = np.sqrt(np.einsum("ud,de,ue->u", centred, precision, centred))
    return {
        "mean": np.round(mean, 5).tolist(),
        "precision": np.round(precision, 4).tolist(),
        "limit": round(float(np.quantile(distances, _INSIDE)), 3),
    }


def _even(groups: NDArray[np.str_]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / counts[inverse], np.float64)


def _weighted_quantiles(
    values: NDArray[np.float64], weights: NDArray[np.float64], shares: tuple[float, ...]
) -> list[float]:
    """Return the values below which lie these shares of the weight."""
    order = np.argsort(values)
    below = np.cumsum(weights[order]) / weights.sum()
    return [float(values[order][min(int(np.searchsorted(below, share)), len(order) - 1)]) for share in shares]
