"""What share of attacks our own verifier lets through, with and without the detector of spoofed speech.

    python bench/attacks.py --lists ../shared/eval/verification --out bench/results/attacks.json

People of the lists are enrolled with three recordings each. Then they claim to be themselves with other recordings,
others claim to be them (impostors), and each of those other recordings is attacked with: said again by every generator
of ``voxid.simulate`` (vocoders, conversion, splicing), and played back (a simulated loudspeaker, room and microphone).
An attacker who holds a recording of the victim is the worst case; nothing here clones a voice from elsewhere.

The verifier decides at the shipped threshold of a false-accept rate of 1 %. Beside it stand three policies of
``voxid.spoof.fusion``: ``check`` refuses what the detector calls spoof and sends what is suspicious to a person,
``strict`` also what it cannot tell, ``score`` joins both LLRs and decides at the same threshold. "Accepted" is let in
without anybody looking.

Writes the table, ``--out`` as JSON, and with ``--trials FILE`` every trial with its speaker LLR, spoof LLR and verdict.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from peers import default_cache
from voxid.audio import SAMPLE_RATE_HZ, load
from voxid.bundle import Bundle, default_bundle, load_bundle
from voxid.errors import ConfigError, InputError
from voxid.evaluate.bootstrap import Sides, estimate_all
from voxid.evaluate.claims import bound_zero
from voxid.evaluate.metrics import det_curve
from voxid.evaluate.scoring import bundle_scores, embed_utterances
from voxid.evaluate.spoof_costs import ADCF, min_adcf, min_tdcf, verifier_rates
from voxid.evaluate.spoof_hearing import Heard, hear_files
from voxid.evaluate.trials import TrialList, read_trials
from voxid.simulate.fakes import Generator, generators
from voxid.spoof.detector import SpoofDetector, default_detector
from voxid.spoof.fusion import SpoofPolicy, joint_llr

ENROLLED = 3
GENUINE, IMPOSTOR = "genuine claim", "impostor"
PROFILE = "far_1pct"


@dataclass(frozen=True)
class Attempt:
    """One claim: who is claimed, with which file, made how.

    Attributes:
        victim: name of the enrolled person. path: of the probe, from the work folder.
        attack: ``GENUINE``, ``IMPOSTOR`` or the name of a generator; family: its kind.
    """

    victim: str
    path: str
    attack: str
    family: str


@dataclass(frozen=True)
class Scored:
    """Attempts with what the verifier and the detector say of them, each array (N,)."""

    attempts: tuple[Attempt, ...]
    speaker_llrs: NDArray[np.float64]
    spoof_llrs: NDArray[np.float64]
    outcomes: NDArray[np.str_]
    threshold_llr: float

    @property
    def joint_llrs(self) -> NDArray[np.float64]:
        """LLRs of the claimed person speaking live; the speaker's alone where the detector cannot tell."""
        share = SpoofPolicy("score").spoof_share
        pairs = zip(self.speaker_llrs, self.spoof_llrs, self.outcomes, strict=True)
        return np.asarray(
            [
                speaker if outcome == "cannot_tell" else joint_llr(float(speaker), float(spoof), share)
                for speaker, spoof, outcome in pairs
            ]
        )

    def become(self, policy: SpoofPolicy, consequence: str) -> NDArray[np.bool_]:
        """Return what a policy makes of the verdicts: which may at best become this."""
        by_outcome = {
            "genuine": "accept",
            "suspicious": policy.on_suspicious,
            "spoof": "reject",
            "cannot_tell": policy.on_cannot_tell,
        }
        return np.asarray([by_outcome[outcome] == consequence for outcome in self.outcomes])

    def of(self, *attacks: str) -> NDArray[np.bool_]:
        """Return which attempts are of these attacks; none named: all made by generators."""
        named = set(attacks)
        return np.asarray(
            [
                attempt.attack in named if named else attempt.attack not in (GENUINE, IMPOSTOR)
                for attempt in self.attempts
            ]
        )


def people_of(folder: Path, most: int) -> dict[str, list[str]]:
    """Return speaker -> recordings of a list's folder, of at most ``most`` people with enough recordings."""
    trials = read_trials(folder / "trials.txt")
    people: dict[int, list[str]] = {}
    for path in trials.utterances:
        people.setdefault(trials.speakers.of[path], []).append(path)
    enough = [paths for paths in people.values() if len(paths) > ENROLLED]
    return {f"{folder.name}/{Path(paths[0]).parent.name}": paths for paths in enough[:most]}


