"""Credentials that were found right a moment ago, so that a hash made to be slow is not paid at every request."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from voxid.service.roles import Principal

__all__ = ["Remembered"]

_REMEMBER_S: Final = 60.0
_MOST_REMEMBERED: Final = 10_000


class Remembered:
    """Credentials found right, by their SHA-256, for a minute."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[str, tuple[datetime, Principal]] = {}

    def get(self, text: str) -> Principal | None:
        """Return whom a credential proved a moment ago."""
        with self._lock:
            found = self._found.get(_digest(text))
        return found[1] if found is not None and self._clock() < found[0] else None

    def put(self, text: str, principal: Principal, ends_at: datetime | None) -> None:
        """Remember whom a credential proved, for a minute or until the credential ends."""
        until = self._clock() + timedelta(seconds=_REMEMBER_S)
        with self._lock:
            if len(self._found) >= _MOST_REMEMBERED:
                self._found.clear()
            self._found[_digest(text)] = until if ends_at is None else min(until, ends_at), principal

    def clear(self) -> None:
        """Forget all: something was revoked."""
        with self._lock:
            self._found.clear()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
