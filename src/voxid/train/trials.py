"""Development trials: held-out people against each other and themselves, in many conditions, dealt into folds.

Impostors come from the same corpus, because those of another are told apart by their microphones alone; a person
recorded on several occasions meets only their other occasions. Folds are of people: what is fitted without a fold has
heard none of its voices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from voxid.train.development import WHOLE, HeardSpeech

Rows = NDArray[np.int64]

MIN_SPEECH_S = 1.0
"""Speech of either side of a trial, at least: what `voxid verify` asks of a probe."""

_MATCHED = ("2 s", "3 s", "noise", "telephone", "short and distorted")
_REFERENCES = 3
_FULL_CELL = 100


@dataclass(frozen=True)
class Condition:
    """How the two sides of a trial are heard.

    Args:
        enroll, probe: names of views.
        references: utterances the person is enrolled with.
    """

    enroll: str
    probe: str
    references: int = 1

    @property
    def name(self) -> str:
        """The condition in words."""
        enrolled = f"{self.references} x {self.enroll}" if self.references > 1 else self.enroll
        return f"{enrolled} / {self.probe}"


def conditions_of(views: Sequence[str]) -> tuple[Condition, ...]:
    """Return the conditions of the views: each against whole recordings and against three, some against themselves."""
    return (
        *(Condition(WHOLE.name, view) for view in views),
        *(Condition(view, view) for view in views if view in _MATCHED),
        *(Condition(WHOLE.name, view, _REFERENCES) for view in views),
    )


@dataclass(frozen=True, eq=False)
class DevelopmentTrials:
    """N trials between sides, which are groups of embeddings.

    Args:
        references: for each side, the rows of the embeddings it is made of.
        enroll, probe: (N,) index into ``references``.
        is_target: (N,).
        corpus, condition: (N,) index into ``corpora`` and ``conditions``.
        enroll_fold, probe_fold: (N,) fold of the person on either side.
        corpora, conditions: names.
    """

    references: tuple[tuple[int, ...], ...]
    enroll: Rows
    probe: Rows
    is_target: NDArray[np.bool_]
    corpus: Rows
    condition: Rows
    enroll_fold: Rows
    probe_fold: Rows
    corpora: tuple[str, ...]
    conditions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.enroll)

    def subset(self, rows: NDArray[np.bool_] | Rows) -> DevelopmentTrials:
        """Return some of the trials; sides, corpora and conditions keep their numbers."""
        columns = ("enroll", "probe", "is_target", "corpus", "condition", "enroll_fold", "probe_fold")
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})

    def inside(self, fold: int) -> NDArray[np.bool_]:
        """Return (N,) the trials of which both people are in the fold."""
        return (self.enroll_fold == fold) & (self.probe_fold == fold)

    def outside(self, fold: int) -> NDArray[np.bool_]:
        """Return (N,) the trials of which neither person is in the fold."""
        return (self.enroll_fold != fold) & (self.probe_fold != fold)

    def cells(self) -> list[tuple[int, int, NDArray[np.bool_]]]:
        """Return (corpus, condition, its trials (N,)) for every pair that occurs."""
        pairs = sorted(set(zip(self.corpus.tolist(), self.condition.tolist(), strict=True)))
        return [(c, k, (self.corpus == c) & (self.condition == k)) for c, k in pairs]

    def shares(self) -> NDArray[np.float64]:
        """Return (N,) weights by which every corpus and condition counts alike, for targets and for non-targets.

        One with fewer than 100 of them counts as much less as it has fewer: a handful of trials says little.
        """
        cell = (self.corpus * len(self.conditions) + self.condition) * 2 + self.is_target
        _, number, count = np.unique(cell, return_inverse=True, return_counts=True)
        return np.asarray(1.0 / np.maximum(count, _FULL_CELL)[number])


def deal_folds(speech: HeardSpeech, folds: int) -> dict[str, int]:
    """Return person -> fold. A corpus of few people goes into one fold whole, so that it is left out as a whole."""
    by_corpus: dict[str, set[str]] = {}
    for utterance in speech.utterances:
        by_corpus.setdefault(utterance.corpus, set()).add(utterance.speaker)
    fold_of: dict[str, int] = {}
    small = 0
    for corpus in sorted(by_corpus):
        people = sorted(by_corpus[corpus] - set(fold_of))
        if len(people) < 2 * folds:
            fold_of.update(dict.fromkeys(people, small % folds))
            small += 1
        else:
            fold_of.update({person: at % folds for at, person in enumerate(people)})
    return fold_of


def make_trials(
    speech: HeardSpeech, views: Sequence[str], *, folds: int = 5, most_per_cell: int = 4_000, seed: int = 17
) -> DevelopmentTrials:
    """Return the trials of every corpus and condition.

    Args:
        speech: embeddings of held-out people.
        views: names of the views in it.
        folds: of people.
        most_per_cell: target and non-target trials of a corpus in a condition, at most; half of the non-targets
            within folds.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    table = _Table(speech, deal_folds(speech, folds))
    groups: dict[tuple[int, ...], int] = {}
    parts: list[list[NDArray[np.int64]]] = []
    conditions = conditions_of(views)
    for c in range(len(table.corpora)):
        for k, how in enumerate(conditions):
            enrolled = table.enrolled(c, how, rng)
            probes = np.flatnonzero((table.corpus == c) & (table.view == how.probe) & table.enough)
            if not enrolled or not probes.size:
                continue
            chosen = _draw(table, enrolled, probes, most_per_cell, rng)
            left = np.array([groups.setdefault(rows, len(groups)) for rows in enrolled])[chosen[0]]
            right = np.array([groups.setdefault((int(row),), len(groups)) for row in probes])[chosen[1]]
            first = np.array([rows[0] for rows in enrolled])[chosen[0]]
            second = probes[chosen[1]]
            alike = table.person[first] == table.person[second]
            constant = [np.full(first.size, value) for value in (c, k)]
            parts.append([left, right, alike, *constant, table.fold[first], table.fold[second]])
    columns = [np.concatenate(column).astype(np.int64) for column in zip(*parts, strict=True)]
    enroll, probe, same, corpus, condition, enroll_fold, probe_fold = columns or [np.zeros(0, np.int64)] * 7
    return DevelopmentTrials(
        references=tuple(groups),
        enroll=enroll,
        probe=probe,
        is_target=same.astype(np.bool_),
        corpus=corpus,
        condition=condition,
        enroll_fold=enroll_fold,
        probe_fold=probe_fold,
        corpora=tuple(table.corpora),
        conditions=tuple(each.name for each in conditions),
    )


