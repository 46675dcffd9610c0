"""Verification and identification on real speech, clean and degraded, beside another public model, by one scorer.

    python bench/verification.py --lists ../shared/eval/verification --noise ../shared/eval/noise \\
        --bundle src/voxid/bundles/ecapa-base --bundle OTHER --out bench/results/verification

Every folder of ``--lists`` with a ``trials.txt`` is measured on it (one utterance against one) and, where they exist,
on ``trials3.txt`` with ``enrol3.txt`` (enrolment by three utterances, and identification), as recorded and under every
condition: noise at 5 dB, telephone band, Opus at 12 kb/s, the first 1, 2 and 5 s of speech. All systems hear the same
files. With ``--recipe`` and ``--corpora`` the held-out speakers of the training corpora are measured too.

Writes ``report.json`` (every number with its interval), ``table.md`` (what the README and the documents take) and a
page per list for the first bundle. The first run installs the peer and embeds everything; embeddings, degraded audio
and the peer's results stay in the cache, so that another bundle takes minutes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from peers import PEERS, default_cache, embed_with_peer
from tables import conditions_page
from voxid.bundle import Bundle, default_bundle, load_bundle
from voxid.errors import InputError
from voxid.evaluate import (
    IdentificationReport,
    VerificationReport,
    evaluate_embeddings,
    evaluate_identification,
    evaluate_identification_embeddings,
    evaluate_verification,
    look_up,
    read_trials,
)
from voxid.evaluate.attributes import measured_attributes, read_attributes
from voxid.evaluate.cohorts import CohortTable, evaluate_cohorts
from voxid.evaluate.conditions import CLEAN, Condition, join_conditions
from voxid.evaluate.degrading import Degrader
from voxid.evaluate.examination import Plan, degraded_trials, make_degrader, provenance
from voxid.evaluate.findings import findings
from voxid.evaluate.page import write_page
from voxid.evaluate.study import ConditionResult, Study
from voxid.evaluate.trials import TrialList
from voxid.evaluate.utterances import FactsCache

CONDITIONS = "noise5,telephone,opus12,1s,2s,5s"


@dataclass(frozen=True)
class Task:
    """One trial list under one condition, ready to be measured by any system."""

    folder: Path
    whole: TrialList
    condition: Condition
    trials: TrialList

    @property
    def name(self) -> str:
        """For the screen."""
        return f"{self.whole.name}, {self.condition.name}"


@dataclass(frozen=True)
class Bench:
    """What every measurement needs: systems, cache, and how many replicates intervals are made of."""

    bundles: tuple[Bundle, ...]
    peer: str | None
    cache: Path
    resamples: int


def tasks_of(folder: Path, conditions: Sequence[Condition], degrader: Degrader) -> Iterator[Task]:
    """Yield the lists of a folder under every condition; one without a usable trial is passed over."""
    lists = [read_trials(folder / "trials.txt")]
    if (folder / "trials3.txt").is_file():
        lists.append(read_trials(folder / "trials3.txt", folder / "enrol3.txt"))
    for trials in lists:
        yield Task(folder, trials, CLEAN, trials)
        for condition in conditions:
            if (degraded := usable(trials, folder, condition, degrader)) is not None:
                yield Task(folder, trials, condition, degraded)


def usable(trials: TrialList, folder: Path, condition: Condition, degrader: Degrader) -> TrialList | None:
    """Return the trials under a condition, or None where targets or non-targets are missing."""
    try:
        degraded = degraded_trials(trials, folder, condition, degrader)
    except InputError as error:
        if error.code != "trials_left_out":
            raise
        return None
    return degraded if 0 < degraded.targets < len(degraded) else None


def reports_of(task: Task, bench: Bench) -> list[VerificationReport]:
    """Return the reports of every bundle and of the peer on one task."""
    found = [
        evaluate_verification(
            task.trials,
            task.folder,
            bundle=bundle,
            cache_dir=bench.cache / "bundles",
            resamples=bench.resamples,
        )
        for bundle in bench.bundles
    ]
    if bench.peer is not None:
        vectors, untrimmed = embed_with_peer(bench.peer, task.trials.utterances, task.folder, bench.cache)
        notes = ()
        if untrimmed:
            notes = (f"Of {len(untrimmed)} of {len(vectors)} files its own voice detector leaves nothing; they were "
                     "embedded whole.",)  # fmt: skip
        found.append(
            evaluate_embeddings(
                task.trials, look_up(vectors), model_id=bench.peer, notes=notes, resamples=bench.resamples
            )
        )
    return [replace(report, condition=task.condition.name, trial_list=task.whole.name) for report in found]


def identifications_of(task: Task, bench: Bench) -> list[IdentificationReport]:
    """Return identification among the people of a three-utterance list, as recorded."""
    if task.condition is not CLEAN or task.trials.enrolment_sizes[1] == 1 or len(set(task.trials.enrol)) < 4:
        return []
    found = [
        evaluate_identification(
            task.trials,
            task.folder,
            bundle=bundle,
            cache_dir=bench.cache / "bundles",
            resamples=bench.resamples,
        )
        for bundle in bench.bundles
    ]
    if bench.peer is not None:
        vectors, _ = embed_with_peer(bench.peer, task.trials.utterances, task.folder, bench.cache)
        found.append(
            evaluate_identification_embeddings(
                task.trials, look_up(vectors), model_id=bench.peer, resamples=bench.resamples
            )
        )
    return found


def cohorts_of(
    task: Task, reports: Sequence[VerificationReport], bench: Bench
) -> list[tuple[CohortTable, ...]]:
    """Return the cohort tables of every system on a clean list."""
    facts = FactsCache(bench.cache / "bundles")
    known = {path: facts.of(task.folder / path) for path in sorted(set(task.trials.test))}
    attributes = measured_attributes(task.trials, known)
    if (task.folder / "speakers.tsv").is_file():
        attributes = read_attributes(task.folder / "speakers.tsv", task.trials) + attributes
    return [
        evaluate_cohorts(report, task.trials, attributes, resamples=bench.resamples) for report in reports
    ]


def study_of(
    measured: Sequence[tuple[Task, list[VerificationReport]]],
    tables: tuple[CohortTable, ...],
    bundle: Bundle,
    degrader: Degrader,
) -> Study:
    """Return the study of the first bundle from all one-against-one tasks of a folder, the clean one first."""
    (clean, ours), *others = measured
    results = []
    for task, reports in others:
        rates = degrader.bit_rates_kbps(task.condition)
        left_out = len(task.whole) - len(task.trials)
        rate_kbps = sum(rates) / len(rates) if rates else None
        results.append(ConditionResult(task.condition, reports[0], left_out, rate_kbps))
    origin = provenance(bundle, clean.folder / "trials.txt", clean.folder, degrader)
    return Study(ours[0], tuple(results), tables, tuple(ours[1:]), origin)


def run_folder(folder: Path, bench: Bench, plan: Plan, bar: Progress) -> tuple[list[dict[str, Any]], Study]:
    """Return every record of one folder of lists, and the study of the first bundle on its single utterances."""
    degrader = make_degrader(read_trials(folder / "trials.txt"), folder, plan, bench.cache)
    tasks = list(tasks_of(folder, plan.conditions, degrader))
    step = bar.add_task(folder.name, total=len(tasks))
    records: list[dict[str, Any]] = []
    singles: list[tuple[Task, list[VerificationReport]]] = []
    tables: list[tuple[CohortTable, ...]] = []
    for task in tasks:
        bar.update(step, description=task.name)
        reports = reports_of(task, bench)
        found = cohorts_of(task, reports, bench) if task.condition is CLEAN else [()] * len(reports)
        for report, of_report in zip(reports, found, strict=True):
            record = report.to_dict() | {"cohorts": [table.to_dict() for table in of_report]}
            records.append(
                record | {"title": task.condition.title, "left_out": len(task.whole) - len(task.trials)}
            )
        records += [report.to_dict() for report in identifications_of(task, bench)]
        if task.trials.enrolment_sizes[1] == 1:
            singles.append((task, reports))
            tables = tables or found
        bar.advance(step)
    study = study_of(singles, tables[0], bench.bundles[0], degrader)
    records[0]["findings"] = findings(
        study
    )  # the first record is the first bundle's on the clean single utterances
    return records, study


def parse() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--lists", type=Path, action="append", default=[], help="folder of folders; repeat it"
    )
    parser.add_argument(
        "--recipe", type=Path, action="append", default=[], help="whose held-out speakers; repeat it"
    )
    parser.add_argument("--corpora", type=Path, help="folder of the clones, for --recipe")
    parser.add_argument("--out", required=True, type=Path, help="folder for report.json, table.md and pages")
    parser.add_argument(
        "--bundle", type=Path, action="append", default=[],
        help="bundle folder; repeat it, the first is the one that is documented (default: the one inside voxid)",
    )  # fmt: skip
    parser.add_argument("--peer", choices=[*sorted(PEERS), "none"], default="resemblyzer")
    parser.add_argument("--noise", type=Path, help="folder of noise recordings")
    parser.add_argument("--conditions", default=CONDITIONS, help="(%(default)s)")
    parser.add_argument(
        "--resamples", type=int, default=200, help="replicates behind an interval (%(default)s)"
    )
    parser.add_argument(
        "--cache", type=Path, default=default_cache(), help="embeddings and audio (%(default)s)"
    )
    return parser.parse_args()


def main() -> None:
    """Parse the command line, measure, write."""
    options = parse()
    bundles = tuple(load_bundle(path) for path in options.bundle) or (default_bundle(),)
    peer = None if options.peer == "none" else options.peer
    bench = Bench(bundles, peer, options.cache, options.resamples)
    plan = Plan(join_conditions(options.conditions), options.noise)
    folders = sorted(path.parent for lists in options.lists for path in lists.glob("*/trials.txt"))
    if options.recipe:
        from held_out import write_lists

        folders += write_lists(options.recipe, options.corpora, options.cache / "held_out")
    options.out.mkdir(parents=True, exist_ok=True)
    start, records = time.perf_counter(), []
    with Progress(console=Console(stderr=True)) as bar:
        for folder in folders:
            found, study = run_folder(folder, bench, plan, bar)
            records += found
            write_page(study, options.out / f"{folder.name}.html")
    text = json.dumps(records, indent=1, ensure_ascii=False, allow_nan=False)
    (options.out / "report.json").write_text(text + "\n", encoding="utf-8")
    (options.out / "table.md").write_text(conditions_page(records), encoding="utf-8")
    print(conditions_page(records))
    print(f"{len(records)} reports in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
