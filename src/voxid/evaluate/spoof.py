"""Error rates of a detector of spoofed speech: from its scores and verdicts on a protocol to a report.

Terms of ISO/IEC 30107-3: an attack presentation that is taken for genuine is an error of the kind APCER, counted for
each species (generator) by itself; genuine speech taken for an attack is one of the kind BPCER. A detector that may
abstain makes a third thing, counted apart: ``suspicious`` and ``cannot_tell`` are neither error nor success.

    APCER = spoofs called genuine / spoofs of that species        BPCER = genuine called spoof / genuine

Curves and EER need no verdicts, only scores. Pooled over species they weigh a generator by its number of recordings;
the worst species is always said beside them.

Source: ISO/IEC 30107-3 for APCER and BPCER.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from voxid.evaluate.bootstrap import RESAMPLES, Estimate, Measure, Sides, estimate_all
from voxid.evaluate.claims import bound_zero, supports
from voxid.evaluate.metrics import ErrorCurve, RankedTrials, weighted_cllr
from voxid.evaluate.spoof_costs import WORST_VERIFIER, VerifierRates, min_adcf_behind, min_tdcf
from voxid.evaluate.spoof_protocol import SpoofScores, SpoofTrials
from voxid.evaluate.spoof_report import Abstention, SpoofReport
from voxid.evaluate.spoof_species import count_outcomes, group_of, species_of

__all__ = ["ABSTAINED", "FIXED_RATES", "apcer_at", "evaluate_spoof_scores", "with_thresholds"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

FIXED_RATES = (0.01, 0.05, 0.1)
"""Ceilings of the one error at which the other is stated, as far as the trials support them (rule of 3)."""
SPECIES_BPCER = 0.05
"""Share of genuine speech lost at the threshold every species is compared at."""
ABSTAINED = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Shares of trials set aside on the curve of error against abstention."""


def apcer_at(curve: ErrorCurve, bpcer: float) -> tuple[Floats, Floats]:
    """Return (APCER, threshold), each (R,), at the highest threshold whose BPCER does not exceed ``bpcer``."""
    last = np.sum(curve.frr <= bpcer + 1e-12, axis=1) - 1
    rows = np.arange(len(last))
    return np.asarray(curve.far[rows, last]), np.asarray(curve.thresholds[last])


