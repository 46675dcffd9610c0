"""Verification of a trial list: from audio, embeddings or scores to a report with intervals.

All three entrances meet in ``evaluate_scores``, so two systems are always measured by the same code:

    evaluate_verification   audio through a bundle (speech regions, embedding, mean subtraction, LLR)
    evaluate_embeddings     any function from utterance path to embedding, e.g. another system's file
    evaluate_scores         any score per trial
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.bundle import Bundle, default_bundle
from voxid.calibration import Calibration
from voxid.decision import ThresholdProfile
from voxid.evaluate.bootstrap import RESAMPLES, Estimate, Measure, Sides, estimate_all
from voxid.evaluate.claims import FIRM_ERRORS, bound_zero, support_sentence, supports
from voxid.evaluate.embeddings import BundleEmbedder, Embed, EmbeddingCache, Vector, embed_all
from voxid.evaluate.metrics import (
    OperatingPoint,
    RankedTrials,
    bayes_threshold,
    detection_cost,
    operating_points,
    rates_at,
    weighted_cllr,
)
from voxid.evaluate.trials import TrialList, read_trials
from voxid.score import center

Floats = NDArray[np.float64]
Progress = Callable[[float], None]

FARS = (0.1, 0.01, 0.001, 0.0001)
"""FAR ceilings for which the FRR is reported, as far as the number of non-target trials supports them."""

METRICS = ("eer", "min_dcf_p01", "act_dcf_p01", "cllr", "min_cllr", "auc")
"""Measures of every report, in the order they are printed."""

EMBEDDING_SHARE = 0.9
"""Share of the progress bar that embedding takes; the rest is the bootstrap."""


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
    """What a threshold set elsewhere does on these trials: the honest error of a shipped profile."""

    name: str
    threshold_llr: float
    far: Estimate
    frr: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Return the rates as JSON."""
        return {"threshold_llr": self.threshold_llr, "far": self.far.to_dict(), "frr": self.frr.to_dict()}


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

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values; a measure that needs calibrated scores is null without them."""
        record: dict[str, Any] = {
            "task": "verification",
            "trial_list": self.trial_list,
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
        record["profiles"] = {rates.name: rates.to_dict() for rates in self.profiles}
        record["interval"] = {
            "confidence": 0.95,
            "resampled": "speakers",
            "resamples": self.resamples,
            "seed": self.seed,
        }
        record["notes"] = list(self.notes)
        return record


def evaluate_verification(
    trials: TrialList | str | Path,
    audio_root: str | Path,
    *,
    enrol: str | Path | None = None,
    bundle: Bundle | None = None,
    cache_dir: str | Path | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Progress | None = None,
) -> VerificationReport:
    """Return the report of a bundle on a trial list of audio files.

    Args:
        trials: the list, read or as a path.
        audio_root: folder the utterance paths are relative to.
        enrol: enrolment map of a kaldi list given as a path.
        bundle: the model; None is the default bundle.
        cache_dir: folder for embeddings kept between runs; None computes every time.
        resamples, seed: of the bootstrap over speakers.
        progress: called with the share done, in [0, 1].

    Raises:
        InputError: a trial list or an audio file that cannot be used.
    """
    listed = trials if isinstance(trials, TrialList) else read_trials(trials, enrol)
    model = bundle if bundle is not None else default_bundle()
    embedder, vectors = embed_utterances(
        listed.utterances, audio_root, model, cache_dir, _part(progress, 0.0)
    )
    notes = []
    if embedder.without_speech:
        notes.append(
            f"{len(embedder.without_speech)} of {len(vectors)} utterances hold no speech our detector finds; "
            "they were embedded whole so that every trial has a score."
        )
    return evaluate_embeddings(
        listed,
        vectors.__getitem__,
        model_id=model.id,
        mean=model.mean,
        calibration=model.calibration,
        profiles=model.profiles,
        notes=tuple(notes),
        resamples=resamples,
        seed=seed,
        progress=_part(progress, EMBEDDING_SHARE),
    )


def embed_utterances(
    paths: tuple[str, ...],
    audio_root: str | Path,
    bundle: Bundle,
    cache_dir: str | Path | None,
    progress: Progress | None,
) -> tuple[BundleEmbedder, dict[str, Vector]]:
    """Return the embedder used and path -> embedding, saving the cache also when a file fails."""
    cache = None if cache_dir is None else EmbeddingCache(cache_dir, bundle.id, bundle.dim)
    embedder = BundleEmbedder(bundle, Path(audio_root), cache)
    try:
        vectors = embed_all(paths, embedder, progress)
    finally:
        if cache is not None:
            cache.save()
    return embedder, vectors


def evaluate_embeddings(
    trials: TrialList,
    embed: Embed,
    *,
    model_id: str,
    mean: ArrayLike | None = None,
    calibration: Calibration | None = None,
    profiles: Mapping[str, ThresholdProfile] | None = None,
    notes: tuple[str, ...] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Progress | None = None,
) -> VerificationReport:
    """Return the report of any embedding function, scored by cosine.

    Args:
        trials: the list.
        embed: utterance path -> embedding (D,).
        model_id: name of the system in the report.
        mean: (D,) subtracted before the cosine; None subtracts nothing.
        calibration: score -> LLR; None leaves the system uncalibrated.
        profiles: threshold profiles to measure; they need a calibration.
        notes: sentences to carry into the report.
        resamples, seed, progress: as in ``evaluate_verification``.
    """
    scores = cosine_scores(trials, embed, mean)
    llrs = None if calibration is None else np.asarray(calibration.llr(scores), dtype=np.float64)
    return evaluate_scores(
        trials, scores, llrs=llrs, model_id=model_id, profiles=profiles if llrs is not None else None,
        notes=notes, resamples=resamples, seed=seed, progress=progress,
    )  # fmt: skip


def cosine_scores(trials: TrialList, embed: Embed, mean: ArrayLike | None = None) -> Floats:
    """Return the cosine of both sides of every trial, (N,); higher is more alike.

    An enrolment side of several utterances is the mean of their unit embeddings, as in a gallery.
    """
    names = sorted(set(trials.enrol))
    tests = sorted(set(trials.test))
    models = np.stack([np.mean([embed(path) for path in trials.enrolment[name]], axis=0) for name in names])
    probes = np.stack([embed(path) for path in tests])
    offset = np.zeros(probes.shape[1]) if mean is None else np.asarray(mean)
    left = np.asarray(center(models, offset), dtype=np.float64)
    right = np.asarray(center(probes, offset), dtype=np.float64)
    row = {name: number for number, name in enumerate(names)}
    column = {path: number for number, path in enumerate(tests)}
    rows = np.asarray([row[name] for name in trials.enrol])
    columns = np.asarray([column[path] for path in trials.test])
    scores = np.empty(len(trials))
    for start in range(0, len(trials), 65_536):  # a block at a time: a long list never needs (N, D) at once
        block = slice(start, start + 65_536)
        scores[block] = np.einsum("nd,nd->n", left[rows[block]], right[columns[block]])
    return scores


def evaluate_scores(
    trials: TrialList,
    scores: ArrayLike,
    *,
    model_id: str,
    llrs: ArrayLike | None = None,
    profiles: Mapping[str, ThresholdProfile] | None = None,
    notes: tuple[str, ...] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Progress | None = None,
) -> VerificationReport:
    """Return the report of given scores.

    Args:
        trials: the list.
        scores: (N,) in the order of the list; higher is more alike.
        model_id: name of the system in the report.
        llrs: (N,) natural-log LLRs of the same trials, where the system gives them.
        profiles: threshold profiles, measured on ``llrs``.
        notes, resamples, seed, progress: as in ``evaluate_embeddings``.

    Raises:
        InputError: ``scores_invalid`` or ``trials_one_sided``.
    """
    is_target = trials.is_target
    values = np.asarray(scores, dtype=np.float64)
    ranked = RankedTrials(values, is_target)
    calibrated = None if llrs is None else np.asarray(llrs, dtype=np.float64)
    if calibrated is not None:
        RankedTrials(calibrated, is_target)  # refuses LLRs that are not finite or not one per trial
    chosen = dict(profiles or {}) if calibrated is not None else {}
    points = operating_points(
        values[is_target],
        values[~is_target],
        [far for far in FARS if supports(far, trials.nontargets)],
    )
    speakers = trials.speakers
    estimates = estimate_all(
        _measure(ranked, is_target, calibrated, chosen, [point.far_wanted for point in points]),
        Sides(speakers.enrol, speakers.test, speakers.count),
        resamples=resamples,
        seed=seed,
        progress=progress,
    )
    estimates["eer"] = bound_zero(estimates["eer"], min(trials.targets, trials.nontargets))
    return VerificationReport(
        trial_list=trials.name,
        model_id=model_id,
        trials=len(trials),
        targets=trials.targets,
        nontargets=trials.nontargets,
        speakers=speakers.count,
        enrolment_utterances=trials.enrolment_sizes,
        metrics={name: estimates[name] for name in METRICS if name in estimates},
        far_points=tuple(_far_point(point, estimates, trials) for point in points),
        profiles=tuple(_profile_rates(profile, name, estimates, trials) for name, profile in chosen.items()),
        notes=(*_notes(trials, model_id, calibrated is not None, estimates["eer"]), *notes),
        resamples=resamples,
        seed=seed,
        scores=values,
        is_target=is_target,
        llrs=calibrated,
    )


def _measure(
    ranked: RankedTrials,
    is_target: NDArray[np.bool_],
    llrs: Floats | None,
    profiles: Mapping[str, ThresholdProfile],
    fars: list[float],
) -> Measure:
    """Return the function from trial weights to every measure; ``min_cllr`` is its slowest part."""

    def measure(weights: Floats) -> dict[str, Floats]:
        curve = ranked.curve(weights)
        found = {"eer": curve.eer(), "min_dcf_p01": curve.min_dcf(), "auc": curve.auc()}
        found["min_cllr"] = ranked.min_cllr(weights)
        found.update({f"frr_at_{far}": curve.frr_at(far) for far in fars})
        if llrs is not None:
            found["act_dcf_p01"] = detection_cost(*rates_at(llrs, is_target, bayes_threshold(), weights))
            found["cllr"] = weighted_cllr(llrs, is_target, weights)
            for name, profile in profiles.items():
                far, frr = rates_at(llrs, is_target, profile.threshold_llr, weights)
                found[f"far of {name}"], found[f"frr of {name}"] = far, frr
        return found

    return measure


def _far_point(point: OperatingPoint, estimates: Mapping[str, Estimate], trials: TrialList) -> FarPoint:
    frr = bound_zero(estimates[f"frr_at_{point.far_wanted}"], trials.targets)
    return FarPoint(point, frr, point.false_accepts >= FIRM_ERRORS)


def _profile_rates(
    profile: ThresholdProfile, name: str, estimates: Mapping[str, Estimate], trials: TrialList
) -> ProfileRates:
    far = bound_zero(estimates[f"far of {name}"], trials.nontargets)
    frr = bound_zero(estimates[f"frr of {name}"], trials.targets)
    return ProfileRates(name, profile.threshold_llr, far, frr)


def _notes(trials: TrialList, model_id: str, calibrated: bool, eer: Estimate) -> list[str]:
    notes = [support_sentence(trials.nontargets)]
    if eer.value == 0.0:
        notes.append(
            f"{model_id} makes no error on these trials at its best threshold: the upper ends of EER and FRR "
            "are 3/N, and intervals of minDCF and min Cllr that end at 0 say nothing."
        )
    if not calibrated:
        notes.append(f"{model_id} gives no calibrated LLRs: actDCF, Cllr and profiles do not exist for it.")
    if trials.speakers.contradictions:
        notes.append(
            f"{trials.speakers.contradictions} non-target trials compare people whom the target trials of "
            "the same list say are one: the labels or the folders of this list contradict each other."
        )
    if trials.speakers.count < 2:
        notes.append("The list shows fewer than two speakers: no interval by speakers exists.")
    return notes


def _part(progress: Progress | None, start: float) -> Progress | None:
    """Return ``progress`` mapped to the embedding part (start 0) or the part after ``start``."""
    if progress is None:
        return None
    width = EMBEDDING_SHARE if start == 0.0 else 1.0 - start
    return lambda share: progress(start + width * share)
