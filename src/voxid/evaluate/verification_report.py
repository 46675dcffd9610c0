"""The report of one system on one trial list: its measures, and what they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxid.evaluate.bootstrap import Estimate
from voxid.evaluate.metrics import OperatingPoint

__all__ = ["METRICS", "FarPoint", "ProfileRates", "Refusals", "VerificationReport"]

Floats = NDArray[np.float64]

METRICS = ("eer", "min_dcf_p01", "act_dcf_p01", "cllr", "min_cllr", "auc")
"""Measures of every report, in the order they are printed."""


@dataclass(frozen=True)
class FarPoint:
    """FRR at the most tolerant threshold that keeps the FAR at or under a ceiling, on these very trials."""

    point: OperatingPoint
    frr: Estimate
    firm: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the point as JSON; ``firm`` says that 30 false accepts or more stand behind the FAR."""
        point = self.point
        return {
            "far_wanted": point.far_wanted,
            "far": point.far,
            "frr": self.frr.to_dict(),
            "threshold": point.threshold if np.isfinite(point.threshold) else None,
            "false_accepts": point.false_accepts,
            "firm": self.firm,
        }


@dataclass(frozen=True)
class ProfileRates:
    """What a threshold set elsewhere does on these trials: the honest error of a shipped profile.

    ``far_wanted`` is the false-accept rate it was set for, there.
    """

    name: str
    far_wanted: float
    threshold_llr: float
    far: Estimate
    frr: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Return the rates as JSON."""
        return {
            "threshold_llr": self.threshold_llr,
            "far_wanted": self.far_wanted,
            "far": self.far.to_dict(),
            "frr": self.frr.to_dict(),
        }


@dataclass(frozen=True)
class Refusals:
    """Probes that ``voxid verify`` would not have compared: it asks for other speech instead of rejecting.

    Error rates of a report count them like any others, so that every system answers every trial.
    """

    probes: int
    not_enough_speech: int
    poor_quality: int

    @property
    def share(self) -> float:
        """Share of the probes refused, in [0, 1]."""
        return (self.not_enough_speech + self.poor_quality) / self.probes

    def to_dict(self) -> dict[str, int]:
        """Return the counts."""
        return asdict(self)


@dataclass(frozen=True)
class VerificationReport:
    """Everything measured on one trial list by one system.

    Attributes:
        trial_list: name of the list.
        model_id: bundle id, or the name of the other system.
        trials, targets, nontargets, speakers: counts.
        enrolment_utterances: fewest and most utterances behind an enrolment side.
        metrics: name in ``METRICS`` -> estimate; ``act_dcf_p01`` and ``cllr`` only for calibrated systems.
        far_points: FRR at the FAR ceilings the trials support.
        profiles: rates at the bundle's threshold profiles.
        notes: sentences that belong beside the numbers.
        resamples, seed: of the bootstrap.
        scores, is_target, llrs: (N,) for plots; not part of the JSON.
        condition: what was done to the probes; ``"clean"`` is nothing.
        refused: of the probes, how many a verification would have refused to compare; None where the system has
            no such rule.
    """

    trial_list: str
    model_id: str
    trials: int
    targets: int
    nontargets: int
    speakers: int
    enrolment_utterances: tuple[int, int]
    metrics: Mapping[str, Estimate]
    far_points: tuple[FarPoint, ...]
    profiles: tuple[ProfileRates, ...]
    notes: tuple[str, ...]
    resamples: int
    seed: int
    scores: Floats = field(repr=False)
    is_target: NDArray[np.bool_] = field(repr=False)
    llrs: Floats | None = field(repr=False, default=None)
    condition: str = "clean"
    refused: Refusals | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values; a measure that needs calibrated scores is null without them."""
        record: dict[str, Any] = {
            "task": "verification",
            "trial_list": self.trial_list,
            "condition": self.condition,
            "model": self.model_id,
            "trials": self.trials,
            "targets": self.targets,
            "nontargets": self.nontargets,
            "speakers": self.speakers,
            "enrolment_utterances": list(self.enrolment_utterances),
        }
        for name in METRICS:
            estimate = self.metrics.get(name)
            record[name] = None if estimate is None else estimate.to_dict()
        record["frr_at_far"] = [point.to_dict() for point in self.far_points]
        record["refused"] = None if self.refused is None else self.refused.to_dict()
        record["profiles"] = {rates.name: rates.to_dict() for rates in self.profiles}
        record["interval"] = {
            "confidence": 0.95,
            "resampled": "speakers",
            "resamples": self.resamples,
            "seed": self.seed,
        }
        record["notes"] = list(self.notes)
        return record
