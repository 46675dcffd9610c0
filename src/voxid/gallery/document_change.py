"""What one change does to documents and counters; a part of `voxid.gallery.change.Change`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from voxid.errors import CompatibilityError
from voxid.gallery import counters
from voxid.gallery.database import Named
from voxid.gallery.document_rows import (
    ONE_DOCUMENT,
    WRAPPED_KEY,
    DocumentKeys,
    DocumentRow,
    document_key,
    person_key,
    person_key_element,
)
from voxid.gallery.documents import REVOKED, Counted, Document
from voxid.gallery.keys import Keyring, bound_to, new_data_key
from voxid.gallery.rows import TENANT
from voxid.gallery.tables import documents, person_keys
from voxid.gallery.tombstones import TOMBSTONE, tombstone_of

__all__ = ["DocumentChange"]

# Each trace is looked for in the whole file; the keys, which are always looked for, make the rest unreadable.
_MOST_TRACED: Final = 100


class DocumentChange:
    """Documents put and deleted, counters counted.

    Attributes:
        count_delta, sum_delta: what this change adds to the guarded number and sum.
        number: of this change, among those of documents.
        buried: tombstones set, hash -> number of the change that erased.
    """

    def __init__(
        self, connection: sa.Connection, keyring: Keyring, where: Named, traces: list[bytes], number: int
    ) -> None:
        self.count_delta = 0
        self.sum_delta = 0
        self.changed = False
        self.number = number
        self.buried: dict[str, int] = {}
        self._connection = connection
        self._keyring = keyring
        self._where = where
        self._traces = traces
        self._keys = DocumentKeys(connection, keyring, where)

    def read(self, kind: str, id_: str) -> Document | None:
        """Return a document as this change sees it."""
        row = self._row(kind, id_)
        return None if row is None else row.opened(self._keys, self._keyring, self._where)

    def put(self, document: Document) -> None:
        """Write a document; a person's gets that person's key, made with the first.

        Raises:
            CompatibilityError: document_changed when the version before it is not the one stored.
            InputError: document_invalid, document_too_large.
        """
        former = self._row(document.kind, document.id)
        stored = 0 if former is None else former.version
        if stored != document.version - 1:
            raise CompatibilityError(
                "document_changed",
                f"Version {document.version} of the {document.kind} {document.id} was given, and version {stored} is "
                "stored: it was changed meanwhile; read it again and repeat the change.",
            )
        if former is not None:
            self._delete(former)
        self._insert(document)
        if document.state == REVOKED:
            self.bury(document.kind, document.id)

    def bury(self, kind: str, id_: str) -> None:
        """Leave a tombstone: nothing of that id comes back from copies of the gallery made before this change."""
        self.set_tombstone(tombstone_of(self._keyring, kind, id_), self.number)

    def set_tombstone(self, tag: str, number: int) -> None:
        """Leave a tombstone that a change of that number had left."""
        former = self._row(TOMBSTONE, tag)
        version = 1 if former is None else former.version + 1
        self.put(Document(TOMBSTONE, tag, {"change": number}, version=version))
        self.buried[tag] = number
        self.number = max(self.number, number)

    def catch_up(self, number: int) -> None:
        """Count this change as one after that number: its tombstones are newer than those known from elsewhere."""
        self.number = max(self.number, number + 1)
        self.changed = True

    def take_over(self, document: Document) -> None:
        """Write a document as it was in a copy, whatever is here."""
        former = self._row(document.kind, document.id)
        if former is not None:
            self._delete(former)
        self._insert(document)

    def delete(self, kind: str, id_: str, *, erase: bool = False) -> bool:
        """Delete a document; returns whether there was one.

        Args:
            erase: prove after the commit that its bytes are gone.
        """
        row = self._row(kind, id_)
        if row is None:
            return False
        self._delete(row)
        if erase:
            self._traces.extend([row.sealed[:16], row.sealed[-16:]])
            self.bury(kind, id_)
        return True

    def erase_all(self, kind: str) -> None:
        """Delete all documents of a kind, and prove after the commit that their bytes are gone."""
        for row in self._connection.execute(sa.select(documents).where(documents.c.kind == kind)).all():
            found = DocumentRow(*row)
            self._delete(found)
            self._traces.extend([found.sealed[:16], found.sealed[-16:]])

    def remove_of(self, person_id: str, *, erase: bool) -> None:
        """Destroy a person's key and documents."""
        rows = self._rows_of(person_id)
        for row in rows:
            self._delete(row)
        wrapped = self._connection.execute(WRAPPED_KEY, {"of_person": person_id}).scalar()
        if wrapped is not None:
            self._connection.execute(person_keys.delete().where(person_keys.c.person_id == person_id))
            self._count(-1, person_key_element(self._keyring, person_id, wrapped))
            self._keys = DocumentKeys(self._connection, self._keyring, self._where)
        if erase:
            blobs = [row.sealed for row in rows[:_MOST_TRACED]] + ([] if wrapped is None else [wrapped])
            pieces = [piece for blob in blobs for piece in (blob[:16], blob[-16:])]
            self._traces.extend(piece for piece in pieces if len(set(piece)) > 8)

    def hand_on(self, holder: str, heir: str) -> None:
        """Give all documents of one person to another, each one version on."""
        for row in self._rows_of(holder):
            document = row.opened(self._keys, self._keyring, self._where)
            self.put(replace(document, person_id=heir, version=document.version + 1))

    def person_key(self, person_id: str) -> bytes:
        """Return the key (32 bytes) of what is kept beside a person's voiceprints, made now if there is none."""
        key = person_key(self._connection, self._keyring, person_id, self._where)
        if key is None:
            key = new_data_key()
            wrapped = self._keyring.wrap(key, bound_to("person-key", TENANT, person_id))
            self._connection.execute(person_keys.insert().values(person_id=person_id, wrapped_key=wrapped))
            self._count(1, person_key_element(self._keyring, person_id, wrapped))
        return key

    def count(self, counter: str, window_s: float, limit: int, at: datetime) -> Counted:
        """Count one more of something; see `voxid.gallery.counters.count`."""
        return counters.count(self._connection, self._keyring, counter, window_s, limit, at)

    def forget_count(self, counter: str, window_s: float) -> None:
        """Begin a counter anew."""
        counters.forget_count(self._connection, self._keyring, counter, window_s)

    def _key_for(self, person_id: str | None) -> AESGCM:
        return self._keyring.documents if person_id is None else document_key(self.person_key(person_id))

    def _row(self, kind: str, id_: str) -> DocumentRow | None:
        row = self._connection.execute(ONE_DOCUMENT, {"of_kind": kind, "of_id": id_}).one_or_none()
        return None if row is None else DocumentRow(*row)

    def _rows_of(self, person_id: str) -> list[DocumentRow]:
        query = sa.select(documents).where(documents.c.person_id == person_id)
        return [DocumentRow(*row) for row in self._connection.execute(query)]

    def _insert(self, document: Document) -> None:
        row = DocumentRow.of(document, self._key_for(document.person_id), self._keyring)
        self._connection.execute(documents.insert().values(row.values()))
        self._count(1, row.element)

    def _delete(self, row: DocumentRow) -> None:
        place = (documents.c.kind == row.kind) & (documents.c.id == row.id)
        self._connection.execute(documents.delete().where(place))
        self._count(-1, row.element)

    def _count(self, sign: int, element: int) -> None:
        self.count_delta += sign
        self.sum_delta += sign * element
        self.changed = True
