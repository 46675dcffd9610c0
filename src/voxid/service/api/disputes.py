"""Disputes: a result somebody says is wrong is under review until a person decides; decisions, as they are kept."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from voxid.audit.events import Event
from voxid.gallery.documents import Document
from voxid.service.api.shapes import After, In, Limit, Next, document_page
from voxid.service.api.spoof_shapes import SpoofVerdictOut
from voxid.service.decisions import DECISION, find_decision
from voxid.service.disputing import (
    DISPUTE,
    Subject,
    disputed,
    find_dispute,
    new_dispute,
    resolve,
    under_review,
)
from voxid.service.idempotency import Once
from voxid.service.identity import principal_of, tenant_for
from voxid.service.problems import responses
from voxid.service.reviewing import REVIEW, decided, new_review
from voxid.service.roles import Principal
from voxid.service.state import Tenant

__all__ = ["decisions_router", "router"]

router = APIRouter(prefix="/disputes", tags=["disputes"], responses=responses())
decisions_router = APIRouter(prefix="/decisions", tags=["verify"], responses=responses())

Disputing = Annotated[Tenant, Depends(tenant_for("disputes"))]
Reviewing = Annotated[Tenant, Depends(tenant_for("review"))]
Verifying = Annotated[Tenant, Depends(tenant_for("verify"))]
Asking = Annotated[Principal, Depends(principal_of)]
_UUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
DisputeId = Annotated[str, Path(pattern=_UUID, description="Id of the dispute")]
DecisionId = Annotated[str, Path(pattern=_UUID, description="`id` of a verification")]


class NewDispute(In):
    """What is said to be wrong."""

    subject: Subject
    subject_id: str = Field(
        examples=["0198f0a2-7d1e-7c55-9a0e-5f1f7a2f9b10"],
        pattern=_UUID,
        description="Of the decision, the timeline, or the review item of the watchlist hit",
    )
    turns: list[Annotated[int, Field(ge=1)]] = Field(
        examples=[[3, 4]],
        default_factory=list,
        max_length=1000,
        description="Of a timeline: the turns that are wrong; none: all of it",
    )
    statement: str = Field(min_length=1, max_length=4000, examples=["I was not in that meeting."])


class Resolution(In):
    """What a person decided."""

    outcome: Literal["upheld", "overturned"] = Field(description="upheld: the result was right")
    note: str = Field("", max_length=4000)


class ResolvedOut(BaseModel):
    """How a dispute ended."""

    outcome: Literal["upheld", "overturned"]
    note: str
    by: str
    at: datetime


class DisputeOut(BaseModel):
    """A dispute."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "0198f0a2-7d1e-7c55-9a0e-5f1f7a2f9b10",
                "state": "open",
                "subject": "decision",
                "subject_id": "0198f0a2-7d1e-7c55-9a0e-5f1f7a2f9b11",
                "person_id": "3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50",
                "statement": "That was not me.",
                "raised_at": "2026-11-21T09:00:00+00:00",
                "answer_by": "2026-12-21T09:00:00+00:00",
                "resolved": None,
            }
        }
    )

    id: str
    state: Literal["open", "upheld", "overturned"]
    subject: Subject
    subject_id: str
    person_id: str | None
    statement: str
    raised_at: datetime
    answer_by: datetime = Field(description="A month after it was raised (GDPR, article 12)")
    resolved: ResolvedOut | None

    @classmethod
    def of(cls, document: Document) -> DisputeOut:
        """Return the dispute as JSON shows it."""
        names = ("subject", "subject_id", "statement", "raised_at", "answer_by", "resolved")
        fields = {name: document.body[name] for name in names}
        return cls.model_validate(
            {"id": document.id, "state": document.state, "person_id": document.person_id, **fields}
        )


class DisputePage(BaseModel):
    """Some of the disputes, in the order they were raised."""

    disputes: list[DisputeOut]
    next: Next


Standing = Literal["accept", "reject", "review", "spoof_suspected"]


