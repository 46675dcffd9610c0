"""Tries at being somebody: too many that fail lock the person for a time, and a recording counts once.

Each person has one document of the tries made at them, sealed under the person's own key and gone with the person: when
tries failed, until when the person is locked, and hash and fingerprint of what was played.

Everything a try leaves behind is one transaction: its entries in the audit log, the count of tries, and whatever its
caller keeps of it. That transaction looks once more: where the person was locked meanwhile, the recording was heard by
another try, or the minute is used up, nothing of what was found is told. So the limits hold for all processes at the
gallery together, however many tries are sent at the same moment. Within one process no more tries run at once than may
still fail, the others wait: that only saves the work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from voxid.audio import Waveform
from voxid.audit.events import Event
from voxid.decision import Outcome
from voxid.errors import PolicyError
from voxid.gallery.audit_rows import Waiting
from voxid.gallery.change import Change
from voxid.gallery.documents import Document
from voxid.gallery.store import Store
from voxid.service.limits import WINDOW_S, too_many
from voxid.service.problems import TooOftenError
from voxid.service.settings import Limits
from voxid.spoof.fingerprint import NEARLY_SAME, alike, decode, encode, fingerprint

__all__ = ["Attempt", "Attempts", "remember_played", "unlock"]

_KIND: Final = "attempts"
_MOST_PLAYED: Final = 50
_MOST_WAITING: Final = 16
_WAIT_S: Final = 10.0
FAILED: Final = frozenset({Outcome.REJECT, Outcome.REVIEW, Outcome.SPOOF_SUSPECTED})
"""Outcomes somebody can learn from by trying again; too little or too noisy speech is none of them."""


@dataclass(frozen=True)
class Tries:
    """What is on record of the tries at one person, as far as it still counts.

    Args:
        failed_at: when tries failed, oldest first.
        locked_until: None: not locked.
        played: of each recording, newest last: sha256, fingerprint, at.
        version: of the document, 0 while there is none.
    """

    failed_at: tuple[datetime, ...] = ()
    locked_until: datetime | None = None
    played: tuple[dict[str, str], ...] = ()
    version: int = 0

    @classmethod
    def of(cls, document: Document | None, limits: Limits, now: datetime) -> Tries:
        """Return what a document says that still counts at `now`."""
        if document is None:
            return cls()
        body = document.body
        failed = (datetime.fromisoformat(at) for at in body["failed_at"])
        until = None if body["locked_until"] is None else datetime.fromisoformat(body["locked_until"])
        since = (now - timedelta(days=limits.replay_days)).isoformat()
        return cls(
            tuple(at for at in failed if (now - at).total_seconds() < limits.lockout_s),
            until if until is not None and now < until else None,
            tuple(one for one in body["played"] if one["at"] > since),
            document.version,
        )

    def document(self, person_id: str, limits: Limits, now: datetime) -> Document:
        """Return the document that follows the one these were read from."""
        body: dict[str, Any] = {
            "failed_at": [at.isoformat() for at in self.failed_at],
            "locked_until": None if self.locked_until is None else self.locked_until.isoformat(),
            "played": list(self.played[-_MOST_PLAYED:]),
        }
        due_at = now + timedelta(days=max(1.0, limits.replay_days))
        state = "open" if self.locked_until is None else "locked"
        return Document(_KIND, person_id, body, state, person_id, due_at, self.version + 1)


class Attempt:
    """One try; what was heard is noted while it runs.

    Attributes:
        played: the recording, as it is remembered.
        first: begins the transaction of the try; what it raises undoes it.
        failed, accepted: what came of it, where something did.
        also: what is kept of it in the same transaction; not called where nothing of the try is told.
    """

    def __init__(
        self,
        tries: Tries,
        enrolled: frozenset[str],
        limits: Limits,
        first: Callable[[Change], None] | None = None,
    ) -> None:
        self.first = first
        self.played: dict[str, str] | None = None
        self.failed = False
        self.accepted = False
        self.also: Callable[[Change], None] | None = None
        self._tries = tries
        self._enrolled = enrolled
        self._limits = limits

    def refuse_replay(self, sha256: str) -> None:
        """Refuse a recording whose bytes were heard before, or enrolled.

        Raises:
            PolicyError: audio_replayed.
        """
        if self._limits.replay_days and (
            sha256 in self._enrolled or any(one["sha256"] == sha256 for one in self._tries.played)
        ):
            raise self._replayed("This very recording was heard before")

    def refuse_near_replay(self, waveform: Waveform, sha256: str, now: datetime) -> None:
        """Refuse a recording that is nearly one heard before; note this one otherwise.

        Raises:
            PolicyError: audio_replayed.
        """
        if not self._limits.replay_days:
            return
        bits = fingerprint(waveform.samples)
        if any(alike(bits, decode(one["fingerprint"])) < NEARLY_SAME for one in self._tries.played):
            raise self._replayed("This recording is nearly one that was heard before")
        self.played = {"sha256": sha256, "fingerprint": encode(bits), "at": now.isoformat()}

    def refusal_by(self, tries: Tries, now: datetime) -> PolicyError | None:
        """Return why nothing of this try may be told, as the tries stand at its end; None: it may."""
        if tries.locked_until is not None:
            return _locked((tries.locked_until - now).total_seconds())
        if self.played is None:
            return None
        before = [one["sha256"] for one in self._tries.played]
        meanwhile = [one for one in tries.played if one["sha256"] not in before]
        if any(one["sha256"] == self.played["sha256"] for one in meanwhile):
            return self._replayed("This very recording was heard before")
        bits = decode(self.played["fingerprint"])
        if any(alike(bits, decode(one["fingerprint"])) < NEARLY_SAME for one in meanwhile):
            return self._replayed("This recording is nearly one that was heard before")
        return None

    def _replayed(self, what: str) -> PolicyError:
        self.failed = True
        return PolicyError("audio_replayed", f"{what}, so nothing was decided; speak anew and send that.")


class Attempts:
    """The tries under way in this process, and how many of them may be."""

    def __init__(self, limits: Limits, clock: Callable[[], datetime]) -> None:
        self._limits = limits
        self._clock = clock
        self._turns = threading.Condition()
        self._running: dict[tuple[str, str], int] = {}
        self._waiting: dict[tuple[str, str], int] = {}

    @contextmanager
    def trying(
        self,
        tenant: str,
        store: Store,
        person_id: str,
        enrolled: frozenset[str],
        first: Callable[[Change], None] | None = None,
    ) -> Iterator[Attempt]:
        """Hand out a try at a person; what came of it is on record, in one transaction, when the block ends.

        Args:
            enrolled: hashes of the recordings the person was enrolled with.
            first: begins that transaction; what it raises undoes the try, as if it had not been made.

        Raises:
            TooOftenError: person_locked; rate_limited when too many wait, or came in this minute. At the end of the
                block also PolicyError audio_replayed: another try at the same moment was first.
        """
        place = tenant, person_id
        self._refuse_above_rate(store, person_id)
        self._take_turn(place, store)
        try:
            attempt = Attempt(self._unlocked(store, person_id), enrolled, self._limits, first)
            with store.gathering() as entries:
                try:
                    yield attempt
                except Exception:
                    attempt.also = None
                    self._write(store, person_id, attempt, entries)
                    raise
            refusal = self._write(store, person_id, attempt, entries)
            if refusal is not None:
                raise refusal
        finally:
            with self._turns:
                self._running[place] -= 1
                if not self._running[place]:
                    del self._running[place]
                self._turns.notify_all()

    def _take_turn(self, place: tuple[str, str], store: Store) -> None:
        """Wait until this try may fail without passing the limit."""
        with self._turns:
            if self._waiting.get(place, 0) >= _MOST_WAITING:
                raise TooOftenError(
                    "rate_limited", "Too many tries at this person wait already; try again.", 1.0
                )
            self._waiting[place] = self._waiting.get(place, 0) + 1
            try:
                if not self._turns.wait_for(lambda: self._has_room(place, store), _WAIT_S):
                    raise TooOftenError(
                        "rate_limited", "The tries before this one take long; try again.", 1.0
                    )
                self._running[place] = self._running.get(place, 0) + 1
            finally:
                self._waiting[place] -= 1
                if not self._waiting[place]:
                    del self._waiting[place]

    def _has_room(self, place: tuple[str, str], store: Store) -> bool:
        running = self._running.get(place, 0)
        if not running or not self._limits.lockout_failures:
            return True
        # Raises when the person is locked by now, which ends the waiting.
        failed = len(self._unlocked(store, place[1]).failed_at)
        return running + failed < self._limits.lockout_failures

    def _unlocked(self, store: Store, person_id: str) -> Tries:
        now = self._clock()
        tries = Tries.of(store.document(_KIND, person_id), self._limits, now)
        if tries.locked_until is not None:
            raise _locked((tries.locked_until - now).total_seconds())
        return tries

    def _refuse_above_rate(self, store: Store, person_id: str) -> None:
        """Refuse before any work, and without writing, what would be refused when it is written down."""
        per_min, now = self._limits.person_per_min, self._clock()
        if per_min:
            found = store.counted(_counter(person_id), WINDOW_S, per_min, now)
            if found.count >= per_min:
                raise too_many(per_min, (found.resets_at - now).total_seconds())

    def _write(
        self, store: Store, person_id: str, attempt: Attempt, entries: Sequence[Waiting]
    ) -> PolicyError | None:
        """Write down what the try was, and return why nothing of it may be told; None: it may."""
        now, limits = self._clock(), self._limits
        with store.changing() as change:
            if attempt.first is not None:
                attempt.first(change)
            if not change.holds(person_id):
                change.take_down(entries)
                return None
            tries = Tries.of(change.document(_KIND, person_id), limits, now)
            refusal = self._over_rate(change, person_id, now) or attempt.refusal_by(tries, now)
            if refusal is not None:
                entries = [_refused(entry, refusal.code) for entry in entries]
            change.take_down(entries)
            if refusal is None and attempt.also is not None:
                attempt.also(change)
            if attempt.failed or attempt.accepted or attempt.played is not None:
                self._note(change, person_id, tries, attempt, accepted=attempt.accepted and refusal is None)
            return refusal

    def _over_rate(self, change: Change, person_id: str, now: datetime) -> PolicyError | None:
        per_min = self._limits.person_per_min
        if per_min:
            counted = change.count(_counter(person_id), WINDOW_S, per_min, now)
            if counted.exceeded:
                return too_many(per_min, (counted.resets_at - now).total_seconds())
        return None

    def _note(
        self, change: Change, person_id: str, tries: Tries, attempt: Attempt, *, accepted: bool
    ) -> None:
        """Write the tries at a person, this one included; a lock that holds by now is not lengthened by it."""
        now, limits = self._clock(), self._limits
        failed = () if accepted else tries.failed_at
        failed = (*failed, now) if attempt.failed and tries.locked_until is None else failed
        locked = bool(limits.lockout_failures) and len(failed) >= limits.lockout_failures
        until = now + timedelta(seconds=limits.lockout_s) if locked else tries.locked_until
        played = tries.played if attempt.played is None else (*tries.played, attempt.played)
        after = Tries(() if locked else failed, until, played, tries.version)
        change.put_document(after.document(person_id, limits, now))
        if locked and until is not None:
            change.record(Event("person.locked", "done", person_id, {"until": until.isoformat()}))


def _locked(wait_s: float) -> TooOftenError:
    return TooOftenError(
        "person_locked",
        f"Too many tries at this person failed; wait {max(1, round(wait_s))} s, or let an operator unlock.",
        wait_s,
    )


def _refused(entry: Waiting, code: str) -> Waiting:
    """Return the entry of an act whose result is not told: nothing of the result is in it."""
    event = entry.event
    return entry._replace(event=replace(event, outcome=f"refused:{code}", personal=None))


def _counter(person_id: str) -> str:
    return f"tries:{person_id}"


def remember_played(
    change: Change, person_id: str, heard: list[dict[str, str]], limits: Limits, now: datetime
) -> None:
    """Note recordings a person was enrolled with, so that none of them, nor nearly one of them, is taken for a try."""
    if limits.replay_days and heard:
        tries = Tries.of(change.document(_KIND, person_id), limits, now)
        known = Tries(tries.failed_at, tries.locked_until, (*tries.played, *heard), tries.version)
        change.put_document(known.document(person_id, limits, now))


def unlock(store: Store, person_id: str, limits: Limits, now: datetime) -> None:
    """Let tries at a person through again; what was played stays on record."""
    with store.changing() as change:
        tries = Tries.of(change.document(_KIND, person_id), limits, now)
        if tries.failed_at or tries.locked_until is not None:
            change.put_document(Tries((), None, tries.played, tries.version).document(person_id, limits, now))
            change.record(Event("person.unlocked", "done", person_id))
