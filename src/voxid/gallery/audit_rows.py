"""The audit log as stored: entries, people's audit keys, and the guarded head row.

Each entry's row carries a keyed tag over its number, its line and its sealed fields; the head row (number of entries,
last hash, the tree's frontier) is keyed too. Whom entries are about is told by a pseudonym of 32 random hex digits that
is kept with the person's audit key: the key destroyed, sealed fields stay closed and the pseudonym is nobody's, while
every hash of the log stays right.

Not covered by the file alone: the log and its head put back together to an earlier state, with the whole gallery or
with nothing but acts that changed nobody (verify, identify) in between. A signed head kept elsewhere shows that too.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from voxid.audit.actors import Actor, current_actor
from voxid.audit.checking import StoredEntry
from voxid.audit.events import ERASED, Entry, Event, canonical, sealed_sha256, stamp
from voxid.audit.heads import Head
from voxid.audit.merkle import HASH_BYTES, Frontier, leaf_hash
from voxid.errors import StoreError
from voxid.gallery.database import Named, damaged
from voxid.gallery.keys import Keyring, bound_to, new_data_key, new_pseudonym, open_sealed, same, seal
from voxid.gallery.rows import TENANT
from voxid.gallery.tables import audit_entries, audit_keys, meta, people, unknown_people

__all__ = [
    "AuditWriter",
    "LogState",
    "PersonKey",
    "Waiting",
    "entries_of",
    "guarded_anew",
    "is_held",
    "people_of",
    "person_key",
    "stored_entries",
]

_HEAD_KEY: Final = "audit"
# Built once: composing a statement costs SQLAlchemy more time than SQLite takes to answer it.
_READ_HEAD: Final = sa.select(meta.c.value).where(meta.c.key == _HEAD_KEY)
_READ_KEY: Final = sa.select(audit_keys).where(audit_keys.c.person_id == sa.bindparam("of_person"))
_HEAD: Final = struct.Struct(">Q32sB")  # entries, last hash, number of peaks; then the peaks, then the tag
_READ_AT_ONCE: Final = 2000
_NUMBERS_AT_ONCE: Final = 400


class Waiting(NamedTuple):
    """An event on its way into the log: who acted and when is taken down where it happened."""

    event: Event
    actor: Actor
    at: datetime

    @classmethod
    def now(cls, event: Event) -> Waiting:
        """Return the event with who acts here, and when."""
        return cls(event, current_actor(), event.at or datetime.now(UTC))


class PersonKey(NamedTuple):
    """What leads from a person to their entries and opens what is sealed in them."""

    person: str
    aead: AESGCM


class LogState(NamedTuple):
    """The guarded head row."""

    tree: Frontier
    last: bytes

    @classmethod
    def read(cls, connection: sa.Connection, keyring: Keyring) -> LogState | None:
        """Return the state as stored; None when the row is missing or its tag is wrong."""
        value = connection.execute(_READ_HEAD).scalar()
        if value is None or len(value) < _HEAD.size + HASH_BYTES:
            return None
        body, tag = value[:-HASH_BYTES], value[-HASH_BYTES:]
        if not same(tag, keyring.integrity_tag(b"audit-head", body)):
            return None
        size, last, n_peaks = _HEAD.unpack_from(body)
        starts = range(_HEAD.size, _HEAD.size + n_peaks * HASH_BYTES, HASH_BYTES)
        return cls(Frontier(size, tuple(body[at : at + HASH_BYTES] for at in starts)), last)

    def write(self, connection: sa.Connection, keyring: Keyring, *, first: bool) -> None:
        """Replace the stored state.

        Args:
            first: there is none yet.
        """
        body = _HEAD.pack(self.tree.size, self.last, len(self.tree.peaks)) + b"".join(self.tree.peaks)
        value = body + keyring.integrity_tag(b"audit-head", body)
        if first:
            connection.execute(meta.insert().values(key=_HEAD_KEY, value=value))
        else:
            connection.execute(meta.update().where(meta.c.key == _HEAD_KEY).values(value=value))

    def head(self, keyring: Keyring) -> Head:
        """Return the head as it is stated to others."""
        return Head(keyring.log_origin.hex(), self.tree.size, self.tree.root.hex(), self.last.hex())


class AuditWriter:
    """Entries added to the log, as part of an open writing transaction.

    Args:
        exists: whether a person, known or unknown, is or was in the gallery as this transaction began or ends.
    """

    def __init__(
        self, connection: sa.Connection, keyring: Keyring, where: Named, exists: Callable[[str], bool]
    ) -> None:
        self._connection = connection
        self._keyring = keyring
        self._where = where
        self._exists = exists
        self._keys: dict[str, PersonKey] = {}

    def start(self, waiting: Waiting, generation: int) -> None:
        """Begin the log with its first entry."""
        self._append([waiting], LogState(Frontier(), self._keyring.log_origin), generation, first=True)

    def append(self, waiting: Sequence[Waiting], generation: int) -> None:
        """Add entries.

        Args:
            generation: of the gallery the acts left behind or were decided by.

        Raises:
            StoreError: audit_damaged when the head row is missing or changed: nothing is added to a log that is not
                whole.
        """
        state = LogState.read(self._connection, self._keyring)
        if state is None:
            raise StoreError(
                "audit_damaged",
                f"The head of the audit log of {self._where.name} is missing or was changed, so nothing was done; "
                "`voxid audit verify` says what is wrong, and a backup has the log as it was.",
            )
        self._append(waiting, state, generation, first=False)

    def erase(self, person_ids: Iterable[str], generation: int) -> list[bytes]:
        """Destroy the audit keys of people, with an entry for each; return the bytes to be proved gone."""
        traces: list[bytes] = []
        for person_id in person_ids:
            row = _key_row(self._connection, person_id)
            if row is not None:
                self.append([Waiting.now(Event(ERASED, person_id=person_id))], generation)
                self._keys.pop(person_id, None)
                self._connection.execute(audit_keys.delete().where(audit_keys.c.person_id == person_id))
                wrapped = row.wrapped_key
                traces += [piece for piece in (wrapped[:16], wrapped[-16:]) if len(set(piece)) > 8]
        return traces

    def _append(self, waiting: Sequence[Waiting], state: LogState, generation: int, *, first: bool) -> None:
        rows = []
        tree, last = state
        for sequence, (event, actor, at) in enumerate(waiting, tree.size + 1):
            key = None if event.person_id is None else self._key_for(event.person_id)
            sealed = None
            if key is not None and event.personal is not None:
                sealed = seal(key.aead, canonical(event.personal), _place(sequence))
            entry = Entry(
                sequence=sequence,
                at=stamp(at),
                act=event.act,
                outcome=event.outcome,
                actor=actor,
                person=None if key is None else key.person,
                facts=dict(event.facts),
                personal_sha256=sealed_sha256(sealed),
                generation=generation,
                previous=last.hex(),
            )
            line = entry.line()
            last = leaf_hash(line)
            tree = tree.grown([last])
            rows.append(_values(self._keyring, entry, line, last, sealed))
        self._connection.execute(audit_entries.insert(), rows)
        LogState(tree, last).write(self._connection, self._keyring, first=first)

    def _key_for(self, person_id: str) -> PersonKey | None:
        """Return a person's key, made now if there is none; None for somebody the gallery does not have."""
        if person_id in self._keys:
            return self._keys[person_id]
        known = person_key(self._connection, self._keyring, person_id, self._where)
        if known is None and not self._exists(person_id):
            return None
        self._keys[person_id] = known or self._new_key(person_id)
        return self._keys[person_id]

    def _new_key(self, person_id: str) -> PersonKey:
        person, key = new_pseudonym(), new_data_key()
        wrapped = self._keyring.wrap(key, _key_place(person_id, person))
        self._connection.execute(
            audit_keys.insert().values(person_id=person_id, person=person, wrapped_key=wrapped)
        )
        return PersonKey(person, AESGCM(key))


