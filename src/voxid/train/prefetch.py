"""Batches made in a thread while the network learns from those before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from queue import Queue
from threading import Thread
from typing import TypeVar

Batch = TypeVar("Batch")


def prefetched(draw: Callable[[int], Batch], steps: Iterable[int], ahead: int) -> Iterator[tuple[int, Batch]]:
    """Yield (step, ``draw(step)``) in order, ``ahead`` of them drawn before they are asked for.

    What ``draw`` raises is raised here, where the batches are awaited: a dead thread would let training wait forever.
    """
    queue: Queue[tuple[int, Batch] | Exception | None] = Queue(maxsize=ahead)

    def fill() -> None:
        try:
            for step in steps:
                queue.put((step, draw(step)))
            queue.put(None)
        except Exception as error:
            queue.put(error)

    Thread(target=fill, daemon=True).start()
    while (item := queue.get()) is not None:
        if isinstance(item, Exception):
            raise item
        yield item
