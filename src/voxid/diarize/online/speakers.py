"""Who each voice of a window is: incremental clustering, two voices of a window never one speaker.

A speaker is the mean of what it said alone. A voice goes to the speaker it is most like, all voices of a window at
once (the matching with the highest sum); one that is like nobody becomes a speaker when it has been heard alone for
long enough; two speakers who turn out to be one are joined.

Source: Coria, Bredin, Ghannay and Rosset, "Overlap-aware low-latency online speaker diarization based on end-to-end
local segmentation", ASRU 2021, section 2.3 (constrained incremental clustering). Ours beyond it: what was told in the
last seconds counts as evidence, voices are anchored on people of a gallery, speakers are joined later.

Shapes: V voices of a window, G speakers, D embedding dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import permutations
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from voxid.diarize.clustering import unit_rows
from voxid.diarize.online.hearing import Hearing

Claim = Callable[[NDArray[np.float32], float], int | None]
"""(raw embedding (D,), seconds alone) -> the speaker who is known to be that person, or None."""

_LEAST_SURE_S: Final = 0.8  # heard alone, before a voice may correct what was told
_LEAST_CLEAN_S: Final = 0.3  # heard alone, before a voice may be anybody by evidence
_LEAST_MERGE_S: Final = 3.0
_APART_S: Final = 1.0  # heard as two in one window for longer: two people, however alike
_HALF_CLEAR_S: Final = 0.8
_NEAR: Final = 1e-3  # weight of a match that is too poor to count, so that the nearest is still chosen


@dataclass(eq=False)
class Speaker:
    """One speaker of the call.

    Attributes:
        total: (D,) float64, sum of its centred embeddings, each times the seconds it adds.
        raw: (D,) float64, the same of the embeddings as a gallery compares them.
        clean_s: seconds in those sums.
    """

    total: NDArray[np.float64]
    raw: NDArray[np.float64]
    clean_s: float = 0.0
    apart_s: dict[int, float] = field(default_factory=dict)

    def add(self, centred: NDArray[np.float32], raw: NDArray[np.float32], seconds: float) -> None:
        """Let the speaker have said this."""
        self.total += seconds * centred
        self.raw += seconds * raw
        self.clean_s += seconds


@dataclass(frozen=True, eq=False)
class VoiceSoFar:
    """What a speaker sounds like, by all that was heard so far.

    Attributes:
        embedding: (D,) float32, raw, of unit length.
        clean_s: seconds of speech behind it.
    """

    embedding: NDArray[np.float32]
    clean_s: float


def voices_of(speakers: Mapping[int, Speaker]) -> dict[int, VoiceSoFar]:
    """Return the voices of those who were heard alone, by number."""
    return {
        number: VoiceSoFar(unit_rows(one.raw[None].astype(np.float32))[0], one.clean_s)
        for number, one in speakers.items()
        if one.clean_s > 0
    }


@dataclass(frozen=True, eq=False)
class Assignment:
    """Who the voices of one window are.

    Attributes:
        speaker: (V,) number of the speaker.
        sure: (V,) whether that is by evidence and not for want of somebody nearer.
    """

    speaker: NDArray[np.int64]
    sure: NDArray[np.bool_]


def clearness(clean_s: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return how far a voice heard alone for so long comes towards the cosine it will have in the end, in [0, 1).

    On six tuning conversations the cosine with the mean of the same speaker's earlier speech was in the median .4 at
    0.65 s, .45 at 1 s, .6 at 1.6 s, .7 at 3 s and .8 at 7 s, with others' means nearly 0 to .25.

    Example:
        >>> [round(float(one), 2) for one in clearness(np.array([0.0, 0.8, 7.2]))]
        [0.0, 0.5, 0.9]
    """
    return np.asarray(clean_s / (clean_s + _HALF_CLEAR_S), np.float32)


