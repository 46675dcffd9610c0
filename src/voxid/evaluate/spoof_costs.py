"""Costs of a detector of spoofed speech together with a verifier: tandem and architecture-agnostic detection costs.

Both ask what whoever relies on *detector and verifier together* pays: genuine users turned away, impostors let in,
spoofs let in. Normalised costs: 1 is what the better of two constant detectors costs; lower is better.

Source: Kinnunen et al., "Tandem assessment of spoofing countermeasures and automatic speaker verification:
fundamentals" (IEEE/ACM TASLP 28, 2020), eqs. 10 and 11, with the parameters of the ASVspoof 2021 evaluation plan; Shim
et al., "a-DCF: an architecture agnostic metric with application to spoofing-robust speaker verification" (Odyssey
2024), with its parameters a-DCF1.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import InputError
from voxid.evaluate.metrics import ErrorCurve, RankedTrials

__all__ = [
    "ADCF",
    "TDCF",
    "WORST_VERIFIER",
    "CostModel",
    "VerifierRates",
    "min_adcf",
    "min_adcf_behind",
    "min_tdcf",
    "verifier_rates",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CostModel:
    """Priors of the three cases and what an error in each costs; priors sum to 1."""

    p_target: float
    p_nontarget: float
    p_spoof: float
    c_miss: float
    c_nontarget: float
    c_spoof: float

    def to_dict(self) -> dict[str, float]:
        """Return the parameters as JSON."""
        return asdict(self)


TDCF = CostModel(0.95 * 0.99, 0.95 * 0.01, 0.05, 1.0, 10.0, 10.0)
"""Of the ASVspoof 2019 and 2021 evaluation plans."""
ADCF = CostModel(0.9, 0.05, 0.05, 1.0, 10.0, 20.0)
"""a-DCF1 of Shim et al. (2024)."""


@dataclass(frozen=True)
class VerifierRates:
    """Error rates of the verifier behind the detector, each in [0, 1].

    Attributes:
        frr: share of genuine targets rejected; far: share of impostors accepted.
        spoof_far: share of spoofs of a target accepted.
        assumed: whether they were stated instead of measured.
    """

    frr: float
    far: float
    spoof_far: float
    assumed: bool = True

    def __post_init__(self) -> None:
        if not all(0.0 <= rate <= 1.0 for rate in (self.frr, self.far, self.spoof_far)):
            raise InputError(
                "rates_invalid",
                f"Found the rates {self.frr:g}, {self.far:g}, {self.spoof_far:g} of a verifier; expected each from 0 "
                "to 1; correct them.",
            )

    def to_dict(self) -> dict[str, float | bool]:
        """Return the rates as JSON."""
        return asdict(self)


WORST_VERIFIER = VerifierRates(frr=0.01, far=0.01, spoof_far=1.0)
"""A good verifier that every spoof fools: the worst case, where no speaker scores of the spoofs are known."""


def min_tdcf(curve: ErrorCurve, verifier: VerifierRates, costs: CostModel = TDCF) -> Floats:
    """Return the lowest normalised t-DCF over the detector's thresholds, (R,); 1: the detector is useless.

    t-DCF(s) = C0 + C1 Pmiss(s) + C2 Pfa(s), over C0 + min(C1, C2).

    Args:
        curve: of the detector: its FAR is the share of spoofs passed, its FRR that of genuine speech stopped.
        verifier: behind it, at a fixed threshold.
        costs: priors and costs.

    Raises:
        InputError: ``rates_invalid`` for a verifier that errs so much that stopping everybody costs less (C1 < 0).

    Source: Kinnunen et al. (2020), eqs. 10, 11.
    """
    c0 = costs.p_target * costs.c_miss * verifier.frr + costs.p_nontarget * costs.c_nontarget * verifier.far
    c1 = costs.p_target * costs.c_miss - c0
    c2 = costs.p_spoof * costs.c_spoof * verifier.spoof_far
    if c1 < 0.0:
        raise InputError(
            "rates_invalid",
            f"A verifier with FRR {verifier.frr:g} and FAR {verifier.far:g} costs more than turning everybody away; "
            "expected one that is of use; give other rates.",
        )
    cost = c0 + c1 * curve.frr + c2 * curve.far
    return np.asarray(np.min(cost, axis=1) / (c0 + min(c1, c2)))


def min_adcf_behind(curve: ErrorCurve, verifier: VerifierRates, costs: CostModel = ADCF) -> Floats:
    """Return the lowest normalised a-DCF of detector then verifier, over the detector's thresholds, (R,).

    Whoever the detector stops is rejected; the verifier decides on the others, its errors independent of the
    detector's (as in the t-DCF).
    """
    passed = 1.0 - curve.frr
    missed = curve.frr + passed * verifier.frr
    return _lowest(missed, passed * verifier.far, curve.far * verifier.spoof_far, costs)


def min_adcf(targets: ArrayLike, nontargets: ArrayLike, spoofs: ArrayLike, costs: CostModel = ADCF) -> float:
    """Return the lowest normalised a-DCF of one score per trial over all thresholds; 1: useless.

    a-DCF(t) = Cmiss Ptar Pmiss(t) + Cnon Pnon Pfa,non(t) + Cspf Pspf Pfa,spf(t), over the cost of the better constant
    decision.

    Args:
        targets, nontargets, spoofs: scores of any kind of system, higher speaks for accepting; accepted at or above t.

    Raises:
        InputError: ``scores_invalid``, ``trials_one_sided``.

    Example:
        >>> min_adcf([3.0, 4.0], [0.0, 1.0], [2.0, -1.0])
        0.0

    Source: Shim et al. (2024).
    """
    target, nontarget, spoof = (
        np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (targets, nontargets, spoofs)
    )
    if not (len(target) and len(nontarget) and len(spoof)):
        raise InputError(
            "trials_one_sided",
            f"Found {len(target)} target, {len(nontarget)} non-target and {len(spoof)} spoof trials; expected at least "
            "one of each; the a-DCF does not exist otherwise.",
        )
    scores = np.concatenate([target, nontarget, spoof])
    kind = np.repeat([0, 1, 2], [len(target), len(nontarget), len(spoof)])
    # One ranking of all trials; the two kinds of attack are two weightings of its negatives.
    weights = np.stack([kind != 2, kind != 1]).astype(np.float64)
    curve = RankedTrials(scores, kind == 0).curve(weights)
    return float(_lowest(curve.frr[:1], curve.far[:1], curve.far[1:], costs)[0])


def verifier_rates(
    targets: ArrayLike, nontargets: ArrayLike, spoofs: ArrayLike, threshold: float
) -> VerifierRates:
    """Return what a verifier does at a threshold (accepts at or above it), measured on three kinds of trials."""
    target, nontarget, spoof = (np.asarray(v, dtype=np.float64) for v in (targets, nontargets, spoofs))
    return VerifierRates(
        float(np.mean(target < threshold)),
        float(np.mean(nontarget >= threshold)),
        float(np.mean(spoof >= threshold)),
        assumed=False,
    )


def _lowest(missed: Floats, nontarget: Floats, spoof: Floats, costs: CostModel) -> Floats:
    """Return the lowest cost of three error curves over that of the better constant decision, (R,)."""
    cost = (
        costs.c_miss * costs.p_target * missed
        + costs.c_nontarget * costs.p_nontarget * nontarget
        + costs.c_spoof * costs.p_spoof * spoof
    )
    constant = min(
        costs.c_miss * costs.p_target,
        costs.c_nontarget * costs.p_nontarget + costs.c_spoof * costs.p_spoof,
    )
    return np.asarray(np.min(cost, axis=1) / constant)
