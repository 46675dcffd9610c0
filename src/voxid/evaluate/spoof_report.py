"""The report of a detector of spoofed speech on one protocol: its measures, and what they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxid.evaluate.bootstrap import CONFIDENCE, Estimate
from voxid.evaluate.spoof_costs import ADCF, TDCF, VerifierRates
from voxid.evaluate.verification_report import ProfileRates, VerificationReport

__all__ = ["SPOOF_METRICS", "Abstention", "SpoofGroup", "SpoofReport", "SpoofSpecies", "detection_of"]

Floats = NDArray[np.float64]

SPOOF_METRICS = (
    "eer",
    "eer_families",
    "bpcer_at_apcer_1pct",
    "bpcer_at_apcer_5pct",
    "bpcer_at_apcer_10pct",
    "apcer_at_bpcer_1pct",
    "apcer_at_bpcer_5pct",
    "apcer_at_bpcer_10pct",
    "min_tdcf",
    "min_adcf",
    "auc",
    "cllr",
    "min_cllr",
)
"""Measures of every report, in the order they are printed; Cllr only of LLRs, ``eer_families`` (the mean of
the families' EERs) only of two families or more."""


@dataclass(frozen=True)
class SpoofGroup:
    """Spoofs of one kind against genuine speech.

    Attributes:
        kind: ``"family"`` or ``"corpus"``.
        name: of it.
        genuine, spoofs: trials with a score.
        eer: against the genuine speech of all corpora (of a left-out family: what its model scored).
        eer_within: of a corpus, against its own genuine speech; None where it has none.
        apcer: share called genuine; apcer_at_bpcer_5pct: share above the pooled threshold of BPCER 5 %.
        outcomes: outcome -> count, of its spoofs; empty without verdicts.
        genuine_outcomes: the same of its own genuine speech.
    """

    kind: str
    name: str
    genuine: int
    spoofs: int
    eer: Estimate | None
    eer_within: Estimate | None
    apcer: Estimate | None
    apcer_at_bpcer_5pct: Estimate | None
    outcomes: Mapping[str, int]
    genuine_outcomes: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return the group as JSON."""
        return _plain(self)


@dataclass(frozen=True)
class SpoofSpecies:
    """One generator (ISO/IEC 30107-3: presentation attack instrument species).

    Attributes:
        generator, family, corpus: its names.
        trials: recordings of it; with so few, intervals are wide (Clopper and Pearson).
        apcer: share called genuine; None without verdicts.
        apcer_at_bpcer_5pct: share at or above the threshold at which 5 % of all genuine speech falls, set here.
        eer: against all genuine speech.
        outcomes: outcome -> count.
    """

    generator: str
    family: str
    corpus: str
    trials: int
    apcer: Estimate | None
    apcer_at_bpcer_5pct: Estimate
    eer: float
    outcomes: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return the species as JSON."""
        return _plain(self)


@dataclass(frozen=True)
class Abstention:
    """What is left when the least sure trials are set aside.

    Attributes:
        share: of all trials set aside, in [0, 1].
        genuine, spoofs: trials left.
        eer: of them; None where one kind is gone.
    """

    share: float
    genuine: int
    spoofs: int
    eer: Estimate | None

    def to_dict(self) -> dict[str, Any]:
        """Return the point as JSON."""
        return _plain(self)


@dataclass(frozen=True)
class SpoofReport:
    """Everything measured of one detector on one protocol.

    Attributes:
        protocol, model_id: names.
        trials, genuine, spoofs, generators: counts, of all rows.
        unscored: outcome "nothing could be measured" by label; such trials are on no curve.
        metrics: name in ``SPOOF_METRICS`` -> estimate, over all species pooled.
        groups: families, then corpora.
        species: every generator, the worst first.
        outcomes: label -> outcome -> count; empty without verdicts.
        bpcer: share of genuine speech called spoof; apcer: share of spoofs called genuine; None without verdicts.
        abstention: EER against the share set aside, the detector's own least sure trials first.
        own: what is left after the detector's own "suspicious" and "cannot_tell"; None without verdicts.
        thresholds: LLRs below which is spoof, and from which on is genuine; None where there are none.
        verifier: the one the costs assume behind the detector.
        notes: sentences that belong beside the numbers.
        resamples, seed: of the bootstrap over speakers and generators.
        scores, is_genuine: (M,) of the scored trials, for plots; not part of the JSON.
    """

    protocol: str
    model_id: str
    trials: int
    genuine: int
    spoofs: int
    generators: int
    unscored: Mapping[str, int]
    metrics: Mapping[str, Estimate]
    groups: tuple[SpoofGroup, ...]
    species: tuple[SpoofSpecies, ...]
    outcomes: Mapping[str, Mapping[str, int]]
    bpcer: Estimate | None
    apcer: Estimate | None
    abstention: tuple[Abstention, ...]
    own: Abstention | None
    thresholds: tuple[float, float] | None
    verifier: VerifierRates
    notes: tuple[str, ...]
    resamples: int
    seed: int
    scores: Floats = field(repr=False)
    is_genuine: NDArray[np.bool_] = field(repr=False)
    are_llrs: bool = False

    @property
    def worst(self) -> SpoofSpecies:
        """The generator that passes most often."""
        return self.species[0]

    def group(self, name: str) -> SpoofGroup | None:
        """Return the family or corpus of that name; a family where both have it."""
        return next((group for group in self.groups if group.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values; a measure that needs verdicts or LLRs is null without them."""
        names = (
            "protocol",
            "trials",
            "genuine",
            "spoofs",
            "generators",
            "unscored",
            "outcomes",
            "thresholds",
        )
        record: dict[str, Any] = {"task": "spoof", "model": self.model_id}
        record |= {name: _value(getattr(self, name)) for name in names}
        record |= {name: _value(self.metrics.get(name)) for name in SPOOF_METRICS}
        record |= {"bpcer": _value(self.bpcer), "apcer": _value(self.apcer)}
        record["worst_species"] = self.worst.generator
        record["groups"] = [group.to_dict() for group in self.groups]
        record["species"] = [species.to_dict() for species in self.species]
        record["abstention"] = [point.to_dict() for point in self.abstention]
        record["own_abstention"] = None if self.own is None else self.own.to_dict()
        record["costs"] = {
            "verifier": self.verifier.to_dict(),
            "min_tdcf": TDCF.to_dict(),
            "min_adcf": ADCF.to_dict(),
        }
        record["interval"] = {
            "confidence": CONFIDENCE,
            "resampled": "speakers (or recordings) of genuine speech, generators of spoofs",
            "resamples": self.resamples,
            "seed": self.seed,
        }
        record["notes"] = list(self.notes)
        return record


def detection_of(report: SpoofReport) -> VerificationReport:
    """Return the report as one of detection, for DET and score plots: FAR is the APCER, FRR the BPCER, pooled."""
    points: tuple[ProfileRates, ...] = ()
    if report.thresholds is not None:
        names = ("spoof below", "genuine from")
        points = tuple(
            ProfileRates(
                name, 0.0, threshold,
                Estimate(float(np.mean(report.scores[~report.is_genuine] >= threshold))),
                Estimate(float(np.mean(report.scores[report.is_genuine] < threshold))),
            )
            for name, threshold in zip(names, report.thresholds, strict=True)
        )  # fmt: skip
    genuine = int(np.sum(report.is_genuine))
    return VerificationReport(
        trial_list=report.protocol,
        model_id=report.model_id,
        trials=len(report.scores),
        targets=genuine,
        nontargets=len(report.scores) - genuine,
        speakers=report.generators,
        enrolment_utterances=(0, 0),
        metrics={"eer": report.metrics["eer"]},
        far_points=(),
        profiles=points,
        notes=(),
        resamples=report.resamples,
        seed=report.seed,
        scores=report.scores,
        is_target=report.is_genuine,
        llrs=report.scores if report.are_llrs else None,
    )


def _plain(found: SpoofGroup | SpoofSpecies | Abstention) -> dict[str, Any]:
    return asdict(found)


def _value(found: Any) -> Any:
    if isinstance(found, Estimate):
        return found.to_dict()
    if isinstance(found, Mapping):
        return {name: _value(value) for name, value in found.items()}
    return list(found) if isinstance(found, tuple) else found
