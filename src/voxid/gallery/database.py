"""What a database engine does for a store; `sqlite` and `postgres` are the two there are.

`store.py` speaks SQLAlchemy Core to the connections handed out here. Both engines promise the same: a reader sees
one state from its first read to its end; a writer holds the only write lock before it looks; a commit that was
acknowledged survives a power cut; what goes wrong comes out of the error tree.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import sqlalchemy as sa

from voxid.errors import StoreError

__all__ = ["Database", "Named", "damaged"]


class Named(Protocol):
    """Where a gallery is, as messages name it: the path of its file, or the address of its schema."""

    @property
    def name(self) -> str:
        """The last part of it."""


def damaged(where: Named, what: str) -> StoreError:
    """Return the error that names what of the gallery is damaged and what to do."""
    return StoreError(
        "store_damaged",
        f"{where.name} is damaged: {what}. Nothing was decided from it; restore the gallery from a backup.",
    )


class Database(Protocol):
    """One gallery's tables, opened."""

    @property
    def path(self) -> Named:
        """Where the gallery is."""

    @property
    def missing(self) -> Collection[str]:
        """The tables of the newest format that are not there."""

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """Hand out a connection that sees one state of the gallery from its first read to its end."""

    def writing(self) -> AbstractContextManager[sa.Connection]:
        """Hand out the only writing connection; committed at the end, rolled back on any exception."""

    def add_tables(self, connection: sa.Connection, names: Sequence[str]) -> None:
        """Make those of the named tables that are not there, as part of the transaction."""

    def purge(self, traces: Sequence[bytes], *, rewrite: bool = False) -> None:
        """Leave no byte string of `traces` in what the engine can reach, and prove it as far as it can be read.

        Raises:
            StoreError: erase_incomplete.
        """

    def make_room(self) -> None:
        """Give free what was set aside for it, where an erasure would find no space on the disk."""

    def keep_room(self) -> None:
        """Set some space aside again, so that erasing works on a full disk too."""

    def integrity_problems(self) -> list[str]:
        """Return what the engine's own full check finds; empty when nothing."""

    def close(self) -> None:
        """Close every connection."""
