"""A bundle's calibration and thresholds set anew on the trials of a user: their microphones, rooms, languages."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

from voxid.bundle import BACKEND_FILE, GRAPH_FILE, Bundle, default_bundle, load_bundle, write_card
from voxid.calibration import fit_calibration
from voxid.decision import choose_profiles
from voxid.errors import InputError
from voxid.evaluate.scoring import bundle_scores, embed_utterances
from voxid.evaluate.trials import read_trials


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
    scores, _ = bundle_scores(listed, vectors, embedder.qualities, source)
    target, nontarget = scores[listed.is_target], scores[~listed.is_target]
    calibration = fit_calibration(target, nontarget, f"trial list {listed.name}")
    profiles = choose_profiles(calibration.llr(target), calibration.llr(nontarget))
    card = {
        **source.card,
        "created": date.today().isoformat(),
        "calibrated_from": source.id,
        "calibration": calibration.to_dict(),
        "profiles": [profile.to_dict() for profile in profiles],
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as work:
        draft = Path(work) / out.name
        draft.mkdir()
        for name in (GRAPH_FILE, BACKEND_FILE):
            shutil.copyfile(source.path / name, draft / name)
        write_card(draft, card)
        draft.rename(out)
    return load_bundle(out)
