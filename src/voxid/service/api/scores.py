"""Scores: how far apart the voices enrolled are, and where the thresholds lie."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from voxid.recognize.spread import MOST_PEOPLE, spread_of
from voxid.service.api.models import ProfileOut
from voxid.service.identity import tenant_for
from voxid.service.problems import responses
from voxid.service.state import Tenant

__all__ = ["router"]

router = APIRouter(prefix="/scores", tags=["models"], responses=responses())

Looking = Annotated[Tenant, Depends(tenant_for("models"))]


class SpreadOut(BaseModel):
    """LLRs among the people enrolled, counted in bins; no pair can be told from it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"people": 12, "edges": [-10.0, 0.0, 10.0], "targets": [1, 30], "nontargets": [140, 2]}
        }
    )

    people: int
    edges: list[float] = Field(description="Of the bins, one more than there are counts")
    targets: list[int] = Field(description="Recordings against the other recordings of the same person")
    nontargets: list[int] = Field(description="Recordings against another person")


class ScoresOut(BaseModel):
    """The scale that decides, with thresholds and with the voices of this gallery on it."""

    model_id: str = Field(examples=["voxid-base@0123456789ab"])
    profiles: list[ProfileOut]
    spread: SpreadOut | None = Field(description="Null while fewer than five people can be compared")


@router.get("", summary="Show how scores are spread")
def show_scores(tenant: Looking) -> ScoresOut:
    """Compare the references of people who consent to be compared, up to 300 of them, and count the LLRs."""
    gallery = tenant.gallery
    ids = sorted(tenant.store.person_ids())[: 2 * MOST_PEOPLE]
    spread = spread_of(list(tenant.store.read_many(ids)), gallery.bundle, gallery.now())
    return ScoresOut(
        model_id=gallery.bundle.id,
        profiles=[ProfileOut.model_validate(one.to_dict()) for one in gallery.bundle.profiles.values()],
        spread=None if spread is None else SpreadOut.model_validate(spread.to_dict()),
    )
