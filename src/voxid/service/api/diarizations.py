"""Diarizations: a recording goes in, a job works on it, a timeline with the names of the moment comes out."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from voxid.audit.actors import Actor
from voxid.audit.events import Event
from voxid.decision import DEFAULT_PROFILE
from voxid.errors import CompatibilityError, PolicyError
from voxid.gallery.documents import Document, new_document_id
from voxid.service.api.shapes import After, Limit, Next, document_page
from voxid.service.api.timeline_shapes import TimelineOut
from voxid.service.diarizing import DIARIZATION, TIMELINE, Wanted, read_kept
from voxid.service.disputing import under_review
from voxid.service.idempotency import Once
from voxid.service.identity import principal_of, service_of, tenant_for
from voxid.service.jobs import JOB, find_job, missing
from voxid.service.problems import TooOftenError, responses
from voxid.service.recordings import receive_recording, recording_name
from voxid.service.roles import Principal
from voxid.service.state import Service, Tenant
from voxid.service.timelines import shown
from voxid.service.uploads import AUDIO_BODY, recording_chunks
from voxid.service.watching import find_watchlist

__all__ = ["Asking", "JobId", "Running", "router"]

router = APIRouter(prefix="/diarizations", tags=["diarizations"], responses=responses())

Diarizing = Annotated[Tenant, Depends(tenant_for("diarize"))]
Running = Annotated[Service, Depends(service_of)]
Asking = Annotated[Principal, Depends(principal_of)]
JobId = Annotated[
    str,
    Path(
        pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        description="Id of the job, and of its timeline",
        examples=["0198f0a2-7d1e-7c55-9a0e-5f1f7a2f9b10"],
    ),
]
_MOST_WAITING: Final = 200
JobState = Literal["queued", "running", "cancelling", "done", "failed", "cancelled"]


class DiarizationQuery(BaseModel):
    """How to diarize."""

    model_config = ConfigDict(extra="forbid")

    channel: int | None = Field(None, ge=0, le=7, description="0-based channel; without it all are averaged")
    speakers: int | None = Field(None, ge=1, le=100, description="Exact number of voices")
    min_speakers: int | None = Field(None, ge=1, le=100, description="Least number of voices")
    max_speakers: int | None = Field(None, ge=1, le=100, description="Greatest number of voices")
    name_people: bool = Field(True, description="Name people who consent to it")
    profile: str = Field(DEFAULT_PROFILE, max_length=40, description="Threshold profile a name must pass")
    basis: str | None = Field(
        None,
        min_length=1,
        max_length=4000,
        description="Purpose and legal basis to keep voices without a name; without it none is kept. Needs the scope "
        "unknown",
    )
    remember_days: int = Field(30, ge=1, le=365, description="How long such voices are kept")
    watchlist: str | None = Field(
        None,
        pattern=r"^[0-9a-f-]{36}$",
        description="Look for the people of this watchlist as well. Needs the scope watchlists",
    )
    channels: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        pattern=r"^[A-Za-z0-9_-]+(,[A-Za-z0-9_-]+)*$",
        description="A call of one speaker a channel: what they are called",
        examples=["agent,customer"],
    )
    agent_id: str | None = Field(
        None,
        pattern=r"^[0-9a-f-]{36}$",
        description="Person to be verified on the channel called agent, else on the first. Needs the scope verify",
    )
    keep_days: int = Field(30, ge=1, le=365, description="How long the job and its timeline are kept")


class JobError(BaseModel):
    """Why a job failed."""

    code: str = Field(examples=["no_speech"])
    message: str


class JobOut(BaseModel):
    """A job, as it stands."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "0198f0a2-7d1e-7c55-9a0e-5f1f7a2f9b10",
                "kind": "diarization",
                "state": "running",
                "progress": 0.42,
                "recording": "board",
                "audio_sha256": "0f" * 32,
                "audio_bytes": 1843244,
                "created_at": "2026-11-21T09:00:00+00:00",
                "started_at": "2026-11-21T09:00:01+00:00",
                "finished_at": None,
                "due_at": None,
                "attempts": 1,
                "summary": None,
                "error": None,
            }
        }
    )

    id: str
    kind: str
    state: JobState
    progress: float | None = Field(description="Share done, 0 to 1; null where another process works on it")
    recording: str
    audio_sha256: str
    audio_bytes: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    due_at: datetime | None = Field(description="When the job and its timeline are deleted")
    attempts: int
    summary: dict[str, Any] | None
    error: JobError | None

    @classmethod
    def of(cls, service: Service, tenant: Tenant, job: Document) -> JobOut:
        """Return the job as JSON shows it."""
        names = ("kind", "audio_sha256", "audio_bytes", "created_at", "started_at", "finished_at")
        return cls(
            id=job.id,
            state=job.state,  # type: ignore[arg-type]  # one of the states, or pydantic says so
            progress=service.jobs.progress(tenant.id, job),
            recording=job.body["request"].get("uri", "audio"),
            due_at=job.due_at,
            **{name: job.body[name] for name in (*names, "attempts", "summary", "error")},
        )


class JobPage(BaseModel):
    """Some of the jobs, in the order they were made."""

    jobs: list[JobOut]
    next: Next


