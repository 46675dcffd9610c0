"""Consents: what a person agreed to, renewed and withdrawn; each a call of its own."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from voxid.gallery.records import Person
from voxid.service.api.people import person_by_id
from voxid.service.api.shapes import CONSENT_EXAMPLE, ConsentIn, ConsentRecordOut, In, PersonId, Purpose
from voxid.service.identity import tenant_for
from voxid.service.problems import responses
from voxid.service.state import Tenant

__all__ = ["router"]

router = APIRouter(prefix="/people/{person_id}/consents", tags=["consents"], responses=responses(404))

Reading = Annotated[Tenant, Depends(tenant_for("people:read"))]
Recording = Annotated[Tenant, Depends(tenant_for("consents"))]


class Consents(BaseModel):
    """The history of a person's consent, oldest first; the last entry is in force."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "person_id": "3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50",
                "consents": [
                    {
                        "version": 1,
                        "recorded_at": "2026-11-21T09:00:00+00:00",
                        "act": "given",
                        "consent": CONSENT_EXAMPLE,
                    }
                ],
            }
        }
    )

    person_id: str
    consents: list[ConsentRecordOut]

    @classmethod
    def of(cls, person: Person) -> Consents:
        """Return a person's history as JSON shows it."""
        history = [ConsentRecordOut.model_validate(record.to_dict()) for record in person.consents]
        return cls(person_id=person.id, consents=history)


class Withdrawal(In):
    """What is withdrawn."""

    purposes: list[Purpose] | None = Field(
        None, min_length=1, description="null: all of them, and every voiceprint is destroyed at once"
    )


@router.get("", summary="Show a person's consents")
def show_consents(tenant: Reading, person_id: PersonId) -> Consents:
    """Return the history of a person's consent."""
    return Consents.of(person_by_id(tenant, person_id))


@router.post("", status_code=201, summary="Record a consent")
def record_consent(tenant: Recording, person_id: PersonId, wanted: ConsentIn) -> Consents:
    """Record a consent that takes the place of the one in force."""
    person = person_by_id(tenant, person_id)
    return Consents.of(tenant.gallery.renew_consent(person.name, wanted.consent()))


@router.post("/withdraw", summary="Withdraw consent")
def withdraw_consent(tenant: Recording, person_id: PersonId, wanted: Withdrawal) -> Consents:
    """Record a withdrawal; with no purpose left every voiceprint is destroyed at once."""
    person = person_by_id(tenant, person_id)
    return Consents.of(tenant.gallery.withdraw(person.name, wanted.purposes))
