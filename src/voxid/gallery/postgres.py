"""A gallery as one schema of a PostgreSQL database: a tenant of a server.

What the two engines promise alike, and how it is held here:
- A reader sees one state from its first read to its end: REPEATABLE READ, READ ONLY.
- A writer holds the tenant's only write lock before it looks: a transaction-level advisory lock, waited for ten
  seconds at most; READ COMMITTED after it, so that everything read is the newest.
- An acknowledged commit survives a power cut: synchronous_commit=on, as long as the server runs with fsync=on.

Erasure: the rows and the wrapped keys are deleted, then every table that holds something of people is rewritten
(VACUUM FULL), and PostgreSQL must say of each that no dead row was carried over; an old snapshot that still needs
one is an error. Not covered, because no client can reach them: the server's write-ahead log until its segments are
written over, archived log, base backups, replicas with their own log, and freed blocks of the disk below the server.
What lies there is sealed under keys that are gone from the tables, but lie wrapped in the same log: it opens for
somebody who has that log and the master key.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from voxid.errors import CompatibilityError, ConfigError, InputError, StoreError
from voxid.gallery.database import damaged
from voxid.gallery.tables import meta, schema

__all__ = ["PostgresAddress", "PostgresDatabase", "is_postgres"]

_LOCK_TIMEOUT_MS: Final = 10_000
_PURGE_TIMEOUT_S: Final = 10.0
_CONNECT_TIMEOUT_S: Final = 10
_LOCK_SPACE: Final = 0x766F7864  # "voxd": the first half of our advisory locks, the second is the schema's
_SCHEMA_PREFIX: Final = "voxid_"
_TENANT: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_SCHEMES: Final = ("postgresql", "postgres")
_LOCK_NOT_AVAILABLE: Final = "55P03"
_DEAD_ROWS: Final = re.compile(r"\d+")
# Tables of one row or of nothing about people are not rewritten.
_NOTHING_OF_PEOPLE: Final = frozenset({"meta", "counter", "opt_out", "opt_out_key", "audit_entry"})


def is_postgres(location: object) -> bool:
    """Return whether a location is the address of a PostgreSQL database.

    Example:
        >>> is_postgres("postgresql://db/voices?tenant=acme"), is_postgres("people.voxid")
        (True, False)
    """
    return str(location).split("://")[0] in _SCHEMES and "://" in str(location)


@dataclass(frozen=True)
class PostgresAddress:
    """Database and tenant; its repr and name never show a password.

    Args:
        url: for libpq, without the tenant; may hold a password.
        tenant: lower-case letters, digits, hyphens; its schema is ``voxid_`` and this, hyphens as underscores.
    """

    url: str = field(repr=False)
    tenant: str

    @classmethod
    def parse(cls, text: str) -> PostgresAddress:
        """Return the address ``postgresql://[user[:password]@]host[:port]/database?tenant=NAME`` stands for.

        Other parameters (``sslmode`` and the like) are handed to libpq. Without a tenant it is "default".

        Raises:
            InputError: tenant_invalid, store_address_invalid.
        """
        parts = urlsplit(text)
        options = parse_qsl(parts.query, keep_blank_values=True)
        tenant = dict(options).get("tenant", "default")
        if not _TENANT.fullmatch(tenant):
            raise InputError(
                "tenant_invalid",
                f"The tenant {tenant[:60]!r} is no name of one; expected up to 32 lower-case letters, digits and "
                "hyphens.",
            )
        if not parts.path.strip("/"):
            raise InputError(
                "store_address_invalid",
                f"The address of the gallery names no database; expected "
                f"postgresql://user@host/database?tenant={tenant}.",
            )
        rest = urlencode([(key, value) for key, value in options if key != "tenant"])
        return cls(urlunsplit(("postgresql", parts.netloc, parts.path, rest, "")), tenant)

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"the tenant {self.tenant}"

    @property
    def schema(self) -> str:
        """The schema its tables lie in."""
        return _SCHEMA_PREFIX + self.tenant.replace("-", "_")

    def siblings(self) -> list[str]:
        """Return the tenants of this database, sorted.

        Raises:
            StoreError: store_unreachable.
        """
        engine = _engine(self)
        try:
            with _translated(self), engine.connect() as connection:
                schemas = sa.inspect(connection).get_schema_names()
        finally:
            engine.dispose()
        own = [name.removeprefix(_SCHEMA_PREFIX) for name in schemas if name.startswith(_SCHEMA_PREFIX)]
        return sorted(name.replace("_", "-") for name in own)

    def exists(self) -> bool:
        """Return whether there is a gallery.

        Raises:
            StoreError: store_unreachable.
        """
        engine = _engine(self)
        try:
            with _translated(self), engine.connect() as connection:
                return sa.inspect(connection).has_table("meta", schema=self.schema)
        finally:
            engine.dispose()

    def __str__(self) -> str:
        """Return the address without user and password."""
        host = urlsplit(self.url)
        at = host.hostname or ""
        return f"postgresql://{at}{host.path}?tenant={self.tenant}"


class PostgresDatabase:
    """One schema, opened; transactions are handed out as SQLAlchemy connections.

    Raises:
        InputError: store_missing. StoreError: store_unreachable, store_damaged.
        ConfigError: postgres_extra_missing.
    """

    def __init__(self, address: PostgresAddress) -> None:
        self.path = address
        self._engine = _engine(address)
        try:
            with self.reading() as connection:
                tables = set(sa.inspect(connection).get_table_names(schema=address.schema))
        except BaseException:
            self.close()
            raise
        self.missing = set(schema.tables) - tables
        if "meta" in self.missing:
            self.close()
            if tables:
                raise damaged(address, "the table meta is missing")
            raise InputError(
                "store_missing", f"There is no gallery at {address}; enroll somebody to create one."
            )

    @classmethod
    def create(cls, address: PostgresAddress, rows: Sequence[tuple[str, bytes]]) -> None:
        """Make the schema with the meta `rows`; whole or not at all. Where another process was first, its stands."""
        engine = _engine(address)
        try:
            with _translated(address), engine.connect() as connection, connection.begin():
                _lock(connection, address)
                if sa.inspect(connection).has_table("meta", schema=address.schema):
                    return
                connection.execute(sa.schema.CreateSchema(address.schema, if_not_exists=True))
                schema.create_all(connection)
                connection.execute(meta.insert(), [{"key": key, "value": value} for key, value in rows])
        finally:
            engine.dispose()

    def add_tables(self, connection: sa.Connection, names: Sequence[str]) -> None:
        """Make those of the named tables that are not there, as part of the transaction."""
        schema.create_all(connection, tables=[schema.tables[name] for name in names])

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Hand out a connection that sees one state of the gallery from its first read to its end."""
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with (
            _translated(self.path),
            self._engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Hand out the only writing connection; committed at the end, rolled back on any exception."""
        with _translated(self.path), self._engine.connect() as connection, connection.begin():
            _lock(connection, self.path)
            yield connection

    def purge(self, traces: Sequence[bytes], *, rewrite: bool = False) -> None:
        """Rewrite every table that holds something of people, without the rows that were deleted.

        Args:
            traces: bytes cannot be read through the server, so all is rewritten, whatever they are.

        Raises:
            StoreError: erase_incomplete when a snapshot elsewhere still needs a deleted row.
        """
        deadline = time.monotonic() + _PURGE_TIMEOUT_S
        waiting = [name for name in schema.tables if name not in _NOTHING_OF_PEOPLE]
        while waiting:
            waiting = [name for name in waiting if self._carried_over(name)]
            if waiting and time.monotonic() > deadline:
                raise self._incomplete()
            time.sleep(0.05 if waiting else 0)

    def make_room(self) -> None:
        """Do nothing: the server's disk is its administrator's."""

    def keep_room(self) -> None:
        """Do nothing."""

    def integrity_problems(self) -> list[str]:
        """Return nothing: PostgreSQL's own check, pg_amcheck, is the administrator's to run."""
        return []

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _carried_over(self, table: str) -> int:
        """Rewrite one table; returns how many dead rows went along because a snapshot needs them."""
        notices: list[str] = []
        with _translated(self.path), self._engine.connect() as pooled:
            connection = pooled.execution_options(isolation_level="AUTOCOMMIT")
            raw: Any = connection.connection.driver_connection

            def hear(notice: Any) -> None:
                notices.append(notice.message_detail or "")

            raw.add_notice_handler(hear)
            try:
                connection.exec_driver_sql(f'VACUUM (FULL, VERBOSE) "{self.path.schema}"."{table}"')
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
                    return 1  # others read it all the time: to be tried again
                raise
            finally:
                raw.remove_notice_handler(hear)
        # "0 dead row versions cannot be removed yet": the number stands first in every language of the server.
        numbers = [found for text in notices if (found := _DEAD_ROWS.search(text))]
        if not numbers:
            raise self._incomplete()
        return max(int(found[0]) for found in numbers)

    def _incomplete(self) -> StoreError:
        return StoreError(
            "erase_incomplete",
            f"The rows are deleted from {self.path.name}, but the server still needs their old copy for another "
            "transaction, a replica or a replication slot, so the tables could not be rewritten without them; end "
            "that one and open the gallery once more to finish.",
        )


def _engine(address: PostgresAddress) -> sa.Engine:
    # An administrator's default may be weaker: durability is asked for by every connection of ours.
    settings = f"-csearch_path={address.schema} -csynchronous_commit=on -clock_timeout={_LOCK_TIMEOUT_MS}"
    try:
        url = sa.make_url(address.url).set(drivername="postgresql+psycopg")
        return sa.create_engine(
            url,
            connect_args={
                "options": settings,
                "connect_timeout": _CONNECT_TIMEOUT_S,
                "application_name": "voxid",
            },
            poolclass=QueuePool,
            pool_size=8,
            max_overflow=-1,
            pool_pre_ping=True,
            # Messages of errors go into logs; parameters are people's.
            hide_parameters=True,
        )
    except ModuleNotFoundError as error:
        raise ConfigError(
            "postgres_extra_missing",
            "A gallery in PostgreSQL needs psycopg; run: pip install 'voxid[postgres]'.",
        ) from error
    except (SQLAlchemyError, ValueError) as error:
        raise InputError(
            "store_address_invalid",
            "The address of the gallery cannot be read; expected "
            "postgresql://user@host/database?tenant=NAME.",
        ) from error


def _lock(connection: sa.Connection, address: PostgresAddress) -> None:
    own = zlib.crc32(address.schema.encode()) - (1 << 31)
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_SPACE, own)))


@contextmanager
def _translated(address: PostgresAddress) -> Iterator[None]:
    """Turn what PostgreSQL and its driver raise into the error tree."""
    try:
        yield
    except DBAPIError as error:
        raise _translation(address, error) from error
    except SQLAlchemyError as error:
        raise damaged(address, f"its tables cannot be read ({type(error).__name__})") from error


def _translation(address: PostgresAddress, error: DBAPIError) -> Exception:
    state = str(getattr(error.orig, "sqlstate", None) or "")
    constraint = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
    if constraint == "voiceprint_pkey":
        return InputError(
            "voiceprint_exists",
            "One of the voiceprints is already stored under another person, who was probably merged; nothing "
            "was changed: delete that person first.",
        )
    if state in (_LOCK_NOT_AVAILABLE, "40P01", "53300"):  # lock not available, deadlock, too many connections
        return StoreError(
            "store_busy",
            f"{address.name} is being written by others for more than {_LOCK_TIMEOUT_MS // 1000} s; try again.",
        )
    if state in ("25006", "42501"):  # read-only transaction or server, insufficient privilege
        return StoreError(
            "store_readonly",
            f"{address.name} cannot be written; nothing was changed: give the role the right to, on a server that "
            "takes writes.",
        )
    if state in ("53100", "53200"):  # disk full, out of memory
        return StoreError(
            "store_full", f"The server of {address.name} is out of space; nothing was changed: free some."
        )
    if state == "3D000":
        return InputError("store_missing", f"There is no such database: {address}; create it first.")
    if not state or state.startswith(("08", "57", "28")):
        return StoreError(
            "store_unreachable",
            f"The server of {address} does not answer or refused the connection ({state or 'no connection'}); "
            "whether a change then in progress was made can be seen when it is back.",
        )
    if state in ("0A000", "42710"):
        return CompatibilityError(
            "store_server_unsupported", f"The server of {address} lacks what is needed (SQLSTATE {state})."
        )
    return damaged(address, f"PostgreSQL reports SQLSTATE {state}")
