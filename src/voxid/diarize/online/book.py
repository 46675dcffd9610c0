"""The turns told so far: ids that last, revisions that count up, and the events between two states of belief."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from voxid.diarize.online.events import Event, EventKind
from voxid.diarize.turns import DrawnTurn
from voxid.segments import Segment
from voxid.timeline import Suggestion, Turn

_SAME_S = 0.006  # times that differ by less than a frame of 10 ms are the same


@dataclass(frozen=True)
class Label:
    """What a speaker is called at the moment; as in :class:`voxid.timeline.Turn`."""

    speaker: str
    named: bool = False
    llr: float | None = None
    suggestion: Suggestion | None = None
    voice_id: str | None = None


Labels = Callable[[int], Label]


@dataclass(eq=False)
class _Entry:
    turn_id: int
    run: DrawnTurn
    shown: Turn
    over: bool
    revision: int = 0


class Book:
    """Every turn of the call.

    Args:
        max_gap_s: a turn is over when its speaker has been quiet for longer.
    """

    def __init__(self, max_gap_s: float) -> None:
        self.max_gap_s = max_gap_s
        self._entries: dict[int, _Entry] = {}
        self._recent: list[_Entry] = []
        self._next_id = 0

    def turns(self, labels: Labels) -> tuple[Turn, ...]:
        """Return the turns as they are known now."""
        return tuple(_turn(entry.run, labels) for entry in self._entries.values())

    def runs(self) -> list[DrawnTurn]:
        """Return the turns by number of speaker."""
        return [entry.run for entry in self._entries.values()]

    def renew(self, wanted: Sequence[DrawnTurn], since_s: float, now_s: float, labels: Labels) -> list[Event]:
        """Return what is to be told when the call since ``since_s`` is believed to be ``wanted``.

        Args:
            wanted: runs between ``since_s`` and ``now_s``.
            now_s: how far the call has been told.
        """
        recent = [entry for entry in self._recent if entry.run.segment.end_s > since_s - self.max_gap_s]

        def fits(known: DrawnTurn, run: DrawnTurn) -> bool:
            # A turn that began before belongs to its speaker; only its end is still open.
            if known.segment.start_s >= since_s - _SAME_S:
                return True
            return known.speaker == run.speaker and run.segment.start_s <= since_s + self.max_gap_s

        pairs = _matched([entry.run for entry in recent], wanted, fits, self.max_gap_s)
        events: list[Event] = []
        self._recent = []
        for at, entry in enumerate(recent):
            run = _grown(entry.run, wanted[pairs[at]] if at in pairs else None, since_s, self.max_gap_s)
            if run is None:
                events.append(self._withdraw(entry, now_s))
                continue
            entry.run = run
            self._recent.append(entry)
            events += self._update(entry, labels, now_s, self._is_over(run, now_s))
        for at in sorted(set(range(len(wanted))) - set(pairs.values())):
            entry, event = self._open(wanted[at], labels, now_s, self._is_over(wanted[at], now_s))
            self._recent.append(entry)
            events.append(event)
        return events

    def relabel(self, labels: Labels, now_s: float) -> list[Event]:
        """Return a revision for every turn whose speaker is called something else now."""
        entries = self._entries.values()
        return [event for entry in entries for event in self._update(entry, labels, now_s, entry.over)]

    def merge(self, gone: int, kept: int) -> None:
        """Give one speaker's turns to another; ``relabel`` tells."""
        for entry in self._entries.values():
            if entry.run.speaker == gone:
                entry.run = DrawnTurn(entry.run.segment, kept, entry.run.confidence)

    def close(self, wanted: Sequence[DrawnTurn], since_s: float, now_s: float, labels: Labels) -> list[Event]:
        """Return what is to be told when the call since ``since_s`` is known to be ``wanted``, and all is over."""
        known = [entry for entry in self._entries.values() if entry.run.segment.end_s > since_s]
        pairs = _matched([entry.run for entry in known], wanted, lambda one, other: True, 0.0)
        events = [self._withdraw(entry, now_s) for at, entry in enumerate(known) if at not in pairs]
        for at, entry in enumerate(known):
            entry.run = wanted[pairs[at]] if at in pairs else entry.run
        for entry in self._entries.values():
            events += self._update(entry, labels, now_s, True)
        new = sorted(set(range(len(wanted))) - set(pairs.values()))
        return events + [self._open(wanted[at], labels, now_s, True)[1] for at in new]

    def _is_over(self, run: DrawnTurn, now_s: float) -> bool:
        return now_s - run.segment.end_s > self.max_gap_s + _SAME_S

    def _open(self, run: DrawnTurn, labels: Labels, now_s: float, over: bool) -> tuple[_Entry, Event]:
        entry = _Entry(self._next_id, run, _turn(run, labels), over)
        self._entries[entry.turn_id] = entry
        self._next_id += 1
        kind = EventKind.FINAL if over else EventKind.TENTATIVE
        return entry, Event(kind, entry.turn_id, 0, entry.shown, now_s)

    def _withdraw(self, entry: _Entry, now_s: float) -> Event:
        del self._entries[entry.turn_id]
        return Event(EventKind.REVISED, entry.turn_id, entry.revision + 1, entry.shown, now_s, withdrawn=True)

    def _update(self, entry: _Entry, labels: Labels, now_s: float, over: bool) -> list[Event]:
        """Return the event that brings everybody up to date about a turn, if one is needed."""
        turn, shown = _turn(entry.run, labels), entry.shown
        moved = not _same_times(turn, shown)
        renamed = (turn.speaker, turn.named) != (shown.speaker, shown.named)
        if not (moved or renamed or over != entry.over):
            return []
        if renamed or (moved and entry.over):
            kind = EventKind.REVISED
        else:
            kind = EventKind.FINAL if over else EventKind.TENTATIVE
        entry.shown, entry.over = turn, over
        entry.revision += 1
        return [Event(kind, entry.turn_id, entry.revision, turn, now_s)]


