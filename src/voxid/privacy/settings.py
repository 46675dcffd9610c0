"""Who is responsible for a gallery, and what they decided: one document in it, changed as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from voxid.audit.events import Event, canonical
from voxid.errors import InputError
from voxid.gallery.consent import PURPOSES
from voxid.gallery.documents import Document
from voxid.gallery.store import Store

__all__ = ["PrivacySettings", "read_settings", "write_settings"]

_KIND: Final = "privacy"
_ID: Final = "settings"
_MAX_CHARS: Final = 400
_MAX_DAYS: Final = 20 * 366


@dataclass(frozen=True)
class PrivacySettings:
    """What only the operator can say.

    Args:
        controller: who is responsible, with an address.
        contact: where people turn to with their rights.
        officer: data protection officer, if there is one.
        location: where the machine stands.
        jurisdiction: whose law governs where a consent names none.
        keep_days: purpose -> days from the last interaction after which consent for it ends; only shorter than the law
            allows has an effect.
        proof_days: how long the history of a withdrawn consent is kept as proof, without any voiceprint. Five years is
            the limitation of actions under BIPA (Tims v. Black Horse Carriers, 2023 IL 127801).
        version: of the document; 0 before the first change.

    Raises:
        InputError: privacy_settings_invalid.
    """

    controller: str = ""
    contact: str = ""
    officer: str = ""
    location: str = ""
    jurisdiction: str | None = None
    keep_days: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    proof_days: int = 5 * 365 + 1
    version: int = 0

    def __post_init__(self) -> None:
        for name in ("controller", "contact", "officer", "location"):
            if len(getattr(self, name)) > _MAX_CHARS:
                raise _invalid(
                    f"{name} has {len(getattr(self, name))} characters; expected at most {_MAX_CHARS}"
                )
        unknown = sorted(set(self.keep_days) - set(PURPOSES))
        if unknown:
            raise _invalid(f"keep_days names the purpose {unknown[0]!r}; known are {', '.join(PURPOSES)}")
        for days in (*self.keep_days.values(), self.proof_days):
            if not 0 <= days <= _MAX_DAYS:
                raise _invalid(f"a period has {days} days; expected 0 to {_MAX_DAYS}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            **{one.name: getattr(self, one.name) for one in fields(self)},
            "keep_days": dict(self.keep_days),
        }


def read_settings(store: Store) -> PrivacySettings:
    """Return what was decided, or nothing yet."""
    document = store.document(_KIND, _ID)
    if document is None:
        return PrivacySettings()
    known = {one.name for one in fields(PrivacySettings)} - {"version"}
    body = {key: value for key, value in document.body.items() if key in known}
    return PrivacySettings(**body, version=document.version)


def write_settings(store: Store, settings: PrivacySettings, now: datetime) -> PrivacySettings:
    """Return the settings as written; their version must be the one in force.

    Raises:
        CompatibilityError: document_changed when somebody else was first.
    """
    version = settings.version + 1
    body = settings.to_dict()
    del body["version"]
    facts = {
        "version": version,
        "jurisdiction": settings.jurisdiction,
        "keep_days": [f"{purpose}={days}" for purpose, days in sorted(settings.keep_days.items())],
        "proof_days": settings.proof_days,
        "sha256": hashlib.sha256(canonical(body)).hexdigest(),
    }
    with store.changing() as change:
        change.put_document(Document(_KIND, _ID, body, version=version))
        change.record(Event("privacy.configured", facts=facts, at=now))
    return PrivacySettings(**body, version=version)


def _invalid(what: str) -> InputError:
    return InputError("privacy_settings_invalid", f"In the privacy settings {what}.")
