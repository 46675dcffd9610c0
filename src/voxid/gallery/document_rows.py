"""A document's sealed row, and the keys documents are sealed under.

A person's documents are sealed under a key of that person's own, made with the first of them. It is not the key of
the person's voiceprints, which is another after every change of the person; it is destroyed with the person.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from voxid.errors import InputError
from voxid.gallery.database import Named, damaged
from voxid.gallery.documents import MAX_DOCUMENT_BYTES, Document
from voxid.gallery.keys import Keyring, bound_to, derived_key, fingerprint, open_sealed, same, seal
from voxid.gallery.rows import TENANT
from voxid.gallery.tables import documents, person_keys

__all__ = [
    "ONE_DOCUMENT",
    "WRAPPED_KEY",
    "DocumentKeys",
    "DocumentRow",
    "document_elements",
    "document_key",
    "person_key",
    "person_key_element",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS: Final = [column.name for column in documents.columns]

# Built once: composing a statement costs SQLAlchemy more time than SQLite takes to answer it.
ONE_DOCUMENT: Final = sa.select(documents).where(
    documents.c.kind == sa.bindparam("of_kind"), documents.c.id == sa.bindparam("of_id")
)
"""A document by ``of_kind`` and ``of_id``; WRAPPED_KEY: a person's key for documents, by ``of_person``."""
WRAPPED_KEY: Final = sa.select(person_keys.c.wrapped_key).where(
    person_keys.c.person_id == sa.bindparam("of_person")
)


def person_key(connection: sa.Connection, keyring: Keyring, person_id: str, where: Named) -> bytes | None:
    """Return the key (32 bytes) of what is kept beside a person's voiceprints; None when nothing is.

    Raises:
        StoreError: store_damaged when the stored key does not open.
    """
    wrapped = connection.execute(WRAPPED_KEY, {"of_person": person_id}).scalar()
    if wrapped is None:
        return None
    key = keyring.unwrap(wrapped, bound_to("person-key", TENANT, person_id))
    if key is None:
        raise damaged(where, f"the key of the documents of the person with id {person_id} does not open")
    return key


def document_key(key: bytes) -> AESGCM:
    """Return what a person's documents are sealed under, of the person's `person_key`."""
    return AESGCM(derived_key(key, b"documents"))


class DocumentKeys:
    """What documents are sealed under, each person's key unwrapped once."""

    def __init__(self, connection: sa.Connection, keyring: Keyring, where: Named) -> None:
        self._connection = connection
        self._keyring = keyring
        self._where = where
        self._known: dict[str, AESGCM] = {}

    def of(self, person_id: str) -> AESGCM | None:
        """Return the key for documents of a person, or of nobody (""); None when the person has none."""
        if not person_id:
            return self._keyring.documents
        if person_id not in self._known:
            key = person_key(self._connection, self._keyring, person_id, self._where)
            if key is None:
                return None
            self._known[person_id] = document_key(key)
        return self._known[person_id]


@dataclass(frozen=True)
class DocumentRow:
    """The row as it lies in the table, in the order of its columns.

    Args:
        person_id: "" for nobody's.
        due_at_us: microseconds since 1970, or None.
        seal: (32 bytes) stands for the row in the guarded sum.
    """

    kind: str
    id: str
    version: int
    state: str
    person_id: str
    due_at_us: int | None
    sealed: bytes
    seal: bytes

    @classmethod
    def of(cls, document: Document, aead: AESGCM, keyring: Keyring) -> DocumentRow:
        """Return the row, sealed.

        Raises:
            InputError: document_invalid when the body is no JSON; document_too_large.
        """
        plain = _body_bytes(document)
        due_at_us = None
        if document.due_at is not None:
            due_at_us = (document.due_at - _EPOCH) // timedelta(microseconds=1)
        row = cls(
            document.kind,
            document.id,
            document.version,
            document.state,
            document.person_id or "",
            due_at_us,
            b"",
            b"",
        )
        sealed = seal(aead, plain, row._place())
        return replace(row, sealed=sealed, seal=row._tag(keyring, sealed))

    def opened(self, keys: DocumentKeys, keyring: Keyring, where: Named) -> Document:
        """Return the document.

        Raises:
            StoreError: store_damaged.
        """
        aead = keys.of(self.person_id)
        plain = None
        if aead is not None and same(self.seal, self._tag(keyring, self.sealed)):
            plain = open_sealed(aead, self.sealed, self._place())
        if plain is None:
            raise damaged(where, f"the document {self.id} of kind {self.kind} does not open")
        due_at = None if self.due_at_us is None else _EPOCH + timedelta(microseconds=self.due_at_us)
        return Document(
            self.kind, self.id, json.loads(plain), self.state, self.person_id or None, due_at, self.version
        )

    def values(self) -> dict[str, object]:
        """Return column name -> value."""
        return {name: getattr(self, name) for name in _COLUMNS}

    @property
    def element(self) -> int:
        """What the row contributes to the guarded sum."""
        return int.from_bytes(self.seal, "big")

    def _place(self) -> bytes:
        fields = (str(self.version), self.state, self.person_id, str(self.due_at_us))
        return bound_to("document", TENANT, self.kind, self.id, *fields)

    def _tag(self, keyring: Keyring, sealed: bytes) -> bytes:
        return keyring.integrity_tag(b"document", self._place(), fingerprint(sealed))


def _body_bytes(document: Document) -> bytes:
    try:
        plain = json.dumps(
            dict(document.body), separators=(",", ":"), sort_keys=True, allow_nan=False
        ).encode()
    except (TypeError, ValueError) as error:
        raise InputError(
            "document_invalid",
            f"The body of the {document.kind} {document.id} is no JSON ({error}); expected text, finite numbers, "
            "true, false, null, lists and objects with text for keys.",
        ) from error
    if len(plain) > MAX_DOCUMENT_BYTES:
        raise InputError(
            "document_too_large",
            f"The body of the {document.kind} {document.id} has {len(plain)} bytes; at most {MAX_DOCUMENT_BYTES} "
            "are kept: divide it.",
        )
    return plain


def person_key_element(keyring: Keyring, person_id: str, wrapped: bytes) -> int:
    """Return what a person's key contributes to the guarded sum."""
    return int.from_bytes(
        keyring.integrity_tag(b"person-key", TENANT.encode(), person_id.encode(), wrapped), "big"
    )


def document_elements(connection: sa.Connection, keyring: Keyring) -> Iterator[int]:
    """Return what each document and each person's key contributes to the guarded sum, as stored now."""
    for (stored,) in connection.execute(sa.select(documents.c.seal)):
        yield int.from_bytes(stored, "big")
    for person_id, wrapped in connection.execute(
        sa.select(person_keys.c.person_id, person_keys.c.wrapped_key)
    ):
        yield person_key_element(keyring, person_id, wrapped)
