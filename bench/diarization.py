"""What diarization costs from ten minutes to ten hours: seconds per hour and peak memory, on two cores and on one.

    python bench/diarization.py [--sizes 10,60] [--cores 2,1] [--speech DIR] [--pipelines network,vad] [--json FILE]

The recordings are put together from the clips under DIR (one folder per speaker, eight speakers, turns of one to four
clips, pauses of 0.1 to 1 s, every third turn begun before the one before it ends; seeded) and written as 16 kHz FLAC
to a temporary folder. Each case is a process of its own, so that its peak memory is its own. ``network`` is the
pipeline, ``vad`` the first one, in the same run; ``told`` is the pipeline with a segmentation that is told the truth
and costs nothing. Growth is the exponent e of seconds ~ length^e between the sizes: 1 is linear.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SPEECH = ROOT.parent / "shared" / "eval" / "verification" / "librispeech"
SUFFIXES = {".wav", ".flac", ".opus", ".ogg", ".mp3"}
SPEAKERS, OVERLAPPED_EVERY, OVERLAP_S = 8, 3, 0.8


def turns(speech: Path, seed: int) -> Iterator[tuple[str, Any, float]]:
    """Yield (speaker, samples, seconds of pause before; negative: begins before the last one ends), for ever."""
    import numpy as np

    from voxid.audio import load

    by_speaker: dict[str, list[Path]] = {}
    for clip in sorted(clip for clip in speech.rglob("*") if clip.suffix.lower() in SUFFIXES):
        by_speaker.setdefault(clip.parent.name, []).append(clip)
    speakers = [name for name, clips in by_speaker.items() if len(clips) >= 3][:SPEAKERS]
    if not speakers:
        sys.exit(
            f"{speech} has no folder with three audio clips; give --speech DIR with one folder per speaker."
        )
    rng = np.random.default_rng(seed)
    for number in range(1 << 30):
        name = speakers[int(rng.integers(len(speakers)))]
        clips = [
            by_speaker[name][i] for i in rng.permutation(len(by_speaker[name]))[: int(rng.integers(1, 5))]
        ]
        overlapped = number % OVERLAPPED_EVERY == OVERLAPPED_EVERY - 1
        pause_s = -OVERLAP_S if overlapped else float(rng.uniform(0.1, 1.0))
        yield name, np.concatenate([load(clip).samples for clip in clips]), pause_s


def write_conversation(speech: Path, minutes: float, folder: Path, seed: int = 7) -> Path:
    """Write ``talk.flac`` and ``talk.rttm``, block by block, and return the first."""
    import numpy as np
    import soundfile

    from voxid.audio import SAMPLE_RATE_HZ
    from voxid.timeline import Segment, Timeline, Turn

    length = round(minutes * 60 * SAMPLE_RATE_HZ)
    rng, tail, at, said = np.random.default_rng(seed), np.zeros(0, np.float32), 0, []
    path = folder / "talk.flac"
    with soundfile.SoundFile(path, "w", SAMPLE_RATE_HZ, 1, "PCM_16") as out:
        for name, samples, pause_s in turns(speech, seed):
            gap = round(pause_s * SAMPLE_RATE_HZ)
            early = min(max(0, -gap), len(tail), len(samples))
            start = at + len(tail) - early + max(0, gap)
            piece = np.zeros(max(0, gap) + len(samples) + len(tail) - early, np.float32)
            piece[: len(tail)] += tail
            piece[start - at :] += samples
            piece += rng.normal(0, 1e-3, len(piece)).astype(np.float32)
            end = min(start + len(samples), length)
            if end > start:
                said.append(Turn(Segment(start / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ), name))
            kept = min(len(piece), SAMPLE_RATE_HZ)
            done = piece[: len(piece) - kept][: length - at]
            out.write(done.clip(-1, 1))
            at, tail = at + len(done), piece[len(piece) - kept :]
            if at >= length or start >= length:
                break
        out.write(tail[: max(0, length - at)].clip(-1, 1))
    (folder / "talk.rttm").write_text(Timeline(tuple(said), minutes * 60, "talk").to_rttm())
    return path


def peak_mib() -> float:
    """Return the peak resident memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def confine(cores: int) -> None:
    """Let this process use so many cores, and let it know."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:cores]))
    os.cpu_count = lambda: cores  # type: ignore[assignment]  # what pools of threads are sized by


def run_case(pipeline: str, path: Path, cores: int) -> dict[str, Any]:
    """Return seconds and peak memory of one recording; imports and model loading are not counted."""
    from voxid.bundle import default_bundle
    from voxid.diarize import DiarizeOptions, diarize
    from voxid.embedding import get_embedder

    get_embedder(default_bundle())
    idle_mib, started, started_cpu = peak_mib(), time.perf_counter(), time.process_time()
    if pipeline == "told":
        timeline = run_told(path)
    else:
        timeline = diarize(path, options=DiarizeOptions(segmentation=pipeline, threads=cores))
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - started_cpu,
        "peak_mib": peak_mib(),
        "idle_mib": idle_mib,
        "speakers": len(timeline.speakers),
        "turns": len(timeline.turns),
    }


def run_told(path: Path) -> Any:
    """Return the timeline of the pipeline whose segmentation is told the truth; clustering again is timed too."""
    from voxid.audio import load
    from voxid.bundle import default_bundle
    from voxid.diarize import DiarizeOptions, SpeakerCount
    from voxid.diarize.naming import label_turns
    from voxid.diarize.pipeline import PACK_BEYOND_S
    from voxid.diarize.segmented import hear, join
    from voxid.embedding import get_embedder
    from voxid.evaluate.systems import speaking, true_activity
    from voxid.features import frame_count
    from voxid.timeline import Timeline, read_rttms

    waveform = load(path, pack_beyond_s=PACK_BEYOND_S)
    truth = next(iter(read_rttms(path.with_suffix(".rttm")).values()))
    active = speaking(truth, truth.speakers, frame_count(len(waveform.samples)))
    embedder = get_embedder(default_bundle())
    heard = hear(waveform, true_activity(active), embedder)
    drawn = join(heard, embedder, SpeakerCount(), DiarizeOptions())
    started = time.perf_counter()
    join(heard, embedder, SpeakerCount(5, 5), DiarizeOptions())
    print(f"clustered again in {time.perf_counter() - started:.2f} s", file=sys.stderr)
    return Timeline(label_turns(drawn.turns, {}), waveform.duration_s, "talk")


def growth(rows: list[dict[str, Any]]) -> float | None:
    """Return the exponent of time: the slope of a line through log seconds against log minutes."""
    points = [(math.log(row["minutes"]), math.log(row["seconds"])) for row in rows]
    if len(points) < 2:
        return None
    mean_x, mean_y = (sum(axis) / len(points) for axis in zip(*points, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread


def in_child(pipeline: str, path: Path, cores: int) -> dict[str, Any]:
    """Return what a fresh process measured."""
    command = [sys.executable, __file__, "--child", pipeline, "--recording", str(path), "--cores", str(cores)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row per size, pipeline and number of cores, each printed as it comes."""
    rows: list[dict[str, Any]] = []
    print("pipeline  cores  minutes  seconds  s per hour  CPU s per hour  peak MiB  speakers", flush=True)
    for minutes in (float(each) for each in arguments.sizes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            path = write_conversation(arguments.speech, minutes, Path(folder))
            for pipeline in arguments.pipelines.split(","):
                for cores in (int(each) for each in arguments.cores.split(",")):
                    row = {"pipeline": pipeline, "cores": cores, "minutes": minutes}
                    row |= in_child(pipeline, path, cores)
                    rows.append(row)
                    print(
                        f"{pipeline:8s}  {cores:5d}  {minutes:7g}  {row['seconds']:7.1f}  "
                        f"{60 * row['seconds'] / minutes:10.1f}  {60 * row['cpu_seconds'] / minutes:14.1f}  "
                        f"{row['peak_mib']:8.0f}  {row['speakers']:8d}",
                        flush=True,
                    )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sizes", default="10,60", help="minutes, commas between; 10,60,240,600 for the table"
    )
    parser.add_argument("--cores", default="2,1")
    parser.add_argument("--pipelines", default="network,vad", help="network, vad, told; commas between")
    parser.add_argument("--speech", type=Path, default=SPEECH)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", choices=["network", "vad", "told"], help=argparse.SUPPRESS)
    parser.add_argument("--recording", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        confine(int(arguments.cores))
        print(json.dumps(run_case(arguments.child, arguments.recording, int(arguments.cores))))
        return
    rows = measure(arguments)
    exponents = []
    for pipeline, cores in dict.fromkeys((row["pipeline"], row["cores"]) for row in rows):
        own = [row for row in rows if (row["pipeline"], row["cores"]) == (pipeline, cores)]
        exponents.append({"pipeline": pipeline, "cores": cores, "exponent": growth(own)})
        if exponents[-1]["exponent"] is not None:
            print(
                f"{pipeline} on {cores} core(s) grows as length to the power of {exponents[-1]['exponent']:.2f}"
            )
    report = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
        "growth": exponents,
        "cases": rows,
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