class _Table:
    """The embeddings' people, occasions and conditions as columns."""

    def __init__(self, speech: HeardSpeech, fold_of: dict[str, int]) -> None:
        of = [speech.utterances[int(at)] for at in speech.utterance]
        names = sorted({utterance.speaker for utterance in of})
        self.corpora = sorted({utterance.corpus for utterance in of})
        self.utterance, self.view = speech.utterance, speech.view
        self.person = np.array([names.index(utterance.speaker) for utterance in of])
        self.corpus = np.array([self.corpora.index(utterance.corpus) for utterance in of])
        self.fold = np.array([fold_of[utterance.speaker] for utterance in of])
        occasions = sorted({(utterance.speaker, utterance.session) for utterance in of})
        number = {occasion: at for at, occasion in enumerate(occasions)}
        self.session = np.array([number[utterance.speaker, utterance.session] for utterance in of])
        met = Counter(speaker for speaker, _ in occasions)
        self.several = np.array([met[utterance.speaker] > 1 for utterance in of])
        self.enough = np.array(
            [(quality.net_speech_s or 0.0) >= MIN_SPEECH_S for quality in speech.qualities]
        )

    def enrolled(self, corpus: int, condition: Condition, rng: np.random.Generator) -> list[tuple[int, ...]]:
        """Return the groups of rows people of a corpus are enrolled with."""
        rows = np.flatnonzero((self.corpus == corpus) & (self.view == condition.enroll) & self.enough)
        if condition.references == 1:
            return [(int(row),) for row in rows]
        found = []
        for person in np.unique(self.person[rows]):
            own = rng.permutation(rows[self.person[rows] == person])
            # One occasion after another, so that others are left to be recognised on.
            own = own[np.argsort(self.session[own], kind="stable")]
            if own.size > condition.references:
                found.append(tuple(int(row) for row in own[: condition.references]))
        return found


def _draw(
    table: _Table, enrolled: list[tuple[int, ...]], probes: Rows, most: int, rng: np.random.Generator
) -> tuple[Rows, Rows]:
    """Return the chosen (place in ``enrolled``, place in ``probes``)."""
    first = np.array([rows[0] for rows in enrolled])
    same = table.person[first][:, None] == table.person[probes]
    met = np.zeros_like(same)
    for rows in zip(*enrolled, strict=True):  # first references of all, second references, ...
        own = np.array(rows)[:, None]
        met |= table.utterance[own] == table.utterance[probes]
        met |= (table.session[own] == table.session[probes]) & table.several[probes]
    together = table.fold[first][:, None] == table.fold[probes]
    kinds = ((same & ~met, most), (~same & together, most // 2), (~same & ~together, most // 2))
    chosen = []
    for kind, limit in kinds:
        places = np.flatnonzero(kind)
        chosen.append(places if places.size <= limit else rng.choice(places, limit, replace=False))
    left, right = np.divmod(np.sort(np.concatenate(chosen)), probes.size)
    return left, right