def attempts_on(
    folder: Path,
    people: dict[str, list[str]],
    made: Sequence[Generator],
    per_person: int,
    work: Path,
    bar: Progress,
) -> list[Attempt]:
    """Return all attempts on the people of one list, their audio written below ``work`` where it is not there yet."""
    found: list[Attempt] = []
    names = list(people)
    step = bar.add_task(f"attacking {folder.name}", total=len(names))
    for at, (victim, paths) in enumerate(people.items()):
        probes = paths[ENROLLED : ENROLLED + per_person]
        found += [Attempt(victim, str((folder / path).resolve()), GENUINE, "genuine") for path in probes]
        others = [names[(at + shift) % len(names)] for shift in range(1, min(5, len(names)))]
        found += [
            Attempt(victim, str((folder / path).resolve()), IMPOSTOR, "impostor")
            for other in others
            for path in people[other][ENROLLED : ENROLLED + per_person]
        ]
        others_of_victim = [load(folder / path).samples for path in paths[:ENROLLED]]
        for number, path in enumerate(probes):
            samples = load(folder / path).samples
            for generator in made:
                file = work / folder.name / Path(victim).name / f"{generator.name}-{number}.flac"
                if file.is_file() or written(file, generator, samples, others_of_victim):
                    found.append(Attempt(victim, str(file.resolve()), generator.name, generator.family))
        bar.advance(step)
    return found


