"""A gallery in one encrypted file: out of one installation, into another, whole or not at all.

    8 bytes   magic  "VOXIDEXP"
    2 bytes   version, big-endian: 1
    4 bytes   length of the header, then the header: JSON with the scrypt parameters, salt and passphrase check
    records   each 4 bytes of length, then AES-256-GCM ciphertext with tag

Record 0 is the manifest (JSON: when, from which voxid, number of people and voiceprints, bundle ids, opt-outs
with their keys, opted-out voices, the ids people had before they were named, SHA-256 of every following record); then
one record per person. Unknown people are not carried: the grounds they are kept on are this gallery's. Each record's
associated data holds the header and the record's number, so that records cannot be dropped, swapped, repeated or taken
from another export.

The passphrase is all that protects the file: choose a long one.

Source: scrypt, RFC 7914; parameters N = 2^17, r = 8, p = 1 (128 MiB, about half a second) as OWASP's password
storage cheat sheet advises.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from voxid.audit.events import Event
from voxid.errors import CompatibilityError, ConfigError, InputError, StoreError, VoxidError
from voxid.gallery.change import FORGOTTEN_KEY, Change
from voxid.gallery.keys import open_sealed, same, seal, sync_folder
from voxid.gallery.names import lookup_form
from voxid.gallery.packing import record_from_bytes, record_to_bytes
from voxid.gallery.records import PersonRecord, names_of
from voxid.gallery.store import Store
from voxid.gallery.unknown import is_unknown_id
from voxid.gallery.unknown_rows import unknown_from_bytes, unknown_to_bytes

__all__ = ["EXPORT_VERSION", "TransferReport", "export_gallery", "import_gallery"]

EXPORT_VERSION: Final = 1
_MAGIC: Final = b"VOXIDEXP"
_SCRYPT_LOG2_N: Final = 17
_SCRYPT_R: Final = 8
# What a file may ask of this machine before anything in it is known to be ours: 1 GiB.
_MAX_SCRYPT_LOG2_N: Final = 20
_MAX_HEADER_BYTES: Final = 4096
_MAX_RECORD_BYTES: Final = 64 << 20
_MAX_MANIFEST_BYTES: Final = 1 << 30


@dataclass(frozen=True)
class TransferReport:
    """What was written or taken over.

    Args:
        people: display names.
        voiceprints: number of references.
        opt_outs: number of opt-outs in the file (export), or new here (import).
        skipped_opted_out: people of the file who were left out on import because they opted out here.
    """

    people: tuple[str, ...]
    voiceprints: int
    opt_outs: int
    skipped_opted_out: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the report as ``--json`` prints it."""
        return {
            "people": list(self.people),
            "voiceprints": self.voiceprints,
            "opt_outs": self.opt_outs,
            "skipped_opted_out": list(self.skipped_opted_out),
        }


def export_gallery(
    store: Store, path: Path, passphrase: str | None, now: datetime, person_ids: list[str] | None = None
) -> TransferReport:
    """Write people and opt-outs to a new encrypted file.

    Args:
        person_ids: only these, and then without the opt-outs of others; None: the whole gallery.

    Raises:
        ConfigError: passphrase_missing. InputError: export_exists, export_unwritable.
        StoreError: store_damaged.
    """
    secret = _checked_passphrase(passphrase)
    with store.snapshot() as roster:
        records = list(store.read_many(list(roster.entries) if person_ids is None else person_ids))
        whole = person_ids is None
        unknown = [record for record in store.read_unknown() if record.opt_out is not None] if whole else []
        here = {record.id for record in records}
        former = {id_: holder for id_, holder in roster.known_as.items() if holder in here}
        keys = {key_id: key.hex() for key_id, key in roster.opt_out_keys.items()} if whole else {}
        opt_outs = sorted([key_id, tag.hex()] for key_id, tag in roster.opt_outs) if whole else []
    blocks = [record_to_bytes(record) for record in records]
    n_voiceprints = sum(len(record.voiceprints) for record in records)
    manifest = {
        "created_at": now.isoformat(),
        "people": len(records),
        "voiceprints": n_voiceprints,
        "bundles": sorted({print_.info.bundle_id for record in records for print_ in record.voiceprints}),
        "opt_out_keys": keys,
        "opt_outs": opt_outs,
        "opted_out_voices": [unknown_to_bytes(record).hex() for record in unknown],
        "known_as": former,
        "sha256": [hashlib.sha256(block).hexdigest() for block in blocks],
    }
    _write_file(path, secret, [json.dumps(manifest).encode(), *blocks])
    return TransferReport(names_of(records), n_voiceprints, _names_among(opt_outs))


