"""Trial lists and score files: which enrolment is compared with which test utterance.

Two layouts are read, told apart by the first line:

    label enrol test                  VoxCeleb: 1 or 0, then two audio paths
    model test target|nontarget      kaldi: needs an enrolment map, ``model utterance [utterance ...]``

Everything wrong in such a file is named with its line number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from voxid.errors import InputError

MAX_TRIALS = 20_000_000
"""Longest list accepted; VoxCeleb1-H has 0.6 million trials."""

MAX_LINE_BYTES = 65_536
"""Longest line accepted, so that a binary file is refused before it fills the memory."""

_VOXCELEB_LABELS = {"1": True, "0": False}
_KALDI_LABELS = {"target": True, "nontarget": False}


@dataclass(frozen=True)
class TrialList:
    """Trials in file order, with the utterances behind every enrolment side.

    Attributes:
        enrol: (N,) name of the enrolment side: a model, or an utterance path.
        test: (N,) utterance path of the test side.
        is_target: (N,) true where both sides are the same speaker.
        enrolment: name of the enrolment side -> its utterance paths (itself, for a plain utterance).
        name: where the trials came from, for reports.
        known_speakers: who speaks on each side, where that is known from elsewhere; None works it out.
    """

    enrol: tuple[str, ...]
    test: tuple[str, ...]
    is_target: NDArray[np.bool_]
    enrolment: Mapping[str, tuple[str, ...]]
    name: str = "trials"
    known_speakers: SpeakerSides | None = None

    def __len__(self) -> int:
        return len(self.enrol)

    @property
    def targets(self) -> int:
        """Number of target trials."""
        return int(np.sum(self.is_target))

    @property
    def nontargets(self) -> int:
        """Number of non-target trials."""
        return len(self) - self.targets

    @cached_property
    def utterances(self) -> tuple[str, ...]:
        """Every utterance path needed, sorted, each once."""
        enrolled = {path for name in set(self.enrol) for path in self.enrolment[name]}
        return tuple(sorted(enrolled | set(self.test)))

    @property
    def enrolment_sizes(self) -> tuple[int, int]:
        """Fewest and most utterances behind an enrolment side."""
        sizes = [len(self.enrolment[name]) for name in set(self.enrol)]
        return min(sizes), max(sizes)

    @cached_property
    def speakers(self) -> SpeakerSides:
        """The speaker of each side of each trial, worked out from the list itself unless known."""
        return self.known_speakers or _speakers_of(self)

    def with_files(self, probe: Mapping[str, str], enrolled: Mapping[str, str] | None = None) -> TrialList:
        """Return the trials with other files in place of utterances, without those that have none.

        Speakers stay who they were, however the files are called.

        Args:
            probe: utterance path of the test side -> file in its place; a path that is not there loses its trials.
            enrolled: the same for the utterances of the enrolment side; None leaves them as they are.

        Raises:
            InputError: ``trials_left_out`` when nothing is left.
        """
        models = {name: self.enrolment[name] for name in set(self.enrol)}
        if enrolled is not None:
            whole = {name for name, paths in models.items() if all(path in enrolled for path in paths)}
            models = {name: tuple(enrolled[path] for path in models[name]) for name in whole}
        kept = [at for at, test in enumerate(self.test) if test in probe and self.enrol[at] in models]
        if not kept:
            raise InputError(
                "trials_left_out",
                f"No trial of {self.name} is left: no utterance has what was asked of it (so many seconds of speech, "
                "say); ask for less.",
            )
        of = self.speakers.of
        people = {path: of[name] for name, paths in models.items() for path in paths}
        people |= {name: of[name] for name in models} | {
            probe[self.test[at]]: of[self.test[at]] for at in kept
        }
        present = sorted(
            {people[self.enrol[at]] for at in kept} | {people[probe[self.test[at]]] for at in kept}
        )
        number = {speaker: at for at, speaker in enumerate(present)}
        numbers = {name: number[speaker] for name, speaker in people.items() if speaker in number}
        names, tests = [self.enrol[at] for at in kept], [probe[self.test[at]] for at in kept]
        is_target = self.is_target[kept]
        first = np.asarray([numbers[name] for name in names], dtype=np.int64)
        second = np.asarray([numbers[test] for test in tests], dtype=np.int64)
        wrong = int(np.sum((first == second) & ~is_target))
        sides = SpeakerSides(first, second, len(present), numbers, wrong)
        return TrialList(tuple(names), tuple(tests), is_target, models, self.name, sides)


@dataclass(frozen=True)
class SpeakerSides:
    """Speaker indices of both sides of N trials.

    Attributes:
        enrol: (N,) index of the speaker enrolled, in [0, count).
        test: (N,) index of the speaker tested.
        count: number of distinct speakers S.
        of: utterance path or model name -> speaker index.
        contradictions: non-target trials whose two sides the target trials say are one speaker.
    """

    enrol: NDArray[np.int64]
    test: NDArray[np.int64]
    count: int
    of: Mapping[str, int]
    contradictions: int


def read_trials(path: str | Path, enrol: str | Path | None = None) -> TrialList:
    """Return the trials of a VoxCeleb or kaldi list.

    Args:
        path: the list; blank lines and lines starting with ``#`` are skipped.
        enrol: enrolment map (``model utterance ...``); needed by a kaldi list. Given with a VoxCeleb
            list, it maps names of the enrolment column and leaves other names to be utterances.

    Raises:
        InputError: ``trials_missing`` when a file does not exist, ``trials_invalid`` with the line
            number for anything else wrong in it.

    Example:
        >>> import tempfile, pathlib
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "trials.txt"
        >>> _ = file.write_text("1 a/1.wav a/2.wav\\n0 a/1.wav b/1.wav\\n")
        >>> trials = read_trials(file)
        >>> len(trials), trials.targets, trials.utterances
        (2, 1, ('a/1.wav', 'a/2.wav', 'b/1.wav'))
    """
    source = Path(path)
    enrolment = {} if enrol is None else read_enrolment(enrol)
    enrols: list[str] = []
    tests: list[str] = []
    labels: list[bool] = []
    layout: str | None = None
    seen: dict[tuple[str, str], tuple[int, bool]] = {}
    for number, fields in _fields_of_lines(source):
        layout = layout or _layout(source, number, fields)
        name, test, label = _trial(source, number, fields, layout)
        if layout == "kaldi" and name not in enrolment:
            raise _wrong_model(source, number, name, enrol)
        number_before, label_before = seen.setdefault((name, test), (number, label))
        if label_before != label:
            raise _invalid(
                source,
                number,
                f"{name} {test} is labelled otherwise on line {number_before}",
                "one label per pair",
            )
        enrols.append(name)
        tests.append(test)
        labels.append(label)
    if not enrols:
        raise InputError(
            "trials_invalid", f"{source} has no trials; expected one per line; give a trial list."
        )
    for name in enrols:
        enrolment.setdefault(name, (name,))
    return TrialList(
        tuple(enrols), tuple(tests), np.asarray(labels), enrolment, str(Path(source.parent.name, source.name))
    )


def read_enrolment(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Return model name -> utterance paths.

    Raises:
        InputError: ``trials_missing`` or ``trials_invalid`` with the line number (a model without
            utterances, a model twice, one utterance twice in a model).
    """
    source = Path(path)
    enrolment: dict[str, tuple[str, ...]] = {}
    for number, fields in _fields_of_lines(source):
        name, *utterances = fields
        if not utterances:
            raise _invalid(
                source, number, f"model {name} has no utterances", "model utterance [utterance ...]"
            )
        if name in enrolment:
            raise _invalid(source, number, f"model {name} appears a second time", "one line per model")
        if len(set(utterances)) != len(utterances):
            raise _invalid(source, number, f"model {name} lists one utterance twice", "distinct utterances")
        enrolment[name] = tuple(utterances)
    if not enrolment:
        raise InputError(
            "trials_invalid", f"{source} has no models; expected `model utterance ...` lines; give the map."
        )
    return enrolment


