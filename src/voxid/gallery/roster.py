"""Who is in the gallery, as verified: the list everything is looked up in, and the tag that guards it.

Each person, unknown person, former id, opt-out key and opt-out contributes one keyed hash; their sum modulo 2^256,
their number and the generation (counting up with every change) stand in one meta row under a keyed tag. So a person
removed, added or put back from an older state behind our back is noticed when the list is read, and a change costs
one hash. Documents have a number and a sum of their own in that row; they change without a new generation, because
the list of people stays as it is.

Not covered: the whole file replaced by an older copy of itself while no process has it open.

Source: multiset hashing by addition, Clarke et al., ASIACRYPT 2003, section 5 (keyed, with a count).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import sqlalchemy as sa

from voxid.errors import StoreError
from voxid.gallery.database import Named, damaged
from voxid.gallery.keys import Keyring, bound_to, opt_out_tag, same
from voxid.gallery.tables import known_as, meta, opt_out_keys, opt_outs, people, unknown_people

__all__ = [
    "DocumentState",
    "Entry",
    "Roster",
    "State",
    "known_as_element",
    "opt_out_element",
    "opt_out_key_element",
    "person_element",
    "unknown_element",
]

_MODULUS: Final = 1 << 256
# Generation, number of elements, flags, sum; then changes, number and sum of documents, since format 3.
_STATE: Final = struct.Struct(">QQB32sQQ32s")
_OLDER_STATE: Final = struct.Struct(">QQB32s")
_UNFINISHED, _AUDITED = 1, 2  # the flags; formats 1 and 2 know the first
_STATE_KEY: Final = "state"
_READ_STATE: Final = sa.select(meta.c.value).where(meta.c.key == _STATE_KEY)
_READ_CHECK: Final = sa.select(meta.c.value).where(meta.c.key == "key_check")


class Entry(NamedTuple):
    """One person in the list: keyed hash of the name, integrity tag of the rows, contribution to the sum."""

    name_tag: bytes
    seal: bytes
    element: int


@dataclass(frozen=True)
class DocumentState:
    """What the guarded meta row says of documents.

    Args:
        changes: how many changes there were.
        n_elements: documents + people's keys for them.
        total: sum of the elements modulo 2^256.
    """

    changes: int = 0
    n_elements: int = 0
    total: int = 0

    def changed(self, n_more: int, sum_more: int, number: int) -> DocumentState:
        """Return the state after the change of that number."""
        return DocumentState(number, self.n_elements + n_more, (self.total + sum_more) % _MODULUS)


@dataclass(frozen=True)
class State:
    """The guarded meta row.

    Args:
        generation: 1 for an empty new gallery, one more after every change of the list of people.
        n_elements: people + unknown people + their former ids + opt-out keys + opt-outs.
        erasure_unfinished: rows were deleted, but their bytes not yet proved gone.
        total: sum of the elements modulo 2^256.
        documents: number and sum of those.
        audited: acts are written down; never taken back.
    """

    generation: int = 1
    n_elements: int = 0
    erasure_unfinished: bool = False
    total: int = 0
    documents: DocumentState = DocumentState()
    audited: bool = False

    def to_bytes(self, keyring: Keyring) -> bytes:
        """Return the row's value, tag last."""
        body = _STATE.pack(
            self.generation,
            self.n_elements,
            _UNFINISHED * self.erasure_unfinished | _AUDITED * self.audited,
            (self.total % _MODULUS).to_bytes(32, "big"),
            self.documents.changes,
            self.documents.n_elements,
            self.documents.total.to_bytes(32, "big"),
        )
        return body + keyring.integrity_tag(b"state", body)

    @classmethod
    def read(cls, connection: sa.Connection, keyring: Keyring, where: Named, *, older: bool = False) -> State:
        """Return the state as stored now.

        Args:
            older: as formats 1 and 2 stored it.

        Raises:
            StoreError: store_damaged when the row is missing or its tag is wrong; key_exchanged.
        """
        value = connection.execute(_READ_STATE).scalar()
        form = _OLDER_STATE if older else _STATE
        if value is None or len(value) != form.size + 32:
            raise damaged(where, "its state record is missing")
        body, tag = value[: form.size], value[form.size :]
        if not same(tag, keyring.integrity_tag(b"state", body)):
            check = connection.execute(_READ_CHECK).scalar()
            if check is not None and not same(check, keyring.check):
                raise StoreError(
                    "key_exchanged",
                    f"The master key of {where.name} was exchanged while it was in use here, so nothing was done; "
                    "start this process again.",
                )
            raise damaged(where, "its state record fails its integrity check")
        generation, n_elements, flags, total, *rest = form.unpack(body)
        documents = (
            DocumentState(rest[0], rest[1], int.from_bytes(rest[2], "big")) if rest else DocumentState()
        )
        return cls(
            generation,
            n_elements,
            bool(flags & _UNFINISHED),
            int.from_bytes(total, "big"),
            documents,
            bool(flags & _AUDITED),
        )

    def check_follows(self, seen: State, where: Named) -> None:
        """Refuse a state from before one that was seen.

        Raises:
            StoreError: store_rolled_back.
        """
        now, before = self.generation + self.documents.changes, seen.generation + seen.documents.changes
        if self.generation < seen.generation or self.documents.changes < seen.documents.changes:
            raise StoreError(
                "store_rolled_back",
                f"{where.name} was replaced by an older copy while in use (change {before} was seen, "
                f"now {now}); close it and open it again if that was meant.",
            )

    def write(self, connection: sa.Connection, keyring: Keyring) -> None:
        """Replace the stored state."""
        connection.execute(meta.update().where(meta.c.key == _STATE_KEY).values(value=self.to_bytes(keyring)))

    def row(self, keyring: Keyring) -> tuple[str, bytes]:
        """Return the meta row of a new gallery."""
        return _STATE_KEY, self.to_bytes(keyring)


