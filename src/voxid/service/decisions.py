"""Decisions as they are kept: to be reviewed, disputed and overturned, until their day comes.

A decision is sealed under the person's own key and goes with the person. What a person decided about it later stands
beside what was decided at first; nothing is overwritten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from voxid.audit.events import Event
from voxid.decision import Decision, Outcome
from voxid.errors import InputError
from voxid.gallery.change import Change
from voxid.gallery.documents import Document, new_document_id
from voxid.gallery.store import Store
from voxid.service.reviewing import new_review
from voxid.spoof.verdict import SpoofOutcome

__all__ = ["DECISION", "find_decision", "judged", "keep_decision", "keep_in"]

DECISION: Final = "decision"
"""The kind of the documents."""

_KEEP_DAYS: Final = 90
_COMPARED: Final = (Outcome.ACCEPT, Outcome.REJECT, Outcome.REVIEW, Outcome.SPOOF_SUSPECTED)


def keep_decision(store: Store, decision: Decision, person_id: str, at: datetime) -> str | None:
    """Return the id a decision is kept under; None where nothing was compared, or the person is gone by now.

    One in the review band becomes an item to be reviewed, in the same transaction.

    Args:
        store: of the tenant.
        decision: as made.
        person_id: whom it is about; it goes with them.
        at: now.
    """
    if decision.outcome not in _COMPARED:
        return None
    with store.changing() as change:
        return keep_in(change, decision, person_id, at)


def keep_in(change: Change, decision: Decision, person_id: str, at: datetime) -> str | None:
    """Return the id a decision is kept under, as part of a change; otherwise as `keep_decision`."""
    if decision.outcome not in _COMPARED or not change.holds(person_id):
        return None
    plain = decision.to_dict()
    names = ("outcome", "llr", "profile", "far", "net_speech_s", "model_id", "audio_sha256")
    spoof = None if decision.spoof is None else {**plain["spoof"], "pieces": []}
    body = {
        **{name: plain[name] for name in names},
        "spoof": spoof,
        "decided_at": at.isoformat(),
        "judged": None,
    }
    id_ = new_document_id()
    document = Document(
        DECISION, id_, body, decision.outcome.value, person_id, at + timedelta(days=_KEEP_DAYS)
    )
    change.put_document(document)
    if decision.outcome is Outcome.REVIEW:
        about = {
            "decision_id": id_,
            "llr": plain["llr"],
            "audio_sha256": decision.audio_sha256,
            "spoof": spoof,
        }
        review = new_review("verification", about, _why(decision), at, person_id=person_id)
        change.put_document(review)
        facts = {"review": review.id, "decision": id_}
        change.record(Event("review.opened", person_id=person_id, facts=facts, at=at))
    change.record(Event("decision.kept", decision.outcome.value, person_id, {"decision": id_}, at=at))
    return id_


def _why(decision: Decision) -> str:
    """Return what a reviewer is told; the sentence names nobody."""
    if decision.spoof is not None and decision.spoof.outcome in (
        SpoofOutcome.SUSPICIOUS,
        SpoofOutcome.CANNOT_TELL,
    ):
        return f"It is not sure that the voice is a live one. {decision.spoof.reason} Ask the person, and decide."
    return (
        "The evidence lies in the review band: too much to reject, too little to accept. Listen and decide."
    )


def find_decision(store: Store, id_: str) -> Document:
    """Return a kept decision.

    Raises:
        InputError: decision_missing.
    """
    document = store.document(DECISION, id_)
    if document is None:
        raise InputError("decision_missing", "There is no decision of this id, or its time has run out.")
    return document


def judged(decision: Document, verdict: str, judgement: Mapping[str, Any]) -> Document:
    """Return a decision with what a person decided about it.

    Args:
        decision: as kept.
        verdict: "accept" or "reject": what holds from now on.
        judgement: by whom, when and why.
    """
    body = {**decision.body, "judged": {"outcome": verdict, **judgement}}
    return replace(decision, state=verdict, body=body, version=decision.version + 1)
