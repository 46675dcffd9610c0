"""AS-norm: fast code against the definition, and what it is for."""

from __future__ import annotations

import numpy as np
import pytest

from voxid.errors import CompatibilityError
from voxid.score import as_norm, center, cohort_statistics, cosine


def unit(n: int, dim: int, seed: int) -> np.ndarray:
    return center(np.random.default_rng(seed).standard_normal((n, dim)), np.zeros(dim))


def by_definition(enroll: np.ndarray, probe: np.ndarray, cohort: np.ndarray, top: int) -> float:
    """Matejka et al. 2017, section 2.4, one trial at a time; the spread of a single speaker is held at 0.001."""
    parts = []
    for side in (enroll, probe):
        best = sorted((float(np.dot(side, speaker)) for speaker in cohort), reverse=True)[:top]
        parts.append((float(np.dot(enroll, probe)) - np.mean(best)) / max(np.std(best), 1e-3))
    return float(0.5 * (parts[0] + parts[1]))


@pytest.mark.parametrize(("top", "n_cohort"), [(1, 2), (7, 50), (50, 50), (300, 50), (20, 3_000)])
def test_agrees_with_the_definition(top: int, n_cohort: int) -> None:
    """All pairs at once are what one pair at a time is, also when the cohort is smaller than the top."""
    enroll, probe, cohort = unit(4, 24, 1), unit(5, 24, 2), unit(n_cohort, 24, 3)
    raw = cosine(enroll, probe)
    left, right = cohort_statistics(enroll, cohort, top), cohort_statistics(probe, cohort, top)
    for i in range(4):
        found = as_norm(raw[i], left.take([i]), right)
        expected = [by_definition(enroll[i], probe[j], cohort, top) for j in range(5)]
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)


def test_many_voices_are_worked_through_in_blocks() -> None:
    """More voices than fit one block give what each gives alone."""
    voices, cohort = unit(1_500, 8, 4), unit(40, 8, 5)
    together = cohort_statistics(voices, cohort, 10)
    for row in (0, 1_023, 1_024, 1_499):
        alone = cohort_statistics(voices[row : row + 1], cohort, 10)
        assert together.mean[row] == pytest.approx(alone.mean[0], abs=1e-6)
        assert together.std[row] == pytest.approx(alone.std[0], abs=1e-6)


def test_a_voice_like_everybody_is_held_against_the_score() -> None:
    """The same cosine counts for less when the probe scores high with strangers as well."""
    cohort = unit(200, 16, 6)
    popular = center((cohort.sum(axis=0) * 3 + unit(1, 16, 7)), np.zeros(16))
    enroll, rare = unit(1, 16, 8), unit(1, 16, 9)
    statistics = [cohort_statistics(side, cohort, 50) for side in (enroll, popular, rare)]
    assert as_norm([0.5], statistics[0], statistics[1])[0] < as_norm([0.5], statistics[0], statistics[2])[0]


def test_sides_may_be_swapped() -> None:
    cohort, a, b = unit(60, 8, 1), unit(1, 8, 2), unit(1, 8, 3)
    left, right = cohort_statistics(a, cohort, 9), cohort_statistics(b, cohort, 9)
    assert as_norm([0.3], left, right) == pytest.approx(as_norm([0.3], right, left))


def test_a_cohort_of_another_model_is_refused() -> None:
    with pytest.raises(CompatibilityError, match="8 and 9 dimensions"):
        cohort_statistics(unit(1, 8, 1), unit(5, 9, 2), 3)
