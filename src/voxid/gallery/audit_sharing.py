"""Events that change nothing else, written by several threads in one transaction: the disk is paid once for all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from voxid.gallery.audit_rows import Waiting

__all__ = ["SharedWriting"]


@dataclass(eq=False)
class _Turn:
    """One caller's events, and what became of them."""

    events: Sequence[Waiting]
    called: threading.Event = field(default_factory=threading.Event)
    written: bool = False
    error: BaseException | None = None


class SharedWriting:
    """Events of many threads, written together.

    One thread writes at a time, everything that waits when it begins; those who come meanwhile wait, and the first of
    them writes next. A lock alone would not do: whoever lets go of it takes it again before the others wake up.

    Args:
        write: writes events in one committed transaction.
    """

    def __init__(self, write: Callable[[Sequence[Waiting]], None]) -> None:
        self._write = write
        self._queue: list[_Turn] = []
        self._queueing = threading.Lock()
        self._writing = False

    def record(self, events: Sequence[Waiting]) -> None:
        """Return when the events are on the disk.

        Raises:
            StoreError: as the writing did; then none of the events is kept.
        """
        turn = _Turn(events)
        with self._queueing:
            self._queue.append(turn)
            first = not self._writing
            self._writing = True
        if not first:
            turn.called.wait()
        if not turn.written and turn.error is None:
            self._write_all()
        if turn.error is not None:
            raise turn.error

    def _write_all(self) -> None:
        with self._queueing:
            taken, self._queue = self._queue, []
        try:
            self._write([waiting for turn in taken for waiting in turn.events])
        except BaseException as error:
            for turn in taken:
                turn.error = error
        else:
            for turn in taken:
                turn.written = True
        with self._queueing:
            following = self._queue[:1]
            self._writing = bool(following)
        for turn in (*taken, *following):
            turn.called.set()
