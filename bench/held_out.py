"""Trial lists of the training corpora's held-out speakers, in the layout of the other lists.

    python bench/held_out.py --recipe recipes/ecapa-base.yaml --corpora DIR --out LISTS

One folder per corpus with enough held-out speakers: ``trials.txt`` (one utterance against one), ``enrol3.txt`` and
``trials3.txt`` (three enrolled), and the audio as 16 kHz FLAC. People recorded on several occasions give only
cross-session target trials; impostors come from the same corpus, so that no corpus is told from another. Given several
recipes, speakers that any of them trains on are left out. These speakers were never trained on, but runs were compared
and thresholds set on them: their Cllr and rates at thresholds flatter, unlike those of evaluation-only lists.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from voxid.audio import SAMPLE_RATE_HZ, load
from voxid.errors import InputError
from voxid.train.corpora import Utterance
from voxid.train.recipe import load_recipe
from voxid.train.shards import split

ENROLLED = 3
MOST_UTTERANCES = 10
MOST_NONTARGETS = 12_000
LEAST_SPEAKERS = 10
LEAST_TARGETS = 20
LEAST_S = 0.5
SEED = 17


@dataclass(frozen=True)
class Clip:
    """A copied utterance: its path in the list, its speaker and its recording session."""

    path: str
    speaker: str
    session: str


def held_out_utterances(recipes: list[Path], corpora: Path) -> dict[str, list[Utterance]]:
    """Return corpus -> utterances of speakers that a recipe holds out and none trains on."""
    trained: set[str] = set()
    held: dict[Path, Utterance] = {}
    for recipe in recipes:
        training, held_out = split(load_recipe(recipe), corpora)
        trained |= {row.speaker for row in training}
        held |= {row.path: row for row in held_out}
    by_corpus: dict[str, list[Utterance]] = defaultdict(list)
    for row in held.values():
        if row.speaker not in trained:
            by_corpus[row.corpus].append(row)
    return by_corpus


def copy_clips(rows: list[Utterance], folder: Path) -> list[Clip]:
    """Write the utterances as FLAC and return them; unreadable, very short and repeated ones are left out."""
    clips: list[Clip] = []
    seen: set[str] = set()
    count: dict[str, int] = defaultdict(int)
    for row in sorted(rows, key=lambda row: (row.speaker, row.session, str(row.path))):
        speaker = (
            row.speaker if len(row.speaker) < 20 else hashlib.sha256(row.speaker.encode()).hexdigest()[:10]
        )
        if count[speaker] == MOST_UTTERANCES:
            continue
        try:
            waveform = load(row.path)
        except InputError:
            continue
        if waveform.duration_s < LEAST_S or waveform.sha256 in seen:
            continue
        seen.add(waveform.sha256)
        path = f"audio/{speaker}/{count[speaker]:02d}_s{row.session}.flac"
        count[speaker] += 1
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if not (folder / path).is_file():
            soundfile.write(folder / path, np.clip(waveform.samples, -1, 1), SAMPLE_RATE_HZ, subtype="PCM_16")
        clips.append(Clip(path, speaker, row.session))
    return clips


def comparable(first: Clip, second: Clip, several: set[str]) -> bool:
    """Return whether two clips of one person make a target trial: another session, where there is another."""
    return first.speaker not in several or first.session != second.session


def speakers_with_sessions(clips: list[Clip]) -> set[str]:
    """Return who was recorded on several occasions."""
    sessions: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        sessions[clip.speaker].add(clip.session)
    return {speaker for speaker, found in sessions.items() if len(found) > 1}


def single_trials(clips: list[Clip]) -> list[str]:
    """Return the lines of trials.txt."""
    several = speakers_with_sessions(clips)
    targets, others = [], []
    for first, second in itertools.combinations(clips, 2):
        line = f"{first.path} {second.path}"
        if first.speaker != second.speaker:
            others.append(f"0 {line}")
        elif comparable(first, second, several):
            targets.append(f"1 {line}")
    return targets + chosen(others)


def triple_trials(clips: list[Clip]) -> tuple[list[str], list[str]]:
    """Return the lines of enrol3.txt and of trials3.txt."""
    several = speakers_with_sessions(clips)
    by_speaker: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_speaker[clip.speaker].append(clip)
    models, tests = {}, {}
    for speaker, own in by_speaker.items():
        enrolled, rest = own[:ENROLLED], own[ENROLLED:]
        sessions = {clip.session for clip in enrolled}
        if speaker in several:
            rest = [clip for clip in rest if clip.session not in sessions]
        if len(enrolled) == ENROLLED and rest:
            models[speaker], tests[speaker] = enrolled, rest
    targets = [f"{name} {clip.path} target" for name, own in tests.items() for clip in own]
    others = [
        f"{name} {clip.path} nontarget"
        for name in models
        for speaker, own in tests.items()
        if speaker != name
        for clip in own
    ]
    lines = [f"{name} {' '.join(clip.path for clip in own)}" for name, own in models.items()]
    return lines, targets + chosen(others)


def chosen(lines: list[str]) -> list[str]:
    """Return at most ``MOST_NONTARGETS`` lines, drawn by a seed, in their order."""
    if len(lines) <= MOST_NONTARGETS:
        return lines
    kept = np.random.default_rng(SEED).choice(len(lines), MOST_NONTARGETS, replace=False)
    return [lines[at] for at in sorted(kept)]


def write_lists(recipes: list[Path], corpora: Path, out: Path) -> list[Path]:
    """Write a folder of lists per corpus and return them; corpora with too few trials are left out."""
    written = []
    for corpus, rows in sorted(held_out_utterances(recipes, corpora).items()):
        if len({row.speaker for row in rows}) < LEAST_SPEAKERS:
            continue
        folder = out / f"heldout-{corpus}"
        folder.mkdir(parents=True, exist_ok=True)
        clips = copy_clips(rows, folder)
        lines = single_trials(clips)
        if sum(line.startswith("1 ") for line in lines) < LEAST_TARGETS:
            continue
        (folder / "trials.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        models, triples = triple_trials(clips)
        if (
            sum(line.endswith(" target") for line in triples) >= LEAST_TARGETS
            and len(models) >= LEAST_SPEAKERS
        ):
            (folder / "enrol3.txt").write_text("\n".join(models) + "\n", encoding="utf-8")
            (folder / "trials3.txt").write_text("\n".join(triples) + "\n", encoding="utf-8")
        written.append(folder)
    return written


def main() -> None:
    """Parse the command line and write the lists."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", type=Path, action="append", required=True, help="repeat it")
    parser.add_argument("--corpora", type=Path, required=True, help="folder of the clones")
    parser.add_argument("--out", type=Path, required=True, help="folder for the lists")
    options = parser.parse_args()
    for folder in write_lists(options.recipe, options.corpora, options.out):
        print(folder)


if __name__ == "__main__":
    main()
