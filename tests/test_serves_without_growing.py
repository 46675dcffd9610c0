"""What the C library keeps of freed memory in a process that serves."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from voxid.service.allocation import keep_little_freed_memory

ALLOCATE_IN_THREADS = """
import re
import threading
from pathlib import Path

from voxid.service.allocation import keep_little_freed_memory

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
