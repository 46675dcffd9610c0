"""Jobs: work on a recording that takes longer than a request, done in threads of its own, one after another.

    queued ─> running ─> done | failed
       │         └─> cancelling ─> cancelled
       └─> cancelled

A job is a document of its tenant's gallery: its state in the clear, everything else sealed, the key of its waiting
audio (`voxid.service.spool`) among it. Its result is written in the transaction that makes it done. What this process
was working on when it ended, by whatever means, is begun again at the next start; what ended it three times is failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from voxid.audit.actors import Actor
from voxid.audit.events import Event
from voxid.decoding import SeekableAudio
from voxid.errors import InputError
from voxid.gallery.change import Change
from voxid.gallery.documents import Document
from voxid.gallery.store import Store
from voxid.recognize.gallery import Gallery
from voxid.service.spool import SealedAudio

__all__ = [
    "JOB",
    "OPEN_STATES",
    "Task",
    "Work",
    "WorkDone",
    "all_jobs",
    "audio_of",
    "ended_job",
    "find_job",
    "job_event",
    "missing",
    "new_job",
    "next_job",
    "put_job",
]

JOB: Final = "job"
"""The kind of the documents."""
OPEN_STATES: Final = ("queued", "running", "cancelling")


@dataclass(frozen=True)
class Task:
    """What a piece of work is given.

    Args:
        id: the job's.
        gallery: its tenant's.
        request: what was asked for.
        audio: opens the waiting audio, anew at each call.
        report: hears the share done, 0 to 1; raises where the job is to end.
    """

    id: str
    gallery: Gallery
    request: Mapping[str, Any]
    audio: Callable[[], SeekableAudio]
    report: Callable[[float], None]


@dataclass(frozen=True)
class WorkDone:
    """What a piece of work leaves behind, written together with the end of the job.

    Args:
        summary: kept in the job: counts, no names.
        documents: new ones, e.g. the timeline.
        events: for the audit log.
    """

    summary: Mapping[str, Any]
    documents: Sequence[Document] = ()
    events: Sequence[Event] = ()


Work = Callable[[Task], WorkDone]


def find_job(store: Store, id_: str) -> Document:
    """Return a job.

    Raises:
        InputError: job_missing.
    """
    job = store.document(JOB, id_)
    if job is None:
        raise missing()
    return job


def missing() -> InputError:
    """Return the error for a job that is not there, or is another tenant's."""
    return InputError("job_missing", "There is no job of this id; list the jobs to see which there are.")


def all_jobs(store: Store, state: str) -> list[Document]:
    """Return every job in a state, in the order they were made."""
    found: list[Document] = []
    while page := store.documents(JOB, state=state, after_id=found[-1].id if found else None, limit=500):
        found += page
    return found


def next_job(job: Document, *, state: str, **fields: Any) -> Document:
    """Return the next version of a job."""
    return replace(job, state=state, body={**job.body, **fields}, version=job.version + 1)


def put_job(change: Change, job: Document, done: WorkDone) -> None:
    """Write a job's next version, and what its work leaves behind."""
    for document in done.documents:
        if document.person_id is None or change.holds(document.person_id):  # they may be gone by now
            change.put_document(document)
    change.put_document(job)
    for event in done.events:
        change.record(event)
    if job.body["audio"] is None:
        change.record(job_event("job.ended", job))


def job_event(act: str, job: Document) -> Event:
    """Return what the audit log is told of a job."""
    facts = {"job": job.id, "kind": job.body["kind"], "audio_sha256": job.body["audio_sha256"]}
    failed = job.state == "failed"
    return Event(act, f"failed:{job.body['error']['code']}" if failed else job.state, facts=facts)


def audio_of(job: Document) -> SealedAudio:
    """Return what opens the audio a job waits with; one that has ended has none."""
    return SealedAudio.from_dict(job.body["audio"])


def new_job(
    id_: str, kind: str, request: Mapping[str, Any], audio: SealedAudio, by: Actor, at: datetime
) -> Document:
    """Return a job, queued."""
    body = {
        "kind": kind,
        "request": dict(request),
        "created_at": at.isoformat(),
        "created_by": by.to_dict(),
        "started_at": None,
        "finished_at": None,
        "attempts": 0,
        "audio": audio.to_dict(),
        "audio_sha256": audio.sha256,
        "audio_bytes": audio.size_bytes,
        "summary": None,
        "error": None,
    }
    return Document(JOB, id_, body, state="queued")


def ended_job(job: Document, state: str, now: datetime, **fields: Any) -> Document:
    """Return a job's last version: without the key of its audio, due to go."""
    keep = timedelta(days=float(job.body["request"].get("keep_days", 30)))
    ended = next_job(job, state=state, audio=None, finished_at=now.isoformat(), **fields)
    return replace(ended, due_at=now + keep)
