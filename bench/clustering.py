"""Seconds and memory of clustering alone, on embeddings of people who do not exist, from ten minutes to ten hours.

    python bench/clustering.py [--methods ahc,spectral,vbx] [--minutes 10,60,240,600] [--json FILE]

Eight people speak in turns of six seconds; a window every 0.75 s, as the default pipeline clusters them. Each case is
a process of its own, and its peak memory that of the whole process: interpreter, libraries, embeddings and all.
Seconds are processor seconds of one thread, which do not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PEOPLE, DIM, STEP_S, TURN_WINDOWS, SPREAD = 8, 192, 0.75, 8, 1.0


def draw(minutes: float) -> Any:
    """Return voices and a PLDA of such people."""
    import numpy as np

    from voxid.diarize.clustering import Voices, unit_rows
    from voxid.plda import Plda

    rng = np.random.default_rng(0)
    n_windows = round(minutes * 60 / STEP_S)
    people = np.linalg.qr(rng.standard_normal((DIM, PEOPLE)))[0].T.astype(np.float32)
    embeddings = rng.standard_normal((n_windows, DIM), dtype=np.float32) * np.float32(SPREAD / math.sqrt(DIM))
    truth = (np.arange(n_windows) // TURN_WINDOWS) % PEOPLE
    embeddings = unit_rows(embeddings + people[truth])
    voices = Voices.of_windows(embeddings, np.full(n_windows, STEP_S), np.arange(n_windows) * STEP_S)
    scale = math.sqrt(DIM * (1 + SPREAD**2)) / SPREAD
    plda = Plda(np.zeros(DIM), np.eye(DIM)[:128] * scale, np.full(128, 1 / SPREAD**2))
    return voices, plda, truth


def peak_mib() -> float:
    """Return the peak resident memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_case(method: str, minutes: float) -> dict[str, float | str]:
    """Return what one clustering costs, with the confidence of its count measured apart."""
    from voxid.diarize.clustering import ClusterOptions, cluster

    voices, plda, _ = draw(minutes)
    threshold = 0.3 if method in ("ahc", "k-means") else None
    started = time.process_time()
    found = cluster(voices, None, ClusterOptions(method, threshold), plda)
    seconds, peak = time.process_time() - started, peak_mib()
    started = time.process_time()
    _ = found.confidence
    return {
        "method": method,
        "minutes": minutes,
        "windows": len(voices),
        "speakers": found.n_speakers,
        "seconds": seconds,
        "mib": peak,
        "confidence_seconds": time.process_time() - started,
    }


def growth(rows: list[dict[str, Any]]) -> float:
    """Return the exponent of time between the shortest case of an hour or more and the longest: 1 is linear."""
    hours = [row for row in rows if row["minutes"] >= 60]
    a, b = hours[0], hours[-1]
    return math.log(b["seconds"] / a["seconds"]) / math.log(b["minutes"] / a["minutes"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", default="ahc,spectral,nme-sc,vbx,k-means")
    parser.add_argument("--minutes", default="10,60,240,600")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(run_case(options.case[0], float(options.case[1]))))
        return
    rows: list[dict[str, Any]] = []
    print("method        minutes  windows  speakers  seconds    MiB  seconds of the confidence")
    for method in options.methods.split(","):
        own = []
        for minutes in options.minutes.split(","):
            done = subprocess.run(
                [sys.executable, __file__, "--case", method, minutes],
                capture_output=True,
                text=True,
                check=True,
            )
            row = json.loads(done.stdout)
            own.append(row)
            print(
                f"{method:13s} {row['minutes']:7.0f} {row['windows']:8d} {row['speakers']:9d} {row['seconds']:8.2f} "
                f"{row['mib']:6.0f}  {row['confidence_seconds']:.1f}",
                flush=True,
            )
        if sum(row["minutes"] >= 60 for row in own) > 1:
            print(f"{method:13s} grows as length to the power of {growth(own):.2f}")
        rows += own
    if options.json:
        machine = {
            "processor": platform.processor() or platform.machine(),
            "python": platform.python_version(),
        }
        options.json.write_text(json.dumps({"machine": machine, "cases": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