def written(
    file: Path,
    generator: Generator,
    samples: NDArray[np.float32],
    others: Sequence[NDArray[np.float32]],
) -> bool:
    """Write one attack as FLAC; false where the generator needs longer speech or a package that is missing."""
    rng = np.random.default_rng(zlib.crc32("/".join(file.parts[-3:]).encode()))
    try:
        attack = generator.make(np.asarray(samples), rng, others)
    except (InputError, ConfigError):
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".part")
    soundfile.write(unfinished, attack, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    unfinished.replace(file)  # whole or not at all: the next run takes what is there
    return True


def scored_by(
    bundle: Bundle,
    detector: SpoofDetector,
    enrolled: dict[str, tuple[str, ...]],
    attempts: Sequence[Attempt],
    bar: Progress,
) -> Scored:
    """Return what the verifier and the detector say of every attempt."""
    trials = TrialList(
        tuple(attempt.victim for attempt in attempts),
        tuple(attempt.path for attempt in attempts),
        np.asarray([attempt.attack == GENUINE for attempt in attempts]),
        enrolled,
    )
    step = bar.add_task("verifying", total=1.0)
    embedder, vectors = embed_utterances(
        trials.utterances, "/", bundle, None, lambda share: bar.update(step, completed=share)
    )
    llrs = bundle_scores(trials, vectors, embedder.qualities, bundle)[1]
    if llrs is None:
        raise SystemExit(f"{bundle.id} is not calibrated; give one that is.")
    step = bar.add_task("checking", total=1.0)
    heard: Heard = hear_files(detector, trials.test, "/", lambda share: bar.update(step, completed=share))
    return Scored(
        tuple(attempts),
        llrs,
        np.asarray([heard.score(path, "joint") for path in trials.test]),
        np.asarray([heard.outcome(path) for path in trials.test]),
        bundle.profiles[PROFILE].threshold_llr,
    )


def row_of(
    name: str, family: str, scored: Scored, chosen: NDArray[np.bool_], resamples: int
) -> dict[str, Any]:
    """Return the shares of one attack, victims resampled."""
    through = scored.speaker_llrs >= scored.threshold_llr
    check, strict = SpoofPolicy.named("check"), SpoofPolicy.named("strict")
    victims = [attempt.victim for attempt, taken in zip(scored.attempts, chosen, strict=True) if taken]
    units = np.unique(victims, return_inverse=True)[1].astype(np.int64)
    whole = {
        "verifier": through,
        "check": through & scored.become(check, "accept"),
        "strict": through & scored.become(strict, "accept"),
        "score": through & (scored.joint_llrs >= scored.threshold_llr) & (scored.outcomes != "spoof"),
        "to_review": through & scored.become(check, "review"),
        "called_spoof": scored.outcomes == "spoof",
    }
    shares = {key: hits[chosen] for key, hits in whole.items()}

    def measure(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        return {key: weights @ hits / weights.sum(axis=1) for key, hits in shares.items()}

    found = estimate_all(measure, Sides.single(units), resamples=resamples)
    record: dict[str, Any] = {"attack": name, "family": family, "trials": int(np.sum(chosen))}
    return record | {key: bound_zero(value, len(victims)).to_dict() for key, value in found.items()}


def costs_of(scored: Scored) -> dict[str, float]:
    """Return a-DCF of the verifier alone and of it behind the detector's verdict, and the t-DCF, on these trials."""
    target, impostor, spoof = scored.of(GENUINE), scored.of(IMPOSTOR), scored.of()
    llrs = scored.speaker_llrs
    gated = np.where(scored.outcomes == "spoof", llrs.min() - 1.0, llrs)
    verifier = verifier_rates(llrs[target], llrs[impostor], llrs[spoof], scored.threshold_llr)
    heard = ~np.isnan(scored.spoof_llrs)
    curve = det_curve(scored.spoof_llrs[heard & (target | impostor)], scored.spoof_llrs[heard & spoof])
    return {
        "min_adcf_verifier": min_adcf(llrs[target], llrs[impostor], llrs[spoof], ADCF),
        "min_adcf_check": min_adcf(gated[target], gated[impostor], gated[spoof], ADCF),
        "min_adcf_score": min_adcf(
            scored.joint_llrs[target], scored.joint_llrs[impostor], scored.joint_llrs[spoof], ADCF
        ),
        "min_tdcf": float(min_tdcf(curve, verifier)[0]),
        "verifier_frr": verifier.frr,
        "verifier_far": verifier.far,
        "verifier_spoof_far": verifier.spoof_far,
    }


def table_of(rows: Sequence[dict[str, Any]]) -> Table:
    """Return the rows for a terminal."""
    table = Table(title="share accepted, %")
    table.add_column("claim")
    for name in (
        "family",
        "trials",
        "verifier",
        "+ check",
        "+ strict",
        "+ score",
        "to review",
        "called spoof",
    ):
        table.add_column(name, justify="right")
    for row in rows:
        cells = [
            shown(row[key]) for key in ("verifier", "check", "strict", "score", "to_review", "called_spoof")
        ]
        table.add_row(row["attack"], row["family"], f"{row['trials']:,}", *cells)
    return table


def shown(record: dict[str, float | None]) -> str:
    """Return an estimate in percent."""
    value, low, high = (record[key] for key in ("value", "low", "high"))
    if low is None or high is None:
        return f"{100 * (value or 0.0):.1f}"
    return f"{100 * (value or 0.0):.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def rows_of(scored: Scored, resamples: int) -> list[dict[str, Any]]:
    """Return genuine claims, impostors, all attacks together, each family, each generator."""
    families: dict[str, list[str]] = {}
    for attempt in scored.attempts:
        if attempt.attack not in (GENUINE, IMPOSTOR) and attempt.attack not in families.get(
            attempt.family, []
        ):
            families.setdefault(attempt.family, []).append(attempt.attack)
    rows = [row_of(name, "", scored, scored.of(name), resamples) for name in (GENUINE, IMPOSTOR)]
    rows.append(row_of("all attacks", "", scored, scored.of(), resamples))
    for family, names in sorted(families.items()):
        rows.append(row_of(f"family {family}", family, scored, scored.of(*names), resamples))
    for family, names in sorted(families.items()):
        rows += [row_of(name, family, scored, scored.of(name), resamples) for name in sorted(names)]
    return rows


def write_trials(scored: Scored, path: Path) -> None:
    """Write every attempt: label, attack, LLRs, verdict."""
    kinds = {GENUINE: "target", IMPOSTOR: "nontarget"}
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["label", "attack", "family", "victim", "speaker_llr", "spoof_llr", "outcome"])
        for at, attempt in enumerate(scored.attempts):
            kind = kinds.get(attempt.attack, "spoof")
            numbers = (f"{scored.speaker_llrs[at]:.4f}", f"{scored.spoof_llrs[at]:.4f}")
            table.writerow(
                [kind, attempt.attack, attempt.family, attempt.victim, *numbers, scored.outcomes[at]]
            )


def parse() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lists", type=Path, required=True, help="folder of folders with trials.txt")
    parser.add_argument("--out", type=Path, help="JSON")
    parser.add_argument("--trials", type=Path, help="CSV of every attempt")
    parser.add_argument("--bundle", type=Path, help="the verifier (default: the one inside voxid)")
    parser.add_argument("--detector", type=Path, help="the detector (default: the one inside voxid)")
    parser.add_argument("--generators", help="names or families, comma between (default: all)")
    parser.add_argument("--victims", type=int, default=8, help="people of each list (%(default)s)")
    parser.add_argument("--probes", type=int, default=1, help="attacked recordings of each (%(default)s)")
    parser.add_argument(
        "--work", type=Path, default=default_cache() / "attacks", help="attack audio (%(default)s)"
    )
    parser.add_argument("--resamples", type=int, default=500, help="behind an interval (%(default)s)")
    return parser.parse_args()


def main() -> None:
    """Parse the command line, attack, print, write."""
    options = parse()
    start = time.perf_counter()
    bundle = load_bundle(options.bundle) if options.bundle else default_bundle()
    detector = SpoofDetector.load(options.detector) if options.detector else default_detector()
    made = generators(options.generators)
    attempts: list[Attempt] = []
    enrolled: dict[str, tuple[str, ...]] = {}
    with Progress(console=Console(stderr=True)) as bar:
        for folder in sorted(path.parent for path in options.lists.glob("*/trials.txt")):
            people = people_of(folder, options.victims)
            for name, paths in people.items():
                enrolled[name] = tuple(str((folder / path).resolve()) for path in paths[:ENROLLED])
            attempts += attempts_on(folder, people, made, options.probes, options.work, bar)
        scored = scored_by(bundle, detector, enrolled, attempts, bar)
    rows = rows_of(scored, options.resamples)
    record = {
        "verifier": bundle.id,
        "detector": detector.id,
        "profile": asdict(bundle.profiles[PROFILE]),
        "victims": len(enrolled),
        "costs": costs_of(scored),
        "rows": rows,
        "seconds": round(time.perf_counter() - start),
    }
    Console(width=150).print(table_of(rows))
    print(json.dumps(record["costs"], indent=1))
    if options.trials:
        write_trials(scored, options.trials)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
