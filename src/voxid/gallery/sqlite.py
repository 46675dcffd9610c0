"""The SQLite file of a gallery: tables, pragmas, transactions, and bytes that are really gone.

Pragmas and why: WAL (readers and one writer together, a commit is one append), synchronous=FULL (an
acknowledged commit survives a power cut), secure_delete (freed bytes are overwritten), foreign_keys,
cell_size_check (damaged pages are noticed), trusted_schema=OFF (a doctored schema runs no functions).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from voxid.errors import CompatibilityError, InputError, StoreError
from voxid.gallery.database import damaged
from voxid.gallery.keys import sync_folder
from voxid.gallery.tables import meta, schema

__all__ = ["RESERVE_SUFFIX", "SqliteDatabase"]

_BUSY_TIMEOUT_S: Final = 10.0
_PURGE_TIMEOUT_S: Final = 5.0
_MAGIC: Final = b"SQLite format 3\x00"
_APPLICATION_ID: Final = 0x766F7864  # "voxd", kept in the file header so that `file` and we know our own
_SCAN_BLOCK_BYTES: Final = 8 << 20
_RESERVE_BYTES: Final = 1 << 20  # some hundred pages: a person of 256 references and a hundred documents
RESERVE_SUFFIX: Final = ".reserve"


class SqliteDatabase:
    """One SQLite file, opened; transactions are handed out as SQLAlchemy connections.

    Args:
        path: an existing gallery file; `SqliteDatabase.create` makes one.

    Raises:
        InputError: store_missing. StoreError: store_damaged, store_unreadable.
        CompatibilityError: store_format_unknown for an SQLite file that is no gallery.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._check_header()
        self._engine = _engine(path)
        try:
            with self.reading() as connection:
                application = connection.exec_driver_sql("PRAGMA application_id").scalar()
                tables = set(sa.inspect(connection).get_table_names())
        except BaseException:
            self.close()
            raise
        self.missing = set(schema.tables) - tables
        if application != _APPLICATION_ID and "person" not in tables:
            self.close()
            raise CompatibilityError(
                "store_format_unknown",
                f"{path.name} is an SQLite database, but not a voxid gallery; give the path of a gallery.",
            )
        if "meta" in self.missing:
            self.close()
            raise damaged(path, "the table meta is missing")

    def add_tables(self, connection: sa.Connection, names: Sequence[str]) -> None:
        """Make those of the named tables that are not there, as part of the transaction."""
        schema.create_all(connection, tables=[schema.tables[name] for name in names])

    @classmethod
    def create(cls, path: Path, rows: Sequence[tuple[str, bytes]]) -> None:
        """Write a new gallery holding the meta `rows`; whole or not at all, and never over an existing file.

        Another process may be first: then its gallery stands and this one is dropped.

        Raises:
            InputError: store_unwritable when the folder is missing or cannot be written.
        """
        draft = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
        try:
            os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            engine = _engine(draft, journal_mode="DELETE")
            try:
                with _translated(path), engine.begin() as connection:
                    connection.exec_driver_sql(f"PRAGMA application_id = {_APPLICATION_ID}")
                    schema.create_all(connection)
                    connection.execute(meta.insert(), [{"key": key, "value": value} for key, value in rows])
            finally:
                engine.dispose()
            try:
                os.link(draft, path)
            except FileExistsError:
                return
            finally:
                draft.unlink()
            sync_folder(path.parent)
        except OSError as error:
            raise InputError(
                "store_unwritable",
                f"A gallery cannot be written at {path} ({error.strerror}); give a path in an existing folder "
                "you may write to.",
            ) from error

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Hand out a connection that sees one state of the gallery from its first read to its end."""
        with _translated(self.path), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Hand out the only writing connection; committed at the end, rolled back on any exception."""
        with (
            _translated(self.path),
            self._engine.connect().execution_options(voxid_begin="BEGIN IMMEDIATE") as connection,
            connection.begin(),
        ):
            yield connection

    def purge(self, traces: Sequence[bytes], *, rewrite: bool = False) -> None:
        """Leave no byte string of `traces` in the file or its write-ahead log, and prove it by reading both.

        Args:
            traces: heads and tails of deleted rows.
            rewrite: rewrite the whole file first; otherwise only when a trace is found.

        Raises:
            StoreError: erase_incomplete when a reader elsewhere holds on to the old state.
        """
        if rewrite:
            self._vacuum()
        self._checkpoint()
        if self._holds(traces):
            self._vacuum()
            self._checkpoint()
            if self._holds(traces):
                raise self._incomplete()

    def make_room(self) -> None:
        """Give up the file set aside beside the gallery, when the disk has less left than an erasure may take."""
        if self._free_bytes() < _RESERVE_BYTES:
            with suppress(OSError):
                self._reserve.unlink(missing_ok=True)

    def keep_room(self) -> None:
        """Set a file aside, unless the disk is nearly full: erasing takes space before it gives any."""
        if not self._reserve.exists() and self._free_bytes() > 4 * _RESERVE_BYTES:
            with suppress(OSError):
                descriptor = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                try:
                    os.posix_fallocate(descriptor, 0, _RESERVE_BYTES)
                finally:
                    os.close(descriptor)

    @property
    def _reserve(self) -> Path:
        return self.path.with_name(self.path.name + RESERVE_SUFFIX)

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self.path.parent).free

    def integrity_problems(self) -> list[str]:
        """Return what SQLite's own full check finds; empty when nothing."""
        with self.reading() as connection:
            lines = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(20)")]
        return [] if lines == ["ok"] else lines

    def close(self) -> None:
        """Close every connection; the last one out folds the write-ahead log into the file."""
        self._engine.dispose()

    def _check_header(self) -> None:
        try:
            with self.path.open("rb") as file:
                head = file.read(len(_MAGIC))
        except FileNotFoundError as error:
            raise InputError(
                "store_missing", f"There is no gallery at {self.path}; enroll somebody to create one."
            ) from error
        except OSError as error:
            raise StoreError(
                "store_unreadable", f"The gallery {self.path} cannot be read ({error.strerror})."
            ) from error
        if head != _MAGIC:
            found = "it has 0 bytes" if not head else "its first bytes are not those of a gallery"
            raise damaged(self.path, found)

    def _checkpoint(self) -> None:
        deadline = time.monotonic() + _PURGE_TIMEOUT_S
        while True:
            with self._bare() as connection:
                row = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
            if not row[0]:
                return
            if time.monotonic() > deadline:
                raise self._incomplete()
            time.sleep(0.02)

    def _vacuum(self) -> None:
        with self._bare() as connection:
            connection.exec_driver_sql("VACUUM")

    @contextmanager
    def _bare(self) -> Iterator[sa.Connection]:
        with (
            _translated(self.path),
            self._engine.connect().execution_options(voxid_begin="") as connection,
        ):
            yield connection

    def _holds(self, traces: Sequence[bytes]) -> bool:
        return any(
            _file_holds(file, traces) for file in (self.path, self.path.with_name(self.path.name + "-wal"))
        )

    def _incomplete(self) -> StoreError:
        return StoreError(
            "erase_incomplete",
            f"The rows are deleted from {self.path.name}, but another process still reads their old copy, so the "
            "bytes are not overwritten yet; close that process and open the gallery once more to finish.",
        )


