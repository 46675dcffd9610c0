"""Documents: small sealed JSON records of any kind, some of them a person's; and counters that have a limit.

A document stands beside people in the gallery and changes in the same transactions: API keys, jobs, watchlists,
disputes, policies, receipts. Its kind, id, state, due date and the id of its person lie in the clear, to find it by;
its body does not.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from voxid.errors import InputError

__all__ = ["INDEX_KEY", "MAX_DOCUMENT_BYTES", "REVOKED", "Counted", "Document", "new_document_id"]

MAX_DOCUMENT_BYTES: Final = 8 << 20
"""Of a body as JSON; a timeline of ten hours takes a tenth of it."""

REVOKED: Final = "revoked"
"""A state: older copies of such a document do not come back by restoring a backup."""

INDEX_KEY: Final = "index_key"
"""The kind of the documents that hold keys of index files; an erasure deletes all of them."""

_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


@dataclass(frozen=True)
class Document:
    """A record of some kind.

    Args:
        kind: lower-case word, e.g. "api_key", "job", "watchlist".
        id: opaque, unique within the kind; letters, digits and ``. _ : -``, at most 128.
        body: JSON; sealed under the person's own key when there is a `person_id`, else under the gallery's.
        state: a lower-case word or "", in the clear; says nothing about people: "queued", "open".
        person_id: whose it is: erased together with that person, in the same transaction.
        due_at: in the clear; with time zone.
        version: of this writing: 1 for a new document, one more at each change.

    Raises:
        InputError: document_invalid.
    """

    kind: str
    id: str
    body: Mapping[str, Any] = field(repr=False)
    state: str = ""
    person_id: str | None = None
    due_at: datetime | None = None
    version: int = 1

    def __post_init__(self) -> None:
        if not _WORD.fullmatch(self.kind):
            raise _invalid(f"has the kind {self.kind[:60]!r}; expected a lower-case word such as 'watchlist'")
        if not _ID.fullmatch(self.id):
            raise _invalid(f"has the id {self.id[:60]!r}; expected up to 128 letters, digits and . _ : -")
        if self.state and not _WORD.fullmatch(self.state):
            raise _invalid(f"has the state {self.state[:60]!r}; expected a lower-case word such as 'open'")
        if self.due_at is not None and self.due_at.tzinfo is None:
            raise _invalid("is due at a time without time zone; expected one with it")
        if self.version < 1:
            raise _invalid(
                f"has the version {self.version}; expected 1 for a new one, then one more each time"
            )


@dataclass(frozen=True)
class Counted:
    """How often something happened in the window now running.

    Args:
        count: this time included; it stops one above the limit.
        limit: how many are meant to be allowed.
        resets_at: when the window ends, with time zone.
    """

    count: int
    limit: int
    resets_at: datetime

    @property
    def exceeded(self) -> bool:
        """Whether this was one too many."""
        return self.count > self.limit


def new_document_id() -> str:
    """Return a new id that sorts after those made before it: a uuid of version 7, milliseconds first.

    Source: RFC 9562, section 5.7.

    Example:
        >>> len(new_document_id())
        36
    """
    moment = time.time_ns() // 1_000_000
    number = moment << 80 | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | 0x7 << 76
    return str(UUID(int=number & ~(0b11 << 62) | 0b10 << 62))


def _invalid(what: str) -> InputError:
    return InputError("document_invalid", f"A document {what}.")
