"""Models: which bundle this service hears with, and what its thresholds rest on."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from voxid.bundle import Bundle
from voxid.errors import InputError
from voxid.service.identity import tenant_for
from voxid.service.problems import responses
from voxid.service.state import Tenant

__all__ = ["PROFILE_EXAMPLE", "ProfileOut", "router"]

router = APIRouter(prefix="/models", tags=["models"], responses=responses())

Looking = Annotated[Tenant, Depends(tenant_for("models"))]


PROFILE_EXAMPLE: Final[dict[str, Any]] = {
    "name": "far_1pct",
    "far": 0.01,
    "threshold_llr": 2.1,
    "review_llr": 0.4,
    "targets": 1200,
    "nontargets": 36000,
    "frr": 0.021,
}


class ProfileOut(BaseModel):
    """A threshold and the trials it was set on."""

    model_config = ConfigDict(json_schema_extra={"example": PROFILE_EXAMPLE})

    name: str
    far: float
    threshold_llr: float
    review_llr: float | None
    targets: int
    nontargets: int
    frr: float


class ModelOut(BaseModel):
    """A model bundle."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "voxid-base@0123456789ab",
                "name": "voxid-base",
                "dim": 192,
                "calibrated": True,
                "licence": "CC-BY-4.0",
                "profiles": [PROFILE_EXAMPLE],
            }
        }
    )

    id: str = Field(examples=["voxid-base@0123456789ab"])
    name: str
    dim: int
    calibrated: bool
    licence: str | None
    profiles: list[ProfileOut]

    @classmethod
    def of(cls, bundle: Bundle) -> ModelOut:
        """Return the bundle as JSON shows it."""
        licence = bundle.card.get("licence") or bundle.card.get("license")
        profiles = [ProfileOut.model_validate(one.to_dict()) for one in bundle.profiles.values()]
        return cls(
            id=bundle.id,
            name=bundle.name,
            dim=bundle.dim,
            calibrated=bundle.is_calibrated,
            licence=None if licence is None else str(licence),
            profiles=profiles,
        )


class Models(BaseModel):
    """The models this service hears with: one at a time."""

    models: list[ModelOut]


@router.get("", summary="List models")
def list_models(tenant: Looking) -> Models:
    """Return the bundle in use; voiceprints of another one are not compared."""
    return Models(models=[ModelOut.of(tenant.gallery.bundle)])


@router.get("/{model_id}", summary="Show a model", responses=responses(404))
def show_model(
    tenant: Looking,
    model_id: Annotated[str, Path(description="Id of the model", examples=["voxid-base@0123456789ab"])],
) -> ModelOut:
    """Return one bundle."""
    if model_id != tenant.gallery.bundle.id:
        raise InputError(
            "model_missing", "There is no model of this id here; list the models to see which is in use."
        )
    return ModelOut.of(tenant.gallery.bundle)
