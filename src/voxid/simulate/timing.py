"""How people take turns: what was measured on real conversations, as numbers that can be drawn from.

Speech is seen as in an annotation: stretches of one speaker in which pauses are closed. A stretch that ends later than
all speech before it takes the floor; one that ends earlier was said into somebody else's stretch (a backchannel, or
a longer aside). Between two floor stretches of different speakers lies an offset: a gap, or below 0 an overlap
(an interruption, or an early start); between two of the same speaker lies a pause.

Source: the terms are those of Heldner and Edlund, "Pauses, gaps and overlaps in conversations", J. Phonetics 38, 2010.
"""

from __future__ import annotations

import dataclasses
import json
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxid.errors import ConfigError

__all__ = ["PROBABILITIES", "TIMING_FILE", "Timing", "built_in_timings", "read_timings", "timing_named"]

TIMING_FILE: Final = Path(__file__).parents[1] / "data" / "timing.json"
"""Timings fitted by ``scripts/fit_timing.py``."""

PROBABILITIES: Final[NDArray[np.float64]] = np.concatenate(
    [[0.0, 0.005], np.linspace(0.01, 0.99, 50), [0.995, 0.999, 1.0]]
)
"""At these the quantiles below are kept; between them they are straight lines."""

_PROBABILITIES: Final = tuple(float(value) for value in PROBABILITIES)
_VERSION: Final = 1
_QUANTILES: Final = ("offset_s", "pause_s", "after_change_s", "after_pause_s", "inside_s")


@dataclass(frozen=True)
class Timing:
    """The timing of one kind of conversation.

    Attributes:
        name: of this timing.
        source: what it was measured on.
        change_share: how many floor stretches are followed by another speaker's, 0 to 1.
        return_share: how often, beyond what the speakers' shares explain, the floor goes back to who had it before.
        evenness: of the speakers' shares: parameter of a symmetric Dirichlet distribution; higher is more even.
        inside_per_s: rate of stretches said into a floor stretch, per second of it, as the simulator needs it.
        overlap_share: share of the speech time in which two or more speak, as measured.
        offset_s: quantiles of the offset at a change of speaker, at ``PROBABILITIES``; negative is overlap.
        pause_s: of pauses before the same speaker goes on.
        after_change_s: of the length of floor stretches after a change.
        after_pause_s: of the length of floor stretches after a pause.
        inside_s: of the length of stretches inside others.
    """

    name: str
    source: str
    change_share: float
    return_share: float
    evenness: float
    inside_per_s: float
    overlap_share: float
    offset_s: tuple[float, ...]
    pause_s: tuple[float, ...]
    after_change_s: tuple[float, ...]
    after_pause_s: tuple[float, ...]
    inside_s: tuple[float, ...]

    def __post_init__(self) -> None:
        shares = (self.change_share, self.return_share, self.overlap_share)
        curves = [np.asarray(getattr(self, name)) for name in _QUANTILES]
        sound = (
            all(0.0 <= share <= 1.0 for share in shares)
            and self.evenness > 0.0
            and self.inside_per_s >= 0.0
            and all(curve.shape == PROBABILITIES.shape for curve in curves)
            and all(bool(np.isfinite(curve).all() and (np.diff(curve) >= 0.0).all()) for curve in curves)
            and all(float(curve[0]) > 0.0 for curve in curves[1:])
        )
        if not sound:
            raise ConfigError(
                "timing_invalid",
                f"the timing {self.name!r} cannot be used; expected shares from 0 to 1 and {PROBABILITIES.size} "
                "rising quantiles per length; fit it again with scripts/fit_timing.py.",
            )

    def draw(self, what: str, rng: np.random.Generator) -> float:
        """Return one length in seconds; ``what`` names a field of quantiles."""
        return _at(getattr(self, what), rng.random())

    @cached_property
    def early_share(self) -> float:
        """Share of the changes of speaker at which the next one starts before the other has ended."""
        return float(np.interp(0.0, self.offset_s, PROBABILITIES))

    def draw_offset(self, early: bool, rng: np.random.Generator) -> float:
        """Return an offset in seconds that is negative (``early``) or not."""
        low, high = (0.0, self.early_share) if early else (self.early_share, 1.0)
        return _at(self.offset_s, low + (high - low) * rng.random())

    def with_overlap(self, factor: float) -> Timing:
        """Return the timing with ``factor`` times as much speech inside others, and as many early starts.

        Of the offsets, the negative ones' share is multiplied (up to 0.95) while each sign keeps its distribution.
        """
        was = self.early_share
        share = min(0.95, factor * was)
        if not 0.0 < was < 1.0:
            return dataclasses.replace(self, inside_per_s=self.inside_per_s * factor)
        place = np.where(
            share > PROBABILITIES,
            PROBABILITIES / max(share, 1e-9) * was,
            was + (PROBABILITIES - share) / (1.0 - share) * (1.0 - was),
        )
        curve = np.interp(place, PROBABILITIES, self.offset_s)
        return dataclasses.replace(
            self,
            inside_per_s=self.inside_per_s * factor,
            offset_s=tuple(float(value) for value in curve),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, lengths rounded to milliseconds."""
        rounded = {name: [round(value, 3) for value in getattr(self, name)] for name in _QUANTILES}
        return dataclasses.asdict(self) | rounded


def _at(curve: tuple[float, ...], probability: float) -> float:
    """Return the quantile; in plain Python ten times as fast as numpy for a single number."""
    above = min(bisect_right(_PROBABILITIES, probability), len(_PROBABILITIES) - 1)
    low, high = _PROBABILITIES[above - 1], _PROBABILITIES[above]
    return curve[above - 1] + (curve[above] - curve[above - 1]) * (probability - low) / (high - low)


def read_timings(path: Path) -> dict[str, Timing]:
    """Return the timings in a file that ``scripts/fit_timing.py`` wrote, by name.

    Raises:
        ConfigError: ``timing_missing``, ``timing_invalid``.
    """
    if not path.is_file():
        raise ConfigError(
            "timing_missing", f"there is no timing file {path}; make one with scripts/fit_timing.py."
        )
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["version"] != _VERSION:
            raise ValueError(f"version {stored['version']!r} instead of {_VERSION}")
        timings = [
            Timing(**entry | {key: tuple(entry[key]) for key in _QUANTILES}) for entry in stored["timings"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            "timing_invalid", f"{path} holds no timings ({error}); fit it again with scripts/fit_timing.py."
        ) from None
    return {timing.name: timing for timing in timings}


def write_timings(path: Path, timings: list[Timing]) -> None:
    """Write timings as JSON."""
    stored = {"version": _VERSION, "timings": [timing.to_dict() for timing in timings]}
    path.write_text(json.dumps(stored, ensure_ascii=False, indent=None) + "\n", encoding="utf-8")


@cache
def built_in_timings() -> dict[str, Timing]:
    """Return the timings in the package: ``ami`` (meetings) and ``voxconverse`` (broadcasts, debates)."""
    return read_timings(TIMING_FILE)


def timing_named(name: str) -> Timing:
    """Return one of the package's timings. Raises: ConfigError: ``timing_unknown``."""
    timings = built_in_timings()
    if name not in timings:
        raise ConfigError(
            "timing_unknown", f"there is no timing {name!r}; known: {', '.join(sorted(timings))}."
        )
    return timings[name]
