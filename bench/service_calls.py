"""Live calls at their own speed: many at once, and how late what is told of them comes."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from dataclasses import dataclass, field

import numpy as np
from websockets.asyncio.client import connect

from service_process import Row, Server, clips, enroll_all

TICK_S = 0.1  # of audio in one message, as telephone gateways send it


@dataclass
class Seen:
    """What the calls of a row told.

    Attributes:
        late_s: of each event, how long after the audio it tells of, beyond what the latency asked for explains.
        behind_s: audio that waited to be heard.
        ended_s: from the end of each call to its timeline.
    """

    late_s: list[float] = field(default_factory=list)
    behind_s: list[float] = field(default_factory=list)
    ended_s: list[float] = field(default_factory=list)


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
    seen, cpu_s, start_s = Seen(), server.cpu_s(), time.perf_counter()
    start = {"layout": layout, "latency_s": latency_s}
    each = (follow_call(server, talks[n % len(talks)], start, 2.0 * n / calls, seen) for n in range(calls))
    await asyncio.gather(*each)
    cpu_s, audio_s = server.cpu_s() - cpu_s, calls * len(talks[0]) / 8_000
    found = np.percentile(seen.late_s or [0.0], [50, 95, 99])
    return {
        "calls": calls,
        "layout": layout,
        "latency_s": latency_s,
        "seconds": len(talks[0]) / 8_000,
        "wall_s": round(time.perf_counter() - start_s, 1),
        "events": len(seen.late_s),
        **{f"late_p{which}_s": round(float(x), 2) for which, x in zip((50, 95, 99), found, strict=True)},
        "most_behind_s": max(seen.behind_s, default=0.0),
        "timeline_p95_s": round(float(np.percentile(seen.ended_s, 95)), 2) if seen.ended_s else None,
        "timelines": len(seen.ended_s),
        "server_cores_per_call": round(cpu_s / audio_s, 4),
        "calls_by_two_free_cores": round(2 * audio_s / cpu_s, 1),
        "rss_mb": round(server.rss_mb()),
        "load_average": round(os.getloadavg()[0], 1),
    }


async def follow_call(server: Server, talk: np.ndarray, wanted: Row, wait_s: float, seen: Seen) -> None:
    """Follow one call to its timeline."""
    await asyncio.sleep(wait_s)
    address = server.url.replace("http", "ws") + "/v1/live"
    headers = {"Authorization": f"Bearer {server.key}"}
    async with connect(address, additional_headers=headers, compression=None, max_size=None) as line:
        start = {
            "type": "start",
            "sample_rate_hz": 8_000,
            "channels": 2,
            "channel_names": ["agent", "customer"],
        }
        await line.send(json.dumps(start | wanted))
        started = json.loads(await line.recv())
        began_s = time.perf_counter()
        over_s = began_s + len(talk) / 8_000

        async def listen() -> None:
            async for text in line:
                message, now_s = json.loads(text), time.perf_counter()
                if message["type"] == "quality":
                    seen.behind_s.append(message["behind_s"])
                elif message["type"] == "timeline":
                    seen.ended_s.append(now_s - over_s)
                elif "turn_id" in message and now_s < over_s:
                    explained_s = wanted["latency_s"] - started["hop_s"]
                    seen.late_s.append(now_s - began_s - message["at_s"] - explained_s)

        listening = asyncio.create_task(listen())
        size = round(TICK_S * 8_000)
        for at in range(0, len(talk), size):
            await asyncio.sleep(max(0.0, began_s + (at + size) / 8_000 - time.perf_counter()))
            await line.send(talk[at : at + size].tobytes())
        await line.send(json.dumps({"type": "end"}))
        await listening
