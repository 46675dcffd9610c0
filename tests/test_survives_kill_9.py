"""A process killed in the middle of enroll or delete leaves every person whole or absent."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from synthetic_people import names, new_store, person
from voxid.gallery.store import Store

ROUNDS = 50

# Forks a worker per line of input, so that a round costs no interpreter start. A worker enrolls and deletes
# without end and says each name before and after, so that the reader knows what was promised.
NURSERY = """
import os, sys, time
from pathlib import Path
from synthetic_people import person, put, remove
from voxid.gallery.store import Store

def work(seed):
    store = Store.open(Path(sys.argv[1]), create=False)
    print("started", os.getpid(), sep="|", flush=True)
    for n in range(10_000):
        name = f"round {seed} person {n}"
        print("put", name, sep="|", flush=True)
        put(store, person(name, (seed + 1) * 10_000 + n, n_voiceprints=5))
        print("was put", name, sep="|", flush=True)
        if n % 2:
            print("remove", name, sep="|", flush=True)
            remove(store, name)
            print("was removed", name, sep="|", flush=True)

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        try:
            work(int(line))
        except BaseException as error:
            print("error", repr(error), sep="|", flush=True)
        time.sleep(60)  # to be killed like the others
        os._exit(1)
    os.waitpid(child, 0)
    print("\\nended", flush=True)
"""


def start_nursery(path: Path) -> subprocess.Popen[str]:
    here = Path(__file__).parent
    environ = {**os.environ, "PYTHONPATH": f"{here}:{here.parent / 'src'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", NURSERY, str(path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ)


def run_and_kill(nursery: subprocess.Popen[str], seed: int, n_acts: int, after_s: float) -> list[list[str]]:
    """Return what a worker said, as [act, name]; it is killed a moment after its n-th utterance."""
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    nursery.stdin.write(f"{seed}\n")
    nursery.stdin.flush()
    pid = int(nursery.stdout.readline().split("|")[1])
    said: list[list[str]] = []
    while len(said) < n_acts and (not said or said[-1][0] != "error"):
        said.append(nursery.stdout.readline().strip().split("|"))
    time.sleep(after_s)
    os.kill(pid, signal.SIGKILL)
    while (line := nursery.stdout.readline()) != "ended\n":
        said.append(line.strip().split("|"))
    assert [words for words in said if words[0] == "error"] == []
    return [words for words in said if len(words) == 2]


def test_leaves_people_whole_or_absent(tmp_path: Path) -> None:
    """Acknowledged is there (or gone), unacknowledged is whole or wholly absent, fifty times over."""
    store = new_store(tmp_path, person("the first", 1))
    path = store.path
    store.close()
    dice = random.Random(17)
    nursery = start_nursery(path)
    expected, kills_in_between = {"the first"}, 0
    for seed in range(ROUNDS):
        pending = None
        for act, name in run_and_kill(nursery, seed, dice.randint(1, 8), dice.uniform(0, 0.01)):
            pending = name if act in ("put", "remove") else None
            if act == "was put":
                expected.add(name)
            elif act == "was removed":
                expected.discard(name)
        store = Store.open(path, create=False)
        found = set(names(store))  # reads, decrypts and authenticates every row
        store.close()
        if pending is not None:
            kills_in_between += 1
            expected = expected - {pending} | (found & {pending})
        assert found == expected
    nursery.communicate()
    assert kills_in_between > ROUNDS // 4, "kills should hit changes in progress"
    store = Store.open(path, create=False)
    assert store.check().people == len(expected)
    store.close()
