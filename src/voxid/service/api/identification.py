"""Identify: who among the enrolled may this be? Off until the tenant's policy states what for."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from voxid.errors import PolicyError
from voxid.service.hearing import hearing_for
from voxid.service.idempotency import Once
from voxid.service.identity import service_of, tenant_for
from voxid.service.problems import responses
from voxid.service.state import Tenant
from voxid.service.uploads import AUDIO_BODY, Audio

__all__ = ["router"]

router = APIRouter(prefix="/identifications", tags=["identify"], responses=responses())


def _stated(tenant: Annotated[Tenant, Depends(tenant_for("identify"))]) -> Tenant:
    """Return the tenant, whose policy states a purpose; nothing of the recording is read before.

    Raises:
        PolicyError: identify_off.
    """
    if tenant.policy.identify_purpose is None:
        raise PolicyError(
            "identify_off",
            "Identification is off: nobody stated what it is for; an administrator does so in the policy "
            "(PUT /v1/policies, identify_purpose).",
        )
    return tenant


Identifying = Annotated[Tenant, Depends(_stated)]


class CandidateOut(BaseModel):
    """A person the voice may be."""

    person_id: str
    name: str
    llr: float = Field(description="Log-likelihood ratio, natural logarithm, 2 decimals")


class IdentificationOut(BaseModel):
    """Whom the voice may be, best first; nobody: unknown."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "candidates": [
                    {"person_id": "3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50", "name": "Ada Lovelace", "llr": 9.12}
                ],
                "compared": 128,
                "profile": "far_0.1pct",
                "purpose": "Greeting members who called before",
                "model_id": "voxid-base@0123456789ab",
                "audio_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            }
        }
    )

    candidates: list[CandidateOut]
    compared: int = Field(description="People who consent to be identified, with whom the voice was compared")
    profile: str
    purpose: str
    model_id: str
    audio_sha256: str


@router.post(
    "",
    summary="Identify a voice",
    responses=responses(408, 409, 413, 415),
    openapi_extra=AUDIO_BODY,
    response_model=IdentificationOut,
)
def identify_voice(
    tenant: Identifying,
    audio: Audio,
    once: Once,
    request: Request,
    top: Annotated[int, Query(ge=1, le=50, description="Most candidates")] = 5,
    profile: Annotated[str | None, Query(max_length=60, description="Without it the policy's")] = None,
) -> object:
    """Look for the voice among the people who consent to be identified; an empty list says unknown."""
    limits = service_of(request).settings.limits
    policy = tenant.policy
    chosen = profile or policy.identify_profile

    def search() -> IdentificationOut:
        gallery = tenant.gallery
        hearing = hearing_for(gallery, limits.max_verify_s, limits.max_audio_bytes)
        compared = gallery.compared("identify")
        found = gallery.identify(
            audio.content, top=top, profile=chosen, channel=audio.channel, hearing=hearing
        )
        ids = [(tenant.store.find(candidate.person), candidate) for candidate in found]
        return IdentificationOut(
            candidates=[
                CandidateOut(person_id=id_, name=candidate.person, llr=round(candidate.llr, 2))
                for id_, candidate in ids
                if id_ is not None  # deleted in this very moment
            ],
            compared=compared,
            profile=chosen,
            purpose=policy.identify_purpose or "",
            model_id=gallery.bundle.id,
            audio_sha256=audio.sha256,
        )

    return once.answer(search, about=(chosen, str(top), str(audio.channel), audio.sha256))
