"""What a gallery withstands: processes killed, many threads at once, a hundred thousand people at the start.

    python bench/reliability.py kill [--rounds 500] [--store postgresql://...]
    python bench/reliability.py threads [--threads 32] [--seconds 60] [--store postgresql://...]
    python bench/reliability.py crowd [--people 100000]

kill      a process that enrolls, renews, deletes, writes documents and imports is killed with -9 at a random moment;
          then everything is read: what was acknowledged is there, what was not is there wholly or not at all, and the
          audit log is unbroken.
threads   threads enroll, look up and delete people of their own at one gallery and look for everybody's; every answer
          is compared with the history: after enroll returned everybody is found, after delete returned nobody is.
crowd     how long a gallery of many people takes to open, and to be ready to search, also after a kill; cpu_s is what
          of that was this process's work, where others use the machine too. In a file the first start writes the
          index file (`voxid.gallery.index_file`), which the start after the kill reads.

Voices are random vectors: nothing is heard here. Figures go to bench/results/reliability.json, by part.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np

from killed_workers import kill_rounds, write_exports
from synthetic_people import BUNDLE_ID, DIM, NOW, person, put, remove
from voxid.gallery.search import PeopleIndex, reference_vector
from voxid.gallery.store import Store

RESULTS = Path(__file__).parent / "results" / "reliability.json"
MEAN = np.zeros(DIM, dtype=np.float32)
_FOUND = 0.9  # a person's own voice scores above, anybody else's far below: the vectors are random


def kill(place: str, folder: Path, rounds: int) -> dict[str, Any]:
    """Return what was seen over the rounds; ends with an AssertionError at the first promise broken."""
    store = Store.open(place)
    put(store, person("the first", 1))
    store.start_audit()
    store.close()
    write_exports(folder, rounds)
    tally = kill_rounds(place, folder, rounds, seed=9)
    store = Store.open(place, create=False)
    checked, log = store.check(), store.audit().verify()
    if not log.whole:
        raise AssertionError(f"the audit log is broken: {log.problem}")
    store.close()
    return {**asdict(tally), "people_at_the_end": checked.people, "audit_entries": log.entries}


@dataclass
class History:
    """What one person's owner did, and what everybody saw, in seconds of one clock.

    Args:
        acts: (begun, returned, there afterwards).
        looks: (begun, returned, found).
    """

    acts: list[tuple[float, float, bool]] = field(default_factory=list)
    looks: list[tuple[float, float, bool]] = field(default_factory=list)

    def contradictions(self) -> int:
        """Return how many looks were answered as the history does not allow."""
        wrong = 0
        for begun, returned, found in self.looks:
            before = [act for act in self.acts if act[1] <= begun]
            during = [act for act in self.acts if act[1] > begun and act[0] < returned]
            if not during:
                wrong += found != (before[-1][2] if before else False)
        return wrong


class Crowd:
    """Threads at one gallery."""

    def __init__(self, store: Store, n_threads: int, until_s: float) -> None:
        self.store = store
        self.index = PeopleIndex(store, BUNDLE_ID, MEAN)
        self.until_s = until_s
        self.people = [person(f"person {n}", n + 10) for n in range(2 * n_threads)]
        self.voices = [reference_vector(each.embeddings(BUNDLE_ID), MEAN) for each in self.people]
        self.histories = [History() for _ in self.people]
        self.failures: list[str] = []
        self.threads = [threading.Thread(target=self._live, args=(n,)) for n in range(n_threads)]

    def run(self) -> None:
        """Let all threads live until the end."""
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()

    def _live(self, number: int) -> None:
        dice = random.Random(number)
        try:
            while time.monotonic() < self.until_s:
                own = 2 * number + dice.randint(0, 1)
                there = bool(self.histories[own].acts) and self.histories[own].acts[-1][2]
                begun = time.monotonic()
                if there:
                    remove(self.store, self.people[own].name)
                else:
                    put(self.store, self.people[own])
                self.histories[own].acts.append((begun, time.monotonic(), not there))
                self._look(own)
                for _ in range(3):
                    self._look(dice.randrange(len(self.people)))
        except Exception as error:
            self.failures.append(repr(error))

    def _look(self, whom: int) -> None:
        begun = time.monotonic()
        with self.store.snapshot() as roster:
            self.index.sync(roster)
            best = next(self.index.search(self.voices[whom][None], 1, "identify", NOW))
        found = any(id_ == self.people[whom].id and score > _FOUND for id_, score in best)
        self.histories[whom].looks.append((begun, time.monotonic(), found))
        begun = time.monotonic()
        read = self.store.read(self.people[whom].id) is not None  # what verify looks at
        self.histories[whom].looks.append((begun, time.monotonic(), read))


def threads(place: str, n_threads: int, seconds: float) -> dict[str, Any]:
    """Return how many acts and looks there were, and how many contradicted the history."""
    store = Store.open(place)
    crowd = Crowd(store, n_threads, time.monotonic() + seconds)
    crowd.run()
    histories = crowd.histories
    outcome = {
        "threads": n_threads,
        "seconds": seconds,
        "enrolled_or_deleted": sum(len(each.acts) for each in histories),
        "identified_or_read": sum(len(each.looks) for each in histories),
        "contradictions": sum(each.contradictions() for each in histories),
        "failures": crowd.failures,
        "people_at_the_end": store.check().people,
    }
    left = sum(bool(each.acts) and each.acts[-1][2] for each in histories)
    if outcome["people_at_the_end"] != left:
        raise AssertionError(f"{left} people should be left: {outcome}")
    store.close()
    return outcome


HOLD = """
import sys, time
from synthetic_people import person, put
from voxid.gallery.store import Store
store = Store.open(sys.argv[1])
for n in range(50):
    put(store, person(f"late {n}", 10_000_000 + n))
