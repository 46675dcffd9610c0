"""Several systems of diarization on one set of recordings, with names, counts and seconds: `evaluate_systems`."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxid import __version__
from voxid.audio import Waveform, load
from voxid.bundle import Bundle, default_bundle
from voxid.diarize.naming import find_names, label_turns
from voxid.diarize.options import DiarizeOptions
from voxid.diarize.turns import DrawnTurn
from voxid.embedding import Embedder, get_embedder
from voxid.errors import InputError
from voxid.evaluate.bootstrap import RESAMPLES, Estimate, Sides, estimate_all
from voxid.evaluate.der import DiarizationErrors, evaluate_diarization
from voxid.evaluate.diarization import DiarizationReport, summarise
from voxid.evaluate.named_speech import NamedSpeech, enroll_people, measure_names
from voxid.evaluate.systems import SYSTEMS, Listening, Segment, System
from voxid.recognize import Gallery
from voxid.segments import Segment as Stretch
from voxid.simulate.libraries import AUDIO_SUFFIXES
from voxid.timeline import Timeline

__all__ = ["DiarizationPlan", "DiarizationStudy", "SystemResult", "evaluate_systems", "find_recordings"]

NAMES: Final = ("named", "named_wrong", "strangers_named")
"""Shares of speech: enrolled people under their name, under another's alone, and strangers under anybody's."""


@dataclass(frozen=True)
class DiarizationPlan:
    """What is measured.

    Attributes:
        systems: rows, the first being the one the report is about.
        people: folder with recordings of people to enroll, ``people/NAME/*``; None measures no names.
        strangers: share of these people who are left out of the gallery, so that it meets strangers.
        options: of the pipeline.
        segment: hears who is active in each chunk; None takes the model that comes with voxid.
        facts: what else the numbers rest on, title -> value.
        resamples, seed: of the intervals.
    """

    systems: tuple[System, ...] = SYSTEMS
    people: Path | None = None
    strangers: float = 0.25
    options: DiarizeOptions = field(default_factory=DiarizeOptions)
    segment: Segment | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    resamples: int = RESAMPLES
    seed: int = 0


@dataclass(frozen=True)
class SystemResult:
    """One row.

    Attributes:
        system: what was measured.
        report: its errors.
        names: shares of speech by what name they carry, see :data:`NAMES`; empty where nobody was enrolled.
        seconds_per_hour: of the processor for an hour of audio, loading left out; None for a system nobody could use.
    """

    system: System
    report: DiarizationReport
    names: Mapping[str, Estimate]
    seconds_per_hour: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON."""
        return {
            "system": self.system.name,
            "title": self.system.title,
            "names": {name: estimate.to_dict() for name, estimate in self.names.items()},
            "seconds_per_hour": None if self.seconds_per_hour is None else round(self.seconds_per_hour, 2),
            "report": self.report.to_dict(),
        }


@dataclass(frozen=True)
class DiarizationStudy:
    """All rows of one set of recordings.

    Attributes:
        name: of the set.
        hours: of audio.
        results: a row per system.
        enrolled: how many people are in the gallery; None where no names were measured.
        refused: people whose clips could not be enrolled.
        notes: what was left out, and why.
        facts: what the numbers rest on, title -> value.
    """

    name: str
    hours: float
    results: tuple[SystemResult, ...]
    enrolled: int | None = None
    refused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    def result(self, name: str) -> SystemResult | None:
        """Return a row by the name of its system."""
        return next((row for row in self.results if row.system.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the study as JSON."""
        return {
            "task": "diarization-systems",
            "set": self.name,
            "recordings": len(self.results[0].report.recordings),
            "hours": round(self.hours, 4),
            "enrolled": self.enrolled,
            "refused": list(self.refused),
            "notes": list(self.notes),
            "facts": dict(self.facts),
            "systems": [row.to_dict() for row in self.results],
        }


def find_recordings(folder: str | Path, uris: Sequence[str]) -> dict[str, Path]:
    """Return uri -> audio file ``folder/URI.*`` of all recordings.

    Raises:
        InputError: ``recording_missing``.
    """
    files = {path.stem: path for path in Path(folder).glob("*") if path.suffix.lower() in AUDIO_SUFFIXES}
    for uri in uris:
        if uri not in files:
            raise InputError(
                "recording_missing",
                f"{folder} has no recording of {uri}; expected an audio file of that name; add it.",
            )
    return {uri: files[uri] for uri in uris}


def evaluate_systems(
    name: str,
    recordings: Mapping[str, Path],
    references: Mapping[str, Timeline],
    uems: Mapping[str, Sequence[Stretch]] | None = None,
    plan: DiarizationPlan | None = None,
    *,
    bundle: Bundle | None = None,
    progress: Callable[[float], None] | None = None,
) -> DiarizationStudy:
    """Return the study of a set.

    Args:
        name: of the set.
        recordings: uri -> audio file.
        references: uri -> truth, of the same recordings.
        uems: uri -> what to score; None scores all.
        plan: what to measure.
        bundle: None takes the default one.
        progress: hears the share of the work done; raise from it to cancel.

    Raises:
        InputError: ``uem_missing_recording``, ``people_missing``, ``segmenter_missing``, and those of loading audio.
    """
    plan, bundle = plan or DiarizationPlan(), bundle or default_bundle()
    _check_uems(references, uems)
    systems = tuple(system for system in plan.systems if bundle.plda is not None or not system.needs_plda)
    notes = [
        f"{system.name} is left out: {bundle.id} brings no PLDA."
        for system in plan.systems
        if system not in systems
    ]
    tallies = {system.name: _Tally() for system in systems}
    embedder, duration_s = get_embedder(bundle), 0.0
    with ExitStack() as stack:
        gallery, enrolled, refused = _open_people(plan, bundle, stack)
        uris = sorted(references)
        for number, uri in enumerate(uris):
            waveform = load(recordings[uri])
            duration_s += waveform.duration_s
            listening = Listening(waveform, references[uri], embedder, plan.options, plan.segment)
            uem = None if uems is None else uems[uri]
            for at, system in enumerate(systems):
                turns, seconds = system.run(listening)
                found = _named(turns, waveform, gallery, embedder, plan.options.profile)
                tallies[system.name].add(references[uri], found, uem, enrolled, seconds)
                if progress is not None:
                    progress((number + (at + 1) / len(systems)) / len(uris))
    if refused:
        notes.append(f"{len(refused)} people could not be enrolled: {', '.join(refused)}.")
    results = tuple(tallies[system.name].result(system, duration_s, plan) for system in systems)
    return DiarizationStudy(
        name=name,
        hours=duration_s / 3600,
        results=results,
        enrolled=None if gallery is None else len(enrolled),
        refused=tuple(refused),
        notes=(*notes, *_NOTES),
        facts=_facts(bundle, plan, gallery is not None),
    )


_NOTES: Final = (
    "Seconds are the processor's, of hearing and drawing together, loading left out: what one free core takes, "
    "whatever else the machine does meanwhile.",
)


class _Tally:
    """What one system did so far."""

    def __init__(self) -> None:
        self.errors: list[DiarizationErrors] = []
        self.names: list[NamedSpeech] = []
        self.seconds = 0.0

    def add(
        self,
        truth: Timeline,
        found: Timeline,
        uem: Sequence[Stretch] | None,
        enrolled: Sequence[str],
        seconds: float,
    ) -> None:
        self.errors.append(evaluate_diarization(truth, found, uem))
        if enrolled:
            self.names.append(measure_names(truth, found, enrolled, uem))
        self.seconds += seconds

    def result(self, system: System, duration_s: float, plan: DiarizationPlan) -> SystemResult:
        report = summarise(self.errors, resamples=plan.resamples, seed=plan.seed)
        names = _name_estimates(self.names, plan) if self.names else {}
        return SystemResult(system, report, names, 3600 * self.seconds / duration_s if system.timed else None)


def _name_estimates(names: Sequence[NamedSpeech], plan: DiarizationPlan) -> dict[str, Estimate]:
    """Return the shares that exist: without a stranger in any recording there is none of strangers."""
    seconds = np.asarray([each.values() for each in names])
    enrolled, right, wrong, strange, misnamed = seconds.T
    parts = {
        "named": (right, enrolled),
        "named_wrong": (wrong, enrolled),
        "strangers_named": (misnamed, strange),
    }
    parts = {name: pair for name, pair in parts.items() if pair[1].sum() > 0}

    def measure(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        with np.errstate(invalid="ignore", divide="ignore"):
            return {name: (weights @ part) / (weights @ whole) for name, (part, whole) in parts.items()}

    return estimate_all(
        measure, Sides.single(np.arange(len(names))), resamples=plan.resamples, seed=plan.seed
    )


def _named(
    turns: Sequence[DrawnTurn], waveform: Waveform, gallery: Gallery | None, embedder: Embedder, profile: str
) -> Timeline:
    if gallery is None or not turns:
        labelled = label_turns(turns, {})
    else:
        found = find_names(gallery, waveform, turns, embedder, profile)
        labelled = label_turns(turns, found.names, found.ids)
    return Timeline(labelled, waveform.duration_s, waveform.uri)


def _open_people(
    plan: DiarizationPlan, bundle: Bundle, stack: ExitStack
) -> tuple[Gallery | None, list[str], list[str]]:
    """Return a gallery that is gone when ``stack`` closes, who is in it, and who could not be."""
    if plan.people is None:
        return None, [], []
    if not 0 <= plan.strangers < 1:
        raise InputError(
            "option_invalid", f"strangers is {plan.strangers}; expected a share in [0, 1); change it."
        )
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    gallery = stack.enter_context(Gallery.open(Path(folder) / "people.voxid", bundle=bundle))
    enrolled, refused = enroll_people(gallery, plan.people, plan.strangers)
    return gallery, enrolled, refused


def _check_uems(references: Mapping[str, Timeline], uems: Mapping[str, Sequence[Stretch]] | None) -> None:
    for uri in references:
        if uems is not None and uri not in uems:
            raise InputError(
                "uem_missing_recording",
                f"The UEM does not list {uri}; expected scored regions for every recording; add a line.",
            )


def _facts(bundle: Bundle, plan: DiarizationPlan, named: bool) -> dict[str, str]:
    facts = {
        "Model": bundle.id,
        "Intervals": f"95 %, recordings resampled {plan.resamples} times, seed {plan.seed}",
        "Measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "Software": f"voxid {__version__}, Python {platform.python_version()}",
        "Machine": f"{platform.system()} {platform.machine()}",
    }
    if named:
        facts["Names"] = (
            f"profile {plan.options.profile}; {plan.strangers:.0%} of the people left out as strangers"
        )
    return facts | dict(plan.facts)
