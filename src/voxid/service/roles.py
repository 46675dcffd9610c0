"""What may be done (scopes), and who usually may (roles)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from voxid.errors import InputError

__all__ = ["ROLES", "SCOPES", "Principal", "scopes_of"]

SCOPES: Final = (
    "audit consents correct diarize disputes enroll erase export identify keys live metrics models "
    "people:read people:write policies review spoof unknown verify watchlists"
).split()

ROLES: Final[dict[str, frozenset[str]]] = {
    "operator": frozenset(
        "consents correct diarize disputes enroll identify live models people:read people:write spoof unknown "
        "verify".split()
    ),
    "reviewer": frozenset("correct diarize disputes models people:read review spoof unknown".split()),
    "auditor": frozenset("audit metrics models".split()),
    "admin": frozenset(SCOPES),
}


@dataclass(frozen=True)
class Principal:
    """Who asks.

    Args:
        tenant: whose gallery they may see.
        kind: "key", or "oidc" for somebody an identity provider vouches for.
        id: of the key, or the provider's name for the person.
        roles: as granted.
        scopes: those of the roles and those granted one by one.
    """

    tenant: str
    kind: Literal["key", "oidc"]
    id: str
    roles: tuple[str, ...]
    scopes: frozenset[str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as sessions keep them."""
        return {**asdict(self), "roles": list(self.roles), "scopes": sorted(self.scopes)}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Principal:
        """Return the principal `to_dict` wrote."""
        return cls(
            fields["tenant"],
            fields["kind"],
            fields["id"],
            tuple(fields["roles"]),
            frozenset(fields["scopes"]),
        )


def scopes_of(roles: Iterable[str], scopes: Iterable[str] = ()) -> frozenset[str]:
    """Return everything roles and scopes allow together.

    Raises:
        InputError: role_unknown, scope_unknown.
    """
    granted = set(scopes)
    for scope in sorted(granted - set(SCOPES)):
        raise InputError("scope_unknown", f"{scope!r} is no scope; expected any of: {', '.join(SCOPES)}.")
    for role in roles:
        if role not in ROLES:
            raise InputError("role_unknown", f"{role!r} is no role; expected any of: {', '.join(ROLES)}.")
        granted |= ROLES[role]
    return frozenset(granted)
