"""Who takes the floor when: a conversation drawn stretch by stretch from a timing, on a grid of 10 ms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from voxid.errors import ConfigError
from voxid.simulate.timing import Timing

__all__ = ["FRAMES_PER_S", "Slot", "Talk", "tuned_to_overlap"]

FRAMES_PER_S = 100

_TRIES = 12
_SHORTEST_FRAMES = 5
_OWN_GAP_FRAMES = 35  # a speaker's own stretches lie further apart than annotations close pauses
_LONGER_FRAMES = 45  # speech may come out this much longer than it was wanted
_TUNING_S = 1800.0
_TUNING_SEEDS = 2
_TUNING_ROUNDS = 9
_MAX_FACTOR = 6.0

Say = Callable[[int, int], int]
"""(speaker, frames wanted) -> frames said; it may be somewhat more or less."""


@dataclass(frozen=True)
class Slot:
    """One stretch of speech: speaker number, first frame, length in frames; ``takes_floor`` or said into another's."""

    speaker: int
    start: int
    length: int
    takes_floor: bool

    @property
    def end(self) -> int:
        """First frame after it."""
        return self.start + self.length


@dataclass
class Talk:
    """A conversation in the making: `extend` adds floor stretches and what is said into them.

    Args:
        timing: what is drawn from.
        n_speakers: 1 or more.
        rng: of all that is drawn.
        say: gives the speech of a stretch; what was wanted when None.
        weights: (S,) shares of the speakers; drawn when None.
    """

    timing: Timing
    n_speakers: int
    rng: np.random.Generator
    say: Say | None = None
    weights: NDArray[np.float64] | None = None
    slots: list[Slot] = field(default_factory=list)
    _floor: Slot | None = None
    _before: int = -1
    _shares: list[float] = field(default_factory=list)
    _busy: list[list[tuple[int, int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.weights is None:
            self.weights = self.rng.dirichlet(np.full(self.n_speakers, self.timing.evenness))
        # Nobody is wholly silent: whoever is in a conversation says something.
        self.weights = np.maximum(self.weights, 0.02 / self.n_speakers)
        self._shares = [float(weight) for weight in self.weights / self.weights.sum()]
        self._busy = [[] for _ in range(self.n_speakers)]

    def extend(self, until: int) -> list[Slot]:
        """Return all slots after drawing floor stretches until one ends at frame ``until`` or later."""
        while self._floor is None or self._floor.end < until:
            self._step()
        return self.slots

    def _step(self) -> None:
        """Draw the next floor stretch, then what is said into the one before it."""
        before = self._floor
        if before is None:
            self._take_floor(self._drawn(but=-1), 0, self._frames("after_change_s"))
            return
        if self.n_speakers > 1 and self.rng.random() < self.timing.change_share:
            self._change(before)
        else:
            start = max(before.end + self._frames("pause_s"), self._free_from(before.speaker))
            self._take_floor(before.speaker, start, self._frames("after_pause_s"))
        self._say_into(before)

    def _change(self, before: Slot) -> None:
        """Give the floor to another speaker, who may start early."""
        speaker = self._next_speaker(before.speaker)
        free = self._free_from(speaker)
        early = self.rng.random() < self.timing.early_share
        start, offset = before.end, 0
        for _ in range(_TRIES):
            offset = round(self.timing.draw_offset(early, self.rng) * FRAMES_PER_S)
            start = before.end + offset
            if not early or (before.start < start and free <= start):
                break
            start, offset = before.end, 0
        # Whoever starts early must speak on after the other's end, or they would not take the floor.
        wanted = self._frames("after_change_s")
        for _ in range(_TRIES):
            if wanted > -offset:
                break
            wanted = self._frames("after_change_s")
        self._before = before.speaker
        self._take_floor(speaker, max(start, free), wanted, not_before=before.end)

    def _take_floor(self, speaker: int, start: int, wanted: int, not_before: int = 0) -> None:
        said = self._said(speaker, wanted)
        start = max(start, not_before - said + _SHORTEST_FRAMES)
        self._floor = Slot(speaker, start, said, True)
        self._add(self._floor)

    def _say_into(self, host: Slot) -> None:
        """Add what others say while ``host`` lasts."""
        if self.n_speakers == 1:
            return
        for _ in range(self.rng.poisson(self.timing.inside_per_s * host.length / FRAMES_PER_S)):
            wanted = self._frames("inside_s")
            for _ in range(_TRIES):
                speaker = self._next_speaker(host.speaker)
                latest = host.end - wanted - _LONGER_FRAMES
                start = host.start + int(self.rng.random() * max(1, latest - host.start + 1))
                if latest >= host.start and self._is_free(speaker, start, start + wanted + _LONGER_FRAMES):
                    self._add(Slot(speaker, start, self._said(speaker, wanted), False))
                    break

    def _frames(self, what: str) -> int:
        return max(_SHORTEST_FRAMES, round(self.timing.draw(what, self.rng) * FRAMES_PER_S))

    def _next_speaker(self, now: int) -> int:
        """Return another speaker: the one before at times, else by their shares."""
        back = 0 <= self._before != now and self.rng.random() < self.timing.return_share
        if back:
            return self._before
        return self._drawn(but=now)

    def _drawn(self, but: int) -> int:
        """Return a speaker other than ``but``, by their shares."""
        left = self.rng.random() * (1.0 - (self._shares[but] if but >= 0 else 0.0))
        for speaker, share in enumerate(self._shares):
            if speaker != but:
                left -= share
                if left < 0.0:
                    return speaker
        return self.n_speakers - 1 if but != self.n_speakers - 1 else self.n_speakers - 2

    def _said(self, speaker: int, wanted: int) -> int:
        return wanted if self.say is None else self.say(speaker, wanted)

    def _add(self, slot: Slot) -> None:
        self.slots.append(slot)
        own = self._busy[slot.speaker]
        own.append((slot.start, slot.end))
        del own[:-8]  # nothing is said further back than the last floor stretches

    def _free_from(self, speaker: int) -> int:
        return max((end + _OWN_GAP_FRAMES for _, end in self._busy[speaker]), default=0)

    def _is_free(self, speaker: int, start: int, end: int) -> bool:
        return all(
            end + _OWN_GAP_FRAMES <= first or start >= last + _OWN_GAP_FRAMES
            for first, last in self._busy[speaker]
        )


def overlap_of(slots: list[Slot]) -> float:
    """Return the share of the speech time in which two or more speak."""
    if not slots:
        return 0.0
    active = np.zeros(max(slot.end for slot in slots) + 1, np.int16)
    for slot in slots:
        active[slot.start : slot.end] += 1
    return float((active >= 2).sum() / max(1, (active >= 1).sum()))


@lru_cache(maxsize=256)
def tuned_to_overlap(timing: Timing, n_speakers: int, share: float) -> Timing:
    """Return the timing changed so that conversations of ``n_speakers`` overlap for ``share`` of their speech.

    Found by bisection over seeded draws of an hour, to about a hundredth.

    Raises:
        ConfigError: ``overlap_out_of_reach`` when not even six times the overlap of the timing gives that much.
    """

    def overlap(factor: float) -> float:
        changed = timing.with_overlap(factor)
        rngs = [np.random.default_rng(seed) for seed in range(_TUNING_SEEDS)]
        talks = [Talk(changed, n_speakers, rng).extend(int(_TUNING_S * FRAMES_PER_S)) for rng in rngs]
        return float(np.mean([overlap_of(slots) for slots in talks]))

    low, high = 0.0, _MAX_FACTOR
    if n_speakers < 2 or overlap(high) < share:
        raise ConfigError(
            "overlap_out_of_reach",
            f"an overlap of {share:.0%} cannot be had from the timing {timing.name!r} with {n_speakers} speakers; "
            "ask for less.",
        )
    for _ in range(_TUNING_ROUNDS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if overlap(middle) < share else (low, middle)
    return timing.with_overlap((low + high) / 2.0)
