"""Enrollments as sessions: begin, send recordings one by one, see how it goes, complete or give up."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from voxid.audio import Waveform
from voxid.gallery.change import Change
from voxid.gallery.documents import new_document_id
from voxid.gallery.records import PersonRecord
from voxid.recognize.listening import too_little_to_compare
from voxid.service.api.people import person_by_id
from voxid.service.api.shapes import After, EnrolledOut, In, Limit, Next
from voxid.service.attempts import remember_played
from voxid.service.enrolling import EnrollmentSession, Recording
from voxid.service.hearing import hearing_for
from voxid.service.idempotency import Once
from voxid.service.identity import service_of, tenant_for
from voxid.service.problems import responses
from voxid.service.state import Service, Tenant
from voxid.service.uploads import AUDIO_BODY, Audio
from voxid.spoof.fingerprint import encode, fingerprint

__all__ = ["router"]

router = APIRouter(prefix="/enrollments", tags=["enroll"], responses=responses(404))

Enrolling = Annotated[Tenant, Depends(tenant_for("enroll"))]
Running = Annotated[Service, Depends(service_of)]
EnrollmentId = Annotated[
    str,
    Path(
        pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        description="Id of the enrollment",
        examples=["0198f0a2-7d1e-7c55-9a0e-5f1f7a2f9b10"],
    ),
]


class NewEnrollment(In):
    """Whose voice is to be enrolled; the person is on record, with a consent in force."""

    person_id: str = Field(pattern=r"^[0-9a-f-]{36}$", examples=["3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50"])
    wanted_speech_s: float | None = Field(
        None, gt=0, le=600, description="Seconds of speech to aim for; null: the least that is enough"
    )


class Completion(In):
    """How to complete."""

    allow_duplicate: bool = Field(
        False, description="Enroll although the voice is enrolled under another name"
    )
    allow_inconsistent: bool = Field(
        False, description="Enroll although a recording does not sound like the rest"
    )


class RecordingOut(BaseModel):
    """What one recording offers."""

    id: str
    accepted: bool
    verdict: Literal["ok", "not_enough_speech", "poor_quality"]
    reason: str | None = Field(description="Why it was not accepted")
    duration_s: float
    net_speech_s: float
    snr_db: float | None
    clipping_share: float
    audio_sha256: str
    received_at: datetime

    @classmethod
    def of(cls, recording: Recording, reason: str | None = None) -> RecordingOut:
        """Return the recording as JSON shows it."""
        heard, quality = recording.heard, recording.heard.quality
        return cls.model_validate(
            {
                "id": recording.id,
                "accepted": heard.verdict == "ok",
                "verdict": heard.verdict,
                "reason": reason,
                "duration_s": round(quality.duration_s, 2),
                "net_speech_s": round(quality.net_speech_s, 2),
                "snr_db": None if quality.snr_db is None else round(quality.snr_db, 1),
                "clipping_share": round(quality.clipping_share, 4),
                "audio_sha256": heard.audio_sha256,
                "received_at": recording.received_at,
            }
        )


class EnrollmentOut(BaseModel):
    """How an enrollment stands."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "0198f0a2-7d1e-7c55-9a0e-5f1f7a2f9b10",
                "person_id": "3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50",
                "recordings": [],
                "net_speech_s": 3.2,
                "remaining_speech_s": 1.8,
                "consistency_llr": None,
                "inconsistent": None,
                "duplicate": None,
                "duplicate_is_certain": False,
                "ready": False,
                "ends_at": "2026-11-22T09:00:00Z",
                "last": None,
            }
        }
    )

    id: str
    person_id: str
    recordings: list[RecordingOut]
    net_speech_s: float = Field(description="Of all references the person would have")
    remaining_speech_s: float
    consistency_llr: float | None = Field(description="Lowest LLR of a recording against the rest")
    inconsistent: str | None = Field(description="What does not sound like the rest")
    duplicate: str | None = Field(description="Whose voice this is like, if anybody's")
    duplicate_is_certain: bool
    ready: bool = Field(description="Whether completing would succeed as it stands")
    ends_at: datetime = Field(description="Then it is forgotten")
    last: RecordingOut | None = Field(None, description="The recording this is the answer to")


class EnrollmentsPage(BaseModel):
    """Enrollments under way."""

    enrollments: list[EnrollmentOut]
    next: Next


@router.post("", status_code=201, summary="Begin an enrollment", response_model=EnrollmentOut)
def begin(tenant: Enrolling, service: Running, once: Once, wanted: NewEnrollment) -> object:
    """Begin; refused without a consent in force, before any recording is read."""
    person = person_by_id(tenant, wanted.person_id)

    def begun() -> EnrollmentOut:
        tenant.gallery.check_enrollable(person.name)
        speech_s = wanted.wanted_speech_s or tenant.gallery.policy.min_enroll_speech_s
        session = EnrollmentSession.begin(tenant.store, person.id, speech_s, service.clock())
        return _shown(tenant, session)

    return once.answer(begun, about=(wanted.model_dump_json(),), person_id=person.id, status=201)


@router.get("", summary="List enrollments under way")
def list_enrollments(
    tenant: Enrolling, service: Running, limit: Limit = 50, after: After = None
) -> EnrollmentsPage:
    """Return the enrollments under way, oldest first."""
    found = EnrollmentSession.all(tenant.store, service.clock(), after, limit + 1)
    page = found[:limit]
    return EnrollmentsPage(
        enrollments=[_shown(tenant, session) for session in page],
        next=page[-1].id if len(found) > limit else None,
    )


