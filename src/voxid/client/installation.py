"""Keys, policy and models over the network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from voxid.client.answers import Key, Model, Policy, read
from voxid.client.transport import Transport

__all__ = ["InstallationCalls"]


class InstallationCalls(Transport):
    """What administrators do."""

    def list_keys(self) -> list[Key]:
        """Return every key, without its text."""
        return [read(Key, one) for one in self.pages("/keys", "keys")]

    def create_key(
        self,
        label: str,
        *,
        roles: Iterable[str] = (),
        scopes: Iterable[str] = (),
        expires_at: datetime | None = None,
    ) -> Key:
        """Return a new key with its text, which cannot be had again."""
        body = {
            "label": label,
            "roles": sorted(roles),
            "scopes": sorted(scopes),
            "expires_at": None if expires_at is None else expires_at.isoformat(),
        }
        return read(Key, self.call("POST", "/keys", json=body))

    def rotate_key(self, key_id: str, *, overlap_s: float = 3600.0) -> Key:
        """Return the successor of a key, which is taken for `overlap_s` seconds more."""
        return read(Key, self.call("POST", f"/keys/{key_id}/rotate", json={"overlap_s": overlap_s}))

    def revoke_key(self, key_id: str) -> Key:
        """Return a key, refused from now on."""
        return read(Key, self.call("DELETE", f"/keys/{key_id}"))

    def policy(self) -> Policy:
        """Return the policy in force."""
        return read(Policy, self.call("GET", "/policies"))

    def change_policy(self, **changes: Any) -> Policy:
        """Return the policy after changing the fields named, e.g. ``identify_purpose="..."``.

        Raises:
            CompatibilityError: document_changed when somebody else changed it meanwhile.
        """
        wanted = replace(self.policy(), **changes)
        return read(Policy, self.call("PUT", "/policies", json=asdict(wanted)))

    def privacy(self) -> dict[str, Any]:
        """Return the privacy settings as JSON."""
        found: dict[str, Any] = self.call("GET", "/privacy")
        return found

    def change_privacy(self, **changes: Any) -> dict[str, Any]:
        """Return the privacy settings after changing the fields named, e.g. ``controller="Example Ltd"``."""
        changed: dict[str, Any] = self.call("PUT", "/privacy", json={**self.privacy(), **changes})
        return changed

    def run_retention(self, *, dry_run: bool = True) -> dict[str, Any]:
        """Return whose time is over; unless it is a dry run, they are let go."""
        report: dict[str, Any] = self.call("POST", "/privacy/retention", json={"dry_run": dry_run})
        return report

    def models(self) -> list[Model]:
        """Return the models the service hears with."""
        return [read(Model, one) for one in self.call("GET", "/models")["models"]]
