"""A person as stored: the values, and their sealed rows.

What lies where: the name (with it, how good the speech behind each voiceprint was), the consent history and each
voiceprint are sealed under the person's data key; in the clear are random ids, the bundle id, the consent's version
number, and keyed hashes. A person's rows carry one integrity tag together, so that a row removed, added or put back
from an older state is noticed.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from voxid.backend import Quality
from voxid.errors import InputError, StoreError
from voxid.gallery.consent import Consent, ConsentRecord
from voxid.gallery.database import damaged
from voxid.gallery.keys import Keyring, bound_to, fingerprint, new_data_key, open_sealed, same, seal
from voxid.gallery.names import lookup_form

__all__ = ["TENANT", "Glimpse", "Person", "PersonRecord", "PersonRows", "Voiceprint", "VoiceprintInfo"]

# One tenant in this version; it is bound into every sealed row, so that more can come without a new format.
TENANT: Final = "local"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_VOICEPRINT_HEAD: Final = struct.Struct(
    "<Hqd32s"
)  # dimension, created at (µs since 1970), net speech (s), SHA-256
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


class _Speech(NamedTuple):
    snr_db: float | None
    high_band_db: float | None


class Glimpse(NamedTuple):
    """As much of a person as searching needs, taken from the sealed rows without the rest.

    Args:
        id: uuid.
        embeddings: little-endian float32 bytes of each reference the asked bundle made.
        foreign: there are references, but by other bundles only.
        purposes: of the consent last recorded; empty after withdrawal.
        expires_at: its end, ISO 8601 with time zone; None when it has none.
        qualities: of the speech behind each reference, when it was asked for.
    """

    id: str
    embeddings: list[bytes]
    foreign: bool
    purposes: list[str]
    expires_at: str | None
    qualities: list[Quality]


@dataclass
class PersonRows:
    """The sealed rows of one person, as they lie in the tables."""

    id: str
    tenant: str
    name_tag: bytes
    wrapped_key: bytes
    sealed: bytes
    seal: bytes
    voiceprints: list[tuple[str, str, bytes]] = field(default_factory=list)  # (id, bundle id, sealed)
    consents: list[tuple[int, bytes]] = field(default_factory=list)  # (version, sealed)

    @classmethod
    def of(cls, record: PersonRecord, keyring: Keyring) -> PersonRows:
        """Return the rows of a person, sealed under a new data key."""
        data_key = new_data_key()
        aead = AESGCM(data_key)
        rows = cls(
            id=record.id,
            tenant=TENANT,
            name_tag=keyring.name_tag(TENANT, lookup_form(record.name)),
            wrapped_key=keyring.wrap(data_key, bound_to("data-key", TENANT, record.id)),
            sealed=seal(aead, _person_bytes(record), bound_to("person", TENANT, record.id)),
            seal=b"",
        )
        for voiceprint in record.voiceprints:
            info = voiceprint.info
            place = bound_to("voiceprint", TENANT, record.id, info.bundle_id, info.id)
            rows.voiceprints.append(
                (info.id, info.bundle_id, seal(aead, _voiceprint_bytes(voiceprint), place))
            )
        for consent in record.consents:
            place = bound_to("consent", TENANT, record.id, str(consent.version))
            rows.consents.append((consent.version, seal(aead, _json_bytes(consent.to_dict()), place)))
        rows.seal = rows.computed_seal(keyring)
        return rows

    def computed_seal(self, keyring: Keyring) -> bytes:
        """Return the integrity tag (32 bytes) over the whole set of rows."""
        parts = [self.id.encode(), self.tenant.encode(), self.name_tag]
        parts += [fingerprint(self.wrapped_key), fingerprint(self.sealed)]
        for id_, bundle_id, sealed in sorted(self.voiceprints):
            parts += [b"voiceprint", id_.encode(), bundle_id.encode(), fingerprint(sealed)]
        for version, sealed in sorted(self.consents):
            parts += [b"consent", str(version).encode(), fingerprint(sealed)]
        return keyring.integrity_tag(*parts)

    def opened(self, keyring: Keyring, path: Path) -> PersonRecord:
        """Return the person.

        Raises:
            StoreError: store_damaged, naming what of whom does not open.
        """
        whole = same(self.computed_seal(keyring), self.seal)
        data_key = keyring.unwrap(self.wrapped_key, bound_to("data-key", self.tenant, self.id))
        if data_key is None:
            raise damaged(path, f"the key of the person with id {self.id} does not open")
        aead = AESGCM(data_key)
        plain = open_sealed(aead, self.sealed, bound_to("person", self.tenant, self.id))
        if plain is None:
            raise damaged(path, f"the name of the person with id {self.id} does not open")
        try:
            name, created_at, speech = _person_from(plain)
            prints = tuple(
                self._voiceprint(aead, row, speech.get(row[0]), name, path) for row in self.voiceprints
            )
            history = tuple(self._consent(aead, *row, name, path) for row in sorted(self.consents))
        except (InputError, ValueError, KeyError, TypeError, struct.error) as error:
            raise damaged(path, f"the person with id {self.id} was stored wrongly ({error})") from error
        if not whole:
            raise damaged(path, f"rows of {name!r} are missing, added, or from an older state")
        prints = tuple(sorted(prints, key=lambda print_: (print_.info.created_at, print_.info.id)))
        return PersonRecord(self.id, name, created_at, prints, history)

    def glimpsed(self, keyring: Keyring, path: Path, bundle_id: str, *, speech: bool) -> Glimpse:
        """Return what searching needs, several times faster than `opened`.

        Args:
            speech: also the quality of the speech behind each reference, which costs as much again.

        Raises:
            StoreError: store_damaged, as `opened` words it.
        """
        data_key = keyring.unwrap(self.wrapped_key, bound_to("data-key", self.tenant, self.id))
        if data_key is None or not same(self.computed_seal(keyring), self.seal):
            raise self._damage(keyring, path)
        aead = AESGCM(data_key)
        embeddings = []
        rows = sorted(row for row in self.voiceprints if row[1] == bundle_id)
        for id_, made_by, sealed in rows:
            place = bound_to("voiceprint", self.tenant, self.id, made_by, id_)
            embeddings.append(open_sealed(aead, sealed, place))
        last: bytes | None = b"{}"
        if self.consents:
            version, sealed = max(self.consents)
            last = open_sealed(aead, sealed, bound_to("consent", self.tenant, self.id, str(version)))
        whole = [plain for plain in embeddings if plain is not None and len(plain) >= _VOICEPRINT_HEAD.size]
        if last is None or len(whole) != len(embeddings):
            raise self._damage(keyring, path)
        consent = json.loads(last).get("consent") or {"purposes": [], "expires_at": None}
        qualities: list[Quality] = []
        if speech:
            person = open_sealed(aead, self.sealed, bound_to("person", self.tenant, self.id))
            if person is None:
                raise self._damage(keyring, path)
            known = _person_from(person)[2]
            seconds = [_VOICEPRINT_HEAD.unpack_from(plain)[2] for plain in whole]
            qualities = [
                Quality(net_speech_s, *known.get(row[0], _Speech(None, None)))
                for row, net_speech_s in zip(rows, seconds, strict=True)
            ]
        return Glimpse(
            self.id,
            [plain[_VOICEPRINT_HEAD.size :] for plain in whole],
            bool(self.voiceprints) and not whole,
            consent["purposes"],
            consent["expires_at"],
            qualities,
        )

    def _damage(self, keyring: Keyring, path: Path) -> StoreError:
        try:
            self.opened(keyring, path)
        except StoreError as error:
            return error
        return damaged(path, f"the person with id {self.id} was stored wrongly")

    def traces(self) -> list[bytes]:
        """Return head and tail of every sealed row: what must not be found in the file after an erasure."""
        blobs = [self.wrapped_key, self.sealed, *(row[2] for row in self.voiceprints)]
        blobs += [row[1] for row in self.consents]
        parts = [part for blob in blobs for part in (blob[:16], blob[-16:])]
        # What was sealed looks random; a damaged row of zeros would be "found" in every empty page.
        return [part for part in parts if len(set(part)) > 8]

    def _voiceprint(
        self, aead: AESGCM, row: tuple[str, str, bytes], speech: _Speech | None, name: str, path: Path
    ) -> Voiceprint:
        id_, bundle_id, sealed = row
        plain = open_sealed(aead, sealed, bound_to("voiceprint", self.tenant, self.id, bundle_id, id_))
        if plain is None:
            raise damaged(path, f"the voiceprint {id_} of {name!r} does not open")
        return _voiceprint_from(plain, id_, bundle_id, speech)

    def _consent(self, aead: AESGCM, version: int, sealed: bytes, name: str, path: Path) -> ConsentRecord:
        plain = open_sealed(aead, sealed, bound_to("consent", self.tenant, self.id, str(version)))
        if plain is None:
            raise damaged(path, f"version {version} of the consent of {name!r} does not open")
        return ConsentRecord.from_dict(json.loads(plain))


def record_to_bytes(record: PersonRecord) -> bytes:
    """Return a person as one byte string, for an export: JSON, its length, then the voiceprints."""
    head = _json_bytes(
        {
            "id": record.id,
            "person": json.loads(_person_bytes(record)),
            "consents": [consent.to_dict() for consent in record.consents],
            "voiceprints": [
                [p.info.id, p.info.bundle_id, len(_voiceprint_bytes(p))] for p in record.voiceprints
            ],
        }
    )
    return len(head).to_bytes(4, "big") + head + b"".join(_voiceprint_bytes(p) for p in record.voiceprints)


def record_from_bytes(content: bytes) -> PersonRecord:
    """Return the person `record_to_bytes` wrote.

    Raises:
        StoreError: export_damaged.
    """
    try:
        size = int.from_bytes(content[:4], "big")
        head, body = json.loads(content[4 : 4 + size]), content[4 + size :]
        name, created_at, speech = _person_from(_json_bytes(head["person"]))
        prints, at = [], 0
        for id_, bundle_id, length in head["voiceprints"]:
            plain = body[at : at + length]
            prints.append(_voiceprint_from(plain, str(id_), str(bundle_id), speech.get(str(id_))))
            at += length
        history = tuple(ConsentRecord.from_dict(entry) for entry in head["consents"])
        return PersonRecord(str(head["id"]), name, created_at, tuple(prints), history)
    except (InputError, ValueError, KeyError, TypeError, struct.error) as error:
        raise StoreError(
            "export_damaged", f"A person in the export cannot be read ({error}); export the gallery again."
        ) from error


def _json_bytes(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _person_bytes(record: PersonRecord) -> bytes:
    # The quality of the speech stands here, beside the name, and not in the voiceprints: a voxid from before it was
    # kept passes it over, and reads the gallery all the same.
    infos = [print_.info for print_ in record.voiceprints]
    known = {
        info.id: [info.snr_db, info.high_band_db]
        for info in infos
        if info.snr_db is not None or info.high_band_db is not None
    }
    fields = {"name": record.name, "created_at": record.created_at.isoformat()}
    return _json_bytes({**fields, "speech": known} if known else fields)


def _person_from(plain: bytes) -> tuple[str, datetime, dict[str, _Speech]]:
    """Return name, time of creation, and voiceprint id -> what is known of its speech."""
    fields = json.loads(plain)
    speech = {
        str(id_): _Speech(*(None if value is None else float(value) for value in values))
        for id_, values in fields.get("speech", {}).items()
    }
    return str(fields["name"]), datetime.fromisoformat(fields["created_at"]), speech


def _voiceprint_bytes(voiceprint: Voiceprint) -> bytes:
    info = voiceprint.info
    created_us = round((info.created_at - _EPOCH) / timedelta(microseconds=1))
    head = _VOICEPRINT_HEAD.pack(
        voiceprint.embedding.size, created_us, info.net_speech_s, bytes.fromhex(info.audio_sha256)
    )
    return head + voiceprint.embedding.astype("<f4").tobytes()


def _voiceprint_from(plain: bytes, id_: str, bundle_id: str, speech: _Speech | None) -> Voiceprint:
    dim, created_us, net_speech_s, sha256 = _VOICEPRINT_HEAD.unpack_from(plain)
    body = plain[_VOICEPRINT_HEAD.size :]
    if len(body) != 4 * dim:
        raise ValueError(f"a voiceprint of {dim} numbers has {len(body)} bytes")
    info = VoiceprintInfo(
        id_,
        bundle_id,
        net_speech_s,
        sha256.hex(),
        _EPOCH + timedelta(microseconds=created_us),
        *(speech or _Speech(None, None)),
    )
    return Voiceprint(info, np.frombuffer(body, dtype="<f4").astype(np.float32))


def _embedding_problem(embedding: NDArray[np.float32]) -> str | None:
    if embedding.ndim != 1 or embedding.dtype != np.float32 or not 2 <= embedding.size < 1 << 16:
        return f"has shape {embedding.shape} and type {embedding.dtype}"
    # A NaN fails this comparison too, so it is written as "not within".
    length = float(np.sqrt(np.dot(embedding, embedding)))
    return None if abs(length - 1.0) <= _NORM_TOLERANCE else f"has length {length:.4g}"


def names_of(records: Iterable[PersonRecord]) -> tuple[str, ...]:
    """Return the display names, sorted by the form they are looked up by."""
    return tuple(sorted((record.name for record in records), key=lookup_form))
