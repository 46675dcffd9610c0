"""What a detector of spoofed speech is measured on: a protocol, and scores of it, from text files.

A protocol is a table with a header: ``path,label`` and, as far as known, ``generator,family,corpus,speaker``; other
columns are passed over. A **species** is one generator (ISO/IEC 30107-3: presentation attack instrument species), a
**family** a kind of generator.

Leave-one-family-out: a genuine row with a family is compared only with spoofs of that family, as scored by the model
that never heard the family; a genuine row without one is compared with every family.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxid.errors import InputError

__all__ = [
    "OUTCOMES",
    "SpoofScores",
    "SpoofTrials",
    "read_protocol",
    "read_spoof_scores",
    "write_spoof_scores",
]

OUTCOMES: Final = ("genuine", "suspicious", "spoof", "cannot_tell")
_GENUINE: Final = ("genuine", "bonafide", "bona-fide")
_COLUMNS: Final = ("generator", "family", "corpus", "speaker")
_MAX_BYTES: Final = 256 << 20
_UNNAMED: Final = "unnamed"


@dataclass(frozen=True, eq=False)
class SpoofTrials:
    """N recordings, each genuine or made.

    Attributes:
        name: of the protocol, for reports.
        paths: as in the protocol.
        is_genuine: (N,) true for live human speech.
        generator: what made each; empty for genuine ones.
        family: kind of generator; of a genuine one: whose left-out family it stands against, or empty.
        corpus: where each is from; "" where nothing is said.
        speaker: who speaks; "" where nothing is said.
    """

    name: str
    paths: tuple[str, ...]
    is_genuine: NDArray[np.bool_]
    generator: tuple[str, ...]
    family: tuple[str, ...]
    corpus: tuple[str, ...]
    speaker: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def units(self) -> NDArray[np.int64]:
        """What is resampled for intervals, (N,): generators of spoofs; of genuine speech speakers, else recordings."""
        names = [
            ("genuine", self.speaker[n] or self.paths[n])
            if self.is_genuine[n]
            else ("spoof", self.generator[n])
            for n in range(len(self))
        ]
        numbers: dict[tuple[str, str], int] = {}
        return np.asarray([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class SpoofScores:
    """What a detector said of N recordings.

    Attributes:
        model_id: of the detector.
        scores: (N,) higher speaks for genuine; NaN where nothing could be measured.
        are_llrs: whether they are natural-log LLRs.
        outcomes: (N,) of ``OUTCOMES``, or None where the detector gives no verdicts.
        distance: (N,) domain distance over its limit (above 1: outside what was trained), NaN where unknown.
        thresholds: below the first LLR: spoof; at or above the second: genuine; None where there are none.
    """

    model_id: str
    scores: NDArray[np.float64]
    are_llrs: bool = False
    outcomes: tuple[str, ...] | None = None
    distance: NDArray[np.float64] | None = None
    thresholds: tuple[float, float] | None = None


def read_protocol(path: str | Path) -> SpoofTrials:
    """Return the recordings of a protocol.

    Raises:
        InputError: ``protocol_missing``, ``protocol_invalid`` with the line number.

    Example:
        >>> import tempfile, pathlib
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "protocol.csv"
        >>> _ = file.write_text("path,label,generator\\na.wav,genuine,\\nb.wav,spoof,WORLD\\n")
        >>> trials = read_protocol(file)
        >>> len(trials), trials.generator
        (2, ('', 'WORLD'))
    """
    source = Path(path)
    rows = _rows(source, "protocol")
    head = next(rows, (1, []))[1]
    if not {"path", "label"} <= set(head) or len(set(head)) < len(head):
        raise _invalid(
            source,
            1,
            f"the columns {','.join(head)[:80]!r}",
            "path and label among them, each once",
            "protocol",
        )
    place: dict[str, int] = {name: head.index(name) for name in ("path", "label", *_COLUMNS) if name in head}
    kept: list[dict[str, str]] = []
    genuine: list[bool] = []
    seen: set[tuple[str, str]] = set()
    for number, fields in rows:
        if len(fields) != len(head):
            raise _invalid(
                source, number, f"{len(fields)} fields", f"{len(head)}, as in the first line", "protocol"
            )
        row: dict[str, str] = {name: fields[at].strip() for name, at in place.items()}
        if not row["path"] or row["label"] not in (*_GENUINE, "spoof"):
            raise _invalid(
                source, number, f"{row['path'][:80]!r} labelled {row['label'][:40]!r}", "a path, and genuine or spoof",
                "protocol",
            )  # fmt: skip
        key = row["path"], row.get("family", "")
        if key in seen:
            raise _invalid(
                source, number, f"{row['path']} a second time", "one line per recording", "protocol"
            )
        seen.add(key)
        is_genuine = row["label"] != "spoof"
        row["generator"] = "" if is_genuine else row.get("generator") or _UNNAMED
        kept.append(row)
        genuine.append(is_genuine)
    if not kept:
        raise _invalid(source, 2, "the end of the table", "a line per recording", "protocol")
    columns = {name: tuple(row.get(name, "") for row in kept) for name in ("path", *_COLUMNS)}
    return SpoofTrials(
        str(Path(source.parent.name, source.name)), columns["path"], np.asarray(genuine), columns["generator"],
        columns["family"], columns["corpus"], columns["speaker"],
    )  # fmt: skip


def read_spoof_scores(path: str | Path, trials: SpoofTrials, *, are_llrs: bool = False) -> SpoofScores:
    """Return the scores of a file in the order of ``trials``.

    The file has lines ``path score``, or a header: ``path,score`` and, as far as known, ``family`` (which left-out
    model gave the score) and ``outcome`` (one of ``OUTCOMES``; the score may then be empty). Paths that are not of the
    protocol are passed over.

    Args:
        path: the file.
        trials: whose scores.
        are_llrs: whether the scores are calibrated.

    Raises:
        InputError: ``protocol_missing`` without the file, ``scores_invalid`` with the line number, ``scores_missing``
            when a recording has no line.
    """
    source = Path(path)
    found: dict[tuple[str, str | None], tuple[float, str]] = {}
    for number, row in _score_rows(source):
        text, outcome = row["score"].strip(), row.get("outcome", "").strip()
        if outcome and outcome not in OUTCOMES:
            raise _invalid(
                source, number, f"outcome {outcome[:40]!r}", f"one of {', '.join(OUTCOMES)}", "scores"
            )
        found[row["path"].strip(), row.get("family")] = (_score(source, number, text, outcome), outcome)
    lines = [
        found.get((path, family)) or found.get((path, None)) or found.get((path, ""))
        for path, family in zip(trials.paths, trials.family, strict=True)
    ]
    missing = [path for path, line in zip(trials.paths, lines, strict=True) if line is None]
    if missing:
        raise InputError(
            "scores_missing",
            f"{source} lacks {len(missing)} of {len(trials)} recordings, first {missing[0]}; expected a score for each "
            "path as it stands in the protocol; score them all.",
        )
    known = [line for line in lines if line is not None]
    outcomes = tuple(outcome for _, outcome in known)
    return SpoofScores(
        source.stem, np.asarray([score for score, _ in known]), are_llrs, outcomes if all(outcomes) else None
    )


def write_spoof_scores(trials: SpoofTrials, scored: SpoofScores, path: str | Path) -> None:
    """Write scores as ``read_spoof_scores`` reads them: path, score, family, and the outcome where there is one.

    Files of several models, one for each family left out, can be put together.

    Raises:
        InputError: ``output_unwritable``.
    """
    names = ["path", "score", "family", *(["outcome"] if scored.outcomes is not None else [])]
    try:
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(names)
            for at, (name, score) in enumerate(zip(trials.paths, scored.scores.tolist(), strict=True)):
                outcome = [] if scored.outcomes is None else [scored.outcomes[at]]
                table.writerow([name, "" if np.isnan(score) else repr(score), trials.family[at], *outcome])
    except OSError as error:
        raise InputError(
            "output_unwritable",
            f"Cannot write the scores {path} ({error}); expected a writable place; give another path.",
        ) from error


def _score(source: Path, number: int, text: str, outcome: str) -> float:
    """Return a score; NaN for an empty one whose outcome says why."""
    if not text and outcome == "cannot_tell":
        return float("nan")
    try:
        score = float(text)
    except ValueError:
        score = float("nan")
    if not np.isfinite(score):
        raise _invalid(source, number, f"score {text[:40]!r}", "a finite number", "scores")
    return score


def _score_rows(source: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, columns) of a score file with or without a header."""
    rows = _rows(source, "scores")
    number, head = next(rows, (1, []))
    if head and head[0] == "path":
        if "score" not in head or len(set(head)) < len(head):
            raise _invalid(
                source, number, f"the columns {','.join(head)[:80]!r}", "path and score, each once", "scores"
            )
        for number, fields in rows:
            if len(fields) != len(head):
                raise _invalid(
                    source, number, f"{len(fields)} fields", f"{len(head)}, as in the first line", "scores"
                )
            yield number, dict(zip(head, fields, strict=True))
        return
    for number, line in enumerate(_lines(source, "scores"), 1):
        if not line.strip():
            continue
        fields = line.replace(",", " ").rsplit(None, 1) if line.count(",") == 1 else line.rsplit(None, 1)
        if len(fields) != 2:
            raise _invalid(source, number, repr(line[:80]), "a path and a score", "scores")
        yield number, {"path": fields[0], "score": fields[1]}


def _rows(source: Path, kind: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of a table with tabs or commas, blank lines left out."""
    lines = _lines(source, kind)
    table = csv.reader(lines, delimiter="\t" if lines and "\t" in lines[0] else ",")
    for fields in table:
        if fields:
            yield table.line_num, fields


def _lines(source: Path, kind: str) -> Sequence[str]:
    if not source.is_file():
        raise InputError(
            "protocol_missing",
            f"There is no file {source}; expected a table with a path a line; check the path.",
        )
    if source.stat().st_size > _MAX_BYTES:
        raise _invalid(source, 1, f"{source.stat().st_size} bytes", f"at most {_MAX_BYTES}", kind)
    try:
        return source.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise _invalid(source, 1, "bytes that are not UTF-8 text", "a table", kind) from None


def _invalid(source: Path, number: int, found: str, expected: str, kind: str) -> InputError:
    return InputError(
        f"{kind}_invalid", f"{source} line {number}: found {found}; expected {expected}; correct that line."
    )
