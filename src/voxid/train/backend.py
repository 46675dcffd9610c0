"""A bundle's back-end, fitted from audio: cohort, scoring, calibration, thresholds.

    training speakers ──> mean, cohort, PLDA
    held-out speakers ──> trials in many conditions ──> the scoring with the lowest EER ──> calibration, thresholds

Everything is embedded as users' recordings are. What the card reports comes from people the calibration in question
had not heard. Nobody reserved for evaluation is listened to.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxid.backend import METHODS, Backend, Scoring, Sides
from voxid.bundle import BACKEND_FILE, CARD_FILE, Bundle, load_bundle, write_card
from voxid.calibration import Calibration, QualityWeight
from voxid.decision import ThresholdProfile, choose_profiles
from voxid.errors import InputError
from voxid.plda import Plda, train_plda
from voxid.score import center
from voxid.train.crossvalidation import LeftOut, ScoredTrials, cross_validate, mean_eer, report
from voxid.train.development import VIEWS, WHOLE, HeardSpeech, Listener, Recording
from voxid.train.trials import DevelopmentTrials, make_trials

Progress = Callable[[str, int, int], None]

_BLOCK_TRIALS = 65_536
_BABBLE_VOICES = 60
_SPEECH = ("probe_log_speech_s", "enroll_log_speech_s", "enroll_log_references")
_SOUND = ("probe_snr_db", "enroll_snr_db", "probe_high_band_db", "enroll_high_band_db")
_COHORT = ("probe_cohort_mean", "enroll_cohort_mean", "probe_cohort_std", "enroll_cohort_std")
_MIN_COHORT_SPEECH_S = 0.5  # of a speaker; a shorter word tells too little of the voice


@dataclass(frozen=True)
class BackendOptions:
    """How a back-end is fitted.

    Args:
        cohort_speakers: training speakers in the cohort, at most.
        utterances_per_speaker: recordings of each that are listened to; PLDA needs two.
        methods: ways to score that are tried. None of them: a run of ``voxid train`` keeps the quick back-end that the
            export sets on packed speech.
        tops: sizes of the part of the cohort that counts, for AS-norm.
        plda_dims: dimensions kept by PLDA; 0 is all of them.
        quality_sets: sets of measures (:data:`voxid.backend.QUALITIES`) that calibrations are tried with, beside none
            at all; the one with the lowest Cllr on people left out is taken.
        strength: of the pull of the calibration to the affine map (:func:`voxid.calibration.fit_quality_calibration`).
        views: how held-out speech is heard (:data:`voxid.train.development.VIEWS`); "whole" is one of them.
        folds: held-out people are dealt into.
        most_per_cell: target and non-target trials of a corpus in a condition, at most.
        seed: of every draw.
    """

    cohort_speakers: int = 3_000
    utterances_per_speaker: int = 2
    methods: tuple[str, ...] = METHODS
    tops: tuple[int, ...] = (100, 200, 400)
    plda_dims: tuple[int, ...] = (0, 100)
    quality_sets: tuple[tuple[str, ...], ...] = (_SPEECH, (*_SPEECH, *_SOUND), (*_SPEECH, *_SOUND, *_COHORT))
    strength: float = 1e-3
    views: tuple[str, ...] = tuple(view.name for view in VIEWS)
    folds: int = 5
    most_per_cell: int = 2_000
    seed: int = 17

    @property
    def qualities(self) -> tuple[str, ...]:
        """Every measure of any set, once."""
        return tuple(dict.fromkeys(name for names in self.quality_sets for name in names))


@dataclass(frozen=True, eq=False)
class Cohort:
    """What the training speakers give: their mean (D,), one raw unit embedding each (N, D), and their PLDAs."""

    mean: NDArray[np.float32]
    speakers: NDArray[np.float32]
    recordings: int
    plda: dict[int, Plda]


@dataclass(frozen=True, eq=False)
class Candidate:
    """One way to score, with the trials scored by it."""

    scoring: Scoring
    plda_dim: int | None
    scored: ScoredTrials
    eer: float

    def to_dict(self) -> dict[str, Any]:
        """Return the line of the card."""
        entry: dict[str, Any] = {"method": self.scoring.method, "mean_eer_percent": round(100 * self.eer, 3)}
        if self.scoring.method == "as_norm":
            entry["top"] = self.scoring.top
        return entry if self.plda_dim is None else {**entry, "dim": self.plda_dim}


def fit_backend(
    folder: str | Path,
    training: Sequence[Recording],
    held_out: Sequence[Recording],
    options: BackendOptions | None = None,
    *,
    out: str | Path | None = None,
    cache: Path | None = None,
    workers: int | None = None,
    progress: Progress = lambda part, done, total: None,
) -> Bundle:
    """Write a bundle anew with mean, cohort, PLDA, scoring, calibration and thresholds, and return it.

    Args:
        folder: the bundle whose graph is used; its own back-end plays no part.
        training: utterances of labelled speakers it was trained on.
        held_out: utterances of speakers it was not trained on.
        options: None takes the defaults.
        out: where the bundle goes; None replaces the one in ``folder``, whole or not at all.
        cache: folder for embeddings kept between runs.
        workers: processes that embed; None: one per core.
        progress: called with (part, done, in all).

    Raises:
        InputError: ``no_development_speech``, ``calibration_needs_trials``, ``too_few_trials``,
            ``plda_needs_speakers``; the bundle stays as it was.
    """
    bundle, chosen = load_bundle(folder), options or BackendOptions()
    recordings = choose_recordings(training, chosen)
    rng = np.random.default_rng(chosen.seed)
    voices = [recordings[int(i)].path for i in rng.permutation(len(recordings))[:_BABBLE_VOICES]]
    listener = Listener(bundle, voices, chosen.seed, cache, workers)
    cohort = _cohort(listener.hear(recordings, (WHOLE,), lambda n, of: progress("cohort", n, of)), chosen)
    views = [view for view in VIEWS if view.name in chosen.views]
    speech = listener.hear(held_out, views, lambda n, of: progress("held-out speech", n, of))
    trials = make_trials(
        speech, chosen.views, folds=chosen.folds, most_per_cell=chosen.most_per_cell, seed=chosen.seed
    )
    candidates = list(_candidates(cohort, speech, trials, chosen, progress))
    best = min(candidates, key=lambda candidate: candidate.eer)
    tried = _tried_calibrations(best.scored, chosen, progress)
    left_out = min(tried, key=lambda judged: judged.mean_cllr)
    people = len({utterance.speaker for utterance in speech.utterances})
    calibration = best.scored.fit(
        left_out.qualities,
        chosen.strength,
        f"{people} held-out speakers in {len(trials.conditions)} conditions",
    )
    is_target = left_out.trials.is_target
    profiles = choose_profiles(left_out.llrs[is_target], left_out.llrs[~is_target])
    facts = {**_facts(cohort, candidates, best, speech), **_calibration_facts(tried, left_out)}
    return _write(bundle, Path(out or folder), _Fit(cohort, best, calibration, profiles, facts))


@dataclass(frozen=True, eq=False)
class _Fit:
    cohort: Cohort
    best: Candidate
    calibration: Calibration
    profiles: Sequence[ThresholdProfile]
    facts: dict[str, Any]

    def arrays(self) -> dict[str, Any]:
        """Return what goes into the bundle's ``backend.npz``: no cohort where nothing needs it."""
        arrays: dict[str, Any] = {"mean": self.cohort.mean}
        names = [weight.name for weight in self.calibration.qualities]
        if self.best.scoring.method == "as_norm" or any("cohort" in name for name in names):
            arrays["cohort"] = self.cohort.speakers.astype(np.float16)
        plda = self.cohort.plda.get(self.best.plda_dim or 0) or next(iter(self.cohort.plda.values()), None)
        if plda is not None:
            stored = {"plda_mean": plda.mean, "plda_transform": plda.transform, "plda_between": plda.between}
            arrays.update({name: values.astype(np.float32) for name, values in stored.items()})
        return arrays