def read_scores(path: str | Path, trials: TrialList) -> NDArray[np.float64]:
    """Return the scores of a file of ``enrol test score`` lines in the order of ``trials``, (N,).

    Raises:
        InputError: ``scores_invalid`` with the line number for a line that is not such a triple or a
            score that is not finite; ``scores_missing`` when a trial has no score.
    """
    source = Path(path)
    found: dict[tuple[str, str], float] = {}
    for number, fields in _fields_of_lines(source, "scores_invalid"):
        if len(fields) != 3:
            raise _invalid(source, number, f"{len(fields)} fields", "enrol test score", "scores_invalid")
        try:
            score = float(fields[2])
        except ValueError:
            score = float("nan")
        if not np.isfinite(score):
            raise _invalid(source, number, f"score {fields[2]!r}", "a finite number", "scores_invalid")
        found[fields[0], fields[1]] = score
    pairs = list(zip(trials.enrol, trials.test, strict=True))
    missing = [pair for pair in pairs if pair not in found]
    if missing:
        raise InputError(
            "scores_missing",
            f"{source} lacks {len(missing)} of {len(pairs)} trials, first {missing[0][0]} {missing[0][1]}; "
            "expected a score for every trial; score the whole list.",
        )
    return np.asarray([found[pair] for pair in pairs])


