"""The review queue: what a person has to decide, and what comes of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from voxid.audit.events import Event
from voxid.errors import CompatibilityError, InputError
from voxid.gallery.change import Change
from voxid.gallery.documents import Document
from voxid.service.api.shapes import After, In, Limit, Next, document_page
from voxid.service.decisions import DECISION, judged
from voxid.service.diarizing import TIMELINE, read_kept, rewritten
from voxid.service.edits import rename, wanted_corrections
from voxid.service.identity import principal_of, tenant_for
from voxid.service.problems import responses
from voxid.service.reviewing import REVIEW, decided, find_review
from voxid.service.roles import Principal
from voxid.service.state import Tenant
from voxid.service.timelines import check_nameable

__all__ = ["router"]

router = APIRouter(prefix="/reviews", tags=["review"], responses=responses())

Reviewing = Annotated[Tenant, Depends(tenant_for("review"))]
Asking = Annotated[Principal, Depends(principal_of)]
ReviewId = Annotated[
    str, Path(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", description="Id of the item")
]
ReviewState = Literal["open", "confirmed", "rejected"]


class Verdict(In):
    """What a person decided."""

    outcome: Literal["confirmed", "rejected"] = Field(description="confirmed: it is this person")
    note: str = Field("", max_length=4000)


class DecidedOut(BaseModel):
    """What a person decided, and when."""

    outcome: Literal["confirmed", "rejected"]
    note: str
    by: str
    at: datetime


class ReviewOut(BaseModel):
    """Something a person has to decide, or has decided."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "0198f0a2-7d1e-7c55-9a0e-5f1f7a2f9b10",
                "state": "open",
                "subject": "suggested_name",
                "person_id": "3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50",
                "person": "Ada Lovelace",
                "about": {
                    "timeline_id": "0198f0a2-7d1e-7c55-9a0e-5f1f7a2f9b11",
                    "speaker": "SPEAKER_00",
                    "start_s": 12.3,
                    "end_s": 15.9,
                    "llr": 1.1,
                    "threshold_llr": 2.0,
                },
                "reason": "The voice may be this person's, with too little evidence to say so; listen and decide.",
                "created_at": "2026-11-21T09:00:00+00:00",
                "due_at": "2027-02-19T09:00:00+00:00",
                "decided": None,
            }
        }
    )

    id: str
    state: ReviewState
    subject: Literal["verification", "suggested_name", "watchlist_hit", "dispute"]
    person_id: str | None
    person: str | None = Field(description="The person's name")
    about: dict[str, Any] = Field(description="Ids that lead to what is to be decided")
    reason: str
    created_at: datetime
    due_at: datetime | None = Field(description="When the item is deleted, decided or not")
    decided: DecidedOut | None


class ReviewPage(BaseModel):
    """Some of the items, oldest first."""

    reviews: list[ReviewOut]
    next: Next


@router.get("", summary="List what is to be decided")
def list_reviews(
    tenant: Reviewing,
    state: Annotated[ReviewState | None, Query(description="Only such; without it all")] = None,
    limit: Limit = 50,
    after: After = None,
) -> ReviewPage:
    """Return items in the order they were made."""
    page, following = document_page(tenant.store, REVIEW, after, limit, state=state)
    ids = sorted({one.person_id for one in page if one.person_id is not None})
    names = {person.id: person.name for person in tenant.store.read_many(ids)}
    return ReviewPage(reviews=[_review_out(one, names) for one in page], next=following)


@router.get("/{review_id}", summary="Show an item", responses=responses(404))
def show_review(tenant: Reviewing, review_id: ReviewId) -> ReviewOut:
    """Return an item."""
    return _shown(tenant, find_review(tenant.store, review_id))


@router.post("/{review_id}/decide", summary="Decide an item", responses=responses(404, 409))
def decide(tenant: Reviewing, review_id: ReviewId, wanted: Verdict, by: Asking) -> ReviewOut:
    """Decide once and for all, with everything that follows from it.

    A verification in the review band is accepted or rejected; a suggested name is given to all turns of the speaker, or
    the turns are confirmed without it; of a watchlist hit the decision is recorded. A dispute is decided at its own
    address.
    """
    review = find_review(tenant.store, review_id)
    now, who = tenant.gallery.now(), f"{by.kind}:{by.id}"
    if review.body["subject"] == "dispute":
        raise CompatibilityError(
            "review_elsewhere", f"A dispute is decided at /v1/disputes/{review_id}/resolve; decide it there."
        )
    after = decided(review, wanted.outcome, wanted.note, who, now)
    with tenant.store.changing() as change:
        change.put_document(after)
        if review.body["subject"] == "verification":
            _judge(change, tenant, review, wanted, who)
        elif review.body["subject"] == "suggested_name":
            _name(change, tenant, review, wanted.outcome == "confirmed", who)
        facts = {"review": review_id, "subject": review.body["subject"]}
        change.record(Event("review.decided", wanted.outcome, review.person_id, facts, at=now))
    return _shown(tenant, after)


def _judge(change: Change, tenant: Tenant, review: Document, wanted: Verdict, who: str) -> None:
    """Let a decision in the review band be what the reviewer says."""
    decision = change.document(DECISION, review.body["about"]["decision_id"])
    if decision is None:
        return
    verdict = "accept" if wanted.outcome == "confirmed" else "reject"
    judgement = {
        "note": wanted.note,
        "by": who,
        "at": tenant.gallery.now().isoformat(),
        "review_id": review.id,
    }
    change.put_document(judged(decision, verdict, judgement))


def _name(change: Change, tenant: Tenant, review: Document, confirmed: bool, who: str) -> None:
    """Give the suggested name to the speaker's turns, or confirm them without it."""
    about = review.body["about"]
    person_id = review.person_id or ""
    if tenant.store.document(TIMELINE, about["timeline_id"]) is None:
        return
    document, kept = read_kept(tenant.store, about["timeline_id"])
    if confirmed:
        person = tenant.store.read(person_id)
        if person is None:
            raise InputError("person_missing", "The person is not on record any more.")
        check_nameable(person, tenant.gallery.now())
    if about["speaker"] not in kept.timeline.speakers:
        return  # somebody has corrected these turns meanwhile
    to = person_id if confirmed else about["speaker"]
    items = wanted_corrections(kept, to, formers=[about["speaker"]])
    change.put_document(rewritten(document, rename(kept, items, tenant.gallery.now(), who)))


def _shown(tenant: Tenant, review: Document) -> ReviewOut:
    person = None if review.person_id is None else tenant.store.read(review.person_id)
    return _review_out(review, {} if person is None else {person.id: person.name})


def _review_out(review: Document, names: dict[str, str]) -> ReviewOut:
    names_of = ("subject", "about", "reason", "created_at", "decided")
    fields = {name: review.body[name] for name in names_of}
    person = None if review.person_id is None else names.get(review.person_id)
    return ReviewOut.model_validate(
        {
            **fields,
            "id": review.id,
            "state": review.state,
            "person_id": review.person_id,
            "person": person,
            "due_at": review.due_at,
        }
    )