def choose_recordings(training: Sequence[Recording], options: BackendOptions) -> list[Recording]:
    """Return the recordings of the cohort: of random speakers, their first ones in a random order."""
    rng = np.random.default_rng(options.seed)
    by_speaker: dict[str, list[Recording]] = {}
    for at in rng.permutation(len(training)):
        by_speaker.setdefault(training[int(at)].speaker, []).append(training[int(at)])
    names = sorted(by_speaker)
    drawn = sorted(int(at) for at in rng.permutation(len(names))[: options.cohort_speakers])
    return [row for at in drawn for row in by_speaker[names[at]][: options.utterances_per_speaker]]


def _cohort(heard: HeardSpeech, options: BackendOptions) -> Cohort:
    names = sorted({utterance.speaker for utterance in heard.utterances})
    number = {name: at for at, name in enumerate(names)}
    label = np.array([number[heard.utterances[int(at)].speaker] for at in heard.utterance])
    speech_s = np.zeros(len(names))
    np.add.at(speech_s, label, [quality.net_speech_s or 0.0 for quality in heard.qualities])
    total = np.zeros((len(names), heard.vectors.shape[1]))
    np.add.at(total, label, heard.vectors)
    enough = speech_s >= _MIN_COHORT_SPEECH_S
    if enough.sum() < 2:
        raise InputError(
            "no_development_speech",
            f"{int(enough.sum())} of {len(names)} training speakers have {_MIN_COHORT_SPEECH_S} s of speech or more; "
            "a cohort needs two. Check the corpora.",
        )
    speakers = total[enough] / np.linalg.norm(total[enough], axis=1, keepdims=True)
    # As the bundle stores it, so that what is fitted is what is loaded.
    speakers = speakers.astype(np.float16).astype(np.float32)
    mean = np.asarray(speakers.mean(axis=0), dtype=np.float32)
    plda: dict[int, Plda] = {}
    if np.bincount(label).max() > 1:
        full = train_plda(center(heard.vectors, mean), label)
        for dim in options.plda_dims:
            kept = slice(None, dim or None)
            plda[dim] = replace(full, transform=full.transform[kept], between=full.between[kept])
    return Cohort(mean, speakers, len(label), plda)


