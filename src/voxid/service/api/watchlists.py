"""Watchlists: a purpose of their own, people who consented to it, and recordings gone through for them."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from voxid.audit.events import Event
from voxid.backend import Quality
from voxid.decision import IDENTIFY_PROFILE
from voxid.errors import InputError
from voxid.gallery.documents import Document, new_document_id
from voxid.recognize.listening import embedding_of
from voxid.service.api.people import NOBODY
from voxid.service.api.shapes import After, In, Limit, Next, PersonId, document_page
from voxid.service.hearing import hearing_for
from voxid.service.idempotency import Once
from voxid.service.identity import principal_of, service_of, tenant_for
from voxid.service.problems import responses
from voxid.service.roles import Principal
from voxid.service.settings import Limits
from voxid.service.state import Tenant
from voxid.service.uploads import AUDIO_BODY, Audio, Upload
from voxid.service.watching import (
    ENTRY,
    WATCHLIST,
    Hit,
    check_watchable,
    entries_of,
    entry_id,
    find_watchlist,
    keep_hits,
    watch,
)

__all__ = ["router"]

router = APIRouter(prefix="/watchlists", tags=["watchlists"], responses=responses())

Watching = Annotated[Tenant, Depends(tenant_for("watchlists"))]
Asking = Annotated[Principal, Depends(principal_of)]
WatchlistId = Annotated[
    str,
    Path(
        pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        description="Id of the watchlist",
        examples=["0198f0a2-7d1e-7c55-9a0e-5f1f7a2f9b10"],
    ),
]
_MAX_KEEP_DAYS: Final = 365


class NewWatchlist(In):
    """A list, with what it is for."""

    title: str = Field(min_length=1, max_length=200, examples=["Callers who asked for a call back"])
    purpose: str = Field(
        examples=["Callers whose orders of court must be honoured"],
        min_length=10,
        max_length=4000,
        description="What these people are looked for, and on which legal basis",
    )
    keep_days: int = Field(90, ge=1, le=_MAX_KEEP_DAYS, description="The list ends after so many days")


class WatchlistOut(BaseModel):
    """A list."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "0198f0a2-7d1e-7c55-9a0e-5f1f7a2f9b10",
                "title": "Callers who asked for a call back",
                "purpose": "Calling back, on their own wish (form 9)",
                "created_at": "2026-11-21T09:00:00+00:00",
                "ends_at": "2027-02-19T09:00:00+00:00",
            }
        }
    )

    id: str
    title: str
    purpose: str
    created_at: datetime
    ends_at: datetime | None

    @classmethod
    def of(cls, document: Document) -> WatchlistOut:
        """Return the list as JSON shows it."""
        fields = {name: document.body[name] for name in ("title", "purpose", "created_at")}
        return cls(id=document.id, ends_at=document.due_at, **fields)


class WatchlistPage(BaseModel):
    """Some of the lists, in the order they were made."""

    watchlists: list[WatchlistOut]
    next: Next


class NewEntry(In):
    """Why somebody is on the list."""

    reason: str = Field(min_length=1, max_length=4000, examples=["Court order 4711"])


class EntryOut(BaseModel):
    """Somebody on a list."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "person_id": "3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50",
                "reason": "Court order 4711",
                "added_at": "2026-11-21T09:00:00+00:00",
            }
        }
    )

    person_id: str
    reason: str
    added_at: datetime


class EntryPage(BaseModel):
    """Some of those on a list, in the order of their ids."""

    entries: list[EntryOut]
    next: Next


class SearchOut(BaseModel):
    """What came of going through a recording; who was found is told to reviewers alone."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "hits": 1,
                "review_ids": ["0198f0a2-7d1e-7c55-9a0e-5f1f7a2f9b10"],
                "compared": 12,
                "audio_sha256": "9f" * 32,
            }
        }
    )

    hits: int
    review_ids: list[str] = Field(description="Items to review, one for each hit")
    compared: int = Field(description="People on the list")
    audio_sha256: str


@router.post(
    "", status_code=201, summary="Make a watchlist", responses=responses(409), response_model=WatchlistOut
)
def add_watchlist(tenant: Watching, once: Once, wanted: NewWatchlist, by: Asking) -> object:
    """Make a list for a stated purpose; it ends by itself."""

    def made() -> WatchlistOut:
        return WatchlistOut.of(_made(tenant, wanted, by))

    return once.answer(made, about=(wanted.model_dump_json(),), status=201)


def _made(tenant: Tenant, wanted: NewWatchlist, by: Principal) -> Document:
    now = tenant.gallery.now()
    body: dict[str, Any] = {
        "title": wanted.title,
        "purpose": wanted.purpose,
        "created_at": now.isoformat(),
        "created_by": f"{by.kind}:{by.id}",
    }
    ends_at = now + timedelta(days=wanted.keep_days)
    document = Document(WATCHLIST, new_document_id(), body, "active", due_at=ends_at)
    with tenant.store.changing() as change:
        change.put_document(document)
        change.record(Event("watchlist.made", facts={"watchlist": document.id}, at=now))
    return document


@router.get("", summary="List watchlists")
def list_watchlists(tenant: Watching, limit: Limit = 50, after: After = None) -> WatchlistPage:
    """Return the lists whose time has not run out."""
    now = tenant.gallery.now()
    page, following = document_page(tenant.store, WATCHLIST, after, limit)
    standing = [one for one in page if one.due_at is None or one.due_at > now]
    return WatchlistPage(watchlists=[WatchlistOut.of(one) for one in standing], next=following)


