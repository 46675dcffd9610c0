"""What the card of a spoof detector says its numbers mean: two questions with their thresholds, and a domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxid.errors import CompatibilityError
from voxid.spoof.verdict import SpoofOutcome

__all__ = ["HEADS", "DetectorCard", "Domain", "Head"]

HEADS: Final = {"synthetic": "synthesised or converted speech", "replay": "a recording played back"}
"""The columns of the scores, in order: what live speech is told from."""


@dataclass(frozen=True)
class Head:
    """One of the two questions asked: the column of the scores, and what its numbers mean.

    Args:
        name: ``synthetic`` or ``replay``.
        slope, offset: LLR = slope * score + offset, natural logarithm, flat prior.
        spoof_llr: below it, a spoof. genuine_llr: from it on, genuine; between the two, suspicious.
    """

    name: str
    slope: float
    offset: float
    spoof_llr: float
    genuine_llr: float

    def outcome(self, llr: float) -> SpoofOutcome:
        """Return what an LLR means."""
        if llr < self.spoof_llr:
            return SpoofOutcome.SPOOF
        return SpoofOutcome.SUSPICIOUS if llr < self.genuine_llr else SpoofOutcome.GENUINE


@dataclass(frozen=True, eq=False)
class Domain:
    """What the network was trained on, as a region of its embeddings.

    Args:
        means: (K, E), of all training speech, or of each class of it.
        precision: (E, E), inverse covariance.
        limit: distances beyond it are outside.
    """

    means: NDArray[np.float64]
    precision: NDArray[np.float64]
    limit: float

    def distance(self, embedding: NDArray[np.floating]) -> float:
        """Return the Mahalanobis distance of (E,) from the nearest mean, 0 or more.

        Source: Lee, Lee, Lee and Shin, "A simple unified framework for detecting out-of-distribution samples and
        adversarial attacks", NeurIPS 2018, equation 2.
        """
        d = embedding.astype(np.float64) - self.means
        return float(np.sqrt(max(0.0, float(np.einsum("ke,ef,kf->k", d, self.precision, d).min()))))


@dataclass(frozen=True, eq=False)
class DetectorCard:
    """What a detector needs of its card.

    Args:
        piece_samples: samples of a piece.
        heads: one for each column of the scores.
        domain: what the network was trained on.
    """

    piece_samples: int
    heads: tuple[Head, ...]
    domain: Domain

    @classmethod
    def of(cls, card: Mapping[str, Any], model_id: str) -> DetectorCard:
        """Return what a card says.

        Raises:
            CompatibilityError: ``spoof_detector_invalid``.
        """
        try:
            heads = tuple(_head(card, name) for name in HEADS)
            return cls(int(card["piece_samples"]), heads, _domain(card["domain"]))
        except (KeyError, TypeError, ValueError) as error:
            raise CompatibilityError(
                "spoof_detector_invalid",
                f"the card of {model_id} lacks or garbles what a detector needs ({error!r}); expected piece_samples, "
                "calibration, thresholds and domain as docs/spoof.md has them. Get the model again.",
            ) from error


def _head(card: Mapping[str, Any], name: str) -> Head:
    calibration, thresholds = card["calibration"][name], card["thresholds"][name]
    numbers = [float(calibration[key]) for key in ("slope", "offset")]
    numbers += [float(thresholds[key]) for key in ("spoof_llr", "genuine_llr")]
    if not np.isfinite(numbers).all() or numbers[2] > numbers[3]:
        raise ValueError(f"{name}: slope, offset, spoof_llr, genuine_llr {numbers}")
    return Head(name, *numbers)


def _domain(entry: Mapping[str, Any]) -> Domain:
    means = np.atleast_2d(np.asarray(entry["mean"], np.float64))
    precision, limit = np.asarray(entry["precision"], np.float64), float(entry["limit"])
    size = means.shape[-1]
    numbers = np.concatenate([means.ravel(), precision.ravel(), [limit]])
    if means.ndim != 2 or precision.shape != (size, size) or not np.isfinite(numbers).all():
        raise ValueError(f"domain: mean {means.shape}, precision {precision.shape}, limit {limit}")
    return Domain(means, precision, limit)
