"""The encrypted store: open a gallery, read people, change them in one transaction, erase for real.

Trust rules, in the order they are applied:
1. The format is read first; a newer, older or unknown one is refused with a sentence.
2. The key must be there and fit; then the guarded list of people is read and checked (`roster`).
3. A person is looked up in that list, never in an index of the database; the rows read must carry the
   integrity tag the list has for them, and every sealed row must open in its place.
4. A change holds the write lock before it looks, and ends by writing the next generation.
5. After rows are deleted, the file and its log are read to prove that their bytes are gone; the mark that
   this is still to do is part of the deleting transaction, so a crash in between is finished at the next open.

One lock per `Store`: threads share it, one at a time. Processes share the file; each notices the others'
changes by the generation. A `Store` does not survive `fork`: open it in the child.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from voxid.audit.events import STARTED, Event
from voxid.audit.statements import SignedStatement, sign_statement
from voxid.audit.written import tell_written
from voxid.errors import InputError, StoreError
from voxid.gallery.audit_log import AuditLog
from voxid.gallery.audit_rows import AuditWriter, Waiting, is_held
from voxid.gallery.audit_sharing import SharedWriting
from voxid.gallery.change import FORGOTTEN_KEY, Change
from voxid.gallery.database import Database, damaged
from voxid.gallery.formats import FORMAT_VERSION, fitting_key, keyring_of, read_meta, upgrade
from voxid.gallery.keys import Keyring, find_master_key
from voxid.gallery.locations import Location, create_database, location_of, open_database
from voxid.gallery.older_copies import OlderCopy
from voxid.gallery.people_reading import PeopleReading
from voxid.gallery.roster import State
from voxid.gallery.tables import voiceprints
from voxid.gallery.tombstones import ERASURES_SUFFIX, ErasureFile, Tombstones
from voxid.stages import stage

__all__ = ["FORMAT_VERSION", "INDEX_SUFFIX", "Store", "StoreReport"]

INDEX_SUFFIX: Final = ".index"


@dataclass(frozen=True)
class StoreReport:
    """What a full check read and found whole."""

    people: int
    voiceprints: int
    opt_outs: int
    unknown: int = 0
    documents: int = 0


class Store(PeopleReading):
    """People in one gallery file. Use `Store.open`.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> store = Store.open(Path(folder.name) / "people.voxid")
        >>> store.person_ids()
        []
        >>> store.close()
        >>> folder.cleanup()
    """

    def __init__(self, database: Database, keyring: Keyring) -> None:
        super().__init__(database, keyring)
        self._sharing = SharedWriting(self._write_events)
        # To write: whoever waits for it does not give up after some seconds, as who waits for the engine does.
        self._turn = threading.RLock()
        self._beside: ErasureFile | None = None
        self.index_path: Path | None = None  # of the search index on disk; see `voxid.gallery.index_file`
        if isinstance(database.path, Path):
            self.index_path = database.path.with_name(database.path.name + INDEX_SUFFIX)
            beside = database.path.with_name(database.path.name + ERASURES_SUFFIX)
            self._beside = ErasureFile(beside, keyring)
        self._change: tuple[int, Change] | None = None  # the one in progress, and by which thread
        self._gathered: dict[int, list[Waiting]] = {}  # events that wait for a change, by thread
        if self._roster.state.erasure_unfinished:
            self._finish_what_was_begun()

    @classmethod
    def open(
        cls,
        path: str | Location,
        *,
        key: str | Path | bytes | None = None,
        create: bool = True,
        environ: Mapping[str, str] | None = None,
    ) -> Store:
        """Return the gallery at `path`, opened and checked; a new one where there is none and `create` is set.

        Args:
            path: of a file, or ``postgresql://user@host/database?tenant=NAME``.

        Raises:
            InputError: store_missing, store_unwritable. ConfigError: key_missing, key_invalid,
            key_readable_by_others. CompatibilityError: store_format_newer, _older, _unknown.
            StoreError: key_wrong, store_damaged, store_unreadable.
        """
        location = location_of(path)
        file = location if isinstance(location, Path) else None
        if create and not location.exists():
            create_database(location, find_master_key(key, file, environ))
        database = open_database(location)
        try:
            values = read_meta(database)
            master = find_master_key(key, file, environ)
            keyring = keyring_of(location.name, fitting_key(location.name, master, values), values)
            upgrade(database, keyring, values["format"])
            store = cls(database, keyring)
            store._settle_erasures()
            return store
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Close the file; the store cannot be used afterwards."""
        self._database.close()

    @contextmanager
    def changing(self) -> Iterator[Change]:
        """Hand out the one change in progress; committed at the end, undone as a whole on any exception.

        Raises:
            StoreError: store_busy, store_full, store_readonly, store_damaged, erase_incomplete (then the rows
            are deleted, only their bytes are not yet overwritten).
        """
        with self._lock, self._turn:
            with self._database.writing() as connection:
                self._refresh(connection)
                change = Change(connection, self.keyring, self._roster, self._rows, self.path)
                change.before_erasing = self._database.make_room
                self._change = threading.get_ident(), change
                try:
                    yield change
                finally:
                    self._change = None
                unfinished = self._roster.state.erasure_unfinished
                state = change.write()
            if change.forgets_index and self.index_path is not None:
                with suppress(OSError):  # its key is gone: nobody opens it
                    self.index_path.unlink(missing_ok=True)
            change.apply_to(self._roster, state)
            tell_written(change.audit.written)
            self._keep_tombstones(change.tombstones())
            if change.traces:
                # Another process's erasure was cut off: its traces are not known here, so all is rewritten.
                self._finish_erasure(change.traces, rewrite=unfinished)
            self._database.keep_room()

    @property
    def changed_here(self) -> bool:
        """Whether this thread is inside `changing`."""
        return self._change is not None and self._change[0] == threading.get_ident()

    @property
    def audited(self) -> bool:
        """Whether acts are written into an audit log; every process that opens the gallery does so then."""
        with self.snapshot() as roster:
            return roster.state.audited

    def start_audit(self) -> None:
        """Write down every act from now on; nothing when it is so already. It is not taken back."""
        with self._lock, self._turn, self._database.writing() as connection:
            self._refresh(connection)
            state = self._roster.state
            if not state.audited:
                first = Waiting.now(Event(STARTED, facts={"people": len(self._roster.entries)}))
                self._audit_writer(connection).start(first, state.generation)
                replace(state, audited=True).write(connection, self.keyring)

    def record(self, events: Iterable[Event]) -> None:
        """Write down acts that change nothing else; they are on the disk when this returns.

        Threads that come at the same time share a transaction. Inside `changing` the events become part of the change.

        Raises:
            StoreError: store_busy, store_full, store_readonly, audit_damaged; then nothing was written.
        """
        open_change, thread = self._change, threading.get_ident()
        if open_change is not None and open_change[0] == thread:
            for event in events:
                open_change[1].record(event)
        elif thread in self._gathered:
            self._gathered[thread] += [Waiting.now(event) for event in events]
        elif self._roster.state.audited:
            given = list(events)
            self._sharing.record([Waiting.now(event) for event in given])
            tell_written(given)

    @contextmanager
    def gathering(self) -> Iterator[list[Waiting]]:
        """Hand out what this thread records in the block: none of it is written, it is for a change after it.

        `Change.take_down` takes it, so that an act, its entries and what else follows from it are one transaction.
        """
        thread, gathered = threading.get_ident(), list[Waiting]()
        self._gathered[thread] = gathered
        try:
            yield gathered
        finally:
            del self._gathered[thread]

    def sign(self, kind: str, body: Mapping[str, Any]) -> SignedStatement:
        """Return what this gallery states, signed with the key that heads of its audit log are signed with."""
        return sign_statement(kind, body, self.keyring.signing)

    def audit(self) -> AuditLog:
        """Return the log of what was done.

        Raises:
            InputError: audit_not_started.
        """
        if not self.audited:
            raise InputError(
                "audit_not_started",
                f"{self.path.name} keeps no audit log; `voxid audit start` begins one, `voxid serve` does so itself.",
            )
        return AuditLog(self._database, self.keyring)

    def check(self) -> StoreReport:
        """Return the counts after reading and authenticating everything.

        Raises:
            StoreError: store_damaged, naming the first thing found.
        """
        problems = self._database.integrity_problems()
        if problems:
            raise damaged(self.path, f"SQLite's check reports {problems[0]!r}")
        with self._lock:
            records = list(self.read_many(self.person_ids()))
            n_voiceprints = sum(len(record.voiceprints) for record in records)
            with self._database.reading() as connection:
                n_rows = connection.execute(sa.select(sa.func.count()).select_from(voiceprints)).scalar_one()
            if n_rows != n_voiceprints:
                raise damaged(
                    self.path, f"it holds {n_rows - n_voiceprints} voiceprints that belong to nobody"
                )
            n_names = sum(not key_id.startswith(FORGOTTEN_KEY) for key_id, _ in self._roster.opt_outs)
            n_documents = len(list(self.every_document()))
            if self.audited and (problem := self.audit().verify().problem) is not None:
                raise damaged(self.path, f"in its audit log {problem}")
            return StoreReport(len(records), n_voiceprints, n_names, len(self.read_unknown()), n_documents)

    @contextmanager
    def rows(self) -> Iterator[sa.Connection]:
        """Hand out the tables in one state, for a copy."""
        with self._database.reading() as connection:
            yield connection

    @contextmanager
    def rewriting(self) -> Iterator[tuple[sa.Connection, State]]:
        """Hand out the tables to be written whole, nobody else writing: for an exchange of the key; and the state."""
        with self._lock, self._turn, self._database.writing() as connection:
            self._refresh(connection)
            yield connection, self._roster.state

    def beside(self, database: Database) -> Store:
        """Return another copy of this gallery, opened with the same keys."""
        return Store(database, self.keyring)

    def tombstones(self) -> Tombstones:
        """Return what was erased here and whose names are refused, as of now."""
        with self.snapshot() as roster:
            state, keys = roster.state, dict(roster.opt_out_keys)
            refused = dict.fromkeys(roster.opt_outs, state.documents.changes)
        return Tombstones(self.buried(), refused, keys)

    def leave_out(self, known: Tombstones, *, act: str) -> int:
        """Take out of an older copy of a gallery what it must not bring back; returns how many people.

        Args:
            known: what was erased and refused, before and after the copy was made.
            act: what the audit log calls it.
        """
        number, own = self.change_number(), self.tombstones()
        older = OlderCopy(number, own, self.read_unknown(), list(self.every_document()))
        with self.changing() as change:
            left_out = older.leave_out(change, known)
            change.record(Event(act, facts={"left_out": left_out}))
        return left_out

    def _settle_erasures(self) -> None:
        """Compare with the list beside the file: it may know of erasures after an older copy was put in its place."""
        if self._beside is None:
            return
        listed = self._beside.read()
        with self.snapshot() as roster:
            refused, number = roster.opt_outs, roster.state.documents.changes
        if (
            listed.newest <= number
            and len(listed.buried) == self.n_buried()
            and refused <= listed.opt_outs.keys()
        ):
            return
        own = self.tombstones()
        new, in_force = listed.beyond(own), listed.joined(own).in_force(self.keyring)
        if new.buried or new.opt_outs.keys() & in_force.keys():
            self.leave_out(listed, act="gallery.older_copy_found")
        elif own.beyond(listed):
            self._keep_tombstones(own.beyond(listed))

    def _keep_tombstones(self, new: Tombstones) -> None:
        """Write them beside the file too; what cannot be written now is when the gallery is opened next."""
        if new and self._beside is not None:
            with suppress(InputError):
                self._beside.add(new)

    def _audit_writer(self, connection: sa.Connection) -> AuditWriter:
        return AuditWriter(connection, self.keyring, self.path, lambda id_: is_held(connection, id_))

    @stage("write")
    def _write_events(self, waiting: Sequence[Waiting]) -> None:
        # Without the store's lock: readers do not wait for the disk, and who writes may write for one that holds it.
        with self._turn, self._database.writing() as connection:
            generation = State.read(connection, self.keyring, self.path).generation
            self._audit_writer(connection).append(waiting, generation)

    def _finish_what_was_begun(self) -> None:
        """Finish an erasure that was cut off; while others hold old rows the mark of it stays, and work goes on."""
        try:
            self._finish_erasure([], rewrite=True)
        except StoreError as error:
            if error.code not in ("erase_incomplete", "store_busy", "store_full", "store_readonly"):
                raise

    def _finish_erasure(self, traces: Sequence[bytes], *, rewrite: bool = False) -> None:
        self._database.purge(traces, rewrite=rewrite)
        with self._database.writing() as connection:
            state = State.read(connection, self.keyring, self.path)
            replace(state, erasure_unfinished=False).write(connection, self.keyring)
