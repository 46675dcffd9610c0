"""Diarization error: DER in three protocols that are never mixed, JER, and the number of speakers.

    protocol                 collar   overlap     usual in
    collar_0_overlap         none     scored      DIHARD, pyannote, VoxConverse "full"
    collar_025_overlap       ±0.25 s  scored      VoxConverse challenge
    collar_025_no_overlap    ±0.25 s  left out    CALLHOME, the AMI example of VBx

A collar of 0.25 s takes 0.25 s on *each* side of every reference turn boundary out of scoring, as NIST
md-eval does (pyannote.metrics calls the same thing ``collar=0.5``, the whole width). Turns of one speaker
that touch are one stretch of speech, but where they touch there is a boundary with its collar. Without a
UEM, scoring runs from the first to the last turn of reference and hypothesis together. JER is always
measured without a collar and with overlap, as in DIHARD.

Times are exact: the recording is cut at every boundary, and no frames are counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from voxid.segments import Segment, merge_segments
from voxid.timeline import Timeline

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Protocol:
    """What is left out of scoring.

    Attributes:
        name: key in reports.
        collar_s: seconds left out on each side of every reference turn boundary.
        overlap: whether time with two or more reference speakers is scored.
        title: for people.
    """

    name: str
    collar_s: float
    overlap: bool
    title: str


PROTOCOLS = (
    Protocol("collar_0_overlap", 0.0, True, "collar 0 s, overlap"),
    Protocol("collar_025_overlap", 0.25, True, "collar .25 s, overlap"),
    Protocol("collar_025_no_overlap", 0.25, False, "collar .25 s, no overlap"),
)


@dataclass(frozen=True)
class ErrorTimes:
    """Seconds of each kind of error in one protocol; sums over recordings are added with ``+``.

    Attributes:
        scored_s: reference speech scored, overlap counted once per speaker: the denominator.
        missed_s: reference speech without enough hypothesis speakers.
        false_alarm_s: hypothesis speech without reference speakers.
        confusion_s: speech given to the wrong speaker.
    """

    scored_s: float
    missed_s: float
    false_alarm_s: float
    confusion_s: float

    def __add__(self, other: ErrorTimes) -> ErrorTimes:
        return ErrorTimes(
            self.scored_s + other.scored_s,
            self.missed_s + other.missed_s,
            self.false_alarm_s + other.false_alarm_s,
            self.confusion_s + other.confusion_s,
        )

    @property
    def error_s(self) -> float:
        """Seconds of all errors."""
        return self.missed_s + self.false_alarm_s + self.confusion_s

    @property
    def der(self) -> float | None:
        """Diarization error rate; None where no reference speech is scored (a rate does not exist there)."""
        return self.error_s / self.scored_s if self.scored_s > 0 else None

    def to_dict(self) -> dict[str, float | None]:
        """Return DER, its three parts as shares of the scored speech, and the seconds."""
        share = (lambda value: value / self.scored_s) if self.scored_s > 0 else (lambda value: None)
        return {
            "der": self.der,
            "missed": share(self.missed_s),
            "false_alarm": share(self.false_alarm_s),
            "confusion": share(self.confusion_s),
            "scored_s": round(self.scored_s, 3),
            "error_s": round(self.error_s, 3),
        }


@dataclass(frozen=True)
class DiarizationErrors:
    """Errors of one recording.

    Attributes:
        uri: name of the recording.
        times: protocol name -> error times.
        jaccard_errors: reference speaker -> share of the union of both voices that is not common, in [0, 1].
        mapping: hypothesis speaker -> reference speaker, as matched with collar 0 and overlap.
        reference_speakers, hypothesis_speakers: how many speak within the UEM.
    """

    uri: str
    times: Mapping[str, ErrorTimes]
    jaccard_errors: Mapping[str, float]
    mapping: Mapping[str, str]
    reference_speakers: int
    hypothesis_speakers: int

    @property
    def jer(self) -> float | None:
        """Mean Jaccard error of the reference speakers; None without any."""
        errors = list(self.jaccard_errors.values())
        return float(np.mean(errors)) if errors else None

    def to_dict(self) -> dict[str, Any]:
        """Return the errors as JSON values."""
        return {
            "uri": self.uri,
            "protocols": {name: times.to_dict() for name, times in self.times.items()},
            "jer": self.jer,
            "reference_speakers": self.reference_speakers,
            "hypothesis_speakers": self.hypothesis_speakers,
            "mapping": dict(self.mapping),
        }


def evaluate_diarization(
    reference: Timeline, hypothesis: Timeline, uem: Sequence[Segment] | None = None
) -> DiarizationErrors:
    """Return the errors of one recording in all protocols.

    Args:
        reference: who really spoke when.
        hypothesis: who was said to speak when; its labels need not be names.
        uem: what to score; None is from the first to the last turn of both.

    Example:
        >>> from voxid.timeline import Turn
        >>> truth = Timeline((Turn(Segment(0.0, 8.0), "ann"), Turn(Segment(8.0, 10.0), "bob")), 10.0)
        >>> found = Timeline((Turn(Segment(0.0, 9.0), "A"), Turn(Segment(9.0, 10.0), "B")), 10.0)
        >>> errors = evaluate_diarization(truth, found)
        >>> errors.times["collar_0_overlap"].der, errors.mapping
        (0.1, {'A': 'ann', 'B': 'bob'})
    """
    scored = merge_segments(uem) if uem is not None else _common_extent(reference, hypothesis)
    times, mapping = {}, {}
    for protocol in PROTOCOLS:
        pieces = _Pieces.cut(reference, hypothesis, scored, protocol.collar_s, protocol.overlap)
        times[protocol.name], matched = pieces.errors()
        if protocol.collar_s == 0.0 and protocol.overlap:
            mapping, jaccard, counts = matched, pieces.jaccard_errors(), pieces.speaker_counts()
    return DiarizationErrors(reference.uri, times, jaccard, mapping, *counts)


@dataclass(frozen=True)
class _Pieces:
    """One recording cut at every boundary into K stretches in which nothing changes.

    Attributes:
        duration_s: (K,) scored length of each stretch; 0 where left out.
        reference: (R, K) whether reference speaker r speaks throughout; hypothesis: (H, K) the same.
        reference_names, hypothesis_names: labels of the rows.
    """

    duration_s: Floats
    reference: NDArray[np.bool_]
    hypothesis: NDArray[np.bool_]
    reference_names: tuple[str, ...]
    hypothesis_names: tuple[str, ...]

    @classmethod
    def cut(
        cls,
        reference: Timeline,
        hypothesis: Timeline,
        scored: Sequence[Segment],
        collar_s: float,
        overlap: bool,
    ) -> _Pieces:
        """Return the stretches of both timelines with what the protocol leaves out set to length 0."""
        left = [_spans(reference.regions(name)) for name in reference.speakers]
        right = [_spans(hypothesis.regions(name)) for name in hypothesis.speakers]
        keep = _spans(scored)
        around = [at for turn in reference.turns for at in (turn.start_s, turn.end_s)] if collar_s > 0 else []
        collars = [(round(at - collar_s, 6), round(at + collar_s, 6)) for at in around]
        bounds = [at for spans in (*left, *right, keep, collars) for pair in spans for at in pair]
        edges = np.unique(np.asarray(bounds, dtype=np.float64))
        pieces = max(len(edges) - 1, 0)
        speaks = np.zeros((len(left), pieces), dtype=bool)
        answers = np.zeros((len(right), pieces), dtype=bool)
        for rows, voices in ((speaks, left), (answers, right)):
            for row, spans in zip(rows, voices, strict=True):
                row[:] = _cover(edges, spans)
        duration_s = np.diff(edges) * _cover(edges, keep) * ~_cover(edges, collars)
        if not overlap:
            duration_s = duration_s * (np.sum(speaks, axis=0) < 2)
        return cls(duration_s, speaks, answers, reference.speakers, hypothesis.speakers)

    def errors(self) -> tuple[ErrorTimes, dict[str, str]]:
        """Return the error times under the best one-to-one matching of speakers, and that matching."""
        seconds = self.duration_s
        common_s = (self.reference * seconds) @ self.hypothesis.T.astype(np.float64)
        rows, columns = linear_sum_assignment(common_s, maximize=True)
        n_reference, n_hypothesis = self.reference.sum(axis=0), self.hypothesis.sum(axis=0)
        right_s = float(np.sum(common_s[rows, columns]))
        times = ErrorTimes(
            scored_s=float(seconds @ n_reference),
            missed_s=float(seconds @ np.maximum(n_reference - n_hypothesis, 0)),
            false_alarm_s=float(seconds @ np.maximum(n_hypothesis - n_reference, 0)),
            confusion_s=max(0.0, float(seconds @ np.minimum(n_reference, n_hypothesis)) - right_s),
        )
        mapping = {
            self.hypothesis_names[column]: self.reference_names[row]
            for row, column in zip(rows, columns, strict=True)
            if common_s[row, column] > 0
        }
        return times, mapping

    def jaccard_errors(self) -> dict[str, float]:
        """Return reference speaker -> Jaccard error under the matching that makes their sum smallest.

        Source: Ryant et al., "The Second DIHARD Diarization Challenge" (2019), sec. 4.2.
        """
        own_s = self.reference @ self.duration_s
        found_s = self.hypothesis @ self.duration_s
        common_s = (self.reference * self.duration_s) @ self.hypothesis.T.astype(np.float64)
        union_s = own_s[:, None] + found_s[None, :] - common_s
        with np.errstate(invalid="ignore", divide="ignore"):
            error = np.where(union_s > 0, 1.0 - common_s / union_s, 1.0)
        errors = np.ones(len(own_s))
        rows, columns = linear_sum_assignment(error)
        errors[rows] = error[rows, columns]
        return {name: float(errors[row]) for row, name in enumerate(self.reference_names) if own_s[row] > 0}

    def speaker_counts(self) -> tuple[int, int]:
        """Return how many reference and hypothesis speakers are heard in what is scored."""
        return (
            int(np.sum(self.reference @ self.duration_s > 0)),
            int(np.sum(self.hypothesis @ self.duration_s > 0)),
        )


def _spans(segments: Sequence[Segment]) -> list[tuple[float, float]]:
    """Return (start, end) in seconds to the microsecond, so that sums of RTTM decimals meet exactly."""
    return [(round(segment.start_s, 6), round(segment.end_s, 6)) for segment in segments]


def _cover(edges: Floats, spans: Sequence[tuple[float, float]]) -> NDArray[np.bool_]:
    """Return which of the stretches between ``edges`` lie in one of ``spans``, (K,)."""
    change = np.zeros(max(len(edges), 1))
    for start, end in spans:
        change[np.searchsorted(edges, start)] += 1
        change[np.searchsorted(edges, end)] -= 1
    return np.asarray(np.cumsum(change)[: max(len(edges) - 1, 0)] > 0)


def _common_extent(reference: Timeline, hypothesis: Timeline) -> list[Segment]:
    extents = [extent for extent in (reference.extent, hypothesis.extent) if extent is not None]
    if not extents:
        return []
    return [Segment(min(e.start_s for e in extents), max(e.end_s for e in extents))]
