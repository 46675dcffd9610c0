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
import json
import os
import platform
import random
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np

from service_calls import bench_live, conversation, follow_calls
from service_process import PURPOSES, Row, Server, clips, encoded, enroll_all, percentiles, serving
from voxid import Client
from voxid.audio import SAMPLE_RATE_HZ, Waveform
from voxid.bundle import default_bundle
from voxid.service.inference import Inference, InferenceOptions

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
        "load_average": round(os.getloadavg()[0], 1),
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
        "load_average": round(os.getloadavg()[0], 1),
    }


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
        "load_average": round(os.getloadavg()[0], 1),
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
        "load_average": round(os.getloadavg()[0], 1),
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