def import_gallery(store: Store, path: Path, passphrase: str | None) -> TransferReport:
    """Take over everybody in an export, or nobody.

    People whose name is under an opt-out, here or in the export, are left out and reported. Voiceprints keep
    their ids, times and bundle.

    Raises:
        ConfigError: passphrase_missing, passphrase_wrong. InputError: export_missing, export_unknown_format,
        import_conflict when a person of the export is already here. CompatibilityError: export_version_unknown.
        StoreError: export_damaged.
    """
    secret = _checked_passphrase(passphrase)
    manifest, records = _read_file(path, secret)
    try:
        keys = {str(key_id): bytes.fromhex(key) for key_id, key in manifest["opt_out_keys"].items()}
        opt_outs = [(str(key_id), bytes.fromhex(tag)) for key_id, tag in manifest["opt_outs"]]
        voices = [unknown_from_bytes(bytes.fromhex(text)) for text in manifest.get("opted_out_voices", ())]
        former = {str(id_): str(holder) for id_, holder in manifest.get("known_as", {}).items()}
    except (KeyError, TypeError, ValueError, AttributeError, struct.error, VoxidError) as error:
        raise _damaged(path, "its list of opt-outs cannot be read") from error
    with store.changing() as change:
        n_new = change.add_opt_outs_of(opt_outs, keys)
        if n_new:
            _check_nobody_here_opted_out(change, path)
        skipped = [record for record in records if change.opted_out(record.name)]
        taken = [record for record in records if not change.opted_out(record.name)]
        present = [r for r in taken if change.find(r.name) is not None or change.holds(r.id)]
        if present:
            names = ", ".join(repr(name) for name in names_of(present)[:5])
            raise InputError(
                "import_conflict",
                f"{len(present)} of {len(taken)} people in {path.name} are already in the gallery ({names}); nothing "
                "was imported: delete or rename them here, or import into an empty gallery.",
            )
        for record in taken:
            change.put(record)
        _take_over_ids(change, former, {record.id for record in taken})
        for voice in voices:
            if change.unknown.seal_of(voice.id) is None:
                change.unknown.put(voice)
        facts = {"people": len(taken), "opt_outs": n_new, "skipped": len(skipped)}
        change.record(Event("gallery.imported", facts=facts))
    return TransferReport(
        names_of(taken), sum(len(record.voiceprints) for record in taken), n_new, names_of(skipped)
    )


def _take_over_ids(change: Change, former: Mapping[str, str], people: Container[str]) -> None:
    """Let the ids people had before they were named lead to them here too, unless an unknown person here has one."""
    for id_, holder in former.items():
        if holder in people and is_unknown_id(id_) and change.unknown.seal_of(id_) is None:
            change.unknown.add_known_as(id_, holder)


def _names_among(opt_outs: Iterable[Sequence[str]]) -> int:
    return sum(not key_id.startswith(FORGOTTEN_KEY) for key_id, _ in opt_outs)


def _check_nobody_here_opted_out(change: Change, path: Path) -> None:
    """An opt-out only holds a keyed hash, so the names here are hashed one by one."""
    present = [record for record in change.everybody() if change.opted_out(record.name)]
    if present:
        names = ", ".join(repr(name) for name in names_of(present)[:5])
        raise InputError(
            "import_conflict",
            f"{path.name} holds the opt-out of {len(present)} people enrolled here ({names}); nothing was imported: "
            "opt them out or delete them here first, then import again.",
        )


def _write_file(path: Path, passphrase: bytes, records: list[bytes]) -> None:
    salt = os.urandom(16)
    key, check = _derived(passphrase, salt, _SCRYPT_LOG2_N, _SCRYPT_R)
    header = json.dumps(
        {"kdf": "scrypt", "log2_n": _SCRYPT_LOG2_N, "r": _SCRYPT_R, "salt": salt.hex(), "check": check.hex()}
    ).encode()
    aead = AESGCM(key)
    if path.exists():
        raise InputError("export_exists", f"{path} already exists; give the path of a new file.")
    draft = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_MAGIC + EXPORT_VERSION.to_bytes(2, "big"))
                file.write(len(header).to_bytes(4, "big") + header)
                for number, record in enumerate(records):
                    sealed = seal(aead, record, _place(header, number))
                    file.write(len(sealed).to_bytes(4, "big") + sealed)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        sync_folder(path.absolute().parent)
    except OSError as error:
        raise InputError(
            "export_unwritable",
            f"The export {path} cannot be written ({error.strerror}); choose another folder.",
        ) from error


