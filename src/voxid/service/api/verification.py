"""Verify: is this recording the person it claims to be?"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from voxid.decision import Decision, Outcome
from voxid.errors import InputError
from voxid.gallery.change import Change
from voxid.service.api.people import NOBODY, person_by_id
from voxid.service.api.shapes import PersonId
from voxid.service.api.spoof_shapes import VERDICT_EXAMPLE, SpoofVerdictOut
from voxid.service.attempts import FAILED, Attempt, unlock
from voxid.service.decisions import keep_in
from voxid.service.hearing import hearing_for
from voxid.service.idempotency import Keeping, Once
from voxid.service.identity import principal_of, service_of, tenant_for
from voxid.service.problems import responses
from voxid.service.roles import Principal
from voxid.service.state import Service, Tenant
from voxid.service.uploads import AUDIO_BODY, Audio, Upload

__all__ = ["DecisionOut", "Profile", "router", "tells_of_record"]

router = APIRouter(prefix="/people/{person_id}", tags=["verify"], responses=responses(404))

Verifying = Annotated[Tenant, Depends(tenant_for("verify"))]
Writing = Annotated[Tenant, Depends(tenant_for("people:write"))]
Asking = Annotated[Principal, Depends(principal_of)]
Profile = Annotated[
    str | None,
    Query(max_length=60, description="Threshold profile; without it the policy's", examples=["far_1pct"]),
]

# What would tell somebody who may not see people whether one is on record.
_TELLING = frozenset(
    {
        Outcome.NOT_ENROLLED,
        Outcome.OPTED_OUT,
        Outcome.CONSENT_MISSING,
        Outcome.CONSENT_EXPIRED,
        Outcome.TEMPLATE_EXPIRED,
        Outcome.MODEL_MISMATCH,
    }
)


class PartOut(BaseModel):
    """One thing a decision rests on."""

    name: str
    llr: float | None
    outcome: str


class DecisionOut(BaseModel):
    """What came of a verification; only `accept` lets anybody in."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "0198f0a2-7d1e-7c55-9a0e-5f1f7a2f9b10",
                "outcome": "accept",
                "accepted": True,
                "person_id": "3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50",
                "llr": 7.41,
                "profile": "far_1pct",
                "far": 0.01,
                "net_speech_s": 6.2,
                "model_id": "voxid-base@0123456789ab",
                "audio_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                "reason": "LLR 7.41 reaches the threshold 2.10 of profile far_1pct.",
                "spoof": VERDICT_EXAMPLE,
                "parts": [{"name": "speaker", "llr": 7.41, "outcome": "accept"}],
            }
        }
    )

    id: str | None = Field(
        description="What it is kept under, e.g. to dispute it; null: nothing was compared"
    )
    outcome: Outcome
    accepted: bool
    person_id: str
    llr: float | None = Field(
        description="Log-likelihood ratio, natural logarithm, 2 decimals; null: not compared"
    )
    profile: str
    far: float = Field(description="False-accept rate the profile was chosen for")
    net_speech_s: float | None
    model_id: str
    audio_sha256: str | None
    reason: str
    spoof: SpoofVerdictOut | None = Field(
        description="Whether the voice is live; null: the policy does not ask, or there was nothing to hear"
    )
    parts: list[PartOut] = Field(description="What the outcome was joined from")

    @classmethod
    def of(cls, decision: Decision, person_id: str, kept_as: str | None) -> DecisionOut:
        """Return the decision as JSON shows it; the score behind the LLR is not given out."""
        return cls.model_validate({**decision.to_dict(), "person_id": person_id, "id": kept_as})


@router.post(
    "/verifications",
    summary="Verify a person",
    responses=responses(404, 408, 409, 413, 415),
    openapi_extra=AUDIO_BODY,
    response_model=DecisionOut,
)
def verify_person(
    tenant: Verifying,
    asking: Asking,
    person_id: PersonId,
    audio: Audio,
    once: Once,
    request: Request,
    profile: Profile = None,
) -> object:
    """Decide whether a recording is the person.

    A recording counts once: its copy, or nearly its copy, is refused (`audio_replayed`). Tries that fail lock the
    person for a while (`person_locked`). Whether the voice must be a live one is the policy's (`verify_spoof`).
    """
    service = service_of(request)
    person = person_by_id(tenant, person_id)
    chosen = profile or tenant.policy.verify_profile

    def decide(keeping: Keeping[DecisionOut]) -> DecisionOut:
        told: list[DecisionOut] = []

        def tell(change: Change, decision: Decision) -> None:
            if tells_of_record(decision, asking):
                return
            kept_as = keep_in(change, decision, person_id, service.clock())
            told.append(DecisionOut.of(decision, person_id, kept_as))
            keeping.keep(change, told[0])

        enrolled = frozenset(print_.audio_sha256 for print_ in person.voiceprints)
        place = tenant.id, tenant.store, person_id
        with service.attempts.trying(*place, enrolled, first=keeping.claim) as attempt:
            decision = _decided(service, tenant, person.name, audio, chosen, attempt)
            attempt.also = lambda change: tell(change, decision)
        if not told:
            raise InputError("person_missing", NOBODY)
        return told[0]

    about = (chosen, str(audio.channel), audio.sha256)
    return once.answer_within(decide, person_id=person.id, about=about)


def tells_of_record(decision: Decision, asking: Principal) -> bool:
    """Return whether a decision would tell somebody who may not see people whether one is on record."""
    return decision.outcome in _TELLING and "people:read" not in asking.scopes


@router.delete("/lock", status_code=204, summary="Unlock a person")
def unlock_person(tenant: Writing, person_id: PersonId, request: Request) -> None:
    """Let tries at a person through again before the lock ends by itself."""
    service = service_of(request)
    person_by_id(tenant, person_id)
    unlock(tenant.store, person_id, service.settings.limits, service.clock())


def _decided(
    service: Service, tenant: Tenant, name: str, audio: Upload, profile: str, attempt: Attempt
) -> Decision:
    """Return the decision on one try, which notes what was heard and what came of it."""
    limits, sha256 = service.settings.limits, audio.sha256
    spoof = service.spoof_policy(tenant.policy.verify_spoof)
    hearing = hearing_for(
        tenant.gallery,
        limits.max_verify_s,
        limits.max_audio_bytes,
        before=lambda: attempt.refuse_replay(sha256),
        decoded=lambda waveform: attempt.refuse_near_replay(waveform, sha256, service.clock()),
        detector=None if spoof.mode == "off" else service.inference.detector,
    )
    decision = tenant.gallery.verify(
        name, audio.content, profile=profile, channel=audio.channel, hearing=hearing, spoof=spoof
    )
    if decision.spoof is not None:
        service.judged(decision.spoof, "verify")
    attempt.failed = decision.outcome in FAILED
    attempt.accepted = bool(decision)
    return decision