@router.post(
    "",
    status_code=202,
    summary="Diarize a recording",
    responses=responses(404, 408, 409, 413, 415),
    openapi_extra=AUDIO_BODY,
    response_model=JobOut,
)
async def add_diarization(
    request: Request,
    response: Response,
    tenant: Diarizing,
    service: Running,
    principal: Asking,
    once: Once,
    query: Annotated[DiarizationQuery, Query()],
    content_disposition: Annotated[
        str | None, Header(description="`attachment; filename=...` names the recording", max_length=1000)
    ] = None,
) -> object:
    """Take a recording and return the job that will work on it; ask for the job until its state is done."""
    if query.basis is not None and "unknown" not in principal.scopes:
        raise PolicyError(
            "scope_missing", "Keeping voices without a name needs the scope 'unknown'; leave `basis` out."
        )
    if query.agent_id is not None and "verify" not in principal.scopes:
        raise PolicyError(
            "scope_missing", "Verifying an agent needs the scope 'verify'; leave `agent_id` out."
        )
    if query.watchlist is not None:
        if "watchlists" not in principal.scopes:
            raise PolicyError(
                "scope_missing",
                "Looking for people of a list needs the scope 'watchlists'; leave `watchlist` out.",
            )
        await run_in_threadpool(find_watchlist, tenant.store, query.watchlist, tenant.gallery.now())
    wanted = Wanted(uri=recording_name(content_disposition), **query.model_dump())
    tenant.gallery.bundle.profile(wanted.profile)
    await run_in_threadpool(_check_room, tenant)
    id_ = new_document_id()
    spool, limit = service.jobs.spool, service.settings.limits.max_recording_bytes
    audio = await receive_recording(recording_chunks(request), spool, id_, max_bytes=limit)
    actor = Actor(principal.kind, principal.id, str(getattr(request.state, "request_id", "")) or None)

    def submitted() -> JobOut:
        job = service.jobs.submit(tenant.id, id_, DIARIZATION, wanted.to_dict(), audio, actor)
        response.headers["Location"] = f"{request.url.path}/{id_}"
        return JobOut.of(service, tenant, job)

    about = (audio.sha256, json.dumps(wanted.to_dict(), sort_keys=True))
    try:
        answer = await run_in_threadpool(once.answer, submitted, about=about, status=202)
    except BaseException:
        spool.remove(audio.name)
        raise
    if isinstance(answer, Response):  # the job was made before, by the first of these requests
        spool.remove(audio.name)
    return answer


def _check_room(tenant: Tenant) -> None:
    """Refuse one more recording where many wait already: each takes room on the disk until its turn."""
    if len(tenant.store.documents(JOB, state="queued", limit=_MOST_WAITING)) >= _MOST_WAITING:
        raise TooOftenError(
            "jobs_waiting",
            f"{_MOST_WAITING} recordings wait already; send this one when some are done.",
            60.0,
        )


@router.get("", summary="List jobs")
def list_diarizations(
    tenant: Diarizing,
    service: Running,
    state: Annotated[JobState | None, Query(description="Only those in this state")] = None,
    limit: Limit = 50,
    after: After = None,
) -> JobPage:
    """Return jobs in the order they were made, a page at a time."""
    page, following = document_page(tenant.store, JOB, after, limit, state=state)
    return JobPage(jobs=[JobOut.of(service, tenant, job) for job in page], next=following)


@router.get("/{job_id}", summary="Show a job", responses=responses(404))
def show_diarization(tenant: Diarizing, service: Running, job_id: JobId) -> JobOut:
    """Return a job: its state, and how far it is."""
    return JobOut.of(service, tenant, find_job(tenant.store, job_id))


@router.post("/{job_id}/cancel", summary="Cancel a job", responses=responses(404))
def cancel_diarization(tenant: Diarizing, service: Running, job_id: JobId) -> JobOut:
    """End a job within a second or so; its recording is deleted. One that has ended stays as it is."""
    return JobOut.of(service, tenant, service.jobs.cancel(tenant.id, job_id))


@router.delete("/{job_id}", status_code=204, summary="Delete a job", responses=responses(404, 409))
def delete_diarization(tenant: Diarizing, job_id: JobId) -> None:
    """Delete a job that has ended, and its timeline."""
    with tenant.store.changing() as change:
        job = change.document(JOB, job_id)
        if job is None:
            raise missing()
        if job.state in ("queued", "running", "cancelling"):
            raise CompatibilityError(
                "job_running", f"The job is {job.state}; cancel it first, and delete it when it has ended."
            )
        change.delete_document(JOB, job_id)
        change.delete_document(TIMELINE, job_id, erase=True)
        change.record(Event("job.deleted", facts={"job": job_id}))


@router.get("/{job_id}/timeline", summary="Show a timeline", responses=responses(404))
def show_timeline(tenant: Diarizing, job_id: JobId) -> TimelineOut:
    """Return who spoke when, with the names of this moment: people who may not be named (any more) are strangers."""
    document, kept = read_kept(tenant.store, job_id)
    disputed = ("timeline", job_id) in under_review(tenant.store)
    return TimelineOut.of(tenant.gallery, document, kept, disputed=disputed)


@router.get(
    "/{job_id}/timeline.{form}",
    summary="Download a timeline",
    responses={**responses(404), 200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    response_class=Response,
)
def download_timeline(
    tenant: Diarizing,
    job_id: JobId,
    form: Annotated[
        Literal["json", "rttm", "uem", "srt", "vtt", "csv", "textgrid"], Path(description="Format")
    ],
) -> Response:
    """Return the timeline in a format other tools read, as `voxid who` writes it."""
    timeline = shown(tenant.gallery, read_kept(tenant.store, job_id)[1]).timeline
    kind = "application/json" if form == "json" else "text/plain; charset=utf-8"
    text: str = getattr(timeline, f"to_{form}")()
    return Response(text, media_type=kind)
