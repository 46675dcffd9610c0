"""A real `voxid serve` as a process of its own, people in it, and what it takes of the machine."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile

from voxid import Client
from voxid.audio import SAMPLE_RATE_HZ, load

VOICES = Path(str(resources.files("voxid") / "data" / "voices"))
PURPOSES = {"verify", "identify", "diarize-name"}
UNLIMITED = ("TENANT_PER_MIN", "KEY_PER_MIN", "PERSON_PER_MIN", "LOCKOUT_FAILURES", "REPLAY_DAYS")
Row = dict[str, Any]


@dataclass(frozen=True)
class Server:
    """A running `voxid serve`."""

    url: str
    key: str
    pid: int

    def cpu_s(self) -> float:
        """Return the processor time it has taken."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        """Return its resident memory."""
        line = next(
            x for x in Path(f"/proc/{self.pid}/status").read_text().splitlines() if x.startswith("VmRSS")
        )
        return int(line.split()[1]) / 1024


@contextmanager
def serving() -> Iterator[Server]:
    """Run a service over an empty folder until the end of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {f"VOXID_LIMITS_{name}": "0" for name in UNLIMITED}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "voxid", "serve", "--data", folder, "--port", str(port), "--json"]
        with open(Path(folder) / "log", "w") as log:
            process = subprocess.Popen(
                command, env=environment | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=log
            )
        try:
            said = first_object(process)
            wait_until_ready(said["address"])
            yield Server(said["address"], said["key"], process.pid)
        finally:
            process.terminate()
            process.wait(60)


def first_object(process: subprocess.Popen[bytes]) -> Row:
    """Return the JSON that `voxid serve --json` prints before it serves."""
    text = b""
    for line in process.stdout or ():
        text += line
        if line.strip() == b"}" or line.strip().endswith(b"}"):
            break
    said: Row = json.loads(text)
    return said


def wait_until_ready(address: str) -> None:
    """Return once the service answers."""
    for _ in range(600):
        try:
            httpx.get(f"{address}/v1/openapi.json", timeout=5)
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{address} did not answer within a minute")


def clips() -> dict[str, list[np.ndarray]]:
    """Return the sample recordings of each voice."""
    return {
        folder.name: [np.asarray(load(path).samples) for path in sorted(folder.glob("*.opus"))]
        for folder in sorted(VOICES.iterdir())
        if folder.is_dir()
    }


def encoded(samples: np.ndarray) -> bytes:
    """Return samples as FLAC."""
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def enroll_all(server: Server) -> dict[str, str]:
    """Enroll each voice with two of its recordings; return the ids of the people."""
    with Client(server.url, server.key) as client:
        return {
            voice: client.enroll(
                voice.title(), [encoded(one) for one in own[:2]], PURPOSES, "synthetic voice"
            ).person_id
            for voice, own in clips().items()
        }


def percentiles(values: list[float]) -> Row:
    """Return p50, p95 and p99 in ms."""
    found = np.percentile(values, [50, 95, 99]) if values else [0.0] * 3
    return {f"p{which}_ms": round(1000 * float(x), 1) for which, x in zip((50, 95, 99), found, strict=True)}
