"""Identification: who of a gallery is speaking, and is it anyone of them at all.

Terms of ISO/IEC 19795-1. *Closed set*: every probe's speaker is enrolled; rank-k accuracy is the share of
probes whose speaker is among the k best. *Open set*: some probes are of people not enrolled. FPIR is the
share of those non-mated searches that return anybody; FNIR is the share of mated searches that do not
return the right person first and above the threshold.

Open-set searches are made by leaving speakers out: the enrolled people are dealt into folds by a seed, and
each fold in turn is taken out of the gallery, so that its probes become strangers and all others search a
slightly smaller gallery. Every probe is a stranger exactly once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.bundle import Bundle, default_bundle
from voxid.decision import ThresholdProfile
from voxid.errors import InputError
from voxid.evaluate.bootstrap import RESAMPLES, Estimate, Sides, estimate_all
from voxid.evaluate.claims import bound_one, bound_zero, smallest_rate, supports
from voxid.evaluate.embeddings import Embed
from voxid.evaluate.metrics import RankedTrials
from voxid.evaluate.scoring import embed_utterances, search_llrs
from voxid.evaluate.trials import TrialList, read_trials
from voxid.score import center, cosine

Floats = NDArray[np.float64]
FPIRS = (0.1, 0.05, 0.01)
"""FPIR ceilings for which the FNIR is reported, as far as the number of non-mated probes supports them."""
RANKS = (1, 5)
LEFT_OUT_SHARE = 0.25
"""Share of the enrolled people taken out of the gallery at a time."""


@dataclass(frozen=True)
class Searches:
    """Open-set searches of all folds, M of them.

    Attributes:
        scores: (M,) mated: score of the right person, below every score where another ranks first;
            non-mated: the best score in the gallery.
        is_mated: (M,) true where the probe's speaker is in the gallery.
        speaker: (M,) index of the probe's speaker.
        smallest_gallery: people in the smallest gallery searched.
        folds: number of galleries.
    """

    scores: Floats
    is_mated: NDArray[np.bool_]
    speaker: NDArray[np.int64]
    smallest_gallery: int
    folds: int


@dataclass(frozen=True)
class IdentificationReport:
    """Closed-set and open-set identification on one list by one system.

    Attributes:
        people: enrolled in the closed set; probes: test utterances.
        rank_accuracy: k -> share of probes whose speaker is among the k best.
        fnir_at_fpir: FPIR ceiling -> FNIR.
        profiles: threshold profile -> (FPIR, FNIR) at its LLR threshold.
        open_set: the open-set searches, for plots.
    """

    trial_list: str
    model_id: str
    people: int
    probes: int
    enrolment_utterances: tuple[int, int]
    rank_accuracy: Mapping[int, Estimate]
    fnir_at_fpir: Mapping[float, Estimate]
    profiles: Mapping[str, tuple[Estimate, Estimate]]
    notes: tuple[str, ...]
    resamples: int
    seed: int
    ranks: NDArray[np.int64] = field(repr=False)
    open_set: Searches = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        mated = int(np.sum(self.open_set.is_mated))
        record: dict[str, Any] = {
            "task": "identification",
            "trial_list": self.trial_list,
            "model": self.model_id,
            "people": self.people,
            "probes": self.probes,
            "enrolment_utterances": list(self.enrolment_utterances),
        }
        record.update({f"rank_{k}": estimate.to_dict() for k, estimate in self.rank_accuracy.items()})
        record["open_set"] = {
            "galleries": self.open_set.folds,
            "smallest_gallery": self.open_set.smallest_gallery,
            "mated_searches": mated,
            "nonmated_searches": len(self.open_set.scores) - mated,
            "fnir_at_fpir": [
                {"fpir": fpir, "fnir": estimate.to_dict()} for fpir, estimate in self.fnir_at_fpir.items()
            ],
            "profiles": {
                name: {"fpir": fpir.to_dict(), "fnir": fnir.to_dict()}
                for name, (fpir, fnir) in self.profiles.items()
            },
        }
        record["interval"] = {
            "confidence": 0.95,
            "resampled": "speakers",
            "resamples": self.resamples,
            "seed": self.seed,
        }
        record["notes"] = list(self.notes)
        return record


def evaluate_identification(
    trials: TrialList | str | Path,
    audio_root: str | Path,
    *,
    enrol: str | Path | None = None,
    bundle: Bundle | None = None,
    cache_dir: str | Path | None = None,
    left_out_share: float = LEFT_OUT_SHARE,
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> IdentificationReport:
    """Return the report of a bundle on the people and probes of a trial list.

    Args:
        trials: list with models (kaldi layout); the gallery is every model, the probes are the test sides
            of its target trials.
        audio_root, enrol, bundle, cache_dir, resamples, progress: as in ``evaluate_verification``.
        left_out_share: share of the people taken out of the gallery at a time, in (0, 0.5].
        seed: of the deal into folds and of the bootstrap.

    Raises:
        InputError: ``identification_impossible`` when the list has fewer than four people or no probes;
            an unusable list or audio file.
    """
    listed = trials if isinstance(trials, TrialList) else read_trials(trials, enrol)
    model = bundle if bundle is not None else default_bundle()
    gallery, probes = people_and_probes(listed)
    needed = {path for name in gallery for path in listed.enrolment[name]} | set(probes)
    embedder, vectors = embed_utterances(tuple(sorted(needed)), audio_root, model, cache_dir, progress)
    llrs = search_llrs(
        [listed.enrolment[name] for name in gallery], list(probes), vectors, embedder.qualities, model
    )
    return evaluate_identification_scores(
        listed, llrs, model_id=model.id, profiles=model.profiles, left_out_share=left_out_share,
        resamples=resamples, seed=seed,
    )  # fmt: skip


def evaluate_identification_embeddings(
    trials: TrialList,
    embed: Embed,
    *,
    model_id: str,
    left_out_share: float = LEFT_OUT_SHARE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> IdentificationReport:
    """Return the report of any embedding function, searched by cosine; arguments as in ``evaluate_embeddings``."""
    gallery, probes = people_and_probes(trials)
    models = np.stack([np.mean([embed(path) for path in trials.enrolment[name]], axis=0) for name in gallery])
    tests = np.stack([embed(path) for path in probes])
    nothing = np.zeros(tests.shape[1])
    return evaluate_identification_scores(
        trials, cosine(center(tests, nothing), center(models, nothing)), model_id=model_id,
        left_out_share=left_out_share, resamples=resamples, seed=seed,
    )  # fmt: skip


def evaluate_identification_scores(
    trials: TrialList,
    scores: ArrayLike,
    *,
    model_id: str,
    profiles: Mapping[str, ThresholdProfile] | None = None,
    left_out_share: float = LEFT_OUT_SHARE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> IdentificationReport:
    """Return the report of given scores.

    Args:
        trials: the list.
        scores: (P, G) of the probes with the people, in the order of ``people_and_probes``; higher is more alike.
            LLRs where profiles are given.
        model_id: name of the system in the report.
        profiles: threshold profiles to measure on the LLRs.
        left_out_share, resamples, seed: as in ``evaluate_identification``.
    """
    gallery, probes = people_and_probes(trials)
    scores = np.asarray(scores, dtype=np.float64)
    mate = np.asarray([gallery.index(name) for name in probes.values()], dtype=np.int64)
    ranks = mate_ranks(scores, mate)
    searches = open_set_searches(scores, mate, left_out_share, seed)
    closed = estimate_all(
        lambda weights: {f"rank_{k}": _share(weights, ranks <= k) for k in RANKS},
        Sides.single(mate), resamples=resamples, seed=seed,
    )  # fmt: skip
    chosen = dict(profiles or {})
    fpirs = tuple(fpir for fpir in FPIRS if supports(fpir, len(probes)))
    opened = _open_set_estimates(searches, chosen, fpirs, resamples, seed)
    # A probe searches several galleries, which are not independent: bounds count it once.
    return IdentificationReport(
        trial_list=trials.name,
        model_id=model_id,
        people=len(gallery),
        probes=len(probes),
        enrolment_utterances=trials.enrolment_sizes,
        rank_accuracy={k: bound_one(closed[f"rank_{k}"], len(probes)) for k in RANKS},
        fnir_at_fpir={fpir: bound_zero(opened[f"fnir_{fpir}"], len(probes)) for fpir in fpirs},
        profiles={
            name: (
                bound_zero(opened[f"fpir of {name}"], len(probes)),
                bound_zero(opened[f"fnir of {name}"], len(probes)),
            )
            for name in chosen
        },
        notes=_notes(len(probes), len(gallery), searches),
        resamples=resamples,
        seed=seed,
        ranks=ranks,
        open_set=searches,
    )


def people_and_probes(trials: TrialList) -> tuple[list[str], dict[str, str]]:
    """Return the enrolled names, sorted, and probe path -> name, from the target trials.

    Raises:
        InputError: ``identification_impossible``.
    """
    gallery = sorted(set(trials.enrol))
    probes = {
        test: name
        for name, test, target in zip(trials.enrol, trials.test, trials.is_target, strict=True)
        if target
    }
    speakers = trials.speakers
    one_model_each = len({speakers.of[name] for name in gallery}) == len(gallery)
    if len(gallery) < 4 or not probes or not one_model_each:
        raise InputError(
            "identification_impossible",
            f"{trials.name} has {len(gallery)} enrolled models of {len({speakers.of[n] for n in gallery})} "
            f"people and {len(probes)} probes; expected one model per person, four people or more, and "
            "target trials; give a `model test target|nontarget` list with its enrolment map.",
        )
    return gallery, probes


def mate_ranks(scores: Floats, mate: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rank of the right person for every probe, (P,), from 1; a tie counts against it.

    Args:
        scores: (P, G) probe by person; higher is more alike.
        mate: (P,) column of the right person.
    """
    own = scores[np.arange(len(mate)), mate]
    return np.asarray(np.sum(scores >= own[:, None], axis=1), dtype=np.int64)


