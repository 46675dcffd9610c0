"""Make the simulated diarization benchmark: 42 conversations of people no model was trained on, by recipe and seed.

    python scripts/make_diarization_benchmark.py --corpora CORPORA --evaluation SHARED/eval/verification --out FOLDER

The people are half of the speakers that ``voxid.train.shards.split`` holds out for recipes/ecapa-base.yaml, and
evaluation-only people. FOLDER gets ``telephone``, ``meeting`` and ``broadcast`` with audio, RTTM and UEM;
``people/NAME`` with recordings of each that no conversation uses, to enroll them; and ``benchmark.json``. It is for
measuring only: nothing is tuned, chosen or trained on it. ``--tuning`` makes a set of the same kind
of the other half of the held-out speakers, to tune on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import zlib
from collections import defaultdict
from pathlib import Path

import soundfile

from voxid.simulate.conversations import Simulator, write_conversation, write_manifest
from voxid.simulate.fitting import TalkFacts, measure_talk
from voxid.simulate.libraries import FileLibrary, SpeakerFiles
from voxid.simulate.recipe import load_simulation_recipe
from voxid.timeline import Timeline
from voxid.train.corpora import Utterance, read_corpus
from voxid.train.recipe import Recipe, load_recipe
from voxid.train.shards import split

RECIPES = Path(__file__).parents[1] / "recipes"
PARTS = {"telephone": 14, "meeting": 14, "broadcast": 14}
SEED = 4
LEAST_SESSION_S = {"telephone": 45.0, "meeting": 40.0, "broadcast": 30.0}
"""A speaker is taken who has this much in one session, beside what is kept for enrollment."""
ENROLLMENT_S = 8.0
HELD_OUT_CORPORA = ("librispeech_test_clean", "common_voice_13_en", "common_voice_6", "speechocean762")
EVALUATION = {"librispeech": "ls", "speechocean762": "so"}
"""Evaluation-only people: Common Voice's are left out, for each of their sessions holds a single clip."""


def is_for_tuning(name: str) -> bool:
    """Return in which half a held-out speaker is: the same for ever, whoever else there is."""
    return zlib.crc32(_short(name).encode()) % 2 == 1


def people(recipe: Recipe, corpora: Path, evaluation: Path, tuning: bool = False) -> list[SpeakerFiles]:
    """Return everybody the benchmark may use, or a tuning set may, checked against the training speakers.

    Raises:
        SystemExit: when one of them is trained on.
    """
    training, held_out = split(recipe, corpora)
    trained = {row.speaker for row in training}
    held = {row.speaker for row in held_out}
    rows: dict[str, list[Utterance]] = defaultdict(list)
    for entry in recipe.data.corpora:
        if entry.name in HELD_OUT_CORPORA:
            for row in read_corpus(entry, corpora, frozenset(recipe.data.reserved)):
                if row.speaker in held:
                    rows[row.speaker].append(row)
    found = [_held_out(name, rows[name]) for name in sorted(rows) if is_for_tuning(name) == tuning]
    for folder, prefix in () if tuning else EVALUATION.items():
        for home in sorted(path for path in (evaluation / folder / "audio").iterdir() if path.is_dir()):
            files = tuple(sorted(home.glob("*.flac")))
            found.append(SpeakerFiles(f"{prefix}-{home.name}", {"": files}, f"evaluation_{folder}"))
    both = {speaker.name for speaker in found} & {_short(name) for name in trained}
    if both:
        sys.exit(
            f"these people are trained on: {', '.join(sorted(both))}; the split or the corpora are not ours."
        )
    return found


def _held_out(name: str, rows: list[Utterance]) -> SpeakerFiles:
    sessions: dict[str, list[Path]] = defaultdict(list)
    for row in rows:
        sessions[row.session].append(row.path)
    listed = {session: tuple(sorted(paths)) for session, paths in sorted(sessions.items())}
    return SpeakerFiles(_short(name), listed, rows[0].corpus)


