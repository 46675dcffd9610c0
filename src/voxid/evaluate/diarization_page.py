"""A study of diarization as one HTML file, in the manner of the page of verification."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from voxid.errors import InputError
from voxid.evaluate.bootstrap import CONFIDENCE
from voxid.evaluate.der import PROTOCOLS
from voxid.evaluate.diarization_study import DiarizationStudy
from voxid.evaluate.diarization_tables import parts_table, recordings_table, systems_table
from voxid.evaluate.figures import Mark, draw_intervals
from voxid.evaluate.findings import percent
from voxid.evaluate.gates import GateResult
from voxid.evaluate.page import draw_gates, draw_sections

__all__ = ["draw_systems_page", "write_systems_page"]

_METHOD: Final = (
    "DER: missed speech, false alarms and speech given to the wrong speaker, over the reference speech, overlap "
    "counted once per speaker. Speakers are matched one to one, at best. The three protocols measure different things: "
    "compare a DER only with one of its own protocol.",
    "JER: for each reference speaker the share of the union of both voices that is not common; the mean over speakers.",
    "A number of speakers is right when exactly as many speak within the scored time.",
    "Names: people are enrolled from recordings the conversations do not use; a part of them is left out, so that the "
    "gallery meets strangers. Right: speech of enrolled people that carries their name. Wrong: what carries only the "
    "name of somebody who is silent then. Strangers named: speech of the others that carries such a name.",
    "Rows with something true or given show what that part costs; nobody could use them.",
    "Intervals resample recordings.",
)


def write_systems_page(study: DiarizationStudy, path: str | Path, gates: Sequence[GateResult] = ()) -> None:
    """Write ``draw_systems_page`` to a file.

    Raises:
        InputError: ``output_unwritable``.
    """
    try:
        Path(path).write_text(draw_systems_page(study, gates), encoding="utf-8")
    except OSError as error:
        raise InputError(
            "output_unwritable",
            f"Cannot write the page {path} ({error}); expected a writable place; give another path.",
        ) from error


def draw_systems_page(study: DiarizationStudy, gates: Sequence[GateResult] = ()) -> str:
    """Return the page; it holds everything it shows, runs no script, and may load and send nothing."""
    ours = study.results[0]
    first = PROTOCOLS[0]
    count = len(ours.report.recordings)
    marks = [Mark(row.system.title, row.report.der[first.name]) for row in study.results]
    figure = draw_intervals(marks, f"DER, {first.title}, %", ours.report.der[first.name].value)
    sections = [
        _cards(study),
        draw_gates(gates),
        "<h2>Systems</h2>",
        systems_table(study),
        f"<figure>{figure}<figcaption>Bars are 95 % intervals; the dotted line is {escape(ours.system.title)}."
        "</figcaption></figure>",
        parts_table(study),
        "<h2>Recordings</h2>",
        recordings_table(ours),
        _facts(study),
        _list("How it was measured", (*_METHOD, *study.notes)),
    ]
    subtitle = (
        f"{count} recordings, {study.hours:.2f} hours. Every rate carries its {100 * CONFIDENCE:g} % interval over "
        "recordings."
    )
    return draw_sections(
        f"Diarization of {study.name}", subtitle, sections, study.facts.get("Measured", "an unknown day")
    )


def _cards(study: DiarizationStudy) -> str:
    row = study.results[0]
    cards = [(f"DER, {PROTOCOLS[0].title}", percent(row.report.der[PROTOCOLS[0].name]), row.system.title)]
    cards.append(("Number of speakers right", percent(row.report.count_exact), "share of recordings"))
    if "named" in row.names:
        cards.append(
            ("Speech with the right name", percent(row.names["named"]), f"{study.enrolled} people enrolled")
        )
    if row.seconds_per_hour is not None:
        cards.append(("Seconds per hour", f"{row.seconds_per_hour:.0f}", "hearing and drawing together"))
    items = "".join(
        f"<li><span>{escape(name)}</span><b>{escape(value.split(' [')[0])}</b>"
        f"<i>{escape('[' + value.split(' [')[1]) if ' [' in value else ''}</i><span>{escape(rest)}</span></li>"
        for name, value, rest in cards
    )
    return f'<ul class="cards">{items}</ul>'


def _facts(study: DiarizationStudy) -> str:
    facts = dict(study.facts)
    if study.enrolled is not None:
        facts["People enrolled"] = str(study.enrolled)
    lines = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in facts.items()
    )
    table = f'<div class="wide"><table class="facts"><tbody>{lines}</tbody></table></div>'
    return f"<h2>What the numbers rest on</h2>{table}"


def _list(title: str, sentences: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<h2>{title}</h2><ul class="plain">{items}</ul>'
