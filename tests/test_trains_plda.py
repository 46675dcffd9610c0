"""PLDA: likelihood ratios against Gaussian densities written out, training against known parameters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from voxid.errors import InputError
from voxid.plda import Plda, diagonalise, estimate_plda, train_plda


def covariance(dim: int, seed: int, size: float) -> np.ndarray:
    a = np.random.default_rng(seed).standard_normal((dim, dim))
    return size * (a @ a.T / dim + 0.3 * np.eye(dim))


def speech(
    n_speakers: int, counts: np.ndarray, B: np.ndarray, W: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return recordings drawn from the model itself, with mean 1, and who speaks."""
    rng = np.random.default_rng(5)
    label = np.repeat(np.arange(n_speakers), counts)
    y = rng.multivariate_normal(np.ones(len(B)), B, n_speakers)
    return y[label] + rng.multivariate_normal(np.zeros(len(W)), W, len(label)), label


@pytest.mark.parametrize(("n_enroll", "n_probe"), [(1, 1), (3, 1), (2, 4)])
def test_the_ratio_is_that_of_the_densities(n_enroll: int, n_probe: int) -> None:
    """One speaker: all recordings share y, so their joint covariance has B in every block."""
    B, W, mean = covariance(4, 1, 1.0), covariance(4, 2, 0.5), np.full(4, 0.2)
    transform, between = diagonalise(B, W)
    plda = Plda(mean, transform, between)
    x = np.random.default_rng(3).standard_normal((n_enroll + n_probe, 4))

    def log_density(rows: np.ndarray) -> float:
        n = len(rows)
        joint = np.kron(np.ones((n, n)), B) + np.kron(np.eye(n), W)
        return float(multivariate_normal(np.tile(mean, n), joint).logpdf(rows.ravel()))

    expected = log_density(x) - log_density(x[:n_enroll]) - log_density(x[n_enroll:])
    z = plda.project(x)
    found = plda.llr(
        z[:n_enroll].sum(axis=0)[None],
        np.array([n_enroll]),
        z[n_enroll:].sum(axis=0)[None],
        np.array([n_probe]),
    )
    assert found[0] == pytest.approx(expected, abs=1e-8)


def test_diagonalising_makes_within_one_and_between_diagonal() -> None:
    B, W = covariance(6, 1, 2.0), covariance(6, 2, 0.1)
    T, psi = diagonalise(B, W)
    np.testing.assert_allclose(T @ W @ T.T, np.eye(6), atol=1e-9)
    np.testing.assert_allclose(T @ B @ T.T, np.diag(psi), atol=1e-8)
    assert (np.diff(psi) <= 0).all()


@pytest.mark.parametrize("train", [train_plda, estimate_plda])
def test_known_parameters_are_recovered(train) -> None:  # type: ignore[no-untyped-def]
    """Both ways find B and W of 2,000 speakers with one to six recordings each."""
    B, W = covariance(3, 1, 1.0), covariance(3, 2, 0.4)
    counts = np.random.default_rng(1).integers(1, 7, 2_000)
    plda = train(*speech(2_000, counts, B, W))
    back = np.linalg.inv(plda.transform)
    np.testing.assert_allclose(back @ back.T, W, rtol=0.1, atol=0.03)
    np.testing.assert_allclose(back * plda.between @ back.T, B, rtol=0.15, atol=0.08)
    np.testing.assert_allclose(plda.mean, 1.0, atol=0.08)


def test_expectation_maximisation_raises_the_likelihood() -> None:
    B, W = covariance(3, 1, 1.0), covariance(3, 2, 2.0)
    x, label = speech(150, np.random.default_rng(2).integers(1, 4, 150), B, W)

    def likelihood(plda: Plda) -> float:
        back = np.linalg.inv(plda.transform)
        between, within = back * plda.between @ back.T, back @ back.T
        total = 0.0
        for speaker in range(150):
            rows = x[label == speaker]
            n = len(rows)
            joint = np.kron(np.ones((n, n)), between) + np.kron(np.eye(n), within)
            total += multivariate_normal(np.tile(plda.mean, n), joint).logpdf(rows.ravel())
        return total

    steps = [likelihood(train_plda(x, label, iterations=n)) for n in (0, 1, 3, 10)]
    assert steps == sorted(steps)
    assert steps[-1] > steps[0]


def test_speakers_with_one_recording_are_welcome() -> None:
    """They cannot show what varies within a speaker, but nothing breaks, and the others do."""
    counts = np.array([1] * 300 + [2] * 20)
    plda = train_plda(*speech(320, counts, covariance(3, 1, 1.0), covariance(3, 2, 0.3)))
    assert np.isfinite(plda.transform).all()
    assert plda.between[0] > 1.0


def test_fewer_dimensions_are_the_telling_ones() -> None:
    B, W = np.diag([4.0, 0.01, 1.0]), np.eye(3) * 0.5
    plda = train_plda(*speech(1_000, np.full(1_000, 4), B, W), dim=2)
    assert plda.transform.shape == (2, 3)
    assert np.abs(plda.transform[:, 1]).max() < 0.3 * np.abs(plda.transform[:, [0, 2]]).max()


def test_more_dimensions_than_recordings_still_give_a_model() -> None:
    rng = np.random.default_rng(1)
    plda = train_plda(rng.standard_normal((12, 30)), np.arange(12) // 2)
    assert np.isfinite(plda.transform).all()
    assert (plda.between >= 0).all()


@pytest.mark.parametrize("speakers", [np.zeros(5, int), np.arange(5)])
def test_one_speaker_or_one_recording_each_is_refused(speakers: np.ndarray) -> None:
    with pytest.raises(
        InputError, match="PLDA needs two speakers or more, some with two recordings"
    ) as caught:
        train_plda(np.eye(5), speakers)
    assert caught.value.code == "plda_needs_speakers"
