"""What one change does to unknown people and to the ids they had; a part of `voxid.gallery.change.Change`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sqlalchemy as sa

from voxid.gallery.keys import Keyring
from voxid.gallery.roster import Roster, known_as_element, unknown_element
from voxid.gallery.tables import known_as, unknown_people
from voxid.gallery.unknown import UnknownRecord, new_unknown_id
from voxid.gallery.unknown_rows import UnknownRow

__all__ = ["UnknownChange"]


class UnknownChange:
    """Unknown people put and removed, their ids handed on.

    Args:
        count: hears what every element adds to the guarded sum: +1 or -1, and the element.
        traces: takes bytes of erased rows, to be proved gone after the commit.
        outdate: hears whom older copies of the gallery must not bring back.
    """

    def __init__(
        self,
        connection: sa.Connection,
        keyring: Keyring,
        roster: Roster,
        count: Callable[[int, int], None],
        traces: list[bytes],
        outdate: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._keyring = keyring
        self._count = count
        self._traces = traces
        self._outdate = outdate
        self._seals = dict(roster.unknown)
        self._known_as = dict(roster.known_as)
        self.changed = False

    def seal_of(self, id_: str) -> bytes | None:
        """Return the integrity tag of an unknown person's row, which changes with every change of it, or None."""
        return self._seals.get(id_)

    def new_id(self) -> str:
        """Return an id that is not, and was not, anybody's here."""
        return new_unknown_id(self._seals.keys() | self._known_as.keys())

    def put(self, record: UnknownRecord, *, erase_old: bool = False) -> None:
        """Write an unknown person, new or changed, under a new data key.

        Args:
            erase_old: prove afterwards that the bytes of the former row are gone.
        """
        self._remove_row(record.id, erase=erase_old)
        if erase_old:
            self._outdate(record.id)
        row = UnknownRow.of(record, self._keyring)
        values = {"id": row.id, "wrapped_key": row.wrapped_key, "sealed": row.sealed, "seal": row.seal}
        self._connection.execute(unknown_people.insert().values(values))
        self._seals[row.id] = row.seal
        self._count(1, unknown_element(row.seal))
        self.changed = True

    def remove(self, id_: str, heir: str | None = None) -> None:
        """Destroy an unknown person's data key and row; prove after the commit that the bytes are gone.

        Args:
            heir: person or unknown person who has this id, and all that led to it, from now on; None: nobody, and the
                ids are erased too.
        """
        self._remove_row(id_, erase=True)
        self._outdate(id_)
        if heir is None:
            self.drop_ids_of(id_, erase=True)
            self._traces.append(id_.encode())
        else:
            self.hand_on(id_, heir)
            self.add_known_as(id_, heir)

    def become(self, records: Sequence[UnknownRecord]) -> None:
        """Hold these unknown people and no others; those taken out leave no tombstone, for nobody asked for it."""
        for id_ in self._seals.keys() - {record.id for record in records}:
            self._remove_row(id_, erase=True)
            self.drop_ids_of(id_, erase=True)
        for record in records:
            self.put(record)

    def hand_on(self, holder: str, heir: str) -> None:
        """Give all ids that lead to one person, known or unknown, to another."""
        for former in [former for former, held_by in self._known_as.items() if held_by == holder]:
            self._drop_id(former)
            self.add_known_as(former, heir)

    def add_known_as(self, former: str, holder: str) -> None:
        """Let a former id lead to a person; the one it leads to already stays."""
        if former in self._known_as:
            return
        self._connection.execute(known_as.insert().values(id=former, holder=holder))
        self._known_as[former] = holder
        self._count(1, known_as_element(self._keyring, former, holder))
        self.changed = True

    def drop_ids_of(self, holder: str, *, erase: bool) -> None:
        """Let no id lead to this person any more."""
        for former in [former for former, held_by in self._known_as.items() if held_by == holder]:
            self._drop_id(former)
            if erase:
                self._traces.append(former.encode())

    def apply_to(self, roster: Roster) -> None:
        """Bring the list in memory to the committed state."""
        if self.changed:
            roster.unknown, roster.known_as = self._seals, self._known_as

    def _drop_id(self, former: str) -> None:
        holder = self._known_as.pop(former)
        self._connection.execute(known_as.delete().where(known_as.c.id == former))
        self._count(-1, known_as_element(self._keyring, former, holder))
        self.changed = True

    def _remove_row(self, id_: str, *, erase: bool) -> None:
        known = self._seals.pop(id_, None)
        if known is None:
            return
        query = sa.select(unknown_people).where(unknown_people.c.id == id_)
        row = self._connection.execute(query).one_or_none()
        if erase and row is not None:
            self._traces.extend(UnknownRow(*row).traces())
        self._connection.execute(unknown_people.delete().where(unknown_people.c.id == id_))
        self._count(-1, unknown_element(known))
        self.changed = True
