"""Digits to be said now: random, short-lived, of one exact answer."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from voxid.errors import InputError, PolicyError
from voxid.spoof.challenge import Challenge

NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)


def test_no_digit_follows_itself_and_all_are_as_likely() -> None:
    """Over 3,000 challenges every first digit and every step to the next comes about equally often."""
    source = random.Random(1)
    drawn = [Challenge.issue(NOW, source=source).digits for _ in range(3_000)]
    steps = Counter((b - a) % 10 for digits in drawn for a, b in itertools.pairwise(digits))
    firsts = Counter(digits[0] for digits in drawn)
    assert set(steps) == set(range(1, 10))
    assert all(len(digits) == 6 for digits in drawn)
    assert max(steps.values()) < 1.15 * min(steps.values())
    assert max(firsts.values()) < 1.4 * min(firsts.values())


def test_chance_is_the_operating_systems() -> None:
    """Ids and digits of two challenges differ, whatever the seed of Python's own generator."""
    random.seed(0)
    first = Challenge.issue(NOW)
    random.seed(0)
    second = Challenge.issue(NOW)
    assert first.id != second.id
    assert len(first.id) == 32


def test_expires() -> None:
    challenge = Challenge.issue(NOW, lifetime_s=30)
    challenge.check_time(NOW + timedelta(seconds=29.9))
    with pytest.raises(PolicyError, match="ask for new ones and say those") as caught:
        challenge.check_time(NOW + timedelta(seconds=30))
    assert caught.value.code == "challenge_expired"


def test_one_answer_is_right() -> None:
    """Not a part of it, not more, not in another order."""
    challenge = Challenge("0" * 32, (4, 1, 7, 0), NOW)
    assert challenge.answered_by((4, 1, 7, 0))
    for wrong in ((), (4, 1, 7), (4, 1, 7, 0, 0), (1, 4, 7, 0)):
        assert not challenge.answered_by(wrong)


def test_comes_back_as_it_was_kept() -> None:
    challenge = Challenge.issue(NOW, n_digits=8)
    assert Challenge.from_dict(challenge.to_dict()) == challenge


@pytest.mark.parametrize(("n_digits", "lifetime_s"), [(3, 60.0), (13, 60.0), (6, 0.0)])
def test_refuses_what_is_no_challenge(n_digits: int, lifetime_s: float) -> None:
    with pytest.raises(InputError, match="expected 4 to 12 digits and a positive time"):
        Challenge.issue(NOW, n_digits=n_digits, lifetime_s=lifetime_s)
