"""Memory of a process that serves: what is freed goes back, and what is over is freed."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from calls import make_call
from live_service import running
from voxid.allocation import keep_little_freed_memory, set_aside_what_stays
from voxid.audio import SAMPLE_RATE_HZ
from voxid.client import CallFormat, Client

ALLOCATE_IN_THREADS = """
import re
import threading
from pathlib import Path

from voxid.allocation import keep_little_freed_memory

told = keep_little_freed_memory()
together = threading.Barrier(8)


def hold() -> None:
    kept = [bytearray(4000) for _ in range(500)]
    together.wait()
    del kept


threads = [threading.Thread(target=hold) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
starts = [int(line.split("-")[0], 16) for line in Path("/proc/self/maps").read_text().splitlines() if " rw-p " in line]
print(told, sum(start % (64 << 20) == 0 for start in starts))
"""

glibc_only = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are glibc's")


def run(**environment: str) -> list[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", ALLOCATE_IN_THREADS],
        env=kept | environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.split()


@glibc_only
def test_many_threads_share_two_regions() -> None:
    told, regions = run()
    assert told == "True"
    assert int(regions) <= 1  # the first of the two is the heap


@glibc_only
def test_an_operator_who_chose_otherwise_is_left_to_it() -> None:
    told, regions = run(MALLOC_ARENA_MAX="8")
    assert told == "False"
    assert int(regions) > 1


def test_elsewhere_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_little_freed_memory()


KEEP_A_LITTLE_OF_MUCH = """
from pathlib import Path

from voxid.allocation import give_back_freed_memory

def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

blocks = [bytearray(50_000) for _ in range(2_000)]
del blocks[:1_990]
before = resident_mib()
give_back_freed_memory()
print(before - resident_mib())
"""


@glibc_only
def test_freed_memory_goes_back_from_under_what_stays() -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", KEEP_A_LITTLE_OF_MUCH], env=kept, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) > 50


def test_a_call_that_is_over_is_gone_without_the_garbage_collector(tmp_path: Path) -> None:
    """Nothing of a call refers to itself, so what it heard goes with it."""
    samples = make_call(-20.0)[0][: 4 * SAMPLE_RATE_HZ]
    with running(tmp_path) as service, Client(service.url, service.key) as client:
        gc.collect()
        gc.disable()
        try:
            with client.live(CallFormat(SAMPLE_RATE_HZ, 2, "float32")) as call:
                call.send(samples)
                until(lambda: service.calls.of("default"))
                there = weakref.ref(service.calls.of("default")[0])
                call.end()
            until(lambda: there() is None)
        finally:
            gc.enable()


def test_what_stays_is_set_aside() -> None:
    set_aside_what_stays()
    try:
        assert gc.get_freeze_count() > 10_000
        assert len(gc.get_objects()) < gc.get_freeze_count()
    finally:
        gc.unfreeze()


def until(holds: Callable[[], object], within_s: float = 20.0) -> None:
    end_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end_s
        time.sleep(0.02)