def person_key(connection: sa.Connection, keyring: Keyring, person_id: str, where: Named) -> PersonKey | None:
    """Return the audit key of a person, or None when there is none.

    Raises:
        StoreError: store_damaged when it does not open.
    """
    row = _key_row(connection, person_id)
    if row is None:
        return None
    key = keyring.unwrap(row.wrapped_key, _key_place(person_id, row.person))
    if key is None:
        raise damaged(where, f"the audit key of the person with id {person_id} does not open")
    return PersonKey(row.person, AESGCM(key))


def is_held(connection: sa.Connection, id_: str) -> bool:
    """Return whether somebody, known or unknown, of this id is in the gallery."""
    queries = (sa.select(table.c.id).where(table.c.id == id_) for table in (people, unknown_people))
    return any(connection.execute(query).first() is not None for query in queries)


def people_of(connection: sa.Connection, pseudonyms: Iterable[str] | None = None) -> dict[str, str]:
    """Return pseudonym -> person id of those whose key is there; None: of all."""
    query = sa.select(audit_keys.c.person, audit_keys.c.person_id)
    if pseudonyms is not None:
        query = query.where(audit_keys.c.person.in_(sorted(pseudonyms)))
    return {row.person: row.person_id for row in connection.execute(query)}


def people_with_keys(connection: sa.Connection, keyring: Keyring) -> set[str]:
    """Return the pseudonyms of those whose key is there and opens."""
    return {
        row.person
        for row in connection.execute(sa.select(audit_keys))
        if keyring.unwrap(row.wrapped_key, _key_place(row.person_id, row.person)) is not None
    }


