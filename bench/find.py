"""`voxid find` on conversations with RTTM beside them and `people/NAME/` with a clip or more of some who speak in them.

    python bench/find.py --benchmark FOLDER --each 2 --json bench/results/find.json

Of each kind of conversation the first `--each` are searched for everybody enrolled who speaks in them, and for as many
who do not. Errors are of the speech of those who are there: no collar, overlap counted.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from voxid.audio import load
from voxid.backend import Quality
from voxid.bundle import default_bundle
from voxid.diarize.find import METHODS, FindOptions, everybody, occurrences, turns_of_person, verified
from voxid.diarize.target_speech import TargetDetector
from voxid.embedding import get_embedder
from voxid.recognize.finding import References
from voxid.recognize.listening import hear
from voxid.speech import QualityPolicy
from voxid.timeline import Timeline, read_rttms

_STEPS_PER_S = 100


def main() -> None:
    """Search, compare, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--benchmark", type=Path, required=True)
    parser.add_argument("--method", choices=METHODS, default=FindOptions().method)
    parser.add_argument("--detector", type=Path, help="of the method network, e.g. models/tsvad-small")
    parser.add_argument("--kinds", nargs="+", default=["telephone", "meeting", "broadcast"])
    parser.add_argument("--each", type=int, default=2)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    detector = None
    if chosen.method == "network":
        if chosen.detector is None:
            parser.error("--method network needs --detector FOLDER: none comes with the package")
        detector = TargetDetector.load(chosen.detector)
    people = {folder.name: _enrolled(folder) for folder in sorted((chosen.benchmark / "people").iterdir())}
    rows = {}
    for kind in chosen.kinds:
        sums: dict[str, float] = defaultdict(float)
        for truth_file in sorted((chosen.benchmark / kind).glob("*.rttm"))[: chosen.each]:
            _search(truth_file, people, detector, sums)
        rows[kind] = _rates(sums)
        print(kind, rows[kind], flush=True)
    if chosen.json:
        model = None if detector is None else detector.id
        report = {"method": chosen.method, "model": model, "results": rows}
        chosen.json.write_text(json.dumps(report, indent=1) + "\n")


def _enrolled(folder: Path) -> References:
    bundle, policy = default_bundle(), QualityPolicy()
    heard = [hear(path, bundle, policy, None) for path in sorted(folder.iterdir())]
    usable = [one for one in heard if one.embedding is not None]
    vectors = np.stack([one.embedding for one in usable if one.embedding is not None])
    return References(folder.name, vectors, [Quality.of(one.quality) for one in usable])


def _search(
    truth_file: Path, people: dict[str, References], detector: TargetDetector | None, sums: dict[str, float]
) -> None:
    waveform, embedder = load(truth_file.with_suffix(".flac")), get_embedder(default_bundle())
    truth = next(iter(read_rttms(truth_file).values()))
    limit = default_bundle().profile(FindOptions().profile).threshold_llr
    there = [name for name in people if name in truth.speakers]
    others = [name for name in people if name not in truth.speakers][: max(1, len(there))]
    n = round(waveform.duration_s * _STEPS_PER_S)
    options = FindOptions(method="network")
    heard = everybody(waveform, embedder) if detector is None else []
    for name in [*there, *others]:
        known = people[name]
        if detector is None:
            turns, _ = turns_of_person(waveform, heard, known, embedder, limit)
        else:
            heard = occurrences(waveform, known, embedder, detector, options)
            turns, _ = verified(waveform, heard, known, embedder, limit)
        found = _steps([turn.segment for turn in turns], n)
        true = _steps(truth.regions(name), n)
        crowd = _crowd(truth, name, n)
        if name in there:
            sums["people"] += 1
            sums["found"] += bool(turns)
            sums["speech"] += true.sum()
            sums["missed"] += (true & ~found).sum()
            sums["false_alarm"] += (found & ~true).sum()
            sums["overlapped"] += (true & crowd).sum()
            sums["overlapped_missed"] += (true & crowd & ~found).sum()
        else:
            sums["strangers"] += 1
            sums["strangers_found"] += bool(turns)


def _steps(segments: list, n: int) -> np.ndarray:
    out = np.zeros(n, bool)
    for segment in segments:
        out[round(segment.start_s * _STEPS_PER_S) : round(segment.end_s * _STEPS_PER_S)] = True
    return out


def _crowd(truth: Timeline, name: str, n: int) -> np.ndarray:
    others = replace(truth, turns=tuple(turn for turn in truth.turns if turn.speaker != name))
    return _steps(others.regions(), n)


def _rates(sums: dict[str, float]) -> dict[str, float]:
    speech = max(sums["speech"], 1.0)
    parts = ("missed", "false_alarm")
    rates = {part: round(float(100.0 * sums[part] / speech), 1) for part in parts}
    return {
        "people": int(sums["people"]),
        "found": int(sums["found"]),
        "strangers": int(sums["strangers"]),
        "strangers_found": int(sums["strangers_found"]),
        "error": round(float(100.0 * (sums["missed"] + sums["false_alarm"]) / speech), 1),
        **rates,
        "missed_in_overlap": round(
            float(100.0 * sums["overlapped_missed"] / max(sums["overlapped"], 1.0)), 1
        ),
    }


if __name__ == "__main__":
    main()
