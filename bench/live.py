"""Live diarization on a folder of recordings with RTTM beside them: error by latency, label swaps, processor share.

    python bench/live.py RECORDINGS [--segmenter FOLDER|oracle] [--latencies 0.5,1,5] [--hop 2] [--most 3]
        [--seconds 120] [--calls 2] [--json FILE]

Each recording is fed as a call, as fast as possible. What is measured:

first told  DER of what was told when a moment was first told, before anything was revised: every moment has the label
            that its turn had in the event that first reached it. It is what published streaming numbers mean.
by the end  DER of the turns as they stood when the call ended, all revisions counted, before the last pass.
last pass   DER of the final timeline, and ``offline`` that of the same recording heard as a file with the same network.
swaps/h     how often a turn already told got another label, per hour of audio: the last pass is not counted.
share       processor seconds per second of audio, one call, one thread.
sustained   with --calls N: N processes, one thread each, feed the same recording at once as fast as possible; calls x
            audio seconds / wall seconds is how many calls the machine follows in time.

DER: collar 0, overlap scored, automatic count. ``oracle`` in place of a network knows the truth (RTTM) and shows what
is left of the error when segmentation never errs; its processor share lacks the network's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from voxid.audio import Waveform, load
from voxid.bundle import default_bundle
from voxid.diarize import combined
from voxid.diarize.gating import find_speech
from voxid.diarize.naming import label_turns
from voxid.diarize.online import Event, LiveOptions, LiveSession, LocalSegmenter
from voxid.diarize.options import DiarizeOptions, SpeakerCount
from voxid.diarize.segmentation import Segmenter, default_segmenter
from voxid.embedding import get_embedder
from voxid.errors import InputError
from voxid.evaluate.diarization import evaluate_diarization_set
from voxid.evaluate.oracle_segmenter import OracleSegmenter
from voxid.segments import Segment
from voxid.timeline import Timeline, Turn, read_rttms

Timelines = dict[str, Timeline]


def first_told(events: Sequence[Event], duration_s: float, uri: str) -> Timeline:
    """Return who was told to be speaking at the time when each moment was first told."""
    told: list[Turn] = []
    before_s = now_s = 0.0
    for event in events:
        if event.at_s > now_s:
            before_s, now_s = now_s, event.at_s
        start_s, end_s = max(event.turn.start_s, before_s), min(event.turn.end_s, now_s, duration_s)
        if not event.withdrawn and end_s - start_s > 1e-6:
            told.append(Turn(Segment(start_s, end_s), event.turn.speaker))
    return Timeline(tuple(told), duration_s, uri)


def count_swaps(events: Sequence[Event]) -> int:
    """Return how often a turn already told got another label."""
    label: dict[int, str] = {}
    swaps = 0
    for event in events:
        swaps += label.get(event.turn_id, event.turn.speaker) != event.turn.speaker
        label[event.turn_id] = event.turn.speaker
    return swaps


def make_segmenter(named: str, waveform: Waveform, truth: Timeline) -> LocalSegmenter:
    """Return the network, or one that knows this recording."""
    if named == "oracle":
        return OracleSegmenter(np.asarray(waveform.samples), truth)
    return Segmenter.load(named) if named else default_segmenter()


def feed(session: LiveSession, samples: np.ndarray) -> tuple[list[Event], float]:
    """Return the events of a whole call and the processor seconds they took."""
    started_s = time.process_time()
    events = [e for at in range(0, len(samples), 1_600) for e in session.feed(samples[at : at + 1_600])]
    return events, time.process_time() - started_s


def measure(
    paths: Sequence[Path], named: str, latency_s: float, hop_s: float, seconds: float
) -> dict[str, Any]:
    """Return one row of the table: all recordings at one latency, heard again every ``hop_s`` or the latency."""
    truth: Timelines = {}
    rows: dict[str, Timelines] = {"first told": {}, "by the end": {}, "last pass": {}}
    swaps, heard_s, spent_s = 0, 0.0, 0.0
    for path in paths:
        waveform, reference = read(path, seconds)
        session = LiveSession(
            make_segmenter(named, waveform, reference),
            options=LiveOptions(latency_s=latency_s, hop_s=min(hop_s, latency_s)),
            uri=path.stem,
        )
        events, cpu_s = feed(session, np.asarray(waveform.samples))
        truth[path.stem] = reference
        rows["by the end"][path.stem] = session.timeline()
        rows["last pass"][path.stem] = session.close()
        # The end of a call that its end brings out was told at the same latency as everything else.
        closing = [event for event in session.closing_events if event.kind != "revised"]
        rows["first told"][path.stem] = first_told([*events, *closing], waveform.duration_s, path.stem)
        swaps += count_swaps(events)
        heard_s += waveform.duration_s
        spent_s += cpu_s
    return {
        "latency_s": latency_s,
        "hop_s": min(hop_s, latency_s),
        **{name: error(truth, found) for name, found in rows.items()},
        "swaps_per_hour": swaps / heard_s * 3600,
        "cpu_share": spent_s / heard_s,
        "seconds": heard_s,
    }


def measure_offline(paths: Sequence[Path], named: str, seconds: float) -> dict[str, Any]:
    """Return the error of the same recordings heard as files with the same network, as ``voxid who`` does."""
    embedder, options = get_embedder(default_bundle(), threads=1), DiarizeOptions()
    truth: Timelines = {}
    found: Timelines = {}
    for path in paths:
        waveform, truth[path.stem] = read(path, seconds)
        network = make_segmenter(named, waveform, truth[path.stem])
        if not isinstance(network, Segmenter):
            return {}
        drawn: tuple[Turn, ...] = ()
        try:
            activity = network.segment(waveform.samples)
            speech = find_speech(waveform, activity, options)
            heard = combined.hear(waveform, activity, speech, embedder, options)
            drawn = label_turns(combined.join(heard, embedder, SpeakerCount(), options).turns, {})
        except InputError as failure:
            if failure.code != "no_speech":
                raise
        found[path.stem] = Timeline(drawn, waveform.duration_s, path.stem)
    return error(truth, found)


def read(path: Path, seconds: float) -> tuple[Waveform, Timeline]:
    """Return the first seconds of a recording and of its truth."""
    whole = load(path)
    truth = next(iter(read_rttms(path.with_suffix(".rttm")).values()))
    end_s = min(seconds, whole.duration_s) if seconds else whole.duration_s
    turns = [
        Turn(Segment(turn.start_s, min(turn.end_s, end_s)), turn.speaker)
        for turn in truth.turns
        if turn.start_s < end_s - 0.01
    ]
    return whole.slice(Segment(0.0, end_s)), Timeline(tuple(turns), end_s, path.stem)


def error(truth: Timelines, found: Timelines) -> dict[str, Any]:
    """Return DER with its parts, and how often the number of speakers is right."""
    report = evaluate_diarization_set(truth, found, resamples=200).to_dict()
    parts = report["protocols"]["collar_0_overlap"]
    return {
        "der": parts["der"],
        **{name: parts[name] for name in ("missed", "false_alarm", "confusion")},
        "count_exact": report["speaker_count_exact"]["value"],
    }


def sustain(path: Path, named: str, calls: int, seconds: float) -> dict[str, float]:
    """Return how many calls are followed in time when so many are followed at once."""
    command = [
        sys.executable,
        __file__,
        str(path),
        "--segmenter",
        named,
        "--seconds",
        str(seconds),
        "--child",
    ]
    limited = os.environ | {"OMP_NUM_THREADS": "1"}
    children = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=limited) for _ in range(calls)
    ]
    results = [json.loads(child.communicate()[0].splitlines()[-1]) for child in children]
    wall_s = max(one["wall_s"] for one in results)
    audio_s = sum(one["audio_s"] for one in results)
    return {
        "calls": calls,
        "sustained": audio_s / wall_s,
        "by_processor_time": calls * audio_s / sum(one["cpu_s"] for one in results),
        "load_average": os.getloadavg()[0],
    }


def follow_once(path: Path, named: str, seconds: float) -> None:
    """Follow one call and print what it took."""
    waveform, truth = read(path, seconds)
    session = LiveSession(make_segmenter(named, waveform, truth))
    started_s = time.perf_counter()
    _, cpu_s = feed(session, np.asarray(waveform.samples))
    print(
        json.dumps(
            {"audio_s": waveform.duration_s, "wall_s": time.perf_counter() - started_s, "cpu_s": cpu_s}
        )
    )


def show(report: dict[str, Any]) -> None:
    """Print the table."""
    table = Table(
        title=f"{report['recordings']} recordings, {report['seconds']:.0f} s, {report['segmenter']}"
    )
    for heading in (
        "latency",
        "first told",
        "by the end",
        "last pass",
        "exact count",
        "swaps/h",
        "CPU share",
    ):
        table.add_column(heading, justify="right")
    for row in report["live"]:
        cells = [
            f"{100 * row[name]['der']['value']:.1f}" for name in ("first told", "by the end", "last pass")
        ]
        count = f"{100 * row['last pass']['count_exact']:.0f} %"
        table.add_row(
            f"{row['latency_s']:g} s",
            *cells,
            count,
            f"{row['swaps_per_hour']:.0f}",
            f"{row['cpu_share']:.3f}",
        )
    if report["offline"]:
        offline = report["offline"]
        der, count = 100 * offline["der"]["value"], 100 * offline["count_exact"]
        table.add_row("offline", "", "", f"{der:.1f}", f"{count:.0f} %", "", "")
    console = Console()
    console.print(table)
    if report["sustained"]:
        console.print(
            "{sustained:.1f} calls followed in time by {calls} processes, {by_processor_time:.1f} by their processor "
            "time; load average {load_average:.1f}".format(**report["sustained"])
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recordings", type=Path, help="a folder, or one recording")
    parser.add_argument(
        "--segmenter", default="", help="folder of the network, or oracle; else the usual one"
    )
    parser.add_argument("--latencies", default="0.5,1,5")
    parser.add_argument(
        "--hop", type=float, default=0.5, help="how often the call is heard again, in seconds"
    )
    parser.add_argument("--most", type=int, default=0, help="only so many recordings")
    parser.add_argument("--seconds", type=float, default=0.0, help="only so much of each")
    parser.add_argument("--calls", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    given: Path = options.recordings
    paths = sorted(given.rglob("*.flac")) if given.is_dir() else [given]
    paths = [path for path in paths if path.with_suffix(".rttm").exists()]
    paths = paths[: options.most] if options.most else paths
    if not paths:
        sys.exit(f"{given} holds no recording with an RTTM of the same name beside it.")
    if options.child:
        follow_once(paths[0], options.segmenter, options.seconds)
        return
    latencies = [float(text) for text in options.latencies.split(",")]
    rows = [measure(paths, options.segmenter, one, options.hop, options.seconds) for one in latencies]
    report = {
        "recordings": len(paths),
        "seconds": rows[0]["seconds"],
        "segmenter": options.segmenter or "the usual network",
        "bundle": default_bundle().id,
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "live": rows,
        "offline": measure_offline(paths, options.segmenter, options.seconds),
        "sustained": sustain(paths[0], options.segmenter, options.calls, options.seconds)
        if options.calls
        else {},
    }
    show(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
