"""The tenant's policy: the purpose of identification, threshold profiles, spoof checks, jurisdiction."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from voxid.privacy.settings import read_settings, write_settings
from voxid.service.api.shapes import In
from voxid.service.identity import service_of, tenant_for
from voxid.service.policy import SpoofCheck, TenantPolicy, write_policy
from voxid.service.problems import responses
from voxid.service.state import Tenant

__all__ = ["router"]

router = APIRouter(prefix="/policies", tags=["policies"], responses=responses())

Anybody = Annotated[Tenant, Depends(tenant_for())]
Deciding = Annotated[Tenant, Depends(tenant_for("policies"))]


class PolicyIn(In):
    """The whole policy, made from the version it names."""

    identify_purpose: str | None = Field(
        None,
        min_length=10,
        max_length=400,
        description="Why strangers are looked for among the enrolled; null turns identify off",
        examples=["Greeting members who called before"],
    )
    verify_profile: str = Field("far_1pct", max_length=60)
    identify_profile: str = Field("far_0.1pct", max_length=60)
    verify_spoof: SpoofCheck = Field(
        "off", description="check: no spoof is accepted; strict: nor what the detector cannot tell"
    )
    identify_spoof: SpoofCheck = Field(
        "off", description="check: the verdict is told; strict: only a genuine voice is named"
    )
    live_spoof: Literal["off", "check"] = Field("check", description="check: verdicts are told during calls")
    jurisdiction: str | None = Field(None, min_length=2, max_length=20, examples=["US-IL"])
    version: int = Field(ge=0, examples=[0], description="Of the policy this one was made from")


class PolicyOut(BaseModel):
    """The policy in force."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "identify_purpose": "Greeting members who called before",
                "verify_profile": "far_1pct",
                "identify_profile": "far_0.1pct",
                "verify_spoof": "check",
                "identify_spoof": "off",
                "live_spoof": "check",
                "jurisdiction": "US-IL",
                "version": 1,
            }
        }
    )

    identify_purpose: str | None
    verify_profile: str
    identify_profile: str
    verify_spoof: SpoofCheck
    identify_spoof: SpoofCheck
    live_spoof: Literal["off", "check"]
    jurisdiction: str | None
    version: int


@router.get("", summary="Show the policy")
def show_policy(tenant: Anybody) -> PolicyOut:
    """Return the policy in force."""
    return _shown(tenant, tenant.policy)


@router.put("", summary="Set the policy", responses=responses(409))
def set_policy(tenant: Deciding, wanted: PolicyIn, request: Request) -> PolicyOut:
    """Replace the policy; 409 when somebody else changed it since the version named."""
    for profile in (wanted.verify_profile, wanted.identify_profile):
        tenant.gallery.bundle.profile(profile)
    now = service_of(request).clock()
    fields = wanted.model_dump()
    jurisdiction = fields.pop("jurisdiction")
    written = write_policy(tenant.store, TenantPolicy(**fields), now)
    settings = read_settings(tenant.store)
    if settings.jurisdiction != jurisdiction:
        write_settings(tenant.store, replace(settings, jurisdiction=jurisdiction), now)
    return _shown(tenant, written)


def _shown(tenant: Tenant, policy: TenantPolicy) -> PolicyOut:
    """Whose law governs is one of the privacy settings, and shown here beside the rest."""
    jurisdiction = read_settings(tenant.store).jurisdiction
    return PolicyOut.model_validate({**policy.to_dict(), "jurisdiction": jurisdiction})
