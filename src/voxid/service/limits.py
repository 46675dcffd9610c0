"""How often something may be done: counted in the tenant's gallery, so that every process at it shares the limit.

A count is a write, and a write at every request would cost more than most of them. So a process takes a twentieth of
the limit at once and counts it down in memory; what it took and did not use by the end of the window is lost. The
limit is never exceeded, and up to a twentieth of it per process may go unused.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from voxid.gallery.store import Store
from voxid.service.problems import TooOftenError

__all__ = ["WINDOW_S", "Quotas", "too_many"]

WINDOW_S: Final = 60.0
_SHARES: Final = 20
_MOST_KNOWN: Final = 20_000
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class _Share:
    """What this process may still use of one counter until the window ends."""

    left: int = 0
    ends_at: datetime = _LONG_AGO
    spent: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class Quotas:
    """Limits a minute, each under a name of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shares: OrderedDict[tuple[str, str], _Share] = OrderedDict()

    def take(self, store: Store, tenant: str, counter: str, per_min: int, now: datetime) -> None:
        """Use one of `per_min`; 0 means no limit.

        Raises:
            TooOftenError: rate_limited.
        """
        if per_min == 0:
            return
        share = self._share(tenant, counter)
        with share.lock:
            if now >= share.ends_at or (share.left == 0 and not share.spent):
                self._refill(share, store, counter, per_min, now)
            if share.left == 0:
                raise too_many(per_min, (share.ends_at - now).total_seconds())
            share.left -= 1

    def _refill(self, share: _Share, store: Store, counter: str, per_min: int, now: datetime) -> None:
        size = max(1, per_min // _SHARES)
        with store.changing() as change:
            counted = change.count(f"rate:{counter}:{size}", WINDOW_S, per_min // size, now)
        share.ends_at, share.spent = counted.resets_at, counted.exceeded
        share.left = 0 if counted.exceeded else size

    def _share(self, tenant: str, counter: str) -> _Share:
        with self._lock:
            share = self._shares.setdefault((tenant, counter), _Share())
            self._shares.move_to_end((tenant, counter))
            if len(self._shares) > _MOST_KNOWN:
                self._shares.popitem(last=False)
            return share


def too_many(per_min: int, wait_s: float) -> TooOftenError:
    """Return the refusal of one request more than a minute allows."""
    return TooOftenError(
        "rate_limited",
        f"More than {per_min:,} requests a minute came from here; wait {max(1, round(wait_s))} s.",
        wait_s,
    )
