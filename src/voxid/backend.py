"""Two sides of a trial to a score and an LLR: what verify, identify, naming and evaluation all go through.

A side is the speech of one person: one recording of a probe, or all references of somebody enrolled. What scoring
needs of it (its vector, its scores with the cohort, the quality of its speech) is computed once, however many other
sides it meets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.calibration import Calibration
from voxid.plda import Plda
from voxid.score import CohortStatistics, as_norm, center, cohort_statistics
from voxid.speech import SpeechQuality

__all__ = ["COSINE", "METHODS", "NOT_MEASURED", "QUALITIES", "Backend", "Quality", "Scoring", "Sides"]

Floats = NDArray[np.float64]

METHODS: Final = ("cosine", "as_norm", "plda")
"""Ways to score: the cosine, the cosine against the cohort's, the likelihood ratio of a Gaussian model."""

_OF_A_SIDE: Final = (
    "log_speech_s",
    "snr_db",
    "high_band_db",
    "log_references",
    "cohort_mean",
    "cohort_std",
)
QUALITIES: Final = tuple(f"{side}_{name}" for side in ("probe", "enroll") for name in _OF_A_SIDE)
"""Quality measures a calibration may use: logarithm of the seconds of speech, SNR, width of the channel, logarithm
of the number of references, and how the side scores with the cohort; of the probe and of the enrolled."""

_MIN_SPEECH_S: Final = 0.01


@dataclass(frozen=True)
class Quality:
    """What is known of the speech behind one embedding; None: not measured, which changes nothing.

    Args:
        net_speech_s: seconds of speech.
        snr_db, high_band_db: as :class:`voxid.speech.SpeechQuality`.
    """

    net_speech_s: float | None = None
    snr_db: float | None = None
    high_band_db: float | None = None

    @classmethod
    def of(cls, measured: SpeechQuality) -> Quality:
        """Return what the back-end uses of a recording's quality."""
        return cls(measured.net_speech_s, measured.snr_db, measured.high_band_db)


NOT_MEASURED: Final = Quality()
"""Of speech nothing is known about."""


