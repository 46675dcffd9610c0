"""The format of a gallery: how it is recognised, what a new one begins with, how an older one becomes the newest.

1: people, consents, voiceprints, opt-outs. 2: unknown people and the ids they had. 3: documents, the keys of what is
kept beside a person's voiceprints, counters; the state row guards them too.

An older gallery is brought up when it is opened, in one transaction: cut off in the middle, it is as it was.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from uuid import uuid4

import sqlalchemy as sa

from voxid.errors import CompatibilityError, ConfigError, StoreError
from voxid.gallery.database import Database, damaged
from voxid.gallery.keys import (
    KEY_FILE_SUFFIX,
    Kept,
    Keyring,
    MasterKey,
    bound_to,
    open_sealed,
    same,
    seal,
)
from voxid.gallery.roster import State
from voxid.gallery.tables import SINCE_FORMAT_2, SINCE_FORMAT_3, meta

__all__ = [
    "FORMAT_VERSION",
    "check_tables",
    "fitting_key",
    "key_rows",
    "keyring_of",
    "new_meta",
    "read_meta",
    "upgrade",
]

FORMAT_VERSION: Final = 3

_OLDEST_FORMAT: Final = 1
_FORMAT: Final = struct.Struct(">I8s")  # version, first bytes of the SHA-256 of the version
_KEPT_KEY: Final = "kept"
_KEPT_PLACE: Final = bound_to("kept")
_NEW_TABLES: Final = {2: SINCE_FORMAT_2, 3: SINCE_FORMAT_3}


def new_meta(master: MasterKey) -> list[tuple[str, bytes]]:
    """Return the meta rows of a new gallery."""
    keyring = Keyring(master, uuid4().bytes)
    return [
        ("format", _format_row(FORMAT_VERSION)),
        ("store_id", keyring.store_id),
        *key_rows(keyring).items(),
        State().row(keyring),
    ]


def key_rows(keyring: Keyring) -> dict[str, bytes]:
    """Return the meta rows that say which master key fits, and what stayed from those before it."""
    rows = {
        "key_check": keyring.check,
        "identity_sum": hashlib.sha256(keyring.store_id + keyring.check).digest()[:8],
    }
    kept = keyring.kept
    if kept is not None:
        known = {"tombstone_key": kept.tombstone_key.hex(), "public_keys": kept.public_keys}
        rows[_KEPT_KEY] = seal(keyring.documents, json.dumps(known).encode(), _KEPT_PLACE)
    return rows


def keyring_of(name: str, master: MasterKey, values: Mapping[str, bytes]) -> Keyring:
    """Return the keys of a gallery.

    Args:
        name: of the gallery, for messages.
        master: the key that fits it; values: the meta rows.

    Raises:
        StoreError: store_damaged when what stayed from earlier master keys does not open.
    """
    keyring = Keyring(master, values["store_id"])
    sealed = values.get(_KEPT_KEY)
    if sealed is None:
        return keyring
    plain = open_sealed(keyring.documents, sealed, _KEPT_PLACE)
    if plain is None:
        raise damaged(Path(name), "what stayed from its earlier master keys does not open")
    known = json.loads(plain)
    kept = Kept(bytes.fromhex(known["tombstone_key"]), tuple(known["public_keys"]))
    return Keyring(master, values["store_id"], kept)


def read_meta(database: Database) -> dict[str, bytes]:
    """Return the meta rows, after their format was found to be ours and its tables to be there.

    Raises:
        CompatibilityError: store_format_newer, store_format_older. StoreError: store_damaged.
    """
    name = database.path.name
    with database.reading() as connection:
        values = {row.key: row.value for row in connection.execute(sa.select(meta))}
    form = values.get("format", b"")
    if len(form) != _FORMAT.size or hashlib.sha256(form[:4]).digest()[:8] != form[4:]:
        raise damaged(database.path, "its format record cannot be read")
    version = int.from_bytes(form[:4], "big")
    if version > FORMAT_VERSION:
        raise CompatibilityError(
            "store_format_newer",
            f"{name} is a gallery of format {version}; this voxid reads format {FORMAT_VERSION}: upgrade voxid.",
        )
    if version < _OLDEST_FORMAT:
        raise CompatibilityError(
            "store_format_older",
            f"{name} is a gallery of format {version}; this voxid reads format {FORMAT_VERSION}: open it with the "
            "voxid that wrote it, export it, and import the export here.",
        )
    # A damaged key check must not be reported as a wrong key, so the two are told apart by a plain checksum.
    store_id, key_check = values.get("store_id", b""), values.get("key_check", b"")
    if hashlib.sha256(store_id + key_check).digest()[:8] != values.get("identity_sum", b""):
        raise damaged(database.path, "its key check record cannot be read")
    check_tables(database, version)
    return values


def fitting_key(name: str, master: MasterKey | None, values: Mapping[str, bytes]) -> MasterKey:
    """Return the key, when it is the gallery's; where an exchange is not finished, the one that follows it, if that is.

    Args:
        name: of the gallery, for messages.
        values: the meta rows.

    Raises:
        ConfigError: key_missing. StoreError: key_wrong.
    """
    if master is None:
        raise ConfigError(
            "key_missing",
            f"The gallery {name} is encrypted and its key was not found: neither {name}{KEY_FILE_SUFFIX} beside it, "
            "nor VOXID_MASTER_KEY, nor VOXID_KEY_FILE. Restore the key from where you keep it safe; no new one was "
            "made.",
        )
    fits = same(values["key_check"], Keyring.check_value(master))
    following = None if fits else master.following()
    if following is not None and same(values["key_check"], Keyring.check_value(following)):
        return following
    if not fits:
        raise StoreError(
            "key_wrong",
            f"The key from {master.origin} is not the key of {name}; give the key that was made with it.",
        )
    return master


def check_tables(database: Database, version: int) -> None:
    """Refuse a gallery that lacks tables of its format.

    Raises:
        StoreError: store_damaged, naming them.
    """
    later = {name for since, names in _NEW_TABLES.items() if since > version for name in names}
    missing = set(database.missing) - later
    if missing:
        raise damaged(database.path, f"the table {', '.join(sorted(missing))} is missing")


def upgrade(database: Database, keyring: Keyring, before: bytes) -> None:
    """Bring a gallery to the newest format; nothing when it is, or when another process was first.

    Args:
        before: its format row, as `read_meta` gave it.
    """
    if before == _format_row(FORMAT_VERSION):
        return
    version = int.from_bytes(before[:4], "big")
    with database.writing() as connection:
        found = connection.execute(sa.select(meta.c.value).where(meta.c.key == "format")).scalar()
        if found == before:
            for since in range(version + 1, FORMAT_VERSION + 1):
                database.add_tables(connection, _NEW_TABLES[since])
            State.read(connection, keyring, database.path, older=True).write(connection, keyring)
            row = _format_row(FORMAT_VERSION)
            connection.execute(meta.update().where(meta.c.key == "format").values(value=row))


def _format_row(version: int) -> bytes:
    return _FORMAT.pack(version, hashlib.sha256(version.to_bytes(4, "big")).digest()[:8])
