"""Credentials that were found right a moment ago, so that a hash made to be slow is not paid at every request.

What a credential rests on, an API key or a session in the gallery, is looked at again each time: it must still have the
version it had when it was checked. So a key that is revoked, in whichever process, is refused from the next request on.
A token of an identity provider rests on nothing here; it holds until it ends, as its provider meant it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from voxid.gallery.store import Store
from voxid.service.roles import Principal

__all__ = ["Proof", "Remembered"]

_REMEMBER_S: Final = 60.0
_MOST_REMEMBERED: Final = 10_000


@dataclass(frozen=True)
class Proof:
    """Whom a credential proves.

    Args:
        principal: who it is.
        ends_at: when the credential ends; None: never.
        rests_on: kind, id and version of the documents it was checked against.
    """

    principal: Principal
    ends_at: datetime | None
    rests_on: tuple[tuple[str, str, int | None], ...] = ()

    def holds(self, store: Store) -> bool:
        """Return whether nothing it rests on was changed or deleted since it was checked."""
        return all(store.document_version(kind, id_) == version for kind, id_, version in self.rests_on)


class Remembered:
    """Credentials found right, by their SHA-256, for a minute."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[str, tuple[datetime, Proof]] = {}

    def get(self, text: str) -> Proof | None:
        """Return whom a credential proved a moment ago."""
        with self._lock:
            found = self._found.get(_digest(text))
        return found[1] if found is not None and self._clock() < found[0] else None

    def put(self, text: str, proof: Proof) -> None:
        """Remember whom a credential proved, for a minute or until the credential ends."""
        ends_at = proof.ends_at
        until = self._clock() + timedelta(seconds=_REMEMBER_S)
        with self._lock:
            if len(self._found) >= _MOST_REMEMBERED:
                self._found.clear()
            self._found[_digest(text)] = until if ends_at is None else min(until, ends_at), proof

    def clear(self) -> None:
        """Forget all: something was revoked."""
        with self._lock:
            self._found.clear()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
