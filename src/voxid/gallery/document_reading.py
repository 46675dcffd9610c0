"""The part of a store that reads documents and counters; `voxid.gallery.store.Store` is the whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from voxid.errors import StoreError
from voxid.gallery import counters
from voxid.gallery.database import Database, Named, damaged
from voxid.gallery.document_rows import ONE_DOCUMENT, DocumentKeys, DocumentRow, document_elements
from voxid.gallery.documents import Counted, Document
from voxid.gallery.keys import Keyring
from voxid.gallery.roster import DocumentState, State
from voxid.gallery.tables import documents
from voxid.gallery.tombstones import TOMBSTONE

__all__ = ["DocumentReading"]

# Built once: composing a statement costs SQLAlchemy more time than SQLite takes to answer it.
_VERSION: Final = sa.select(documents.c.version).where(
    documents.c.kind == sa.bindparam("of_kind"), documents.c.id == sa.bindparam("of_id")
)


class DocumentReading:
    """Documents of a gallery, as of now; no lock is taken for them."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self.path: Named = database.path
        self.keyring = keyring
        self._database = database

    def document(self, kind: str, id_: str) -> Document | None:
        """Return a document, or None when there is none of that kind and id.

        Raises:
            StoreError: store_damaged, naming it.
        """
        found = self._opened(ONE_DOCUMENT, {"of_kind": kind, "of_id": id_})
        return found[0] if found else None

    def document_version(self, kind: str, id_: str) -> int | None:
        """Return the version of a document, or None when there is none: much cheaper than the document.

        It is as stored and not authenticated: it tells that something changed, never what holds.
        """
        with self._database.reading() as connection:
            found = connection.execute(_VERSION, {"of_kind": kind, "of_id": id_}).scalar()
        return None if found is None else int(found)

    def documents(
        self,
        kind: str,
        *,
        state: str | None = None,
        person_id: str | None = None,
        due_before: datetime | None = None,
        after_id: str | None = None,
        limit: int = 100,
    ) -> list[Document]:
        """Return the documents of a kind that fit all that is asked, ordered by id.

        Args:
            after_id: only those whose id sorts after this one: the last of the page before.
            limit: how many at most.

        Raises:
            StoreError: store_damaged, naming the first that does not open.
        """
        fits = documents.c.kind == kind
        if state is not None:
            fits &= documents.c.state == state
        if person_id is not None:
            fits &= documents.c.person_id == person_id
        if due_before is not None:
            fits &= documents.c.due_at_us < round(due_before.timestamp() * 1e6)
        if after_id is not None:
            fits &= documents.c.id > after_id
        return self._documents(fits, limit)

    def counted(self, counter: str, window_s: float, limit: int, at: datetime) -> Counted:
        """Return how often something was counted in the window that runs at `at`, without counting."""
        with self._database.reading() as connection:
            return counters.counted(connection, self.keyring, counter, window_s, limit, at)

    def every_document(self) -> Iterator[Document]:
        """Return all documents there are, tombstones aside, one after another."""
        yield from self._documents(documents.c.kind != TOMBSTONE, None)

    def buried(self) -> dict[str, int]:
        """Return the tombstones: hash -> number of the change that erased."""
        kept = self._documents(documents.c.kind == TOMBSTONE, None)
        return {each.id: int(each.body["change"]) for each in kept}

    def n_buried(self) -> int:
        """Return how many tombstones there are."""
        query = sa.select(sa.func.count()).where(documents.c.kind == TOMBSTONE)
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def check_documents(self, connection: sa.Connection, guarded: DocumentState) -> None:
        """Refuse documents that are missing, added or from before.

        Args:
            connection: inside the state of the gallery that was read.
            guarded: what the state says of them.

        Raises:
            StoreError: store_damaged.
        """
        elements = list(document_elements(connection, self.keyring))
        if len(elements) != guarded.n_elements or sum(elements) % (1 << 256) != guarded.total:
            raise damaged(self.path, "its list of documents does not match its integrity tag")

    def _documents(self, fits: sa.ColumnElement[bool], limit: int | None) -> list[Document]:
        return self._opened(sa.select(documents).where(fits).order_by(documents.c.id).limit(limit), {})

    def _opened(self, query: sa.Select[Any], values: Mapping[str, str]) -> list[Document]:
        with self._database.reading() as connection:
            rows = [DocumentRow(*row) for row in connection.execute(query, values)]
            keys = DocumentKeys(connection, self.keyring, self.path)
            try:
                return [row.opened(keys, self.keyring, self.path) for row in rows]
            except StoreError:
                State.read(
                    connection, self.keyring, self.path
                )  # says so when the key was exchanged meanwhile
                raise
