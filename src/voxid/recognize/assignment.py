"""Voices and people, one to one: the assignment with the largest sum of evidence, nobody below the threshold."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from voxid.bundle import Bundle

__all__ = ["assign", "threshold_among"]

_CALIBRATED_SLOPE = math.log(
    10.0
)  # of the threshold per decade of false accepts, where LLRs mean what they say


def assign(llr: NDArray[np.float64], threshold_llr: float) -> dict[int, int]:
    """Return row -> column of those assigned to each other; open set: a row or column may stay alone.

    Args:
        llr: (K, M) natural-log likelihood ratios, minus infinity where nothing was compared; higher is more alike.
        threshold_llr: nothing below it is assigned; being left alone is worth as much as an LLR exactly there.

    Source: Kuhn, The Hungarian method for the assignment problem, 1955 (as scipy has it).

    Example:
        >>> assign(np.array([[5.0, 4.0], [4.5, 0.0]]), threshold_llr=2.0)
        {0: 1, 1: 0}
    """
    gain = np.where(llr >= threshold_llr, llr - threshold_llr + 1e-9, 0.0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    return {int(row): int(column) for row, column in zip(rows, columns, strict=True) if gain[row, column] > 0}


def threshold_among(bundle: Bundle, profile: str, n: int) -> float:
    """Return the LLR at which a profile's false-accept rate holds for a comparison with n people together.

    Each of the n may then err n times less often than the profile says (union bound), and the threshold for that is
    read off the line through the bundle's profiles, over the logarithm of the rate; where there is but one profile,
    calibrated LLRs fall by the logarithm of 10 per decade.

    Raises:
        InputError: profile_unknown.
    """
    chosen = bundle.profile(profile)
    others = [one for one in bundle.profiles.values() if one.far != chosen.far]
    slope = _CALIBRATED_SLOPE
    if others:
        nearest = min(others, key=lambda one: abs(math.log(one.far / chosen.far)))
        slope = (nearest.threshold_llr - chosen.threshold_llr) / math.log10(chosen.far / nearest.far)
    return chosen.threshold_llr + max(slope, 0.0) * math.log10(max(1, n))
