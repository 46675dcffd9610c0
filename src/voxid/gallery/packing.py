"""People and voiceprints as bytes: what is sealed in the rows of the store and in the records of an export."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import numpy as np

from voxid.errors import InputError, StoreError
from voxid.gallery.consent import ConsentRecord
from voxid.gallery.records import PersonRecord, Voiceprint, VoiceprintInfo

__all__ = [
    "VOICEPRINT_HEAD",
    "Speech",
    "json_bytes",
    "person_bytes",
    "person_from",
    "record_from_bytes",
    "record_to_bytes",
    "voiceprint_bytes",
    "voiceprint_from",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
VOICEPRINT_HEAD: Final = struct.Struct(
    "<Hqd32s"
)  # dimension, created at (µs since 1970), net speech (s), SHA-256


class Speech(NamedTuple):
    """How good the speech behind a voiceprint was, beside its length."""

    snr_db: float | None
    high_band_db: float | None


def record_to_bytes(record: PersonRecord) -> bytes:
    """Return a person as one byte string, for an export: JSON, its length, then the voiceprints."""
    head = json_bytes(
        {
            "id": record.id,
            "person": json.loads(person_bytes(record)),
            "consents": [consent.to_dict() for consent in record.consents],
            "voiceprints": [
                [p.info.id, p.info.bundle_id, len(voiceprint_bytes(p))] for p in record.voiceprints
            ],
        }
    )
    return len(head).to_bytes(4, "big") + head + b"".join(voiceprint_bytes(p) for p in record.voiceprints)


def record_from_bytes(content: bytes) -> PersonRecord:
    """Return the person `record_to_bytes` wrote.

    Raises:
        StoreError: export_damaged.
    """
    try:
        size = int.from_bytes(content[:4], "big")
        head, body = json.loads(content[4 : 4 + size]), content[4 + size :]
        name, created_at, speech = person_from(json_bytes(head["person"]))
        prints, at = [], 0
        for id_, bundle_id, length in head["voiceprints"]:
            plain = body[at : at + length]
            prints.append(voiceprint_from(plain, str(id_), str(bundle_id), speech.get(str(id_))))
            at += length
        history = tuple(ConsentRecord.from_dict(entry) for entry in head["consents"])
        return PersonRecord(str(head["id"]), name, created_at, tuple(prints), history)
    except (InputError, ValueError, KeyError, TypeError, struct.error) as error:
        raise StoreError(
            "export_damaged", f"A person in the export cannot be read ({error}); export the gallery again."
        ) from error


def json_bytes(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def person_bytes(record: PersonRecord) -> bytes:
    # The quality of the speech stands here, beside the name, and not in the voiceprints: a voxid from before it was
    # kept passes it over, and reads the gallery all the same.
    infos = [print_.info for print_ in record.voiceprints]
    known = {
        info.id: [info.snr_db, info.high_band_db]
        for info in infos
        if info.snr_db is not None or info.high_band_db is not None
    }
    fields = {"name": record.name, "created_at": record.created_at.isoformat()}
    return json_bytes({**fields, "speech": known} if known else fields)


def person_from(plain: bytes) -> tuple[str, datetime, dict[str, Speech]]:
    """Return name, time of creation, and voiceprint id -> what is known of its speech."""
    fields = json.loads(plain)
    speech = {
        str(id_): Speech(*(None if value is None else float(value) for value in values))
        for id_, values in fields.get("speech", {}).items()
    }
    return str(fields["name"]), datetime.fromisoformat(fields["created_at"]), speech


def voiceprint_bytes(voiceprint: Voiceprint) -> bytes:
    info = voiceprint.info
    created_us = round((info.created_at - _EPOCH) / timedelta(microseconds=1))
    head = VOICEPRINT_HEAD.pack(
        voiceprint.embedding.size, created_us, info.net_speech_s, bytes.fromhex(info.audio_sha256)
    )
    return head + voiceprint.embedding.astype("<f4").tobytes()


def voiceprint_from(plain: bytes, id_: str, bundle_id: str, speech: Speech | None) -> Voiceprint:
    dim, created_us, net_speech_s, sha256 = VOICEPRINT_HEAD.unpack_from(plain)
    body = plain[VOICEPRINT_HEAD.size :]
    if len(body) != 4 * dim:
        raise ValueError(f"a voiceprint of {dim} numbers has {len(body)} bytes")
    info = VoiceprintInfo(
        id_,
        bundle_id,
        net_speech_s,
        sha256.hex(),
        _EPOCH + timedelta(microseconds=created_us),
        *(speech or Speech(None, None)),
    )
    return Voiceprint(info, np.frombuffer(body, dtype="<f4").astype(np.float32))
