"""A bundle for tests whose scores need everything a back-end can have: the default graph, a cohort, quality weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from voxid.bundle import BACKEND_FILE, Bundle, default_bundle, load_bundle, write_card
from voxid.score import center


def normalised_bundle(folder: Path, method: str = "as_norm") -> Bundle:
    """Return a bundle in ``folder``: AS-norm over 200 random speakers, an LLR that hangs on both sides' speech."""
    source = default_bundle()
    shutil.copytree(source.path, folder)
    cohort = center(np.random.default_rng(1).standard_normal((200, source.dim)), np.zeros(source.dim))
    np.savez(folder / BACKEND_FILE, mean=source.mean, cohort=cohort.astype(np.float16))
    weights = [
        {"name": name, "low": low, "high": high, "neutral": middle, "shift": shift, "log_gain": gain}
        for name, low, high, middle, shift, gain in (
            ("probe_log_speech_s", 0.0, 3.0, 1.0, 0.3, 0.4),
            ("enroll_log_speech_s", 0.5, 4.0, 2.0, 0.1, 0.2),
            ("probe_snr_db", 0.0, 40.0, 20.0, 0.01, 0.01),
            ("enroll_snr_db", 0.0, 40.0, 20.0, 0.02, 0.005),
            ("probe_cohort_mean", 0.0, 0.5, 0.2, -1.0, 0.3),
        )
    ]
    calibration = {"scale": 0.8, "offset": -4.0, "targets": 99, "nontargets": 99, "fitted_on": "nothing"}
    card = {
        **source.card,
        "scoring": {"method": method, "top": 50},
        "calibration": {**calibration, "qualities": weights},
    }
    write_card(folder, card)
    return load_bundle(folder)
