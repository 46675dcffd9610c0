"""The life of a person over the API, in a network namespace without any interface: nothing is fetched or sent."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LIFE = """
import socket, sys, pathlib
sys.path.insert(0, sys.argv[1])
from service_app import clips, running
try:
    socket.create_connection(("192.0.2.1", 80), timeout=1)
except OSError as error:
    print("network:", error.strerror)
with running(pathlib.Path(sys.argv[2])) as house:
    admin = house.client()
    admin.change_policy(identify_purpose="Showing that no network is needed")
    ada = admin.enroll("Ada", clips("ada", 1, 2), {"verify", "identify"}, "form 1").person_id
    print(admin.verify(ada, clips("ada", 3)[0]).outcome)
    print([candidate.name for candidate in admin.identify(clips("ada", 4)[0]).candidates])
    admin.delete_person(ada)
    print(list(admin.people()))
"""


def no_network() -> list[str]:
    """Return the command that takes the network away; skip where the system does not allow it."""
    command = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("this system lets nobody make a network namespace (unshare --net)")
    return command


def test_the_whole_life_of_a_person_passes_without_a_network(tmp_path: Path) -> None:
    """Enroll, verify, identify, delete: none of it needs an interface, not even the loopback."""
    done = subprocess.run(
        [*no_network(), sys.executable, "-W", "ignore", "-c", LIFE, str(HERE), str(tmp_path)],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if not line.startswith("{")]
    assert lines == ["network: Network is unreachable", "accept", "['Ada']", "[]"], done.stderr[-2000:]
