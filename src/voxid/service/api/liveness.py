"""Challenges and their answers: is the person here, now and alive, saying what nobody could know before?"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from voxid.decision import Decision, Outcome
from voxid.errors import InputError
from voxid.gallery.change import Change
from voxid.gallery.records import Person
from voxid.recognize.challenges import keep_challenge
from voxid.recognize.liveness import LIFETIME_S, LivenessResult, Part, answer_challenge
from voxid.service.answering import options_for, ready_to_listen
from voxid.service.api.people import NOBODY, person_by_id
from voxid.service.api.shapes import In, PersonId
from voxid.service.api.spoof_shapes import SpoofVerdictOut
from voxid.service.api.verification import DecisionOut, Profile, tells_of_record
from voxid.service.attempts import FAILED
from voxid.service.decisions import keep_in
from voxid.service.idempotency import Keeping, Once
from voxid.service.identity import principal_of, service_of, tenant_for
from voxid.service.problems import responses
from voxid.service.roles import Principal
from voxid.service.state import Tenant
from voxid.service.uploads import AUDIO_BODY, Audio
from voxid.spoof.challenge import Challenge

__all__ = ["router"]

router = APIRouter(tags=["liveness"], responses=responses(404))

Verifying = Annotated[Tenant, Depends(tenant_for("verify"))]
Asking = Annotated[Principal, Depends(principal_of)]
Answered = Annotated[
    str,
    Query(
        pattern=r"^[0-9a-f]{32}$",
        description="Id of the challenge that is answered",
        examples=["6f0c1b5e0a5a3f4c7e9a5b0d1c2b3a4f"],
    ),
]


class ChallengeIn(In):
    """Whom to ask for what."""

    person_id: str = Field(
        pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        examples=["3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50"],
    )
    kind: Literal["digits", "words"] = "digits"
    length: int | None = Field(None, ge=1, le=100, description="4 to 12 digits, 3 to 8 words", examples=[6])
    lifetime_s: float = Field(LIFETIME_S, ge=5, le=600, description="Time for the answer")


class ChallengeOut(BaseModel):
    """What a person is to say, and until when."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "6f0c1b5e0a5a3f4c7e9a5b0d1c2b3a4f",
                "person_id": "3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50",
                "kind": "digits",
                "words": ["4", "1", "7", "0", "2", "9"],
                "text": "4 1 7 0 2 9",
                "expires_at": "2026-11-21T09:01:00+00:00",
            }
        }
    )

    id: str
    person_id: str
    kind: Literal["digits", "words"]
    words: list[str]
    text: str
    expires_at: datetime


class PartOut(BaseModel):
    """One thing that must hold."""

    name: Literal["once", "in_time", "new", "speaker", "live", "content", "one_voice"]
    holds: bool | None = Field(description="null: not looked at, because of what did not hold before it")
    reason: str


