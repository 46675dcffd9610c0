"""Load on `voxid serve`: decisions a second, live calls followed in time, enrollments a second, memory over time.

    python bench/service.py networks                      joining requests, against one run each
    python bench/service.py verify --rates 2,5,10,15      arrivals at random moments
    python bench/service.py live --calls 25,50 --layout sides --seconds 60
    python bench/service.py enroll --people 50
    python bench/service.py soak --minutes 30             verifies and live calls together; memory every 10 s
    (each with --json bench/results/service.json, which keeps the other parts)

A real server runs as a process of its own, with its gallery and audit log on disk; the load comes from this process, on
the same cores. So beside what was seen on the clock stands the server's own processor time, which other load on the
machine lengthens less: 2 cores divided by what one request or one call takes of a core is what two free cores would
bear. The load average of the machine is noted with every row.

Latencies of `verify` are counted from the moment a request was due, so a server that falls behind cannot hide it (open
loop). Replay protection and the limits per minute are off, for there are fewer recordings than requests.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import platform
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile
from websockets.asyncio.client import connect

from voxid import Client
from voxid.audio import SAMPLE_RATE_HZ, Waveform, load
from voxid.bundle import default_bundle
from voxid.service.inference import Inference, InferenceOptions

VOICES = Path(str(resources.files("voxid") / "data" / "voices"))
PURPOSES = {"verify", "identify", "diarize-name"}
TICK_S = 0.1  # of audio in one message of a live call, as telephone gateways send it
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


# networks -----------------------------------------------------------------------------------------


def bench_networks(seconds: float) -> list[Row]:
    """Return embeddings a second of threads that ask at once, with joining and without."""
    rng = np.random.default_rng(0)
    rows = []
    for lengths_s in ([3.0], [2.0, 2.4, 2.9, 3.3, 3.8, 4.1]):
        speech = [
            Waveform((0.05 * rng.standard_normal(round(16_000 * x))).astype(np.float32), "x", "", 16_000)
            for x in lengths_s
        ]
        for threads in (1, 4, 8):
            for options in (
                InferenceOptions(most_joined=1),
                InferenceOptions(most_joined=4),
                InferenceOptions(most_joined=4, gather_ms=5.0),
            ):
                rows.append(run_networks(speech, threads, options, seconds))
                print(json.dumps(rows[-1]), flush=True)
    return rows


def run_networks(speech: list[Waveform], threads: int, options: InferenceOptions, seconds: float) -> Row:
    """Return what one setting of the workers gives."""
    inference = Inference(default_bundle(), options)
    inference.start()
    before = inference.runs.inputs, inference.runs.batches
    cpu_s, end_s = time.process_time(), time.perf_counter() + seconds
    taken: list[float] = []

    def ask(number: int) -> None:
        while (began_s := time.perf_counter()) < end_s:
            inference.voice(speech[number % len(speech)])
            taken.append(time.perf_counter() - began_s)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(ask, range(threads)))
    cpu_s = time.process_time() - cpu_s
    inputs, batches = inference.runs.inputs - before[0], inference.runs.batches - before[1]
    inference.close()
    return {
        "lengths": len(speech),
        "threads": threads,
        "most_joined": options.most_joined,
        "gather_ms": options.gather_ms,
        "per_s": round(len(taken) / seconds, 1),
        "cpu_ms_each": round(1000 * cpu_s / len(taken), 2),
        "joined": round(inputs / batches, 2),
        **percentiles(taken),
        "load_average": os.getloadavg()[0],
    }


# verify -------------------------------------------------------------------------------------------


def bench_verify(server: Server, rates: list[float], seconds: float) -> list[Row]:
    """Return latencies of verification at each rate of arrivals."""
    people = enroll_all(server)
    probes = [
        (people[voice], encoded(one[: 4 * SAMPLE_RATE_HZ])) for voice, own in clips().items() for one in own
    ]
    rows = []
    for rate in rates:
        rows.append(asyncio.run(verify_at(server, probes, rate, seconds)))
        print(json.dumps(rows[-1]), flush=True)
    return rows


async def verify_at(server: Server, probes: list[tuple[str, bytes]], rate: float, seconds: float) -> Row:
    """Return what comes of requests that arrive at random moments, so many a second on average."""
    draw = random.Random(1)
    taken: list[float] = []
    failed: dict[str, int] = {}
    cpu_s = server.cpu_s()
    limits = httpx.Limits(max_connections=500, max_keepalive_connections=500)
    headers = {"Authorization": f"Bearer {server.key}", "Content-Type": "audio/flac"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, limits=limits, timeout=60) as http:

        async def ask(due_s: float) -> None:
            person, audio = draw.choice(probes)
            try:
                answer = await http.post(f"/v1/people/{person}/verifications", content=audio)
                code = "" if answer.status_code == 200 else answer.json().get("code", "unknown")
            except httpx.HTTPError as error:
                code = type(error).__name__
            taken.append(time.perf_counter() - due_s)
            if code:
                failed[code] = failed.get(code, 0) + 1

        await ask(time.perf_counter())  # the key is checked once a minute by a slow hash
        taken.clear()
        start_s = due_s = time.perf_counter()
        waiting = []
        while due_s < start_s + seconds:
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            waiting.append(asyncio.create_task(ask(due_s)))
            due_s += draw.expovariate(rate)
        await asyncio.gather(*waiting)
        wall_s = time.perf_counter() - start_s
    cpu_s = server.cpu_s() - cpu_s
    return {
        "offered_per_s": rate,
        "answered_per_s": round(len(taken) / wall_s, 2),
        "requests": len(taken),
        "failed": failed,
        **percentiles(taken),
        "server_cpu_ms_each": round(1000 * cpu_s / len(taken), 1),
        "load_average": os.getloadavg()[0],
    }


# live ---------------------------------------------------------------------------------------------


def conversation(seed: int, seconds: float) -> np.ndarray:
    """Return a call of two sample voices in turns, (N, 2) int16 at 8 kHz: speech four fifths of the time."""
    rng = random.Random(seed)
    voices = rng.sample(list(clips().values()), 2)
    sides: list[list[np.ndarray]] = [[], []]
    length, turn = 0, 0
    while length < seconds * 8_000:
        spoken = rng.choice(voices[turn % 2])[::2]
        pause = np.zeros(rng.randint(2_000, 12_000), np.float32)
        sides[turn % 2] += [spoken, pause]
        sides[1 - turn % 2] += [np.zeros(len(spoken) + len(pause), np.float32)]
        length, turn = length + len(spoken) + len(pause), turn + 1
    stereo = np.stack([np.concatenate(own) for own in sides], axis=1)[: round(seconds * 8_000)]
    hiss = 1e-4 * np.random.default_rng(seed).standard_normal(stereo.shape)
    return np.asarray(np.clip((stereo + hiss) * 32_767, -32_768, 32_767), np.int16)


def bench_live(server: Server, counts: list[int], layout: str, latency_s: float, seconds: float) -> list[Row]:
    """Return how late events of so many calls at once were told."""
    enroll_all(server)
    talks = [conversation(seed, seconds) for seed in range(4)]
    rows = []
    for calls in counts:
        rows.append(asyncio.run(follow_calls(server, talks, calls, layout, latency_s)))
        print(json.dumps(rows[-1]), flush=True)
    return rows


async def follow_calls(
    server: Server, talks: list[np.ndarray], calls: int, layout: str, latency_s: float
) -> Row:
    """Return what comes of calls at their own speed, each begun at another moment of two seconds."""
    late: list[float] = []
    behind: list[float] = []
    ended: list[float] = []
    cpu_s, start_s = server.cpu_s(), time.perf_counter()
    await asyncio.gather(
        *(
            follow_call(
                server, talks[n % len(talks)], layout, latency_s, 2.0 * n / calls, late, behind, ended
            )
            for n in range(calls)
        )
    )
    cpu_s, audio_s = server.cpu_s() - cpu_s, calls * len(talks[0]) / 8_000
    found = np.percentile(late, [50, 95, 99]) if late else [0.0] * 3
    return {
        "calls": calls,
        "layout": layout,
        "latency_s": latency_s,
        "seconds": len(talks[0]) / 8_000,
        "wall_s": round(time.perf_counter() - start_s, 1),
        "events": len(late),
        **{f"late_p{which}_s": round(float(x), 2) for which, x in zip((50, 95, 99), found, strict=True)},
        "most_behind_s": max(behind, default=0.0),
        "timeline_p95_s": round(float(np.percentile(ended, 95)), 2) if ended else None,
        "timelines": len(ended),
        "server_cores_per_call": round(cpu_s / audio_s, 4),
        "calls_by_two_free_cores": round(2 * audio_s / cpu_s, 1),
        "rss_mb": round(server.rss_mb()),
        "load_average": os.getloadavg()[0],
    }


async def follow_call(
    server: Server,
    talk: np.ndarray,
    layout: str,
    latency_s: float,
    wait_s: float,
    late: list[float],
    behind: list[float],
    ended: list[float],
) -> None:
    """Follow one call: events late against the audio they tell of, beyond what one hop explains."""
    await asyncio.sleep(wait_s)
    address = server.url.replace("http", "ws") + "/v1/live"
    headers = {"Authorization": f"Bearer {server.key}"}
    async with connect(address, additional_headers=headers, compression=None, max_size=None) as line:
        start = {"type": "start", "sample_rate_hz": 8_000, "channels": 2, "layout": layout}
        await line.send(json.dumps({**start, "latency_s": latency_s, "channel_names": ["agent", "customer"]}))
        started = json.loads(await line.recv())
        ahead_s = latency_s - started["hop_s"]
        began_s = time.perf_counter()
        over_s = began_s + len(talk) / 8_000

        async def listen() -> None:
            async for text in line:
                message, now_s = json.loads(text), time.perf_counter()
                if message["type"] == "quality":
                    behind.append(message["behind_s"])
                elif message["type"] == "timeline":
                    ended.append(now_s - over_s)
                elif "at_s" in message and now_s < over_s:
                    late.append(now_s - began_s - message["at_s"] - ahead_s)

        listening = asyncio.create_task(listen())
        size = round(TICK_S * 8_000)
        for number in range(0, len(talk), size):
            await asyncio.sleep(max(0.0, began_s + (number + size) / 8_000 - time.perf_counter()))
            await line.send(talk[number : number + size].tobytes())
        await line.send(json.dumps({"type": "end"}))
        await listening


# enroll, soak -------------------------------------------------------------------------------------


def bench_enroll(server: Server, people: int, threads: int) -> list[Row]:
    """Return people enrolled a second, each in the store on disk and in its audit log when the answer comes."""
    sound = [encoded(one) for own in clips().values() for one in own]
    cpu_s, start_s = server.cpu_s(), time.perf_counter()
    taken: list[float] = []
    failed: dict[str, int] = {}

    def enroll(number: int) -> None:
        began_s = time.perf_counter()
        with Client(server.url, server.key) as client:
            person = client.add_person(f"Person {number}", PURPOSES, "synthetic voice")
            begun = client.begin_enrollment(person.id)
            client.send_recording(begun.id, sound[number % len(sound)])
            try:
                client.complete_enrollment(begun.id, allow_duplicate=True)
            except Exception as error:
                failed[str(error)[:80]] = failed.get(str(error)[:80], 0) + 1
        taken.append(time.perf_counter() - began_s)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(enroll, range(people)))
    wall_s, cpu_s = time.perf_counter() - start_s, server.cpu_s() - cpu_s
    row = {
        "people": people,
        "threads": threads,
        "per_s": round(people / wall_s, 2),
        "failed": failed,
        **percentiles(taken),
        "server_cpu_ms_each": round(1000 * cpu_s / people, 1),
        "load_average": os.getloadavg()[0],
    }
    print(json.dumps(row), flush=True)
    return [row]


def bench_soak(server: Server, minutes: float, calls: int, rate: float) -> list[Row]:
    """Return the memory of a service that verifies and follows calls all the time."""
    people = enroll_all(server)
    probes = [(people[v], encoded(x[: 4 * SAMPLE_RATE_HZ])) for v, own in clips().items() for x in own]
    talks = [conversation(seed, 60.0) for seed in range(4)]
    end_s, memory = time.monotonic() + 60 * minutes, [(0.0, server.rss_mb())]
    tasks: list[Callable[[], Awaitable[Row]]] = [
        lambda: verify_at(server, probes, rate, 60.0),
        lambda: follow_calls(server, talks, calls, "sides", 2.0),
        lambda: follow_calls(server, talks, max(1, calls // 5), "mixed", 2.0),
    ]

    def load_on(task: Callable[[], Awaitable[Row]]) -> None:
        while time.monotonic() < end_s:
            asyncio.run(task())  # type: ignore[arg-type]

    threads = [threading.Thread(target=load_on, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    start_s = time.monotonic()
    while any(thread.is_alive() for thread in threads):
        time.sleep(10)
        memory.append((round(time.monotonic() - start_s), round(server.rss_mb(), 1)))
    third = len(memory) // 3
    late = memory[third:]
    slope = float(np.polyfit([t for t, _ in late], [mb for _, mb in late], 1)[0]) * 3600 if third else 0.0
    row = {
        "minutes": minutes,
        "calls": calls + max(1, calls // 5),
        "verify_per_s": rate,
        "rss_start_mb": memory[0][1],
        "rss_third_mb": late[0][1],
        "rss_end_mb": memory[-1][1],
        "slope_last_two_thirds_mb_per_h": round(slope, 1),
        "memory_mb": memory[:: max(1, len(memory) // 30)],
        "load_average": os.getloadavg()[0],
    }
    print(json.dumps(row), flush=True)
    return [row]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=("networks", "verify", "live", "enroll", "soak"))
    parser.add_argument("--seconds", type=float, default=20.0, help="of each row")
    parser.add_argument("--rates", default="2,5,10,15,20", help="verifies a second")
    parser.add_argument("--calls", default="10,25,50")
    parser.add_argument("--layout", choices=("sides", "mixed"), default="sides")
    parser.add_argument("--latency", type=float, default=2.0)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    part = options.part if options.part != "live" else f"live_{options.layout}"
    counts = [int(text) for text in options.calls.split(",")]
    if options.part == "networks":
        rows = bench_networks(options.seconds)
    else:
        with serving() as server:
            if options.part == "verify":
                rates = [float(text) for text in options.rates.split(",")]
                rows = bench_verify(server, rates, options.seconds)
            elif options.part == "live":
                rows = bench_live(server, counts, options.layout, options.latency, options.seconds)
            elif options.part == "enroll":
                rows = bench_enroll(server, options.people, threads=4)
            else:
                rows = bench_soak(server, options.minutes, counts[0], float(options.rates.split(",")[0]))
    if options.json:
        report = json.loads(options.json.read_text()) if options.json.exists() else {}
        machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
        report |= {"bundle": default_bundle().id, "machine": machine, part: rows}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
