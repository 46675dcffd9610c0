"""Corrections: who speaks in a turn, where a turn ends, which turns are one; undone one by one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.concurrency import run_in_threadpool

from voxid.audio import load
from voxid.audit.events import Event
from voxid.diarize import reference_of
from voxid.diarize.pipeline import PACK_BEYOND_S
from voxid.errors import CompatibilityError, InputError
from voxid.gallery.documents import new_document_id
from voxid.service.api.diarizations import Asking, JobId, Running
from voxid.service.api.shapes import In, Name
from voxid.service.api.timeline_shapes import TimelineOut
from voxid.service.diarizing import read_kept, rewritten
from voxid.service.disputing import under_review
from voxid.service.edits import merge_turns, rename, split_turn, undo, wanted_corrections
from voxid.service.identity import tenant_for
from voxid.service.problems import responses
from voxid.service.recordings import receive_recording
from voxid.service.roles import Principal
from voxid.service.spool import SealedAudio, Spool
from voxid.service.state import Tenant
from voxid.service.timelines import KeptTimeline, Shown, check_nameable, shown
from voxid.service.uploads import AUDIO_BODY, recording_chunks
from voxid.timeline import Correction

__all__ = ["AtBy", "Correcting", "edited", "nameable", "router"]

router = APIRouter(prefix="/diarizations/{job_id}", tags=["corrections"], responses=responses(404, 409))

Correcting = Annotated[Tenant, Depends(tenant_for("correct"))]
Enrolling = Annotated[Tenant, Depends(tenant_for("enroll"))]
AtBy = tuple[datetime, str]
"""When something is changed, and who does it."""
TurnNumber = Annotated[int, Field(ge=1, description="Number of the turn, from 1", examples=[3])]


class SpeakerIn(In):
    """Who speaks: a person on record, by id or by name, or a label for a stranger; one of the three."""

    person_id: str | None = Field(None, pattern=r"^[0-9a-f-]{36}$")
    name: Name | None = None
    label: str | None = Field(None, pattern=r"^SPEAKER_[0-9]{2,3}$", examples=["SPEAKER_01"])

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(value is not None for value in (self.person_id, self.name, self.label)) != 1:
            raise ValueError("give one of person_id, name and label")
        return self


class Change(In):
    """A change of a timeline."""

    revision: int | None = Field(
        None,
        ge=1,
        description="Of the timeline the change was made on; refused when it is not the present one",
    )


class Renaming(Change):
    """Turns given to another speaker; to their own speaker, they are confirmed."""

    turns: list[TurnNumber] = Field(default_factory=list, max_length=10_000)
    speaker: str | None = Field(
        None, min_length=1, max_length=200, description="Instead of turns: all turns shown for this speaker"
    )
    to: SpeakerIn


class Splitting(Change):
    """A turn cut in two."""

    turn: TurnNumber
    at_s: float = Field(
        gt=0, examples=[12.5], description="Where, in seconds from the beginning of the recording"
    )
    to: SpeakerIn | None = Field(None, description="Who speaks in the second part; the same where left out")


class Joining(Change):
    """Several turns made one."""

    turns: list[TurnNumber] = Field(min_length=2, max_length=1000)
    to: SpeakerIn | None = Field(None, description="Who speaks; may be left out where all have one speaker")


class ReferenceOut(BaseModel):
    """What was added to a person's voiceprints."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "person_id": "3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50",
                "speech_s": 21.4,
                "voiceprints": 3,
                "warnings": [],
            }
        }
    )

    person_id: str
    speech_s: float = Field(description="Length of what was taken from the turns")
    voiceprints: int = Field(description="The person has now")
    warnings: list[str]


@router.post("/corrections", summary="Give turns to another speaker, or confirm them")
def correct(tenant: Correcting, by: Asking, job_id: JobId, wanted: Renaming) -> TimelineOut:
    """Correct turns; all of them or none. People must be on record and consent to be named on timelines."""
    speaker = _speaker(tenant, wanted.to)

    def edit(kept: KeptTimeline, at_by: AtBy) -> KeptTimeline:
        formers = _formers(kept, shown(tenant.gallery, kept), wanted.speaker)
        items = wanted_corrections(kept, speaker, turns=wanted.turns, formers=formers)
        return rename(kept, items, *at_by)

    return edited(tenant, by, job_id, wanted.revision, edit)


@router.post("/split", summary="Cut a turn in two")
def split(tenant: Correcting, by: Asking, job_id: JobId, wanted: Splitting) -> TimelineOut:
    """Cut a turn in two, where two people speak in it."""
    speaker = None if wanted.to is None else _speaker(tenant, wanted.to)
    return edited(
        tenant,
        by,
        job_id,
        wanted.revision,
        lambda kept, at_by: split_turn(kept, wanted.turn, wanted.at_s, speaker, *at_by),
    )


