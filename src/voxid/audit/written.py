"""Events that were written, told to whoever counts them: act and outcome only, after the transaction is committed.

The counting runs in the thread, and in the context, of whoever wrote: so a request can know its own events.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeAlias

from voxid.audit.events import Event

__all__ = ["Listener", "listen_to_written", "tell_written"]

Listener: TypeAlias = Callable[[str, str], None]
"""Told the act and the outcome of one event that is on the disk."""

_changing = threading.Lock()
_listeners: tuple[Listener, ...] = ()


def listen_to_written(listener: Listener) -> Callable[[], None]:
    """Let a listener hear of every event this process writes from now on; returns the function that ends this."""
    global _listeners
    with _changing:
        _listeners = (*_listeners, listener)

    def end() -> None:
        global _listeners
        with _changing:
            _listeners = tuple(one for one in _listeners if one is not listener)

    return end


def tell_written(events: Iterable[Event]) -> None:
    """Tell the listeners of events that were just committed."""
    if not _listeners:
        return
    for event in events:
        for listener in _listeners:
            listener(event.act, event.outcome)
