"""Are strangers known again? One gallery remembers every conversation of the simulated benchmark, one after another.

    python bench/unknown_people.py --benchmark FOLDER [--output bench/results/unknown_people.json]

FOLDER is what ``scripts/make_diarization_benchmark.py`` made: telephone calls, meetings and broadcasts whose people
come back in others. Turns are those of the truth, so that only the voices are measured; nobody is enrolled. A voice
heard for the first time should get a new id; one heard before, the id it has. Each share is printed with the number
behind it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from voxid.audio import load
from voxid.diarize import remember
from voxid.gallery import Grounds
from voxid.recognize import Gallery
from voxid.timeline import Timeline


def hear_all(folder: Path, profile: str) -> tuple[Counter[str], dict[str, list[str]]]:
    """Return how often each thing happened, and the ids each person was given."""
    given: dict[str, list[str]] = {}
    owner: dict[str, str] = {}
    happened: Counter[str] = Counter()
    grounds = Grounds("measurement on simulated conversations")
    with (
        tempfile.TemporaryDirectory() as scratch,
        Gallery.open(Path(scratch) / "people.voxid") as gallery,
    ):
        for path in sorted(folder.glob("*/*.rttm")):
            truth = Timeline.read_rttm(path)
            waveform = load(path.with_suffix(".flac"))
            labels = {speaker: f"SPEAKER_{n:02d}" for n, speaker in enumerate(truth.speakers)}
            people = {label: speaker for speaker, label in labels.items()}
            hidden = replace(
                truth.rename(labels, named=False),
                duration_s=max(waveform.duration_s, truth.duration_s),
                audio_sha256=waveform.sha256,
            )
            _, told = remember(hidden, waveform, gallery, grounds, profile=profile)
            for one in told:
                happened[_what_happened(people[one.label], one.id, given, owner)] += 1
    return happened, given


def _what_happened(person: str, id_: str | None, given: dict[str, list[str]], owner: dict[str, str]) -> str:
    """Return what became of one voice, and keep who has which id."""
    if id_ is None:
        return "not kept"
    before = given.setdefault(person, [])
    known = bool(before)
    new = id_ not in owner
    owner.setdefault(id_, person)
    right = owner[id_] == person
    before.append(id_)
    if not known:
        return "first time, new id" if new else "first time, somebody's id"
    if new:
        return "again, new id"
    return "again, own id" if right else "again, somebody's id"


def summary(happened: Counter[str], given: dict[str, list[str]]) -> dict[str, Any]:
    """Return the counts and the shares that follow."""
    first = happened["first time, new id"] + happened["first time, somebody's id"]
    again = sum(happened[f"again, {what}"] for what in ("own id", "new id", "somebody's id"))
    return {
        "counts": dict(sorted(happened.items())),
        "people": len(given),
        "first_hearings": first,
        "false_id_rate": happened["first time, somebody's id"] / max(first, 1),
        "later_hearings": again,
        "known_again_rate": happened["again, own id"] / max(again, 1),
        "wrong_id_rate": happened["again, somebody's id"] / max(again, 1),
    }


def main() -> None:
    """Measure and print; with --output also write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--benchmark", type=Path, required=True)
    parser.add_argument("--profiles", nargs="+", default=["far_1pct"])
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    found = {}
    for profile in options.profiles:
        started_s = time.process_time()
        found[profile] = summary(*hear_all(options.benchmark, profile))
        found[profile]["cpu_s"] = round(time.process_time() - started_s, 1)
    text = json.dumps(found, indent=1)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
