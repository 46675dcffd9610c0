"""What a tenant's administrators decide: kept as one document in its gallery, changed as a whole."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Final, Literal

from voxid.audit.events import Event
from voxid.decision import DEFAULT_PROFILE, IDENTIFY_PROFILE
from voxid.errors import InputError
from voxid.gallery.documents import Document
from voxid.gallery.store import Store

__all__ = ["SpoofCheck", "TenantPolicy", "read_policy", "write_policy"]

SpoofCheck = Literal["off", "check", "strict"]
"""Whether a voice is asked to be live and human: not at all; where it is measured; always, and when in doubt not."""

_KIND: Final = "policy"
_ID: Final = "tenant"
_MAX_PURPOSE_CHARS: Final = 400


@dataclass(frozen=True)
class TenantPolicy:
    """A tenant's own rules.

    Args:
        identify_purpose: why strangers are looked for among the enrolled; identify is off until it is stated.
        verify_profile, identify_profile: threshold profiles, named after their false-accept rates.
        verify_spoof: off, for every check also refuses some who speak themselves; check: a voice taken for a spoof is
            never accepted, a suspicious one goes to a person, and where the detector cannot tell the speaker decides;
            strict: then a person decides as well.
        identify_spoof: off; check: the verdict stands beside the candidates; strict: only a genuine voice is named.
        live_spoof: off; check: the verdict on each speaker is told while the call goes on.
        version: of the document, 0 before the first change; a change names the version it was made from.

    Raises:
        InputError: policy_invalid.
    """

    identify_purpose: str | None = None
    verify_profile: str = DEFAULT_PROFILE
    identify_profile: str = IDENTIFY_PROFILE
    verify_spoof: SpoofCheck = "off"
    identify_spoof: SpoofCheck = "off"
    live_spoof: Literal["off", "check"] = "check"
    version: int = 0

    def __post_init__(self) -> None:
        purpose = self.identify_purpose
        if purpose is not None and not 10 <= len(purpose.strip()) <= _MAX_PURPOSE_CHARS:
            raise InputError(
                "policy_invalid",
                f"The purpose of identification has {len(purpose.strip())} characters; expected 10 to "
                f"{_MAX_PURPOSE_CHARS}: state what strangers are identified for.",
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def read_policy(store: Store) -> TenantPolicy:
    """Return the policy in force."""
    document = store.document(_KIND, _ID)
    if document is None:
        return TenantPolicy()
    known = {one.name for one in fields(TenantPolicy)} - {"version"}
    body = {key: value for key, value in document.body.items() if key in known}
    return TenantPolicy(**body, version=document.version)


def write_policy(store: Store, policy: TenantPolicy, now: datetime) -> TenantPolicy:
    """Return the policy as written; its version must be the one in force.

    Raises:
        CompatibilityError: document_changed when somebody else was first.
    """
    version = policy.version + 1
    body = policy.to_dict()
    del body["version"]
    with store.changing() as change:
        change.put_document(Document(_KIND, _ID, body, version=version))
        change.record(Event("policy.changed", facts={**body, "version": version}, at=now))
    return TenantPolicy(**body, version=version)
