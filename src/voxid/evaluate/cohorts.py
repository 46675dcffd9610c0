"""Error rates by cohort, and how unequal they are: the worst group's rate over the best one's, with counts.

All cohorts are measured at one threshold, the one a user of the bundle gets, because that is what people meet. A
rate is stated only for cohorts that can carry it: five speakers and thirty target trials for the FRR; for the FAR as
many non-target trials as the rule of 3 asks of the rate the threshold was set for. Others say "too few", and take no
part in the ratio.

Source: ratios of the worst to the best group, and why impostors of one's own group count, are discussed in NIST IR
8429, "Face recognition vendor test part 8: summarizing demographic differentials" (2022).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxid.decision import DEFAULT_PROFILE
from voxid.evaluate.attributes import NOT_STATED, Attribute
from voxid.evaluate.bootstrap import RESAMPLES, Estimate, Measure, Sides, estimate_all
from voxid.evaluate.claims import bound_zero, smallest_rate, supports
from voxid.evaluate.metrics import RankedTrials
from voxid.evaluate.trials import SpeakerSides, TrialList
from voxid.evaluate.verification_report import VerificationReport

__all__ = ["Cohort", "CohortTable", "Disparity", "Threshold", "evaluate_cohorts", "threshold_of"]

Floats = NDArray[np.float64]

MIN_SPEAKERS: Final = 5
MIN_TARGETS: Final = 30
_UNBOUNDED: Final = 1e9
"""Ratio of a replicate in which the best cohort has no error."""
_NO_UPPER_END: Final = 1e3
"""An interval that reaches this has replicates without error at its end (or between them, by interpolation)."""


@dataclass(frozen=True)
class Threshold:
    """Where all cohorts are measured.

    Attributes:
        name: of the profile, or how the threshold was found.
        value: accept at or above it.
        far: false-accept rate it was set for.
        on_llrs: whether it is one of LLRs (else of scores).
    """

    name: str
    value: float
    far: float
    on_llrs: bool


@dataclass(frozen=True)
class Cohort:
    """One group of trials; a rate is None where there are too few of them.

    Attributes:
        value: the attribute's value.
        speakers: people among the probes.
        targets, nontargets: trials. false_rejects, false_accepts: errors among them at the threshold.
    """

    value: str
    speakers: int
    targets: int
    nontargets: int
    false_rejects: int
    false_accepts: int
    frr: Estimate | None
    far: Estimate | None
    eer: Estimate | None

    def to_dict(self) -> dict[str, Any]:
        """Return the cohort as JSON; null means too few."""
        rates = {"frr": self.frr, "far": self.far, "eer": self.eer}
        counts = {
            name: getattr(self, name)
            for name in ("value", "speakers", "targets", "nontargets", "false_rejects", "false_accepts")
        }
        return counts | {name: None if rate is None else rate.to_dict() for name, rate in rates.items()}


@dataclass(frozen=True)
class Disparity:
    """How unequal a rate is.

    Attributes:
        rate: ``"frr"`` or ``"far"``.
        worst, best: values with the highest and the lowest rate, of those that can carry one.
        ratio: the one over the other, with the interval of this pair; None where the best has no error.
        at_least: where the best has no error: the ratio if its rate were the highest its trials allow (3/N).
    """

    rate: str
    worst: str
    best: str
    ratio: Estimate | None
    at_least: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the ratio as JSON; an interval without upper end has null there."""
        ratio = None if self.ratio is None else self.ratio.to_dict()
        return {
            "rate": self.rate, "worst": self.worst, "best": self.best, "ratio": ratio, "at_least": self.at_least,
        }  # fmt: skip