@dataclass
class Roster:
    """The verified list at one generation.

    Args:
        state: what it was checked against.
        entries: person id -> `Entry`.
        ids: keyed hash of the name -> person id.
        opt_out_keys: key id -> key, the gallery's own first; more after imports.
        opt_outs: (key id, tag) of every name that may not be enrolled, and of every second of a recording whose voice
            may not be kept (`Change.forget_seconds`).
        unknown: id -> integrity tag of the row of each unknown person.
        known_as: former id of an unknown person -> id of the person, or unknown person, they are now.
    """

    state: State
    entries: dict[str, Entry] = field(default_factory=dict)
    ids: dict[bytes, str] = field(default_factory=dict)
    opt_out_keys: dict[str, bytes] = field(default_factory=dict)
    opt_outs: set[tuple[str, bytes]] = field(default_factory=set)
    unknown: dict[str, bytes] = field(default_factory=dict)
    known_as: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(
        cls, connection: sa.Connection, keyring: Keyring, where: Named, known: Roster | None = None
    ) -> Roster:
        """Return the list as stored now, checked against the guarded state.

        Args:
            known: an earlier list, whose unchanged elements are not hashed again.

        Raises:
            StoreError: store_damaged; store_rolled_back when the gallery is older than `known`.
        """
        state = State.read(connection, keyring, where)
        if known is not None:
            state.check_follows(known.state, where)
        roster = cls(state)
        elements = list(roster._read_opt_outs(connection, keyring, where))
        elements += roster._read_unknown(connection, keyring)
        elements += roster._read_people(connection, keyring, {} if known is None else known.entries)
        if len(elements) != state.n_elements or sum(elements) % _MODULUS != state.total:
            raise damaged(where, "its list of people and opt-outs does not match its integrity tag")
        return roster

    def opted_out(self, lookup_name: str) -> bool:
        """Return whether the name is under an opt-out, also one imported from another gallery."""
        return any(
            (key_id, opt_out_tag(key, lookup_name)) in self.opt_outs
            for key_id, key in self.opt_out_keys.items()
        )

    def _read_people(
        self, connection: sa.Connection, keyring: Keyring, known: dict[str, Entry]
    ) -> Iterator[int]:
        columns = sa.select(people.c.id, people.c.tenant, people.c.name_tag, people.c.seal)
        for id_, tenant, name_tag, seal in connection.execute(columns):
            entry = known.get(id_)
            if entry is None or entry.seal != seal or entry.name_tag != name_tag:
                entry = Entry(name_tag, seal, person_element(keyring, tenant, id_, name_tag, seal))
            self.entries[id_] = entry
            self.ids[name_tag] = id_
            yield entry.element

    def _read_unknown(self, connection: sa.Connection, keyring: Keyring) -> Iterator[int]:
        for id_, seal in connection.execute(sa.select(unknown_people.c.id, unknown_people.c.seal)):
            self.unknown[id_] = seal
            yield unknown_element(seal)
        for id_, holder in connection.execute(sa.select(known_as.c.id, known_as.c.holder)):
            self.known_as[id_] = holder
            yield known_as_element(keyring, id_, holder)

    def _read_opt_outs(self, connection: sa.Connection, keyring: Keyring, where: Named) -> Iterator[int]:
        for key_id, wrapped in connection.execute(sa.select(opt_out_keys.c.id, opt_out_keys.c.wrapped_key)):
            key = keyring.unwrap(wrapped, bound_to("opt-out-key", key_id))
            if key is None:
                raise damaged(where, f"the opt-out key {key_id} does not open")
            self.opt_out_keys[key_id] = key
            yield opt_out_key_element(keyring, key_id, wrapped)
        for key_id, tag in connection.execute(sa.select(opt_outs.c.key_id, opt_outs.c.tag)):
            self.opt_outs.add((key_id, tag))
            yield opt_out_element(keyring, key_id, tag)


def person_element(keyring: Keyring, tenant: str, person_id: str, name_tag: bytes, seal: bytes) -> int:
    """Return a person's contribution to the guarded sum."""
    return int.from_bytes(
        keyring.integrity_tag(b"person", tenant.encode(), person_id.encode(), name_tag, seal), "big"
    )


def unknown_element(seal: bytes) -> int:
    """Return an unknown person's contribution to the guarded sum: the tag of the row, which holds its id."""
    return int.from_bytes(seal, "big")


def known_as_element(keyring: Keyring, former: str, holder: str) -> int:
    """Return a former id's contribution to the guarded sum."""
    return int.from_bytes(keyring.integrity_tag(b"known-as", former.encode(), holder.encode()), "big")


def opt_out_key_element(keyring: Keyring, key_id: str, wrapped: bytes) -> int:
    """Return an opt-out key's contribution to the guarded sum."""
    return int.from_bytes(keyring.integrity_tag(b"opt-out-key", key_id.encode(), wrapped), "big")


def opt_out_element(keyring: Keyring, key_id: str, tag: bytes) -> int:
    """Return an opt-out's contribution to the guarded sum."""
    return int.from_bytes(keyring.integrity_tag(b"opt-out", key_id.encode(), tag), "big")
