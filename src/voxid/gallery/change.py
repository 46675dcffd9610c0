"""One change to the gallery: people put and removed, opt-outs set and lifted, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import uuid4

import sqlalchemy as sa

from voxid.audit.events import Event
from voxid.errors import InputError
from voxid.gallery.audit_change import AuditChange
from voxid.gallery.audit_rows import AuditWriter, Waiting
from voxid.gallery.database import Named
from voxid.gallery.document_change import DocumentChange
from voxid.gallery.documents import INDEX_KEY, Counted, Document
from voxid.gallery.keys import Keyring, bound_to, forgotten_tag, new_data_key, opt_out_tag
from voxid.gallery.names import lookup_form
from voxid.gallery.records import PersonRecord
from voxid.gallery.roster import (
    Entry,
    Roster,
    State,
    opt_out_element,
    opt_out_key_element,
    person_element,
)
from voxid.gallery.rows import TENANT, PersonRows, insert_people
from voxid.gallery.tables import consents, opt_out_keys, opt_outs, people, voiceprints
from voxid.gallery.tombstones import Tombstones
from voxid.gallery.unknown_change import UnknownChange

__all__ = ["FORGOTTEN_KEY", "MAX_VOICEPRINTS_PER_PERSON", "Change"]

# Scoring and rewriting a person cost in proportion; nobody needs more references than this.
MAX_VOICEPRINTS_PER_PERSON: Final = 256
FORGOTTEN_KEY: Final = "forgotten-"
"""How the ids of those keys begin that seconds of recordings, and no names, are hashed with."""

RowReader = Callable[[sa.Connection, Sequence[str]], list[PersonRows]]


class Change:
    """The open transaction of `Store.changing`; everything done through it is seen by its own look-ups.

    Attributes:
        generation: of the gallery this change began from.
        before_erasing: called before an erasure is written.
        traces: bytes of erased rows, to be proved gone after the commit.
        forgets_index: somebody is erased whose vector may lie in an index file: the keys of all such files go too.
        unknown: what changes of unknown people and their ids.
        documents: what changes of documents and counters.
        audit: what is written into the audit log.
    """

    def __init__(
        self, connection: sa.Connection, keyring: Keyring, roster: Roster, rows: RowReader, where: Named
    ) -> None:
        self.generation = roster.state.generation
        self.traces: list[bytes] = []
        self.forgets_index = False
        self._connection = connection
        self.before_erasing: Callable[[], None] = lambda: None
        self.keyring = keyring
        self._roster = roster
        self._read_rows = rows
        self._where = where
        self._waiting: list[PersonRows] = []
        self._sum_delta = 0
        self._count_delta = 0
        self._entries: dict[str, Entry | None] = {}
        self._ids: dict[bytes, str | None] = {}
        self._opt_out_keys: dict[str, bytes] = {}
        self._opt_outs: dict[tuple[str, bytes], bool] = {}
        number = roster.state.documents.changes + 1
        self.documents = DocumentChange(connection, keyring, where, self.traces, number)
        self.unknown = UnknownChange(connection, keyring, roster, self._count, self.traces, self.outdate)
        writer = AuditWriter(connection, keyring, where, self._ever_held)
        self.audit = AuditChange(writer, audited=roster.state.audited)

    def find(self, name: str) -> str | None:
        """Return the id of the person of that name, or None."""
        tag = self._name_tag(name)
        return self._ids[tag] if tag in self._ids else self._roster.ids.get(tag)

    def person_ids(self) -> list[str]:
        """Return the ids of everybody there is now, changes taken into account."""
        return [id_ for id_ in {**self._roster.entries, **self._entries} if self.holds(id_)]

    def holds(self, person_id: str) -> bool:
        """Return whether a person of that id exists."""
        return self._entry(person_id) is not None

    def read(self, person_id: str) -> PersonRecord:
        """Return a person who exists and was not changed by this change yet.

        Raises:
            StoreError: store_damaged.
        """
        return self._read_rows(self._connection, [person_id])[0].opened(self.keyring, self._where)

    def everybody(self) -> Iterator[PersonRecord]:
        """Return the people there were when this change began, one after another.

        Raises:
            StoreError: store_damaged.
        """
        for person_id in list(self._roster.entries):
            yield self.read(person_id)

    def opted_out(self, name: str) -> bool:
        """Return whether the name is under an opt-out, those this change added or lifted taken into account."""
        keys = {**self._roster.opt_out_keys, **self._opt_out_keys}
        tags = ((key_id, opt_out_tag(key, lookup_form(name))) for key_id, key in keys.items())
        return any(self._opt_outs.get(tag, tag in self._roster.opt_outs) for tag in tags)

    def put(self, record: PersonRecord, *, erase_old: bool = False) -> None:
        """Write a person, new or changed, all rows under a new data key.

        Args:
            erase_old: prove afterwards that the bytes of the former rows are gone (after a withdrawal).

        Raises:
            InputError: person_exists when another person has the name; too_many_voiceprints.
        """
        holder = self.find(record.name)
        if holder is not None and holder != record.id:
            raise InputError(
                "person_exists", f"There is already a person called {record.name!r}; choose another name."
            )
        if len(record.voiceprints) > MAX_VOICEPRINTS_PER_PERSON:
            raise InputError(
                "too_many_voiceprints",
                f"{record.name!r} would have {len(record.voiceprints)} voiceprints; at most "
                f"{MAX_VOICEPRINTS_PER_PERSON} are kept: enroll fewer recordings.",
            )
        if self.holds(record.id):
            self._remove_rows(record.id, erase=erase_old)
            if erase_old:
                self.outdate(record.id)
        self._insert(PersonRows.of(record, self.keyring))

    def remove(self, person_id: str, *, erase: bool = True, outdate: bool = True) -> None:
        """Delete a person: wrapped keys, all rows and documents, and the ids they had before they had a name.

        Args:
            erase: prove after the commit that their bytes are gone from the file and its log.
            outdate: let older copies of the gallery not bring the person back.
        """
        if self.holds(person_id):
            self._remove_rows(person_id, erase=erase)
            self.unknown.drop_ids_of(person_id, erase=erase)
            self.documents.remove_of(person_id, erase=erase)
            if erase and outdate:
                self.outdate(person_id)

    def outdate(self, person_id: str) -> None:
        """Let nothing that older copies of the gallery hold of a person, known or unknown, come back from them.

        To be called where something is taken back that they still hold: a consent withdrawn in part.
        """
        self.before_erasing()
        self.documents.bury("person", person_id)

    def _remove_rows(self, person_id: str, *, erase: bool) -> None:
        entry = self._entry(person_id)
        if entry is None:
            return
        self._flush()
        if erase:
            self.traces.extend(self._traces(person_id))
            self.forgets_index = True
        for table in (voiceprints, consents):
            self._connection.execute(table.delete().where(table.c.person_id == person_id))
        self._connection.execute(people.delete().where(people.c.id == person_id))
        self._entries[person_id], self._ids[entry.name_tag] = None, None
        self._count(-1, entry.element)

    def add_opt_out(self, name: str) -> None:
        """Forbid the name; only its keyed hash is kept."""
        key_id, key = self._own_key("")
        self.add_opt_out_tag(key_id, opt_out_tag(key, lookup_form(name)))

    def forget_seconds(self, audio_sha256: str, seconds: Iterable[int]) -> None:
        """Remember by keyed hashes that the voice in these seconds of a recording is not to be kept again."""
        key_id, key = self._own_key(FORGOTTEN_KEY)
        for second in seconds:
            self.add_opt_out_tag(key_id, forgotten_tag(key, audio_sha256, second))

    def forgotten_share(self, audio_sha256: str, seconds: Sequence[int]) -> float:
        """Return the share of these seconds of a recording whose voice was forgotten, 0 to 1."""
        keys = {**self._roster.opt_out_keys, **self._opt_out_keys}
        own = {key_id: key for key_id, key in keys.items() if key_id.startswith(FORGOTTEN_KEY)}
        found = sum(
            any(
                self._opt_outs.get(tag, tag in self._roster.opt_outs)
                for tag in ((id_, forgotten_tag(key, audio_sha256, second)) for id_, key in own.items())
            )
            for second in seconds
        )
        return found / len(seconds) if seconds else 0.0

    def _own_key(self, prefix: str) -> tuple[str, bytes]:
        """Return this gallery's own key for one kind of tombstone: the first there is, or a new one."""
        keys = {**self._roster.opt_out_keys, **self._opt_out_keys}
        known = [id_ for id_ in keys if id_.startswith(FORGOTTEN_KEY) == bool(prefix)]
        if not known:
            known = [prefix + str(uuid4())]
            self.add_opt_out_key(known[0], new_data_key())
            keys.update(self._opt_out_keys)
        return known[0], keys[known[0]]

    def lift_opt_out(self, name: str) -> None:
        """Allow the name again."""
        for key_id, key in self._roster.opt_out_keys.items():
            tag = opt_out_tag(key, lookup_form(name))
            if (key_id, tag) in self._roster.opt_outs:
                self._connection.execute(
                    opt_outs.delete().where(opt_outs.c.key_id == key_id, opt_outs.c.tag == tag)
                )
                self._opt_outs[key_id, tag] = False
                self.documents.bury("opt-out", f"{key_id}:{tag.hex()}")
                self._count(-1, opt_out_element(self.keyring, key_id, tag))

    def add_opt_out_key(self, key_id: str, key: bytes) -> None:
        """Add a key that names are hashed with for opt-outs; the one already there of that id stays."""
        if key_id in self._roster.opt_out_keys or key_id in self._opt_out_keys:
            return
        wrapped = self.keyring.wrap(key, bound_to("opt-out-key", key_id))
        self._connection.execute(opt_out_keys.insert().values(id=key_id, wrapped_key=wrapped))
        self._opt_out_keys[key_id] = key
        self._count(1, opt_out_key_element(self.keyring, key_id, wrapped))

    def add_opt_out_tag(self, key_id: str, tag: bytes) -> bool:
        """Add a tombstone under a key that was added before; returns whether it is new."""
        if self._opt_outs.get((key_id, tag), (key_id, tag) in self._roster.opt_outs):
            return False
        self._connection.execute(opt_outs.insert().values(key_id=key_id, tag=tag))
        self._opt_outs[key_id, tag] = True
        self.documents.changed = True  # tombstones and opt-outs are in the order of these numbers
        self._count(1, opt_out_element(self.keyring, key_id, tag))
        return True

    def add_opt_outs_of(self, other: Iterable[tuple[str, bytes]], keys: dict[str, bytes]) -> int:
        """Take over the opt-outs of another gallery; returns how many names are new."""
        for key_id, key in keys.items():
            self.add_opt_out_key(key_id, key)
        new = [key_id for key_id, tag in other if self.add_opt_out_tag(key_id, tag)]
        return sum(not key_id.startswith(FORGOTTEN_KEY) for key_id in new)

    def document(self, kind: str, id_: str) -> Document | None:
        """Return a document as this change left it, or None."""
        return self.documents.read(kind, id_)

    def put_document(self, document: Document) -> None:
        """Write a document, new (version 1) or changed (one more than the version stored).

        Raises:
            CompatibilityError: document_changed when another version is stored than the one before this.
            InputError: person_missing when it is of a person who does not exist; document_invalid, document_too_large.
        """
        if document.person_id is not None and not self.holds(document.person_id):
            raise InputError(
                "person_missing",
                f"The {document.kind} {document.id} belongs to a person who is not enrolled; nothing was stored.",
            )
        self.audit.changes(document.kind)
        self.documents.put(document)

    def delete_document(self, kind: str, id_: str, *, erase: bool = False) -> bool:
        """Delete a document; returns whether there was one.

        Args:
            erase: prove after the commit that its bytes are gone.
        """
        self.audit.changes(kind)
        return self.documents.delete(kind, id_, erase=erase)

    def record(self, event: Event) -> None:
        """Write an event into the audit log, in this transaction; nothing where acts are not written down."""
        self.audit.record(event)

    def take_down(self, gathered: Sequence[Waiting]) -> None:
        """Write events that were gathered before this change (`Store.gathering`), in this transaction."""
        self.audit.take_down(gathered)

    def count(self, counter: str, window_s: float, limit: int, at: datetime) -> Counted:
        """Count one more in the window of `window_s` seconds that runs at `at`; see `voxid.gallery.counters`."""
        return self.documents.count(counter, window_s, limit, at)

    def tombstones(self) -> Tombstones:
        """Return what this change erased and whom it refused."""
        given = {tag: self.documents.number for tag, present in self._opt_outs.items() if present}
        keys = {**self._roster.opt_out_keys, **self._opt_out_keys}
        return Tombstones(dict(self.documents.buried), given, {key_id: keys[key_id] for key_id, _ in given})

    def write(self) -> State:
        """Write the next state into the transaction and return it; the same state when nothing changed."""
        self._flush()
        if self.forgets_index:
            self.documents.erase_all(INDEX_KEY)
        state = self._roster.state
        documents = self.documents
        people_changed = bool(self._entries or self._opt_out_keys or self._opt_outs or self.unknown.changed)
        generation = state.generation + people_changed
        self.traces += self.audit.write(generation, self._gone(), people_changed=people_changed)
        if not people_changed and not documents.changed:
            return state
        following = State(
            generation=generation,
            n_elements=state.n_elements + self._count_delta,
            erasure_unfinished=bool(self.traces) or state.erasure_unfinished,
            total=(state.total + self._sum_delta) % (1 << 256),
            documents=state.documents.changed(documents.count_delta, documents.sum_delta, documents.number)
            if documents.changed
            else state.documents,
            audited=state.audited,
        )
        following.write(self._connection, self.keyring)
        return following

    def apply_to(self, roster: Roster, state: State) -> None:
        """Bring the list in memory to the committed state."""
        for tag, id_ in self._ids.items():
            if id_ is None:
                roster.ids.pop(tag, None)
            else:
                roster.ids[tag] = id_
        for person_id, entry in self._entries.items():
            if entry is None:
                roster.entries.pop(person_id, None)
            else:
                roster.entries[person_id] = entry
        self.unknown.apply_to(roster)
        roster.opt_out_keys.update(self._opt_out_keys)
        for opt_out, present in self._opt_outs.items():
            (roster.opt_outs.add if present else roster.opt_outs.discard)(opt_out)
        roster.state = replace(state, erasure_unfinished=False) if self.traces else state

    def _insert(self, rows: PersonRows) -> None:
        self._waiting.append(rows)
        element = person_element(self.keyring, TENANT, rows.id, rows.name_tag, rows.seal)
        self._entries[rows.id] = Entry(rows.name_tag, rows.seal, element)
        self._ids[rows.name_tag] = rows.id
        self._count(1, element)

    def _flush(self) -> None:
        """Write the people put so far: a statement per table, however many they are."""
        waiting, self._waiting = self._waiting, []
        insert_people(self._connection, waiting)

    def _traces(self, person_id: str) -> list[bytes]:
        rows = self._connection.execute(sa.select(people).where(people.c.id == person_id)).one_or_none()
        if rows is None:
            return []
        whole = PersonRows(*rows)
        prints = sa.select(voiceprints).where(voiceprints.c.person_id == person_id)
        whole.voiceprints = [(row.id, row.bundle_id, row.sealed) for row in self._connection.execute(prints)]
        history = sa.select(consents).where(consents.c.person_id == person_id)
        whole.consents = [(row.version, row.sealed) for row in self._connection.execute(history)]
        return whole.traces()

    def _gone(self) -> list[str]:
        """The people, known and unknown, whom this change leaves without a row."""
        gone = [person_id for person_id, entry in self._entries.items() if entry is None]
        if self.unknown.changed:
            gone += [id_ for id_ in self._roster.unknown if self.unknown.seal_of(id_) is None]
        return gone

    def _ever_held(self, id_: str) -> bool:
        """Whether somebody, known or unknown, was there when this change began or is now."""
        unknown = id_ in self._roster.unknown or self.unknown.seal_of(id_) is not None
        return unknown or id_ in self._roster.entries or self.holds(id_)

    def _entry(self, person_id: str) -> Entry | None:
        if person_id in self._entries:
            return self._entries[person_id]
        return self._roster.entries.get(person_id)

    def _name_tag(self, name: str) -> bytes:
        return self.keyring.name_tag(TENANT, lookup_form(name))

    def _count(self, sign: int, element: int) -> None:
        self._count_delta += sign
        self._sum_delta += sign * element