def _candidates(
    cohort: Cohort,
    speech: HeardSpeech,
    trials: DevelopmentTrials,
    options: BackendOptions,
    progress: Progress,
) -> Iterator[Candidate]:
    """Yield every way to score with the trials scored by it."""
    ways: list[tuple[Scoring, int | None]] = []
    if "cosine" in options.methods:
        ways.append((Scoring("cosine", options.tops[0]), None))
    if "as_norm" in options.methods:
        ways += [(Scoring("as_norm", top), None) for top in options.tops if top <= len(cohort.speakers)]
    if "plda" in options.methods:
        ways += [(Scoring("plda", options.tops[0]), dim) for dim in cohort.plda]
    for done, (scoring, dim) in enumerate(ways):
        progress("scoring", done, len(ways))
        scored = score_trials(_unfitted(cohort, scoring, dim, options), speech, trials)
        yield Candidate(scoring, dim, scored, mean_eer(trials, scored.scores))
    progress("scoring", len(ways), len(ways))


def _unfitted(cohort: Cohort, scoring: Scoring, dim: int | None, options: BackendOptions) -> Backend:
    """Return a back-end that measures every quality and gives scores, but no LLRs worth the name."""
    nothing = tuple(QualityWeight(name, 0.0, 1.0, 0.0, 0.0, 0.0) for name in options.qualities)
    plda = None if dim is None else cohort.plda[dim]
    return Backend(
        cohort.mean,
        Calibration(1.0, 0.0, 0, 0, "nothing", nothing),
        scoring,
        center(cohort.speakers, cohort.mean),
        plda,
    )