@router.post("/merge", summary="Make several turns one")
def merge(tenant: Correcting, by: Asking, job_id: JobId, wanted: Joining) -> TimelineOut:
    """Make several turns one, from the first start to the last end."""
    speaker = None if wanted.to is None else _speaker(tenant, wanted.to)
    return edited(
        tenant,
        by,
        job_id,
        wanted.revision,
        lambda kept, at_by: merge_turns(kept, wanted.turns, speaker, *at_by),
    )


@router.post("/undo", summary="Take the last change back")
def take_back(tenant: Correcting, by: Asking, job_id: JobId, wanted: Change) -> TimelineOut:
    """Take the last change back; again, the one before it."""
    return edited(tenant, by, job_id, wanted.revision, lambda kept, _: undo(kept))


@router.post(
    "/references",
    status_code=201,
    summary="Add what was said in corrected turns to a person's voiceprints",
    responses=responses(408, 413, 415),
    openapi_extra=AUDIO_BODY,
)
async def add_reference(
    request: Request,
    tenant: Enrolling,
    service: Running,
    job_id: JobId,
    person_id: Annotated[str, Query(pattern=r"^[0-9a-f-]{36}$", description="Whose")],
) -> ReferenceOut:
    """Take the recording once more, and add what the person says in turns somebody listened to as a reference.

    The person must consent to be named on timelines. The recording must be the one the timeline is of; nothing of it
    is kept.
    """
    spool, owner = service.jobs.spool, new_document_id()
    limit = service.settings.limits.max_recording_bytes
    audio = await receive_recording(recording_chunks(request), spool, owner, max_bytes=limit)
    try:
        return await run_in_threadpool(_add_reference, tenant, job_id, person_id, spool, audio, owner)
    finally:
        spool.remove(audio.name)


# --- what the routes share ---


def edited(
    tenant: Tenant,
    by: Principal,
    job_id: str,
    revision: int | None,
    edit: Callable[[KeptTimeline, AtBy], KeptTimeline],
) -> TimelineOut:
    """Return the timeline after a change that nobody else's came in between of."""
    document, kept = read_kept(tenant.store, job_id)
    if revision is not None and revision != document.version:
        raise CompatibilityError(
            "document_changed",
            f"The change was made on revision {revision} of the timeline, which is at {document.version} by now; read "
            "it again and repeat the change.",
        )
    after = edit(kept, (tenant.gallery.now(), f"{by.kind}:{by.id}"))
    written = rewritten(document, after)
    with tenant.store.changing() as change:
        change.put_document(written)
        act = after.edits[-1].act if len(after.edits) > len(kept.edits) else "undo"
        facts = {"timeline": job_id, "edit": act, "revision": written.version}
        change.record(Event("timeline.corrected", facts=facts))
    disputed = ("timeline", job_id) in under_review(tenant.store)
    return TimelineOut.of(tenant.gallery, written, after, disputed=disputed)


def _formers(kept: KeptTimeline, seen: Shown, speaker: str | None) -> frozenset[str]:
    if speaker is None:
        return frozenset()
    return seen.speakers.get(speaker) or frozenset({speaker})


def _speaker(tenant: Tenant, wanted: SpeakerIn) -> str:
    """Return the person id or label a turn is given to.

    Raises:
        InputError: person_missing. PolicyError: consent_missing, consent_expired.
    """
    if wanted.label is not None:
        return wanted.label
    return nameable(tenant, wanted.person_id if wanted.name is None else tenant.store.find(wanted.name))


def nameable(tenant: Tenant, person_id: str | None) -> str:
    """Return the id of somebody on record who may be named.

    Raises:
        InputError: person_missing. PolicyError: consent_missing, consent_expired.
    """
    person = None if person_id is None else tenant.store.read(person_id)
    if person is None:
        raise InputError(
            "person_missing",
            "There is nobody of this id or name on record; put the person on record first, or give a label such as "
            "SPEAKER_01.",
        )
    check_nameable(person, tenant.gallery.now())
    return person.id


def _add_reference(
    tenant: Tenant, job_id: str, person_id: str, spool: Spool, audio: SealedAudio, owner: str
) -> ReferenceOut:
    kept = read_kept(tenant.store, job_id)[1]
    person = tenant.store.read(person_id)
    if person is None:
        raise InputError(
            "person_missing", "There is no person of this id; list the people to see who is on record."
        )
    check_nameable(person, tenant.gallery.now())
    heard = [turn for turn in kept.timeline.turns if turn.reviewed and turn.speaker == person_id]
    items = [Correction(turn.segment, person_id, person_id) for turn in heard]
    with spool.open(audio, owner, uri=kept.timeline.uri) as file:
        waveform = load(file, pack_beyond_s=PACK_BEYOND_S)
    excerpt = reference_of(kept.timeline, items, person_id, waveform)
    added = tenant.gallery.add_reference(person.name, excerpt)
    return ReferenceOut(
        person_id=person_id,
        speech_s=round(excerpt.duration_s, 2),
        voiceprints=added.total,
        warnings=list(added.warnings),
    )