class Speakers:
    """Everybody heard so far.

    Args:
        join_above: cosine above which a long voice is a speaker; shorter ones need less (:func:`clearness`).
        merge_above: cosine above which two speakers are one.
        new_speaker_s: seconds alone that make a speaker.
        continuity: cosine that having been told as a speaker is worth.
        most: so many speakers at most; None: no limit.

    Attributes:
        alive: speakers by number.
        made: how many numbers have been given; those of speakers who were joined to others are not given again.
    """

    def __init__(
        self,
        join_above: float,
        merge_above: float,
        new_speaker_s: float,
        continuity: float,
        most: int | None = None,
    ) -> None:
        self.join_above, self.merge_above = join_above, merge_above
        self.new_speaker_s, self.continuity, self.most = new_speaker_s, continuity, most
        self.alive: dict[int, Speaker] = {}
        self.made = 0

    def assign(
        self, heard: Hearing, told: NDArray[np.float32], claim: Claim = lambda raw, seconds: None
    ) -> Assignment:
        """Return who the voices are, and learn from them.

        Args:
            told: (V, numbers so far) share of each voice's speech in the window that was told as each speaker.
            claim: asks a gallery before a voice that is like nobody becomes a new speaker.
        """
        numbers = list(self.alive)
        near = heard.centred @ self._means(numbers, heard.centred.shape[1]).T
        kept = told[:, numbers] if numbers else np.zeros((len(heard), 0), np.float32)
        # Who was told as a speaker with reason stays one through a noisy second: half the worth of continuity.
        clear = clearness(heard.clean_s)[:, None]
        needed = self.join_above * clear
        good = (near >= needed - 0.5 * self.continuity * kept) & (heard.clean_s >= _LEAST_CLEAN_S)[:, None]
        score = near + self.continuity * kept
        # Clear voices choose first: what is heard of the others says little about who they are.
        gain = np.where(
            good, clear * (1.0 + score - needed), _NEAR * clear * (score + 2.0) + _NEAR**2 * score
        )
        rows, columns = linear_sum_assignment(gain, maximize=True)
        speaker = np.full(len(heard), -1, np.int64)
        speaker[rows] = np.asarray(numbers, np.int64)[columns] if len(rows) else speaker[rows]
        sure = np.zeros(len(heard), np.bool_)
        sure[rows] = good[rows, columns]
        self._settle_strangers(heard, speaker, sure, claim)
        self._learn(heard, speaker, sure)
        return Assignment(speaker, sure & (heard.clean_s >= _LEAST_SURE_S))

    def merges(self) -> list[tuple[int, int]]:
        """Join speakers who turned out to be one, and return (gone, kept), the one heard first being kept."""
        done: list[tuple[int, int]] = []
        while (pair := self._most_alike()) is not None:
            kept, gone = pair
            self.merge(gone, kept)
            done.append((gone, kept))
        return done

    def merge(self, gone: int, kept: int) -> None:
        """Make two speakers one."""
        other, into = self.alive.pop(gone), self.alive[kept]
        into.total += other.total
        into.raw += other.raw
        into.clean_s += other.clean_s
        for number, seconds in other.apart_s.items():
            into.apart_s[number] = into.apart_s.get(number, 0.0) + seconds
        into.apart_s.pop(kept, None)
        for one in self.alive.values():
            if gone in one.apart_s:
                one.apart_s[kept] = one.apart_s.get(kept, 0.0) + one.apart_s.pop(gone)

    def may_be_one(self, one: int, other: int) -> bool:
        """Return whether two speakers were hardly ever heard in one window."""
        return self.alive[one].apart_s.get(other, 0.0) <= _APART_S

    def joinable(self, one: int, other: int) -> bool:
        """Return whether two speakers may be one person, were there other evidence that they are."""
        means = self._means([one, other])
        return self.may_be_one(one, other) and float(means[0] @ means[1]) >= self.join_above

    def _settle_strangers(
        self, heard: Hearing, speaker: NDArray[np.int64], sure: NDArray[np.bool_], claim: Claim
    ) -> None:
        """Give those who are like nobody a known person's speaker, a new one, or leave them with the nearest."""
        for voice in np.flatnonzero(~sure).tolist():
            # Who is heard beside everybody known is not one of them: half the speech is enough.
            needed_s = self.new_speaker_s * (0.5 if speaker[voice] < 0 else 1.0)
            if heard.clean_s[voice] < needed_s and self.alive:
                continue
            known = claim(heard.raw[voice], float(heard.clean_s[voice]))
            if known is not None and known in self.alive and known not in np.delete(speaker, voice):
                speaker[voice], sure[voice] = known, True
            elif self.most is None or len(self.alive) < self.most:
                speaker[voice], sure[voice] = self._new(heard, voice), True

    def _new(self, heard: Hearing, voice: int) -> int:
        number, self.made = self.made, self.made + 1
        zeros = np.zeros(heard.centred.shape[1])
        self.alive[number] = Speaker(zeros, zeros.copy())
        # Its first seconds; the newest of them are added with everybody else's.
        before_s = max(float(heard.clean_s[voice] - heard.fresh_s[voice]), 0.1)
        self.alive[number].add(heard.centred[voice], heard.raw[voice], before_s)
        return number

    def _learn(self, heard: Hearing, speaker: NDArray[np.int64], sure: NDArray[np.bool_]) -> None:
        for voice in np.flatnonzero(sure & (heard.fresh_s > 0)).tolist():
            own = self.alive[int(speaker[voice])]
            own.add(heard.centred[voice], heard.raw[voice], float(heard.fresh_s[voice]))
        if heard.fresh_s.any():
            clear = speaker[sure & (heard.clean_s >= _LEAST_SURE_S)].tolist()
            for one, other in permutations(clear, 2):
                apart = self.alive[one].apart_s
                apart[other] = apart.get(other, 0.0) + heard.hop_s

    def _most_alike(self) -> tuple[int, int] | None:
        numbers = [n for n, one in self.alive.items() if one.clean_s >= _LEAST_MERGE_S]
        if len(numbers) < 2:
            return None
        means = self._means(numbers)
        near = np.triu(means @ means.T, 1) + np.tril(np.full((len(numbers),) * 2, -2.0))
        for place in np.argsort(-near, axis=None).tolist():
            row, column = divmod(place, len(numbers))
            if near[row, column] < self.merge_above:
                return None
            if self.may_be_one(numbers[row], numbers[column]):
                return numbers[row], numbers[column]
        return None

    def _means(self, numbers: list[int], dim: int = 0) -> NDArray[np.float32]:
        if not numbers:
            return np.zeros((0, dim), np.float32)
        return unit_rows(np.stack([self.alive[n].total for n in numbers]).astype(np.float32))
