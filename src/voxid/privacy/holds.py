"""Legal holds: people whose data must be kept for the time being, whatever a period or a request says."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from voxid.audit.events import Event
from voxid.errors import InputError
from voxid.gallery.documents import Document, new_document_id
from voxid.gallery.holds import LEGAL_HOLD
from voxid.gallery.store import Store
from voxid.recognize.amending import id_of

__all__ = ["held_people", "hold", "release"]

_PAGE: Final = 1000


def hold(store: Store, name: str, reason: str, now: datetime) -> str:
    """Keep a person from being erased, whoever asks for it; return the hold's id.

    A hold never allows more use: consent, its end and its withdrawal work as before.

    Raises:
        InputError: person_missing, hold_reason_missing.
    """
    if not reason.strip():
        raise InputError("hold_reason_missing", "A legal hold needs a reason, e.g. the case it is for.")
    with store.changing() as change:
        person_id = id_of(change, name)
        id_ = new_document_id()
        body = {"reason": reason.strip(), "since": now.isoformat()}
        change.put_document(Document(LEGAL_HOLD, id_, body, "held", person_id))
        change.record(Event("hold.placed", person_id=person_id, personal=body, at=now))
    return id_


def release(store: Store, name: str, now: datetime) -> int:
    """End every hold on a person; return how many there were.

    Raises:
        InputError: person_missing.
    """
    with store.changing() as change:
        person_id = id_of(change, name)
        held = store.documents(LEGAL_HOLD, person_id=person_id, limit=_PAGE)
        for document in held:
            change.delete_document(LEGAL_HOLD, document.id)
        change.record(Event("hold.released", person_id=person_id, facts={"holds": len(held)}, at=now))
    return len(held)


def held_people(store: Store) -> dict[str, str]:
    """Return person id -> reason of everybody under a hold."""
    held: dict[str, str] = {}
    after = None
    while page := store.documents(LEGAL_HOLD, after_id=after, limit=_PAGE):
        held.update({one.person_id: str(one.body["reason"]) for one in page if one.person_id is not None})
        after = page[-1].id
    return held
