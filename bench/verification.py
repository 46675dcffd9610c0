"""Verification and identification on real speech, beside another public model, in one run by one scorer.

    python bench/verification.py --lists ../shared/eval/verification --out bench/results/verification

Every folder of ``--lists`` with a ``trials.txt`` is measured on it (one utterance against one) and, where
they exist, on ``trials3.txt`` with ``enrol3.txt`` (enrolment by three utterances, and identification).
Writes ``report.json``, the printed tables as ``report.txt`` and the plots; takes minutes the first time,
because the peer is installed and embeds everything, and seconds afterwards.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from peers import PEERS, default_cache, write_peer_embeddings
from voxid.bundle import Bundle, default_bundle, load_bundle
from voxid.evaluate import (
    IdentificationReport,
    VerificationReport,
    evaluate_embeddings,
    evaluate_identification,
    evaluate_identification_embeddings,
    evaluate_verification,
    load_embeddings,
    look_up,
    read_trials,
    render,
    write_json,
)
from voxid.evaluate.plots import plot_det, write_plots

Report = VerificationReport | IdentificationReport


def measure_folder(
    folder: Path, bundle: Bundle, peer: str | None, cache: Path, bar: Progress
) -> list[Report]:
    """Return the reports of one folder of lists: ours and the peer's on each."""
    lists = [read_trials(folder / "trials.txt")]
    if (folder / "trials3.txt").is_file():
        lists.append(read_trials(folder / "trials3.txt", folder / "enrol3.txt"))
    found: list[Report] = []
    for trials in lists:
        task = bar.add_task(f"{trials.name}: {bundle.id}", total=1.0)
        found.append(
            evaluate_verification(
                trials,
                folder,
                bundle=bundle,
                cache_dir=cache / "bundles",
                progress=lambda share, task=task: bar.update(task, completed=share),
            )
        )
    if len(lists) > 1:
        found.append(evaluate_identification(lists[1], folder, bundle=bundle, cache_dir=cache / "bundles"))
    if peer is not None:
        utterances = sorted({path for trials in lists for path in trials.utterances})
        written = write_peer_embeddings(peer, utterances, folder, cache / f"{peer}-{folder.name}.npz", cache)
        embed = look_up(load_embeddings(written))
        found += [evaluate_embeddings(trials, embed, model_id=peer) for trials in lists]
        if len(lists) > 1:
            found.append(evaluate_identification_embeddings(lists[1], embed, model_id=peer))
    return found


def main() -> None:
    """Parse the command line, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--lists", required=True, type=Path, help="folder of folders with trials.txt and audio/"
    )
    parser.add_argument(
        "--out", required=True, type=Path, help="folder for report.json, report.txt and plots"
    )
    parser.add_argument("--bundle", type=Path, help="bundle folder (default: the one inside voxid)")
    parser.add_argument("--peer", choices=[*sorted(PEERS), "none"], default="resemblyzer")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="embeddings (%(default)s)")
    arguments = parser.parse_args()
    bundle = load_bundle(arguments.bundle) if arguments.bundle else default_bundle()
    peer = None if arguments.peer == "none" else arguments.peer
    folders = sorted(path.parent for path in arguments.lists.glob("*/trials.txt"))
    reports: list[Report] = []
    with Progress(console=Console(stderr=True)) as bar:
        for folder in folders:
            reports += measure_folder(folder, bundle, peer, arguments.cache, bar)
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_json(reports, arguments.out / "report.json")
    with (arguments.out / "report.txt").open("w", encoding="utf-8") as file:
        Console(file=file, width=130).print(render(reports))
    Console().print(render(reports))
    for report in reports:
        place = (
            arguments.out
            / report.trial_list.replace("/", "-").removesuffix(".txt")
            / report.model_id.split("@")[0]
        )
        write_plots(report, place)
    verified = [report for report in reports if isinstance(report, VerificationReport)]
    for name in dict.fromkeys(report.trial_list for report in verified):
        same = [report for report in verified if report.trial_list == name]
        plot_det(same, arguments.out / f"det-{name.replace('/', '-').removesuffix('.txt')}.png")


if __name__ == "__main__":
    main()
