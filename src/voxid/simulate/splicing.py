"""Splicing: genuine speech of one person cut at its quiet places and put together in another order.

Every sample is genuine; what is not are the joins, the rhythm and what is said. Each function takes the recording,
a generator of random numbers and other recordings of the same person (without them its own pieces are used).

Source: the kind of attack of Yi et al., "Half-truth: a partially fake audio detection dataset", Interspeech 2021, and
of ASVspoof 2019's waveform concatenation (A04, A16).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxid.audio import SAMPLE_RATE_HZ
from voxid.simulate.distortions import Samples

__all__ = ["hard_joined", "inserted", "pieces", "repeated", "shuffled"]

_SHORTEST_SAMPLES = SAMPLE_RATE_HZ // 5  # between two cuts
_HOP = 160
_QUIET = 0.3  # quantile of loudness below which a cut may be made
_SPOKEN = 0.3  # of the mean loudness, below which a piece is a pause
_MOST_PIECES = 8


def shuffled(samples: Samples, rng: np.random.Generator, others: Sequence[Samples] = ()) -> Samples:
    """Return up to eight pieces in another order, 2 to 16 ms faded into each other."""
    return _joined(_mixed(samples, rng, others), int(rng.integers(32, 257)))


def hard_joined(samples: Samples, rng: np.random.Generator, others: Sequence[Samples] = ()) -> Samples:
    """Return up to eight pieces in another order, cut hard."""
    return _joined(_mixed(samples, rng, others), 0)


def inserted(samples: Samples, rng: np.random.Generator, others: Sequence[Samples] = ()) -> Samples:
    """Return the recording with one piece replaced by one of another recording of the same person."""
    own = pieces(samples)
    foreign = [piece for other in others for piece in pieces(other)] or own[::-1]
    at = int(rng.integers(len(own)))
    own[at] = _as_loud(foreign[int(rng.integers(len(foreign)))], own[at])
    return _joined(own, int(rng.integers(16, 129)))


def repeated(samples: Samples, rng: np.random.Generator, others: Sequence[Samples] = ()) -> Samples:
    """Return the recording with one piece said twice, as a cut-out word would be put in again."""
    own = pieces(samples)
    at = int(rng.integers(len(own)))
    return _joined([*own[: at + 1], own[at], *own[at + 1 :]], int(rng.integers(0, 129)))


def pieces(samples: Samples) -> list[Samples]:
    """Return the spoken pieces between quiet places, each at least 0.2 s; at least two, cut in half if need be."""
    loudness = np.sqrt(np.convolve(samples.astype(np.float64) ** 2, np.full(400, 1 / 400), "same")[::_HOP])
    cuts = [0]
    for frame in np.flatnonzero(loudness <= np.quantile(loudness, _QUIET)):
        start = int(frame) * _HOP
        if start - cuts[-1] >= _SHORTEST_SAMPLES and samples.size - start >= _SHORTEST_SAMPLES:
            cuts.append(start + int(np.abs(samples[start : start + _HOP]).argmin()))
    found = [samples[a:b] for a, b in zip(cuts, [*cuts[1:], samples.size], strict=True)]
    enough = _SPOKEN * float(np.abs(samples).mean())
    spoken = [piece for piece in found if float(np.abs(piece).mean()) > enough]
    return spoken if len(spoken) > 1 else [samples[: samples.size // 2], samples[samples.size // 2 :]]


def _mixed(samples: Samples, rng: np.random.Generator, others: Sequence[Samples]) -> list[Samples]:
    """Return pieces of the recording and of others, as loud as it, in an order that is not the old one."""
    own = pieces(samples)
    pool = own + [_as_loud(piece, samples) for other in others for piece in pieces(other)]
    order = rng.permutation(len(pool))[:_MOST_PIECES]
    if np.all(np.diff(order) == 1):
        order = order[::-1]
    return [pool[int(at)] for at in order]


def _as_loud(piece: Samples, model: Samples) -> Samples:
    gain = float(np.abs(model).mean()) / max(float(np.abs(piece).mean()), 1e-4)
    return np.asarray(piece * gain, dtype=np.float32)


def _joined(parts: Sequence[Samples], fade_samples: int) -> Samples:
    """Return the parts one after the other, each faded into the next over at most ``fade_samples``."""
    whole = parts[0]
    for part in parts[1:]:
        fade = min(fade_samples, whole.size, part.size)
        rising = np.linspace(0.0, 1.0, fade, dtype=np.float32)
        over = whole[whole.size - fade :] * (1.0 - rising) + part[:fade] * rising
        whole = np.concatenate([whole[: whole.size - fade], over, part[fade:]])
    return np.asarray(whole, dtype=np.float32)
