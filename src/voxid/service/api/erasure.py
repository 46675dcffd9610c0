"""Erasure: everything of a person destroyed and proved gone, with a signed receipt."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from voxid.audit.statements import SignedStatement
from voxid.privacy.erasing import erase, erasure_receipt
from voxid.service.api.people import person_by_id
from voxid.service.api.shapes import In
from voxid.service.idempotency import Once
from voxid.service.identity import tenant_for
from voxid.service.problems import responses
from voxid.service.state import Tenant

__all__ = ["router"]

router = APIRouter(prefix="/erasures", tags=["erasure"], responses=responses(404))

Erasing = Annotated[Tenant, Depends(tenant_for("erase"))]
_UUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


class Erasure(In):
    """Whom to erase."""

    person_id: str = Field(pattern=_UUID, examples=["3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50"])
    reason: Literal["request", "withdrawal"] = "request"


class ReceiptOut(BaseModel):
    """What the service states about an erasure, signed (Ed25519 over canonical JSON); it names nobody.

    Who is handed the receipt knows whose it is. `recipients_to_tell` in it are those to whom something of the person
    was disclosed before.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "statement": "erasure_receipt",
                "body": {
                    "receipt_id": "0198f0a2-7d1e-7c55-9a0e-5f1f7a2f9b10",
                    "reason": "request",
                    "erased_at": "2026-11-21T09:00:00+00:00",
                    "proved_at": "2026-11-21T09:00:00+00:00",
                    "voiceprints": 2,
                    "consent_records": 1,
                    "recipients_to_tell": [],
                },
                "public_key": "0f" * 32,
                "signature": "0f" * 64,
            }
        }
    )

    statement: Literal["erasure_receipt"]
    body: dict[str, Any]
    public_key: str
    signature: str

    @classmethod
    def of(cls, statement: SignedStatement) -> ReceiptOut:
        """Return the receipt as JSON shows it."""
        return cls.model_validate(statement.to_dict())


@router.post(
    "",
    status_code=201,
    summary="Erase a person, with a receipt",
    responses=responses(404, 409),
    response_model=ReceiptOut,
)
def erase_person(tenant: Erasing, once: Once, wanted: Erasure) -> object:
    """Destroy a person's keys and rows, prove in the file that their bytes are gone, and return the signed receipt.

    On kept timelines the person is a stranger from then on. Refused while a legal hold is on the person.
    """

    def erased() -> ReceiptOut:
        person = person_by_id(tenant, wanted.person_id)
        return ReceiptOut.of(erase(tenant.gallery, person.name, reason=wanted.reason))

    # The receipt names nobody, so that the answer may stay; sent again after a broken line, it is given again.
    return once.answer(erased, about=(wanted.model_dump_json(),), status=201)


@router.get("/{receipt_id}", summary="Show a receipt")
def show_receipt(
    tenant: Erasing, receipt_id: Annotated[str, Path(pattern=_UUID, description="As it was handed out")]
) -> ReceiptOut:
    """Return the receipt of an erasure once more."""
    return ReceiptOut.of(erasure_receipt(tenant.store, receipt_id))
