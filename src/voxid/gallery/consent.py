"""Consent: what a person allowed, on what evidence, until when; and the history of such acts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from voxid.errors import InputError

__all__ = ["PURPOSES", "Act", "Consent", "ConsentRecord"]

# Separate grants: consent to one is never consent to another.
PURPOSES: Final = ("verify", "identify", "diarize-name", "watchlist", "training")
_MAX_EVIDENCE_CHARS: Final = 4000
_MAX_FIELD_CHARS: Final = 400

Act = Literal["given", "withdrawn", "merged"]


@dataclass(frozen=True)
class Consent:
    """One person's permission to keep and use their voice, as signed.

    Args:
        purposes: any of `PURPOSES`, at least one; "verify" does not include "identify".
        evidence: where the written release is, or what was said, e.g. "signed form 17"; never empty.
        text_sha256: SHA-256 (hex) of the text that was agreed to.
        signer: who signed, when not the person themself (guardian, officer).
        jurisdiction: whose law governs it, e.g. "US-IL", "EU-DE".
        expires_at: with time zone; from then on nothing is decided on this person. None: does not expire.
        method: how it was given, e.g. "electronic signature", "recorded phrase".

    Raises:
        InputError: consent_invalid, saying which field.

    Example:
        >>> sorted(Consent(purposes={"verify", "identify"}, evidence="signed form 17").purposes)
        ['identify', 'verify']
    """

    purposes: frozenset[str]
    evidence: str
    text_sha256: str | None = None
    signer: str | None = None
    jurisdiction: str | None = None
    expires_at: datetime | None = None
    method: str | None = None

    def __init__(
        self,
        purposes: Iterable[str],
        evidence: str,
        text_sha256: str | None = None,
        signer: str | None = None,
        jurisdiction: str | None = None,
        expires_at: datetime | None = None,
        method: str | None = None,
    ) -> None:
        # Written out so that any iterable of purposes is accepted and a frozen set is what is kept.
        object.__setattr__(self, "purposes", _checked_purposes(purposes))
        object.__setattr__(self, "evidence", _checked_text("evidence", evidence, _MAX_EVIDENCE_CHARS))
        object.__setattr__(self, "text_sha256", _checked_sha256(text_sha256))
        for field, value in (("signer", signer), ("jurisdiction", jurisdiction), ("method", method)):
            kept = None if value is None else _checked_text(field, value, _MAX_FIELD_CHARS)
            object.__setattr__(self, field, kept)
        object.__setattr__(self, "expires_at", _checked_expiry(expires_at))

    def expired(self, now: datetime) -> bool:
        """Return whether the consent has ended at `now` (with time zone)."""
        return self.expires_at is not None and now >= self.expires_at

    def to_dict(self) -> dict[str, Any]:
        """Return the consent as stored and as ``--json`` prints it."""
        return {
            "purposes": sorted(self.purposes),
            "evidence": self.evidence,
            "text_sha256": self.text_sha256,
            "signer": self.signer,
            "jurisdiction": self.jurisdiction,
            "expires_at": None if self.expires_at is None else self.expires_at.isoformat(),
            "method": self.method,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Consent:
        """Return the consent `to_dict` wrote.

        Raises:
            InputError: consent_invalid when a field is unknown, missing or of the wrong kind.
        """
        try:
            given = dict(fields)
            expires_at = given.pop("expires_at", None)
            return cls(**given, expires_at=None if expires_at is None else datetime.fromisoformat(expires_at))
        except (TypeError, ValueError) as error:
            raise InputError("consent_invalid", f"The consent record cannot be read: {error}.") from error


@dataclass(frozen=True)
class ConsentRecord:
    """One entry of a person's consent history; the newest one is in force.

    Args:
        version: 1 for the first, counting up without gaps.
        recorded_at: when it was recorded, with time zone.
        act: "given", "withdrawn", or "merged" when two records of one person became one.
        consent: what holds from then on; None after everything was withdrawn.
    """

    version: int
    recorded_at: datetime
    act: Act
    consent: Consent | None

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as stored and as ``--json`` prints it."""
        return {
            "version": self.version,
            "recorded_at": self.recorded_at.isoformat(),
            "act": self.act,
            "consent": None if self.consent is None else self.consent.to_dict(),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> ConsentRecord:
        """Return the entry `to_dict` wrote.

        Raises:
            InputError: consent_invalid when it cannot be read.
        """
        try:
            act, consent = fields["act"], fields["consent"]
            if act not in ("given", "withdrawn", "merged"):
                raise ValueError(f"unknown act {act!r}")
            return cls(
                version=int(fields["version"]),
                recorded_at=datetime.fromisoformat(fields["recorded_at"]),
                act=act,
                consent=None if consent is None else Consent.from_dict(consent),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("consent_invalid", f"The consent record cannot be read: {error}.") from error


def _checked_purposes(purposes: Iterable[str]) -> frozenset[str]:
    known = ", ".join(PURPOSES)
    if isinstance(purposes, str):
        raise InputError(
            "consent_invalid",
            f"purposes is the text {purposes!r}; expected a set of purposes, e.g. {{{purposes!r}}}.",
        )
    try:
        asked = frozenset(purposes)
    except TypeError as error:
        raise InputError(
            "consent_invalid", f"purposes is {purposes!r}; expected a set with any of: {known}."
        ) from error
    if not asked:
        raise InputError(
            "consent_invalid", f"The consent names no purpose; expected at least one of: {known}."
        )
    unknown = sorted(str(purpose) for purpose in asked if purpose not in PURPOSES)
    if unknown:
        raise InputError(
            "consent_invalid", f"The consent names the purpose {unknown[0]!r}; known purposes are: {known}."
        )
    return asked


def _checked_text(field: str, value: str, max_chars: int) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(
            "consent_invalid",
            f"The consent's {field} is {value!r}; expected a short text, e.g. 'signed form 17'.",
        )
    if len(value) > max_chars:
        raise InputError(
            "consent_invalid",
            f"The consent's {field} has {len(value)} characters; at most {max_chars} are kept: "
            "store the document elsewhere and give its reference.",
        )
    return value.strip()


def _checked_sha256(value: str | None) -> str | None:
    if value is not None and not (isinstance(value, str) and re.fullmatch(r"[0-9a-fA-F]{64}", value)):
        raise InputError(
            "consent_invalid", f"The consent's text_sha256 is {value!r}; expected 64 hexadecimal digits."
        )
    return None if value is None else value.lower()


def _checked_expiry(value: datetime | None) -> datetime | None:
    if value is not None and (not isinstance(value, datetime) or value.utcoffset() is None):
        raise InputError(
            "consent_invalid",
            f"The consent's expires_at is {value!r}; expected a datetime with a time zone, "
            "e.g. datetime(2027, 1, 1, tzinfo=UTC).",
        )
    return value
