"""A whole log read again: is every entry there, as it was written, in its place?

Rules, in the order they are applied to each entry:
1. its number is the one that follows;
2. the gallery's keyed tag over number, line and sealed fields is right: nobody without the key wrote it;
3. its line is an entry, is about the number, person and act its row says, and its hash is the one kept beside it;
4. it names the hash of the entry before it;
5. its sealed fields have the hash that it names.
Then of the whole: as many entries, the last hash and the root that the guarded head says; the newest generation is the
gallery's; whoever's key is gone was erased by an act on record.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from voxid.audit.events import ERASED, Entry, sealed_sha256
from voxid.audit.heads import Head
from voxid.audit.merkle import Frontier, leaf_hash
from voxid.errors import StoreError

__all__ = ["AuditReport", "Expected", "StoredEntry", "check_entries"]


@dataclass(frozen=True)
class StoredEntry:
    """One row of a log, as found.

    Args:
        sequence, line, hash, person, act, sealed: the columns.
        authentic: the row's keyed tag is right.
    """

    sequence: int
    line: bytes
    hash: bytes
    person: str | None
    act: str
    sealed: bytes | None
    authentic: bool


@dataclass(frozen=True)
class Expected:
    """What a log must come to.

    Args:
        head: as guarded; None when it is missing or fails its tag.
        origin: of the log.
        generation: of the gallery now; None when it may have moved on without acts.
        people: pseudonyms whose key is there and opens.
    """

    head: Head | None
    origin: str
    generation: int | None
    people: Container[str]


@dataclass(frozen=True)
class AuditReport:
    """What a check of a whole log found.

    Args:
        entries: read and found right, up to the first that is not.
        bad_entry: number of the first that is missing, changed or out of place; None when there is none.
        problem: in words; None when the log is whole.
        head: of the log.
    """

    entries: int
    bad_entry: int | None = None
    problem: str | None = None
    head: Head | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return self.problem is None

    def to_dict(self) -> dict[str, Any]:
        """Return the report as ``--json`` prints it."""
        return {
            "whole": self.whole,
            "entries": self.entries,
            "bad_entry": self.bad_entry,
            "problem": self.problem,
            "root": None if self.head is None else self.head.root,
        }


@dataclass
class _Reading:
    """What is known of the log up to one entry."""

    previous: str
    size: int = 0
    tree: Frontier = field(default_factory=Frontier)
    generation: int = 0
    first_of: dict[str, int] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)

    def problem_of(self, row: StoredEntry) -> str | None:
        """Return what is wrong with the next row, in words, or None; a right one is taken in."""
        number = self.size + 1
        if row.sequence != number:
            return f"entry {number} is missing"
        if not row.authentic:
            return f"entry {number} was changed, moved or written by somebody without the key"
        try:
            entry = Entry.parse(row.line)
        except StoreError:
            return f"entry {number} cannot be read"
        said = (entry.sequence, entry.person, entry.act)
        if said != (number, row.person, row.act) or leaf_hash(row.line) != row.hash:
            return f"entry {number} is not the one its row says"
        if entry.previous != self.previous:
            return f"entry {number} does not follow entry {self.size}"
        if sealed_sha256(row.sealed) != entry.personal_sha256:
            return f"the personal fields of entry {number} were changed or removed"
        if entry.generation < self.generation:
            return f"entry {number} is about an older gallery than entry {self.size}"
        self._take(entry, row.hash)
        return None

    def _take(self, entry: Entry, hash_: bytes) -> None:
        self.size, self.previous, self.generation = entry.sequence, hash_.hex(), entry.generation
        self.tree = self.tree.grown([hash_])
        if entry.person is not None:
            self.first_of.setdefault(entry.person, entry.sequence)
            if entry.act == ERASED:
                self.erased.add(entry.person)


def check_entries(rows: Iterable[StoredEntry], expected: Expected) -> AuditReport:
    """Return what is wrong with a log, first thing first.

    Args:
        rows: by number.
        expected: what they must come to.
    """
    reading = _Reading(expected.origin)
    for row in rows:
        problem = reading.problem_of(row)
        if problem is not None:
            return AuditReport(reading.size, reading.size + 1, problem, expected.head)
    bad = AuditReport(reading.size, reading.size + 1, None, expected.head)
    head = expected.head
    if head is None:
        return replace(bad, problem="the head of the log is missing or was changed")
    if reading.size < head.size:
        return replace(
            bad, problem=f"entry {reading.size + 1} is missing: the log ends before entry {head.size}"
        )
    if reading.size > head.size:
        return replace(
            bad, bad_entry=head.size + 1, problem=f"entry {head.size + 1} is beyond the log's head"
        )
    if (head.root, head.last) != (reading.tree.root.hex(), reading.previous):
        return replace(bad, bad_entry=reading.size, problem="the head of the log is not that of its entries")
    if expected.generation is not None and reading.generation < expected.generation:
        return replace(
            bad,
            problem=f"entry {reading.size + 1} is missing: the gallery is at change {expected.generation}, the log "
            f"ends at change {reading.generation}",
        )
    for person, first in reading.first_of.items():
        if person not in reading.erased and person not in expected.people:
            return replace(
                bad,
                bad_entry=first,
                problem=f"the key of the person of entry {first} is gone or was changed, and no entry says that they "
                "were erased",
            )
    return AuditReport(reading.size, head=head)