def evaluate_spoof_scores(
    trials: SpoofTrials,
    scored: SpoofScores,
    *,
    verifier: VerifierRates = WORST_VERIFIER,
    notes: tuple[str, ...] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> SpoofReport:
    """Return the report of a detector's scores on a protocol.

    Args:
        trials: the protocol.
        scored: (N,) scores, verdicts where there are any.
        verifier: the speaker verifier the costs assume behind the detector.
        notes: sentences to carry along.
        resamples, seed: of the intervals; speakers (else recordings) of genuine speech and generators are resampled.
        progress: called with the share done, in [0, 1].

    Raises:
        InputError: ``scores_invalid``; ``trials_one_sided`` without genuine or without spoofed speech among the scored.
    """
    heard = np.flatnonzero(~np.isnan(scored.scores))
    scores, genuine = scored.scores[heard], trials.is_genuine[heard]
    ranked = RankedTrials(scores, genuine)
    sets = _sets(trials, heard)
    aside = _abstentions(trials, scored, heard)
    estimates = estimate_all(
        _measure(trials, scored, heard, sets | {name: kept for name, _, kept in aside}, verifier),
        Sides.single(trials.units),
        resamples=resamples,
        seed=seed,
        progress=progress,
    )
    wrong = _bound(estimates, int(np.sum(genuine)), int(np.sum(~genuine)))
    threshold = float(apcer_at(ranked.curve(), SPECIES_BPCER)[1][0])
    points = [_point(name, share, estimates, genuine[kept]) for name, share, kept in aside]
    return SpoofReport(
        protocol=trials.name,
        model_id=scored.model_id,
        trials=len(trials),
        genuine=int(np.sum(trials.is_genuine)),
        spoofs=int(np.sum(~trials.is_genuine)),
        generators=len(set(trials.generator) - {""}),
        unscored=_unscored(trials, scored),
        metrics={name: found for name, found in estimates.items() if ":" not in name},
        groups=tuple(group_of(name, trials, scored, estimates, threshold) for name in sets if "within" not in name),
        species=species_of(trials, scored, heard, threshold),
        outcomes=_outcomes_by_label(trials, scored),
        bpcer=wrong.get("bpcer"),
        apcer=wrong.get("apcer"),
        abstention=tuple(points[: len(ABSTAINED)]),
        own=points[len(ABSTAINED)] if len(points) > len(ABSTAINED) else None,
        thresholds=scored.thresholds,
        verifier=verifier,
        notes=(*_notes(trials, scored), *notes),
        resamples=resamples,
        seed=seed,
        scores=scores,
        is_genuine=genuine,
        are_llrs=scored.are_llrs,
    )  # fmt: skip


def _bound(estimates: dict[str, Estimate], genuine: int, spoofs: int) -> dict[str, Estimate]:
    """Give rates without an error their upper ends, in place, and return those of the verdicts, taken out."""
    estimates["eer"] = bound_zero(estimates["eer"], min(genuine, spoofs))
    for kind, count in (("bpcer", genuine), ("apcer", spoofs)):
        for name in [name for name in estimates if name.startswith(kind)]:
            estimates[name] = bound_zero(estimates[name], count)
    return {name: estimates.pop(name) for name in ("bpcer", "apcer") if name in estimates}


def _sets(trials: SpoofTrials, heard: Indices) -> dict[str, Indices]:
    """Return name -> places among the heard trials of every family and corpus against genuine speech."""
    genuine = trials.is_genuine[heard]
    family, corpus = (np.asarray(column)[heard] for column in (trials.family, trials.corpus))
    found: dict[str, Indices] = {}
    for name in sorted({value for value in family[~genuine] if value}):
        of = np.where(genuine, (family == name) | (family == ""), family == name)
        found[f"family: {name}"] = np.flatnonzero(of)
    for name in sorted({value for value in corpus if value}):
        within = np.flatnonzero(corpus == name)
        if not np.all(genuine[within]):
            found[f"corpus: {name}"] = np.flatnonzero(genuine | (corpus == name))
        if 0 < np.sum(genuine[within]) < len(within):
            found[f"corpus within: {name}"] = within
    return found


def _abstentions(
    trials: SpoofTrials, scored: SpoofScores, heard: Indices
) -> list[tuple[str, float, Indices]]:
    """Return (name, share set aside, places kept) for every point of the curve, then the detector's own."""
    order = np.argsort(-_sureness(trials, scored, heard), kind="stable")
    found = []
    for share in ABSTAINED:
        kept = min(len(heard), len(trials) - round(share * len(trials)))
        found.append((f"aside: {share:g}", 1.0 - kept / len(trials), np.sort(order[:kept])))
    if scored.outcomes is not None:
        sure = np.asarray([scored.outcomes[at] in ("genuine", "spoof") for at in heard])
        found.append(("own", 1.0 - float(np.sum(sure)) / len(trials), np.flatnonzero(sure)))
    return found


def _sureness(trials: SpoofTrials, scored: SpoofScores, heard: Indices) -> Floats:
    """Return how far each heard score lies from the middle of the doubtful; ``cannot_tell`` is below all others.

    Of an LLR that is 0, where both labels are as likely. Thresholds stand where few genuine recordings lie below, which
    is no place of doubt; they are the middle only of scores that are no LLRs.
    """
    scores = scored.scores[heard]
    if scored.are_llrs:
        middle = 0.0
    elif scored.thresholds is not None:
        middle = sum(scored.thresholds) / 2.0
    else:
        curve = RankedTrials(scores, trials.is_genuine[heard]).curve()
        equal = int(np.argmax(curve.frr[0] >= curve.far[0]))
        middle = float(curve.thresholds[min(equal, len(curve.thresholds) - 2)])  # the last is infinite
    sureness = np.abs(scores - middle)
    if scored.outcomes is not None:
        lost = np.asarray([scored.outcomes[at] == "cannot_tell" for at in heard])
        beyond = np.zeros(len(heard)) if scored.distance is None else np.nan_to_num(scored.distance[heard])
        sureness = np.where(lost, -1.0 - beyond, sureness)
    return np.asarray(sureness)


def _measure(
    trials: SpoofTrials,
    scored: SpoofScores,
    heard: Indices,
    sets: Mapping[str, Indices],
    verifier: VerifierRates,
) -> Measure:
    """Return the function from weights of all trials to every measure, those of a set named ``eer: <set>``."""
    scores, genuine = scored.scores[heard], trials.is_genuine[heard]
    ranked = RankedTrials(scores, genuine)
    of_sets = {
        name: (places, RankedTrials(scores[places], genuine[places]))
        for name, places in sets.items()
        if 0 < np.sum(genuine[places]) < len(places)
    }

    def measure(weights: Floats) -> dict[str, Floats]:
        found = _verdict_errors(trials, scored, weights)
        weights = weights[:, heard]
        curve = ranked.curve(weights)
        found |= {"eer": curve.eer(), "auc": curve.auc()}
        for rate in FIXED_RATES:
            if supports(rate, int(np.sum(~genuine))):
                found[f"bpcer_at_apcer_{100 * rate:g}pct"] = curve.frr_at(rate)
            if supports(rate, int(np.sum(genuine))):
                found[f"apcer_at_bpcer_{100 * rate:g}pct"] = apcer_at(curve, rate)[0]
        found["min_tdcf"] = min_tdcf(curve, verifier)
        found["min_adcf"] = min_adcf_behind(curve, verifier)
        if scored.are_llrs:
            found["cllr"] = weighted_cllr(scores, genuine, weights)
            found["min_cllr"] = ranked.min_cllr(weights)
        for name, (places, of_set) in of_sets.items():
            found[f"eer: {name}"] = of_set.curve(weights[:, places]).eer()
        families = [values for name, values in found.items() if name.startswith("eer: family")]
        if len(families) > 1:
            found["eer_families"] = np.mean(families, axis=0)
        return found

    return measure


def _verdict_errors(trials: SpoofTrials, scored: SpoofScores, weights: Floats) -> dict[str, Floats]:
    """Return APCER and BPCER of the verdicts, each (R,); nothing without verdicts."""
    if scored.outcomes is None:
        return {}
    outcomes = np.asarray(scored.outcomes)
    wrong = {"bpcer": (trials.is_genuine, "spoof"), "apcer": (~trials.is_genuine, "genuine")}
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            name: weights @ (of & (outcomes == called)) / (weights @ of)
            for name, (of, called) in wrong.items()
        }


