"""VBx: a Bayesian hidden Markov model over embeddings in the space of a PLDA; finds who speaks and how many.

A speaker is a state; their embeddings are Gaussian round a point y_s that is itself drawn from the PLDA's spread
between speakers. Variational Bayes alternates between where each speaker is and who made each embedding;
speakers that explain too little lose all their embeddings, which is how it counts.

Letters as in the paper: T embeddings in order of time, D dimensions, S speakers; X, Phi, gamma, rho, alpha, L, pi.

Source: Landini, Profant, Diez and Burget, "Bayesian HMM clustering of x-vector sequences (VBx) in speaker
diarization: theory, implementation and analysis on standard tasks", Computer Speech & Language 71, 2022
(arXiv 2012.14952). Equation numbers are those of the paper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxid.errors import InputError

Floats = NDArray[np.float64]

_FLOOR = 1e-8  # least probability of any transition: a speaker without mass can still be entered


@dataclass(frozen=True)
class VbxOptions:
    """How strongly the model holds on to speakers and to its assumptions.

    Attributes:
        fa: scale of the evidence. Smaller: embeddings count as more dependent on each other (overlapping windows
            are), fewer and smoother turns.
        fb: price of a speaker. Larger: fewer speakers.
        loop_probability: chance that the next embedding is of the same speaker. Larger: longer turns. 0 forgets
            the order, as is right where several voices share a place in time.
        dim: dimensions used, those that tell speakers apart best.
        smoothing: how firmly the labels it starts from are believed; 5 is 99 % against one other speaker.
        iterations: at most so many rounds.
        tolerance: stops when a round gains less than this (in nats).
        starts: numbers of clusters it also begins from when it clusters; the likeliest end is kept.
    """

    fa: float = 0.3
    fb: float = 17.0
    loop_probability: float = 0.99
    dim: int = 128
    smoothing: float = 5.0
    iterations: int = 40
    tolerance: float = 1e-6
    starts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        sound = (
            all(map(math.isfinite, (self.fa, self.fb, self.smoothing, self.tolerance)))
            and min(self.fa, self.fb, self.dim, self.iterations, *self.starts) > 0
            and 0 <= self.loop_probability < 1
        )
        if not sound:
            raise InputError(
                "option_invalid",
                f"found {self}; expected fa, fb, dim, iterations and starts above 0 and loop_probability in "
                "[0, 1); change it.",
            )


PUBLISHED = VbxOptions()
"""The published recipe for x-vectors of 1.5 s, 0.25 s apart, of 16 kHz speech (AHC+VB example of VBx)."""

WINDOWS = VbxOptions(fa=0.1, fb=2.0, loop_probability=0.9, starts=(3, 6, 12))
"""For our windows of 1.5 s, 0.75 s apart where one person speaks alone: 69 % of counts right on 42 tuning
conversations, where the published values gave 43 %, AHC 38 % and NME-SC 50 %; 81 % with more than one beginning."""

LOCAL_VOICES = VbxOptions(fa=0.07, fb=0.8, loop_probability=0.0, iterations=20)
"""For one embedding per voice and chunk, in no order: the values pyannote.audio 4 publishes for its pipeline."""


@dataclass(frozen=True)
class VbxResult:
    """What the model believes at the end.

    Attributes:
        gamma: (T, S), how likely each speaker made each embedding; rows add up to 1.
        pi: (S,), how much each speaker is expected to speak; adds up to 1.
        elbo: lower bound on the log-likelihood after each round, never falling by more than rounding.
    """

    gamma: Floats
    pi: Floats
    elbo: tuple[float, ...]

    @property
    def labels(self) -> NDArray[np.int64]:
        """(T,) the likeliest speaker of each embedding, as numbered at the start; some numbers may be gone."""
        return np.asarray(np.argmax(self.gamma, axis=1), dtype=np.int64)


def soften(labels: NDArray[np.integer], smoothing: float) -> Floats:
    """Return (T, S) responsibilities that favour ``labels`` (T,) 0..S-1 by e^smoothing."""
    gamma = np.ones((len(labels), int(labels.max()) + 1))
    gamma[np.arange(len(labels)), labels] = math.exp(smoothing)
    return np.asarray(gamma / gamma.sum(axis=1, keepdims=True))


def infer_speakers(X: Floats, Phi: Floats, gamma: Floats, options: VbxOptions = WINDOWS) -> VbxResult:
    """Return who made each embedding, beginning from ``gamma``; linear in T and S.

    Used as a clustering (from labels with more speakers than there are) and as a resegmentation (from labels
    with the right number).

    Args:
        X: (T, D') projected by :meth:`voxid.plda.Plda.project`, in order of time.
        Phi: (D',) its ``between``.
        gamma: (T, S) responsibilities to begin with, e.g. of :func:`soften`.
    """
    X, Phi = X[:, : options.dim], Phi[: options.dim]
    ratio, loop = options.fa / options.fb, options.loop_probability
    G = -0.5 * (
        np.square(X).sum(axis=1, keepdims=True) + len(Phi) * np.log(2 * np.pi)
    )  # constant term of (23)
    rho = X * np.sqrt(Phi)  # (18)
    del X  # of ten hours, 50 MB; evidence and the passes over it are half of that each, and made in place
    pi = np.full(gamma.shape[1], 1.0 / gamma.shape[1])
    elbo: list[float] = []
    for _ in range(options.iterations):
        L = 1.0 + ratio * gamma.sum(axis=0)[:, None] * Phi  # (17), diagonal of each speaker's precision
        alpha = ratio * (gamma.T @ rho) / L  # (16)
        evidence = options.fa * (rho @ alpha.T - 0.5 * (1.0 / L + np.square(alpha)) @ Phi + G)  # (23)
        gamma, entered, log_likelihood = _occupy(evidence, pi, loop)  # (19) to (22)
        regulariser = (1.0 - np.log(L) - 1.0 / L - np.square(alpha)).sum()
        elbo.append(log_likelihood + 0.5 * options.fb * float(regulariser))  # (25)
        pi = entered / entered.sum()  # (24)
        if len(elbo) > 1 and elbo[-1] - elbo[-2] < options.tolerance:
            break
    return VbxResult(gamma, pi, tuple(elbo))


def _occupy(evidence: Floats, pi: Floats, loop: float) -> tuple[Floats, Floats, float]:
    """Return gamma (T, S), how often each speaker is entered anew (S,), and the log-likelihood.

    Forward-backward for the transitions of (1): stay with probability ``loop``, else draw anew from ``pi``. That
    they are a multiple of the identity plus one row makes each step linear in S. Scaled, not logarithmic. The
    evidence is overwritten.
    """
    top = evidence.max(axis=1, keepdims=True)
    b = np.exp(np.subtract(evidence, top, out=evidence), out=evidence)
    anew = (1.0 - loop) * pi + _FLOOR
    forward, scale = _run_forward(b, pi + _FLOOR, anew, loop)
    backward = _run_backward(b, anew, loop, scale)
    gamma = np.multiply(forward, backward, out=forward)
    gamma /= gamma.sum(axis=1, keepdims=True)
    left = np.multiply(b[1:], backward[1:], out=b[1:])
    left /= scale[1:, None]
    arrived = (1.0 - loop) * pi * left.sum(axis=0)
    return gamma, gamma[0] + arrived, float(np.log(scale).sum() + top.sum())


def _run_forward(b: Floats, first: Floats, anew: Floats, loop: float) -> tuple[Floats, Floats]:
    """Return the scaled forward probabilities (T, S), rows adding up to 1, and the scales (T,)."""
    forward, scale = np.empty_like(b), np.empty(len(b))
    if loop == 0.0:
        forward[:] = b * anew
        forward[0] = b[0] * first
        np.sum(forward, axis=1, out=scale)
        forward /= scale[:, None]
        return forward, scale
    row = b[0] * first
    for t in range(len(b)):
        if t > 0:
            row = row * loop
            row += anew
            row *= b[t]
        scale[t] = total = row.sum()
        row /= total
        forward[t] = row
    return forward, scale


def _run_backward(b: Floats, anew: Floats, loop: float, scale: Floats) -> Floats:
    """Return the backward probabilities (T, S), each row divided by the scales after it."""
    backward = np.ones_like(b)
    if loop == 0.0:
        return backward
    row = backward[-1]
    for t in range(len(b) - 1, 0, -1):
        seen = b[t] * row
        row = seen * loop
        row += anew @ seen
        row /= scale[t]
        backward[t - 1] = row
    return backward


def resegment(
    X: Floats, Phi: Floats, labels: NDArray[np.integer], options: VbxOptions = WINDOWS
) -> VbxResult:
    """Return who made each embedding given a clustering of some of them: VB resegmentation.

    Args:
        X: (T, D') projected embeddings of all windows, in order of time.
        Phi: (D',) variance between speakers.
        labels: (T,) 0..S-1, or -1 where the window was not clustered: it begins with all speakers alike.
    """
    gamma = soften(np.maximum(labels, 0), options.smoothing)
    gamma[labels < 0] = 1.0 / gamma.shape[1]
    return infer_speakers(X, Phi, gamma, options)
