"""Credentials that were found right a moment ago, so that a hash made to be slow is not paid at every request."""

from __future__ import annotations

import hashlib
import threading
import time
from typing import Final

from voxid.service.roles import Principal

__all__ = ["Remembered"]

_REMEMBER_S: Final = 60.0
_MOST_REMEMBERED: Final = 10_000


class Remembered:
    """Credentials found right, by their SHA-256, for a minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, tuple[float, Principal]] = {}

    def get(self, text: str) -> Principal | None:
        """Return whom a credential proved a moment ago."""
        with self._lock:
            found = self._found.get(_digest(text))
        return found[1] if found is not None and time.monotonic() < found[0] else None

    def put(self, text: str, principal: Principal) -> None:
        """Remember whom a credential proved."""
        with self._lock:
            if len(self._found) >= _MOST_REMEMBERED:
                self._found.clear()
            self._found[_digest(text)] = time.monotonic() + _REMEMBER_S, principal

    def clear(self) -> None:
        """Forget all: something was revoked."""
        with self._lock:
            self._found.clear()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
