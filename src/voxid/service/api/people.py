"""People: list, find, put on record with a consent, rename, merge, delete."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from voxid.errors import InputError
from voxid.gallery.records import Person
from voxid.service.api.shapes import (
    PERSON_EXAMPLE,
    After,
    ConsentIn,
    In,
    Limit,
    Name,
    Next,
    PersonId,
    PersonOut,
    page_of,
)
from voxid.service.diarizing import hand_on_timelines
from voxid.service.idempotency import Once
from voxid.service.identity import tenant_for
from voxid.service.problems import responses
from voxid.service.state import Tenant

__all__ = ["NOBODY", "person_by_id", "router"]

NOBODY = "There is no person of this id; list the people to see who is on record."

router = APIRouter(prefix="/people", tags=["people"], responses=responses())

Reading = Annotated[Tenant, Depends(tenant_for("people:read"))]
Writing = Annotated[Tenant, Depends(tenant_for("people:write"))]
Erasing = Annotated[Tenant, Depends(tenant_for("erase"))]


class PeoplePage(BaseModel):
    """Some of the people, in the order of their ids."""

    people: list[PersonOut]
    next: Next


class NewPerson(In):
    """A person to put on record, with what they agreed to."""

    name: Name
    consent: ConsentIn


class NewName(In):
    """Another name."""

    name: Name


class ByName(In):
    """A name to look for; names stand in bodies, never in addresses, which are logged."""

    name: Name


class Other(In):
    """Another record of the same person."""

    other_id: str = Field(
        pattern=r"^[0-9a-f-]{36}$",
        examples=["3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50"],
        description="Goes into this person and is gone",
    )


class MergePreviewOut(BaseModel):
    """What joining two records would leave."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"person": PERSON_EXAMPLE, "llr": 8.2, "alike": True, "lost_purposes": ["identify"]}
        }
    )

    person: PersonOut = Field(description="Who would be left: the voiceprints of both, what both agreed to")
    llr: float | None = Field(description="Of the two voices; null where one has no voiceprint")
    alike: bool | None = Field(
        description="Whether they sound like one person; false: refused unless allowed"
    )
    lost_purposes: list[str] = Field(description="What only one of them agreed to; it would end")


class Merging(Other):
    """Another record of the same person, to be taken over."""

    allow_inconsistent: bool = Field(False, description="Merge although the voices do not sound alike")


def person_by_id(tenant: Tenant, person_id: str) -> Person:
    """Return a person of a tenant.

    Raises:
        InputError: person_missing, in the same words for one who never was, who is gone, and who is another tenant's.
    """
    record = tenant.store.read(person_id)
    if record is None:
        raise InputError("person_missing", NOBODY)
    return record.public()


@router.get("", summary="List people")
def list_people(tenant: Reading, limit: Limit = 50, after: After = None) -> PeoplePage:
    """Return people in the order of their ids, a page at a time."""
    ids, following = page_of(sorted(tenant.store.person_ids()), after, limit)
    return PeoplePage(
        people=[PersonOut.of(record.public()) for record in tenant.store.read_many(ids)], next=following
    )


@router.post(
    "",
    status_code=201,
    summary="Put a person on record",
    responses=responses(409),
    response_model=PersonOut,
)
def add_person(tenant: Writing, once: Once, wanted: NewPerson) -> object:
    """Record a person and their consent; their voice comes with an enrollment."""

    def added() -> PersonOut:
        return PersonOut.of(tenant.gallery.register(wanted.name, wanted.consent.consent()))

    return once.answer(
        added, about=(wanted.model_dump_json(),), people_of=lambda person: [person.id], status=201
    )


@router.post("/search", summary="Find a person by name")
def find_person(tenant: Reading, wanted: ByName) -> PeoplePage:
    """Return the person of that name, in any upper or lower case, or nobody."""
    person_id = tenant.store.find(wanted.name)
    record = None if person_id is None else tenant.store.read(person_id)
    return PeoplePage(people=[] if record is None else [PersonOut.of(record.public())], next=None)


@router.get("/{person_id}", summary="Show a person", responses=responses(404))
def show_person(tenant: Reading, person_id: PersonId) -> PersonOut:
    """Return one person: voiceprints, the speech behind them, the history of their consent."""
    return PersonOut.of(person_by_id(tenant, person_id))


@router.patch("/{person_id}", summary="Rename a person", responses=responses(404, 409))
def rename_person(tenant: Writing, person_id: PersonId, wanted: NewName) -> PersonOut:
    """Give a person another name; voiceprints and consents stay."""
    person = person_by_id(tenant, person_id)
    return PersonOut.of(tenant.gallery.rename(person.name, wanted.name))


@router.post("/{person_id}/merge", summary="Join two records of a person", responses=responses(404, 409))
def merge_people(tenant: Writing, person_id: PersonId, wanted: Merging) -> PersonOut:
    """Take over the voiceprints of another record of the same person, which is deleted."""
    kept, other = person_by_id(tenant, person_id), person_by_id(tenant, wanted.other_id)
    merged = tenant.gallery.merge(kept.name, other.name, allow_inconsistent=wanted.allow_inconsistent)
    hand_on_timelines(tenant.store, other.id, kept.id)
    return PersonOut.of(merged)


@router.post(
    "/{person_id}/merge/preview", summary="Show what joining would leave", responses=responses(404, 409)
)
def preview_merge(tenant: Writing, person_id: PersonId, wanted: Other) -> MergePreviewOut:
    """Say who would be left, whether the voices sound alike, and which purposes would end; nothing is changed."""
    kept, other = person_by_id(tenant, person_id), person_by_id(tenant, wanted.other_id)
    preview = tenant.gallery.preview_merge(kept.name, other.name)
    return MergePreviewOut(
        person=PersonOut.of(preview.person),
        llr=None if preview.llr is None else round(preview.llr, 2),
        alike=preview.alike,
        lost_purposes=list(preview.lost_purposes),
    )


@router.delete("/{person_id}", status_code=204, summary="Delete a person", responses=responses(404))
def delete_person(tenant: Erasing, person_id: PersonId) -> None:
    """Destroy a person's keys and rows; it is proved in the file that their bytes are gone."""
    tenant.gallery.delete(person_by_id(tenant, person_id).name)