def stored_entries(
    connection: sa.Connection,
    keyring: Keyring,
    *,
    after: int = 0,
    before: int | None = None,
    person: str | None = None,
    act: str | None = None,
    limit: int | None = None,
    at_once: int = _READ_AT_ONCE,
) -> Iterator[StoredEntry]:
    """Return the rows of the log by number, read some thousands at a time, each with whether its tag is right.

    Args:
        after, before: numbers of the entries just outside.
        person: pseudonym; act: only such.
        limit: how many at most; None: all.
        at_once: rows per query.
    """
    at, left = after, limit
    while left is None or left > 0:
        size = at_once if left is None else min(left, at_once)
        query = sa.select(audit_entries).where(audit_entries.c.sequence > at)
        if before is not None:
            query = query.where(audit_entries.c.sequence < before)
        if person is not None:
            query = query.where(audit_entries.c.person == person)
        if act is not None:
            query = query.where(audit_entries.c.act == act)
        rows = connection.execute(query.order_by(audit_entries.c.sequence).limit(size)).all()
        for row in rows:
            yield _stored(keyring, row)
        if len(rows) < size:
            return
        at = rows[-1].sequence
        left = None if left is None else left - size


def entries_of(
    connection: sa.Connection, keyring: Keyring, sequences: Sequence[int]
) -> Iterator[StoredEntry]:
    """Return the rows of these numbers, each with whether its tag is right."""
    for at in range(0, len(sequences), _NUMBERS_AT_ONCE):
        wanted = sequences[at : at + _NUMBERS_AT_ONCE]
        query = sa.select(audit_entries).where(audit_entries.c.sequence.in_(wanted))
        for row in connection.execute(query).all():
            yield _stored(keyring, row)


def opened_personal(key: PersonKey | None, stored: StoredEntry, where: Named) -> bytes | None:
    """Return the opened personal fields of an entry as JSON; None when there are none, or no key.

    Raises:
        StoreError: audit_damaged.
    """
    if key is None or stored.sealed is None:
        return None
    plain = open_sealed(key.aead, stored.sealed, _place(stored.sequence))
    if plain is None:
        raise StoreError(
            "audit_damaged",
            f"The personal fields of audit entry {stored.sequence} of {where.name} do not open.",
        )
    return plain


def guarded_anew(connection: sa.Connection, former: Keyring, new: Keyring, where: Named) -> None:
    """Put the tags of the log, its head and people's audit keys under another master key; the log stays as it is.

    Args:
        where: in messages.

    Raises:
        StoreError: audit_damaged, naming the first entry that is not authentic; store_damaged.
    """
    state = LogState.read(connection, former)
    after = 0
    while rows := list(stored_entries(connection, former, after=after, limit=_READ_AT_ONCE)):
        false = next((row.sequence for row in rows if not row.authentic), None)
        if state is None or false is not None:
            raise StoreError(
                "audit_damaged",
                f"Audit entry {false or 1} of {where.name} was changed; `voxid audit verify` says more.",
            )
        tags = [
            {"at": row.sequence, "new": _tag(new, row.sequence, row.line, row.sealed or b"")} for row in rows
        ]
        place = audit_entries.c.sequence == sa.bindparam("at")
        connection.execute(audit_entries.update().where(place).values(tag=sa.bindparam("new")), tags)
        after = rows[-1].sequence
    if state is not None:
        state.write(connection, new, first=False)
    for row in connection.execute(sa.select(audit_keys)).all():
        key_place = _key_place(row.person_id, row.person)
        key = former.unwrap(row.wrapped_key, key_place)
        if key is None:
            raise damaged(where, f"the audit key of the person with id {row.person_id} does not open")
        own = audit_keys.c.person_id == row.person_id
        connection.execute(audit_keys.update().where(own).values(wrapped_key=new.wrap(key, key_place)))


def _stored(keyring: Keyring, row: Any) -> StoredEntry:
    tag = _tag(keyring, row.sequence, row.line, row.sealed)
    return StoredEntry(
        sequence=row.sequence,
        line=row.line,
        hash=row.hash,
        person=row.person or None,
        act=row.act,
        sealed=row.sealed or None,
        authentic=same(tag, row.tag),
    )


def _values(
    keyring: Keyring, entry: Entry, line: bytes, hash_: bytes, sealed: bytes | None
) -> dict[str, Any]:
    kept = sealed or b""
    return {
        "sequence": entry.sequence,
        "line": line,
        "hash": hash_,
        "person": entry.person or "",
        "act": entry.act,
        "sealed": kept,
        "tag": _tag(keyring, entry.sequence, line, kept),
    }


def _tag(keyring: Keyring, sequence: int, line: bytes, sealed: bytes) -> bytes:
    return keyring.integrity_tag(b"audit", str(sequence).encode(), line, sealed)


def _key_row(connection: sa.Connection, person_id: str) -> Any:
    return connection.execute(_READ_KEY, {"of_person": person_id}).one_or_none()


def _key_place(person_id: str, person: str) -> bytes:
    return bound_to("audit-key", TENANT, person_id, person)


def _place(sequence: int) -> bytes:
    return bound_to("audit", TENANT, str(sequence))