def _grown(known: DrawnTurn, run: DrawnTurn | None, since_s: float, max_gap_s: float) -> DrawnTurn | None:
    """Return what a known turn has become; None: there was no such turn."""
    start_s, end_s = known.segment.start_s, known.segment.end_s
    if start_s >= since_s - _SAME_S:
        return run
    if run is not None:
        return DrawnTurn(Segment(start_s, max(run.segment.end_s, since_s)), run.speaker, run.confidence)
    # Of a turn that began before, too little may lie in sight to be drawn: then it ended where it ended.
    end_s = end_s if end_s - since_s <= max_gap_s else since_s
    return DrawnTurn(Segment(start_s, end_s), known.speaker, known.confidence)


def _turn(run: DrawnTurn, labels: Labels) -> Turn:
    label = labels(run.speaker)
    return Turn(
        run.segment,
        label.speaker,
        label.named,
        label.llr,
        run.confidence,
        label.suggestion,
        voice_id=label.voice_id,
    )


def _same_times(one: Turn, other: Turn) -> bool:
    return abs(one.start_s - other.start_s) < _SAME_S and abs(one.end_s - other.end_s) < _SAME_S


def _matched(
    known: Sequence[DrawnTurn],
    wanted: Sequence[DrawnTurn],
    fits: Callable[[DrawnTurn, DrawnTurn], bool],
    near_s: float,
) -> dict[int, int]:
    """Return which wanted run each known turn becomes: the same speaker first, then the longest overlap.

    Args:
        fits: whether the one may become the other at all.
        near_s: turns of one speaker that lie so close are matched too.
    """
    order = sorted(range(len(wanted)), key=lambda at: wanted[at].segment.start_s)
    pairs: list[tuple[bool, float, int, int]] = []
    first = 0
    longest_s = max((run.segment.duration_s for run in wanted), default=0.0)
    for at in sorted(range(len(known)), key=lambda at: known[at].segment.start_s):
        one = known[at]
        while first < len(order) and (
            wanted[order[first]].segment.start_s + longest_s + near_s < one.segment.start_s
        ):
            first += 1
        for other in order[first:]:
            run = wanted[other]
            if run.segment.start_s > one.segment.end_s + near_s:
                break
            both_s = min(run.segment.end_s, one.segment.end_s) - max(run.segment.start_s, one.segment.start_s)
            same = run.speaker == one.speaker
            if (both_s > 0 or (same and both_s >= -near_s)) and fits(one, run):
                pairs.append((same, both_s, at, other))
    found: dict[int, int] = {}
    taken: set[int] = set()
    for _, _, at, other in sorted(pairs, reverse=True):
        if at not in found and other not in taken:
            found[at] = other
            taken.add(other)
    return found
