"""A detector on audio files: its verdicts as the scores every other module here takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from voxid.audio import Waveform, load
from voxid.errors import InputError
from voxid.evaluate.spoof_protocol import SpoofScores, SpoofTrials
from voxid.evaluate.utterances import FactsCache
from voxid.segments import Segment
from voxid.spoof.fusion import genuine_llr
from voxid.spoof.verdict import SpoofOutcome, SpoofVerdict

__all__ = ["HEADS", "Detector", "Heard", "hear_files", "hear_trials"]

HEADS: Final = ("synthetic", "replay", "joint")
"""Which LLR is the score: against synthesised or converted speech, against playback, or against either kind."""


class Detector(Protocol):
    """What gives verdicts: ``voxid.spoof.detector.SpoofDetector``, or anything that speaks like it."""

    @property
    def id(self) -> str:
        """Name of the detector and the beginning of its graph's hash."""

    @property
    def card(self) -> Mapping[str, Any]:
        """What is known of it; ``thresholds`` may hold those of each head."""

    def detect(self, waveform: Waveform, regions: Sequence[Segment] | None = None) -> SpoofVerdict:
        """Return the verdict on a recording; ``regions`` of speech, where they are known."""


class Heard:
    """Verdicts by path; None where the file cannot be decoded to anything usable.

    Attributes:
        verdicts: path -> verdict, or the code of the error that speaks for its place.
    """

    def __init__(self) -> None:
        self.verdicts: dict[str, SpoofVerdict | str] = {}

    def outcome(self, path: str) -> str:
        """Return the outcome of a path; unusable audio is ``cannot_tell``."""
        verdict = self.verdicts[path]
        return (SpoofOutcome.CANNOT_TELL if isinstance(verdict, str) else verdict.outcome).value

    def score(self, path: str, head: str) -> float:
        """Return the LLR of a head; NaN where it was not measured."""
        verdict = self.verdicts[path]
        if isinstance(verdict, str):
            return float("nan")
        measured = verdict.llr is not None and verdict.replay_llr is not None
        joint = genuine_llr(verdict) if measured else None
        found = {"synthetic": verdict.llr, "replay": verdict.replay_llr, "joint": joint}[head]
        return float("nan") if found is None else found

    def distance(self, path: str) -> float:
        """Return the domain distance over its limit; NaN where it was not measured."""
        verdict = self.verdicts[path]
        if isinstance(verdict, str) or verdict.domain_distance is None or not verdict.domain_limit:
            return float("nan")
        return verdict.domain_distance / verdict.domain_limit

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence about unusable files, if there are any."""
        refused = {path: code for path, code in self.verdicts.items() if isinstance(code, str)}
        if not refused:
            return ()
        path, code = next(iter(refused.items()))
        return (
            f"{len(refused)} of {len(self.verdicts)} files cannot be used as audio (first {path}: {code}); they count "
            "as cannot tell.",
        )


def hear_files(
    detector: Detector,
    paths: Sequence[str],
    audio_root: str | Path,
    progress: Callable[[float], None] | None = None,
    facts: FactsCache | None = None,
) -> Heard:
    """Return the verdicts on files, each heard once.

    With ``facts`` what is measured of each file is kept there, and its speech looked for once.

    Raises:
        InputError: ``audio_missing`` for a file that does not exist; nothing is heard before all were looked for.
            What the detector itself raises.
    """
    root, wanted = Path(audio_root), list(dict.fromkeys(paths))
    missing = [path for path in wanted if not (root / path).is_file()]
    if missing:
        raise InputError(
            "audio_missing",
            f"{len(missing)} of {len(wanted)} files are not below {root}, first {missing[0]}; expected all of them; "
            "give the folder the paths are relative to by --audio-root.",
        )
    heard = Heard()
    for number, path in enumerate(wanted, 1):
        try:
            waveform = load(root / path)
        except InputError as error:
            heard.verdicts[path] = error.code
        else:
            regions = None if facts is None else facts.measure(waveform).regions
            heard.verdicts[path] = detector.detect(waveform, regions)
        if progress is not None:
            progress(number / len(wanted))
    return heard


def hear_trials(
    detector: Detector,
    trials: SpoofTrials,
    audio_root: str | Path,
    head: str = "synthetic",
    progress: Callable[[float], None] | None = None,
) -> tuple[SpoofScores, tuple[str, ...]]:
    """Return a detector's scores and verdicts on a protocol, and notes on what was not as it should be.

    Args:
        detector: gives the verdicts.
        trials: the protocol.
        audio_root: folder its paths are relative to.
        head: one of ``HEADS``.
        progress: called with the share done, in [0, 1].

    Raises:
        InputError: ``head_unknown``, ``audio_missing``.
    """
    if head not in HEADS:
        raise InputError(
            "head_unknown",
            f"Found the head {head!r}; expected one of {', '.join(HEADS)}; choose one of them.",
        )
    heard = hear_files(detector, trials.paths, audio_root, progress)
    scored = SpoofScores(
        detector.id,
        _column(heard.score(path, head) for path in trials.paths),
        are_llrs=True,
        outcomes=tuple(heard.outcome(path) for path in trials.paths),
        distance=_column(heard.distance(path) for path in trials.paths),
        thresholds=_thresholds(detector.card, head),
    )
    played = sum(1 for family in trials.family if family == "replay")
    notes = heard.notes
    if played and head == "synthetic":
        notes += (
            f"{played} recordings are of the family replay, which the LLR measured here is not made for: measure them "
            "with --head replay, or both with --head joint.",
        )
    return scored, notes


def _thresholds(card: Mapping[str, Any], head: str) -> tuple[float, float] | None:
    """Return the card's thresholds of a head; the two heads joined have none of their own."""
    found = card.get("thresholds", {}).get(head)
    return None if found is None else (float(found["spoof_llr"]), float(found["genuine_llr"]))


def _column(values: Any) -> NDArray[np.float64]:
    return np.asarray(list(values), dtype=np.float64)
