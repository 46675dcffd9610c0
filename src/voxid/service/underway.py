"""Which requests with an Idempotency-Key this process is doing now; what other processes do is seen at the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from voxid.errors import CompatibilityError

__all__ = ["UnderWay", "conflict", "running"]


class UnderWay:
    """The requests under way, by tenant and key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, str], str] = {}

    @contextmanager
    def doing(self, tenant: str, key: str, request: str) -> Iterator[None]:
        """Hold a key for the block.

        Args:
            key: of the request; request: hash of what it asks.

        Raises:
            CompatibilityError: idempotency_conflict, idempotency_running.
        """
        with self._lock:
            found = self._requests.get((tenant, key))
            if found is not None:
                raise running() if found == request else conflict()
            self._requests[tenant, key] = request
        try:
            yield
        finally:
            with self._lock:
                del self._requests[tenant, key]


def conflict() -> CompatibilityError:
    """Return the refusal of another request under a used key."""
    return CompatibilityError(
        "idempotency_conflict",
        "This Idempotency-Key was used for another request; make a new key for each request.",
    )


def running() -> CompatibilityError:
    """Return the refusal of a request that is being done."""
    return CompatibilityError(
        "idempotency_running",
        "The request with this Idempotency-Key is being done; ask again in a moment.",
    )
