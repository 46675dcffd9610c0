"""How alike two voices are: the cosine of centred embeddings, and how far it stands out from the cohort's.

A cosine of 0.4 means little before one knows what cosines this voice and this recording have with strangers.
Adaptive symmetric normalisation (AS-norm) measures it against the cosines of both sides with the cohort: speakers
of the training speech, of which each side takes the ``top`` most alike.

Source: Matejka et al., "Analysis of score normalization in multilingual speaker recognition", 2017, section 2.4.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import CompatibilityError

_ROWS_AT_ONCE = 1_024  # x 3,000 speakers of the cohort x 4 bytes: 12 MB
_MIN_STD = 1e-3


def center(embeddings: NDArray[np.floating], mean: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return embeddings minus the mean of the training speakers, scaled to length 1.

    Taking the mean away keeps what all voices and channels share from raising every score.

    Args:
        embeddings: (..., D), unit length or not.
        mean: (D,), the bundle's mean of unit embeddings.

    Returns:
        (..., D) float32 of unit length.

    Raises:
        CompatibilityError: ``dimension_mismatch`` when D differs.

    Example:
        >>> center(np.array([[2.0, 0.0]]), np.array([1.0, 0.0])).tolist()
        [[1.0, 0.0]]
    """
    if embeddings.shape[-1] != mean.shape[-1]:
        raise CompatibilityError(
            "dimension_mismatch",
            f"embeddings have {embeddings.shape[-1]} dimensions, the bundle's mean has {mean.shape[-1]}; "
            "compare only embeddings made by one bundle.",
        )
    shifted = np.asarray(embeddings, dtype=np.float32) - np.asarray(mean, dtype=np.float32)
    length = np.linalg.norm(shifted, axis=-1, keepdims=True)
    return np.asarray(shifted / np.maximum(length, 1e-12), dtype=np.float32)


def cosine(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the cosines of unit vectors ``a`` (..., D) with the rows of ``b`` (M, D).

    Returns:
        (..., M) float32 in [-1, 1]; higher is more alike.

    Raises:
        CompatibilityError: ``dimension_mismatch`` when D differs.
    """
    if a.shape[-1] != b.shape[-1]:
        raise CompatibilityError(
            "dimension_mismatch",
            f"vectors of {a.shape[-1]} and {b.shape[-1]} dimensions cannot be compared; use one bundle for both.",
        )
    return np.asarray(np.clip(a @ np.swapaxes(b, -1, -2), -1.0, 1.0), dtype=np.float32)


class CohortStatistics(NamedTuple):
    """Mean and standard deviation of the cosines of M voices with the cohort speakers most like each: (M,), (M,)."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    def take(self, rows: ArrayLike) -> CohortStatistics:
        """Return the statistics of some of the voices."""
        chosen = np.asarray(rows)
        return CohortStatistics(self.mean[chosen], self.std[chosen])


def cohort_statistics(
    vectors: NDArray[np.float32], cohort: NDArray[np.float32], top: int
) -> CohortStatistics:
    """Return how M voices score against the cohort speakers most like each.

    Args:
        vectors: (M, D) centred, unit length.
        cohort: (N, D) centred, unit length, N at least 1.
        top: how many of the cohort count for each voice; all when it has fewer.
    """
    top = min(top, len(cohort))
    mean, std = np.empty(len(vectors)), np.empty(len(vectors))
    for first in range(0, len(vectors), _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        scores = cosine(vectors[rows], cohort)
        best = np.partition(scores, len(cohort) - top, axis=1)[:, len(cohort) - top :].astype(np.float64)
        mean[rows], std[rows] = best.mean(axis=1), best.std(axis=1)
    return CohortStatistics(mean, np.maximum(std, _MIN_STD))


def as_norm(scores: ArrayLike, enroll: CohortStatistics, probe: CohortStatistics) -> NDArray[np.float64]:
    """Return scores in standard deviations above the cohort, the mean of both sides' views.

    Args:
        scores: (N,) cosines.
        enroll, probe: statistics of the two sides, of N trials or of one for all.

    Returns:
        (N,); higher is more alike.
    """
    raw = np.asarray(scores, dtype=np.float64)
    return np.asarray(0.5 * ((raw - enroll.mean) / enroll.std + (raw - probe.mean) / probe.std))
