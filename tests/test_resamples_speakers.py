"""Intervals come from resampled speakers: right weights, repeatable, wider than trials would pretend, fast."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from voxid.evaluate.bootstrap import Estimate, Sides, estimate_all, replicate_weights
from voxid.evaluate.metrics import RankedTrials, eer

Floats = NDArray[np.float64]


def people_trials(people: int, clips: int, seed: int) -> tuple[Floats, NDArray[np.bool_], Sides]:
    """Every pair of clips, with a strong effect of each person on all their trials."""
    generator = np.random.default_rng(seed)
    speaker = np.repeat(np.arange(people), clips)
    ease = generator.normal(0, 1.0, people)
    first, second = np.triu_indices(len(speaker), 1)
    a, b = speaker[first], speaker[second]
    is_target = a == b
    scores = np.where(is_target, 2.0 + ease[a], 0.5 * (ease[a] + ease[b])) + generator.normal(0, 0.7, len(a))
    return scores, is_target, Sides(a, b, people)


def test_weights_are_products_of_the_speakers_drawn() -> None:
    """A target trial weighs c, a non-target trial c times c of its two speakers."""
    sides = Sides(np.asarray([0, 0, 1]), np.asarray([0, 1, 2]), 3)
    weights = np.concatenate(list(replicate_weights(sides, 200, seed=4)))
    counts = np.random.default_rng(4).multinomial(3, [1 / 3] * 3, size=200)
    assert np.array_equal(
        weights, np.stack([counts[:, 0], counts[:, 0] * counts[:, 1], counts[:, 1] * counts[:, 2]], 1)
    )


def test_a_replicate_is_the_list_of_the_speakers_drawn() -> None:
    """Slow oracle: write out each drawn speaker's trials and measure those."""
    scores, is_target, sides = people_trials(6, 4, seed=2)
    ranked = RankedTrials(scores, is_target)
    fast = np.concatenate([ranked.curve(weights).eer() for weights in replicate_weights(sides, 20, seed=9)])
    draws = np.random.default_rng(9).multinomial(6, [1 / 6] * 6, size=20)
    for counts, value in zip(draws, fast, strict=True):
        drawn = [person for person, count in enumerate(counts) for _ in range(count)]
        target = [scores[is_target & (sides.first == p)] for p in drawn]
        nontarget = [
            scores[((sides.first == p) & (sides.second == q)) | ((sides.first == q) & (sides.second == p))]
            for i, p in enumerate(drawn)
            for q in drawn[i + 1 :]
            if p != q
        ]
        assert value == pytest.approx(eer(np.concatenate(target), np.concatenate(nontarget)))


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    """A report can be repeated to the digit."""
    scores, is_target, sides = people_trials(10, 4, seed=0)
    ranked = RankedTrials(scores, is_target)

    def once(seed: int) -> Estimate:
        return estimate_all(lambda w: {"eer": ranked.curve(w).eer()}, sides, resamples=100, seed=seed)["eer"]

    assert once(1) == once(1)
    assert once(1) != once(2)
    assert once(1).value == once(2).value


def test_intervals_are_wider_than_independent_trials_would_give() -> None:
    """Trials of one person stand or fall together: the interval must show it."""
    scores, is_target, sides = people_trials(12, 6, seed=3)
    ranked = RankedTrials(scores, is_target)
    by_speaker = estimate_all(lambda w: {"eer": ranked.curve(w).eer()}, sides, seed=0)["eer"]
    each = np.arange(len(scores))
    by_trial = estimate_all(lambda w: {"eer": ranked.curve(w).eer()}, Sides(each, each, len(each)), seed=0)[
        "eer"
    ]
    assert by_speaker.low is not None
    assert by_speaker.high is not None
    assert by_trial.low is not None
    assert by_trial.high is not None
    assert by_speaker.low <= by_speaker.value <= by_speaker.high
    assert by_speaker.high - by_speaker.low > 2 * (by_trial.high - by_trial.low)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """Mean of 30 people's rates, 200 worlds: the 95 % interval holds the true mean in 88 to 99 % of them."""
    generator = np.random.default_rng(11)
    person = np.repeat(np.arange(30), 5)
    held = 0
    for world in range(200):
        values = generator.normal(0, 1, 30)[person] + generator.normal(0, 0.5, 150)
        found = estimate_all(
            lambda w, values=values: {"mean": w @ values / w.sum(axis=1)},
            Sides.single(person),
            resamples=200,
            seed=world,
        )["mean"]
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.0 <= found.high
    assert 0.88 <= held / 200 <= 0.99


def test_one_speaker_has_no_interval() -> None:
    """Nothing to resample is said as such, not as a width of 0."""
    found = estimate_all(lambda w: {"sum": w.sum(axis=1)}, Sides.single(np.zeros(5, dtype=np.int64)))["sum"]
    assert found == Estimate(5.0, None, None)


def test_progress_reaches_one() -> None:
    """Shares rise and end at 1."""
    scores, is_target, sides = people_trials(8, 3, seed=0)
    ranked = RankedTrials(scores, is_target)
    shares: list[float] = []
    estimate_all(lambda w: {"eer": ranked.curve(w).eer()}, sides, resamples=50, progress=shares.append)
    assert shares[-1] == 1.0
    assert shares == sorted(shares)


def test_16200_trials_and_500_resamples_take_seconds() -> None:
    """All measures of the largest evaluation list, with PAV in every replicate."""
    scores, is_target, sides = people_trials(30, 6, seed=0)
    assert len(scores) > 16_000
    ranked = RankedTrials(scores, is_target)
    start = time.process_time()
    estimate_all(
        lambda w: {"eer": ranked.curve(w).eer(), "min_cllr": ranked.min_cllr(w)}, sides, resamples=500
    )
    assert time.process_time() - start < 20.0  # 2 to 3 s on one idle core
