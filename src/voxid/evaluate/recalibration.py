"""A bundle's calibration and thresholds set anew on the trials of a user: their microphones, rooms, languages."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxid.bundle import BACKEND_FILE, Bundle, default_bundle, load_bundle, write_card
from voxid.calibration import Calibration, CalibrationTrials, fit_quality_calibration
from voxid.decision import choose_profiles
from voxid.errors import InputError
from voxid.evaluate.embeddings import Vector
from voxid.evaluate.scoring import embed_utterances, measured_scores
from voxid.evaluate.trials import TrialList, read_trials

# What the calibration of a bundle that had none may use: how much was said counts whatever the model and the room.
_FIRST_MEASURES = ("probe_log_speech_s", "enroll_log_speech_s")
_MEAN_SPEAKERS = 20  # fewer voices have a mean of their own
_LEAST_PULL = 1e-3  # as for a bundle's own calibration, which has hundreds of thousands of trials


def recalibrate(
    trials: str | Path,
    audio_root: str | Path,
    out: str | Path,
    *,
    enrol: str | Path | None = None,
    bundle: Bundle | None = None,
    cache_dir: str | Path | None = None,
    progress: Callable[[float], None] | None = None,
) -> Bundle:
    """Write a copy of a bundle whose calibration and threshold profiles were set on these trials, and return it.

    The scoring and the quality measures stay; how much each measure counts moves the further from what the bundle was
    taught, the more trials say so. A bundle without a calibration gets one that knows how much was said, and where
    it has no mean of many voices either, as a model that was added, the mean of these utterances.

    The copy has another id: templates enrolled with the old bundle are not compared with it. The trials should not
    be the ones its accuracy is later reported on.

    Args:
        trials: VoxCeleb or Kaldi trial list.
        audio_root: folder the utterance paths are relative to.
        out: folder for the new bundle; must not hold one yet.
        enrol: enrolment map of a Kaldi list.
        bundle: what to copy; None is the default bundle.
        cache_dir: folder for embeddings kept between runs.
        progress: called with the share done, in [0, 1].

    Raises:
        InputError: ``bundle_exists``, ``calibration_needs_trials``, ``calibration_backwards``, ``too_few_trials``
            (3,000 non-target trials carry a false-accept rate of 1 %), unusable lists or audio. Nothing is written.
    """
    out, source = Path(out), bundle or default_bundle()
    if out.exists():
        raise InputError(
            "bundle_exists", f"{out} exists already; name a new folder for the calibrated bundle."
        )
    listed = read_trials(trials, enrol)
    embedder, vectors = embed_utterances(listed.utterances, audio_root, source, cache_dir, progress)
    mean = _missing_mean(source, vectors, listed)
    scored = source if mean is None else replace(source, mean=mean)
    scores, measured = measured_scores(listed, vectors, embedder.qualities, scored)
    drawn = CalibrationTrials(scores, listed.is_target, measured)
    calibration = _refit(drawn, source, f"trial list {listed.name}")
    llrs = calibration.llr(scores, measured)
    profiles = choose_profiles(llrs[listed.is_target], llrs[~listed.is_target])
    card = {
        **source.card,
        **_backend_facts(source.card),
        "created": date.today().isoformat(),
        "calibrated_from": source.id,
        "calibration": calibration.to_dict(),
        "profiles": [profile.to_dict() for profile in profiles],
        **({} if mean is None else {"mean_of": f"{len(vectors)} utterances of trial list {listed.name}"}),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as work:
        draft = Path(work) / out.name
        draft.mkdir()
        for name in source.files:
            shutil.copyfile(source.path / name, draft / name)
        if mean is not None:
            np.savez(draft / BACKEND_FILE, mean=mean)
        write_card(draft, card)
        draft.rename(out)
    return load_bundle(out)


def _refit(trials: CalibrationTrials, source: Bundle, fitted_on: str) -> Calibration:
    """Return the calibration of these trials, round the bundle's own quality weights."""
    taught = source.calibration.qualities
    names = tuple(weight.name for weight in taught) if source.is_calibrated else _FIRST_MEASURES
    pull = max(_LEAST_PULL, 1.0 / max(1, int(trials.is_target.sum())))
    return fit_quality_calibration(trials, names, fitted_on, strength=pull, around=taught)


def _missing_mean(
    source: Bundle, vectors: Mapping[str, Vector], listed: TrialList
) -> NDArray[np.float32] | None:
    """Return (D,) the mean of the utterances for a bundle that has none; None where it has one or speakers are few."""
    has_backend = source.cohort is not None or source.plda is not None
    if source.is_calibrated or source.mean.any() or has_backend or listed.speakers.count < _MEAN_SPEAKERS:
        return None
    return np.asarray(np.mean(list(vectors.values()), axis=0), dtype=np.float32)


def _backend_facts(card: dict[str, Any]) -> dict[str, Any]:
    """Return the card's entry on the back-end without what held for the calibration that is replaced."""
    facts = card.get("backend")
    if facts is None:
        return {}
    return {
        "backend": {
            name: fact for name, fact in facts.items() if name not in ("calibrations", "left_out_people")
        }
    }
