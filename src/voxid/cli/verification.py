"""``voxid evaluate verification``: how well people are told apart, under which conditions, and for whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voxid.cli import options
from voxid.cli.lists import Cache, Enrol, Plots, Report, Root, Trials
from voxid.cli.output import EXIT_DONE, EXIT_REJECTED, command, note, print_json, progress, results, waiting

if TYPE_CHECKING:
    from voxid.evaluate.gates import GateResult
    from voxid.evaluate.study import Study
    from voxid.evaluate.verification_report import VerificationReport

Peers = Annotated[
    list[Path] | None,
    typer.Option(
        "--peer",
        metavar="NPZ",
        help="Another system's embeddings of the same files, scored beside ours; repeat it.",
    ),
]
Conditions = Annotated[
    str,
    typer.Option(
        "--conditions",
        metavar="LIST",
        help="Also with worse probes: noise5, babble10, telephone, opus12, 2s, or joined as 2s+noise5; commas between.",
    ),
]
Durations = Annotated[
    str, typer.Option("--durations", metavar="LIST", help="Also with so many seconds of speech: 1,2,5.")
]
Snrs = Annotated[
    str, typer.Option("--snrs", metavar="LIST", help="Also with noise at so many decibels: 20,10,5,0.")
]
Noise = Annotated[
    Path | None, typer.Option("--noise", metavar="FOLDER", help="Recordings of noise for noise conditions.")
]
BothSides = Annotated[
    bool, typer.Option("--both-sides", help="Conditions apply to enrolment too, not to probes alone.")
]
Cohorts = Annotated[
    Path | None,
    typer.Option(
        "--cohorts",
        metavar="FILE",
        help="Divide by a table: speaker or utterance, then sex, age, language ... as you know them.",
    ),
]
Html = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write a page to read, print and keep.")
]
FailIf = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-if",
        metavar="GATE",
        help="End with exit code 1 when this holds: 'eer>5', 'frr@far_1pct>8', 'noise5:cllr>.5', "
        "'frr_disparity@sex>2'; repeat it.",
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", min=0, help="Of the choice of noise and of the intervals' resampling.")
]


@command
def verification(
    trials: Trials,
    audio_root: Root,
    enrol: Enrol = None,
    peer: Peers = None,
    conditions: Conditions = "",
    durations: Durations = "",
    snrs: Snrs = "",
    noise: Noise = None,
    both_sides: BothSides = False,
    cohorts: Cohorts = None,
    fail_if: FailIf = None,
    seed: Seed = 0,
    bundle: options.BundlePath = None,
    cache: Cache = None,
    plots: Plots = None,
    html: Html = None,
    report: Report = None,
    as_json: options.AsJson = False,
) -> int:
    """EER, minDCF, actDCF, Cllr and AUC of a trial list, each with a 95 % interval over speakers.

    Also under noise, telephone, codec and with short probes; by cohorts, with the ratio of the worst to the best; as a
    page; and as gates for a build.

    Example:

        voxid evaluate verification --trials trials.txt --audio-root wav --durations 1,2,5 --html report.html
    """
    from voxid.evaluate.conditions import join_conditions
    from voxid.evaluate.examination import MEASURED, Plan, evaluate_study
    from voxid.evaluate.gates import check_gates, parse_gates, require_measured

    model = options.choose_bundle(bundle)
    wanted = join_conditions(conditions, durations, snrs)
    gates = parse_gates(fail_if or [])
    divided = cohorts is not None or html is not None or any(gate.of in MEASURED for gate in gates)
    names = [*_columns(cohorts), *(MEASURED if divided else ())]
    require_measured(gates, ["clean", *(condition.name for condition in wanted)], list(model.profiles), names)
    plan = Plan(wanted, noise, both_sides, cohorts, divided, cache, seed=seed)
    with progress("Scoring trials", quiet=as_json) as share:
        study = evaluate_study(trials, audio_root, plan, enrol=enrol, bundle=model, progress=share)
    study = replace(study, peers=tuple(_peers(peer or [], trials, enrol, seed, as_json)))
    checked = check_gates(gates, study)
    _show(study, checked, as_json)
    _write(study, checked, plots, html, report)
    return EXIT_REJECTED if any(result.failed for result in checked) else EXIT_DONE


def _columns(cohorts: Path | None) -> tuple[str, ...]:
    """Return the names of a table's attributes; the table is read and checked later."""
    from voxid.evaluate.attributes import attribute_names

    return () if cohorts is None else attribute_names(cohorts)


def _peers(
    files: list[Path], trials: Path, enrol: Path | None, seed: int, as_json: bool
) -> Iterator[VerificationReport]:
    """Yield the reports of other systems' embeddings on the same list."""
    from voxid.evaluate import evaluate_embeddings, load_embeddings, look_up, read_trials

    for path in files:
        with waiting(f"Scoring {path.name}", quiet=as_json):
            embed = look_up(load_embeddings(path))
            yield evaluate_embeddings(read_trials(trials, enrol), embed, model_id=path.stem, seed=seed)


def _show(study: Study, gates: Sequence[GateResult], as_json: bool) -> None:
    """Print the study and the gates: as one JSON object, or as tables with broken gates in red."""
    from voxid.evaluate.study_tables import render_study

    if as_json:
        print_json(study.to_dict() | ({"gates": [gate.to_dict() for gate in gates]} if gates else {}))
        return
    results().print(render_study(study))
    for gate in gates:
        results().print(gate.sentence, markup=False, style="red" if gate.failed else "green")


def _write(
    study: Study, gates: Sequence[GateResult], plots: Path | None, html: Path | None, report: Path | None
) -> None:
    """Write the files asked for."""
    if plots:
        from voxid.evaluate.plots import write_plots

        for path in write_plots(study.report, plots):
            note(f"wrote {path}")
    if html:
        from voxid.evaluate.page import write_page

        write_page(study, html, gates)
        note(f"wrote {html}")
    if report:
        from voxid.evaluate.report import write_json

        write_json([study], report)
        note(f"wrote {report}")