def _layout(source: Path, number: int, fields: Sequence[str]) -> str:
    if len(fields) == 3 and fields[2] in _KALDI_LABELS:
        return "kaldi"
    if len(fields) == 3 and fields[0] in _VOXCELEB_LABELS:
        return "voxceleb"
    raise _invalid(
        source,
        number,
        f"{' '.join(fields)[:80]!r}",
        "`label enrol test` (1 or 0) or `model test target|nontarget`",
    )


def _trial(source: Path, number: int, fields: Sequence[str], layout: str) -> tuple[str, str, bool]:
    if len(fields) != 3:
        raise _invalid(source, number, f"{len(fields)} fields", "3, as on the lines before")
    if layout == "kaldi":
        name, test, label = fields
        labels = _KALDI_LABELS
    else:
        label, name, test = fields
        labels = _VOXCELEB_LABELS
    if label not in labels:
        raise _invalid(
            source, number, f"label {label[:40]!r}", f"{' or '.join(labels)}, as on the lines before"
        )
    return name, test, labels[label]


def _fields_of_lines(source: Path, code: str = "trials_invalid") -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of every line that is neither blank nor a comment."""
    if not source.is_file():
        raise InputError(
            "trials_missing", f"There is no file {source}; expected a text list; check the path."
        )
    with source.open("rb") as lines:
        number = 0
        while line := lines.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise _invalid(source, number, f"more than {MAX_LINE_BYTES} bytes", "short text lines", code)
            if number > MAX_TRIALS:
                raise _invalid(source, number, "one line more", f"at most {MAX_TRIALS} lines", code)
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise _invalid(source, number, "bytes that are not UTF-8 text", "a text list", code) from None
            if "\0" in text:
                raise _invalid(source, number, "a NUL byte", "a text list", code)
            fields = text.split()
            if fields and not fields[0].startswith("#"):
                yield number, fields


def _wrong_model(source: Path, number: int, name: str, enrol: str | Path | None) -> InputError:
    if enrol is None:
        return InputError(
            "trials_invalid",
            f"{source} line {number} names the model {name}; expected an enrolment map for a list of this "
            "kind; give the file of `model utterance ...` lines too.",
        )
    return _invalid(source, number, f"model {name}", f"a model listed in {enrol}")


def _invalid(
    source: Path, number: int, found: str, expected: str, code: str = "trials_invalid"
) -> InputError:
    return InputError(code, f"{source} line {number}: found {found}; expected {expected}; correct that line.")


def _speakers_of(trials: TrialList) -> SpeakerSides:
    """Return the speakers behind the trials: utterances chained by target trials are one speaker.

    Utterances of one folder are taken to be one speaker too, unless some non-target trial compares two
    files of one folder (then folders are not speakers in this corpus).
    """
    paths = trials.utterances
    folder = {path: str(PurePosixPath(path).parent) for path in paths}
    pairs = list(zip(trials.enrol, trials.test, trials.is_target, strict=True))
    folders_are_speakers = all(folder[path] != "." for path in paths) and not any(
        not target and any(folder[path] == folder[test] for path in trials.enrolment[name])
        for name, test, target in pairs
    )
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        while parent.setdefault(node, node) != node:
            parent[node] = node = parent[parent[node]]
        return node

    for path in paths:
        parent[root(f"utt {path}")] = root(f"dir {folder[path]}" if folders_are_speakers else f"utt {path}")
    for name in set(trials.enrol):
        for path in trials.enrolment[name]:
            parent[root(f"utt {path}")] = root(f"model {name}")
    for name, test, target in pairs:
        if target:
            parent[root(f"utt {test}")] = root(f"model {name}")
    numbers: dict[str, int] = {}
    of = {path: numbers.setdefault(root(f"utt {path}"), len(numbers)) for path in paths}
    of.update({name: numbers[root(f"model {name}")] for name in set(trials.enrol)})
    enrol = np.asarray([of[name] for name in trials.enrol], dtype=np.int64)
    test_side = np.asarray([of[test] for test in trials.test], dtype=np.int64)
    contradictions = int(np.sum((enrol == test_side) & ~trials.is_target))
    return SpeakerSides(enrol, test_side, len(numbers), of, contradictions)
