"""Advance the clock: the dry run lists who is due under their law, and the run lets exactly those go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from privacy_gallery import Clock, consent, enroll, open_gallery, seen
from voxid.errors import CompatibilityError, InputError
from voxid.privacy.holds import hold, release
from voxid.privacy.jurisdictions import JURISDICTIONS, jurisdictions_of
from voxid.privacy.retention import due_people, run_retention
from voxid.privacy.settings import PrivacySettings, read_settings, write_settings
from voxid.recognize import Gallery

BOTH_ENGINES = True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gallery(tmp_path: Path, clock: Clock) -> Iterator[Gallery]:
    with open_gallery(tmp_path, clock) as opened:
        enroll(opened, "Illinois", 1, consent("verify", jurisdiction="US-IL"))
        enroll(opened, "Texas", 2, consent("verify", jurisdiction="US-TX", days=100))
        enroll(opened, "Berlin", 3, consent("verify", jurisdiction="EU-DE"))
        enroll(opened, "Paris", 4, consent("verify", jurisdiction="FR", days=30))
        enroll(opened, "Nowhere", 5, consent("verify", "identify"))
        yield opened


def due(gallery: Gallery) -> list[str]:
    return [one.name for one in due_people(gallery)]


def names(gallery: Gallery) -> list[str]:
    return [person.name for person in gallery.people()]


def test_each_law_counts_its_own_time(gallery: Gallery, clock: Clock) -> None:
    """A year for the GDPR and, the strictest, where no law is known; a year after a Texan consent; three years."""
    listed: list[str] = []
    for days, more in [(0, ""), (30, "Paris"), (365, "Berlin Nowhere"), (465, "Texas"), (1095, "Illinois")]:
        clock.days = days - 0.1
        assert sorted(due(gallery)) == sorted(listed)
        clock.days = days
        listed += more.split()
        assert sorted(due(gallery)) == sorted(listed)


def test_the_run_lets_exactly_the_listed_go(gallery: Gallery, clock: Clock) -> None:
    clock.days = 365
    before = names(gallery)
    dry = run_retention(gallery, dry_run=True)
    assert names(gallery) == before
    report = run_retention(gallery)
    assert [one.name for one in report.due] == [one.name for one in dry.due] == ["Paris", "Berlin", "Nowhere"]
    assert names(gallery) == ["Illinois", "Texas"]
    assert [receipt.body["reason"] for receipt in report.receipts] == ["retention"] * 3
    assert run_retention(gallery).due == ()
    log = gallery.stored()[0].audit()
    assert log.verify().whole
    deleted = log.events(act="person.deleted")
    assert [(one.entry.actor.kind, one.entry.actor.id) for one in deleted] == [("system", "retention")] * 3
    runs = log.events(act="retention.run")
    assert [one.entry.facts["erased"] for one in runs] == [3, 0]


def test_who_is_seen_again_has_their_time_anew(gallery: Gallery, clock: Clock) -> None:
    clock.days = 300
    seen(gallery, "Berlin")
    clock.days = 400
    assert "Berlin" not in due(gallery)
    clock.days = 665
    assert "Berlin" in due(gallery)


def test_a_period_of_ones_own_ends_single_purposes(gallery: Gallery, clock: Clock) -> None:
    """What is left of the consent stays; when nothing would be left, the person goes."""
    store = gallery.stored()[0]
    write_settings(store, PrivacySettings(keep_days={"identify": 90, "verify": 200}), gallery.now())
    clock.days = 90
    (one,) = run_retention(gallery).due[1:]  # Paris came before
    assert (one.name, one.purposes, one.reason) == (
        "Nowhere",
        ("identify",),
        "no interaction for the time set for identify",
    )
    left = gallery.get("Nowhere").consent
    assert left is not None
    assert left.purposes == {"verify"}
    clock.days = 200
    run_retention(gallery)
    assert names(gallery) == []


def test_a_withdrawn_consent_is_kept_as_proof_for_a_time(gallery: Gallery, clock: Clock) -> None:
    write_settings(gallery.stored()[0], PrivacySettings(proof_days=1000), gallery.now())
    gallery.withdraw("Berlin")
    clock.days = 999
    assert "Berlin" not in due(gallery)
    clock.days = 1000
    assert "Berlin" in due(gallery)


def test_a_hold_keeps_a_person_until_it_is_released(gallery: Gallery, clock: Clock) -> None:
    store = gallery.stored()[0]
    hold(store, "Berlin", "case 12/26", gallery.now())
    clock.days = 400
    report = run_retention(gallery)
    assert {one.name: one.held for one in report.due} == {
        "Paris": None,
        "Nowhere": None,
        "Berlin": "case 12/26",
    }
    assert "Berlin" in names(gallery)
    assert release(store, "Berlin", gallery.now()) == 1
    assert [one.name for one in run_retention(gallery).due] == ["Berlin"]
    with pytest.raises(InputError, match="A legal hold needs a reason"):
        hold(store, "Texas", " ", gallery.now())


def test_laws_are_found_by_the_code_of_a_consent() -> None:
    found = {
        code: [law.id for law in jurisdictions_of(code)] for code in ("US-IL", "us-tx", "EU-DE", "IT", "GDPR")
    }
    assert found == {
        "US-IL": ["bipa"],
        "us-tx": ["cubi"],
        "EU-DE": ["gdpr"],
        "IT": ["gdpr"],
        "GDPR": ["gdpr"],
    }
    assert jurisdictions_of("US-CA") == jurisdictions_of(None) == JURISDICTIONS
    assert jurisdictions_of("US-ILX") == JURISDICTIONS
    assert all(rule.source for law in JURISDICTIONS for rule in law.rules)


def test_settings_are_checked_and_changed_as_a_whole(gallery: Gallery) -> None:
    store = gallery.stored()[0]
    first = write_settings(
        store, PrivacySettings(controller="Example Ltd", keep_days={"verify": 9}), gallery.now()
    )
    assert read_settings(store) == first
    assert first.version == 1
    with pytest.raises(CompatibilityError, match="it was changed meanwhile"):
        write_settings(store, PrivacySettings(), gallery.now())
    with pytest.raises(InputError, match="keep_days names the purpose 'selling'; known are verify"):
        PrivacySettings(keep_days={"selling": 1})
    with pytest.raises(InputError, match="a period has -1 days; expected 0 to 7320"):
        PrivacySettings(proof_days=-1)
