"""``voxid evaluate spoof``: how well live human speech is told from speech that was made or played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxid.cli import options
from voxid.cli.lists import Plots, Report
from voxid.cli.output import EXIT_DONE, EXIT_REJECTED, command, note, print_json, progress, results
from voxid.errors import ConfigError

if TYPE_CHECKING:
    from voxid.evaluate.gates import GateResult
    from voxid.evaluate.spoof_costs import VerifierRates
    from voxid.evaluate.spoof_genuine import GenuineReport
    from voxid.evaluate.spoof_hearing import Detector
    from voxid.evaluate.spoof_report import SpoofReport

_Protocol = Annotated[
    Path | None,
    typer.Option(
        "--protocol",
        metavar="FILE",
        help="Table: path,label (genuine|spoof),generator,family,corpus,speaker.",
    ),
]
_Root = Annotated[
    Path | None,
    typer.Option(
        "--audio-root", metavar="FOLDER", help="Paths in the protocol are relative to it, else to its folder."
    ),
]
_DetectorPath = Annotated[
    Path | None,
    typer.Option(
        "--detector", metavar="FOLDER", help="A detector's folder; without it the one inside voxid."
    ),
]
_Head = Annotated[
    str,
    typer.Option("--head", metavar="NAME", help="Which LLR is the score: synthetic, replay, or joint."),
]
_Scores = Annotated[
    Path | None,
    typer.Option(
        "--scores", metavar="FILE", help='Scores of any detector instead of ours: "path score" lines, or CSV.'
    ),
]
_ScoresOut = Annotated[
    Path | None,
    typer.Option(
        "--write-scores", metavar="FILE", help="Write the detector's scores and verdicts, for --scores."
    ),
]
_Llrs = Annotated[bool, typer.Option("--llrs", help="The scores of --scores are natural-log LLRs.")]
_Thresholds = Annotated[
    str,
    typer.Option(
        "--thresholds",
        metavar="LOW,HIGH",
        help="Of --scores: spoof below the first, genuine from the second on.",
    ),
]
_Genuine = Annotated[
    list[Path] | None,
    typer.Option(
        "--genuine",
        metavar="PATH",
        help="Only genuine speech, a trial list or a folder: how much is falsely flagged, and whose; repeat it.",
    ),
]
_Cohorts = Annotated[
    Path | None,
    typer.Option(
        "--cohorts",
        metavar="FILE",
        help="Of --genuine: a table of speaker or utterance with sex, age ... as you know them; without it "
        "speakers.tsv beside each list.",
    ),
]
_Verifier = Annotated[
    str,
    typer.Option(
        "--verifier",
        metavar="FRR,FAR,SPOOFS",
        help="Rates in percent of the verifier that costs assume behind the detector.",
    ),
]
_Html = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write a page to read, print and keep.")
]
_FailIf = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-if",
        metavar="GATE",
        help="End with exit code 1 when this holds: 'eer>20', 'eer_kept@20>10', 'apcer@worst>50', 'flagged>5'; "
        "repeat it.",
    ),
]
_Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the intervals' resampling.")]


@dataclass(frozen=True)
class _Found:
    """What one run measured."""

    report: SpoofReport | None
    genuine: tuple[GenuineReport, ...]
    gates: tuple[GateResult, ...]


@dataclass(frozen=True)
class _Hearing:
    """How a protocol is heard: by whom, below which folder, which LLR counts, and where scores are written."""

    detector: Detector
    audio_root: Path
    head: str
    scores_out: Path | None


@command
def spoof(
    protocol: _Protocol = None,
    audio_root: _Root = None,
    detector: _DetectorPath = None,
    head: _Head = "synthetic",
    scores: _Scores = None,
    write_scores: _ScoresOut = None,
    llrs: _Llrs = False,
    thresholds: _Thresholds = "",
    genuine: _Genuine = None,
    cohorts: _Cohorts = None,
    verifier: _Verifier = "1,1,100",
    fail_if: _FailIf = None,
    seed: _Seed = 0,
    plots: Plots = None,
    html: _Html = None,
    report: Report = None,
    as_json: options.AsJson = False,
) -> int:
    """EER, APCER by generator, BPCER, costs and abstention of a detector of spoofed speech, with 95 % intervals.

    On a protocol of genuine and spoofed recordings, by ours or any detector's scores; on genuine speech alone, how much
    is falsely flagged, by cohort. A family left out of training stands in the protocol's column `family`.

    Examples:

        voxid evaluate spoof --protocol protocol.csv --html spoof.html

        voxid evaluate spoof --protocol protocol.csv --scores scores.txt --json

        voxid evaluate spoof --genuine trials.txt --fail-if 'flagged>5'
    """
    from voxid.evaluate.spoof_gates import check_spoof_gates, parse_spoof_gates

    _require(protocol, scores, genuine or [], llrs or bool(thresholds))
    gates, rates = parse_spoof_gates(fail_if or []), _rates(verifier)
    ours = None if scores is not None and not genuine else _detector(detector)
    measured = None
    if protocol is not None and scores is not None:
        measured = _of_scores(protocol, scores, llrs, thresholds, rates, seed)
    elif protocol is not None and ours is not None:
        hearing = _Hearing(ours, audio_root or protocol.parent, head, write_scores)
        measured = _of_detector(protocol, hearing, rates, seed, as_json)
    flagged = tuple(
        _of_genuine(path, ours, cohorts, seed, as_json) for path in genuine or [] if ours is not None
    )
    found = _Found(measured, flagged, check_spoof_gates(gates, measured, flagged))
    _show(found, as_json)
    _write(found, plots, html, report)
    return EXIT_REJECTED if any(result.failed for result in found.gates) else EXIT_DONE


def _require(protocol: Path | None, scores: Path | None, genuine: Sequence[Path], of_scores: bool) -> None:
    """Refuse options that do not belong together."""
    if protocol is None and not genuine:
        raise ConfigError(
            "option_invalid",
            "Found neither --protocol nor --genuine; expected one of them or both; give recordings to measure on.",
        )
    if (scores is not None and protocol is None) or (of_scores and scores is None):
        raise ConfigError(
            "option_invalid",
            "--scores are of the recordings of a --protocol, --llrs and --thresholds are of --scores; give both of "
            "each pair.",
        )


def _detector(folder: Path | None) -> Detector:
    from voxid.spoof.detector import SpoofDetector, default_detector

    return default_detector() if folder is None else SpoofDetector.load(folder)


def _of_scores(
    protocol: Path, scores: Path, llrs: bool, thresholds: str, verifier: VerifierRates, seed: int
) -> SpoofReport:
    from voxid.evaluate.spoof import evaluate_spoof_scores, with_thresholds
    from voxid.evaluate.spoof_protocol import read_protocol, read_spoof_scores

    trials = read_protocol(protocol)
    scored = read_spoof_scores(scores, trials, are_llrs=llrs)
    if thresholds:
        low, high = _numbers(thresholds, 2, "--thresholds")
        scored = with_thresholds(scored, (low, high))
    return evaluate_spoof_scores(trials, scored, verifier=verifier, seed=seed)


def _of_detector(
    protocol: Path, hearing: _Hearing, verifier: VerifierRates, seed: int, quiet: bool
) -> SpoofReport:
    from voxid.evaluate.spoof import evaluate_spoof_scores
    from voxid.evaluate.spoof_hearing import hear_trials
    from voxid.evaluate.spoof_protocol import read_protocol, write_spoof_scores

    trials = read_protocol(protocol)
    with progress("Hearing", quiet=quiet) as share:
        scored, notes = hear_trials(hearing.detector, trials, hearing.audio_root, hearing.head, share)
    if hearing.scores_out is not None:
        write_spoof_scores(trials, scored, hearing.scores_out)
        note(f"wrote {hearing.scores_out}")
    return evaluate_spoof_scores(trials, scored, verifier=verifier, notes=notes, seed=seed)


def _of_genuine(
    path: Path, detector: Detector, cohorts: Path | None, seed: int, quiet: bool
) -> GenuineReport:
    from voxid.evaluate.spoof_genuine import evaluate_genuine, read_genuine_set

    of = read_genuine_set(path)
    beside = of.root / "speakers.tsv"
    stated = cohorts or (beside if beside.is_file() else None)
    with progress(f"Hearing {of.name}", quiet=quiet) as share:
        return evaluate_genuine(detector, of, cohorts=stated, seed=seed, progress=share)


def _show(found: _Found, as_json: bool) -> None:
    """Print everything measured: as one JSON object, or as tables with broken gates in red."""
    from voxid.evaluate.spoof_tables import render_genuine, render_spoof

    if as_json:
        print_json(_record(found))
        return
    if found.report is not None:
        results().print(render_spoof(found.report))
    for of in found.genuine:
        results().print(render_genuine(of))
    for gate in found.gates:
        results().print(gate.sentence, markup=False, style="red" if gate.failed else "green")


def _record(found: _Found) -> dict[str, Any]:
    """Return the run as JSON: the protocol's report, with genuine sets and gates beside it."""
    record: dict[str, Any] = {"task": "spoof"} if found.report is None else found.report.to_dict()
    if found.genuine:
        record["genuine_sets"] = [of.to_dict() for of in found.genuine]
    if found.gates:
        record["gates"] = [gate.to_dict() for gate in found.gates]
    return record


def _write(found: _Found, plots: Path | None, html: Path | None, report: Path | None) -> None:
    """Write the files asked for."""
    if plots and found.report is not None:
        from voxid.evaluate.plots import plot_det
        from voxid.evaluate.spoof_report import detection_of

        errors = ("spoofs passed (APCER, pooled), %", "genuine stopped (BPCER), %")
        note(f"wrote {plot_det([detection_of(found.report)], plots / 'det.png', errors)}")
    if html:
        from voxid.evaluate.spoof_page import write_spoof_page

        write_spoof_page(found.report, html, found.genuine, found.gates)
        note(f"wrote {html}")
    if report:
        from voxid.evaluate.report import write_records

        write_records(_record(found), report)
        note(f"wrote {report}")


def _rates(text: str) -> VerifierRates:
    """Return the rates of the verifier, given in percent."""
    from voxid.evaluate.spoof_costs import VerifierRates

    frr, far, spoof_far = (value / 100.0 for value in _numbers(text, 3, "--verifier"))
    return VerifierRates(frr, far, spoof_far)


def _numbers(text: str, count: int, option: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count:
        raise ConfigError(
            "option_invalid",
            f"Found {option} {text!r}; expected {count} numbers with commas between; correct it.",
        )
    return values