class KeptDecisionOut(BaseModel):
    """A decision as it is kept, with what a person decided about it since."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "0198f0a2-7d1e-7c55-9a0e-5f1f7a2f9b10",
                "person_id": "3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50",
                "outcome": "reject",
                "standing": "accept",
                "under_review": False,
                "llr": 1.42,
                "profile": "far_1pct",
                "far": 0.01,
                "net_speech_s": 6.2,
                "model_id": "voxid-base@0123456789ab",
                "audio_sha256": "9f" * 32,
                "spoof": None,
                "decided_at": "2026-11-21T09:00:00+00:00",
                "judged": {
                    "outcome": "accept",
                    "note": "The recording was noisy.",
                    "by": "key:5f1c0a9be2d4",
                    "at": "2026-11-22T09:00:00+00:00",
                },
                "due_at": "2027-02-19T09:00:00+00:00",
            }
        }
    )

    id: str
    person_id: str
    outcome: Standing = Field(description="As decided at first")
    standing: Standing = Field(description="What holds now")
    under_review: bool = Field(description="Disputed, or in the review band, and not yet decided by a person")
    llr: float | None
    profile: str
    far: float
    net_speech_s: float | None
    model_id: str
    audio_sha256: str | None
    spoof: SpoofVerdictOut | None = Field(None, description="Whether the voice is live; null: nobody asked")
    decided_at: datetime
    judged: dict[str, Any] | None = Field(description="By whom, when and why it was confirmed or overturned")
    due_at: datetime | None = Field(description="When it is deleted")


class DecisionPage(BaseModel):
    """Some of the decisions, in the order they were made."""

    decisions: list[KeptDecisionOut]
    next: Next


@router.post(
    "",
    status_code=201,
    summary="Raise a dispute",
    responses=responses(404, 409),
    response_model=DisputeOut,
)
def raise_dispute(tenant: Disputing, once: Once, wanted: NewDispute, by: Asking) -> object:
    """Put a result under review, on the word of whoever it concerns."""

    def raised() -> DisputeOut:
        return DisputeOut.of(_raised(tenant, wanted, by))

    return once.answer(
        raised,
        about=(wanted.model_dump_json(),),
        people_of=lambda dispute: () if dispute.person_id is None else (dispute.person_id,),
        status=201,
    )


def _raised(tenant: Tenant, wanted: NewDispute, by: Principal) -> Document:
    now = tenant.gallery.now()
    what = disputed(tenant.store, wanted.subject, wanted.subject_id, wanted.turns)
    dispute = new_dispute(what, wanted.statement, now, f"{by.kind}:{by.id}")
    about = {"dispute_id": dispute.id, "subject": what.subject, "subject_id": what.id}
    reason = "A result is disputed; look at it and decide at /v1/disputes."
    review = new_review("dispute", about, reason, now, person_id=what.person_id)
    # The review item has the dispute's id, so that the two are found by one another.
    review = Document(REVIEW, dispute.id, review.body, "open", what.person_id, review.due_at)
    with tenant.store.changing() as change:
        change.put_document(dispute)
        change.put_document(review)
        facts = {"dispute": dispute.id, "subject": what.subject, "subject_id": what.id}
        change.record(Event("dispute.raised", "done", what.person_id, facts, at=now))
    return dispute


@router.get("", summary="List disputes")
def list_disputes(
    tenant: Disputing,
    state: Annotated[
        Literal["open", "upheld", "overturned"] | None, Query(description="Only such; without it all")
    ] = None,
    limit: Limit = 50,
    after: After = None,
) -> DisputePage:
    """Return disputes in the order they were raised."""
    page, following = document_page(tenant.store, DISPUTE, after, limit, state=state)
    return DisputePage(disputes=[DisputeOut.of(one) for one in page], next=following)


@router.get("/{dispute_id}", summary="Show a dispute", responses=responses(404))
def show_dispute(tenant: Disputing, dispute_id: DisputeId) -> DisputeOut:
    """Return a dispute."""
    return DisputeOut.of(find_dispute(tenant.store, dispute_id))


@router.post("/{dispute_id}/resolve", summary="Decide a dispute", responses=responses(404, 409))
def resolve_dispute(tenant: Reviewing, dispute_id: DisputeId, wanted: Resolution, by: Asking) -> DisputeOut:
    """Uphold the result, or overturn it: a decision says the contrary then, and turns lose their names.

    What was decided at first stays on record beside it.
    """
    now, who = tenant.gallery.now(), f"{by.kind}:{by.id}"
    dispute = find_dispute(tenant.store, dispute_id)
    review = tenant.store.document(REVIEW, dispute_id)
    with tenant.store.changing() as change:
        after = resolve(change, tenant.store, dispute, wanted.outcome, wanted.note, who, now)
        change.put_document(after)
        if review is not None and review.state == "open":
            verdict = "confirmed" if wanted.outcome == "overturned" else "rejected"
            change.put_document(decided(review, verdict, wanted.note, who, now))
        facts = {"dispute": dispute_id, "subject": dispute.body["subject"]}
        change.record(Event("dispute.resolved", wanted.outcome, dispute.person_id, facts, at=now))
    return DisputeOut.of(after)


@decisions_router.get("", summary="List decisions")
def list_decisions(
    tenant: Verifying,
    person_id: Annotated[str | None, Query(pattern=_UUID, description="Only about this person")] = None,
    limit: Limit = 50,
    after: After = None,
) -> DecisionPage:
    """Return the decisions that are still kept, in the order they were made."""
    page, following = document_page(tenant.store, DECISION, after, limit, person_id=person_id)
    open_ = under_review(tenant.store)
    return DecisionPage(decisions=[_decision_out(one, open_) for one in page], next=following)


@decisions_router.get("/{decision_id}", summary="Show a decision", responses=responses(404))
def show_decision(tenant: Verifying, decision_id: DecisionId) -> KeptDecisionOut:
    """Return a decision, what holds now, and whether it is under review."""
    return _decision_out(find_decision(tenant.store, decision_id), under_review(tenant.store))


def _decision_out(document: Document, open_: set[tuple[str, str]]) -> KeptDecisionOut:
    waiting = document.state == "review" or ("decision", document.id) in open_
    fields: dict[str, Any] = {
        **document.body,
        "id": document.id,
        "person_id": document.person_id,
        "standing": document.state,
        "under_review": waiting,
        "due_at": document.due_at,
    }
    return KeptDecisionOut.model_validate(fields)
