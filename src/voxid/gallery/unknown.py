"""Unknown people: voices heard in recordings, kept on stated grounds until a stated day, under an id for a name."""

from __future__ import annotations

import re
import secrets
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from voxid.backend import Quality
from voxid.errors import InputError, PolicyError
from voxid.gallery.records import Voiceprint

__all__ = [
    "DEFAULT_KEEP_DAYS",
    "MAX_SIGHTINGS",
    "Grounds",
    "HeardVoice",
    "OptOut",
    "Sighting",
    "UnknownPerson",
    "UnknownRecord",
    "is_unknown_id",
    "new_unknown_id",
]

DEFAULT_KEEP_DAYS: Final = 30
MAX_SIGHTINGS: Final = 64
"""Recordings kept of one unknown person; of more, those longest ago go first."""

_MOST_KEEP_DAYS: Final = 365
_MAX_BASIS_CHARS: Final = 4000
# Crockford's base 32: no letter in it is taken for another, and none needs shift.
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_ID: Final = re.compile(f"unknown-[{_ALPHABET}]{{8}}")


def is_unknown_id(text: str) -> bool:
    """Return whether this is the form of an unknown person's id; no person may be called so.

    Example:
        >>> is_unknown_id("unknown-7k3f2m9x"), is_unknown_id("Alice")
        (True, False)
    """
    return _ID.fullmatch(text) is not None


def new_unknown_id(taken: Container[str]) -> str:
    """Return a new id: 40 random bits, so that ids of two galleries do not meet either.

    Args:
        taken: ids of this gallery, which are never given again.
    """
    while True:
        made = "unknown-" + "".join(secrets.choice(_ALPHABET) for _ in range(8))
        if made not in taken:
            return made


@dataclass(frozen=True)
class Grounds:
    """Why voices without a name may be kept, and how long.

    Args:
        basis: purpose and legal basis, e.g. "minutes of the board; assessment 12 of 3 May"; never empty.
        keep_days: from the day a recording was heard; afterwards what it gave is not used and is purged. 1 to 365.

    Raises:
        PolicyError: basis_missing. InputError: basis_invalid, retention_invalid.

    Example:
        >>> Grounds("minutes of the board; assessment 12").keep_days
        30
    """

    basis: str
    keep_days: int = DEFAULT_KEEP_DAYS

    def __post_init__(self) -> None:
        if not isinstance(self.basis, str) or not self.basis.strip():
            raise PolicyError(
                "basis_missing",
                "No ground was given to keep the voices of people without a name, so nothing was kept; state purpose "
                "and legal basis, e.g. 'minutes of the board; assessment 12'.",
            )
        if len(self.basis) > _MAX_BASIS_CHARS:
            raise InputError(
                "basis_invalid",
                f"The basis has {len(self.basis)} characters; at most {_MAX_BASIS_CHARS} are kept: give the "
                "reference of the document.",
            )
        if isinstance(self.keep_days, bool) or not 1 <= self.keep_days <= _MOST_KEEP_DAYS:
            raise InputError(
                "retention_invalid",
                f"Voices were to be kept for {self.keep_days} days; expected 1 to {_MOST_KEEP_DAYS}.",
            )
        object.__setattr__(self, "basis", self.basis.strip())

    def expires_at(self, now: datetime) -> datetime:
        """Return when what is heard now must be gone."""
        return now + timedelta(days=self.keep_days)


