"""95 % intervals by resampling speakers, because trials of one speaker rise and fall together.

Each replicate draws S speakers out of S with replacement; speaker s is drawn c_s times. A target trial
then weighs c_s, a non-target trial of speakers s and r weighs c_s c_r, which is what a list made anew
from the drawn people would contain. Resampling trials instead would claim that 16,200 trials of 40
people are 16,200 independent facts, with intervals several times too narrow.

Source: Bolle, Ratha & Pankanti, "Error analysis of pattern recognition systems: the subsets bootstrap"
(2004), for speakers as subsets; Owen, "The pigeonhole bootstrap" (2007), for the product of both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Measure = Callable[[Floats], Mapping[str, Floats]]
"""Weights (R, N) of the trials -> name of a measure -> its value (R,) under each weighting."""

RESAMPLES = 500
CONFIDENCE = 0.95
BLOCK_WEIGHTS = 2_000_000
"""Weights held at once (replicates x trials), 16 MB; larger blocks were not faster."""


@dataclass(frozen=True)
class Estimate:
    """A measured value with its 95 % interval.

    Attributes:
        value: measured on all trials.
        low, high: percentile interval of the replicates; None where it could not be had (fewer than two
            speakers, or most replicates without targets or without non-targets).
    """

    value: float
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """Return ``{"value", "low", "high"}`` as in JSON reports."""
        return {"value": self.value, "low": self.low, "high": self.high}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Estimate:
        """Return the estimate that ``to_dict`` wrote."""
        return cls(record["value"], record["low"], record["high"])


@dataclass(frozen=True)
class Sides:
    """Which resampled unit stands on each side of N observations.

    Attributes:
        first: (N,) index in [0, units) of the speaker on the one side.
        second: (N,) the same of the other side; equal to ``first`` where both sides are one speaker, and
            everywhere when an observation has one side only (a probe, a recording).
        units: number of speakers (or recordings) S.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    units: int

    @classmethod
    def single(cls, unit: NDArray[np.int64]) -> Sides:
        """Return sides for observations that belong to one unit each."""
        return cls(unit, unit, int(unit.max(initial=-1)) + 1)


def replicate_weights(sides: Sides, resamples: int, seed: int) -> Iterator[Floats]:
    """Yield blocks (R, N) of trial weights, ``resamples`` rows in all; the same for the same seed."""
    generator = np.random.default_rng(seed)
    chances = np.full(sides.units, 1.0 / sides.units)
    both = sides.first == sides.second
    rows_at_once = max(1, BLOCK_WEIGHTS // max(1, len(sides.first)))
    for start in range(0, resamples, rows_at_once):
        rows = min(rows_at_once, resamples - start)
        counts = generator.multinomial(sides.units, chances, size=rows).astype(np.float64)
        yield counts[:, sides.first] * np.where(both, 1.0, counts[:, sides.second])


def estimate_all(
    measure: Measure,
    sides: Sides,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> dict[str, Estimate]:
    """Return every measure with its interval, all from the same replicates.

    Args:
        measure: from trial weights (R, N) to the values (R,) of every measure, by name.
        sides: who stands behind each of the N trials.
        resamples: number of replicates; 0 gives values without intervals.
        seed: of the resampling, so that a report can be repeated to the digit.
        progress: called with the share done, in [0, 1].

    Returns:
        name -> ``Estimate``.
    """
    trials = len(sides.first)
    whole = np.ones((1, trials))
    values = {name: float(value[0]) for name, value in measure(whole).items()}
    drawn: dict[str, list[Floats]] = {name: [] for name in values}
    done = 0
    for weights in replicate_weights(sides, resamples if sides.units > 1 else 0, seed):
        for name, value in measure(weights).items():
            drawn[name].append(value)
        done += len(weights)
        if progress is not None:
            progress(done / resamples)
    return {name: Estimate(values[name], *_interval(drawn[name])) for name in values}


def _interval(blocks: list[Floats]) -> tuple[float | None, float | None]:
    """Return the percentile interval of the finite replicates, or nothing when most are undefined."""
    if not blocks:
        return None, None
    values = np.concatenate(blocks)
    finite = values[np.isfinite(values)]
    if len(finite) < max(2, len(values) // 2):
        return None, None
    tail = (1.0 - CONFIDENCE) / 2.0 * 100.0
    low, high = np.percentile(finite, [tail, 100.0 - tail])
    return float(low), float(high)
