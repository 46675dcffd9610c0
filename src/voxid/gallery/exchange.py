"""The exchange of a gallery's master key: everything sealed anew under another, in one transaction.

What is done, in this order:
1. The new key is on the disk before anything changes: beside the old one's file, as ``<key file>.next``, unless it is
   kept elsewhere and was named.
2. In one transaction of each gallery, after everything in it was read and authenticated under the old key: people,
   unknown people and documents are sealed anew under new keys of their own, opt-outs, counters' place, lists, the log's
   tags and its head are guarded anew, and the gallery says which key fits. Freed bytes are overwritten afterwards; the
   mark that this is still to do is part of the transaction.
3. When all galleries of the key are done, the old file is kept as ``<key file>.former``, and the new takes its place.

Cut off anywhere, each gallery is whole under the one key or the other; opening looks for ``.next`` where the key file
does not fit, so that all of them can be used meanwhile; the same command goes on where it stopped.

What stays: personal fields of the audit log are sealed under a key per person that is wrapped anew and not made anew,
because the log's hashes cover the sealed bytes; so is the key that refused names are hashed with. The key tombstones
are hashed with stays too, sealed in the gallery: whoever was erased before must be known as erased ever after; for the
same reason the exchange has no number in the order of tombstones. Heads and receipts are signed with the new key;
former public keys are remembered, so that heads kept from before are still taken.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from voxid.audit.events import Event
from voxid.audit.heads import public_key_of
from voxid.errors import ConfigError
from voxid.gallery.audit_rows import AuditWriter, Waiting, guarded_anew
from voxid.gallery.document_rows import DocumentKeys, DocumentRow, document_key, person_key_element
from voxid.gallery.documents import INDEX_KEY
from voxid.gallery.formats import key_rows, read_meta
from voxid.gallery.keys import (
    Keyring,
    MasterKey,
    bound_to,
    create_key_file,
    find_master_key,
    new_data_key,
    next_key_file,
    read_key_file,
    same,
    sync_folder,
)
from voxid.gallery.locations import Location, open_database
from voxid.gallery.roster import (
    DocumentState,
    known_as_element,
    opt_out_element,
    opt_out_key_element,
    person_element,
    unknown_element,
)
from voxid.gallery.rows import TENANT, PersonRows, insert_people
from voxid.gallery.store import Store
from voxid.gallery.tables import (
    consents,
    counters,
    documents,
    meta,
    opt_out_keys,
    people,
    person_keys,
    unknown_people,
    voiceprints,
)
from voxid.gallery.unknown_rows import UnknownRow

__all__ = ["ExchangeReport", "exchange_key"]

FORMER_SUFFIX: Final = ".former"
_AT_ONCE: Final = 500
_MODULUS: Final = 1 << 256


@dataclass(frozen=True)
class ExchangeReport:
    """What an exchange did.

    Args:
        exchanged: names of the galleries that were sealed anew.
        before: names of those that were already, by an exchange that was cut off.
        key_file: where the new key is; former_file: where the old one is kept, None when it is kept elsewhere.
    """

    exchanged: tuple[str, ...]
    before: tuple[str, ...]
    key_file: Path
    former_file: Path | None

    def to_dict(self) -> dict[str, Any]:
        """Return the report as ``--json`` prints it."""
        return {
            "exchanged": list(self.exchanged),
            "exchanged_before": list(self.before),
            "key_file": str(self.key_file),
            "former_key_file": None if self.former_file is None else str(self.former_file),
        }


def exchange_key(
    locations: Sequence[Location], key: str | Path | bytes | None = None, new_key: Path | None = None
) -> ExchangeReport:
    """Give galleries that share a master key another one; all of them, or it goes on when called again.

    Args:
        locations: of the galleries; with several, `key` must be given.
        key: as `Store.open` takes it.
        new_key: file of the new key, made where there is none; needed where the old one is in no file. Without it the
            new key takes the place of the old one's file.

    Raises:
        ConfigError: key_missing, new_key_missing, key_invalid. StoreError: key_wrong, store_damaged, audit_damaged,
            store_busy, store_full; then the gallery is as it was.
    """
    first = locations[0]
    old = find_master_key(key, first if isinstance(first, Path) else None)
    if old is None:
        raise ConfigError("key_missing", f"The key of {first.name} was not found; name its file with --key.")
    if new_key is None and old.file is None:
        raise ConfigError(
            "new_key_missing",
            f"The master key comes from {old.origin}, which cannot be changed from here; name a file for the new one.",
        )
    path = next_key_file(old.file) if new_key is None and old.file is not None else new_key or Path()
    new = read_key_file(path) if path.exists() else create_key_file(path)
    done = {location.name: _exchanged(location, old, new) for location in locations}
    former = _take_place(old.file, path) if new_key is None and old.file is not None else None
    return ExchangeReport(
        tuple(name for name, now in done.items() if now),
        tuple(name for name, now in done.items() if not now),
        path if new_key is not None or old.file is None else old.file,
        former,
    )


def _exchanged(location: Location, old: MasterKey, new: MasterKey) -> bool:
    """Bring one gallery under the new key; returns False when it was before."""
    database = open_database(location)
    try:
        fits = same(read_meta(database)["key_check"], Keyring.check_value(new))
    finally:
        database.close()
    if not fits:
        store = Store.open(location, key=old.secret, create=False)
        try:
            _seal_anew(store, store.keyring.under(new))
        finally:
            store.close()
    # Opening finishes what is left to do: overwriting the freed bytes, and the list of erasures beside the gallery.
    Store.open(location, key=new.secret, create=False).close()
    return not fits


def _take_place(old: Path, new: Path) -> Path:
    """Put the new key's file in place of the old one, which is kept under another name."""
    former = old.with_name(old.name + FORMER_SUFFIX)
    with suppress(FileNotFoundError):
        former.unlink()
    os.link(old, former)
    sync_folder(old.absolute().parent)
    os.replace(new, old)
    sync_folder(old.absolute().parent)
    return former


