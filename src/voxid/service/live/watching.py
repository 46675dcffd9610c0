"""A live call gone through for the people of a watchlist, each time a voice of it has said much more than before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from voxid.backend import Quality
from voxid.diarize.online import VoiceSoFar
from voxid.errors import InputError
from voxid.recognize.witness import WrittenOnce
from voxid.service.state import Tenant
from voxid.service.watching import Hit, find_watchlist, keep_hits, watch

__all__ = ["CallWatch"]

_FIRST_S: Final = 3.0
_AGAIN: Final = 1.4  # times as much speech, as often as names are asked for


class CallWatch:
    """The people of one list, looked for in one call; each of them is a hit once.

    Args:
        tenant: whose list it is.
        watchlist_id, call_id: which list, which call.

    Raises:
        InputError: watchlist_missing.
    """

    def __init__(self, tenant: Tenant, watchlist_id: str, call_id: str) -> None:
        find_watchlist(tenant.store, watchlist_id, tenant.gallery.now())
        self._tenant = tenant
        self._watchlist_id = watchlist_id
        self._call_id = call_id
        self._due_s: dict[int, float] = {}
        self._found: set[str] = set()
        self._once = WrittenOnce()
        self.review_ids: list[str] = []

    def look(self, voices: Mapping[int, VoiceSoFar], heard_s: float) -> list[dict[str, Any]]:
        """Return the message to tell where somebody new was found: how many, not who.

        Args:
            voices: everybody heard so far, by number.
            heard_s: how far the call is.

        Raises:
            StoreError: store_damaged.
        """
        due = {n: one for n, one in voices.items() if one.clean_s >= self._due_s.get(n, _FIRST_S)}
        now = self._tenant.gallery.now()
        if not due or not self._stands():
            return []
        self._due_s |= {number: one.clean_s * _AGAIN for number, one in due.items()}
        embeddings = np.stack([one.embedding for one in due.values()])
        qualities = [Quality(net_speech_s=one.clean_s) for one in due.values()]
        found = watch(self._tenant.gallery, self._watchlist_id, embeddings, qualities, once=self._once)
        hits = []
        for one, line in zip(due.values(), found, strict=True):
            about = {
                "call_id": self._call_id,
                "heard_s": round(heard_s, 1),
                "speech_s": round(one.clean_s, 1),
            }
            hits += [Hit(person_id, llr, about) for person_id, llr in line if person_id not in self._found]
            self._found |= {person_id for person_id, _ in line}
        kept = keep_hits(self._tenant.store, hits, self._watchlist_id, now)
        self.review_ids += kept
        return [{"type": "watchlist", "hits": len(kept), "review_ids": kept}] if kept else []

    def _stands(self) -> bool:
        """Whether the list is still there: it may end, or be deleted, while a call goes on."""
        try:
            find_watchlist(self._tenant.store, self._watchlist_id, self._tenant.gallery.now())
        except InputError:
            return False
        return True
