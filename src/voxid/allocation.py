"""What the C library keeps of memory that was freed, and the collector of objects: little, for months of service.

glibc gives every thread a region of its own to allocate from, up to eight per core, and each keeps its largest moment:
a service whose threads now and then hold a recording grows by tens of megabytes for an hour. Two regions for all
threads, and large blocks taken from the system and given back one by one, keep it level.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
import time
from contextlib import suppress
from typing import Final

__all__ = [
    "give_back_freed_memory",
    "give_back_now_and_then",
    "keep_little_freed_memory",
    "set_aside_what_stays",
]

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # of mallopt(3)
_REGIONS: Final = 2
_LARGE_BYTES: Final = 1 << 20
_GIVEN_BACK_EVERY_S: Final = 60.0
_CHOSEN_OUTSIDE: Final = ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")


def keep_little_freed_memory() -> bool:
    """Return whether the C library could be told; to be called before there are threads.

    An operator who chose otherwise, by ``MALLOC_ARENA_MAX`` or ``GLIBC_TUNABLES``, is left to it.

    Source: mallopt(3), M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD.
    """
    if sys.platform != "linux" or any(name in os.environ for name in _CHOSEN_OUTSIDE):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_ARENA_MAX, _REGIONS), (_MMAP_THRESHOLD, _LARGE_BYTES), (_TRIM_THRESHOLD, _LARGE_BYTES))
    taken = [mallopt(name, value) for name, value in settings]
    return 0 not in taken


def set_aside_what_stays() -> None:
    """Let the garbage collector pass over everything there is now, which will be there until the process ends.

    A full collection comes when what is new has grown to a quarter of what is old. Beside modules, routes and networks
    that is hundreds of thousands of objects, and whatever refers to itself, with the audio it holds, would wait for it.
    """
    gc.collect()
    gc.freeze()


def give_back_freed_memory() -> None:
    """Give back to the system what the C library keeps of freed memory, where it can be asked to: glibc."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # malloc_trim is glibc's alone
            ctypes.CDLL(None).malloc_trim(0)


def give_back_now_and_then() -> None:
    """Give back freed memory every minute from now on, until the process ends.

    Small blocks of what stays lie between those of recordings that went: without this a service that is always busy
    keeps some 40 MB more after a quarter of an hour than it uses.
    """

    def give_back() -> None:
        while True:
            time.sleep(_GIVEN_BACK_EVERY_S)
            give_back_freed_memory()

    threading.Thread(target=give_back, name="give-back", daemon=True).start()
