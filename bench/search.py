"""Identify among many: time beyond the embedding, beside a numpy scan of the same vectors.

    python bench/search.py [--people 100000] [--dim 192] [--queries 50]

Builds a real encrypted gallery of synthetic voiceprints in a temporary folder, opens it anew as a new process
would, and asks for strangers and for people who are in it. Everything `Gallery.identify` does after the embedding
is in the time: freshness check, exact search under the consent mask, decryption and rescoring of who is above
the threshold.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from voxid.bundle import Bundle
from voxid.calibration import Calibration
from voxid.decision import ThresholdProfile
from voxid.gallery.consent import Consent, ConsentRecord
from voxid.gallery.records import PersonRecord, Voiceprint, VoiceprintInfo
from voxid.gallery.store import Store
from voxid.recognize import Gallery

NOW = datetime(2026, 11, 21, tzinfo=UTC)
BUNDLE_ID = "synthetic@0"


def synthetic_person(number: int, vector: NDArray[np.float32]) -> PersonRecord:
    """Return a person with one reference and consent to be identified."""
    info = VoiceprintInfo(str(uuid4()), BUNDLE_ID, 5.0, sha256(str(number).encode()).hexdigest(), NOW)
    consent = ConsentRecord(1, NOW, "given", Consent({"verify", "identify"}, evidence="synthetic"))
    return PersonRecord(str(uuid4()), f"person {number}", NOW, (Voiceprint(info, vector),), (consent,))


def synthetic_bundle(dim: int) -> Bundle:
    """Return a bundle that scores embeddings but has no graph: nothing is heard here."""
    profile = ThresholdProfile("far_1pct", 0.01, 2.0, None, 1, 1, 0.0)
    return Bundle(
        name="synthetic",
        id=BUNDLE_ID,
        path=Path(),
        dim=dim,
        mean=np.zeros(dim, np.float32),
        calibration=Calibration(20.0, -8.0, 1, 1, "nothing"),
        profiles={"far_1pct": profile},
        card={},
        graph=b"",
    )


def median_ms(call: Callable[[int], object], n_calls: int) -> tuple[float, float, float]:
    """Return median and 95th percentile of the wall time and median of the CPU time, after two calls to warm up.

    On a busy machine the CPU time is the one to compare.
    """
    walls, cpus = [], []
    for at in range(n_calls + 2):
        wall, cpu = time.perf_counter(), time.thread_time()
        call(at)
        walls.append((time.perf_counter() - wall) * 1e3)
        cpus.append((time.thread_time() - cpu) * 1e3)
    return statistics.median(walls[2:]), float(np.percentile(walls[2:], 95)), statistics.median(cpus[2:])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=192)
    parser.add_argument("--queries", type=int, default=50)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((options.people, options.dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    probes = rng.standard_normal((options.queries + 2, options.dim)).astype(np.float32)
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.voxid"
        start, cpu = time.perf_counter(), time.thread_time()
        store = Store.open(path)
        with store.changing() as change:
            for number, vector in enumerate(vectors):
                change.put(synthetic_person(number, vector))
        store.close()
        seconds, cpu_s = time.perf_counter() - start, time.thread_time() - cpu
        size_mb = path.stat().st_size / 1e6
        print(f"write {options.people} people: {seconds:.1f} s ({cpu_s:.1f} s CPU), {size_mb:.0f} MB")
        start, cpu = time.perf_counter(), time.thread_time()
        with Gallery.open(path, bundle=synthetic_bundle(options.dim), create=False) as gallery:
            opened, opened_cpu = time.perf_counter(), time.thread_time()
            gallery.match(probes[:1], purpose="identify")
            searched, searched_cpu = time.perf_counter(), time.thread_time()
            print(f"open and check the list: {opened - start:.2f} s ({opened_cpu - cpu:.2f} s CPU)")
            print(f"build the index: {searched - opened:.2f} s ({searched_cpu - opened_cpu:.2f} s CPU)")
            strangers = median_ms(
                lambda at: gallery.match(probes[at : at + 1], purpose="identify"), options.queries
            )
            known = median_ms(
                lambda at: gallery.match(vectors[at : at + 1], purpose="identify"), options.queries
            )
            found = gallery.match(vectors[:20], purpose="identify", top=1)
            hits = sum(line[0].person == f"person {at}" for at, line in enumerate(found))
    scan = median_ms(lambda at: np.argpartition(-(vectors @ probes[at]), 5)[:5], options.queries)
    print(f"{'':34}median ms   p95 ms   CPU ms")
    for label, (median, p95, cpu) in (
        ("identify a stranger", strangers),
        ("identify somebody enrolled", known),
        ("numpy float32 scan, nothing else", scan),
    ):
        print(f"{label:34}{median:9.2f}{p95:9.2f}{cpu:9.2f}")
    print(
        f"rank-1 hits {hits}/20; {options.people} people, {options.dim} dimensions, exact float16 search, one thread"
    )


if __name__ == "__main__":
    main()
