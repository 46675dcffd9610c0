"""Spoofs divided: by generator, each against all genuine speech, and by family and corpus.

Source: ISO/IEC 30107-3 states the APCER for each species by itself and names the worst; Clopper & Pearson, "The use of
confidence or fiducial limits illustrated in the case of the binomial" (1934), for the intervals of few recordings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from voxid.evaluate.bootstrap import CONFIDENCE, Estimate
from voxid.evaluate.claims import bound_zero
from voxid.evaluate.metrics import RankedTrials
from voxid.evaluate.spoof_protocol import OUTCOMES, SpoofScores, SpoofTrials
from voxid.evaluate.spoof_report import SpoofGroup, SpoofSpecies

__all__ = ["count_outcomes", "group_of", "share_with", "species_of"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def group_of(
    key: str, trials: SpoofTrials, scored: SpoofScores, estimates: Mapping[str, Estimate], threshold: float
) -> SpoofGroup:
    """Return a family or corpus, ``key`` being ``"family: NAME"`` or ``"corpus: NAME"``."""
    kind, name = key.split(": ", 1)
    column = np.asarray(trials.family if kind == "family" else trials.corpus)
    heard = ~np.isnan(scored.scores)
    spoofs = (column == name) & ~trials.is_genuine
    own = (column == name) & trials.is_genuine
    against = (
        trials.is_genuine & ((column == name) | (column == "")) if kind == "family" else trials.is_genuine
    )
    few = min(int(np.sum(against & heard)), int(np.sum(spoofs & heard)))
    eer, within = estimates.get(f"eer: {key}"), estimates.get(f"eer: corpus within: {name}")
    return SpoofGroup(
        kind,
        name,
        int(np.sum(against & heard)),
        int(np.sum(spoofs & heard)),
        None if eer is None else bound_zero(eer, few),
        within if kind == "corpus" else None,
        share_with(scored, spoofs, "genuine"),
        _passed(scored.scores[spoofs & heard], threshold),
        count_outcomes(scored, spoofs),
        count_outcomes(scored, own),
    )


def species_of(
    trials: SpoofTrials, scored: SpoofScores, heard: Indices, threshold: float
) -> tuple[SpoofSpecies, ...]:
    """Return every generator, the one that passes most often first."""
    generator = np.asarray(trials.generator)
    found = []
    for name in sorted(set(generator[heard]) - {""}):
        of = np.flatnonzero((generator == name) & ~trials.is_genuine)
        spoofs = of[~np.isnan(scored.scores[of])]
        families = {trials.family[at] for at in spoofs}
        genuine = [at for at in heard if trials.is_genuine[at] and trials.family[at] in families | {""}]
        places = np.concatenate([np.asarray(genuine, dtype=np.int64), spoofs])
        eer = (
            RankedTrials(scored.scores[places], trials.is_genuine[places]).curve().eer()
            if genuine
            else [np.nan]
        )
        chosen = np.zeros(len(trials), dtype=bool)
        chosen[of] = True
        found.append(
            SpoofSpecies(
                str(name), "/".join(sorted(families)), "/".join(sorted({trials.corpus[at] for at in spoofs})),
                len(of), share_with(scored, chosen, "genuine"),
                _passed(scored.scores[spoofs], threshold), float(eer[0]), count_outcomes(scored, chosen),
            )
        )  # fmt: skip

    def badness(species: SpoofSpecies) -> tuple[float, float, float, str]:
        called = 0.0 if species.apcer is None else -species.apcer.value
        return called, -species.apcer_at_bpcer_5pct.value, -species.eer, species.generator

    return tuple(sorted(found, key=badness))


def share_with(scored: SpoofScores, chosen: NDArray[np.bool_], outcome: str) -> Estimate | None:
    """Return the share of the chosen trials with that outcome; None without verdicts or trials."""
    if scored.outcomes is None or not np.any(chosen):
        return None
    return _binomial(count_outcomes(scored, chosen)[outcome], int(np.sum(chosen)))


def count_outcomes(scored: SpoofScores, chosen: NDArray[np.bool_]) -> dict[str, int]:
    """Return outcome -> number of the chosen trials; nothing without verdicts."""
    if scored.outcomes is None:
        return {}
    counted = Counter(scored.outcomes[at] for at in np.flatnonzero(chosen))
    return {outcome: counted[outcome] for outcome in OUTCOMES}


def _passed(scores: Floats, threshold: float) -> Estimate:
    return _binomial(int(np.sum(scores >= threshold)), len(scores))


def _binomial(hits: int, trials: int) -> Estimate:
    """Return a share with its exact interval (Clopper & Pearson)."""
    interval = binomtest(hits, trials).proportion_ci(CONFIDENCE, method="exact")
    return Estimate(hits / trials, float(interval.low), float(interval.high))
