"""What the service keeps until a day: jobs, timelines, decisions, reviews, disputes, sessions ...; gone after it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from voxid.audit.actors import Actor, acting_as
from voxid.audit.events import Event
from voxid.gallery.store import Store
from voxid.service.credentials import API_KEY, SESSION
from voxid.service.watching import ENTRY, WATCHLIST, entries_of

__all__ = ["KINDS", "purge_due"]

KINDS: Final = (
    *("job", "timeline", "decision", "review", "dispute", WATCHLIST),
    *("enrollment", "attempts", "idempotency", API_KEY, SESSION, "challenge", "answers"),
)
_WITH_VOICES: Final = ("enrollment",)  # it is proved that the bytes of these are gone
_AT_ONCE: Final = 200


def purge_due(store: Store, now: datetime) -> dict[str, int]:
    """Delete every document whose day has come; return how many of each kind.

    A job that is not yet done has no such day; a watchlist takes its entries along.
    """
    gone: dict[str, int] = {}
    for kind in KINDS:
        while due := store.documents(kind, due_before=now, limit=_AT_ONCE):
            entries = [entry.id for one in due if kind == WATCHLIST for entry in entries_of(store, one.id)]
            with acting_as(Actor("system", "retention")), store.changing() as change:
                for one in due:
                    change.delete_document(kind, one.id, erase=kind in _WITH_VOICES)
                for entry_id in entries:
                    change.delete_document(ENTRY, entry_id)
                facts = {"kind": kind, "count": len(due)}
                change.record(Event("documents.purged", facts=facts, at=now))
            gone[kind] = gone.get(kind, 0) + len(due)
    return gone
