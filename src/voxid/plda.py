"""PLDA: embeddings as a speaker plus a recording, both Gaussian, and the likelihood ratio that follows.

    x = m + y + e,   y ~ N(0, B) once per speaker,   e ~ N(0, W) once per recording

B and W are diagonalised together, so that in the space of :attr:`Plda.transform` W is the identity and B is
diagonal; everything then happens per dimension.

Source: Brümmer and de Villiers, "The speaker partitioning problem", 2010 (two-covariance model); Ioffe,
"Probabilistic linear discriminant analysis", 2006 (simultaneous diagonalisation); Garcia-Romero and Espy-Wilson,
"Analysis of i-vector length normalization", 2011.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxid.errors import InputError

Floats = NDArray[np.float64]

_RIDGE = 1e-6  # of the mean variance: keeps W invertible where speakers have few recordings


@dataclass(frozen=True, eq=False)
class Plda:
    """A trained model.

    Args:
        mean: (D,) m, of centred embeddings of length 1.
        transform: (D', D), rows sorted by how much they tell speakers apart; D' may be smaller than D.
        between: (D',) variance between speakers in the transformed space, where that within speakers is 1.
    """

    mean: Floats
    transform: Floats
    between: Floats

    def project(self, vectors: NDArray[np.floating]) -> Floats:
        """Return (..., D') of centred embeddings (..., D) of length 1."""
        centred = np.array(vectors, dtype=np.float64)  # a copy, so that the mean can be taken away in place
        centred -= self.mean
        return np.asarray(centred @ self.transform.T)

    def llr(
        self, enroll: Floats, n_enroll: NDArray[np.integer], probe: Floats, n_probe: NDArray[np.integer]
    ) -> Floats:
        """Return the log-likelihood ratio of one speaker against two, (N,), natural logarithm.

        Args:
            enroll, probe: (N, D') sums of the projected recordings of each side.
            n_enroll, n_probe: (N,) how many recordings each sum holds.
        """
        return (
            self._evidence(enroll + probe, n_enroll + n_probe)
            - self._evidence(enroll, n_enroll)
            - self._evidence(probe, n_probe)
        )

    def _evidence(self, total: Floats, count: NDArray[np.integer]) -> Floats:
        """Log-likelihood of recordings of one speaker (N,), up to what cancels in the ratio."""
        spread = 1.0 + np.asarray(count, dtype=np.float64)[..., None] * self.between
        return np.asarray(0.5 * (self.between * np.square(total) / spread - np.log(spread)).sum(axis=-1))


def train_plda(
    vectors: NDArray[np.floating],
    speakers: NDArray[np.integer],
    *,
    dim: int | None = None,
    iterations: int = 10,
) -> Plda:
    """Return the two-covariance model of embeddings, by expectation-maximisation.

    It begins at :func:`estimate_plda`, the closed form, and with ``iterations=0`` ends there.

    Args:
        vectors: (N, D) centred, unit length.
        speakers: (N,) who is speaking; speakers with one recording inform m and B + W.
        dim: dimensions kept, those that tell speakers apart best (LDA); None keeps all.
        iterations: of expectation-maximisation.

    Raises:
        InputError: ``plda_needs_speakers`` with fewer than two speakers, or no speaker with two recordings.
    """
    x = np.asarray(vectors, dtype=np.float64)
    _, label, count = np.unique(speakers, return_inverse=True, return_counts=True)
    if count.size < 2 or count.max() < 2:
        raise InputError(
            "plda_needs_speakers",
            f"found {count.size} speakers with at most {count.max(initial=0)} recordings; PLDA needs two speakers "
            "or more, some with two recordings. Add speech.",
        )
    total = np.zeros((count.size, x.shape[1]))
    np.add.at(total, label, x)
    mean, B, W = _moments(x, label, total, count)
    for _ in range(iterations):
        mean, B, W = _improve(x, total, count, mean, B, W)
    transform, between = diagonalise(B, W)
    kept = slice(None, dim)
    return Plda(mean, transform[kept], between[kept])


def estimate_plda(
    vectors: NDArray[np.floating], speakers: NDArray[np.integer], *, dim: int | None = None
) -> Plda:
    """Return the simplified model: B and W straight from the scatter of speakers' means and round them.

    Arguments and errors as for :func:`train_plda`.
    """
    return train_plda(vectors, speakers, dim=dim, iterations=0)


def diagonalise(B: Floats, W: Floats) -> tuple[Floats, Floats]:
    """Return T (D, D) and psi (D,), falling, with T W T' = I and T B T' = diag(psi).

    Args:
        B: (D, D) symmetric, no eigenvalue below 0.
        W: (D, D) symmetric, positive definite.
    """
    values, vectors = np.linalg.eigh(W)
    whiten = (vectors / np.sqrt(np.maximum(values, 1e-12 * values.max()))).T
    psi, rotate = np.linalg.eigh(whiten @ B @ whiten.T)
    order = np.argsort(-psi)
    return rotate.T[order] @ whiten, np.maximum(psi[order], 0.0)


def _moments(
    x: Floats, label: NDArray[np.integer], total: Floats, count: NDArray[np.integer]
) -> tuple[Floats, Floats, Floats]:
    """Return m, B and W: unbiased estimates from the scatter within and between speakers."""
    own = total / count[:, None]
    mean = own.mean(axis=0)
    inside = x - own[label]
    W = inside.T @ inside / max(1, len(x) - count.size)
    W += _RIDGE * np.trace(W) / len(W) * np.eye(len(W))
    around = own - mean
    # The mean of n recordings still carries W / n.
    B = around.T @ around / max(1, count.size - 1) - W * float(np.mean(1.0 / count))
    values, vectors = np.linalg.eigh(B)
    return mean, (vectors * np.maximum(values, 1e-9 * max(values.max(), 1e-12))) @ vectors.T, W


def _improve(
    x: Floats, total: Floats, count: NDArray[np.integer], mean: Floats, B: Floats, W: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return m, B and W after one step of expectation-maximisation.

    The posterior of y is computed where both covariances are diagonal: precision 1 / psi + n, mean sum / precision.
    """
    T, psi = diagonalise(B, W)
    back = np.linalg.inv(T)  # columns: what one unit of each dimension is in the embeddings' space
    z_total = (total - count[:, None] * mean) @ T.T
    variance = psi / (1.0 + np.outer(count, psi))  # (S, D)
    y = variance * z_total
    z = (x - mean) @ T.T
    n = count[:, None]
    scatter = z.T @ z - z_total.T @ y - y.T @ z_total + (y * n).T @ y + np.diag((n * variance).sum(axis=0))
    within = scatter / len(x)
    # The mean of y is moved into m, so that B is round 0.
    drift = y.mean(axis=0)
    around = y - drift
    between = (around.T @ around + np.diag(variance.sum(axis=0))) / len(count)
    return mean + back @ drift, back @ between @ back.T, back @ within @ back.T
