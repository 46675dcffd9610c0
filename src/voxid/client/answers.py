"""What the service answers, as frozen dataclasses; fields a newer service adds are passed over."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

__all__ = [
    "Candidate",
    "ConsentRecord",
    "Decision",
    "Enrolled",
    "EnrollmentProgress",
    "Identification",
    "Key",
    "MergePreview",
    "Model",
    "Page",
    "Person",
    "Policy",
    "RecordingReport",
    "SpoofCheck",
    "SpoofPiece",
    "SpoofVerdict",
    "Voiceprint",
    "read",
]

T = TypeVar("T")


@dataclass(frozen=True)
class Voiceprint:
    """A stored reference."""

    id: str
    bundle_id: str
    net_speech_s: float
    audio_sha256: str
    created_at: str


@dataclass(frozen=True)
class ConsentRecord:
    """One entry of a consent history; `consent` is None after everything was withdrawn."""

    version: int
    recorded_at: str
    act: str
    consent: dict[str, Any] | None


@dataclass(frozen=True)
class Person:
    """A person on record."""

    id: str
    name: str
    created_at: str
    net_speech_s: float
    voiceprints: tuple[Voiceprint, ...]
    consents: tuple[ConsentRecord, ...]


@dataclass(frozen=True)
class MergePreview:
    """Who would be left of two records; `alike` is None where one of them has no voiceprint."""

    person: Person
    llr: float | None
    alike: bool | None
    lost_purposes: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """Some of the people; `next` is given to get the rest."""

    people: tuple[Person, ...]
    next: str | None


@dataclass(frozen=True)
class SpoofVerdict:
    """Whether a voice is live and human: outcome genuine, suspicious, spoof or cannot_tell; it has no truth value."""

    outcome: str
    llr: float | None
    replay_llr: float | None
    domain_distance: float | None
    domain_limit: float | None
    net_speech_s: float
    bandwidth_hz: float
    model_id: str
    reason: str

    def __bool__(self) -> bool:
        raise TypeError("a spoof verdict is not true or false; look at its outcome.")


@dataclass(frozen=True)
class SpoofPiece:
    """A few seconds of a recording, and what the detector made of them."""

    start_s: float
    end_s: float
    llr: float


@dataclass(frozen=True)
class SpoofCheck(SpoofVerdict):
    """What came of checking one recording."""

    pieces: tuple[SpoofPiece, ...]
    duration_s: float
    audio_sha256: str


@dataclass(frozen=True)
class Decision:
    """What came of a verification; true only when accepted. `id` is what it is kept under, e.g. to dispute it."""

    id: str | None
    outcome: str
    accepted: bool
    person_id: str
    llr: float | None
    profile: str
    far: float
    net_speech_s: float | None
    model_id: str
    audio_sha256: str | None
    reason: str
    spoof: SpoofVerdict | None = None
    parts: tuple[dict[str, Any], ...] = ()

    def __bool__(self) -> bool:
        return self.accepted


@dataclass(frozen=True)
class Candidate:
    """A person a voice may be."""

    person_id: str
    name: str
    llr: float


@dataclass(frozen=True)
class Identification:
    """Whom a voice may be, best first; nobody: unknown, or withheld because the voice was not found to be live."""

    candidates: tuple[Candidate, ...]
    compared: int
    profile: str
    purpose: str
    model_id: str
    audio_sha256: str
    spoof: SpoofVerdict | None = None
    withheld: bool = False


@dataclass(frozen=True)
class RecordingReport:
    """What one recording of an enrollment offers."""

    id: str
    accepted: bool
    verdict: str
    reason: str | None
    duration_s: float
    net_speech_s: float
    snr_db: float | None
    clipping_share: float
    audio_sha256: str
    received_at: str


@dataclass(frozen=True)
class EnrollmentProgress:
    """How an enrollment stands; `last` is the recording just sent."""

    id: str
    person_id: str
    recordings: tuple[RecordingReport, ...]
    net_speech_s: float
    remaining_speech_s: float
    consistency_llr: float | None
    inconsistent: str | None
    duplicate: str | None
    duplicate_is_certain: bool
    ready: bool
    ends_at: str
    last: RecordingReport | None


@dataclass(frozen=True)
class Enrolled:
    """What a completed enrollment, or naming a voice, added."""

    person_id: str
    added: int
    total: int
    net_speech_s: float
    consistency_llr: float | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Key:
    """An API key; `key` is its text, only where it was just made."""

    id: str
    label: str
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    rotated_to: str | None
    key: str | None = dataclasses.field(default=None, repr=False)


@dataclass(frozen=True)
class Policy:
    """A tenant's policy."""

    identify_purpose: str | None
    verify_profile: str
    identify_profile: str
    verify_spoof: str
    identify_spoof: str
    live_spoof: str
    jurisdiction: str | None
    version: int


@dataclass(frozen=True)
class Model:
    """A model bundle; its profiles as plain values."""

    id: str
    name: str
    dim: int
    calibrated: bool
    licence: str | None
    profiles: tuple[dict[str, Any], ...]


def read(kind: type[T], fields: Mapping[str, Any]) -> T:
    """Return JSON as the dataclass `kind`, whose fields may be dataclasses and tuples of them.

    Example:
        >>> read(Candidate, {"person_id": "p", "name": "Ada", "llr": 9.1, "new": 1}).name
        'Ada'
    """
    hints = get_type_hints(kind)
    return kind(**{name: _value(hint, fields[name]) for name, hint in hints.items() if name in fields})


def _value(hint: Any, value: Any) -> Any:
    if isinstance(hint, UnionType):
        hint = next(one for one in get_args(hint) if one is not NoneType)
    if value is None:
        return None
    if get_origin(hint) is tuple:
        return tuple(_value(get_args(hint)[0], one) for one in value)
    return read(hint, value) if dataclasses.is_dataclass(hint) and isinstance(hint, type) else value
