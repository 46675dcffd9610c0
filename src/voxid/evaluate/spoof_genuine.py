"""Genuine speech falsely flagged: how often, and whose.

The set holds only live human speech, so there is no curve: what counts is how often a detector calls it spoof, and how
often it does not let it pass (``suspicious``, ``cannot_tell``). Divided by what the user states of speakers (sex, age,
language) and what is measured of the audio, as verification is; voxid never guesses attributes of people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxid.errors import InputError
from voxid.evaluate.attributes import measured_attributes, read_attributes
from voxid.evaluate.bootstrap import RESAMPLES, Estimate, Sides, estimate_all
from voxid.evaluate.claims import bound_zero
from voxid.evaluate.spoof_hearing import Detector, hear_files
from voxid.evaluate.spoof_protocol import OUTCOMES
from voxid.evaluate.trials import TrialList, read_trials
from voxid.evaluate.utterances import FactsCache
from voxid.simulate.libraries import AUDIO_SUFFIXES

__all__ = ["FlaggedCohort", "GenuineReport", "GenuineSet", "evaluate_genuine", "read_genuine_set"]

FEWEST_SPEAKERS = 5
"""A cohort of fewer people carries no rate."""


@dataclass(frozen=True, eq=False)
class GenuineSet:
    """Files of live human speech.

    Attributes:
        name: for reports; root: folder the paths are relative to.
        trials: every file once, against itself: what attributes and speakers are read from.
        speakers: (N,) index of who speaks in each.
    """

    name: str
    root: Path
    trials: TrialList
    speakers: NDArray[np.int64]


@dataclass(frozen=True)
class FlaggedCohort:
    """One group of genuine recordings.

    Attributes:
        attribute: what divides; ``"all"`` for the whole set. value: of it.
        recordings, speakers: counts.
        outcomes: outcome -> count.
        flagged: share called spoof; held: share not called genuine. None with fewer than five speakers.
    """

    attribute: str
    value: str
    recordings: int
    speakers: int
    outcomes: Mapping[str, int]
    flagged: Estimate | None
    held: Estimate | None

    def to_dict(self) -> dict[str, Any]:
        """Return the cohort as JSON; null means too few people."""
        return asdict(self)


@dataclass(frozen=True)
class GenuineReport:
    """What a detector says of one set of genuine speech.

    Attributes:
        name, model_id: of the set and the detector.
        whole: all of it; cohorts: its parts, by attribute.
        notes: sentences that belong beside the numbers.
        resamples, seed: of the bootstrap over speakers.
    """

    name: str
    model_id: str
    whole: FlaggedCohort
    cohorts: tuple[FlaggedCohort, ...]
    notes: tuple[str, ...]
    resamples: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {"task": "spoof_genuine", "set": self.name, "model": self.model_id} | asdict(self)


def read_genuine_set(path: str | Path) -> GenuineSet:
    """Return the files of a trial list (paths relative to its folder), or all audio below a folder.

    Files of one folder count as one speaker where the list does not say otherwise.

    Raises:
        InputError: ``trials_missing``, ``trials_invalid``, ``speech_missing`` for a folder without audio.
    """
    source = Path(path)
    if source.is_dir():
        found = (file for file in sorted(source.rglob("*")) if file.suffix.lower() in AUDIO_SUFFIXES)
        paths = tuple(file.relative_to(source).as_posix() for file in found)
        if not paths:
            raise InputError(
                "speech_missing",
                f"{source} holds no audio files; expected recordings of people; give their folder.",
            )
        listed = _alone(paths, source.name)
        return GenuineSet(source.name, source, listed, listed.speakers.test)
    given = read_trials(source)
    listed = _alone(given.utterances, given.name)
    speakers = np.asarray([given.speakers.of[name] for name in given.utterances], dtype=np.int64)
    return GenuineSet(source.parent.name, source.parent, listed, speakers)


def evaluate_genuine(
    detector: Detector,
    genuine: GenuineSet,
    *,
    cohorts: str | Path | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> GenuineReport:
    """Return how much of a set of genuine speech is falsely flagged, whole and by cohort.

    Args:
        detector: gives the verdicts.
        genuine: the set.
        cohorts: table of what is known of speakers or utterances, as ``read_attributes`` takes it; None: only what is
            measured of the audio divides.
        resamples, seed: of the intervals.
        progress: called with the share done, in [0, 1].

    Raises:
        InputError: ``audio_missing``, or what the table's reader raises.
    """
    paths = genuine.trials.test
    stated = [] if cohorts is None else read_attributes(cohorts, genuine.trials)
    facts = FactsCache(None)
    heard = hear_files(detector, paths, genuine.root, progress, facts)
    usable = {path for path, verdict in heard.verdicts.items() if not isinstance(verdict, str)}
    if len(usable) == len(paths):
        stated += measured_attributes(genuine.trials, {path: facts.of(genuine.root / path) for path in paths})
    outcomes = np.asarray([heard.outcome(path) for path in paths])
    parts = [("all", "", np.ones(len(paths), dtype=bool))]
    parts += [(of.name, value, of.test == value) for of in stated for value in of.order]
    cohorts_found = [_cohort(part, outcomes, genuine.speakers, resamples, seed) for part in parts]
    return GenuineReport(
        genuine.name, detector.id, cohorts_found[0], tuple(cohorts_found[1:]), heard.notes, resamples, seed
    )


def _cohort(
    part: tuple[str, str, NDArray[np.bool_]],
    outcomes: NDArray[np.str_],
    speakers: NDArray[np.int64],
    resamples: int,
    seed: int,
) -> FlaggedCohort:
    """Return one group with its rates; intervals resample its speakers."""
    attribute, value, chosen = part
    called = outcomes[chosen]
    people = np.unique(speakers[chosen], return_inverse=True)[1].astype(np.int64)
    counted = Counter(called.tolist())
    counts = {outcome: counted[outcome] for outcome in OUTCOMES}
    count = int(people.max(initial=-1)) + 1
    if count < FEWEST_SPEAKERS:
        return FlaggedCohort(attribute, value, len(called), count, counts, None, None)

    def measure(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        total = weights.sum(axis=1)
        return {
            "flagged": weights @ (called == "spoof") / total,
            "held": weights @ (called != "genuine") / total,
        }

    found = estimate_all(measure, Sides.single(people), resamples=resamples, seed=seed)
    flagged, held = (bound_zero(found[name], len(called)) for name in ("flagged", "held"))
    return FlaggedCohort(attribute, value, len(called), count, counts, flagged, held)


def _alone(paths: Sequence[str], name: str) -> TrialList:
    """Return every file as a trial of itself."""
    files = tuple(paths)
    return TrialList(files, files, np.ones(len(files), dtype=bool), {path: (path,) for path in files}, name)
