"""The threads that work on jobs, the spool their audio waits in, and what is due to be deleted."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

from voxid.audit.actors import Actor, acting_as
from voxid.errors import CompatibilityError, ConfigError, InputError, VoxidError
from voxid.gallery.documents import Document
from voxid.gallery.store import Store
from voxid.recognize.gallery import Gallery
from voxid.service.jobs import (
    JOB,
    OPEN_STATES,
    Task,
    Work,
    WorkDone,
    all_jobs,
    audio_of,
    ended_job,
    job_event,
    missing,
    new_job,
    next_job,
    put_job,
)
from voxid.service.purging import purge_due
from voxid.service.spool import SealedAudio, Spool

__all__ = ["JobRunner", "JobTenant", "JobTenants"]

MAX_ATTEMPTS: Final = 3
_ASKED_EVERY_S: Final = 0.5  # how often a running job looks whether another process has cancelled it
_STOP_S: Final = 20.0  # how long closing waits for work that does not report
_PURGED_EVERY_S: Final = 600.0

_log = logging.getLogger("voxid.service.jobs")


class JobTenant(Protocol):
    """A tenant as jobs see it."""

    @property
    def gallery(self) -> Gallery:
        """Its people."""

    @property
    def store(self) -> Store:
        """Where its documents are."""


class JobTenants(Protocol):
    """All tenants, by id."""

    def ids(self) -> list[str]:
        """Return the ids."""

    def get(self, id_: str) -> JobTenant:
        """Return a tenant, opened."""


class _EndedError(Exception):
    """The work is to end here: cancelled, or the process closes."""


class _Run:
    """A job in progress here."""

    def __init__(self) -> None:
        self.progress = 0.0
        self.ended = threading.Event()
        self.asked_at_s = time.monotonic()


class JobRunner:
    """The jobs of all tenants, one spool of waiting audio, and the threads that work.

    Args:
        folder: of the spool; one process at a time.
        tenants: whose jobs.
        works: what to do for each kind of job.
        clock: the time with time zone.
        n_workers: jobs done at the same time.
    """

    def __init__(
        self,
        folder: Path,
        tenants: JobTenants,
        works: Mapping[str, Work],
        clock: Callable[[], datetime],
        *,
        n_workers: int = 1,
    ) -> None:
        self._folder = folder
        self._spool: Spool | None = None
        self._tenants = tenants
        self._works = dict(works)
        self._clock = clock
        self._waiting: queue.Queue[tuple[str, str] | None] = queue.Queue()
        self._running: dict[tuple[str, str], _Run] = {}
        self._closing = threading.Event()
        self._n_workers = n_workers
        self._threads: list[threading.Thread] = []

    @property
    def waiting(self) -> int:
        """How many jobs wait here for a worker now."""
        return self._waiting.qsize()

    @property
    def spool(self) -> Spool:
        """Where audio waits.

        Raises:
            ConfigError: jobs_not_running before `start` and after `close`.
        """
        if self._spool is None:
            raise ConfigError(
                "jobs_not_running", "Jobs are not taken here: this part of the service is not running."
            )
        return self._spool

    def start(self) -> None:
        """Take up what was left, delete audio nobody waits for, and begin to work.

        Raises:
            ConfigError: spool_in_use.
        """
        self._closing.clear()
        self._waiting = queue.Queue()
        self._spool = Spool(self._folder)
        wanted: set[str] = set()
        whole = True
        for tenant_id in self._tenants.ids():
            try:
                wanted |= self._recover(tenant_id)
            except VoxidError as error:
                # Its audio is not known now, so nothing of the spool may be taken for an orphan.
                whole = False
                _log.error("jobs of a tenant cannot be read: %s", error.code)
        if whole:
            self.spool.sweep(wanted)
        self._threads = [
            threading.Thread(target=self._work, name=f"voxid-job-{number}", daemon=True)
            for number in range(self._n_workers)
        ]
        self._threads.append(threading.Thread(target=self._keep_days, name="voxid-purge", daemon=True))
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End; jobs in progress go back into the queue and are begun again at the next start."""
        self._closing.set()
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join(_STOP_S)
        self._threads = []
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def submit(
        self, tenant_id: str, id_: str, kind: str, request: Mapping[str, Any], audio: SealedAudio, by: Actor
    ) -> Document:
        """Return a new job, queued; it is safely stored when this returns.

        Args:
            tenant_id, id_: whose, and the id the audio was spooled for.
            kind: of work.
            request: what the work needs to know; JSON.
            audio: in this runner's spool; deleted when this fails.
            by: who asks.
        """
        job = new_job(id_, kind, request, audio, by, self._clock())
        try:
            with self._tenants.get(tenant_id).store.changing() as change:
                change.put_document(job)
                change.record(job_event("job.queued", job))
        except BaseException:
            self.spool.remove(audio.name)
            raise
        self._waiting.put((tenant_id, id_))
        return job

    def cancel(self, tenant_id: str, id_: str) -> Document:
        """Return the job, cancelled or about to be; one that has ended stays as it is.

        Raises:
            InputError: job_missing.
        """
        store = self._tenants.get(tenant_id).store
        with store.changing() as change:
            job = change.document(JOB, id_)
            if job is None:
                raise missing()
            if job.state not in OPEN_STATES:
                return job
            # Nobody here works on it, and its audio is not here: another process's, which sees the state, or lost.
            elsewhere = audio_of(job).name not in self.spool.names()
            waiting = job.state == "queued" or ((tenant_id, id_) not in self._running and elsewhere)
            if job.state == "cancelling" and not waiting:
                return job
            after = self._ended(job, "cancelled") if waiting else next_job(job, state="cancelling")
            change.put_document(after)
            change.record(job_event("job.cancelled", after))
        if waiting:
            self.spool.remove(audio_of(job).name)
        run = self._running.get((tenant_id, id_))
        if run is not None:
            run.ended.set()
        return after

    def progress(self, tenant_id: str, job: Document) -> float | None:
        """Return the share of a job that is done, 0 to 1; None while another process works on it."""
        if job.state in ("done", "queued"):
            return 1.0 if job.state == "done" else 0.0
        run = self._running.get((tenant_id, job.id))
        return None if run is None else round(run.progress, 3)

    def purge(self) -> None:
        """Delete what is due of every tenant; a running service does it every ten minutes."""
        for tenant_id in self._tenants.ids():
            try:
                purge_due(self._tenants.get(tenant_id).store, self._clock())
            except VoxidError as error:
                _log.error("what is due of a tenant cannot be deleted: %s", error.code)

    # --- the threads' side ---

    def _keep_days(self) -> None:
        while not self._closing.wait(_PURGED_EVERY_S):
            self.purge()

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None and not self._closing.is_set():
            tenant_id, id_ = item
            try:
                self._do(tenant_id, id_)
            except VoxidError as error:
                _log.error("job %s could not be kept: %s", id_, error.code)
            except Exception as error:
                _log.error("job %s met a defect: %s", id_, type(error).__name__)

    def _do(self, tenant_id: str, id_: str) -> None:
        tenant = self._tenants.get(tenant_id)
        job = self._claim(tenant.store, id_)
        if job is None:
            return
        run = self._running[tenant_id, id_] = _Run()
        try:
            with acting_as(Actor.from_dict(job.body["created_by"])):
                self._finish(tenant, job, run)
        finally:
            del self._running[tenant_id, id_]

    def _claim(self, store: Store, id_: str) -> Document | None:
        """Return the job, running; None when it is not queued any more."""
        with store.changing() as change:
            job = change.document(JOB, id_)
            if job is None or job.state != "queued":
                return None
            now = self._clock().isoformat()
            job = next_job(job, state="running", started_at=now, attempts=job.body["attempts"] + 1)
            change.put_document(job)
            return job

    def _finish(self, tenant: JobTenant, job: Document, run: _Run) -> None:
        store = tenant.store
        done = WorkDone({})
        try:
            done = self._works[job.body["kind"]](self._task(tenant, job, run))
            after = self._ended(job, "done", summary=dict(done.summary))
        except _EndedError:
            if self._closing.is_set() and not run.ended.is_set():
                attempts = job.body["attempts"] - 1  # the process was closed: not the job's fault
                self._write(store, next_job(job, state="queued", attempts=attempts), WorkDone({}))
                return
            after = self._ended(job, "cancelled")
        except VoxidError as error:
            after = self._ended(job, "failed", error={"code": error.code, "message": error.message})
        except Exception as error:
            _log.error("job %s met a defect: %s", job.id, type(error).__name__)
            after = self._ended(job, "failed", error=_DEFECT)
        try:
            self._write(store, after, done)
        except InputError as error:  # what came out cannot be kept, e.g. it is too large
            failed = self._ended(job, "failed", error={"code": error.code, "message": error.message})
            self._write(store, failed, WorkDone({}))
        self.spool.remove(audio_of(job).name)

    def _write(self, store: Store, job: Document, done: WorkDone) -> None:
        try:
            with store.changing() as change:
                put_job(change, job, done)
        except CompatibilityError as error:
            if error.code != "document_changed":
                raise
            # Somebody cancelled or deleted it while its last version was being made.
            with store.changing() as change:
                stored = change.document(JOB, job.id)
                if stored is not None:
                    put_job(change, self._ended(stored, "cancelled"), WorkDone({}))

    def _task(self, tenant: JobTenant, job: Document, run: _Run) -> Task:
        def report(share: float) -> None:
            run.progress = min(max(share, run.progress), 1.0)
            if time.monotonic() - run.asked_at_s > _ASKED_EVERY_S:
                run.asked_at_s = time.monotonic()
                stored = tenant.store.document(JOB, job.id)
                if stored is None or stored.state != "running":
                    run.ended.set()
            if run.ended.is_set() or self._closing.is_set():
                raise _EndedError

        audio, uri = audio_of(job), str(job.body["request"].get("uri", "audio"))
        return Task(
            job.id,
            tenant.gallery,
            job.body["request"],
            lambda: self.spool.open(audio, job.id, uri=uri),
            report,
        )

    def _recover(self, tenant_id: str) -> set[str]:
        """Put what was left of a tenant's jobs back into the queue; return the names of the audio they wait with."""
        store = self._tenants.get(tenant_id).store
        left = sorted(
            (job for state in OPEN_STATES for job in all_jobs(store, state)), key=lambda job: job.id
        )
        wanted = set()
        for job in left:
            name = audio_of(job).name
            if name not in self.spool.names():
                continue  # another process's, with a spool of its own
            if job.state != "queued":
                job = self._taken_up(store, job)
            if job.state == "queued":
                wanted.add(name)
                self._waiting.put((tenant_id, job.id))
        return wanted

    def _taken_up(self, store: Store, job: Document) -> Document:
        if job.state == "cancelling":
            after = self._ended(job, "cancelled")
        elif job.body["attempts"] >= MAX_ATTEMPTS:
            after = self._ended(job, "failed", error=_CRASHED)
        else:
            after = next_job(job, state="queued")
        self._write(store, after, WorkDone({}))
        return after

    def _ended(self, job: Document, state: str, **fields: Any) -> Document:
        return ended_job(job, state, self._clock(), **fields)


_DEFECT: Final = {
    "code": "defect",
    "message": "The work failed in a way it should not; the log names the job. Please report this.",
}
_CRASHED: Final = {
    "code": "job_crashed",
    "message": f"The service ended {MAX_ATTEMPTS} times while it worked on this recording, so it is not begun again; "
    "send a shorter part, or give the service more memory.",
}
