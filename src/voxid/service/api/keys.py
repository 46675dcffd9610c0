"""API keys: create, list, rotate, revoke. The text of a key is shown once, when it is made."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from voxid.errors import PolicyError
from voxid.service.api.shapes import After, In, Limit, Next
from voxid.service.credentials import ApiKey
from voxid.service.identity import principal_of, service_of, tenant_for
from voxid.service.problems import responses
from voxid.service.roles import Principal, scopes_of
from voxid.service.state import Tenant

__all__ = ["router"]

router = APIRouter(prefix="/keys", tags=["keys"], responses=responses())

Keeping = Annotated[Tenant, Depends(tenant_for("keys"))]
Asking = Annotated[Principal, Depends(principal_of)]
KeyId = Annotated[
    str, Path(pattern=r"^[0-9a-f]{12}$", description="Id of the key", examples=["5f1c0a9be2d4"])
]


_KEY_EXAMPLE: Final[dict[str, Any]] = {
    "id": "5f1c0a9be2d4",
    "label": "call centre gateway",
    "roles": ["operator"],
    "scopes": [],
    "created_at": "2026-11-21T09:00:00+00:00",
    "expires_at": None,
    "revoked_at": None,
    "rotated_to": None,
}


class NewKey(In):
    """A key to make; it may do no more than whoever makes it."""

    label: str = Field(min_length=1, max_length=200, examples=["call centre gateway"])
    roles: list[str] = Field([], max_length=4, examples=[["operator"]])
    scopes: list[str] = Field([], max_length=40, examples=[["verify"]])
    expires_at: AwareDatetime | None = None


class Rotation(In):
    """How long the old key is still taken."""

    overlap_s: float = Field(3600.0, ge=0, le=30 * 86_400, description="Seconds")


class KeyOut(BaseModel):
    """A key without its secret."""

    model_config = ConfigDict(json_schema_extra={"example": _KEY_EXAMPLE})

    id: str
    label: str
    roles: list[str]
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    rotated_to: str | None

    @classmethod
    def of(cls, key: ApiKey) -> KeyOut:
        """Return the key as JSON shows it."""
        return cls.model_validate(key, from_attributes=True)


class MadeKey(KeyOut):
    """A new key; `key` is its text, and is not kept."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={"example": {**_KEY_EXAMPLE, "key": "vxk_default_5f1c0a9be2d4_…"}},
    )

    key: str = Field(repr=False, examples=["vxk_default_5f1c0a9be2d4_…"])


class Keys(BaseModel):
    """Some of the keys, oldest first."""

    keys: list[KeyOut]
    next: Next


@router.get("", summary="List keys", responses=responses(404))
def list_keys(tenant: Keeping, limit: Limit = 200, after: After = None) -> Keys:
    """Return keys, oldest first; those revoked or expired too, for 90 days."""
    keys = tenant.keys.list()
    begin = 0 if after is None else 1 + [key.id for key in keys].index(tenant.keys.get(after).id)
    page = keys[begin : begin + limit]
    following = page[-1].id if len(keys) > begin + limit else None
    return Keys(keys=[KeyOut.of(key) for key in page], next=following)


@router.post("", status_code=201, summary="Make a key", responses=responses(409))
def create_key(tenant: Keeping, asking: Asking, wanted: NewKey, request: Request) -> MadeKey:
    """Make a key with roles, single scopes, or both."""
    beyond = scopes_of(wanted.roles, wanted.scopes) - asking.scopes
    if beyond:
        raise PolicyError(
            "scope_missing",
            f"A key can give no scope its maker lacks: {', '.join(sorted(beyond))}; leave it out.",
        )
    key, text = tenant.keys.create(
        wanted.label,
        service_of(request).clock(),
        roles=wanted.roles,
        scopes=wanted.scopes,
        expires_at=wanted.expires_at,
    )
    return MadeKey(**KeyOut.of(key).model_dump(), key=text)


@router.post("/{key_id}/rotate", status_code=201, summary="Rotate a key", responses=responses(404, 409))
def rotate_key(tenant: Keeping, key_id: KeyId, wanted: Rotation, request: Request) -> MadeKey:
    """Make the key's successor; the old one is taken for `overlap_s` more."""
    service = service_of(request)
    key, text = tenant.keys.rotate(key_id, service.clock(), wanted.overlap_s)
    service.remembered.clear()
    return MadeKey(**KeyOut.of(key).model_dump(), key=text)


@router.delete("/{key_id}", summary="Revoke a key", responses=responses(404))
def revoke_key(tenant: Keeping, key_id: KeyId, request: Request) -> KeyOut:
    """Refuse the key from now on, and every browser session opened with it."""
    service = service_of(request)
    key = tenant.keys.revoke(key_id, service.clock())
    service.remembered.clear()
    return KeyOut.of(key)
