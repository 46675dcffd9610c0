"""Diarization error of `voxid who` on a folder of recordings with RTTM (and UEM) beside them, automatic count.

    python bench/who.py --recordings ../shared/eval/diarization/ami --json bench/results/ami.json

A recording in which no speech is found counts as an empty timeline: all of its speech is missed.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from rich.console import Console

from voxid.diarize import diarize
from voxid.errors import InputError
from voxid.evaluate import evaluate_diarization_set, read_diarization_folder, render, write_json


def main() -> None:
    """Diarize, score, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="voxid-bench-") as folder:
        for audio in sorted(options.recordings.glob("*.flac")):
            hypothesis = Path(folder) / f"{audio.stem}.rttm"
            try:
                diarize(audio).write_rttm(hypothesis)
            except InputError as error:
                if error.code != "no_speech":
                    raise
                hypothesis.touch()
        report = evaluate_diarization_set(*read_diarization_folder(options.recordings, Path(folder)))
    Console().print(render([report]))
    if options.json:
        write_json([report], options.json)


if __name__ == "__main__":
    main()
