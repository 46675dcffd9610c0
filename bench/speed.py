"""How long things take on this machine: medians over repetitions, cold start, search, number of packages.

    python bench/speed.py [--people 100000] [--json FILE]

Speech is the package's sample voices (length is what matters here, not who speaks). Everything is timed end
to end, from an encoded file to a decision; "cold" is a new process, import included. One hour of audio is
`bench/diarization.py`.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import numpy as np
import soundfile

from voxid.audio import SAMPLE_RATE_HZ, load
from voxid.bundle import Bundle
from voxid.cli.demo import VOICES
from voxid.cli.options import choose_bundle
from voxid.embedding import Embedder
from voxid.gallery import Consent, ConsentRecord, VoiceprintInfo
from voxid.gallery.records import PersonRecord, Voiceprint
from voxid.gallery.store import Store
from voxid.recognize import Gallery
from voxid.score import center

CONSENT = Consent({"verify", "identify", "diarize-name"}, "bench")
CLIP_S = 3.0


@dataclass(frozen=True)
class Timing:
    """One thing that was timed, over so many repetitions."""

    what: str
    median_ms: float
    p95_ms: float
    repetitions: int

    @classmethod
    def of(cls, what: str, act: Callable[[], object], repetitions: int) -> Timing:
        """Run once to warm up, then time the repetitions."""
        act()
        return cls.from_seconds(what, [_seconds(act) for _ in range(repetitions)])

    @classmethod
    def from_seconds(cls, what: str, seconds: list[float]) -> Timing:
        """Return the timing of measured seconds."""
        milliseconds = np.asarray(seconds) * 1000
        return cls(what, float(np.median(milliseconds)), float(np.quantile(milliseconds, 0.95)), len(seconds))


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def three_seconds(folder: Path) -> Path:
    """Write a clip of three seconds and return it."""
    samples = load(VOICES / "ada" / "04.opus").samples
    begin = (samples.size - round(CLIP_S * SAMPLE_RATE_HZ)) // 2
    path = folder / "clip.wav"
    soundfile.write(path, samples[begin : begin + round(CLIP_S * SAMPLE_RATE_HZ)], SAMPLE_RATE_HZ)
    return path


def time_verbs(folder: Path, bundle: Bundle) -> list[Timing]:
    """Time enroll and verify in a small gallery, warm."""
    clip = three_seconds(folder)
    whole = [VOICES / "ada" / f"0{number}.opus" for number in range(1, 6)]
    short = []
    for path in whole:
        short.append(folder / f"{path.stem}.wav")
        soundfile.write(short[-1], load(path).samples[: round(CLIP_S * SAMPLE_RATE_HZ)], SAMPLE_RATE_HZ)
    with Gallery.open(folder / "people.voxid", bundle=bundle) as gallery:
        for name in ("bruno", "clara", "dev"):
            gallery.enroll(name, [VOICES / name / f"0{number}.opus" for number in (1, 2, 3)], CONSENT)

        enrolling: dict[str, list[float]] = {"enroll five clips of 3 s": [], "enroll five clips of 6 s": []}
        for _ in range(11):
            for seconds, clips in zip(enrolling.values(), (short, whole), strict=True):
                seconds.append(_seconds(lambda clips=clips: gallery.enroll("ada", clips, CONSENT)))
                gallery.delete("ada")
        gallery.enroll("ada", whole, CONSENT)
        return [
            Timing.of("verify a 3 s clip, end to end", lambda: gallery.verify("ada", clip), 100),
            Timing.of("identify a 3 s clip among 4 people", lambda: gallery.identify(clip), 100),
            *(Timing.from_seconds(what, seconds[1:]) for what, seconds in enrolling.items()),
        ]


def time_cold(folder: Path) -> list[Timing]:
    """Time a new process that imports voxid and verifies once, and one that only imports."""
    verify = (
        "import os, voxid; b = os.environ.get('VOXID_BUNDLE');"
        f"g = voxid.Gallery.open({str(folder / 'people.voxid')!r}, bundle=voxid.load_bundle(b) if b else None);"
        f"assert g.verify('ada', {str(folder / 'clip.wav')!r}) is not None"
    )
    timings = []
    for what, code in (
        ("python with nothing", "pass"),
        ("python with import voxid", "import voxid"),
        ("python, import and first verify, cold", verify),
    ):
        command = [sys.executable, "-c", code]
        timings.append(Timing.of(what, lambda command=command: subprocess.run(command, check=True), 7))
    return timings


def time_embedding(bundle: Bundle) -> list[Timing]:
    """Time the embedding of 60 s on one thread; divided by 60 s it is the real-time factor."""
    waveform = load(VOICES / "meeting.opus")
    minute = load((waveform.samples[: 60 * SAMPLE_RATE_HZ], SAMPLE_RATE_HZ))
    embedder = Embedder(bundle, threads=1)
    return [Timing.of("embed 60 s on one thread", lambda: embedder.embed(minute), 9)]


def fill(path: Path, bundle: Bundle, people: int) -> None:
    """Write a gallery of synthetic voiceprints, one each, through the store's own door."""
    rng = np.random.default_rng(0)
    now = datetime.now(UTC)
    consent = (ConsentRecord(1, now, "given", CONSENT),)
    store = Store.open(path)
    for begin in range(0, people, 10_000):
        rows = rng.standard_normal((min(10_000, people - begin), bundle.dim)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        with store.changing() as change:
            for number, row in enumerate(rows, begin):
                info = VoiceprintInfo(str(uuid4()), bundle.id, 5.0, "0" * 64, now)
                change.put(
                    PersonRecord(str(uuid4()), f"person {number}", now, (Voiceprint(info, row),), consent)
                )
    store.close()


def time_search(folder: Path, bundle: Bundle, people: int) -> list[Timing]:
    """Time opening, the first search (it builds the index) and further ones in a large gallery."""
    path = folder / "many.voxid"
    print(f"writing {people:,} people ...", file=sys.stderr)
    fill(path, bundle, people)
    rng = np.random.default_rng(1)
    queries = center(rng.standard_normal((200, bundle.dim)).astype(np.float32), bundle.mean * 0)
    began = time.perf_counter()
    with Gallery.open(path, bundle=bundle) as gallery:
        opened_s = time.perf_counter() - began
        gallery.match(queries[:1], purpose="identify")
        ready_s = time.perf_counter() - began
        searches = [_seconds(lambda row=row: gallery.match(row[None], purpose="identify")) for row in queries]
    return [
        Timing.from_seconds(f"open a gallery of {people:,} people", [opened_s]),
        Timing.from_seconds(f"open it, and the first search among {people:,}", [ready_s]),
        Timing.from_seconds(f"one search among {people:,}, without the embedding", searches),
    ]


def count_packages() -> int:
    """Return how many distributions the core install brings, voxid included."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: set[str] = set()
    waiting = ["voxid"]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        found.add(name)
        needs = [Requirement(text) for text in importlib.metadata.requires(name) or []]
        waiting += [need.name for need in needs if not need.marker or need.marker.evaluate({"extra": ""})]
    return len(found)


def main() -> None:
    """Measure everything and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    named = os.environ.get("VOXID_BUNDLE")
    bundle = choose_bundle(Path(named) if named else None)
    with tempfile.TemporaryDirectory(prefix="voxid-bench-") as name:
        folder = Path(name)
        timings = [*time_verbs(folder, bundle), *time_cold(folder), *time_embedding(bundle)]
        timings += time_search(folder, bundle, options.people)
    for timing in timings:
        print(
            f"{timing.what:58} {timing.median_ms:10.1f} ms   p95 {timing.p95_ms:8.1f}   n {timing.repetitions}"
        )
    minute = next(timing for timing in timings if timing.what.startswith("embed 60 s"))
    real_time_factor = minute.median_ms / 60_000
    print(f"{'embedding, real-time factor on one thread':58} {real_time_factor:10.4f}")
    try:
        packages = count_packages()
        print(f"{'packages the core install brings':58} {packages:10d}")
    except importlib.metadata.PackageNotFoundError:
        packages = None
    if options.json:
        record = {
            "bundle": bundle.id,
            "machine": platform.processor() or platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            "timings": [asdict(timing) for timing in timings],
            "embedding_real_time_factor": real_time_factor,
            "packages": packages,
        }
        options.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
