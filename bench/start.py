"""The start of a gallery of very many people: until it answers, decides and searches, with and without an index file.

    python bench/start.py [--people 100000] [--gallery FILE] [--json bench/results/start.json]

Everybody has one random voiceprint of the model that comes with voxid; what is asked is a real recording. Two things
are started, each as a process of its own that is killed at the end, once without an index file and once with one:

library   `Gallery.open`, then `identify`.
serve     `voxid serve --gallery`: until /readyz says so, the first verification, the index file and the first
          identification after it.

Seconds are counted from the start of the process, imports and loading of the networks included: on the clock, which
others on the machine lengthen, and of processor time. Memory is what was resident at most until then. ``--gallery``
keeps the people for the next time: making them takes longer than everything else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from service_process import UNLIMITED, VOICES, Row, Server, first_object
from synthetic_people import person, put
from voxid import Client
from voxid.bundle import default_bundle
from voxid.gallery.store import INDEX_SUFFIX, Store

RECORDING = VOICES / "ada" / "01.opus"
AT_ONCE = 5_000
LIBRARY = """
import sys
from voxid.recognize.gallery import Gallery
gallery = Gallery.open(sys.argv[1], create=False)
print("opened", flush=True)
sys.stdin.readline()
gallery.identify(sys.argv[2])
print("identified", flush=True)
sys.stdin.readline()
"""


def fill(path: Path, people: int) -> None:
    """Make a gallery."""
    bundle = default_bundle()
    store = Store.open(path)
    for at in range(0, people, AT_ONCE):
        numbers = range(at, min(at + AT_ONCE, people))
        new = (
            person(f"person {n}", n, n_voiceprints=1, bundle_id=bundle.id, dim=bundle.dim) for n in numbers
        )
        put(store, *new)
    store.close()


class Started:
    """A process, and what it took until each thing it was asked for."""

    def __init__(self, command: list[str], **environment: str) -> None:
        self.row: Row = {}
        self._began_s = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, *command],
            env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def note(self, what: str) -> None:
        """Note what it has taken so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        self.row[what] = {
            "clock_s": round(time.monotonic() - self._began_s, 2),
            "cpu_s": round(Server("", "", self.process.pid).cpu_s(), 2),
            "peak_mb": round(peak / 1024),
        }

    def end(self) -> Row:
        """Kill it, and return what was noted."""
        self.process.kill()
        self.process.wait()
        return self.row


def start_library(path: Path) -> Row:
    """Return what opening and the first search take."""
    started = Started(["-c", LIBRARY, str(path), str(RECORDING)])
    for what in ("opened", "identified"):
        if started.process.stdout is None or started.process.stdin is None:
            raise RuntimeError("no pipes")
        started.process.stdout.readline()
        started.note(what)
        started.process.stdin.write(b"\n")
        started.process.stdin.flush()
    return started.end()


def key_for(path: Path, folder: Path) -> str:
    """Return a new administrator's key."""
    command = [sys.executable, "-m", "voxid", "tenants", "key", "default", "--role", "admin"]
    command += ["--gallery", str(path), "--data", str(folder), "--json"]
    return str(json.loads(subprocess.check_output(command))["key"])


def start_service(path: Path, folder: Path, key: str) -> Row:
    """Return what it takes until the service decides and searches."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    unlimited = {f"VOXID_LIMITS_{name}": "0" for name in UNLIMITED}
    command = ["-m", "voxid", "serve", "--gallery", str(path), "--data", str(folder), "--port", str(port)]
    started = Started([*command, "--json"], **unlimited)
    said = first_object(started.process)
    while not is_ready(said["address"]):
        time.sleep(0.05)
    started.note("ready")
    with Client(said["address"], key, timeout_s=600.0) as client:
        somebody = next(client.people(page=1))
        client.verify(somebody.id, RECORDING.read_bytes())
        started.note("verified")
        while not path.with_name(path.name + INDEX_SUFFIX).exists():
            time.sleep(0.05)
        started.note("index_on_disk")
        if client.policy().identify_purpose is None:
            client.change_policy(identify_purpose="the bench asks for a stranger")
        client.identify(RECORDING.read_bytes())
        started.note("identified")
    return started.end()


def is_ready(address: str) -> bool:
    """Return whether a service may be given requests."""
    try:
        return httpx.get(f"{address}/readyz", timeout=30).status_code == 200
    except httpx.HTTPError:
        return False


def measure(path: Path, folder: Path) -> list[Row]:
    """Return a row for each thing started, without an index file and with the one the start before has written."""
    index = path.with_name(path.name + INDEX_SUFFIX)
    key, rows = key_for(path, folder), []
    for what in ("library", "serve"):
        index.unlink(missing_ok=True)
        for with_index in (False, True):
            load = round(os.getloadavg()[0], 1)
            if what == "library":
                row = start_library(path)
            else:
                row = start_service(path, folder, key)
            rows.append({"started": what, "index_file": with_index, **row, "load_average": load})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--gallery", type=Path, help="made where it is missing, and kept")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        path = options.gallery or Path(scratch) / "people.voxid"
        if not path.exists():
            fill(path, options.people)
        report = {
            "people": options.people,
            "bundle": default_bundle().id,
            "file_mb": round(path.stat().st_size / 1e6),
            "rows": measure(path, Path(scratch)),
            "measured_at": datetime.now(UTC).date().isoformat(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        }
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
