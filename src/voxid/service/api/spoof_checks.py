"""Spoof checks: is the voice in a recording live and human? Nobody is compared, and nothing of it is kept."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from voxid.audio import AudioLimits, load
from voxid.audit.events import Event
from voxid.service.api.spoof_shapes import SpoofCheckOut
from voxid.service.idempotency import Once
from voxid.service.identity import service_of, tenant_for
from voxid.service.problems import responses
from voxid.service.state import Tenant
from voxid.service.uploads import AUDIO_BODY, Audio
from voxid.stages import stage

__all__ = ["router"]

router = APIRouter(prefix="/spoof-checks", tags=["spoof"], responses=responses())

Checking = Annotated[Tenant, Depends(tenant_for("spoof"))]


@router.post(
    "",
    summary="Check whether a voice is live",
    responses=responses(408, 409, 413, 415),
    openapi_extra=AUDIO_BODY,
    response_model=SpoofCheckOut,
)
def check_voice(tenant: Checking, audio: Audio, once: Once, request: Request) -> object:
    """Say whether the speech of a recording is genuine, suspicious, a spoof, or that it cannot be told.

    The detector knows the kinds of fakes it was trained on and some that are like them; `genuine` is no proof of life.
    The recording is not kept; the audit log has its hash and the outcome.
    """
    service = service_of(request)
    limits = service.settings.limits
    caps = AudioLimits(max_duration_s=limits.max_verify_s, max_encoded_bytes=limits.max_audio_bytes)

    def check() -> SpoofCheckOut:
        with stage("decode"):
            waveform = load(audio.content, channel=audio.channel, limits=caps)
        verdict = service.detect(waveform, "spoof-check")
        facts = {
            "purpose": "spoof-check",
            "model_id": verdict.model_id,
            "audio_sha256": audio.sha256,
        }
        tenant.store.record([Event("spoof.checked", verdict.outcome.value, facts=facts, at=service.clock())])
        return SpoofCheckOut.model_validate(
            {**verdict.to_dict(), "duration_s": round(waveform.duration_s, 2), "audio_sha256": audio.sha256}
        )

    return once.answer(check, about=(str(audio.channel), audio.sha256))
