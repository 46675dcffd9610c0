"""Whether each speaker of a call is a live human voice, asked again as they say more.

A detector hears pieces of a call, a few seconds each, as they were: cut where somebody else speaks, never put together
of parts, for a joint is what it looks for. Choosing a piece costs nothing; the detector runs when `judge` is called, so
that whoever follows many calls at once decides when there is time for it.

Shapes: N samples, T frames of a call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from voxid.audio import SAMPLE_RATE_HZ, Waveform
from voxid.diarize.online.book import Labels
from voxid.diarize.online.events import SpoofEvent
from voxid.diarize.turns import DrawnTurn
from voxid.segments import Segment
from voxid.spoof.detector import LEAST_BANDWIDTH_HZ, SpoofEvidence
from voxid.spoof.verdict import SpoofOutcome, SpoofVerdict

__all__ = ["PieceDetector", "SpoofWatch", "Stretch", "find_stretch", "speech_of"]

_FIRST_S: Final = 4.0  # said alone before a voice is judged the first time, and at least from time to time
_GROWTH: Final = 0.4  # then when it has said so much more of what it had said,
_LONGEST_S: Final = 20.0  # or this much: who is replaced by a machine in the middle of a call is heard soon
_LEAST_S: Final = 1.5  # of its own speech in a piece
_LAST_S: Final = 1.0  # the same when the call is over and there is nothing better


class PieceDetector(Protocol):
    """What judges: :class:`voxid.spoof.detector.SpoofDetector`."""

    @property
    def id(self) -> str:
        """Name and beginning of the hash."""

    @property
    def piece_s(self) -> float:
        """Seconds heard at once."""

    def measure(self, waveform: Waveform, regions: Sequence[Segment] | None = None) -> SpoofEvidence:
        """Return what is heard of one piece, of which the regions are speech."""

    def weigh(self, evidence: Sequence[SpoofEvidence]) -> SpoofVerdict:
        """Return the verdict on a voice from its pieces."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """Some seconds of a call in which one voice speaks and nobody else.

    Args:
        samples: (N,) float32 at 16 kHz.
        start_s: of the call.
        speech: where the voice speaks, in seconds from the first sample.
    """

    samples: NDArray[np.float32]
    start_s: float
    speech: tuple[Segment, ...]

    @property
    def own_s(self) -> float:
        """How much of it is speech of that voice."""
        return sum(one.duration_s for one in self.speech)


def find_stretch(
    own: NDArray[np.bool_], other: NDArray[np.bool_], fresh: int, most: int
) -> tuple[int, int] | None:
    """Return (first, end) of the frames that hold most of a voice and nobody else, and reach the newest; None: none do.

    Args:
        own: (T,) where the voice speaks.
        other: (T,) where anybody else does.
        fresh: how many of the frames are new.
        most: frames it may be long.

    Example:
        >>> own = np.array([1, 1, 1, 0, 1, 1, 0], bool)
        >>> find_stretch(own, np.array([0, 1, 0, 0, 0, 0, 0], bool), fresh=3, most=10)
        (2, 6)
    """
    edges = np.flatnonzero(np.diff(other, prepend=True, append=True))
    best, most_own = None, 0
    for first, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        spoken = np.flatnonzero(own[first:end])
        if other[first] or not len(spoken) or first + spoken[-1] < len(own) - fresh:
            continue
        end = first + int(spoken[-1]) + 1
        first = max(first + int(spoken[0]), end - most)
        count = int(own[first:end].sum())
        if count >= most_own:
            best, most_own = (first, end), count
    return best


def speech_of(own: NDArray[np.bool_], step_s: float) -> tuple[Segment, ...]:
    """Return where a voice speaks, in seconds.

    Args:
        own: (T,) whether it does.
        step_s: of each.

    Example:
        >>> speech_of(np.array([0, 1, 1, 0, 1], bool), 0.5)
        (Segment(start_s=0.5, end_s=1.5), Segment(start_s=2.0, end_s=2.5))
    """
    edges = np.flatnonzero(np.diff(own, prepend=False, append=False)) * step_s
    return tuple(Segment(start_s, end_s) for start_s, end_s in edges.reshape(-1, 2).tolist())


@dataclass(frozen=True, eq=False)
class _Piece:
    start_s: float
    end_s: float
    evidence: SpoofEvidence


@dataclass(eq=False)
class _Voice:
    spoken_s: float = 0.0
    fresh_s: float = 0.0  # since the last piece
    due_s: float = _FIRST_S
    best: Stretch | None = None
    waiting: Stretch | None = None
    pieces: list[_Piece] = field(default_factory=list)

    def take(self, fresh_s: float, stretch: Stretch | None) -> None:
        self.spoken_s += fresh_s
        self.fresh_s += fresh_s
        if stretch is not None and (self.best is None or stretch.own_s >= self.best.own_s):
            self.best = stretch
        if self.fresh_s >= self.due_s and self.best is not None and self.best.own_s >= _LEAST_S:
            self.choose()

    def choose(self) -> None:
        self.waiting, self.best, self.fresh_s = self.best, None, 0.0
        self.due_s = min(_LONGEST_S, max(_FIRST_S, _GROWTH * self.spoken_s))

    def choose_last(self) -> None:
        """Take what there is, where the voice was not judged yet or has said much since."""
        enough = self.best is not None and self.best.own_s >= _LAST_S
        if self.waiting is None and enough and (not self.pieces or self.fresh_s >= _FIRST_S):
            self.choose()


class SpoofWatch:
    """The verdicts on the speakers of one call.

    Args:
        detector: what judges.
        rate_hz: of the call as it comes; where it cannot hold what a detector needs, none is run.
    """

    def __init__(self, detector: PieceDetector, rate_hz: int = SAMPLE_RATE_HZ) -> None:
        self._detector = detector
        self._rate_hz = rate_hz
        self._voices: dict[int, _Voice] = {}

    @property
    def piece_s(self) -> float:
        """How long a stretch may be."""
        return self._detector.piece_s

    @property
    def waiting(self) -> int:
        """Pieces that are chosen and not judged yet."""
        return sum(one.waiting is not None for one in self._voices.values())

    def take(self, voice: int, fresh_s: float, stretch: Stretch | None) -> None:
        """Hear what a voice said since the last time.

        Args:
            voice: number of the speaker.
            fresh_s: speech alone.
            stretch: of the call, with the newest of it; None where there is none without others.
        """
        self._voices.setdefault(voice, _Voice()).take(fresh_s, stretch)

    def merge(self, gone: int, kept: int) -> None:
        """Make two speakers one."""
        lost = self._voices.pop(gone, None)
        if lost is not None:
            own = self._voices.setdefault(kept, _Voice())
            own.spoken_s += lost.spoken_s
            own.pieces = sorted(own.pieces + lost.pieces, key=lambda one: one.start_s)
            own.waiting = own.waiting or lost.waiting

    def judge(self, labels: Labels, at_s: float) -> list[SpoofEvent]:
        """Run the detector on what waits, and return what it makes of those voices.

        Args:
            labels: what speakers are called.
            at_s: how much of the call was heard.
        """
        waiting = [number for number, one in sorted(self._voices.items()) if one.waiting is not None]
        for number in waiting:
            self._hear(self._voices[number])
        return [self._event(number, self._voices[number], labels, at_s) for number in waiting]

    def finish(self, runs: Sequence[DrawnTurn], labels: Labels, at_s: float) -> list[SpoofEvent]:
        """Return the last word on every speaker; each piece counts for the one who is known by now to say it.

        Args:
            runs: the call as it was.
        """
        for voice in self._voices.values():
            voice.choose_last()
            self._hear(voice)
        voices: dict[int, _Voice] = {}
        for run in runs:
            voices.setdefault(run.speaker, _Voice()).spoken_s += run.segment.duration_s
        for piece in sorted((one for two in self._voices.values() for one in two.pieces), key=_start):
            number = _speaker(piece, runs)
            if number is not None:
                voices[number].pieces.append(piece)
        return [self._event(number, voice, labels, at_s, True) for number, voice in sorted(voices.items())]

    def _hear(self, voice: _Voice) -> None:
        """Judge the piece that waits, if there is one."""
        stretch, voice.waiting = voice.waiting, None
        if stretch is None:
            return
        if self._rate_hz / 2 < LEAST_BANDWIDTH_HZ:
            evidence = SpoofEvidence(stretch.own_s, self._rate_hz / 2, self._too_narrow())
        else:
            waveform = Waveform(stretch.samples, "call", "", self._rate_hz)
            evidence = self._detector.measure(waveform, stretch.speech).later(stretch.start_s)
        end_s = stretch.start_s + len(stretch.samples) / SAMPLE_RATE_HZ
        voice.pieces.append(_Piece(stretch.start_s, end_s, evidence))

    def _event(
        self, number: int, voice: _Voice, labels: Labels, at_s: float, final: bool = False
    ) -> SpoofEvent:
        if voice.pieces:
            verdict = self._detector.weigh([one.evidence for one in voice.pieces])
        else:
            verdict = self._too_little(voice.spoken_s)
        label = labels(number)
        return SpoofEvent(number, label.speaker, label.named, verdict, at_s, final)

    def _too_narrow(self) -> str:
        return (
            f"The call comes with {self._rate_hz:,} samples a second, which hold speech up to "
            f"{self._rate_hz / 2000:.1f} kHz; the detector needs {LEAST_BANDWIDTH_HZ / 1000:.0f} kHz."
        )

    def _too_little(self, spoken_s: float) -> SpoofVerdict:
        sentence = (
            f"Of {spoken_s:.1f} s of speech there was no stretch of {_LAST_S:g} s with nobody else beside it."
        )
        return SpoofVerdict(
            SpoofOutcome.CANNOT_TELL, None, None, None, None, spoken_s, 0.0, self._detector.id, sentence
        )


def _start(piece: _Piece) -> float:
    return piece.start_s


def _speaker(piece: _Piece, runs: Sequence[DrawnTurn]) -> int | None:
    """Return who says most of a piece; None: nobody does."""
    shared_s: dict[int, float] = {}
    for run in runs:
        both_s = min(run.segment.end_s, piece.end_s) - max(run.segment.start_s, piece.start_s)
        if both_s > 0:
            shared_s[run.speaker] = shared_s.get(run.speaker, 0.0) + both_s
    return max(shared_s, key=lambda number: shared_s[number]) if shared_s else None