def _engine(path: Path, journal_mode: str = "WAL") -> sa.Engine:
    address = f"file:{quote(str(path.absolute()))}?mode=rw"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            address, uri=True, timeout=_BUSY_TIMEOUT_S, check_same_thread=False, isolation_level=None
        )
        for pragma in (
            f"journal_mode={journal_mode}",
            "synchronous=FULL",
            "secure_delete=ON",
            "foreign_keys=ON",
            "cell_size_check=ON",
            "trusted_schema=OFF",
            "temp_store=MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.QueuePool, max_overflow=-1)

    # The driver would begin a transaction only before the first write; ours begin where they are opened, so
    # that several reads see one state and a writer holds the lock before it looks.
    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        statement = connection.get_execution_options().get("voxid_begin", "BEGIN")
        if statement:
            connection.exec_driver_sql(statement)

    return engine


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn what SQLite and its driver raise into the error tree."""
    try:
        yield
    except DBAPIError as error:
        if "UNIQUE constraint failed: voiceprint.id" in str(error.orig):
            raise InputError(
                "voiceprint_exists",
                "One of the voiceprints is already stored under another person, who was probably merged; nothing "
                "was changed: delete that person first.",
            ) from error
        raise _store_error(path, str(error.orig)) from error
    except sqlite3.Error as error:
        raise _store_error(path, str(error)) from error
    except UnicodeError as error:
        # Damaged text in the schema surfaces in the driver's own message, before SQLite can complain.
        raise damaged(path, "a text in it cannot be decoded") from error
    except SQLAlchemyError as error:
        raise damaged(path, f"its tables cannot be read ({error})") from error


def _store_error(path: Path, reason: str) -> StoreError:
    lowered = reason.lower()
    if "locked" in lowered or "busy" in lowered:
        return StoreError(
            "store_busy",
            f"{path.name} is being written by another process for more than {_BUSY_TIMEOUT_S:.0f} s; try again.",
        )
    if "readonly" in lowered or "read-only" in lowered:
        return StoreError(
            "store_readonly",
            f"{path.name} or its folder cannot be written; nothing was changed: allow writing.",
        )
    if "full" in lowered and "disk" in lowered:
        return StoreError(
            "store_full", f"The disk of {path.name} is full; nothing was changed: free some space."
        )
    if "unable to open" in lowered or "disk i/o" in lowered:
        return StoreError("store_unreadable", f"{path.name} cannot be read or written ({reason}).")
    return damaged(path, f"SQLite reports {reason!r}")


def _file_holds(file: Path, traces: Sequence[bytes]) -> bool:
    overlap = max((len(trace) for trace in traces), default=1) - 1
    kept = b""
    try:
        with file.open("rb") as stream:
            while block := stream.read(_SCAN_BLOCK_BYTES):
                window = kept + block
                if any(trace in window for trace in traces):
                    return True
                kept = window[-overlap:] if overlap else b""
    except FileNotFoundError:
        return False
    return False
