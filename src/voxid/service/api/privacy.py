"""Privacy: who is responsible, what is processed, whose time is over, what was given to whom, the public policy."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from voxid.errors import InputError
from voxid.privacy.disclosures import Disclosure, disclose, ledger_page
from voxid.privacy.policy import policy_page, policy_sections
from voxid.privacy.processing import processing_record, shown
from voxid.privacy.retention import run_retention
from voxid.privacy.settings import PrivacySettings, read_settings, write_settings
from voxid.service.api.people import person_by_id
from voxid.service.api.shapes import After, In, Limit, Next, PersonId, Purpose
from voxid.service.idempotency import Once
from voxid.service.identity import service_of, tenant_for
from voxid.service.problems import responses
from voxid.service.state import Service, Tenant

__all__ = ["public_router", "router"]

router = APIRouter(tags=["privacy"], responses=responses())
public_router = APIRouter(tags=["privacy"])

Deciding = Annotated[Tenant, Depends(tenant_for("policies"))]
Auditing = Annotated[Tenant, Depends(tenant_for("audit"))]
Erasing = Annotated[Tenant, Depends(tenant_for("erase"))]
Giving = Annotated[Tenant, Depends(tenant_for("export"))]
Running = Annotated[Service, Depends(service_of)]
Text = Annotated[str, Field(max_length=400)]
_POLICY_CSP = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


_GIVEN_EXAMPLE: Final[dict[str, Any]] = {
    "recipient": "Police of Cork",
    "what": "timeline of 3 May",
    "basis": "warrant 4711",
    "at": "2026-11-21T09:00:00+00:00",
}


class PrivacyIn(In):
    """Everything the operator states, made from the version it names."""

    controller: Text = Field("", examples=["Example Ltd, 1 Harbour Street, Cork"])
    contact: Text = Field("", examples=["privacy@example.org"])
    officer: Text = Field("", examples=["Dr. Jane Roe"])
    location: Text = Field("", examples=["Dublin, Ireland"])
    jurisdiction: str | None = Field(None, max_length=20, examples=["EU", "US-IL"])
    keep_days: dict[Purpose, int] = Field({}, description="Purpose to days after which consent for it ends")
    proof_days: int = Field(5 * 365 + 1, ge=0, description="How long a withdrawn consent is kept as proof")
    version: int = Field(ge=0, examples=[0], description="Of the settings these were made from")


class PrivacyOut(BaseModel):
    """What the operator states."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "controller": "Example Ltd, 1 Harbour Street, Cork",
                "contact": "privacy@example.org",
                "officer": "Dr. Jane Roe",
                "location": "Dublin, Ireland",
                "jurisdiction": "EU",
                "keep_days": {"verify": 365},
                "proof_days": 1826,
                "version": 1,
            }
        }
    )

    controller: str
    contact: str
    officer: str
    location: str
    jurisdiction: str | None
    keep_days: dict[str, int]
    proof_days: int
    version: int


class RetentionIn(In):
    """Whether only to look."""

    dry_run: bool = Field(True, description="Only say whose time is over")


class RetentionOut(BaseModel):
    """Whose time is over, and what was done about it."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"dry_run": True, "due": [], "receipts": [], "unknown": []}}
    )

    dry_run: bool
    due: list[dict[str, Any]]
    receipts: list[dict[str, Any]] = Field(description="Of erasures, signed")
    unknown: list[str] = Field(description="Ids of people without a name whose time was over")


class DisclosureIn(In):
    """Something of a person given to somebody."""

    recipient: str = Field(min_length=1, max_length=400, examples=["Police of Cork"])
    what: str = Field(min_length=1, max_length=400, examples=["timeline of 3 May"])
    basis: str = Field(min_length=1, max_length=400, examples=["warrant 4711"])


class DisclosureOut(BaseModel):
    """An entry of the ledger."""

    model_config = ConfigDict(json_schema_extra={"example": _GIVEN_EXAMPLE})

    recipient: str
    what: str
    basis: str
    at: str


class Disclosures(BaseModel):
    """Some of the ledger of one person, oldest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "person_id": "3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50",
                "disclosures": [_GIVEN_EXAMPLE],
                "next": None,
            }
        }
    )

    person_id: str
    disclosures: list[DisclosureOut]
    next: Next


