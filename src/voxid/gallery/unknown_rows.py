"""An unknown person's sealed row: everything but the id lies under a data key of its own."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from voxid.errors import InputError, PolicyError
from voxid.gallery.database import Named, damaged
from voxid.gallery.keys import Keyring, bound_to, fingerprint, new_data_key, open_sealed, same, seal
from voxid.gallery.packing import Speech, json_bytes, voiceprint_bytes, voiceprint_from
from voxid.gallery.records import Voiceprint
from voxid.gallery.rows import TENANT
from voxid.gallery.unknown import HeardVoice, OptOut, Sighting, UnknownRecord

__all__ = ["UnknownRow", "unknown_from_bytes", "unknown_to_bytes"]


@dataclass(frozen=True)
class UnknownRow:
    """The row as it lies in the table; ``seal`` (32 bytes) guards it and its place in the list."""

    id: str
    wrapped_key: bytes
    sealed: bytes
    seal: bytes

    @classmethod
    def of(cls, record: UnknownRecord, keyring: Keyring) -> UnknownRow:
        """Return the row, sealed under a new data key."""
        data_key = new_data_key()
        wrapped = keyring.wrap(data_key, bound_to("unknown-key", TENANT, record.id))
        sealed = seal(AESGCM(data_key), unknown_to_bytes(record), bound_to("unknown", TENANT, record.id))
        return cls(record.id, wrapped, sealed, _seal(keyring, record.id, wrapped, sealed))

    def opened(self, keyring: Keyring, where: Named) -> UnknownRecord:
        """Return the unknown person.

        Raises:
            StoreError: store_damaged.
        """
        data_key = keyring.unwrap(self.wrapped_key, bound_to("unknown-key", TENANT, self.id))
        plain = None
        if data_key is not None and same(self.seal, _seal(keyring, self.id, self.wrapped_key, self.sealed)):
            plain = open_sealed(AESGCM(data_key), self.sealed, bound_to("unknown", TENANT, self.id))
        if plain is None:
            raise damaged(where, f"the row of {self.id} does not open")
        try:
            return unknown_from_bytes(plain)
        except (ValueError, KeyError, TypeError, struct.error, InputError, PolicyError) as error:
            raise damaged(where, f"{self.id} was stored wrongly ({error})") from error

    def traces(self) -> list[bytes]:
        """Return head and tail of what was sealed: what must not be found in the file after an erasure."""
        parts = [part for blob in (self.wrapped_key, self.sealed) for part in (blob[:16], blob[-16:])]
        return [part for part in parts if len(set(part)) > 8]


def _seal(keyring: Keyring, id_: str, wrapped_key: bytes, sealed: bytes) -> bytes:
    return keyring.integrity_tag(b"unknown", id_.encode(), fingerprint(wrapped_key), fingerprint(sealed))


def unknown_to_bytes(record: UnknownRecord) -> bytes:
    """Return an unknown person as one byte string: JSON, its length, then the voiceprints."""
    prints = [voiceprint_bytes(print_) for print_ in record.voiceprints]
    opt_out = record.opt_out
    head = json_bytes(
        {
            "id": record.id,
            "created_at": record.created_at.isoformat(),
            "heard": [
                {**voice.sighting.to_dict(), "speech_s": voice.sighting.speech_s, "seconds": voice.seconds}
                for voice in record.heard
            ],
            "opt_out": None
            if opt_out is None
            else {"evidence": opt_out.evidence, "recorded_at": opt_out.recorded_at.isoformat()},
            "voiceprints": [
                [p.info.id, p.info.bundle_id, len(plain), p.info.snr_db, p.info.high_band_db]
                for p, plain in zip(record.voiceprints, prints, strict=True)
            ],
        }
    )
    return len(head).to_bytes(4, "big") + head + b"".join(prints)


def unknown_from_bytes(content: bytes) -> UnknownRecord:
    """Return the unknown person `unknown_to_bytes` wrote.

    Raises:
        ValueError, KeyError, TypeError, struct.error, InputError, PolicyError when it did not.
    """
    size = int.from_bytes(content[:4], "big")
    head, body = json.loads(content[4 : 4 + size]), content[4 + size :]
    prints: list[Voiceprint] = []
    at = 0
    for id_, bundle_id, length, snr_db, high_band_db in head["voiceprints"]:
        prints.append(
            voiceprint_from(body[at : at + length], str(id_), str(bundle_id), Speech(snr_db, high_band_db))
        )
        at += length
    heard = tuple(
        HeardVoice(_sighting(fields), print_, tuple(int(second) for second in fields["seconds"]))
        for fields, print_ in zip(head["heard"], prints, strict=False)
    )
    if len(heard) != len(head["heard"]):
        raise ValueError("a recording without its voiceprint")
    opt_out = head["opt_out"]
    return UnknownRecord(
        str(head["id"]),
        datetime.fromisoformat(head["created_at"]),
        heard,
        None
        if opt_out is None
        else OptOut(str(opt_out["evidence"]), datetime.fromisoformat(opt_out["recorded_at"])),
        tuple(prints[len(heard) :]),
    )


def _sighting(fields: dict[str, Any]) -> Sighting:
    return Sighting(
        uri=str(fields["uri"]),
        audio_sha256=str(fields["audio_sha256"]),
        heard_at=datetime.fromisoformat(fields["heard_at"]),
        expires_at=datetime.fromisoformat(fields["expires_at"]),
        speech_s=float(fields["speech_s"]),
        basis=str(fields["basis"]),
    )