def _seal_anew(store: Store, new: Keyring) -> None:
    with store.rewriting() as (connection, state):
        store.check_documents(connection, state.documents)
        store.check()  # what is not authentic under the old key must not become so under the new one
        total, n_elements = _summed(
            itertools.chain(
                _people(store, connection, new),
                _unknown(store, connection, new),
                _lists(store, connection, new),
            )
        )
        documents_total, n_documents = _summed(_documents(store, connection, new))
        connection.execute(counters.delete())  # under the old key they would not be found again
        following = replace(
            state,
            generation=state.generation + 1,
            n_elements=n_elements,
            total=total,
            erasure_unfinished=True,
            documents=DocumentState(state.documents.changes, n_documents, documents_total),
        )
        if state.audited:
            _log(store, connection, new, following.generation)
        following.write(connection, new)
        for name, value in key_rows(new).items():
            connection.execute(meta.delete().where(meta.c.key == name))
            connection.execute(meta.insert().values(key=name, value=value))


def _summed(elements: Iterable[int]) -> tuple[int, int]:
    total = n = 0
    for element in elements:
        total, n = (total + element) % _MODULUS, n + 1
    return total, n


def _people(store: Store, connection: sa.Connection, new: Keyring) -> Iterator[int]:
    """Write everybody under new data keys; the reading sees the state before."""
    for table in (voiceprints, consents, people):
        connection.execute(table.delete())
    records = store.read_many(store.person_ids())
    while some := list(itertools.islice(records, _AT_ONCE)):
        rows = [PersonRows.of(record, new) for record in some]
        insert_people(connection, rows)
        yield from (person_element(new, TENANT, row.id, row.name_tag, row.seal) for row in rows)


def _unknown(store: Store, connection: sa.Connection, new: Keyring) -> Iterator[int]:
    records = store.read_unknown()
    connection.execute(unknown_people.delete())
    for record in records:
        row = UnknownRow.of(record, new)
        values = {"id": row.id, "wrapped_key": row.wrapped_key, "sealed": row.sealed, "seal": row.seal}
        connection.execute(unknown_people.insert().values(values))
        yield unknown_element(row.seal)


def _lists(store: Store, connection: sa.Connection, new: Keyring) -> Iterator[int]:
    """Guard former ids and refused names anew; the keys names are hashed with are wrapped anew."""
    with store.snapshot() as roster:
        for former, holder in roster.known_as.items():
            yield known_as_element(new, former, holder)
        for key_id, key in roster.opt_out_keys.items():
            wrapped = new.wrap(key, bound_to("opt-out-key", key_id))
            own = opt_out_keys.c.id == key_id
            connection.execute(opt_out_keys.update().where(own).values(wrapped_key=wrapped))
            yield opt_out_key_element(new, key_id, wrapped)
        for key_id, tag in roster.opt_outs:
            yield opt_out_element(new, key_id, tag)


def _documents(store: Store, connection: sa.Connection, new: Keyring) -> Iterator[int]:
    """Write documents under new keys; those of index files go, and with them what the files hold."""
    with store.rows() as source:
        connection.execute(documents.delete())
        connection.execute(person_keys.delete())
        own: dict[str, AESGCM] = {"": new.documents}
        for person_id in source.execute(sa.select(person_keys.c.person_id)).scalars():
            key = new_data_key()
            wrapped = new.wrap(key, bound_to("person-key", TENANT, person_id))
            connection.execute(person_keys.insert().values(person_id=person_id, wrapped_key=wrapped))
            own[person_id] = document_key(key)
            yield person_key_element(new, person_id, wrapped)
        keys = DocumentKeys(source, store.keyring, store.path)
        query = sa.select(documents).where(documents.c.kind != INDEX_KEY)
        for found in source.execution_options(yield_per=_AT_ONCE).execute(query).partitions():
            opened = [DocumentRow(*row).opened(keys, store.keyring, store.path) for row in found]
            rows = [DocumentRow.of(each, own[each.person_id or ""], new) for each in opened]
            connection.execute(documents.insert(), [row.values() for row in rows])
            yield from (row.element for row in rows)


def _log(store: Store, connection: sa.Connection, new: Keyring, generation: int) -> None:
    """Guard the log anew, as it is, and add that the key was exchanged."""
    guarded_anew(connection, store.keyring, new, store.path)
    facts = {
        "former_public_key": public_key_of(store.keyring.signing),
        "public_key": public_key_of(new.signing),
    }
    writer = AuditWriter(connection, new, store.path, lambda id_: False)
    writer.append([Waiting.now(Event("keys.exchanged", facts=facts))], generation)
