"""Legal holds: people whose data must be kept for the time being, whatever a period or a request says."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from voxid.audit.events import Event
from voxid.errors import InputError, PolicyError
from voxid.gallery.documents import Document, new_document_id
from voxid.gallery.store import Store
from voxid.recognize.amending import id_of

__all__ = ["check_not_held", "held_people", "hold", "release"]

_KIND: Final = "legal_hold"
_PAGE: Final = 1000


def hold(store: Store, name: str, reason: str, now: datetime) -> str:
    """Keep a person from being erased by the retention job or by `erase`; return the hold's id.

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
        change.put_document(Document(_KIND, id_, body, "held", person_id))
        change.record(Event("hold.placed", person_id=person_id, personal=body, at=now))
    return id_


def release(store: Store, name: str, now: datetime) -> int:
    """End every hold on a person; return how many there were.

    Raises:
        InputError: person_missing.
    """
    with store.changing() as change:
        person_id = id_of(change, name)
        held = store.documents(_KIND, person_id=person_id, limit=_PAGE)
        for document in held:
            change.delete_document(_KIND, document.id)
        change.record(Event("hold.released", person_id=person_id, facts={"holds": len(held)}, at=now))
    return len(held)


def held_people(store: Store) -> dict[str, str]:
    """Return person id -> reason of everybody under a hold."""
    held: dict[str, str] = {}
    after = None
    while page := store.documents(_KIND, after_id=after, limit=_PAGE):
        held.update({one.person_id: str(one.body["reason"]) for one in page if one.person_id is not None})
        after = page[-1].id
    return held


def check_not_held(store: Store, person_id: str) -> None:
    """Refuse to erase a person under a hold.

    Raises:
        PolicyError: legal_hold.
    """
    if store.documents(_KIND, person_id=person_id, limit=1):
        raise PolicyError(
            "legal_hold",
            "The person is under a legal hold, so nothing was erased; `voxid privacy hold NAME --release` ends it.",
        )
