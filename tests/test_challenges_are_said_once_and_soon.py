"""Digits and words to be said now: random, short-lived, answered by themselves and by little else."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from voxid.errors import InputError, PolicyError
from voxid.spoof.challenge import DIGITS, WORDS, Challenge, ChallengeKind

NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)


def test_no_digit_follows_itself_and_all_are_as_likely() -> None:
    """Over 3,000 challenges every first digit and every step to the next comes about equally often."""
    source = random.Random(1)
    drawn = [[int(digit) for digit in Challenge.issue(NOW, source=source).words] for _ in range(3_000)]
    steps = Counter((b - a) % 10 for digits in drawn for a, b in itertools.pairwise(digits))
    firsts = Counter(digits[0] for digits in drawn)
    assert set(steps) == set(range(1, 10))
    assert all(len(digits) == 6 for digits in drawn)
    assert max(steps.values()) < 1.15 * min(steps.values())
    assert max(firsts.values()) < 1.4 * min(firsts.values())


def test_words_are_drawn_from_one_list() -> None:
    """64 different words, none after itself; every one of them comes."""
    assert len(set(WORDS)) == 64
    source = random.Random(1)
    drawn = [Challenge.issue(NOW, kind="words", source=source).words for _ in range(500)]
    assert {len(words) for words in drawn} == {4}
    assert {word for words in drawn for word in words} == set(WORDS)
    assert all(a != b for words in drawn for a, b in itertools.pairwise(words))


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


def test_four_digits_have_one_answer() -> None:
    """Not a part of it, not more, not in another order."""
    challenge = Challenge("0" * 32, tuple("4170"), NOW)
    assert challenge.answered_by(tuple("4170"))
    for wrong in ("", "417", "41700", "1470", "4171"):
        assert not challenge.answered_by(tuple(wrong))


@pytest.mark.parametrize(
    ("kind", "length", "allowed"),
    [
        ("digits", 4, 0),
        ("digits", 5, 0),
        ("digits", 6, 1),
        ("digits", 12, 4),
        ("words", 3, 0),
        ("words", 4, 1),
    ],
)
def test_speech_recorded_earlier_is_taken_for_an_answer_once_in_10_000(
    kind: ChallengeKind, length: int, allowed: int
) -> None:
    """The more is asked for, the more may be misheard; a fixed recording still fits under 0.02 % of challenges."""
    source = random.Random(2)
    issued = [Challenge.issue(NOW, kind=kind, length=length, source=source) for _ in range(20_000)]
    assert {challenge.most_misheard for challenge in issued} == {allowed}
    said = issued.pop(0).words
    assert sum(challenge.answered_by(said) for challenge in issued) < 5
    other = dict(zip((*DIGITS, *WORDS), (*DIGITS[1:], DIGITS[0], *WORDS[1:], WORDS[0]), strict=True))
    misheard = (*(other[word] for word in said[:allowed]), *said[allowed:])
    one = Challenge("0" * 32, said, NOW, kind)
    assert one.answered_by(misheard)
    assert not one.answered_by((*misheard[:-1], other[misheard[-1]]))


@pytest.mark.parametrize("kind", ["digits", "words"])
def test_comes_back_as_it_was_kept(kind: ChallengeKind) -> None:
    challenge = Challenge.issue(NOW, kind=kind, length=8)
    assert Challenge.from_dict(challenge.to_dict()) == challenge


@pytest.mark.parametrize(("length", "lifetime_s"), [(3, 60.0), (13, 60.0), (6, 0.0), (6, 601.0), (6, 1e12)])
def test_refuses_what_is_no_challenge(length: int, lifetime_s: float) -> None:
    with pytest.raises(InputError, match="expected 4 to 12 digits and a positive time of 600 s at most"):
        Challenge.issue(NOW, length=length, lifetime_s=lifetime_s)
