"""Stages of hearing and deciding, told to whoever watches: how long each takes. With nobody watching it costs nothing.

    decode   a recording into samples
    speech   samples into regions of speech
    spoof    a voice asked whether it is live and human; includes the wait for a place in a batch
    embed    speech into a voiceprint; in a service this includes the wait for a place in a batch
    search   the gallery, for strangers
    score    one claim against one person's references
    write    events that change nothing else, onto the disk

Nothing but the name of the stage is told: no label, no person, no path.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Final, TypeAlias

__all__ = ["STAGES", "Watcher", "stage", "watch_stages"]

STAGES: Final = ("decode", "speech", "spoof", "embed", "search", "score", "write")

Watcher: TypeAlias = Callable[[str], AbstractContextManager[object]]
"""Told the name of a stage, returns what is entered when it begins and left when it ends."""

_changing = threading.Lock()
_watchers: tuple[Watcher, ...] = ()


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Run the block, or as a decorator the function, as a stage of that name; stages may lie inside each other.

    Args:
        name: of `STAGES`.

    Example:
        >>> @contextmanager
        ... def shout(name: str) -> Iterator[None]:
        ...     print(name, "begins")
        ...     yield
        >>> done = watch_stages(shout)
        >>> with stage("decode"):
        ...     pass
        decode begins
        >>> done()
        >>> with stage("decode"):
        ...     pass
    """
    if not _watchers:
        yield
        return
    with ExitStack() as stack:
        for watcher in _watchers:
            stack.enter_context(watcher(name))
        yield


def watch_stages(watcher: Watcher) -> Callable[[], None]:
    """Let a watcher hear of every stage of this process from now on; returns the function that ends this."""
    global _watchers
    with _changing:
        _watchers = (*_watchers, watcher)

    def end() -> None:
        global _watchers
        with _changing:
            _watchers = tuple(one for one in _watchers if one is not watcher)

    return end
