"""Counters with a limit, in fixed windows: for rate limits and lockouts that every process at the gallery shares.

The name of a counter is kept as a keyed hash. Counters are not part of the guarded sum: somebody who can write the
file, and has no key, could set them back, and nothing else.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa

from voxid.errors import InputError
from voxid.gallery.documents import Counted
from voxid.gallery.keys import Keyring
from voxid.gallery.tables import counters

__all__ = ["count", "counted", "forget_count"]

_US: Final = 1_000_000
_MOST_WINDOW_S: Final = 366 * 86_400


def count(
    connection: sa.Connection, keyring: Keyring, counter: str, window_s: float, limit: int, at: datetime
) -> Counted:
    """Count one more in the window that runs at `at`, and return how many there are now.

    One above the limit nothing more is written, so that a flood costs no writing.

    Args:
        counter: any text; two windows of one name are two counters.
        window_s: length of a window, which begins at a multiple of it since 1970.

    Raises:
        InputError: counter_invalid.
    """
    tag, ends_at_us = _window(keyring, counter, window_s, limit, at)
    now_at = _read(connection, tag, ends_at_us)
    if now_at == 0:
        # A new window: what has run out goes, of this counter and of all others.
        connection.execute(
            counters.delete().where((counters.c.ends_at_us <= _us(at)) | (counters.c.tag == tag))
        )
        connection.execute(counters.insert().values(tag=tag, ends_at_us=ends_at_us, count=1))
    elif now_at <= limit:
        connection.execute(counters.update().where(counters.c.tag == tag).values(count=now_at + 1))
    return Counted(min(now_at, limit) + 1, limit, datetime.fromtimestamp(ends_at_us / _US, UTC))


def counted(
    connection: sa.Connection, keyring: Keyring, counter: str, window_s: float, limit: int, at: datetime
) -> Counted:
    """Return how many were counted in the window that runs at `at`, without counting."""
    tag, ends_at_us = _window(keyring, counter, window_s, limit, at)
    found = _read(connection, tag, ends_at_us)
    return Counted(min(found, limit + 1), limit, datetime.fromtimestamp(ends_at_us / _US, UTC))


def forget_count(connection: sa.Connection, keyring: Keyring, counter: str, window_s: float) -> None:
    """Begin a counter anew, as after a success that ends a row of failures."""
    connection.execute(counters.delete().where(counters.c.tag == _tag(keyring, counter, window_s)))


def _window(keyring: Keyring, counter: str, window_s: float, limit: int, at: datetime) -> tuple[bytes, int]:
    if not 0.001 <= window_s <= _MOST_WINDOW_S or limit < 0 or at.tzinfo is None:
        raise InputError(
            "counter_invalid",
            f"A counter of {window_s} s with the limit {limit} was asked for; expected a window of .001 s to 366 "
            "days, a limit of at least 0, and a time with time zone.",
        )
    window_us = round(window_s * _US)
    return _tag(keyring, counter, window_s), (_us(at) // window_us + 1) * window_us


def _tag(keyring: Keyring, counter: str, window_s: float) -> bytes:
    return keyring.integrity_tag(b"counter", counter.encode(), str(round(window_s * _US)).encode())


def _read(connection: sa.Connection, tag: bytes, ends_at_us: int) -> int:
    query = sa.select(counters.c.count).where(counters.c.tag == tag, counters.c.ends_at_us == ends_at_us)
    return max(0, int(connection.execute(query).scalar() or 0))


def _us(at: datetime) -> int:
    return round(at.timestamp() * _US)
