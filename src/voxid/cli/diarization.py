"""``voxid evaluate diarization``: answers scored, or voxid itself and its parts measured on recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voxid.cli import options
from voxid.cli.lists import Report, finish
from voxid.cli.output import EXIT_DONE, EXIT_REJECTED, command, note, print_json, progress, results
from voxid.errors import ConfigError

if TYPE_CHECKING:
    from voxid.evaluate.diarization_study import DiarizationPlan, DiarizationStudy
    from voxid.evaluate.gates import GateResult

_Reference = Annotated[
    Path, typer.Option("--reference", metavar="PATH", help="The truth: an RTTM file, or a folder of them.")
]
_Hypothesis = Annotated[
    Path | None,
    typer.Option("--hypothesis", metavar="PATH", help="Answers to score: an RTTM file, or a folder of them."),
]
_Audio = Annotated[
    Path | None,
    typer.Option(
        "--audio", metavar="FOLDER", help="Measure voxid itself: recordings named as in the reference."
    ),
]
_Uem = Annotated[
    Path | None,
    typer.Option(
        "--uem", metavar="PATH", help="What to score; without it *.uem beside the references, or all."
    ),
]
_People = Annotated[
    Path | None,
    typer.Option(
        "--people",
        metavar="FOLDER",
        help="Measure names too: FOLDER/NAME/* enrolls NAME, as the reference says it.",
    ),
]
_Strangers = Annotated[
    float,
    typer.Option(
        "--strangers",
        metavar="SHARE",
        min=0.0,
        max=0.99,
        help="Of these people, leave so many out as strangers.",
    ),
]
_Systems = Annotated[
    str,
    typer.Option(
        "--systems",
        metavar="LIST",
        help="Rows, the first being ours: network, vad, chunks, oracle-vad, oracle-count, oracle-segmentation, "
        "no-overlap-mask, ahc, vbx, no-merge; commas between. All, unless given.",
    ),
]
_SegmenterFolder = Annotated[
    Path | None,
    typer.Option(
        "--segmenter", metavar="FOLDER", help="Another local segmentation model, also one of EEND-EDA."
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
        help="End with exit code 1 when this holds: 'der>15', 'count_exact<80', 'vad:der@collar_025_overlap>20', "
        "'strangers_named>1', 'seconds_per_hour>60'; repeat it.",
    ),
]


@command
def diarization(
    reference: _Reference,
    hypothesis: _Hypothesis = None,
    audio: _Audio = None,
    uem: _Uem = None,
    people: _People = None,
    strangers: _Strangers = 0.25,
    systems: _Systems = "",
    segmenter: _SegmenterFolder = None,
    html: _Html = None,
    fail_if: _FailIf = None,
    bundle: options.BundlePath = None,
    report: Report = None,
    as_json: options.AsJson = False,
) -> int:
    """DER in three protocols, never mixed, with its parts, JER and the speaker count.

    With --hypothesis, of given answers. With --audio, of voxid on recordings, beside its first pipeline, beside itself
    with parts known (true speech, number of speakers, local activity) or left out, with the seconds an hour takes, and
    with --people how much speech carries the right name.

    Examples:

        voxid evaluate diarization --reference truth --hypothesis found --json

        voxid evaluate diarization --reference meetings --audio meetings --people people --html meetings.html
    """
    if hypothesis is not None and audio is None:
        if people or systems or segmenter or html or fail_if:
            raise ConfigError(
                "option_invalid",
                "--people, --systems, --segmenter, --html and --fail-if are of a run with --audio; leave them out, or "
                "give it.",
            )
        _score(reference, hypothesis, uem, report, as_json)
        return EXIT_DONE
    if audio is None or hypothesis is not None:
        raise ConfigError(
            "option_invalid",
            f"Found {'both' if audio else 'neither'} of --hypothesis and --audio; expected one: answers to score, or "
            "recordings to measure voxid on.",
        )
    from voxid.evaluate.diarization import read_references
    from voxid.evaluate.diarization_study import DiarizationPlan, evaluate_systems, find_recordings
    from voxid.evaluate.systems import choose_systems
    from voxid.evaluate.turn_gates import check_turn_gates, parse_turn_gates

    plan = DiarizationPlan(choose_systems(systems), people, strangers)
    if segmenter is not None:
        plan = _with_segmenter(plan, segmenter)
    gates = parse_turn_gates(fail_if or [], [system.name for system in plan.systems], people is not None)
    references, regions = read_references(reference, uem)
    recordings = find_recordings(audio, sorted(references))
    model = options.choose_bundle(bundle)
    with progress("Measuring diarization", quiet=as_json) as share:
        study = evaluate_systems(
            reference.name, recordings, references, regions, plan, bundle=model, progress=share
        )
    checked = check_turn_gates(gates, study)
    _show(study, checked, as_json)
    _write(study, checked, html, report)
    return EXIT_REJECTED if any(result.failed for result in checked) else EXIT_DONE


def _with_segmenter(plan: DiarizationPlan, folder: Path) -> DiarizationPlan:
    """Return the plan with another model to hear who is active in each chunk."""
    from voxid.diarize.segmentation import Segmenter

    model = Segmenter.load(folder)
    return replace(
        plan, segment=lambda waveform: model.segment(waveform.samples), facts={"Segmentation": model.id}
    )


def _score(reference: Path, hypothesis: Path, uem: Path | None, report: Path | None, as_json: bool) -> None:
    """Score given answers."""
    from voxid.evaluate import evaluate_diarization_set, read_diarization_folder

    references, hypotheses, regions = read_diarization_folder(reference, hypothesis, uem)
    with progress("Scoring recordings", quiet=as_json) as share:
        measured = evaluate_diarization_set(references, hypotheses, regions, progress=share)
    finish([measured], None, report, as_json)


def _show(study: DiarizationStudy, gates: Sequence[GateResult], as_json: bool) -> None:
    """Print the study and the gates: as one JSON object, or as a table with broken gates in red."""
    from voxid.evaluate.diarization_tables import render_systems

    if as_json:
        print_json(study.to_dict() | ({"gates": [gate.to_dict() for gate in gates]} if gates else {}))
        return
    results().print(render_systems(study))
    for gate in gates:
        results().print(gate.sentence, markup=False, style="red" if gate.failed else "green")


def _write(
    study: DiarizationStudy, gates: Sequence[GateResult], html: Path | None, report: Path | None
) -> None:
    """Write the files asked for."""
    if html:
        from voxid.evaluate.diarization_page import write_systems_page

        write_systems_page(study, html, gates)
        note(f"wrote {html}")
    if report:
        from voxid.evaluate.report import write_json

        write_json([study], report)
        note(f"wrote {report}")
