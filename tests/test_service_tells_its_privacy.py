"""Privacy over the API: who is responsible, the public policy, whose time is over, what was given to whom."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service_app import Running, clips, running
from voxid.client import Client
from voxid.errors import CompatibilityError, InputError


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("privacy")) as started:
        yield started


@pytest.fixture(scope="module")
def admin(house: Running) -> Client:
    return house.client()


def test_the_policy_is_public_once_somebody_is_responsible(house: Running, admin: Client) -> None:
    """Nobody needs a key for it; before a controller is stated, and for no tenant, there is none."""
    for path in ("/policy/default", "/policy/nobody"):
        assert house.http.get(path).json()["code"] == "policy_missing"
    admin.change_privacy(controller="Example Ltd, Cork", contact="privacy@example.org")
    page = house.http.get("/policy/default")
    assert page.status_code == 200
    assert "Example Ltd, Cork" in page.text
    assert "script" not in page.headers["content-security-policy"]
    with pytest.raises(CompatibilityError, match="was changed meanwhile; read it again"):
        admin.call("PUT", "/privacy", json={"controller": "Other", "version": 0})


def test_whose_law_governs_is_said_in_one_place(admin: Client) -> None:
    """The policy shows and sets the jurisdiction of the privacy settings."""
    assert admin.change_policy(jurisdiction="US-IL").jurisdiction == "US-IL"
    assert admin.privacy()["jurisdiction"] == "US-IL"
    assert admin.change_privacy(jurisdiction="EU")["jurisdiction"] == "EU"
    assert admin.policy().jurisdiction == "EU"


def test_the_record_of_processing_shows_no_secret(house: Running) -> None:
    """It is made from the live configuration; an auditor may read it."""
    record = house.client(roles=("auditor",)).call("GET", "/privacy/processing")
    assert record["configuration"]["limits"]["lockout_failures"] == 5
    assert "database" in record["configuration"]


def test_what_was_given_goes_into_the_ledger_and_with_the_person(admin: Client) -> None:
    """Recipient, what, basis, time; gone with the person."""
    ada = admin.add_person("Ada", {"verify"}, "form 1")
    entry = {"recipient": "Police of Cork", "what": "timeline of 3 May", "basis": "warrant 4711"}
    admin.call("POST", f"/people/{ada.id}/disclosures", json=entry)
    ledger = admin.call("GET", f"/people/{ada.id}/disclosures")["disclosures"]
    assert [{**entry, "at": ledger[0]["at"]}] == ledger
    bo = admin.add_person("Bruno", {"verify"}, "form 2")
    admin.call("POST", f"/people/{bo.id}/disclosures", json=entry)
    first = admin.call("GET", "/disclosures", query={"limit": 1})
    rest = admin.call("GET", "/disclosures", query={"after": first["next"]})
    assert first["disclosures"] == [{**ledger[0], "person_id": ada.id, "person": "Ada"}]
    assert ([one["person"] for one in rest["disclosures"]], rest["next"]) == (["Bruno"], None)
    admin.delete_person(bo.id)
    admin.delete_person(ada.id)
    assert admin.call("GET", "/disclosures") == {"disclosures": [], "next": None}
    with pytest.raises(InputError, match="There is no person of this id"):
        admin.call("GET", f"/people/{ada.id}/disclosures")


def test_retention_first_looks_and_then_acts(house: Running, admin: Client) -> None:
    """A dry run names whose time is over and changes nothing; the run lets exactly them go."""
    admin.change_policy(jurisdiction="US-IL")
    bo = admin.enroll("Bo", clips("bruno", 1, 2), {"verify"}, "form 2", jurisdiction="US-IL")
    assert admin.run_retention()["due"] == []
    house.clock.pass_s(4 * 366 * 86_400)
    fresh = house.client()
    assert [one["person_id"] for one in fresh.run_retention()["due"]] == [bo.person_id]
    assert fresh.person(bo.person_id).voiceprints
    report = fresh.run_retention(dry_run=False)
    assert [one["person_id"] for one in report["due"]] == [bo.person_id]
    assert len(report["receipts"]) == 1
    assert fresh.find_person("Bo") is None


def test_published_periods_are_kept_once_a_day(tmp_path: Path) -> None:
    """A tenant with a public policy is run over once a day, however many look; one without is left alone."""
    with running(tmp_path) as house:
        for tenant in ("silent", "public"):
            house.client(tenant).enroll("Bo", clips("bruno", 1, 2), {"verify"}, "form", jurisdiction="US-IL")
        house.client("public").change_privacy(controller="Example Ltd, Cork")
        assert house.service.retention.run_due() == ["public"]
        assert house.service.retention.run_due() == []
        house.clock.pass_s(4 * 366 * 86_400)
        assert house.service.retention.run_due() == ["public"]
        assert house.client("public").find_person("Bo") is None
        assert house.client("silent").find_person("Bo") is not None


def test_what_ran_out_is_deleted(house: Running) -> None:
    """An enrollment nobody completed, an answer kept for a key, a session: gone when their day has come."""
    admin = house.client()
    dev = admin.add_person("Dev", {"verify"}, "form 3", idempotency_key="key-of-dev-1")
    admin.send_recording(admin.begin_enrollment(dev.id).id, clips("dev", 1)[0])
    store = house.service.tenants.get("default").store
    kinds = ("enrollment", "idempotency")
    assert all(store.documents(kind) for kind in kinds)
    house.clock.pass_s(25 * 3600)
    house.service.jobs.purge()
    assert not any(store.documents(kind) for kind in kinds)