class LedgerEntry(DisclosureOut):
    """An entry of the ledger, with whom it is about."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **_GIVEN_EXAMPLE,
                "person_id": "3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50",
                "person": "Ada Lovelace",
            }
        }
    )

    person_id: str
    person: str


class LedgerPage(BaseModel):
    """Some of the ledger, oldest first."""

    disclosures: list[LedgerEntry]
    next: Next


@router.get("/privacy", summary="Show the privacy settings")
def show_settings(tenant: Deciding) -> PrivacyOut:
    """Return who is responsible, and which periods were decided."""
    return PrivacyOut.model_validate(read_settings(tenant.store).to_dict())


@router.put("/privacy", summary="Set the privacy settings", responses=responses(409))
def set_settings(tenant: Deciding, service: Running, wanted: PrivacyIn) -> PrivacyOut:
    """Replace the settings; 409 when somebody else changed them since the version named."""
    settings = PrivacySettings(**wanted.model_dump())
    return PrivacyOut.model_validate(write_settings(tenant.store, settings, service.clock()).to_dict())


@router.get("/privacy/processing", summary="Show the record of processing")
def show_processing(tenant: Auditing, service: Running) -> dict[str, Any]:
    """Return the record (GDPR article 30), made from the gallery and the configuration as they are now."""
    return processing_record(tenant.gallery, shown(service.settings))


@router.post("/privacy/retention", summary="Let go whose time is over")
def run(tenant: Erasing, wanted: RetentionIn) -> RetentionOut:
    """Erase people, end purposes and forget strangers whose time is over; by default only say who they are."""
    return RetentionOut.model_validate(run_retention(tenant.gallery, dry_run=wanted.dry_run).to_dict())


@router.get("/disclosures", summary="List what was given, of everybody")
def list_disclosures(tenant: Giving, limit: Limit = 50, after: After = None) -> LedgerPage:
    """Return the ledger of everybody on record, in order of time; an entry goes with its person."""
    page, following = ledger_page(tenant.store, after, limit)
    ids = sorted({person_id for person_id, _ in page})
    names = {person.id: person.name for person in tenant.store.read_many(ids)}
    entries = [
        LedgerEntry(person_id=id_, person=names[id_], **one.to_dict()) for id_, one in page if id_ in names
    ]
    return LedgerPage(disclosures=entries, next=following)


@router.get("/people/{person_id}/disclosures", summary="Show what was given", responses=responses(404))
def show_disclosures(
    tenant: Giving, person_id: PersonId, limit: Limit = 200, after: After = None
) -> Disclosures:
    """Return to whom something of a person was given, and on which basis."""
    person = person_by_id(tenant, person_id)
    page, following = ledger_page(tenant.store, after, limit, person.id)
    ledger = [DisclosureOut.model_validate(one.to_dict()) for _, one in page]
    return Disclosures(person_id=person.id, disclosures=ledger, next=following)


@router.post(
    "/people/{person_id}/disclosures",
    status_code=201,
    summary="Write down what was given",
    responses=responses(404, 409),
    response_model=DisclosureOut,
)
def add_disclosure(
    tenant: Giving, service: Running, once: Once, person_id: PersonId, wanted: DisclosureIn
) -> object:
    """Write an entry into the ledger; it goes with the person."""
    person = person_by_id(tenant, person_id)

    def written() -> DisclosureOut:
        entry = Disclosure(**wanted.model_dump())
        return DisclosureOut.model_validate(
            disclose(tenant.store, person.name, entry, service.clock()).to_dict()
        )

    return once.answer(written, about=(wanted.model_dump_json(),), person_id=person.id, status=201)


@public_router.get(
    "/policy/{tenant_id}",
    response_class=HTMLResponse,
    summary="The public policy",
    responses={status: responses(404)[status] for status in (404, 422, 500, 503)},
)
def show_policy(
    request: Request, tenant_id: Annotated[str, Path(pattern=r"^[a-z0-9-]{1,32}$", examples=["default"])]
) -> HTMLResponse:
    """Return a tenant's retention schedule and rights as a page, without signing in, once a controller is stated."""
    try:
        store = service_of(request).tenants.get(tenant_id).store
    except InputError:
        raise _no_policy() from None
    if not read_settings(store).controller:
        raise _no_policy()
    return HTMLResponse(policy_page(policy_sections(store)), headers={"Content-Security-Policy": _POLICY_CSP})


def _no_policy() -> InputError:
    return InputError(
        "policy_missing", "There is no policy here; the operator states who is responsible first."
    )