def _read_file(path: Path, passphrase: bytes) -> tuple[dict[str, Any], list[PersonRecord]]:
    try:
        with path.open("rb") as file:
            header, aead = _read_header(file, path, passphrase)
            sealed = list(_sealed_records(file, path))
    except OSError as error:
        raise InputError("export_missing", f"The export {path} cannot be read ({error.strerror}).") from error
    plain = []
    for number, block in enumerate(sealed):
        opened = open_sealed(aead, block, _place(header, number))
        if opened is None:
            raise _damaged(path, f"its record {number} does not open")
        plain.append(opened)
    if not plain:
        raise _damaged(path, "it ends before its manifest")
    try:
        manifest = json.loads(plain[0])
        hashes, n_people = list(manifest["sha256"]), int(manifest["people"])
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, "its manifest cannot be read") from error
    blocks = plain[1:]
    if len(blocks) != n_people or [hashlib.sha256(block).hexdigest() for block in blocks] != hashes:
        raise _damaged(path, f"it lists {n_people} people and holds {len(blocks)}, or one was changed")
    records = [record_from_bytes(block) for block in blocks]
    if len({lookup_form(record.name) for record in records}) != len(records):
        raise _damaged(path, "it holds two people of one name")
    return manifest, records


def _read_header(file: BinaryIO, path: Path, passphrase: bytes) -> tuple[bytes, AESGCM]:
    start = file.read(len(_MAGIC) + 2)
    if start[: len(_MAGIC)] != _MAGIC:
        raise InputError(
            "export_unknown_format",
            f"{path.name} is not a voxid export; give a file `voxid people export` wrote.",
        )
    version = int.from_bytes(start[len(_MAGIC) :], "big")
    if len(start) == len(_MAGIC) + 2 and version != EXPORT_VERSION:
        raise CompatibilityError(
            "export_version_unknown",
            f"{path.name} is an export of version {version}; this voxid reads version {EXPORT_VERSION}: upgrade voxid.",
        )
    size = int.from_bytes(file.read(4), "big")
    header = file.read(min(size, _MAX_HEADER_BYTES))
    try:
        fields = json.loads(header)
        log2_n, r = int(fields["log2_n"]), int(fields["r"])
        salt, check = bytes.fromhex(fields["salt"]), bytes.fromhex(fields["check"])
        known = fields["kdf"] == "scrypt" and len(header) == size
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, "its header cannot be read") from error
    if not (known and 10 <= log2_n <= _MAX_SCRYPT_LOG2_N and r == _SCRYPT_R and len(salt) == 16):
        raise _damaged(path, "its header asks for what no voxid writes")
    key, expected = _derived(passphrase, salt, log2_n, r)
    if not same(check, expected):
        raise ConfigError(
            "passphrase_wrong",
            f"The passphrase does not open {path.name}; give the one it was exported with.",
        )
    return header, AESGCM(key)


def _sealed_records(file: BinaryIO, path: Path) -> Iterator[bytes]:
    number = 0
    while length := file.read(4):
        size = int.from_bytes(length, "big")
        block = (
            file.read(size) if size <= (_MAX_MANIFEST_BYTES if number == 0 else _MAX_RECORD_BYTES) else b""
        )
        if len(length) < 4 or len(block) != size:
            raise _damaged(path, f"it is cut off in record {number}")
        yield block
        number += 1


def _derived(passphrase: bytes, salt: bytes, log2_n: int, r: int) -> tuple[bytes, bytes]:
    root = Scrypt(salt=salt, length=32, n=1 << log2_n, r=r, p=1).derive(passphrase)
    uses = (b"voxid/export/1/records", b"voxid/export/1/check")
    key, check = (HKDF(algorithm=SHA256(), length=32, salt=None, info=use).derive(root) for use in uses)
    return key, check[:16]


def _place(header: bytes, number: int) -> bytes:
    return b"voxid-export\x1f1\x1f" + number.to_bytes(8, "big") + hashlib.sha256(header).digest()


def _checked_passphrase(passphrase: str | None) -> bytes:
    if not passphrase:
        raise ConfigError(
            "passphrase_missing",
            "An export holds voiceprints and is always encrypted; give a passphrase of several words.",
        )
    return passphrase.encode()


def _damaged(path: Path, what: str) -> StoreError:
    return StoreError(
        "export_damaged",
        f"The export {path.name} is damaged: {what}. Nothing was imported; copy or make the export again.",
    )