def score_trials(backend: Backend, speech: HeardSpeech, trials: DevelopmentTrials) -> ScoredTrials:
    """Return the trials with scores and quality measures, by a bundle's way to score."""
    sides = _sides(backend, speech, trials)
    scores = np.empty(len(trials))
    measured = {name: np.empty(len(trials)) for name in backend.measured(sides.take([0]), sides.take([0]))}
    for first in range(0, len(trials), _BLOCK_TRIALS):
        block = slice(first, first + _BLOCK_TRIALS)
        enroll, probe = sides.take(trials.enroll[block]), sides.take(trials.probe[block])
        scores[block] = backend.scores(enroll, probe)
        for name, values in backend.measured(enroll, probe).items():
            measured[name][block] = values
    return ScoredTrials(trials, scores, measured)


def _sides(backend: Backend, speech: HeardSpeech, trials: DevelopmentTrials) -> Sides:
    if not len(trials):
        raise InputError(
            "too_few_trials",
            "the held-out speech gives no trial: no corpus has people with several recordings of 1 s or more. "
            "Hold out more speakers.",
        )
    return backend.sides(
        [speech.vectors[list(rows)] for rows in trials.references],
        [[speech.qualities[row] for row in rows] for rows in trials.references],
    )


def _tried_calibrations(scored: ScoredTrials, options: BackendOptions, progress: Progress) -> list[LeftOut]:
    """Return what calibrations of no measure and of each set do for people left out."""
    sets = ((), *options.quality_sets)
    found = []
    for done, names in enumerate(sets):
        progress("calibration", done, len(sets))
        found.append(cross_validate(scored, names, options.strength))
    progress("calibration", len(sets), len(sets))
    return found


def _calibration_facts(tried: Sequence[LeftOut], chosen: LeftOut) -> dict[str, Any]:
    """Return what the card says of the calibration; the first tried is the affine one."""
    return {
        "calibrations": [
            {"qualities": list(judged.qualities), "mean_cllr": round(judged.mean_cllr, 4)} for judged in tried
        ],
        "left_out_people": report(chosen, tried[0]),
    }


def _facts(
    cohort: Cohort, candidates: Sequence[Candidate], best: Candidate, speech: HeardSpeech
) -> dict[str, Any]:
    """Return what the card says of cohort, speech and scoring."""
    return {
        "cohort": {"speakers": len(cohort.speakers), "recordings": cohort.recordings},
        "held_out": {
            "speakers": len({utterance.speaker for utterance in speech.utterances}),
            "recordings": len(speech.utterances),
            "without_speech": speech.left_out,
        },
        "candidates": [candidate.to_dict() for candidate in candidates],
        "chosen": best.to_dict(),
    }


def _write(bundle: Bundle, out: Path, fit: _Fit) -> Bundle:
    """Write the bundle with its new back-end; the folder is replaced when everything succeeded."""
    card = {
        **bundle.card,
        "created": date.today().isoformat(),
        "scoring": fit.best.scoring.to_dict(),
        "calibration": fit.calibration.to_dict(),
        "profiles": [profile.to_dict() for profile in fit.profiles],
        "backend": fit.facts,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as work:
        draft, replaced = Path(work) / "draft", Path(work) / "replaced"
        shutil.copytree(bundle.path, draft, ignore=shutil.ignore_patterns(BACKEND_FILE, CARD_FILE))
        np.savez(draft / BACKEND_FILE, **fit.arrays())
        write_card(draft, card)
        load_bundle(draft)
        if out.exists():
            out.rename(replaced)
        draft.rename(out)
    return load_bundle(out)
