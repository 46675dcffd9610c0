"""The audit log of a gallery, read: entries, heads, proofs, and the check of the whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from voxid.audit.checking import AuditReport, Expected, StoredEntry, check_entries
from voxid.audit.events import Entry, Recorded
from voxid.audit.heads import Head, InclusionProof, SignedHead, public_key_of, signed_head
from voxid.audit.merkle import consistency_path, inclusion_path, root_of
from voxid.errors import InputError, StoreError
from voxid.gallery.audit_rows import (
    LogState,
    entries_of,
    opened_personal,
    people_of,
    people_with_keys,
    person_key,
    stored_entries,
)
from voxid.gallery.database import Database
from voxid.gallery.keys import Keyring
from voxid.gallery.roster import State
from voxid.gallery.tables import audit_entries

__all__ = ["AuditLog"]

_LINES_AT_ONCE: Final = 2000


class AuditLog:
    """What was done with a gallery. `Store.audit` gives it.

    Every reading sees one state of the gallery, and checks the keyed tag of each entry it hands out.
    """

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring
        self._where = database.path

    @property
    def public_key(self) -> str:
        """The key (hex) that heads and receipts are checked with; give it to whoever is to check them."""
        return public_key_of(self._keyring.signing)

    def events(
        self,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int = 100,
        person_id: str | None = None,
        act: str | None = None,
    ) -> list[Recorded]:
        """Return entries by number, with whom they are about and their personal fields where the key is there.

        Args:
            after, before: numbers of the entries just outside.
            limit: how many at most.
            person_id: only those about this person, who must still be in the gallery; act: only such.

        Raises:
            StoreError: audit_damaged, naming the first entry that was changed.
        """
        with self._database.reading() as connection:
            person = None
            if person_id is not None:
                key = person_key(connection, self._keyring, person_id, self._where)
                if key is None:
                    return []
                person = key.person
            rows = list(
                stored_entries(
                    connection,
                    self._keyring,
                    after=after,
                    before=before,
                    person=person,
                    act=act,
                    limit=limit,
                )
            )
            return self._recorded(connection, rows)

    def latest(self, acts: Sequence[str], person_id: str | None = None) -> dict[str, datetime]:
        """Return person id -> when the last of these acts was about them, for everybody who is there.

        Args:
            person_id: of this one only.

        Raises:
            StoreError: audit_damaged, naming an entry that was changed.
        """
        rows = audit_entries.c
        newest = (
            sa.select(sa.func.max(rows.sequence))
            .where(rows.act.in_(list(acts)), rows.person != "")
            .group_by(rows.person)
        )
        with self._database.reading() as connection:
            if person_id is None:
                people = people_of(connection)
            else:
                key = person_key(connection, self._keyring, person_id, self._where)
                people = {} if key is None else {key.person: person_id}
                newest = newest.where(rows.person.in_(list(people)))
            found = list(connection.execute(newest).scalars())
            lines = entries_of(connection, self._keyring, found)
            times = {
                people[stored.person]: Entry.parse(self._authentic(stored).line).at
                for stored in lines
                if stored.person in people
            }
        return {person_id: datetime.fromisoformat(at) for person_id, at in times.items()}

    def lines(self, *, after: int = 0, until: int | None = None) -> Iterator[bytes]:
        """Return the lines of the log as they are hashed, one after another.

        They are read a page at a time: entries are only ever added, and a slow reader must not hold the store's past.

        Args:
            after, until: numbers of the entry before the first and of the last; None: to the end.

        Raises:
            StoreError: audit_damaged, naming the first entry that was changed.
        """
        end = self.head().size if until is None else until
        while after < end:
            with self._database.reading() as connection:
                found = stored_entries(
                    connection, self._keyring, after=after, before=end + 1, limit=_LINES_AT_ONCE
                )
                page = [self._authentic(stored) for stored in found]
            yield from (stored.line for stored in page)
            after = page[-1].sequence if page else end

    def head(self) -> Head:
        """Return where the log stands.

        Raises:
            StoreError: audit_damaged when the guarded head row is missing or changed.
        """
        with self._database.reading() as connection:
            return self._head(connection)

    def sign_head(self, at: datetime | None = None) -> SignedHead:
        """Return the head, signed: to be kept where whoever runs the gallery cannot change it.

        Args:
            at: the time to state; now when None.
        """
        return signed_head(self.head(), at or datetime.now(UTC), self._keyring.signing)

    def proof(self, sequence: int, at: datetime | None = None) -> InclusionProof:
        """Return the proof that one entry is in the log as it stands now.

        Raises:
            InputError: audit_entry_missing. StoreError: audit_damaged.
        """
        with self._database.reading() as connection:
            head = self._head(connection)
            hashes = self._hashes(connection, head.size)
            path = inclusion_path(hashes, sequence - 1)
            rows = list(stored_entries(connection, self._keyring, after=sequence - 1, limit=1))
        line = self._authentic(rows[0]).line.decode()
        stated = signed_head(head, at or datetime.now(UTC), self._keyring.signing)
        proof = InclusionProof(sequence, line, tuple(part.hex() for part in path), stated)
        if not proof.holds():
            raise StoreError(
                "audit_damaged",
                f"The audit log of {self._where.name} does not prove entry {sequence}; `voxid audit verify` says what "
                "is wrong.",
            )
        return proof

    def consistency(self, size1: int, size2: int | None = None) -> list[str]:
        """Return the hashes (hex) that prove the log of one size to be the beginning of the log of another.

        Args:
            size1, size2: numbers of entries; None: as it stands now.

        Raises:
            InputError: audit_size_invalid. StoreError: audit_damaged.
        """
        with self._database.reading() as connection:
            n = self._head(connection).size if size2 is None else size2
            hashes = self._hashes(connection, n)
        if len(hashes) != n:
            raise InputError("audit_size_invalid", f"The later size is {n}; expected at most {len(hashes)}.")
        return [part.hex() for part in consistency_path(hashes, size1)]

    def verify(self, kept: SignedHead | None = None) -> AuditReport:
        """Return what is wrong with the log, the first bad entry by number; everything is read and hashed again.

        Args:
            kept: a head that was signed earlier and kept elsewhere: the log must begin with what it says.
        """
        report = self._verified()
        if kept is None or not report.whole:
            return report
        head, size = kept.head, report.entries
        if head.size > size:
            problem = f"entry {size + 1} is missing: the head of {kept.at} says {head.size} entries"
            return replace(report, bad_entry=size + 1, problem=problem)
        with self._database.reading() as connection:
            root = root_of(self._hashes(connection, head.size)).hex()
        if (root, self._keyring.log_origin.hex()) != (head.root, head.origin):
            problem = f"the first {head.size} entries are not those that the head of {kept.at} says"
            return replace(report, problem=problem)
        if not any(kept.signed_by(key) for key in (self.public_key, *self._keyring.former_public_keys)):
            return replace(
                report, problem=f"the head of {kept.at} was not signed with the key of this gallery"
            )
        return report

    def _verified(self) -> AuditReport:
        with self._database.reading() as connection:
            state = State.read(connection, self._keyring, self._where)
            kept = LogState.read(connection, self._keyring)
            expected = Expected(
                head=None if kept is None else kept.head(self._keyring),
                origin=self._keyring.log_origin.hex(),
                generation=state.generation,
                people=people_with_keys(connection, self._keyring),
            )
            with suppress(StoreError, SQLAlchemyError):
                return check_entries(stored_entries(connection, self._keyring), expected)
        with self._database.reading() as connection:
            return check_entries(self._until_unreadable(connection), expected)

    def _until_unreadable(self, connection: sa.Connection) -> Iterator[StoredEntry]:
        """Return the rows one by one up to the first that the engine cannot hand out, and that one as a false one."""
        number = 1
        try:
            for stored in stored_entries(connection, self._keyring, at_once=1):
                yield stored
                number = stored.sequence + 1
        except (StoreError, SQLAlchemyError):
            yield StoredEntry(number, b"", b"", None, "", None, authentic=False)

    def _recorded(self, connection: sa.Connection, rows: list[StoredEntry]) -> list[Recorded]:
        wanted = {row.person for row in rows if row.person is not None}
        people = people_of(connection, wanted)
        keys = {
            person: person_key(connection, self._keyring, person_id, self._where)
            for person, person_id in people.items()
        }
        recorded = []
        for row in rows:
            entry = Entry.parse(self._authentic(row).line)
            key = None if row.person is None else keys.get(row.person)
            plain = opened_personal(key, row, self._where)
            personal: Mapping[str, Any] | None = None if plain is None else json.loads(plain)
            recorded.append(Recorded(entry, None if key is None else people[key.person], personal))
        return recorded

    def _head(self, connection: sa.Connection) -> Head:
        state = LogState.read(connection, self._keyring)
        if state is None:
            raise StoreError(
                "audit_damaged",
                f"The head of the audit log of {self._where.name} is missing or was changed; `voxid audit verify` says "
                "what is wrong.",
            )
        return state.head(self._keyring)

    def _hashes(self, connection: sa.Connection, size: int) -> list[bytes]:
        query = sa.select(audit_entries.c.hash).where(audit_entries.c.sequence <= size)
        return [row.hash for row in connection.execute(query.order_by(audit_entries.c.sequence))]

    def _authentic(self, stored: StoredEntry) -> StoredEntry:
        if not stored.authentic:
            raise StoreError(
                "audit_damaged",
                f"Audit entry {stored.sequence} of {self._where.name} was changed, moved or written by somebody "
                "without the key; `voxid audit verify` checks the whole log.",
            )
        return stored
