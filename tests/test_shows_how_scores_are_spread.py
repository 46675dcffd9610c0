"""How far apart the voices of a gallery are: who takes part, what is counted, and that few people are not shown."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from synthetic_people import person
from voxid.bundle import Bundle
from voxid.gallery.consent import Consent
from voxid.gallery.records import PersonRecord
from voxid.recognize.spread import spread_of
from voxid.zoo.shelf import find_bundle

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def people(bundle: Bundle, count: int, n_voiceprints: int = 2) -> list[PersonRecord]:
    return [
        person(f"p{n}", n, n_voiceprints=n_voiceprints, bundle_id=bundle.id, dim=bundle.dim)
        for n in range(count)
    ]


def test_the_same_person_scores_above_others() -> None:
    """Every reference meets its own person once and everybody else once."""
    bundle = find_bundle(None)
    spread = spread_of(people(bundle, 8, n_voiceprints=3), bundle, NOW)
    assert spread is not None
    assert (spread.people, int(spread.targets.sum()), int(spread.nontargets.sum())) == (8, 8 * 3, 8 * 3 * 7)
    middle = (spread.edges[:-1] + spread.edges[1:]) / 2
    assert np.average(middle, weights=spread.targets) > np.average(middle, weights=spread.nontargets) + 5


def test_few_people_are_not_shown() -> None:
    """A picture of four people would say how alike two of them sound."""
    bundle = find_bundle(None)
    assert spread_of(people(bundle, 4), bundle, NOW) is None


def test_only_people_who_agreed_to_be_compared_take_part() -> None:
    """Consent to be named in recordings, or to nothing any more, is none to be compared here."""
    bundle = find_bundle(None)
    naming = Consent({"diarize-name"}, evidence="signed form 17")
    others = [
        person(f"q{n}", 50 + n, consent=consent, bundle_id=bundle.id, dim=bundle.dim)
        for n, consent in enumerate((naming, None))
    ]
    spread = spread_of([*others, *people(bundle, 5)], bundle, NOW)
    assert spread is not None
    assert spread.people == 5


def test_voiceprints_of_another_model_are_left_out() -> None:
    """They cannot be compared."""
    bundle = find_bundle(None)
    stranger = person("old", 99, bundle_id="other@0123456789ab", dim=bundle.dim)
    spread = spread_of([stranger, *people(bundle, 5)], bundle, NOW)
    assert spread is not None
    assert spread.people == 5
