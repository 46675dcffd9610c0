"""How the error grows when there is little speech to verify with: what the minimum of net speech rests on.

    python bench/duration.py --lists ../shared/eval/verification

The enrolled side is the whole utterance; the probe is cut to its first seconds of speech. Trials whose probe
has less speech than a row asks for are left out of that row, so the rows share no one set of trials: N is printed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxid.audio import load
from voxid.bundle import Bundle, default_bundle, load_bundle
from voxid.embedding import MIN_EMBEDDING_S, get_embedder
from voxid.evaluate.bootstrap import Sides, estimate_all
from voxid.evaluate.metrics import RankedTrials
from voxid.evaluate.trials import TrialList, read_trials
from voxid.score import center
from voxid.segments import Segment
from voxid.speech import detect_speech

DURATIONS_S = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0)


def first_speech(regions: list[Segment], seconds: float) -> list[Segment]:
    """Return the regions up to ``seconds`` of speech."""
    kept: list[Segment] = []
    left = seconds
    for region in regions:
        if left < 0.02:
            break
        kept.append(Segment(region.start_s, min(region.end_s, region.start_s + left)))
        left -= region.duration_s
    return kept


def probe_vectors(
    trials: TrialList, root: Path, bundle: Bundle
) -> tuple[dict[str, NDArray[np.float32]], dict[tuple[str, float], NDArray[np.float32]]]:
    """Return path -> whole embedding, and (path, seconds) -> embedding of its first seconds of speech."""
    embedder = get_embedder(bundle)
    whole, cut = {}, {}
    for path in trials.utterances:
        waveform = load(root / path)
        regions = detect_speech(waveform)
        speech_s = sum(region.duration_s for region in regions)
        whole[path] = embedder.embed(waveform, regions if speech_s > 2 * MIN_EMBEDDING_S else None)
        for seconds in DURATIONS_S:
            if speech_s >= seconds:
                part = first_speech(regions, seconds)
                # The file ends with the probe: what comes later must not reach the convolutions or the mean.
                cut[path, seconds] = embedder.embed(waveform.slice(Segment(0.0, part[-1].end_s)), part)
    return whole, cut


def measure(folder: Path, bundle: Bundle) -> list[dict[str, object]]:
    """Return a row per duration: EER with its interval and the number of trials."""
    trials = read_trials(folder / "trials.txt")
    whole, cut = probe_vectors(trials, folder, bundle)
    rows: list[dict[str, object]] = []
    for seconds in (*DURATIONS_S, None):
        probes = {p: v for (p, s), v in cut.items() if s == seconds} if seconds else whole
        chosen = np.flatnonzero([test in probes for test in trials.test])
        left = center(np.stack([whole[trials.enrol[i]] for i in chosen]), bundle.mean)
        right = center(np.stack([probes[trials.test[i]] for i in chosen]), bundle.mean)
        is_target = trials.is_target[chosen]
        ranked = RankedTrials(np.einsum("nd,nd->n", left, right).astype(np.float64), is_target)
        sides = Sides(trials.speakers.enrol[chosen], trials.speakers.test[chosen], trials.speakers.count)
        eer = estimate_all(
            lambda weights, ranked=ranked: {"eer": ranked.curve(weights).eer()}, sides, resamples=300, seed=0
        )["eer"]
        rows.append(
            {
                "list": folder.name,
                "probe_speech_s": seconds or "all",
                "eer_percent": round(100 * eer.value, 2),
                "low": round(100 * (eer.low or 0.0), 2),
                "high": round(100 * (eer.high or 0.0), 2),
                "targets": int(is_target.sum()),
                "nontargets": int((~is_target).sum()),
            }
        )
    return rows


def main() -> None:
    """Print the table and, with --json, write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lists", type=Path, required=True, help="folder of folders with a trials.txt each")
    parser.add_argument("--bundle", type=Path, help="bundle folder; without it the default one")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    options = parser.parse_args()
    bundle = load_bundle(options.bundle) if options.bundle else default_bundle()
    rows: list[dict[str, object]] = []
    print(
        f"{bundle.id}\n{'list':16} {'probe s':>8} {'EER %':>7} {'95 % interval':>16} {'targets':>8} {'others':>8}"
    )
    for folder in sorted(path.parent for path in options.lists.glob("*/trials.txt")):
        for row in measure(folder, bundle):
            rows.append(row)
            interval = f"{row['low']} to {row['high']}"
            print(
                f"{row['list']:16} {row['probe_speech_s']!s:>8} {row['eer_percent']:>7} {interval:>16} "
                f"{row['targets']:>8} {row['nontargets']:>8}"
            )
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(
            json.dumps({"model": bundle.id, "rows": rows}, indent=1) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