def open_set_searches(
    scores: Floats, mate: NDArray[np.int64], left_out_share: float = LEFT_OUT_SHARE, seed: int = 0
) -> Searches:
    """Return the searches of all folds; see the head of this file.

    Raises:
        InputError: ``left_out_share_invalid``.
    """
    if not 0.0 < left_out_share <= 0.5:
        raise InputError(
            "left_out_share_invalid",
            f"Got {left_out_share} as the share of people left out; expected more than 0 and at most 0.5.",
        )
    people = scores.shape[1]
    folds = max(2, min(people, round(1.0 / left_out_share)))
    fold_of = np.empty(people, dtype=np.int64)
    fold_of[np.random.default_rng(seed).permutation(people)] = np.arange(people) % folds
    never = float(np.min(scores)) - 1.0  # below every score: a mated search lost to another person
    found: list[Floats] = []
    mated: list[NDArray[np.bool_]] = []
    for fold in range(folds):
        enrolled = fold_of != fold
        best = np.max(np.where(enrolled, scores, -np.inf), axis=1)
        is_mated = enrolled[mate]
        own = scores[np.arange(len(mate)), mate]
        others = np.where(enrolled, scores, -np.inf)
        others[np.arange(len(mate)), mate] = -np.inf
        first = own > np.max(others, axis=1)
        found.append(np.where(is_mated, np.where(first, own, never), best))
        mated.append(is_mated)
    return Searches(
        np.concatenate(found),
        np.concatenate(mated),
        np.tile(mate, folds),
        people - int(np.max(np.bincount(fold_of))),
        folds,
    )


