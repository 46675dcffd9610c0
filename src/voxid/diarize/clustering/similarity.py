"""How alike voices are, pair by pair, and where the similarities of one person end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxid.diarize.clustering.voices import Floats

_BINS = 4096
"""Similarities are counted in so many bins before the Gaussians are fitted: error of the threshold under 0.0002."""

_TILE = 512


def cosine_matrix(means: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (M, M) mean cosines between items: the dot products of their mean unit embeddings (M, D)."""
    return symmetric(cosine_scores(means, means))


def cosine_scores(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (A, B) cosines of unit vectors (A, D) with (B, D)."""
    return np.asarray(a @ b.T)


def plda_scores(a: NDArray[np.float32], b: NDArray[np.float32], psi: Floats) -> NDArray[np.float32]:
    """Return (A, B) log-likelihood ratios, one speaker against two, of projected vectors (A, D') with (B, D').

    Each side counts as a single recording however many windows it is the mean of: windows that overlap, or follow
    each other, say much the same.

    Args:
        psi: (D',) variance between speakers where that within them is 1.

    Source: Burget et al., "Discriminatively trained probabilistic linear discriminant analysis for speaker
    verification", ICASSP 2011, eq. 7-8, in the space where both covariances are diagonal.
    """
    cross = psi / (1 + 2 * psi)
    alone = 0.5 * (cross - psi / (1 + psi))
    constant = float((np.log1p(psi) - 0.5 * np.log1p(2 * psi)).sum())
    own = (np.square(a) @ alone)[:, None] + (np.square(b) @ alone)[None, :]
    return np.asarray((a * cross) @ b.T + own + constant, dtype=np.float32)


def symmetric(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the matrix with both halves exactly equal: clustering follows ties, and rounding must not break them.

    It is overwritten, tile by tile: a second matrix of the items of ten hours would be 92 MB.
    """
    for first in range(0, len(matrix), _TILE):
        rows = slice(first, first + _TILE)
        for after in range(first, len(matrix), _TILE):
            columns = slice(after, after + _TILE)
            higher = np.maximum(matrix[rows, columns], matrix[columns, rows].T)
            matrix[rows, columns], matrix[columns, rows] = higher, higher.T
    return matrix


def split_scores(scores: NDArray[np.floating], iterations: int = 20) -> float:
    """Return the score at which two Gaussians of one variance, fitted to ``scores``, are equally likely.

    The upper one stands for pairs of one person, the lower for pairs of two. There are always two, also where only
    one person speaks: the threshold then lies inside that person's scores and too many clusters come out, which
    what follows (VB, or the merging of minor clusters) has to mend.

    Source: the calibration of AHC in Landini et al., "Bayesian HMM clustering of x-vector sequences (VBx)", 2022.
    """
    counts, edges = np.histogram(scores, bins=_BINS)
    used = counts > 0
    n, s = counts[used].astype(np.float64), ((edges[:-1] + edges[1:]) / 2)[used]
    share = n / n.sum()
    mean, var = share @ s, max(float(share @ np.square(s - share @ s)), 1e-12)
    means, weights = mean + np.sqrt(var) * np.array([-1.0, 1.0]), np.array([0.5, 0.5])
    for _ in range(iterations):
        fit = np.log(weights) - 0.5 * np.square(s[:, None] - means) / var
        upper = 1.0 / (1.0 + np.exp(np.clip(fit[:, 0] - fit[:, 1], -700, 700)))
        belongs = share[:, None] * np.stack([1.0 - upper, upper], axis=1)
        weights = np.maximum(belongs.sum(axis=0), 1e-12)
        means = (s @ belongs) / weights
        var = max(float((np.square(s[:, None] - means) * belongs).sum()), 1e-12)
    return _crossing(weights, means, var)


def _crossing(weights: Floats, means: Floats, var: float) -> float:
    """Return where two weighted Gaussians of variance ``var`` meet; their middle when they coincide."""
    apart = float(means[1] - means[0])
    middle = float(means.mean())
    return middle if apart < 1e-6 else middle - var * float(np.log(weights[1] / weights[0])) / apart
