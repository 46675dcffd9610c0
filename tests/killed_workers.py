"""Processes that change a gallery without end until they are killed, and what must be found after them.

A worker enrolls, renews, deletes, writes documents and imports, and says each act before and after it, so that
whoever reads knows what was promised. A nursery forks a worker per line of input: a round costs no interpreter start.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from synthetic_people import NOW, person, put, remove
from voxid.gallery import transfer
from voxid.gallery.documents import Document
from voxid.gallery.store import Store

PASSPHRASE = "four words of a passphrase"
N_IMPORTED = 6
# What is imported was exported with a quick key derivation: kills are to hit the gallery, not scrypt.
QUICK_SCRYPT_LOG2_N = 10

State = dict[str, int]


def write_exports(folder: Path, n_exports: int) -> None:
    """Write export files of some people each, to be imported by workers."""
    slow, transfer._SCRYPT_LOG2_N = transfer._SCRYPT_LOG2_N, QUICK_SCRYPT_LOG2_N
    source = Store.open(folder / "source.voxid")
    try:
        for n in range(n_exports):
            people = [person(f"imported {n} {k}", 900_000 + 100 * n + k) for k in range(N_IMPORTED)]
            put(source, *people)
            ids = [each.id for each in people]
            transfer.export_gallery(source, folder / f"{n}.export", PASSPHRASE, NOW, ids)
    finally:
        transfer._SCRYPT_LOG2_N = slow
        source.close()


def after(state: State, act: str, name: str) -> State:
    """Return what the gallery holds, name -> number of voiceprints, once an act is done."""
    if act == "import":
        return state | {f"imported {name} {k}": 2 for k in range(N_IMPORTED)}
    if act == "remove imported":
        return {each: n for each, n in state.items() if not each.startswith(f"imported {name} ")}
    if act == "remove":
        return {each: n for each, n in state.items() if each != name}
    return state | {name: 3 if act == "renew" else 2}


def found_in(store: Store) -> State:
    """Return what the gallery holds, every row read and authenticated, and each person's document with it."""
    found = {}
    for record in store.read_many(store.person_ids()):
        found[record.name] = len(record.voiceprints)
        receipts = store.documents("receipt", person_id=record.id)
        if not record.name.startswith(("imported", "the first")):
            assert [each.body["name"] for each in receipts] == [record.name], "a person without the document"
    return found


def work(path: str, folder: Path, seed: int) -> None:
    """Change the gallery until killed, saying what is done."""
    store = Store.open(path, create=False)
    dice = random.Random(seed)
    say("started", str(os.getpid()))
    imported: str | None = None
    for n in range(10_000):
        name = f"round {seed} person {n}"
        record = person(name, (seed + 1) * 1_000 + n)
        say("begin", "put", name)
        with store.changing() as change:
            change.put(record)
            change.put_document(Document("receipt", record.id, {"name": name}, person_id=record.id))
        say("done", "put", name)
        if dice.random() < 0.5:
            say("begin", "renew", name)
            more = person(name, (seed + 1) * 1_000 + n + 500).voiceprints[:1]
            put(store, replace(record, voiceprints=record.voiceprints + more))
            say("done", "renew", name)
        if dice.random() < 0.8:
            say("begin", "remove", name)
            remove(store, name)
            say("done", "remove", name)
        if imported is not None:
            say("begin", "remove imported", imported)
            with store.changing() as change:
                for k in range(N_IMPORTED):
                    gone = change.find(f"imported {imported} {k}")
                    if gone is not None:
                        change.remove(gone)
            say("done", "remove imported", imported)
            imported = None
        elif dice.random() < 0.3:
            imported = str(seed)
            say("begin", "import", imported)
            transfer.import_gallery(store, folder / f"{seed}.export", PASSPHRASE)
            say("done", "import", imported)


def say(*words: str) -> None:
    sys.stdout.write("|".join(words) + "\n")
    sys.stdout.flush()


def nurse(path: str, folder: Path) -> None:
    """Fork a worker for each seed read, one at a time."""
    for line in sys.stdin:
        if os.fork() == 0:
            try:
                work(path, folder, int(line))
            except BaseException as error:
                say("error", repr(error))
            time.sleep(60)  # to be killed like the others
            os._exit(1)
        os.wait()
        say("\nended")


@contextmanager
def nursery(path: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Hand out a process that makes workers."""
    here = Path(__file__).parent
    environ = {**os.environ, "PYTHONPATH": f"{here}:{here.parent / 'src'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, path, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as nurse:
        yield nurse
        nurse.communicate()


@dataclass
class Round:
    """What a killed worker had done.

    Args:
        done: acts acknowledged, in order.
        pending: the act begun and not acknowledged, or None.
    """

    done: list[tuple[str, str]] = field(default_factory=list)
    pending: tuple[str, str] | None = None


def run_and_kill(nurse: subprocess.Popen[str], seed: int, n_acts: int, after_s: float) -> Round:
    """Return what a worker said until it was killed with -9, a moment after its n-th utterance."""
    assert nurse.stdin is not None
    assert nurse.stdout is not None
    nurse.stdin.write(f"{seed}\n")
    nurse.stdin.flush()
    pid = int(nurse.stdout.readline().split("|")[1])
    said: list[list[str]] = []
    while len(said) < n_acts and (not said or said[-1][0] != "error"):
        said.append(nurse.stdout.readline().strip().split("|"))
    time.sleep(after_s)
    os.kill(pid, signal.SIGKILL)
    while (line := nurse.stdout.readline()) != "ended\n":
        said.append(line.strip().split("|"))
    assert [words for words in said if words[0] == "error"] == []
    outcome = Round()
    for words in (words for words in said if len(words) == 3):
        outcome.pending = (words[1], words[2]) if words[0] == "begin" else None
        if words[0] == "done":
            outcome.done.append((words[1], words[2]))
    return outcome


@dataclass
class Tally:
    """What the rounds together showed."""

    rounds: int = 0
    acts: int = 0
    hit: dict[str, int] = field(default_factory=dict)
    hit_undone: int = 0
    slowest_start_s: float = 0.0


def kill_rounds(path: str, folder: Path, n_rounds: int, seed: int) -> Tally:
    """Kill workers one after another and compare what each left with what it had said.

    Raises:
        AssertionError: when something acknowledged is not there, or something else is there in part.
    """
    dice = random.Random(seed)
    tally = Tally()
    store = Store.open(path, create=False)
    state = found_in(store)
    store.close()
    with nursery(path, folder) as nurse:
        for n in range(n_rounds):
            outcome = run_and_kill(nurse, n, dice.randint(1, 14), dice.uniform(0, 0.03))
            for act in outcome.done:
                state = after(state, *act)
            began = time.monotonic()
            store = Store.open(path, create=False)
            tally.slowest_start_s = max(tally.slowest_start_s, time.monotonic() - began)
            found = found_in(store)
            store.close()
            possible = [state] if outcome.pending is None else [state, after(state, *outcome.pending)]
            assert found in possible, f"round {n}: {outcome}: {found.items() ^ state.items()}"
            if outcome.pending is not None:
                tally.hit[outcome.pending[0]] = tally.hit.get(outcome.pending[0], 0) + 1
                tally.hit_undone += found == state
            state = found
            tally.rounds += 1
            tally.acts += len(outcome.done)
    return tally


if __name__ == "__main__":
    nurse(sys.argv[1], Path(sys.argv[2]))
