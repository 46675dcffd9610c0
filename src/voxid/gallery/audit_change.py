"""What one change writes into the audit log; a part of `voxid.gallery.change.Change`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from voxid.audit.events import Event
from voxid.gallery.audit_rows import AuditWriter, Waiting
from voxid.gallery.documents import INDEX_KEY

__all__ = ["AuditChange"]

# Documents that only say how far some work has come, or what was decided: that is written down by who does it.
_WORK: Final = frozenset(
    {"job", "session", "enrollment", "live", "idempotency", "attempts", "decision", INDEX_KEY}
)


class AuditChange:
    """Events that wait for the end of their transaction.

    Args:
        writer: adds them.
        audited: acts are written down; otherwise events are heard and forgotten.

    Attributes:
        written: the events, once they are part of the transaction.
    """

    def __init__(self, writer: AuditWriter, *, audited: bool) -> None:
        self._writer = writer
        self._audited = audited
        self.written: list[Event] = []
        self._waiting: list[Waiting] = []
        self._kinds: set[str] = set()

    def record(self, event: Event) -> None:
        """Take an event down, with who acts now."""
        if self._audited:
            self._waiting.append(Waiting.now(event))

    def take_down(self, gathered: Sequence[Waiting]) -> None:
        """Take events down that were gathered before, with who acted then."""
        if self._audited:
            self._waiting += gathered

    def changes(self, kind: str) -> None:
        """Hear that a document of a kind is put or deleted."""
        self._kinds.add(kind)

    def write(self, generation: int, gone: Sequence[str], *, people_changed: bool) -> list[bytes]:
        """Write the events; destroy the audit keys of those who are gone; return the bytes to be proved gone.

        A change that nobody wrote an event about is written down as what it is, so that no change goes without.

        Args:
            generation: after the change.
            gone: people, known and unknown, who are no longer there.
            people_changed: the list of people is another.
        """
        if not self._audited:
            return []
        waiting, self._waiting = self._waiting, []
        kinds = sorted(self._kinds - _WORK)
        if not waiting and people_changed:
            waiting = [Waiting.now(Event("gallery.changed", facts={"gone": len(gone), "documents": kinds}))]
        elif not waiting and kinds:
            waiting = [Waiting.now(Event("document.changed", facts={"documents": kinds}))]
        if waiting:
            self._writer.append(waiting, generation)
            self.written = [event for event, _, _ in waiting]
        return self._writer.erase(gone, generation)
