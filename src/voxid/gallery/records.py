"""A person as the library knows one: with embeddings inside, without them for callers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxid.backend import Quality
from voxid.errors import InputError
from voxid.gallery.consent import Consent, ConsentRecord
from voxid.gallery.names import lookup_form

__all__ = ["Person", "PersonRecord", "Voiceprint", "VoiceprintInfo", "names_of"]

_NORM_TOLERANCE: Final = 1e-3


@dataclass(frozen=True)
class VoiceprintInfo:
    """What is known about a stored reference, without the embedding itself.

    Args:
        id: uuid.
        bundle_id: the model bundle that made it; only that bundle can compare it.
        net_speech_s: seconds of speech it was made from.
        audio_sha256: hash (hex) of the encoded audio it was made from.
        created_at: with time zone.
        snr_db, high_band_db: of that speech, as :class:`voxid.speech.SpeechQuality`; None in voiceprints stored
            before these were measured.
    """

    id: str
    bundle_id: str
    net_speech_s: float
    audio_sha256: str
    created_at: datetime
    snr_db: float | None = None
    high_band_db: float | None = None

    @property
    def quality(self) -> Quality:
        """What calibration uses of the speech behind it."""
        return Quality(self.net_speech_s, self.snr_db, self.high_band_db)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as ``--json`` prints them."""
        return {
            "id": self.id,
            "bundle_id": self.bundle_id,
            "net_speech_s": round(self.net_speech_s, 2),
            "audio_sha256": self.audio_sha256,
            "created_at": self.created_at.isoformat(),
        }


@dataclass(frozen=True)
class Person:
    """An enrolled person as shown to callers; embeddings are not in it."""

    id: str
    name: str
    created_at: datetime
    voiceprints: tuple[VoiceprintInfo, ...]
    consents: tuple[ConsentRecord, ...]

    @property
    def consent(self) -> Consent | None:
        """The consent last recorded, expired or not; None after withdrawal."""
        return self.consents[-1].consent if self.consents else None

    @property
    def net_speech_s(self) -> float:
        """Seconds of speech behind all references together."""
        return sum(voiceprint.net_speech_s for voiceprint in self.voiceprints)

    def to_dict(self) -> dict[str, Any]:
        """Return the person as ``--json`` prints it."""
        return {
            "id": self.id,
            "name": self.name,
            "created_at": self.created_at.isoformat(),
            "net_speech_s": round(self.net_speech_s, 2),
            "voiceprints": [voiceprint.to_dict() for voiceprint in self.voiceprints],
            "consents": [record.to_dict() for record in self.consents],
        }


@dataclass(frozen=True, eq=False)
class Voiceprint:
    """A stored reference: raw unit embedding (D,) float32, before any centring, and where it came from."""

    info: VoiceprintInfo
    embedding: NDArray[np.float32]

    def __post_init__(self) -> None:
        problem = _embedding_problem(self.embedding)
        if problem:
            raise InputError(
                "embedding_invalid", f"The embedding {problem}; expected (D,) float32 of length 1."
            )


@dataclass(frozen=True, eq=False)
class PersonRecord:
    """A person with embeddings, inside the library only."""

    id: str
    name: str
    created_at: datetime
    voiceprints: tuple[Voiceprint, ...]
    consents: tuple[ConsentRecord, ...]

    @property
    def consent(self) -> Consent | None:
        """The consent last recorded, expired or not; None after withdrawal."""
        return self.consents[-1].consent if self.consents else None

    def embeddings(self, bundle_id: str) -> NDArray[np.float32]:
        """Return the references one bundle made: (R, D), R may be 0."""
        rows = [print_.embedding for print_ in self.voiceprints if print_.info.bundle_id == bundle_id]
        return np.stack(rows) if rows else np.zeros((0, 0), dtype=np.float32)

    def qualities(self, bundle_id: str) -> list[Quality]:
        """Return what is known of the speech behind each of :meth:`embeddings`."""
        infos = [print_.info for print_ in self.voiceprints]
        return [info.quality for info in infos if info.bundle_id == bundle_id]

    def public(self) -> Person:
        """Return the person without embeddings."""
        infos = tuple(voiceprint.info for voiceprint in self.voiceprints)
        return Person(self.id, self.name, self.created_at, infos, self.consents)


def names_of(records: Iterable[PersonRecord]) -> tuple[str, ...]:
    """Return the display names, sorted by the form they are looked up by."""
    return tuple(sorted((record.name for record in records), key=lookup_form))


def _embedding_problem(embedding: NDArray[np.float32]) -> str | None:
    if embedding.ndim != 1 or embedding.dtype != np.float32 or not 2 <= embedding.size < 1 << 16:
        return f"has shape {embedding.shape} and type {embedding.dtype}"
    # A NaN fails this comparison too, so it is written as "not within".
    length = float(np.sqrt(np.dot(embedding, embedding)))
    return None if abs(length - 1.0) <= _NORM_TOLERANCE else f"has length {length:.4g}"