@dataclass(frozen=True)
class Sighting:
    """One recording an unknown person was heard in.

    Args:
        uri: short name of the recording.
        audio_sha256: hash (hex) of its encoded audio.
        heard_at: when it was gone through, with time zone.
        expires_at: from then on it is not used, and purged at the next occasion.
        speech_s: seconds the person speaks in it.
        basis: why the voice may be kept.
    """

    uri: str
    audio_sha256: str
    heard_at: datetime
    expires_at: datetime
    speech_s: float
    basis: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as ``--json`` prints them."""
        return {
            "uri": self.uri,
            "audio_sha256": self.audio_sha256,
            "heard_at": self.heard_at.isoformat(),
            "expires_at": self.expires_at.isoformat(),
            "speech_s": round(self.speech_s, 2),
            "basis": self.basis,
        }


@dataclass(frozen=True, eq=False)
class HeardVoice:
    """A sighting with the voice, inside the library only.

    Args:
        sighting: where it was heard.
        voiceprint: of the speech in it.
        seconds: the whole seconds of the recording the voice was taken from: by them a voice that was forgotten is
            recognised in the same recording, without anything of the voice being kept.
    """

    sighting: Sighting
    voiceprint: Voiceprint
    seconds: tuple[int, ...]


@dataclass(frozen=True)
class OptOut:
    """The wish never to be kept again, which takes keeping the voice to be recognised by.

    Args:
        evidence: where the wish is written down.
        recorded_at: with time zone.
    """

    evidence: str
    recorded_at: datetime

    def __post_init__(self) -> None:
        if not self.evidence.strip() or len(self.evidence) > _MAX_BASIS_CHARS:
            raise PolicyError(
                "wish_missing",
                "An opt-out by voice keeps the voice, to recognise it and for nothing else; state where the person's "
                "wish is written down, or forget the person instead.",
            )


@dataclass(frozen=True)
class UnknownPerson:
    """An unknown person as shown to callers; embeddings are not in it."""

    id: str
    created_at: datetime
    sightings: tuple[Sighting, ...]
    opt_out: OptOut | None = None

    @property
    def speech_s(self) -> float:
        """Seconds of speech in all recordings together."""
        return sum(sighting.speech_s for sighting in self.sightings)

    @property
    def first_at(self) -> datetime | None:
        """When the person was first heard, of what is still kept."""
        return min((sighting.heard_at for sighting in self.sightings), default=None)

    @property
    def last_at(self) -> datetime | None:
        """When the person was last heard."""
        return max((sighting.heard_at for sighting in self.sightings), default=None)

    @property
    def expires_at(self) -> datetime | None:
        """When the last of it must be gone; None for an opt-out, which stays until it is lifted."""
        return max((sighting.expires_at for sighting in self.sightings), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Return the person as ``--json`` prints it."""
        first, last, end = self.first_at, self.last_at, self.expires_at
        return {
            "id": self.id,
            "created_at": self.created_at.isoformat(),
            "times_heard": len(self.sightings),
            "speech_s": round(self.speech_s, 2),
            "first_at": None if first is None else first.isoformat(),
            "last_at": None if last is None else last.isoformat(),
            "expires_at": None if end is None else end.isoformat(),
            "sightings": [sighting.to_dict() for sighting in self.sightings],
            "opt_out": None
            if self.opt_out is None
            else {"evidence": self.opt_out.evidence, "recorded_at": self.opt_out.recorded_at.isoformat()},
        }


@dataclass(frozen=True, eq=False)
class UnknownRecord:
    """An unknown person with embeddings, inside the library only.

    Args:
        id: as `is_unknown_id` has it.
        heard: the recordings, oldest first; empty for an opt-out.
        opt_out: then ``voices`` serve to recognise the person and for nothing else.
        voices: of an opt-out, without the recordings they came from.
    """

    id: str
    created_at: datetime
    heard: tuple[HeardVoice, ...]
    opt_out: OptOut | None = None
    voices: tuple[Voiceprint, ...] = ()

    @property
    def voiceprints(self) -> tuple[Voiceprint, ...]:
        """All there is to compare with."""
        return tuple(voice.voiceprint for voice in self.heard) + self.voices

    def embeddings(self, bundle_id: str) -> NDArray[np.float32]:
        """Return the references one bundle made: (R, D), R may be 0."""
        rows = [print_.embedding for print_ in self.voiceprints if print_.info.bundle_id == bundle_id]
        return np.stack(rows) if rows else np.zeros((0, 0), dtype=np.float32)

    def qualities(self, bundle_id: str) -> list[Quality]:
        """Return what is known of the speech behind each of :meth:`embeddings`."""
        infos = [print_.info for print_ in self.voiceprints]
        return [info.quality for info in infos if info.bundle_id == bundle_id]

    def at(self, now: datetime) -> UnknownRecord | None:
        """Return what of the person may be used now; None when nothing may."""
        if self.opt_out is not None:
            return self
        valid = tuple(voice for voice in self.heard if voice.sighting.expires_at > now)
        return self if len(valid) == len(self.heard) else replace(self, heard=valid) if valid else None

    def hearing(self, voices: Sequence[HeardVoice]) -> UnknownRecord:
        """Return the record with more recordings; one heard before is replaced, not counted twice."""
        again = {voice.sighting.audio_sha256 for voice in voices}
        kept = [voice for voice in self.heard if voice.sighting.audio_sha256 not in again]
        ordered = sorted([*kept, *voices], key=lambda voice: voice.sighting.heard_at)
        return replace(self, heard=tuple(ordered[-MAX_SIGHTINGS:]))

    def opted_out(self, opt_out: OptOut) -> UnknownRecord:
        """Return the record as it is kept to recognise the voice: without the recordings it was heard in."""
        return UnknownRecord.of_opt_out(self.id, self.voiceprints, opt_out)

    @classmethod
    def of_opt_out(cls, id_: str, voiceprints: Sequence[Voiceprint], opt_out: OptOut) -> UnknownRecord:
        """Return a voice as it is kept to be recognised and for nothing else: without where it comes from."""
        nowhere = "0" * 64
        voices = tuple(
            replace(print_, info=replace(print_.info, id=str(uuid4()), audio_sha256=nowhere))
            for print_ in voiceprints
        )
        return cls(id_, opt_out.recorded_at, (), opt_out, voices)

    def public(self) -> UnknownPerson:
        """Return the person without embeddings."""
        sightings = tuple(voice.sighting for voice in self.heard)
        return UnknownPerson(self.id, self.created_at, sightings, self.opt_out)