@router.get("/{watchlist_id}", summary="Show a watchlist", responses=responses(404))
def show_watchlist(tenant: Watching, watchlist_id: WatchlistId) -> WatchlistOut:
    """Return a list."""
    return WatchlistOut.of(find_watchlist(tenant.store, watchlist_id, tenant.gallery.now()))


@router.delete("/{watchlist_id}", status_code=204, summary="Delete a watchlist", responses=responses(404))
def delete_watchlist(tenant: Watching, watchlist_id: WatchlistId) -> None:
    """Delete a list and its entries; what was found by it stays with the reviewers."""
    find_watchlist(tenant.store, watchlist_id, tenant.gallery.now())
    entries = list(entries_of(tenant.store, watchlist_id))
    with tenant.store.changing() as change:
        for entry in entries:
            change.delete_document(ENTRY, entry.id)
        change.delete_document(WATCHLIST, watchlist_id)
        facts = {"watchlist": watchlist_id, "entries": len(entries)}
        change.record(Event("watchlist.deleted", facts=facts, at=tenant.gallery.now()))


@router.get("/{watchlist_id}/entries", summary="List who is on it", responses=responses(404))
def list_entries(
    tenant: Watching, watchlist_id: WatchlistId, limit: Limit = 200, after: After = None
) -> EntryPage:
    """Return who is on a list, a page at a time."""
    find_watchlist(tenant.store, watchlist_id, tenant.gallery.now())
    found = list(islice(entries_of(tenant.store, watchlist_id, after), limit + 1))
    page = [_entry_out(entry) for entry in found[:limit]]
    return EntryPage(entries=page, next=page[-1].person_id if len(found) > limit else None)


@router.put("/{watchlist_id}/entries/{person_id}", summary="Put somebody on it", responses=responses(404))
def put_entry(
    tenant: Watching, watchlist_id: WatchlistId, person_id: PersonId, wanted: NewEntry, by: Asking
) -> EntryOut:
    """Put a person on a list; their consent must cover the purpose watchlist."""
    now = tenant.gallery.now()
    find_watchlist(tenant.store, watchlist_id, now)
    person = tenant.store.read(person_id)
    if person is None:
        raise InputError("person_missing", NOBODY)
    check_watchable(person, now)
    body = {"reason": wanted.reason, "added_at": now.isoformat(), "added_by": f"{by.kind}:{by.id}"}
    id_ = entry_id(watchlist_id, person_id)
    with tenant.store.changing() as change:
        former = change.document(ENTRY, id_)
        version = 1 if former is None else former.version + 1
        entry = Document(ENTRY, id_, body, "active", person_id, version=version)
        change.put_document(entry)
        change.record(Event("watchlist.entered", "done", person_id, {"watchlist": watchlist_id}, at=now))
    return _entry_out(entry)


@router.delete(
    "/{watchlist_id}/entries/{person_id}",
    status_code=204,
    summary="Take somebody off it",
    responses=responses(404),
)
def delete_entry(tenant: Watching, watchlist_id: WatchlistId, person_id: PersonId) -> None:
    """Take a person off a list."""
    now = tenant.gallery.now()
    find_watchlist(tenant.store, watchlist_id, now)
    with tenant.store.changing() as change:
        if not change.delete_document(ENTRY, entry_id(watchlist_id, person_id)):
            raise InputError("person_missing", NOBODY)
        change.record(Event("watchlist.left", "done", person_id, {"watchlist": watchlist_id}, at=now))


@router.post(
    "/{watchlist_id}/searches",
    summary="Go through a recording of one voice",
    responses=responses(404, 408, 409, 413, 415),
    openapi_extra=AUDIO_BODY,
    response_model=SearchOut,
)
def search(
    tenant: Watching,
    watchlist_id: WatchlistId,
    audio: Audio,
    once: Once,
    request: Request,
    profile: Annotated[str, Query(max_length=60, description="Threshold profile")] = IDENTIFY_PROFILE,
) -> object:
    """Look for the people of a list in a recording of one voice; every hit becomes an item to review.

    For recordings of several people give a diarization the id of the list.
    """
    limits = service_of(request).settings.limits

    def searched() -> SearchOut:
        return _searched(tenant, watchlist_id, audio, profile, limits)

    return once.answer(searched, about=(profile, str(audio.channel), audio.sha256))


def _searched(tenant: Tenant, watchlist_id: str, audio: Upload, profile: str, limits: Limits) -> SearchOut:
    gallery, now = tenant.gallery, tenant.gallery.now()
    find_watchlist(tenant.store, watchlist_id, now)
    hear = hearing_for(gallery, limits.max_verify_s, limits.max_audio_bytes)
    heard = hear(audio.content, audio.channel)
    embedding = embedding_of(heard, gallery.policy)
    sha256, quality = heard.audio_sha256, Quality.of(heard.quality)
    found = watch(gallery, watchlist_id, embedding[None], [quality], profile, sha256)[0]
    about = {"audio_sha256": sha256}
    hits = [Hit(person_id, llr, about) for person_id, llr in found]
    kept = keep_hits(tenant.store, hits, watchlist_id, now)
    compared = sum(1 for _ in entries_of(tenant.store, watchlist_id))
    return SearchOut(hits=len(kept), review_ids=kept, compared=compared, audio_sha256=sha256)


def _entry_out(entry: Document) -> EntryOut:
    return EntryOut(
        person_id=entry.person_id or "", reason=entry.body["reason"], added_at=entry.body["added_at"]
    )
