"""The part of a store that reads people; `voxid.gallery.store.Store` is the whole.

One lock: threads share it, one at a time. What other processes changed is noticed by the generation.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import sqlalchemy as sa

from voxid.gallery.database import Database, damaged
from voxid.gallery.document_reading import DocumentReading
from voxid.gallery.keys import Keyring
from voxid.gallery.names import lookup_form
from voxid.gallery.records import PersonRecord
from voxid.gallery.roster import Roster, State
from voxid.gallery.rows import TENANT, Glimpse, PersonRows
from voxid.gallery.tables import consents, people, unknown_people, voiceprints
from voxid.gallery.unknown import UnknownRecord
from voxid.gallery.unknown_rows import UnknownRow

__all__ = ["PeopleReading"]

_READ_AT_ONCE: Final = 400  # people per query; SQLite allows 32,766 parameters

# Built once: composing a statement costs SQLAlchemy more time than SQLite takes to answer it.
_IDS: Final[sa.BindParameter[str]] = sa.bindparam("ids", expanding=True)
_PEOPLE: Final = sa.select(people).where(people.c.id.in_(_IDS))
_VOICEPRINTS: Final = sa.select(voiceprints).where(voiceprints.c.person_id.in_(_IDS))
_CONSENTS: Final = sa.select(consents).where(consents.c.person_id.in_(_IDS))


class PeopleReading(DocumentReading):
    """Everybody in a gallery, as of now or of one state.

    Raises:
        StoreError: store_damaged when the list of people or of documents is not what its tag guards.
    """

    def __init__(self, database: Database, keyring: Keyring) -> None:
        super().__init__(database, keyring)
        self._lock = threading.RLock()
        with database.reading() as connection:
            self._roster = Roster.read(connection, keyring, self.path)
            self.check_documents(connection, self._roster.state.documents)

    def generation(self) -> int:
        """Return the number of the last change, by whichever process made it."""
        with self._lock, self._database.reading() as connection:
            return State.read(connection, self.keyring, self.path).generation

    def change_number(self) -> int:
        """Return the number tombstones are in the order of: that of the last change of documents or opt-outs."""
        with self.snapshot() as roster:
            return roster.state.documents.changes

    def person_ids(self) -> list[str]:
        """Return the ids of everybody."""
        with self.snapshot() as roster:
            return list(roster.entries)

    def find(self, name: str) -> str | None:
        """Return the id of the person of that name (in any spelling `lookup_form` joins), or None."""
        with self.snapshot() as roster:
            return roster.ids.get(self.keyring.name_tag(TENANT, lookup_form(name)))

    def opted_out(self, name: str) -> bool:
        """Return whether the name is under an opt-out."""
        with self.snapshot() as roster:
            return roster.opted_out(lookup_form(name))

    @contextmanager
    def snapshot(self) -> Iterator[Roster]:
        """Hand out the list of people, fresh, and hold everybody else of this process off meanwhile."""
        with self._lock:
            with self._database.reading() as connection:
                self._refresh(connection)
            yield self._roster

    def read(self, person_id: str) -> PersonRecord | None:
        """Return the person, or None when there is no such id.

        Raises:
            StoreError: store_damaged, naming what of whom.
        """
        with self._lock, self._database.reading() as connection:
            self._refresh(connection)
            if person_id not in self._roster.entries:
                return None
            return self._rows(connection, [person_id])[0].opened(self.keyring, self.path)

    def read_many(self, person_ids: Iterable[str]) -> Iterator[PersonRecord]:
        """Return those of the people who exist, one after another, all from one state.

        Raises:
            StoreError: store_damaged, naming what of whom.
        """
        for rows in self._rows_of_many(person_ids):
            yield rows.opened(self.keyring, self.path)

    def glimpse_many(
        self, person_ids: Iterable[str], bundle_id: str, *, speech: bool = False
    ) -> Iterator[Glimpse]:
        """Return what searching needs of those who exist, as far as one bundle can compare them.

        Args:
            speech: also the quality of the speech behind their references.

        Raises:
            StoreError: store_damaged, naming what of whom.
        """
        for rows in self._rows_of_many(person_ids):
            yield rows.glimpsed(self.keyring, self.path, bundle_id, speech=speech)

    def read_unknown(self) -> list[UnknownRecord]:
        """Return every unknown person, those who opted out among them, all from one state.

        Raises:
            StoreError: store_damaged, naming what of whom.
        """
        with self._lock, self._database.reading() as connection:
            self._refresh(connection)
            rows = {row[0]: UnknownRow(*row) for row in connection.execute(sa.select(unknown_people))}
            for id_, seal in self._roster.unknown.items():
                if id_ not in rows or rows[id_].seal != seal:
                    raise damaged(self.path, f"the row of {id_} is missing or was replaced")
            return [rows[id_].opened(self.keyring, self.path) for id_ in sorted(self._roster.unknown)]

    def _refresh(self, connection: sa.Connection) -> None:
        state = State.read(connection, self.keyring, self.path)
        if state.generation != self._roster.state.generation:
            self._roster = Roster.read(connection, self.keyring, self.path, known=self._roster)
        else:
            state.check_follows(self._roster.state, self.path)
            self._roster.state = state

    def _rows_of_many(self, person_ids: Iterable[str]) -> Iterator[PersonRows]:
        with self._lock, self._database.reading() as connection:
            self._refresh(connection)
            wanted = [id_ for id_ in person_ids if id_ in self._roster.entries]
            for at in range(0, len(wanted), _READ_AT_ONCE):
                yield from self._rows(connection, wanted[at : at + _READ_AT_ONCE])

    def _rows(self, connection: sa.Connection, person_ids: Sequence[str]) -> list[PersonRows]:
        """Return the rows of people in the list, as the list has them."""
        ids = {"ids": person_ids}
        # Fetched whole: row by row, SQLAlchemy costs as much again as SQLite.
        found = {row[0]: PersonRows(*row) for row in connection.execute(_PEOPLE, ids).all()}
        for person_id in person_ids:
            rows = found.get(person_id)
            if rows is None or rows.seal != self._roster.entries[person_id].seal:
                raise damaged(
                    self.path, f"the row of the person with id {person_id} is missing or was replaced"
                )
        for id_, person_id, bundle_id, sealed in connection.execute(_VOICEPRINTS, ids).all():
            self._of(found, person_id).voiceprints.append((id_, bundle_id, sealed))
        for person_id, version, sealed in connection.execute(_CONSENTS, ids).all():
            self._of(found, person_id).consents.append((version, sealed))
        return [found[person_id] for person_id in person_ids]

    def _of(self, found: Mapping[str, PersonRows], person_id: str) -> PersonRows:
        if person_id not in found:
            raise damaged(self.path, f"an index of its tables leads to rows of another person ({person_id})")
        return found[person_id]
