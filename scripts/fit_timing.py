"""Fit the package's timings of conversations again, from folders of RTTM files, and print how well draws match them.

    python scripts/fit_timing.py --timing SHARED/eval/diarization/timing [--out src/voxid/data/timing.json]

SHARED/eval/diarization/timing holds ``ami_only_words/train`` and ``voxconverse_dev``. Test parts are not read.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from voxid.simulate.fitting import TalkFacts, draw_timeline, fit_timing, measure_talk
from voxid.simulate.timing import TIMING_FILE, Timing, write_timings
from voxid.timeline import Timeline, read_rttms

SOURCES = {
    "ami": (
        "ami_only_words/train",
        "AMI meetings, training part, words only (CC BY 4.0), 136 meetings of 3 to 5 people",
    ),
    "voxconverse": (
        "voxconverse_dev",
        "VoxConverse, development part (CC BY 4.0), 216 videos: debates, interviews, news",
    ),
}
HOURS, SEEDS = 1.0, 10


def read_folder(folder: Path) -> list[Timeline]:
    """Return every recording of the RTTM files in a folder."""
    return [timeline for path in sorted(folder.glob("*.rttm")) for timeline in read_rttms(path).values()]


def row(name: str, facts: TalkFacts) -> str:
    """Return one line of the comparison."""
    spreads = " | ".join(
        " ".join(f"{value:.2f}" for value in spread)
        for spread in (facts.offset_s, facts.pause_s, facts.stretch_s, facts.inside_s)
    )
    return (
        f"{name:24} {facts.hours:6.1f} h  overlap {facts.overlap_share:.3f}  speech {facts.speech_share:.3f}  "
        f"changes/min {facts.changes_per_minute:.2f}  inside/min {facts.inside_per_minute:.2f}  "
        f"early {facts.early_share:.2f} | {spreads}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--timing", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=TIMING_FILE)
    arguments = parser.parse_args()
    fitted: list[Timing] = []
    for name, (folder, source) in SOURCES.items():
        real = read_folder(arguments.timing / folder)
        fitted.append(fit_timing(real, name, source))
        speakers = max(2, round(sum(len(timeline.speakers) for timeline in real) / len(real)))
        drawn = [draw_timeline(fitted[-1], speakers, 3600.0 * HOURS, seed + 100) for seed in range(SEEDS)]
        print(row(f"{name}, real", measure_talk(real)))
        print(row(f"{name}, drawn", measure_talk(drawn)))
    write_timings(arguments.out, fitted)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