def _open_set_estimates(
    searches: Searches,
    profiles: Mapping[str, ThresholdProfile],
    fpirs: tuple[float, ...],
    resamples: int,
    seed: int,
) -> dict[str, Estimate]:
    ranked = RankedTrials(searches.scores, searches.is_mated)

    def measure(weights: Floats) -> dict[str, Floats]:
        curve = ranked.curve(weights)  # FNIR is the FRR, FPIR the FAR, of these searches
        values = {f"fnir_{fpir}": curve.frr_at(fpir) for fpir in fpirs}
        for name, profile in profiles.items():
            returned = searches.scores >= profile.threshold_llr
            mated, strangers = weights * searches.is_mated, weights * ~searches.is_mated
            values[f"fnir of {name}"] = 1.0 - _share(mated, returned)
            values[f"fpir of {name}"] = _share(strangers, returned)
        return values

    return estimate_all(measure, Sides.single(searches.speaker), resamples=resamples, seed=seed)


def _share(weights: Floats, chosen: NDArray[np.bool_]) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(weights @ chosen / np.sum(weights, axis=1))


def _notes(probes: int, people: int, searches: Searches) -> tuple[str, ...]:
    return (
        f"{probes:,} non-mated probes: no FPIR below {100 * smallest_rate(probes):.3g} % is claimed "
        "(rule of 3).",
        f"FPIR grows with the gallery: these galleries hold {searches.smallest_gallery} people or more of "
        f"{people}, and say nothing of a gallery of another size.",
        "Intervals resample the speakers of the probes; the gallery is fixed.",
    )
