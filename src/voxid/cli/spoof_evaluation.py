"""``voxid evaluate spoof``: how well live human speech is told from speech that was made or played."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voxid.cli import options
from voxid.cli.lists import Report
from voxid.cli.output import EXIT_DONE, command, note, print_json, results
from voxid.errors import ConfigError

if TYPE_CHECKING:
    from voxid.evaluate.spoof_costs import VerifierRates

_Protocol = Annotated[
    Path,
    typer.Option(
        "--protocol",
        metavar="FILE",
        help="Table: path,label (genuine|spoof),generator,family,corpus,speaker.",
    ),
]
_Scores = Annotated[
    Path,
    typer.Option("--scores", metavar="FILE", help='Scores of a detector: "path score" lines, or CSV.'),
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
_Verifier = Annotated[
    str,
    typer.Option(
        "--verifier",
        metavar="FRR,FAR,SPOOFS",
        help="Rates in percent of the verifier that costs assume behind the detector.",
    ),
]
_Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the intervals' resampling.")]


@command
def spoof(
    protocol: _Protocol,
    scores: _Scores,
    llrs: _Llrs = False,
    thresholds: _Thresholds = "",
    verifier: _Verifier = "1,1,100",
    seed: _Seed = 0,
    report: Report = None,
    as_json: options.AsJson = False,
) -> int:
    """EER, APCER by generator, BPCER, costs and abstention of a detector of spoofed speech, with 95 % intervals.

    Examples:

        voxid evaluate spoof --protocol protocol.csv --scores scores.txt --json
    """
    from voxid.evaluate.report import write_json
    from voxid.evaluate.spoof import evaluate_spoof_scores, with_thresholds
    from voxid.evaluate.spoof_protocol import read_protocol, read_spoof_scores
    from voxid.evaluate.spoof_tables import render_spoof

    trials = read_protocol(protocol)
    scored = read_spoof_scores(scores, trials, are_llrs=llrs)
    if thresholds:
        low, high = _numbers(thresholds, 2, "--thresholds")
        scored = with_thresholds(scored, (low, high))
    measured = evaluate_spoof_scores(trials, scored, verifier=_rates(verifier), seed=seed)
    if as_json:
        print_json(measured.to_dict())
    else:
        results().print(render_spoof(measured))
    if report:
        write_json([measured], report)
        note(f"wrote {report}")
    return EXIT_DONE


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
