"""Audit: what was done, by whom, and the proofs that nothing of it was changed since."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from voxid import __version__
from voxid.audit.events import Entry
from voxid.audit.exporting import cef_line
from voxid.gallery.audit_log import AuditLog
from voxid.service.identity import tenant_for
from voxid.service.problems import responses
from voxid.service.state import Tenant

__all__ = ["router"]

router = APIRouter(prefix="/audit", tags=["audit"], responses=responses())

Auditing = Annotated[Tenant, Depends(tenant_for("audit"))]


_HEAD_EXAMPLE: Final[dict[str, Any]] = {
    "at": "2026-11-21T09:00:00.000000Z",
    "last": "0f" * 32,
    "origin": "3b" * 32,
    "public_key": "c4" * 32,
    "root": "9f" * 32,
    "size": 17,
    "signature": "5e" * 64,
}


class ActorOut(BaseModel):
    """Who acted."""

    kind: Literal["local", "key", "oidc", "system"]
    id: str
    request_id: str | None


class EventOut(BaseModel):
    """One entry of the log."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "sequence": 17,
                "at": "2026-11-21T09:00:00.000000Z",
                "act": "verify.decided",
                "outcome": "accept",
                "actor": {"kind": "key", "id": "0198f0a2", "request_id": "0198f0a2-7d1e"},
                "person": "9f86d081884c7d659a2feaa0c55ad015",
                "person_id": "3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50",
                "erased": False,
                "facts": {"profile": "far_1pct"},
                "personal": None,
                "generation": 4,
                "hash": "0f" * 32,
            }
        }
    )

    sequence: int
    at: datetime
    act: str
    outcome: str
    actor: ActorOut
    person: str | None = Field(description="Pseudonym of whom it is about; it stays when the person goes")
    person_id: str | None = Field(description="Whom it leads to; null when nobody, or nobody any more")
    erased: bool
    facts: dict[str, Any]
    personal: dict[str, Any] | None = Field(description="Gone with the person's key")
    generation: int
    hash: str


class EventPage(BaseModel):
    """Some of the entries, oldest first."""

    events: list[EventOut]
    next: int | None = Field(description="`after` of the next page; null at the end")


class HeadOut(BaseModel):
    """Where the log stands, signed (Ed25519): keep it where whoever runs the service cannot change it."""

    model_config = ConfigDict(json_schema_extra={"example": _HEAD_EXAMPLE})

    at: str
    last: str
    origin: str
    public_key: str
    root: str
    size: int
    signature: str


class ProofOut(BaseModel):
    """That one entry is in the log as the signed head states it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "sequence": 17,
                "entry": '{"act":"verify.decided"}',
                "path": ["0f" * 32, "3b" * 32],
                "head": _HEAD_EXAMPLE,
            }
        }
    )

    sequence: int
    entry: str = Field(description="The entry itself, canonical JSON")
    path: list[str] = Field(description="Hashes to the root, lowest first (RFC 6962)")
    head: HeadOut


class ConsistencyOut(BaseModel):
    """That the log of one size is the beginning of the log of another."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"size1": 10, "size2": 17, "path": ["0f" * 32, "3b" * 32]}}
    )

    size1: int
    size2: int
    path: list[str]


class ReportOut(BaseModel):
    """What a check of the whole log found."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"whole": True, "entries": 17, "bad_entry": None, "problem": None, "root": "9f" * 32}
        }
    )

    whole: bool
    entries: int
    bad_entry: int | None = Field(description="Number of the first that is missing, changed or out of place")
    problem: str | None
    root: str | None


@router.get("/events", summary="List what was done")
def list_events(
    tenant: Auditing,
    after: Annotated[int, Query(ge=0, description="`next` of the page before")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most entries on the page")] = 100,
    person_id: Annotated[
        str | None,
        Query(pattern=r"^[0-9a-z-]{8,36}$", description="Only about this person, who is still here"),
    ] = None,
    act: Annotated[
        str | None, Query(pattern=r"^[a-z_]{1,40}\.[a-z_]{1,40}$", description="Only such acts")
    ] = None,
) -> EventPage:
    """Return entries of the log, oldest first."""
    found = _log(tenant).events(after=after, limit=limit + 1, person_id=person_id, act=act)
    page = [EventOut.model_validate(one.to_dict()) for one in found[:limit]]
    return EventPage(events=page, next=page[-1].sequence if len(found) > limit else None)


@router.get("/head", summary="Where the log stands, signed")
def show_head(tenant: Auditing) -> HeadOut:
    """Return the signed head of the log."""
    return HeadOut.model_validate(_log(tenant).sign_head().to_dict())


@router.get("/events/{sequence}/proof", summary="Prove an entry", responses=responses(404))
def prove(
    tenant: Auditing, sequence: Annotated[int, Path(ge=1, le=1 << 60, description="Number of the entry")]
) -> ProofOut:
    """Return the proof that an entry is in the log; `scripts/verify_audit.py` checks it without the service."""
    return ProofOut.model_validate(_log(tenant).proof(sequence).to_dict())


@router.get("/consistency", summary="Prove that nothing was changed between two heads")
def consistency(
    tenant: Auditing,
    size1: Annotated[int, Query(ge=1, le=1 << 60, description="Of the head you kept")],
    size2: Annotated[
        int | None, Query(ge=1, le=1 << 60, description="Left out: as the log stands now")
    ] = None,
) -> ConsistencyOut:
    """Return the proof that the log of one size is the beginning of the log of another."""
    log = _log(tenant)
    size = log.head().size if size2 is None else size2
    return ConsistencyOut(size1=size1, size2=size, path=log.consistency(size1, size))


@router.post("/verify", summary="Check the whole log")
def verify(tenant: Auditing) -> ReportOut:
    """Read and hash everything again; the first bad entry is named."""
    return ReportOut.model_validate(_log(tenant).verify().to_dict())


@router.get(
    "/export",
    summary="Download the log",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {kind: {"schema": {"type": "string"}} for kind in ("application/jsonl", "text/plain")}
        }
    },
)
def export(
    tenant: Auditing,
    form: Annotated[Literal["jsonl", "cef"], Query(description="JSON lines, or CEF for a SIEM")] = "jsonl",
    after: Annotated[int, Query(ge=0, description="Only entries behind this number")] = 0,
) -> StreamingResponse:
    """Return the log line by line, as it is hashed; personal fields are not in it."""
    lines = _log(tenant).lines(after=after)
    kind = "application/jsonl" if form == "jsonl" else "text/plain; charset=utf-8"
    return StreamingResponse(_written(lines, form), media_type=kind)


def _written(lines: Iterator[bytes], form: str) -> Iterator[bytes]:
    for line in lines:
        yield (line if form == "jsonl" else cef_line(Entry.parse(line), __version__).encode()) + b"\n"


def _log(tenant: Tenant) -> AuditLog:
    return tenant.store.audit()
