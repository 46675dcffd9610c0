"""What trials are divided by: what the user states of speakers or utterances, and what is measured of the audio.

Sex, age, language and the like come from a table the user gives and from nowhere else: voxid never guesses them from
a voice. Measured are only the seconds of speech, the SNR and the channel of the probe.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxid.errors import InputError
from voxid.evaluate.trials import TrialList
from voxid.evaluate.utterances import UtteranceFacts

__all__ = ["NOT_STATED", "Attribute", "attribute_names", "measured_attributes", "read_attributes"]

NOT_STATED: Final = "not stated"
ADULT_YEARS: Final = 18
SPEECH_EDGES_S: Final = (1.0, 2.0, 4.0, 8.0)
SNR_EDGES_DB: Final = (5.0, 10.0, 20.0, 30.0)
_MAX_TABLE_BYTES: Final = 64 << 20
_MAX_VALUES: Final = 500
_KEYS: Final = ("utterance", "speaker")


@dataclass(frozen=True, eq=False)
class Attribute:
    """One way to divide N trials.

    Attributes:
        name: e.g. ``"sex"``.
        stated: true when the user said so, false when it was measured.
        of_probe: true when a trial belongs to its probe's value alone (the probe's noise, say); false when it is
            of people, and an impostor trial counts where both people share the value.
        enrol, test: (N,) value of each side.
        order: the values, in the order to show them.
    """

    name: str
    stated: bool
    of_probe: bool
    enrol: NDArray[np.str_]
    test: NDArray[np.str_]
    order: tuple[str, ...]


def read_attributes(path: str | Path, trials: TrialList) -> list[Attribute]:
    """Return the attributes of a table, one per column beside its first.

    The table has a header line and tabs or commas between its fields. The first column is ``speaker`` (a folder or
    file name, without ending, in the paths of the list) or ``utterance`` (a path as in the list). A column ``age`` of
    numbers becomes under 18 / 18 and over; empty fields are "not stated".

    Args:
        path: the table.
        trials: the list its rows belong to.

    Raises:
        InputError: ``cohorts_missing`` without the file, ``cohorts_invalid`` with the line number,
            ``cohorts_unmatched`` when no row belongs to any trial.
    """
    source = Path(path)
    key, names, rows = _read_table(source)
    if key == "speaker":
        row_of = {path: next((p for p in _parts(path) if p in rows), None) for path in trials.utterances}
    else:
        row_of = {path: path if path in rows else None for path in trials.utterances}
    if not any(row_of.values()):
        first = next(iter(rows))
        raise InputError(
            "cohorts_unmatched",
            f"None of the {len(rows)} rows of {source} (first {key}: {first!r}) belongs to an utterance of "
            f"{trials.name} (first: {trials.utterances[0]}); expected a folder or file name for `speaker`, a path as "
            "in the list for `utterance`.",
        )
    found = []
    for at, name in enumerate(names):
        values = {path: rows[row][at] if row is not None else "" for path, row in row_of.items()}
        found.append(
            _attribute(name, _grouped(name, values), trials, stated=True, of_probe=key == "utterance")
        )
    return found


def attribute_names(path: str | Path) -> tuple[str, ...]:
    """Return the names of a table's attributes, without asking what list it belongs to.

    Raises:
        InputError: ``cohorts_missing``, ``cohorts_invalid``.
    """
    return tuple(_read_table(Path(path))[1])


def measured_attributes(trials: TrialList, facts: Mapping[str, UtteranceFacts]) -> list[Attribute]:
    """Return seconds of speech, SNR and channel of the probes.

    Args:
        trials: the list.
        facts: probe path -> what was measured of it.
    """
    measures: tuple[tuple[str, Callable[[UtteranceFacts], str], tuple[str, ...]], ...] = (
        (
            "seconds of speech",
            lambda of: _bucket(of.quality.net_speech_s, SPEECH_EDGES_S, "s"),
            _bucket_names(SPEECH_EDGES_S, "s"),
        ),
        ("SNR", lambda of: _bucket(of.quality.snr_db, SNR_EDGES_DB, "dB"), _bucket_names(SNR_EDGES_DB, "dB")),
        ("channel", _channel, ()),
    )
    found = []
    for name, measure, order in measures:
        values = {path: measure(facts[path]) for path in set(trials.test)}
        found.append(_attribute(name, values, trials, stated=False, of_probe=True, order=order))
    return found


def _attribute(
    name: str,
    values: Mapping[str, str],
    trials: TrialList,
    *,
    stated: bool,
    of_probe: bool,
    order: Sequence[str] = (),
) -> Attribute:
    test = np.asarray([values[path] for path in trials.test])
    enrol = test if of_probe else np.asarray([values[trials.enrolment[name][0]] for name in trials.enrol])
    present = set(test.tolist()) | set(enrol.tolist())
    shown = [value for value in order if value in present]
    shown += sorted(present - set(shown) - {NOT_STATED}) + [NOT_STATED] * (NOT_STATED in present)
    return Attribute(name, stated, of_probe, enrol, test, tuple(shown))


def _grouped(name: str, values: Mapping[str, str]) -> dict[str, str]:
    """Return the values as cohorts: ages in years by majority, empty fields "not stated"."""
    if name.lower() == "age" and all(value.isdecimal() for value in values.values() if value):
        grown = {False: f"under {ADULT_YEARS}", True: f"{ADULT_YEARS} and over"}
        return {path: grown[int(v) >= ADULT_YEARS] if v else NOT_STATED for path, v in values.items()}
    return {path: value or NOT_STATED for path, value in values.items()}


def _read_table(source: Path) -> tuple[str, list[str], dict[str, list[str]]]:
    """Return the key column's name, the other columns' names, and key -> fields."""
    if not source.is_file():
        raise InputError(
            "cohorts_missing", f"There is no file {source}; expected a table of speakers; check the path."
        )
    if source.stat().st_size > _MAX_TABLE_BYTES:
        raise _invalid(source, 1, f"{source.stat().st_size} bytes", f"at most {_MAX_TABLE_BYTES}")
    try:
        text = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise _invalid(source, 1, "bytes that are not UTF-8 text", "a table") from None
    lines = text.splitlines()
    head = lines[0] if lines else ""
    table = csv.reader(lines, delimiter="\t" if "\t" in head else ",")
    key, *names = next(table, [""])
    if key not in _KEYS or not names or len(set(names)) < len(names) or not all(names):
        raise _invalid(
            source, 1, f"the columns {head[:80]!r}", "`speaker` or `utterance`, then one name per attribute"
        )
    rows: dict[str, list[str]] = {}
    for number, fields in enumerate(table, 2):
        if not fields:
            continue
        if len(fields) != 1 + len(names):
            raise _invalid(source, number, f"{len(fields)} fields", f"{1 + len(names)}, as in the first line")
        if fields[0] in rows:
            raise _invalid(source, number, f"{key} {fields[0]!r} a second time", f"one line per {key}")
        rows[fields[0]] = [field.strip() for field in fields[1:]]
    if not rows:
        raise _invalid(source, 2, "the end of the table", f"a line per {key}")
    for at, name in enumerate(names):
        distinct = {fields[at] for fields in rows.values()}
        if len(distinct) > _MAX_VALUES:
            raise _invalid(
                source, 1, f"{len(distinct)} values of {name!r}", f"at most {_MAX_VALUES} groups of people"
            )
    return key, names, rows


def _parts(path: str) -> list[str]:
    """Return the folder names in a path, nearest first, then the file's name without its ending."""
    pure = PurePosixPath(path)
    return [*reversed(pure.parts[:-1]), pure.stem]


def _bucket(value: float | None, edges: Sequence[float], unit: str) -> str:
    if value is None:
        return "not measured"
    return _bucket_names(edges, unit)[int(np.searchsorted(edges, value, side="right"))]


def _bucket_names(edges: Sequence[float], unit: str) -> tuple[str, ...]:
    between = [f"{low:g} to {high:g} {unit}" for low, high in itertools.pairwise(edges)]
    return (f"under {edges[0]:g} {unit}", *between, f"{edges[-1]:g} {unit} and more")


def _channel(facts: UtteranceFacts) -> str:
    if facts.telephone_band:
        return "telephone band"
    return f"wide band, {facts.source_rate_hz / 1000:g} kHz"


def _invalid(source: Path, number: int, found: str, expected: str) -> InputError:
    return InputError(
        "cohorts_invalid",
        f"{source} line {number}: found {found}; expected {expected}; correct the table.",
    )
