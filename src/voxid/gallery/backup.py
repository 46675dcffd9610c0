"""Backup and restore: a consistent copy of a gallery in use, and back again without those who were erased since.

A backup is a gallery file, made from one state of either engine; it holds sealed rows and no key. Restoring it needs
the master key, and to know what was erased after it was made (`tombstones`): from the gallery that stands, from the
list beside it, or from a copy of that list. Without any of them nothing is restored, unless it is said that nobody was
erased.

Where a gallery stands and opens, it goes back to the backup's state in one transaction, through the same door as every
change: seen by other processes at once, undone as a whole when anything fails, written into the audit log, which is
not put back. Where none stands, or a damaged file, the backup takes its place.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from voxid.audit.events import Event
from voxid.errors import InputError, StoreError
from voxid.gallery.change import Change
from voxid.gallery.keys import find_master_key, sync_folder
from voxid.gallery.locations import Location, location_of
from voxid.gallery.postgres import PostgresAddress, PostgresDatabase
from voxid.gallery.sqlite import SqliteDatabase
from voxid.gallery.store import Store
from voxid.gallery.tables import meta, schema
from voxid.gallery.tombstones import ERASURES_SUFFIX, ErasureFile, Tombstones

__all__ = ["BackupReport", "RestoreReport", "back_up", "restore", "write_erasures"]

_ROWS_AT_ONCE: Final = 1000


@dataclass(frozen=True)
class BackupReport:
    """What a backup holds, read back and authenticated.

    Args:
        sha256: of the file.
    """

    path: Path
    people: int
    voiceprints: int
    documents: int
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """Return the report as ``--json`` prints it."""
        return {**self.__dict__, "path": str(self.path)}


@dataclass(frozen=True)
class RestoreReport:
    """What was restored.

    Args:
        people: how many there are now.
        left_out: people of the backup who were erased, withdrew or opted out after it, by number: they have no names
            any more.
        replaced: "state" when a gallery stood and went back, "damaged" when a damaged file was replaced, "nothing".
    """

    people: int
    left_out: int
    replaced: str

    def to_dict(self) -> dict[str, Any]:
        """Return the report as ``--json`` prints it."""
        return dict(self.__dict__)


def back_up(store: Store, path: Path) -> BackupReport:
    """Write one state of a gallery to a new file, and read it back; the gallery stays in use meanwhile.

    Raises:
        InputError: backup_exists, backup_unwritable. StoreError: store_damaged, before anything is kept.
    """
    if path.exists():
        raise InputError("backup_exists", f"{path} already exists; give the path of a new file.")
    if not path.absolute().parent.is_dir():
        raise InputError("backup_unwritable", f"The folder of {path} does not exist; make it first.")
    with _scratch(path.absolute().parent) as folder:
        draft = folder / path.name
        with store.rows() as connection:
            rows = [(row.key, row.value) for row in connection.execute(sa.select(meta))]
            SqliteDatabase.create(draft, rows)
            copied = SqliteDatabase(draft)
            try:
                with copied.writing() as target:
                    _copy_tables(connection, target)
            finally:
                copied.close()
        check = store.beside(SqliteDatabase(draft))
        found = check.check()
        check.close()
        with draft.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        _put_in_place(draft, path)
    return BackupReport(path, found.people, found.voiceprints, found.documents, digest)


def write_erasures(store: Store, path: Path) -> int:
    """Add to a list what was erased and refused so far and is not in it; returns how many are new.

    The list is small and holds nothing but sealed hashes: to be kept apart from the gallery, and written often.

    Raises:
        InputError: erasures_unwritable, erasures_unreadable.
    """
    listed = ErasureFile(path, store.keyring)
    new = store.tombstones().beyond(listed.read())
    listed.add(new)
    return len(new.buried) + len(new.opt_outs)


def restore(
    target: str | Path,
    source: Path,
    *,
    key: str | Path | bytes | None = None,
    erasures: Path | None = None,
    nobody_erased: bool = False,
) -> RestoreReport:
    """Bring a gallery to the state of a backup, without whom it must not bring back.

    Args:
        target: path or address of the gallery, which may be missing or damaged.
        erasures: a copy of the list of erasures, where the gallery and its own list are lost.
        nobody_erased: there is no list, because nobody was erased, withdrew or opted out since the backup.

    Raises:
        InputError: backup_missing, erasures_unknown, erasures_unreadable, restore_other_gallery, tenant_invalid.
        ConfigError: key_missing. StoreError: key_wrong, store_damaged (of the backup).
    """
    location = location_of(target)
    if not source.is_file():
        raise InputError(
            "backup_missing", f"There is no backup at {source}; give a file `voxid backup` wrote."
        )
    file = location if isinstance(location, Path) else None
    master = find_master_key(key, file)
    secret = None if master is None else master.secret
    with _scratch(file.absolute().parent if file is not None else None) as folder:
        draft = folder / source.name
        shutil.copyfile(source, draft)
        draft.chmod(0o600)
        copy = Store.open(draft, key=secret, create=False)
        try:
            standing, damage = _standing(location, secret)
            known = Tombstones()
            if erasures is not None:
                known = ErasureFile(erasures, copy.keyring).read(must_open=True)
            if standing is not None:
                try:
                    return _go_back(standing, copy, known)
                finally:
                    standing.close()
            beside = None if file is None else file.with_name(file.name + ERASURES_SUFFIX)
            if beside is not None and beside.exists():
                known = known.joined(ErasureFile(beside, copy.keyring).read())
            elif erasures is None and not nobody_erased:
                raise _unknown_erasures(location)
            left_out = copy.leave_out(known, act="gallery.restored")
            n_people = len(copy.person_ids())
            if beside is not None:
                ErasureFile(beside, copy.keyring).add(copy.tombstones().beyond(known))
        finally:
            copy.close()
        _take_place(draft, location)
    return RestoreReport(n_people, left_out, "damaged" if damage else "nothing")


def _go_back(standing: Store, copy: Store, known: Tombstones) -> RestoreReport:
    """Bring the gallery that stands to the state of the copy, in one transaction."""
    if standing.keyring.store_id != copy.keyring.store_id:
        raise InputError(
            "restore_other_gallery",
            f"The backup is of another gallery than the one at {standing.path.name}; restore it under another name.",
        )
    known, at = standing.tombstones().joined(known), copy.change_number()
    keyring, strangers = copy.keyring, copy.read_unknown()
    left_out = 0
    with copy.snapshot() as roster:
        former_ids = dict(roster.known_as)
    with standing.changing() as change:
        # Whoever took something back since, and stays, stays as they are now.
        kept = {id_ for id_ in change.person_ids() if known.erased_after(keyring, at, "person", id_)}
        for id_ in change.person_ids():
            if id_ not in kept:
                change.remove(id_, outdate=False)
        for record in copy.read_many(copy.person_ids()):
            erased = known.erased_after(keyring, at, "person", record.id)
            if erased or change.opted_out(record.name) or change.find(record.name) is not None:
                left_out += record.id not in kept
            else:
                change.put(record)
        change.unknown.become(
            [each for each in strangers if not known.erased_after(keyring, at, "person", each.id)]
        )
        for former, holder in former_ids.items():
            if change.holds(holder):
                change.unknown.add_known_as(former, holder)
        _documents_go_back(change, standing, copy, known, kept)
        change.record(Event("gallery.restored", facts={"left_out": left_out}))
    return RestoreReport(len(standing.person_ids()), left_out, "state")


def _documents_go_back(
    change: Change, standing: Store, copy: Store, known: Tombstones, kept: set[str]
) -> None:
    at = copy.change_number()
    for document in standing.every_document():
        if document.person_id not in kept:
            change.documents.delete(document.kind, document.id)
    for document in copy.every_document():
        whose = document.person_id
        erased = known.erased_after(copy.keyring, at, document.kind, document.id)
        if not erased and (whose is None or (change.holds(whose) and whose not in kept)):
            change.documents.take_over(document)


def _standing(location: Location, secret: bytes | None) -> tuple[Store | None, bool]:
    """Return the gallery that stands, if it opens, and whether one that does not open is in its place."""
    if not location.exists():
        return None, False
    store = None
    try:
        store = Store.open(location, key=secret, create=False)
        store.check()
    except StoreError as error:
        if store is not None:
            store.close()
        if error.code != "store_damaged" or isinstance(location, PostgresAddress):
            raise
        return None, True
    return store, False


def _take_place(draft: Path, location: Location) -> None:
    if isinstance(location, Path):
        for leftover in ("-wal", "-shm"):
            location.with_name(location.name + leftover).unlink(missing_ok=True)
        os.replace(draft, location)
        sync_folder(location.absolute().parent)
        return
    database = SqliteDatabase(draft)
    with database.reading() as source:
        rows = [(row.key, row.value) for row in source.execute(sa.select(meta))]
        PostgresDatabase.create(location, rows)
        target = PostgresDatabase(location)
        with target.writing() as connection:
            _copy_tables(source, connection)
        target.close()
    database.close()


def _copy_tables(source: sa.Connection, target: sa.Connection) -> None:
    """Make the tables of one connection hold what those of the other hold."""
    for table in reversed(schema.sorted_tables):
        target.execute(table.delete())
    for table in schema.sorted_tables:
        found = source.execution_options(yield_per=_ROWS_AT_ONCE).execute(sa.select(table))
        for rows in found.mappings().partitions():
            target.execute(table.insert(), [dict(row) for row in rows])


def _put_in_place(draft: Path, path: Path) -> None:
    descriptor = os.open(draft, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(draft, path)
    except FileExistsError as error:
        raise InputError("backup_exists", f"{path} already exists; give the path of a new file.") from error
    sync_folder(path.absolute().parent)


@contextmanager
def _scratch(beside: Path | None) -> Iterator[Path]:
    """Hand out a folder nobody else can read, gone afterwards."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=".voxid-", dir=beside))
    except OSError as error:
        raise InputError(
            "backup_unwritable", f"{beside} cannot be written ({error.strerror}); choose another folder."
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unknown_erasures(location: Location) -> InputError:
    return InputError(
        "erasures_unknown",
        f"No list of erasures was found for {location.name}, so that people erased, withdrawn or opted out after "
        "the backup would come back. Give a copy of the list (--erasures FILE), or say that there were none "
        "(--nobody-erased).",
    )