print("ready", flush=True)
time.sleep(600)
"""


def crowd(place: str, n_people: int) -> dict[str, Any]:
    """Return how long a gallery of many people takes to fill, to open, and to be ready to search."""
    store = Store.open(place)
    began = time.monotonic()
    for at in range(0, n_people, 2000):
        put(store, *(person(f"person {n}", n, n_voiceprints=1) for n in range(at, min(at + 2000, n_people))))
    store.close()
    outcome: dict[str, Any] = {"people": n_people, "fill_s": time.monotonic() - began}
    for when in ("", "_after_kill"):
        if when:
            _fill_and_kill(place)
        began, began_cpu = time.monotonic(), time.process_time()
        store = Store.open(place)
        outcome[f"open{when}_s"] = time.monotonic() - began
        outcome[f"open{when}_cpu_s"] = time.process_time() - began_cpu
        index = PeopleIndex(store, BUNDLE_ID, MEAN)
        with store.snapshot() as roster:
            index.sync(roster)
        outcome[f"ready_to_search{when}_s"] = time.monotonic() - began
        outcome[f"ready_to_search{when}_cpu_s"] = time.process_time() - began_cpu
        store.close()
    began = time.monotonic()
    store = Store.open(place)
    remove(store, "person 7")
    outcome["open_and_delete_one_s"] = time.monotonic() - began
    store.close()
    return {name: round(value, 2) if isinstance(value, float) else value for name, value in outcome.items()}


def _fill_and_kill(place: str) -> None:
    here = Path(__file__).parents[1]
    environ = {**os.environ, "PYTHONPATH": f"{here / 'tests'}:{here / 'src'}"}
    command = [sys.executable, "-c", HOLD, place]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ) as holder:
        if holder.stdout is not None:
            holder.stdout.readline()
        holder.send_signal(signal.SIGKILL)


def keep(part: str, figures: dict[str, Any]) -> None:
    """Write a part's figures into the file of results, beside those of the others."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    known[part] = {
        **figures,
        "measured_at": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
    }
    RESULTS.write_text(json.dumps(known, indent=1) + "\n")
    print(json.dumps({part: known[part]}, indent=1))


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("part", choices=("kill", "threads", "crowd"))
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--store", help="an address of PostgreSQL; without it a file")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        place = asked.store or str(folder / "people.voxid")
        if asked.part == "kill":
            figures = kill(place, folder, asked.rounds)
        elif asked.part == "threads":
            figures = threads(place, asked.threads, asked.seconds)
        else:
            figures = crowd(place, asked.people)
    engine = "postgresql" if asked.store else "sqlite"
    keep(f"{asked.part} {engine}", {"engine": engine, **figures})


if __name__ == "__main__":
    main()