def _point(
    name: str, share: float, estimates: Mapping[str, Estimate], genuine: NDArray[np.bool_]
) -> Abstention:
    left = int(np.sum(genuine))
    eer = estimates.get(f"eer: {name}")
    fewest = min(left, len(genuine) - left)
    return Abstention(share, left, len(genuine) - left, None if eer is None else bound_zero(eer, fewest))


def _outcomes_by_label(trials: SpoofTrials, scored: SpoofScores) -> dict[str, dict[str, int]]:
    if scored.outcomes is None:
        return {}
    return {
        "genuine": count_outcomes(scored, trials.is_genuine),
        "spoof": count_outcomes(scored, ~trials.is_genuine),
    }


def _unscored(trials: SpoofTrials, scored: SpoofScores) -> dict[str, int]:
    silent = np.isnan(scored.scores)
    return {
        "genuine": int(np.sum(silent & trials.is_genuine)),
        "spoof": int(np.sum(silent & ~trials.is_genuine)),
    }


def _notes(trials: SpoofTrials, scored: SpoofScores) -> list[str]:
    """Return what a reader has to know of these very numbers."""
    notes = []
    silent = _unscored(trials, scored)
    if sum(silent.values()):
        notes.append(
            f"Nothing could be measured of {silent['genuine']} genuine and {silent['spoof']} spoofed recordings: they "
            "are on no curve, and count as set aside."
        )
    if not any(trials.speaker[at] for at in np.flatnonzero(trials.is_genuine)):
        notes.append(
            "The protocol names no speakers of its genuine speech: intervals resample recordings there and are too "
            "narrow where one person speaks in several."
        )
    if not scored.are_llrs and scored.thresholds is None:
        notes.append(
            "Scores are no LLRs and have no thresholds: the least sure trials are those nearest to the threshold of "
            "equal errors here, found after the fact."
        )
    folds = {trials.family[at] for at in np.flatnonzero(trials.is_genuine)} - {""}
    if folds:
        notes.append(
            f"Genuine speech is scored once for each of {len(folds)} left-out families, by the model that never heard "
            "it: rates by family are of one model each, pooled ones mix scores of several."
        )
    return notes


def with_thresholds(scored: SpoofScores, thresholds: tuple[float, float]) -> SpoofScores:
    """Return the scores with the verdicts two thresholds give: below the first spoof, from the second on genuine."""
    low, high = thresholds
    outcomes = tuple(
        "cannot_tell"
        if np.isnan(score)
        else "spoof"
        if score < low
        else "suspicious"
        if score < high
        else "genuine"
        for score in scored.scores
    )
    return replace(scored, outcomes=scored.outcomes or outcomes, thresholds=thresholds)
