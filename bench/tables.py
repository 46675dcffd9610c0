"""The records of ``bench/verification.py`` as Markdown tables, for README, model cards and documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Record = dict[str, Any]

MEASURES = (
    ("eer", "EER %", 100.0),
    ("min_dcf_p01", "minDCF", 1.0),
    ("cllr", "Cllr", 1.0),
    ("min_cllr", "min Cllr", 1.0),
)


def verification_records(records: Iterable[Record]) -> list[Record]:
    """Return the records of verification."""
    return [record for record in records if record["task"] == "verification"]


def set_of(record: Record) -> str:
    """Return the name of the set a list belongs to."""
    return str(record["trial_list"]).split("/")[0]


def system_of(record: Record) -> str:
    """Return the name of a system without its hash."""
    return str(record["model"]).split("@")[0]


def number(estimate: Record | None, scale: float) -> str:
    """Return a value; a dash where the system does not give it."""
    if estimate is None:
        return "–"
    return f"{scale * estimate['value']:.2f}" if scale == 100.0 else f"{estimate['value']:.3f}"


def interval(estimate: Record | None, scale: float = 100.0) -> str:
    """Return a value with its interval."""
    if estimate is None or estimate["low"] is None:
        return number(estimate, scale)
    digits = 2 if scale == 100.0 else 3
    return f"{number(estimate, scale)} [{scale * estimate['low']:.{digits}f}, {scale * estimate['high']:.{digits}f}]"


def conditions_table(records: Sequence[Record]) -> list[str]:
    """Return the lines of one set's table: a row per enrolment, condition and system."""
    lines = [
        "| enrolled with | probes | system | "
        + " | ".join(title for _, title, _ in MEASURES)
        + " | 95 % interval of EER | trials (targets) |",
        "|--:|---|---|" + "--:|" * len(MEASURES) + "---|--:|",
    ]
    for record in records:
        cells = [number(record[name], scale) for name, _, scale in MEASURES]
        eer = record["eer"]
        span = "–" if eer["low"] is None else f"{100 * eer['low']:.2f} to {100 * eer['high']:.2f}"
        lines.append(
            f"| {record['enrolment_utterances'][1]} | {record['title']} | {system_of(record)} | {' | '.join(cells)} "
            f"| {span} | {record['trials']:,} ({record['targets']:,}) |"
        )
    return lines


def conditions_page(records: Iterable[Record]) -> str:
    """Return every set's table under its name."""
    found = verification_records(records)
    models = ", ".join(f"`{model}`" for model in dict.fromkeys(record["model"] for record in found))
    lines = [
        "# Verification under every condition",
        "",
        f"Systems: {models}. All heard the same files. Written by `bench/verification.py`.",
        "",
    ]
    for name in dict.fromkeys(set_of(record) for record in found):
        lines += [f"## {name}", "", *conditions_table([r for r in found if set_of(r) == name]), ""]
    return "\n".join(lines)
