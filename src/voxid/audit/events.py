"""What happened: an event as the caller gives it, an entry as the log keeps it.

An entry is one line of canonical JSON (keys sorted, no spaces, ASCII): the line itself is what is hashed, stored and
exported, so that nobody who checks a log has to write JSON as we do. Who an event is about stands in it as a
pseudonym that only the person's own audit key leads back to, and what is personal about it only as the SHA-256 of
sealed bytes: both stay when the key is destroyed, and so do all hashes.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from voxid.audit.actors import Actor
from voxid.audit.merkle import leaf_hash
from voxid.errors import InputError, StoreError

__all__ = ["ENTRY_VERSION", "ERASED", "STARTED", "Entry", "Event", "Recorded", "canonical", "sealed_sha256"]

ENTRY_VERSION: Final = 1
STARTED: Final = "audit.started"
"""The act of the first entry of every log."""
ERASED: Final = "person.erased"
"""The act written whenever a person's audit key is destroyed; without it a missing key is damage."""

_ACT: Final = re.compile(r"[a-z_]{1,40}\.[a-z_]{1,40}")
_OUTCOME: Final = re.compile(r"[a-z_]{1,40}(:[a-z0-9_]{1,60})?")
_MAX_FACTS_BYTES: Final = 16 << 10


@dataclass(frozen=True)
class Event:
    """One act, to be written down with it.

    Args:
        act: noun and verb, e.g. "person.enrolled", "verify.decided".
        outcome: "done", "accept", "reject", "refused:consent_missing", ...
        person_id: whom it is about; known or unknown person of the gallery.
        facts: JSON scalars or lists of them: hashes, counts, versions, purposes. Never a name, score, audio or secret:
            they stay when the person goes.
        personal: what only the person's audit key opens: gone with the person.
        at: when, with time zone; None: when it is written.

    Raises:
        InputError: event_invalid, saying which field.

    Example:
        >>> Event("verify.decided", "accept", facts={"profile": "far_1pct"}).outcome
        'accept'
    """

    act: str
    outcome: str = "done"
    person_id: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    personal: Mapping[str, Any] | None = None
    at: datetime | None = None

    def __post_init__(self) -> None:
        if not _ACT.fullmatch(self.act):
            raise _invalid(f"act {self.act!r}", 'noun and verb, e.g. "person.enrolled"')
        if not _OUTCOME.fullmatch(self.outcome):
            raise _invalid(f"outcome {self.outcome!r}", '"done" or "refused:why"')
        if self.at is not None and self.at.utcoffset() is None:
            raise _invalid(f"time {self.at!r}", "a datetime with a time zone")
        for key, value in self.facts.items():
            if not all(_scalar(one) for one in (value if isinstance(value, list | tuple) else [value])):
                raise _invalid(
                    f"fact {key!r} of type {type(value).__name__}", "JSON scalars or lists of them"
                )
        try:
            size = len(canonical(self.facts)) + len(canonical(self.personal))
        except (TypeError, ValueError) as error:
            raise _invalid("personal field that is not JSON", "what JSON can hold") from error
        if size > _MAX_FACTS_BYTES:
            raise _invalid(f"size of {size} bytes", f"at most {_MAX_FACTS_BYTES}: give hashes and counts")


@dataclass(frozen=True)
class Entry:
    """One line of the log.

    Args:
        sequence: 1 for the first, without gaps.
        at: ISO 8601, UTC.
        act, outcome, facts: as the event's.
        actor: who acted.
        person: pseudonym (32 hex digits) of whom it is about, or None.
        personal_sha256: of the sealed personal fields, or None.
        generation: of the gallery's list of people that the act left or was decided by.
        previous: hash (hex) of the entry before; of the log's origin in the first.
    """

    sequence: int
    at: str
    act: str
    outcome: str
    actor: Actor
    person: str | None
    facts: Mapping[str, Any]
    personal_sha256: str | None
    generation: int
    previous: str

    def line(self) -> bytes:
        """Return the canonical bytes, without a line end."""
        return canonical(
            {
                "act": self.act,
                "actor": self.actor.to_dict(),
                "at": self.at,
                "facts": dict(self.facts),
                "generation": self.generation,
                "outcome": self.outcome,
                "person": self.person,
                "personal_sha256": self.personal_sha256,
                "previous": self.previous,
                "sequence": self.sequence,
                "v": ENTRY_VERSION,
            }
        )

    @property
    def hash(self) -> bytes:
        """The 32 bytes that stand for the entry in the chain and are its leaf in the tree."""
        return leaf_hash(self.line())

    @classmethod
    def parse(cls, line: bytes) -> Entry:
        """Return the entry of a line.

        Raises:
            StoreError: audit_damaged when it is none, or not written canonically.
        """
        try:
            fields = json.loads(line)
            version = fields.pop("v")
            entry = cls(**{**fields, "actor": Actor.from_dict(fields["actor"])})
            whole = version == ENTRY_VERSION and entry.line() == line
        except (InputError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError("audit_damaged", f"An audit entry cannot be read ({error}).") from error
        if not whole:
            raise StoreError("audit_damaged", "An audit entry is not written as this version writes entries.")
        return entry


@dataclass(frozen=True)
class Recorded:
    """An entry as the gallery that holds the keys reads it.

    Args:
        entry: the line.
        person_id: whom it is about, while the person is there.
        personal: the opened personal fields; None when there are none or their key is destroyed.
    """

    entry: Entry
    person_id: str | None
    personal: Mapping[str, Any] | None

    @property
    def erased(self) -> bool:
        """Whether it is about somebody whose key is destroyed."""
        return self.entry.person is not None and self.person_id is None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as ``--json`` and the service print them."""
        entry = self.entry
        return {
            "sequence": entry.sequence,
            "at": entry.at,
            "act": entry.act,
            "outcome": entry.outcome,
            "actor": entry.actor.to_dict(),
            "person": entry.person,
            "person_id": self.person_id,
            "erased": self.erased,
            "facts": dict(entry.facts),
            "personal": None if self.personal is None else dict(self.personal),
            "generation": entry.generation,
            "hash": entry.hash.hex(),
        }


def canonical(value: Any) -> bytes:
    """Return the value as JSON with sorted keys, no spaces, ASCII only; a NaN is refused."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    ).encode()


def sealed_sha256(sealed: bytes | None) -> str | None:
    """Return the hash an entry holds of its sealed personal fields."""
    return None if sealed is None else hashlib.sha256(sealed).hexdigest()


def stamp(at: datetime) -> str:
    """Return a time as entries write it: UTC, microseconds, Z.

    Example:
        >>> stamp(datetime(2026, 11, 21, 9, 0, tzinfo=UTC))
        '2026-11-21T09:00:00.000000Z'
    """
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _scalar(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int | bool)


def _invalid(found: str, expected: str) -> InputError:
    return InputError("event_invalid", f"The audit event has the {found}; expected {expected}.")