@dataclass(frozen=True)
class CohortTable:
    """All cohorts of one attribute.

    Attributes:
        attribute: name; stated: by the user, else measured; of_probe: as ``Attribute``.
        threshold: where they were measured.
        disparities: of FRR and FAR, as far as two cohorts carry the rate.
    """

    attribute: str
    stated: bool
    of_probe: bool
    threshold: Threshold
    cohorts: tuple[Cohort, ...]
    disparities: tuple[Disparity, ...]

    def disparity(self, rate: str) -> Disparity | None:
        """Return the disparity of ``"frr"`` or ``"far"``, or None where it could not be had."""
        return next((found for found in self.disparities if found.rate == rate), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the table as JSON."""
        return {
            "attribute": self.attribute,
            "stated": self.stated,
            "of_probe": self.of_probe,
            "threshold": {"name": self.threshold.name, "far": self.threshold.far},
            "cohorts": [cohort.to_dict() for cohort in self.cohorts],
            "disparity": [found.to_dict() for found in self.disparities],
        }


def threshold_of(report: VerificationReport, profile: str | None = None) -> Threshold | None:
    """Return the threshold a user of the system gets, or where there is none, that of FAR 1 % on this very list.

    Args:
        report: of the whole list.
        profile: name of the bundle's profile; None is the default one, or the first there is.

    Returns:
        None where the system has no profile and the list too few non-target trials for any FAR.
    """
    shipped = {rates.name: rates for rates in report.profiles}
    if report.llrs is not None and shipped:
        wanted = profile or (DEFAULT_PROFILE if DEFAULT_PROFILE in shipped else next(iter(shipped)))
        if wanted in shipped:
            return Threshold(wanted, shipped[wanted].threshold_llr, shipped[wanted].far_wanted, True)
    points = [point.point for point in report.far_points if np.isfinite(point.point.threshold)]
    nearest = min(points, key=lambda point: abs(np.log(point.far_wanted / 0.01)), default=None)
    if nearest is None:
        return None
    return Threshold(
        f"FAR {nearest.far_wanted:.3g} on this list", nearest.threshold, nearest.far_wanted, False
    )


def evaluate_cohorts(
    report: VerificationReport,
    trials: TrialList,
    attributes: Sequence[Attribute],
    *,
    profile: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[CohortTable, ...]:
    """Return a table per attribute; none where ``threshold_of`` finds no threshold.

    Args:
        report: of the whole list, by the system in question.
        trials: that list.
        attributes: of its trials.
        profile: as ``threshold_of``.
        resamples, seed: of the bootstrap over speakers.
    """
    threshold = threshold_of(report, profile)
    if threshold is None:
        return ()
    values = report.llrs if threshold.on_llrs and report.llrs is not None else report.scores
    found = []
    for attribute in attributes:
        groups = _groups(attribute, values, trials, threshold)
        measure, pairs = _measure(groups)
        speakers = trials.speakers
        sides = Sides(speakers.enrol, speakers.test, speakers.count)
        estimates = estimate_all(measure, sides, resamples=resamples, seed=seed)
        found.append(
            CohortTable(
                attribute=attribute.name,
                stated=attribute.stated,
                of_probe=attribute.of_probe,
                threshold=threshold,
                cohorts=tuple(group.cohort(estimates) for group in groups),
                disparities=tuple(_disparity(rate, pair, estimates) for rate, pair in pairs.items()),
            )
        )
    return tuple(found)


@dataclass(frozen=True, eq=False)
class _Group:
    """Trials of one cohort while they are measured: indices of its trials and which of them are errors."""

    value: str
    speakers: int
    targets: NDArray[np.int64]
    nontargets: NDArray[np.int64]
    wrong: NDArray[np.bool_]
    ranked: RankedTrials | None
    carries: Mapping[str, bool]

    def rate(self, name: str, weights: Floats) -> Floats:
        """Return FRR or FAR (R,) under trial weights (R, N)."""
        chosen = self.targets if name == "frr" else self.nontargets
        of_these = weights[:, chosen]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(of_these @ self.wrong[chosen] / of_these.sum(axis=1))

    def cohort(self, estimates: Mapping[str, Estimate]) -> Cohort:
        """Return the finished cohort."""

        def stated(name: str, trials: int) -> Estimate | None:
            key = f"{name} {self.value}"
            return bound_zero(estimates[key], trials) if key in estimates else None

        targets, nontargets = len(self.targets), len(self.nontargets)
        return Cohort(
            value=self.value,
            speakers=self.speakers,
            targets=targets,
            nontargets=nontargets,
            false_rejects=int(self.wrong[self.targets].sum()),
            false_accepts=int(self.wrong[self.nontargets].sum()),
            frr=stated("frr", targets),
            far=stated("far", nontargets),
            eer=stated("eer", min(targets, nontargets)),
        )


def _groups(attribute: Attribute, values: Floats, trials: TrialList, threshold: Threshold) -> list[_Group]:
    is_target, speakers = trials.is_target, trials.speakers
    accepted = values >= threshold.value
    wrong = np.where(is_target, ~accepted, accepted)
    found = []
    for value in attribute.order:
        inside = attribute.test == value
        both = inside if attribute.of_probe else inside & (attribute.enrol == value)
        targets, nontargets = np.flatnonzero(inside & is_target), np.flatnonzero(both & ~is_target)
        carries = _carries(targets, nontargets, speakers, threshold)
        ranked = None
        if carries["eer"]:
            chosen = np.concatenate([targets, nontargets])
            ranked = RankedTrials(values[chosen], is_target[chosen])
        people = len(np.unique(speakers.test[np.concatenate([targets, nontargets])]))
        found.append(_Group(value, people, targets, nontargets, wrong, ranked, carries))
    return found


def _carries(
    targets: NDArray[np.int64], nontargets: NDArray[np.int64], speakers: SpeakerSides, threshold: Threshold
) -> dict[str, bool]:
    """Return which rates these trials are enough for."""
    frr = len(targets) >= MIN_TARGETS and len(np.unique(speakers.test[targets])) >= MIN_SPEAKERS
    far = (
        supports(threshold.far, len(nontargets)) and len(np.unique(speakers.test[nontargets])) >= MIN_SPEAKERS
    )
    return {"frr": frr, "far": far, "eer": frr and far}


def _measure(groups: Sequence[_Group]) -> tuple[Measure, dict[str, tuple[_Group, _Group]]]:
    """Return the function from trial weights to all rates and ratios, and (worst, best) of each rate."""
    trials = len(groups[0].wrong)
    pairs: dict[str, tuple[_Group, _Group]] = {}
    for name in ("frr", "far"):
        able = [group for group in groups if group.carries[name] and group.value != NOT_STATED]
        if len(able) > 1:
            rates = [float(group.rate(name, np.ones((1, trials)))[0]) for group in able]
            pairs[name] = able[int(np.argmax(rates))], able[int(np.argmin(rates))]

    def measure(weights: Floats) -> dict[str, Floats]:
        found: dict[str, Floats] = {}
        for group in groups:
            for name in ("frr", "far"):
                if group.carries[name]:
                    found[f"{name} {group.value}"] = group.rate(name, weights)
            if group.ranked is not None:
                chosen = np.concatenate([group.targets, group.nontargets])
                found[f"eer {group.value}"] = group.ranked.curve(weights[:, chosen]).eer()
        for name, (worst, best) in pairs.items():
            high, low = found[f"{name} {worst.value}"], found[f"{name} {best.value}"]
            with np.errstate(invalid="ignore", divide="ignore"):
                ratio = high / low
            found[f"{name} ratio"] = np.where((low == 0.0) & (high > 0.0), _UNBOUNDED, ratio)
        return found

    return measure, pairs


def _disparity(name: str, pair: tuple[_Group, _Group], estimates: Mapping[str, Estimate]) -> Disparity:
    worst, best = pair
    ratio = estimates[f"{name} ratio"]
    trials = len(best.targets if name == "frr" else best.nontargets)
    if estimates[f"{name} {best.value}"].value > 0.0:
        high = None if ratio.high is not None and ratio.high >= _NO_UPPER_END else ratio.high
        return Disparity(name, worst.value, best.value, Estimate(ratio.value, ratio.low, high), None)
    least = estimates[f"{name} {worst.value}"].value / smallest_rate(trials)
    return Disparity(name, worst.value, best.value, None, least if least > 1.0 else None)
