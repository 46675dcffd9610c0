"""One hour through ``voxid.diarize``: seconds, peak memory, and where the seconds go.

    python bench/diarization.py [--speech DIR] [--hours 1] [--runs 3] [--threads 2] [--json FILE]

The recording is stitched from the clips under DIR (one folder per speaker, eight speakers, turns of one to
four clips, pauses of 0.1 to 1 s, seeded) and written as 16 kHz FLAC to a temporary folder. Each run is a
process of its own, so that its peak memory is its own.
The breakdown is measured in the same invocation, in one further process that walks the stages one after
another with a single chunk thread.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SPEECH = ROOT.parent / "shared" / "eval" / "verification" / "librispeech"
SUFFIXES = {".wav", ".flac", ".opus", ".ogg", ".mp3"}


def stitch(speech: Path, hours: float, path: Path, seed: int = 7) -> None:
    """Write a conversation of the clips under ``speech`` to ``path``."""
    import numpy as np
    import soundfile

    from voxid.audio import SAMPLE_RATE_HZ, load

    by_speaker: dict[Path, list[Path]] = {}
    for clip in sorted(clip for clip in speech.rglob("*") if clip.suffix.lower() in SUFFIXES):
        by_speaker.setdefault(clip.parent, []).append(clip)
    rng = np.random.default_rng(seed)
    speakers = [clips for clips in by_speaker.values() if len(clips) >= 3][:8]
    if not speakers:
        sys.exit(
            f"{speech} has no folder with three audio clips; give --speech DIR with one folder per speaker."
        )
    left = round(hours * 3600 * SAMPLE_RATE_HZ)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE_HZ, 1, "PCM_16") as out:
        while left > 0:
            clips = speakers[int(rng.integers(len(speakers)))]
            for index in rng.permutation(len(clips))[: int(rng.integers(1, 5))]:
                pause = rng.normal(0, 1e-3, round(float(rng.uniform(0.1, 1.0)) * SAMPLE_RATE_HZ))
                piece = np.concatenate([load(clips[index]).samples, pause.astype(np.float32)])[:left]
                out.write(piece)
                left -= len(piece)


def peak_mib() -> float:
    """Return the peak resident memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_whole(path: Path, threads: int) -> dict[str, Any]:
    """Return seconds and peak memory of one ``diarize`` call, imports and model loading not counted."""
    from voxid.bundle import default_bundle
    from voxid.diarize import DiarizeOptions, diarize
    from voxid.embedding import get_embedder

    get_embedder(default_bundle())
    idle_mib, started, started_cpu = peak_mib(), time.perf_counter(), time.process_time()
    timeline = diarize(path, options=DiarizeOptions(threads=threads))
    return {
        "total_s": time.perf_counter() - started,
        "total_s_cpu": time.process_time() - started_cpu,
        "peak_mib": peak_mib(),
        "idle_mib": idle_mib,
        "speakers": len(timeline.speakers),
        "turns": len(timeline.turns),
    }


def run_stages(path: Path) -> dict[str, Any]:
    """Return wall and CPU seconds of each stage, one after another, one chunk at a time.

    Where other work shares the machine, the CPU seconds are the fairer number.
    """
    import numpy as np

    from voxid.audio import load
    from voxid.bundle import default_bundle
    from voxid.diarize import windows as window_room
    from voxid.diarize.options import DiarizeOptions, SpeakerCount
    from voxid.diarize.windowed import embed_recording, find_speech, join_windows
    from voxid.embedding import get_embedder, with_margin
    from voxid.features import fbank

    bundle, spent = default_bundle(), {}
    embedder, options = get_embedder(bundle, threads=1), DiarizeOptions(threads=1)

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        started, started_cpu = time.perf_counter(), time.process_time()
        result = work()
        spent[stage] = time.perf_counter() - started
        spent[f"{stage}_cpu"] = time.process_time() - started_cpu
        return result

    waveform = timed("decode_s", lambda: load(path))
    recording = timed("vad_s", lambda: find_speech(waveform))
    plan = window_room.plan_windows(with_margin(recording.speech), options)
    chunks = window_room.pack_chunks(plan, options)

    def extract_fbank() -> None:
        for first, last in chunks:
            bounds = plan.bounds[first:last]
            start, end = int(bounds[:, 0].min()) * 160, (int(bounds[:, 1].max()) - 1) * 160 + 400
            fbank(np.asarray(waveform.samples[start:end]))

    timed("fbank_s", extract_fbank)
    embedded = timed("fbank_and_embedding_s", lambda: embed_recording(recording, embedder, options))
    for unit in ("s", "s_cpu"):
        spent[f"embedding_{unit}"] = spent.pop(f"fbank_and_embedding_{unit}") - spent[f"fbank_{unit}"]
    threshold = options.threshold_for(bundle)
    turns = timed(
        "clustering_and_smoothing_s",
        lambda: join_windows(recording, embedded, SpeakerCount(), threshold, options),
    )
    return {
        **spent,
        "windows": len(plan),
        "clustered_windows": int(plan.clustered.sum()),
        "chunks": len(chunks),
        "turns": len(turns),
        "model": bundle.id,
    }


def in_child(mode: str, path: Path, threads: int) -> dict[str, Any]:
    """Return what a fresh process measured."""
    command = [sys.executable, __file__, "--child", mode, "--recording", str(path), "--threads", str(threads)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--speech", type=Path, default=SPEECH)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", choices=["whole", "stages"], help=argparse.SUPPRESS)
    parser.add_argument("--recording", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        path = arguments.recording
        result = run_whole(path, arguments.threads) if arguments.child == "whole" else run_stages(path)
        print(json.dumps(result))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hour.flac"
        stitch(arguments.speech, arguments.hours, path)
        runs = [in_child("whole", path, arguments.threads) for _ in range(arguments.runs)]
        stages = in_child("stages", path, 1)
    report = {
        "hours": arguments.hours,
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "load_average": os.getloadavg()[0],
        "threads": arguments.threads,
        "median_s": statistics.median(run["total_s"] for run in runs),
        "peak_mib": max(run["peak_mib"] for run in runs),
        "runs": runs,
        "stages_one_thread": stages,
    }
    text = json.dumps(report, indent=2)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