class LivenessOut(BaseModel):
    """What came of an answer; `passed` only when all parts hold."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "passed": False,
                "person_id": "3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50",
                "challenge_id": "6f0c1b5e0a5a3f4c7e9a5b0d1c2b3a4f",
                "parts": [
                    {"name": "once", "holds": True, "reason": "The challenge was not answered before."},
                    {
                        "name": "in_time",
                        "holds": False,
                        "reason": "The answer came after the challenge had expired; ask for a new one and say that.",
                    },
                ],
                "decision": None,
                "spoof": None,
            }
        }
    )

    passed: bool
    person_id: str
    challenge_id: str
    parts: list[PartOut]
    decision: DecisionOut | None = Field(description="Whose voice it is; null: nothing was heard")
    spoof: SpoofVerdictOut | None = Field(description="Whether it is live; null: nobody was asked")


@router.post(
    "/challenges",
    status_code=201,
    summary="Ask a person to say something now",
    response_model=ChallengeOut,
)
def ask_person(tenant: Verifying, asking: Asking, asked: ChallengeIn, request: Request) -> ChallengeOut:
    """Draw digits or words for a person to say; the answer goes to `POST /v1/people/{person_id}/liveness`.

    A challenge is kept sealed until its first answer or the end of its time. Of one person five are open at a time; a
    further one takes the place of the oldest.
    """
    service = service_of(request)
    ready_to_listen()
    person, now = person_by_id(tenant, asked.person_id), service.clock()
    if not _may_be_verified(person, now) and "people:read" not in asking.scopes:
        raise InputError("person_missing", NOBODY)
    challenge = Challenge.issue(now, kind=asked.kind, length=asked.length, lifetime_s=asked.lifetime_s)
    keep_challenge(tenant.store, asked.person_id, challenge, now)
    fields = {**challenge.to_dict(), "text": challenge.text, "person_id": asked.person_id}
    return ChallengeOut.model_validate(fields)


@router.post(
    "/people/{person_id}/liveness",
    summary="Answer a challenge",
    responses=responses(404, 408, 409, 413, 415),
    openapi_extra=AUDIO_BODY,
    response_model=LivenessOut,
)
def answer_person(
    tenant: Verifying,
    asking: Asking,
    person_id: PersonId,
    challenge: Answered,
    audio: Audio,
    once: Once,
    request: Request,
    profile: Profile = None,
) -> object:
    """Decide whether a recording is the person, live, saying what was asked for: all parts must hold.

    The first answer to a challenge is its only one. Tries that fail lock the person for a while (`person_locked`), as
    those of a verification do. Where there is a spoof detector it is asked, whatever the policy says of verifications;
    a voice of which it cannot tell passes unless `verify_spoof` is strict.
    """
    service = service_of(request)
    ready_to_listen()
    person = person_by_id(tenant, person_id)
    chosen = profile or tenant.policy.verify_profile

    def decide(keeping: Keeping[LivenessOut]) -> LivenessOut:
        told: list[LivenessOut] = []

        def tell(change: Change, result: LivenessResult) -> None:
            decision = _decision_of(result)
            if decision is not None and tells_of_record(decision, asking):
                return
            kept_as = None if decision is None else keep_in(change, decision, person_id, service.clock())
            told.append(_out(result, decision, person_id, kept_as))
            keeping.keep(change, told[0])

        enrolled = frozenset(print_.audio_sha256 for print_ in person.voiceprints)
        place = tenant.id, tenant.store, person_id
        with service.attempts.trying(*place, enrolled, first=keeping.claim) as attempt:
            options = options_for(service, tenant, attempt, audio, chosen)
            result = answer_challenge(tenant.gallery, person.name, challenge, audio.content, options)
            outcome = None if result.decision is None else result.decision.outcome
            attempt.failed = attempt.failed or (not result and outcome in {*FAILED, Outcome.ACCEPT})
            attempt.accepted = bool(result)
            attempt.also = lambda change: tell(change, result)
        if result.spoof is not None:
            service.judged(result.spoof, "liveness")
        if not told:
            raise InputError("person_missing", NOBODY)
        return told[0]

    about = (challenge, chosen, str(audio.channel), audio.sha256)
    return once.answer_within(decide, person_id=person.id, about=about)


def _may_be_verified(person: Person, now: datetime) -> bool:
    consent = person.consents[-1].consent if person.consents else None
    consents = consent is not None and "verify" in consent.purposes and not consent.expired(now)
    return consents and bool(person.voiceprints)


def _decision_of(result: LivenessResult) -> Decision | None:
    """Return the decision as it is kept: a voice accepted that failed otherwise is nobody's acceptance."""
    decision = result.decision
    if decision is None or not decision or result:
        return decision
    why = " ".join(part.reason for part in result.parts if part.holds is False)
    return replace(decision, outcome=Outcome.SPOOF_SUSPECTED, reason=f"The voice is alike, but: {why}")


def _out(
    result: LivenessResult, decision: Decision | None, person_id: str, kept_as: str | None
) -> LivenessOut:
    return LivenessOut(
        passed=result.passed,
        person_id=person_id,
        challenge_id=result.challenge_id,
        parts=[_part(part) for part in result.parts],
        decision=None if decision is None else DecisionOut.of(decision, person_id, kept_as),
        spoof=None if result.spoof is None else SpoofVerdictOut.of(result.spoof),
    )


def _part(part: Part) -> PartOut:
    return PartOut.model_validate(part.to_dict())
