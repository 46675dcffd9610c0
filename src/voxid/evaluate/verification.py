"""Verification of a trial list: from audio, embeddings or scores to a report with intervals.

All three entrances meet in ``evaluate_scores``, so two systems are always measured by the same code:

    evaluate_verification   audio through a bundle, scored as by `Gallery.verify`
    evaluate_embeddings     any function from utterance path to embedding, e.g. another system's file
    evaluate_scores         any score per trial
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.bundle import Bundle, default_bundle
from voxid.calibration import Calibration
from voxid.decision import ThresholdProfile
from voxid.evaluate.bootstrap import RESAMPLES, Estimate, Measure, Sides, estimate_all
from voxid.evaluate.claims import FIRM_ERRORS, bound_zero, support_sentence, supports
from voxid.evaluate.embeddings import Embed
from voxid.evaluate.metrics import (
    OperatingPoint,
    RankedTrials,
    bayes_threshold,
    detection_cost,
    operating_points,
    rates_at,
    weighted_cllr,
)
from voxid.evaluate.scoring import bundle_scores, cosine_scores, embed_utterances
from voxid.evaluate.trials import TrialList, read_trials
from voxid.evaluate.utterances import UtteranceFacts
from voxid.evaluate.verification_report import METRICS, FarPoint, ProfileRates, Refusals, VerificationReport
from voxid.speech import QualityPolicy

Floats = NDArray[np.float64]
Progress = Callable[[float], None]

FARS = (0.1, 0.01, 0.001, 0.0001)
"""FAR ceilings for which the FRR is reported, as far as the number of non-target trials supports them."""

EMBEDDING_SHARE = 0.9
"""Share of the progress bar that embedding takes; the rest is the bootstrap."""


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
    scores, llrs = bundle_scores(listed, vectors, embedder.qualities, model)
    report = evaluate_scores(
        listed,
        scores,
        model_id=model.id,
        llrs=llrs,
        profiles=model.profiles,
        notes=_speech_notes(len(embedder.without_speech), len(vectors)),
        resamples=resamples,
        seed=seed,
        progress=_part(progress, EMBEDDING_SHARE),
    )
    return replace(report, refused=_refusals([embedder.facts[path] for path in sorted(set(listed.test))]))


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
    return ProfileRates(name, profile.far, profile.threshold_llr, far, frr)


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


def _speech_notes(without_speech: int, utterances: int) -> tuple[str, ...]:
    if not without_speech:
        return ()
    return (
        f"{without_speech} of {utterances} utterances hold no speech our detector finds; "
        "they were embedded whole so that every trial has a score.",
    )


def _refusals(probes: Sequence[UtteranceFacts]) -> Refusals:
    verdicts = Counter(QualityPolicy().check(facts.quality, for_enroll=False) for facts in probes)
    return Refusals(len(probes), verdicts["not_enough_speech"], verdicts["poor_quality"])


def _part(progress: Progress | None, start: float) -> Progress | None:
    """Return ``progress`` mapped to the embedding part (start 0) or the part after ``start``."""
    if progress is None:
        return None
    width = EMBEDDING_SHARE if start == 0.0 else 1.0 - start
    return lambda share: progress(start + width * share)
