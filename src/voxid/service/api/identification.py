"""Identify: who among the enrolled may this be? Off until the tenant's policy states what for."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from voxid.audio import AudioSource
from voxid.decision import Candidate
from voxid.errors import PolicyError
from voxid.recognize.listening import Heard
from voxid.service.api.spoof_shapes import SpoofVerdictOut
from voxid.service.hearing import hearing_for
from voxid.service.idempotency import Once
from voxid.service.identity import service_of, tenant_for
from voxid.service.problems import responses
from voxid.service.state import Service, Tenant
from voxid.service.uploads import AUDIO_BODY, Audio
from voxid.spoof.verdict import SpoofOutcome, SpoofVerdict

__all__ = ["router"]

_NOT_LIVE: Final = "spoof_suspected"

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
                "spoof": None,
                "withheld": False,
            }
        }
    )

    candidates: list[CandidateOut]
    compared: int = Field(description="People who consent to be identified, with whom the voice was compared")
    profile: str
    purpose: str
    model_id: str
    audio_sha256: str
    spoof: SpoofVerdictOut | None = Field(
        description="Whether the voice is live; null: the policy does not ask"
    )
    withheld: bool = Field(description="Nobody was looked for: the policy names live voices only")


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
    """Look for the voice among the people who consent to be identified; an empty list says unknown.

    Where the policy's `identify_spoof` is `strict`, nobody is looked for unless the voice is found to be live.
    """
    policy = tenant.policy
    chosen = profile or policy.identify_profile
    listening = _Listening(service_of(request), tenant)

    def search() -> IdentificationOut:
        gallery = tenant.gallery
        compared = gallery.compared("identify")
        found: list[Candidate] = []
        withheld = False
        try:
            found = gallery.identify(
                audio.content, top=top, profile=chosen, channel=audio.channel, hearing=listening.hear
            )
        except PolicyError as error:
            withheld = error.code == _NOT_LIVE
            if not withheld:
                raise
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
            spoof=None if listening.verdict is None else SpoofVerdictOut.of(listening.verdict),
            withheld=withheld,
        )

    return once.answer(
        search,
        about=(chosen, str(top), str(audio.channel), audio.sha256),
        people_of=lambda found: {candidate.person_id for candidate in found.candidates},
    )


class _Listening:
    """How a recording is heard, and what the spoof detector makes of it."""

    def __init__(self, service: Service, tenant: Tenant) -> None:
        limits = service.settings.limits
        self.verdict: SpoofVerdict | None = None
        self._service = service
        self._strict = tenant.policy.identify_spoof == "strict"
        asked = service.spoof_policy(tenant.policy.identify_spoof).mode != "off"
        detector = service.inference.detector if asked else None
        self._hearing = hearing_for(
            tenant.gallery, limits.max_verify_s, limits.max_audio_bytes, detector=detector
        )

    def hear(self, source: AudioSource, channel: int | None) -> Heard:
        """Return what was heard.

        Raises:
            PolicyError: spoof_suspected where only a live voice may be named, and this one was not found to be.
        """
        heard = self._hearing(source, channel)
        self.verdict = heard.spoof
        if heard.spoof is not None:
            self._service.judged(heard.spoof, "identify")
            if self._strict and heard.spoof.outcome is not SpoofOutcome.GENUINE:
                raise PolicyError(_NOT_LIVE, f"Nobody was looked for. {heard.spoof.reason}")
        return heard
