"""Unknown people: voices kept without a name on stated grounds; listed, named, joined, forgotten, never kept again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from voxid.errors import InputError
from voxid.gallery import UnknownPerson
from voxid.service.api.shapes import After, ConsentIn, EnrolledOut, In, Limit, Name, Next, page_of
from voxid.service.identity import tenant_for
from voxid.service.problems import responses
from voxid.service.state import Tenant

__all__ = ["router"]

router = APIRouter(prefix="/unknown", tags=["unknown people"], responses=responses())

Unknown = Annotated[Tenant, Depends(tenant_for("unknown"))]
Enrolling = Annotated[Tenant, Depends(tenant_for("enroll"))]
_FORM = r"^unknown-[0-9a-z]{8}$"
UnknownId = Annotated[str, Path(pattern=_FORM, description="Id of the voice", examples=["unknown-7k3f2m9x"])]


class SightingOut(BaseModel):
    """One recording the voice was heard in."""

    uri: str
    audio_sha256: str
    heard_at: datetime
    expires_at: datetime
    speech_s: float
    basis: str


class OptOutOut(BaseModel):
    """The wish never to be kept again."""

    evidence: str
    recorded_at: datetime


class UnknownOut(BaseModel):
    """Somebody without a name."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "unknown-7k3f2m9x",
                "created_at": "2026-11-21T09:00:00+00:00",
                "times_heard": 2,
                "speech_s": 41.5,
                "first_at": "2026-11-21T09:00:00+00:00",
                "last_at": "2026-11-23T09:00:00+00:00",
                "expires_at": "2026-12-23T09:00:00+00:00",
                "sightings": [],
                "opt_out": None,
            }
        }
    )

    id: str
    created_at: datetime
    times_heard: int
    speech_s: float
    first_at: datetime | None
    last_at: datetime | None
    expires_at: datetime | None = Field(description="When the last of it is erased; null for an opt-out")
    sightings: list[SightingOut]
    opt_out: OptOutOut | None

    @classmethod
    def of(cls, person: UnknownPerson) -> UnknownOut:
        """Return the voice as JSON shows it."""
        return cls.model_validate(person.to_dict())


class UnknownPage(BaseModel):
    """Some of the voices, in the order of their ids."""

    unknown: list[UnknownOut]
    next: Next


class Naming(In):
    """Who it is."""

    name: Name
    consent: ConsentIn | None = Field(None, description="Left out where one on record covers diarize-name")
    allow_duplicate: bool = Field(False, description="Although the voice is enrolled under another name")
    allow_inconsistent: bool = Field(False, description="Although a recording does not sound like the others")


class Joining(In):
    """Another id of the same voice."""

    other_id: str = Field(
        pattern=_FORM, examples=["unknown-7k3f2m9x"], description="Leads to this one from now on"
    )
    allow_inconsistent: bool = Field(False, description="Although the voices do not sound alike")


class Wish(In):
    """Where the person's wish is written down."""

    evidence: str = Field(min_length=1, max_length=4000, examples=["letter of 3 May"])


class PurgedOut(BaseModel):
    """Of whom something was erased, or would be."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"purged": ["unknown-7k3f2m9x"], "dry_run": False}}
    )

    purged: list[str]
    dry_run: bool


@router.get("", summary="List unknown people")
def list_unknown(tenant: Unknown, limit: Limit = 50, after: After = None) -> UnknownPage:
    """Return the voices kept without a name, those who opted out among them."""
    found = {person.id: person for person in tenant.gallery.unknown.people()}
    ids, following = page_of(sorted(found), after, limit)
    return UnknownPage(unknown=[UnknownOut.of(found[id_]) for id_ in ids], next=following)


@router.get("/{unknown_id}", summary="Show an unknown person", responses=responses(404))
def show_unknown(tenant: Unknown, unknown_id: UnknownId) -> UnknownOut:
    """Return one of them: in which recordings, on which grounds, until when."""
    for person in tenant.gallery.unknown.people():
        if person.id == unknown_id:
            return UnknownOut.of(person)
    raise InputError(
        "unknown_missing", "There is no unknown person of this id; list them to see who there is."
    )


@router.post("/{unknown_id}/name", summary="Name an unknown person", responses=responses(404, 409))
def name_unknown(tenant: Enrolling, unknown_id: UnknownId, wanted: Naming) -> EnrolledOut:
    """Enroll a voice under its name; every timeline it is on shows the name from now on."""
    consent = None if wanted.consent is None else wanted.consent.consent()
    options = {"allow_duplicate": wanted.allow_duplicate, "allow_inconsistent": wanted.allow_inconsistent}
    enrolled = tenant.gallery.unknown.name(unknown_id, wanted.name, consent, **options)
    return EnrolledOut.of(enrolled, tenant.gallery.get(enrolled.person).id)


@router.post("/{unknown_id}/merge", summary="Join two unknown people", responses=responses(404, 409))
def merge_unknown(tenant: Unknown, unknown_id: UnknownId, wanted: Joining) -> UnknownOut:
    """Make two ids of one voice one; the other id leads here from now on."""
    joined = tenant.gallery.unknown.merge(
        unknown_id, wanted.other_id, allow_inconsistent=wanted.allow_inconsistent
    )
    return UnknownOut.of(joined)


@router.delete("/{unknown_id}", status_code=204, summary="Forget an unknown person", responses=responses(404))
def forget_unknown(tenant: Unknown, unknown_id: UnknownId) -> None:
    """Destroy the key, the voice and the list of recordings; these recordings do not bring it back."""
    tenant.gallery.unknown.forget(unknown_id)


@router.post("/{unknown_id}/opt-out", summary="Never keep a voice again", responses=responses(404))
def opt_out_unknown(tenant: Unknown, unknown_id: UnknownId, wish: Wish) -> UnknownOut:
    """Forget everything but the voice, which is kept to recognise the person's wish and for nothing else."""
    return UnknownOut.of(tenant.gallery.unknown.opt_out(unknown_id, wish.evidence))


@router.post("/purge", summary="Erase what has expired")
def purge_unknown(
    tenant: Unknown, dry_run: Annotated[bool, Query(description="Only say who it would be")] = False
) -> PurgedOut:
    """Erase what has expired. Every diarization that keeps voices does it too."""
    gone = tenant.gallery.unknown.purge(dry_run=dry_run)
    return PurgedOut(purged=[person.id for person in gone], dry_run=dry_run)