@router.get("/{enrollment_id}", summary="Show an enrollment")
def show(tenant: Enrolling, service: Running, enrollment_id: EnrollmentId) -> EnrollmentOut:
    """Return how an enrollment stands."""
    return _shown(tenant, EnrollmentSession.read(tenant.store, enrollment_id, service.clock()))


@router.post(
    "/{enrollment_id}/recordings",
    summary="Send a recording",
    responses=responses(404, 408, 409, 413, 415),
    openapi_extra=AUDIO_BODY,
    response_model=EnrollmentOut,
)
def add_recording(
    tenant: Enrolling, service: Running, enrollment_id: EnrollmentId, audio: Audio, once: Once
) -> object:
    """Hear one recording; one that is too short or too noisy is not kept, and the answer says why."""
    session = EnrollmentSession.read(tenant.store, enrollment_id, service.clock())

    def heard() -> EnrollmentOut:
        gallery, limits = tenant.gallery, service.settings.limits
        gallery.check_enrollable(person_by_id(tenant, session.person_id).name)
        prints: list[str] = []

        def decoded(waveform: Waveform) -> None:
            prints.append(encode(fingerprint(waveform.samples)))

        hearing = hearing_for(gallery, limits.max_enroll_s, limits.max_audio_bytes, decoded=decoded)
        found = hearing(audio.content, audio.channel)
        recording = Recording(new_document_id(), found, prints[0], service.clock())
        if found.embedding is None:
            reason = too_little_to_compare(found, gallery.policy)
            return _shown(tenant, session, RecordingOut.of(recording, reason))
        longer = session.with_recording(tenant.store, recording)
        return _shown(tenant, longer, RecordingOut.of(recording))

    about = (str(audio.channel), audio.sha256)
    return once.answer(heard, about=about, people_of=_people_in)


@router.delete("/{enrollment_id}/recordings/{recording_id}", summary="Take a recording out")
def remove_recording(
    tenant: Enrolling,
    service: Running,
    enrollment_id: EnrollmentId,
    recording_id: Annotated[str, Path(pattern=r"^[0-9a-f-]{36}$", description="Id of the recording in it")],
) -> EnrollmentOut:
    """Leave a recording out, e.g. one in which somebody else is speaking."""
    session = EnrollmentSession.read(tenant.store, enrollment_id, service.clock())
    return _shown(tenant, session.without(tenant.store, recording_id, service.clock()))


@router.post(
    "/{enrollment_id}/complete",
    summary="Complete an enrollment",
    responses=responses(404, 409),
    response_model=EnrolledOut,
)
def complete(
    tenant: Enrolling, service: Running, enrollment_id: EnrollmentId, wanted: Completion, once: Once
) -> object:
    """Write a voiceprint per recording, in one transaction with the end of the session: all or nothing."""
    session = EnrollmentSession.read(tenant.store, enrollment_id, service.clock())

    def completed() -> EnrolledOut:
        def also(change: Change, record: PersonRecord) -> None:
            session.forget(change, service.clock(), "enrollment.completed")
            remember_played(change, record.id, session.played(), service.settings.limits, service.clock())

        done = tenant.gallery.enroll_heard(
            person_by_id(tenant, session.person_id).name,
            session.heard(),
            allow_duplicate=wanted.allow_duplicate,
            allow_inconsistent=wanted.allow_inconsistent,
            also=also,
        )
        return EnrolledOut.of(done, session.person_id)

    return once.answer(completed, about=(wanted.model_dump_json(),), person_id=session.person_id)


@router.delete("/{enrollment_id}", status_code=204, summary="Give up an enrollment")
def give_up(tenant: Enrolling, service: Running, enrollment_id: EnrollmentId) -> None:
    """Forget everything heard so far."""
    session = EnrollmentSession.read(tenant.store, enrollment_id, service.clock())
    with tenant.store.changing() as change:
        session.forget(change, service.clock(), "enrollment.given_up")


def _people_in(shown: EnrollmentOut) -> set[str]:
    """Return whom an answer tells of: who is enrolled, and who is named because their voice is alike."""
    return {shown.person_id} if shown.duplicate is None else {shown.person_id, shown.duplicate}


def _shown(tenant: Tenant, session: EnrollmentSession, last: RecordingOut | None = None) -> EnrollmentOut:
    preview = tenant.gallery.preview(person_by_id(tenant, session.person_id).name, session.heard())
    remaining_s = max(0.0, session.wanted_speech_s - preview.net_speech_s)
    problem = preview.inconsistent is not None or preview.certain
    return EnrollmentOut(
        id=session.id,
        person_id=session.person_id,
        recordings=[RecordingOut.of(one) for one in session.recordings],
        net_speech_s=round(preview.net_speech_s, 2),
        remaining_speech_s=round(remaining_s, 2),
        consistency_llr=None if preview.consistency is None else round(preview.consistency, 2),
        inconsistent=preview.inconsistent,
        duplicate=preview.duplicate,
        duplicate_is_certain=preview.certain,
        ready=bool(session.recordings) and remaining_s == 0 and not problem,
        ends_at=session.ends_at,
        last=last,
    )
