"""Consent receipts: what a person agreed to, signed, for the person to keep (ISO/IEC TS 27560)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from voxid.privacy.receipts import issue_receipt
from voxid.service.api.people import person_by_id
from voxid.service.api.shapes import PersonId
from voxid.service.identity import tenant_for
from voxid.service.problems import responses
from voxid.service.state import Tenant

__all__ = ["StatementOut", "router"]

router = APIRouter(prefix="/people/{person_id}/receipts", tags=["consents"], responses=responses(404))

Recording = Annotated[Tenant, Depends(tenant_for("consents"))]


class StatementOut(BaseModel):
    """Something a gallery states, signed (Ed25519) over `statement` and `body` in canonical JSON."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "statement": "consent_receipt",
                "body": {"schema_version": "ISO-IEC-TS-27560:2023", "events": []},
                "public_key": "3b" * 32,
                "signature": "0f" * 64,
            }
        }
    )

    statement: str
    body: dict[str, Any]
    public_key: str = Field(description="Compare it with the one you were given by another way")
    signature: str


@router.post("", status_code=201, summary="Issue a consent receipt")
def issue(tenant: Recording, person_id: PersonId) -> StatementOut:
    """Sign what the person agrees to at this moment; a copy is kept with the person and goes with them."""
    person = person_by_id(tenant, person_id)
    return StatementOut.model_validate(issue_receipt(tenant.gallery, person.name).to_dict())
