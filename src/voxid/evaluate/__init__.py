"""Evaluation: error rates with intervals, from audio, embeddings, scores or RTTM files to reports and plots.

    verification     evaluate_verification(trials, audio_root, enrol=, bundle=, cache_dir=, progress=)
                     evaluate_embeddings(trials, embed, model_id=, mean=, calibration=)   another system
                     evaluate_scores(trials, scores, model_id=, llrs=)                    any score file
    studies          evaluate_study(trials, audio_root, Plan(conditions=, cohorts=, ...))  all at once, see
                     docs/evaluation.md; parse_conditions, parse_gates, check_gates, write_page(study, path)
    identification   evaluate_identification(trials, audio_root, enrol=, ...)
                     evaluate_identification_embeddings(trials, embed, model_id=, ...)
    diarization      evaluate_diarization(reference, hypothesis, uem)                     one recording
                     evaluate_diarization_set(references, hypotheses, uems)               many
                     read_diarization_folder(reference, hypothesis, uem)                  RTTM and UEM files
                     evaluate_systems(name, recordings, references, uems, DiarizationPlan(...))  voxid on recordings
    spoofs           evaluate_spoof_scores(read_protocol(path), read_spoof_scores(path, trials)) any scores;
                     hear_trials(detector, trials, audio_root) gives a detector's; evaluate_genuine(detector, set)
    calibration      recalibrate(trials, audio_root, out, enrol=, bundle=, ...)           a new bundle
    reading          read_trials(path, enrol), read_scores(path, trials), load_embeddings(npz), look_up(...)
    showing          report.to_dict(), render(reports) for a terminal, write_json(reports, path);
                     plots.plot_det, plots.plot_scores, plots.plot_identification (extra ``plot``)

``progress`` is called with the share done, in [0, 1]. Every interval is a 95 % bootstrap interval over
speakers (recordings, for diarization), made from a seed. Names are imported when first used, so that
reading RTTM files does not load the speech models.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voxid.evaluate.conditions import parse_conditions
    from voxid.evaluate.der import DiarizationErrors, evaluate_diarization
    from voxid.evaluate.diarization import (
        DiarizationReport,
        evaluate_diarization_set,
        read_diarization_folder,
    )
    from voxid.evaluate.diarization_study import DiarizationPlan, DiarizationStudy, evaluate_systems
    from voxid.evaluate.embeddings import load_embeddings, look_up
    from voxid.evaluate.examination import Plan, evaluate_study
    from voxid.evaluate.gates import check_gates, parse_gates
    from voxid.evaluate.identification import (
        IdentificationReport,
        evaluate_identification,
        evaluate_identification_embeddings,
    )
    from voxid.evaluate.page import write_page
    from voxid.evaluate.recalibration import recalibrate
    from voxid.evaluate.report import render, write_json
    from voxid.evaluate.spoof import evaluate_spoof_scores
    from voxid.evaluate.spoof_genuine import evaluate_genuine, read_genuine_set
    from voxid.evaluate.spoof_hearing import hear_trials
    from voxid.evaluate.spoof_protocol import read_protocol, read_spoof_scores
    from voxid.evaluate.spoof_report import SpoofReport
    from voxid.evaluate.study import Study
    from voxid.evaluate.trials import TrialList, read_scores, read_trials
    from voxid.evaluate.verification import evaluate_embeddings, evaluate_scores, evaluate_verification
    from voxid.evaluate.verification_report import VerificationReport

__all__ = [
    "DiarizationErrors",
    "DiarizationPlan",
    "DiarizationReport",
    "DiarizationStudy",
    "IdentificationReport",
    "Plan",
    "SpoofReport",
    "Study",
    "TrialList",
    "VerificationReport",
    "check_gates",
    "evaluate_diarization",
    "evaluate_diarization_set",
    "evaluate_embeddings",
    "evaluate_genuine",
    "evaluate_identification",
    "evaluate_identification_embeddings",
    "evaluate_scores",
    "evaluate_spoof_scores",
    "evaluate_study",
    "evaluate_systems",
    "evaluate_verification",
    "hear_trials",
    "load_embeddings",
    "look_up",
    "parse_conditions",
    "parse_gates",
    "read_diarization_folder",
    "read_genuine_set",
    "read_protocol",
    "read_scores",
    "read_spoof_scores",
    "read_trials",
    "recalibrate",
    "render",
    "write_json",
    "write_page",
]

_MODULES = {
    "conditions": ("parse_conditions",),
    "der": ("DiarizationErrors", "evaluate_diarization"),
    "diarization": ("DiarizationReport", "evaluate_diarization_set", "read_diarization_folder"),
    "diarization_study": ("DiarizationPlan", "DiarizationStudy", "evaluate_systems"),
    "embeddings": ("load_embeddings", "look_up"),
    "examination": ("Plan", "evaluate_study"),
    "gates": ("check_gates", "parse_gates"),
    "identification": (
        "IdentificationReport",
        "evaluate_identification",
        "evaluate_identification_embeddings",
    ),
    "page": ("write_page",),
    "recalibration": ("recalibrate",),
    "report": ("render", "write_json"),
    "spoof": ("evaluate_spoof_scores",),
    "spoof_genuine": ("evaluate_genuine", "read_genuine_set"),
    "spoof_hearing": ("hear_trials",),
    "spoof_protocol": ("read_protocol", "read_spoof_scores"),
    "spoof_report": ("SpoofReport",),
    "study": ("Study",),
    "trials": ("TrialList", "read_scores", "read_trials"),
    "verification": ("evaluate_embeddings", "evaluate_scores", "evaluate_verification"),
    "verification_report": ("VerificationReport",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Return a public name from the module that defines it."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