def _short(name: str) -> str:
    """Return a speaker's name with a Common Voice client's 128 letters cut to 12."""
    prefix, _, identity = name.partition("-")
    return f"{prefix}-{identity[:12]}" if len(identity) > 40 else name


def keep_for_enrollment(speaker: SpeakerFiles) -> tuple[SpeakerFiles, list[Path]]:
    """Return (the speaker without them, some 8 s of recordings): of another session where there is one."""
    seconds = {p: soundfile.info(p).duration for paths in speaker.sessions.values() for p in paths}
    largest = max(speaker.sessions, key=lambda name: sum(seconds[p] for p in speaker.sessions[name]))
    others = [path for name, paths in speaker.sessions.items() if name != largest for path in paths]
    kept: list[Path] = []
    for path in [*others, *speaker.sessions[largest]]:
        if sum(seconds[p] for p in kept) >= ENROLLMENT_S:
            break
        kept.append(path)
    left = {largest: tuple(path for path in speaker.sessions[largest] if path not in kept)}
    return SpeakerFiles(speaker.name, left, speaker.group), kept


def seconds_of(speaker: SpeakerFiles) -> float:
    """Return how much audio a speaker has in the largest session."""
    return max(sum(soundfile.info(p).duration for p in paths) for paths in speaker.sessions.values())


def compared(facts: TalkFacts) -> str:
    """Return one line of what was measured on conversations."""
    offsets = " ".join(f"{value:.2f}" for value in facts.offset_s)
    return (
        f"overlap {facts.overlap_share:.1%}  speech {facts.speech_share:.1%}  "
        f"changes/min {facts.changes_per_minute:.2f}  early {facts.early_share:.0%}  offsets {offsets} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--corpora", type=Path, required=True, help="the clones recipes/ecapa-base.yaml names"
    )
    parser.add_argument(
        "--evaluation", type=Path, required=True, help="folder with librispeech, speechocean762"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, default=RECIPES / "ecapa-base.yaml")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--tuning", action="store_true", help="of the other half of the held-out speakers")
    arguments = parser.parse_args()
    everybody = [
        keep_for_enrollment(s)
        for s in people(
            load_recipe(arguments.recipe), arguments.corpora, arguments.evaluation, arguments.tuning
        )
    ]
    used: set[str] = set()
    summary: dict[str, object] = {"seed": arguments.seed}
    for number, (part, count) in enumerate(PARTS.items()):
        recipe = load_simulation_recipe(RECIPES / f"simulation-{part}.yaml")
        able = [left for left, _ in everybody if seconds_of(left) >= LEAST_SESSION_S[part]]
        simulator = Simulator(recipe, FileLibrary(able), arguments.seed * 10 + number)
        truths: list[Timeline] = []
        facts = []
        for conversation in simulator.conversations(count):
            truths.append(conversation.truth)
            facts.append(write_conversation(conversation, arguments.out / part))
            used.update(conversation.facts["speakers"])
            print(f"{conversation.name}: {conversation.truth.duration_s / 60:.1f} min", flush=True)
        write_manifest(arguments.out / part, recipe, arguments.seed * 10 + number, facts)
        talk = measure_talk(truths)
        repeated = sum(f["repeated_share"] * f["duration_s"] for f in facts) / sum(
            f["duration_s"] for f in facts
        )
        summary[part] = {
            "conversations": count,
            "people_to_choose_from": len(able),
            "heard_twice": round(repeated, 3),
            "talk": talk.to_dict(),
        }
        print(f"{part}: {len(able)} people, {compared(talk)}, {repeated:.0%} heard twice", flush=True)
    for left, kept in everybody:
        if left.name in used:
            home = arguments.out / "people" / left.name
            home.mkdir(parents=True, exist_ok=True)
            for at, path in enumerate(kept):
                shutil.copyfile(path, home / f"{at:02d}{path.suffix.lower()}")
    summary["people"] = sorted(used)
    (arguments.out / "benchmark.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