@dataclass(frozen=True)
class Scoring:
    """How a bundle scores; its card's ``scoring``.

    Args:
        method: one of :data:`METHODS`.
        top: speakers of the cohort that count for each side.
    """

    method: str = "cosine"
    top: int = 300

    def __post_init__(self) -> None:
        if self.method not in METHODS or self.top < 1:
            raise ValueError(f"a scoring method of {', '.join(METHODS)} with top of 1 or more, not {self}")

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of the card."""
        return asdict(self)


COSINE: Final = Scoring()
"""How bundles score whose card does not say."""


@dataclass(frozen=True, eq=False)
class Sides:
    """M sides of trials, ready to be scored.

    Args:
        vectors: (M, D) float32, the mean of each side's centred references, scaled to length 1.
        references: (M,) how many references each has.
        measured: measure -> (M,), NaN where unknown.
        projected: (M, D') sums of the references in the space of the PLDA; None without one.
    """

    vectors: NDArray[np.float32]
    references: NDArray[np.int64]
    measured: dict[str, Floats] = field(default_factory=dict)
    projected: Floats | None = None

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, rows: ArrayLike) -> Sides:
        """Return some of the sides, in the order of ``rows``, which may repeat."""
        chosen = np.asarray(rows, dtype=np.int64)
        return Sides(
            self.vectors[chosen],
            self.references[chosen],
            {name: values[chosen] for name, values in self.measured.items()},
            None if self.projected is None else self.projected[chosen],
        )

    @property
    def cohort(self) -> CohortStatistics:
        """How each side scores with the cohort."""
        return CohortStatistics(self.measured["cohort_mean"], self.measured["cohort_std"])


@dataclass(frozen=True, eq=False)
class Backend:
    """All that stands between embeddings and LLRs; part of a bundle.

    Args:
        mean: (D,) of the training speakers' unit embeddings.
        calibration: scores and qualities to LLRs.
        scoring: method.
        cohort: (N, D) centred, unit length; needed for ``as_norm`` and for calibrations that use its statistics.
        plda: needed for ``plda``.

    Raises:
        ValueError: the method or the calibration needs a part that is not there.
    """

    mean: NDArray[np.float32]
    calibration: Calibration
    scoring: Scoring = COSINE
    cohort: NDArray[np.float32] | None = None
    plda: Plda | None = None

    def __post_init__(self) -> None:
        if self.scoring.method == "plda" and self.plda is None:
            raise ValueError("a PLDA model, which its scoring needs")
        if self.needs_cohort and self.cohort is None:
            raise ValueError("a cohort, which its scoring or calibration needs")
        unknown = [weight.name for weight in self.calibration.qualities if weight.name not in QUALITIES]
        if unknown:
            raise ValueError(f"quality measures this voxid knows, not {unknown[0]!r}")

    @property
    def needs_cohort(self) -> bool:
        """Whether scores or LLRs depend on the cohort."""
        names = [weight.name for weight in self.calibration.qualities]
        return self.scoring.method == "as_norm" or any("cohort" in name for name in names)

    @property
    def ranks_by_cosine(self) -> bool:
        """Whether an LLR depends on nothing but the cosine, so that cosines alone can rule people out."""
        return self.scoring.method == "cosine" and not self.calibration.qualities

    def side(self, embeddings: NDArray[np.float32], qualities: Sequence[Quality] = ()) -> Sides:
        """Return the side of one person.

        Args:
            embeddings: (R, D) raw, unit length, R at least 1.
            qualities: of each reference; empty: not measured.

        Returns:
            Sides with M = 1.
        """
        return self.sides([embeddings], [qualities])

    def sides(
        self, embeddings: Sequence[NDArray[np.float32]], qualities: Sequence[Sequence[Quality]] | None = None
    ) -> Sides:
        """Return the sides of M persons; arguments as for :meth:`side`, one of each per person.

        References are averaged as embeddings, not their scores: on held-out speakers with three references the
        stronger and cheaper of the two usual ways.

        Raises:
            CompatibilityError: ``dimension_mismatch``.
        """
        count = np.array([len(references) for references in embeddings], dtype=np.int64)
        first = np.concatenate([[0], np.cumsum(count)[:-1]])
        centred = center(np.concatenate(list(embeddings)), self.mean)
        vectors = _unit(np.add.reduceat(centred, first, axis=0))
        known = qualities if qualities is not None else [()] * len(count)
        measured = {name: np.array([_combined(name, of) for of in known]) for name in _OF_A_SIDE[:3]}
        measured["log_references"] = np.log(count)
        if self.cohort is not None and self.needs_cohort:
            mean, std = cohort_statistics(vectors, self.cohort, self.scoring.top)
            measured.update(cohort_mean=mean, cohort_std=std)
        projected = None
        if self.plda is not None and self.scoring.method == "plda":
            projected = np.add.reduceat(self.plda.project(centred), first, axis=0)
        return Sides(vectors, count, measured, projected)

    def scores(self, enroll: Sides, probe: Sides) -> Floats:
        """Return the scores of N trials, (N,); higher is more alike.

        Args:
            enroll, probe: N sides each, or one that meets all of the other.
        """
        if self.plda is not None and enroll.projected is not None and probe.projected is not None:
            return self.plda.llr(enroll.projected, enroll.references, probe.projected, probe.references)
        raw = np.einsum("nd,nd->n", *np.broadcast_arrays(enroll.vectors, probe.vectors)).astype(np.float64)
        return raw if self.scoring.method == "cosine" else as_norm(raw, enroll.cohort, probe.cohort)

    def measured(self, enroll: Sides, probe: Sides) -> dict[str, Floats]:
        """Return every quality measure of the trials, NaN where unknown; arguments as for :meth:`scores`."""
        named = [(f"probe_{name}", values) for name, values in probe.measured.items()]
        named += [(f"enroll_{name}", values) for name, values in enroll.measured.items()]
        (n_trials,) = np.broadcast_shapes((len(enroll),), (len(probe),))
        return {name: np.broadcast_to(values, n_trials) for name, values in named}

    def compare(self, enroll: Sides, probe: Sides) -> tuple[Floats, Floats]:
        """Return scores and LLRs (natural logarithm) of N trials; arguments as for :meth:`scores`."""
        scores = self.scores(enroll, probe)
        return scores, self.calibration.llr(scores, self.measured(enroll, probe))


def _combined(name: str, qualities: Sequence[Quality]) -> float:
    """Return one measure of a side from its references: speech adds up, the rest is averaged by it."""
    if name == "log_speech_s":
        seconds = [quality.net_speech_s for quality in qualities]
        known = [value for value in seconds if value is not None]
        return (
            float(np.log(max(sum(known), _MIN_SPEECH_S))) if known and len(known) == len(seconds) else np.nan
        )
    pairs = [(getattr(quality, name), quality.net_speech_s or _MIN_SPEECH_S) for quality in qualities]
    values = [(value, weight) for value, weight in pairs if value is not None]
    if not values:
        return np.nan
    return float(sum(value * weight for value, weight in values) / sum(weight for _, weight in values))


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), dtype=np.float32)
