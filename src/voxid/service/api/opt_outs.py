"""Opt-outs: nobody of this name is enrolled, verified or named again; the person need never have been on record."""

from __future__ import annotations

from typing import Annotated, Self

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field, model_validator

from voxid.service.api.people import person_by_id
from voxid.service.api.shapes import In, Name
from voxid.service.identity import tenant_for
from voxid.service.problems import responses
from voxid.service.state import Tenant

__all__ = ["router"]

router = APIRouter(prefix="/opt-outs", tags=["opt-outs"], responses=responses())

Consenting = Annotated[Tenant, Depends(tenant_for("consents"))]


class OptingOut(In):
    """Who opts out: by name, or by the id of somebody on record."""

    name: Name | None = None
    person_id: str | None = Field(None, pattern=r"^[0-9a-f-]{36}$")
    voice_wish: str | None = Field(
        None,
        min_length=1,
        max_length=4000,
        description="Where it is written down that the voice may be kept, to be recognised and never kept without a "
        "name, and for nothing else; left out, nothing of the voice is kept",
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.name is None) == (self.person_id is None):
            raise ValueError("give one of name and person_id")
        return self


class OptedOut(BaseModel):
    """What is kept after an opt-out: a keyed hash of the name, and the voice where it was wished."""

    voice_id: str | None = Field(description="Under which the voice is recognised; null: it is not kept")


class ByName(In):
    """A name; names stand in bodies, never in addresses, which are logged."""

    name: Name


class OptOutState(BaseModel):
    """Whether a name is under an opt-out."""

    opted_out: bool


@router.post("", status_code=201, summary="Opt out", responses=responses(404))
def opt_out(tenant: Consenting, wanted: OptingOut) -> OptedOut:
    """Delete the person, if on record, and refuse the name from now on; also after a restore."""
    name = wanted.name or person_by_id(tenant, wanted.person_id or "").name
    return OptedOut(voice_id=tenant.gallery.opt_out(name, voice_wish=wanted.voice_wish))


@router.post("/check", summary="Look whether a name has opted out")
def check_opt_out(tenant: Consenting, wanted: ByName) -> OptOutState:
    """Return whether the name is under an opt-out; names that are can not be listed."""
    return OptOutState(opted_out=tenant.gallery.opted_out(wanted.name))


@router.post("/lift", status_code=204, summary="Lift an opt-out")
def lift_opt_out(tenant: Consenting, wanted: ByName) -> None:
    """Allow the name again, on the person's own wish; enrolling still takes a consent."""
    tenant.gallery.lift_opt_out(wanted.name)
