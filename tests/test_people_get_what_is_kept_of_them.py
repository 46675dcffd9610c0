"""Consent receipts, the export of one person, the ledger, the record of processing, the public policy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from privacy_gallery import Clock, consent, enroll, open_gallery, seen
from voxid.audit.statements import SignedStatement
from voxid.cli import main
from voxid.errors import ConfigError, InputError, PolicyError, StoreError
from voxid.privacy.disclosures import Disclosure, disclose, disclosures_of
from voxid.privacy.policy import policy_page, policy_sections, policy_text
from voxid.privacy.portability import check_export, export_person
from voxid.privacy.processing import processing_record, processing_text, shown
from voxid.privacy.receipts import CONSENT_RECEIPT, issue_receipt
from voxid.privacy.settings import PrivacySettings, write_settings
from voxid.recognize import Gallery
from voxid.service.settings import Limits, ServiceSettings

BOTH_ENGINES = True
SETTINGS = PrivacySettings(
    controller="Example Ltd, 1 Road, Town",
    contact="privacy@example.org",
    officer="O. Fficer",
    location="Town",
    jurisdiction="US-IL",
    keep_days={"verify": 365},
)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with open_gallery(tmp_path, Clock()) as opened:
        enroll(opened, "Alice", 1, consent("verify", "identify", jurisdiction="EU-DE", days=400))
        enroll(opened, "Bob", 2, consent("verify"))
        write_settings(opened.stored()[0], SETTINGS, opened.now())
        yield opened


def test_a_receipt_has_the_fields_of_the_specification(gallery: Gallery) -> None:
    """Header, processing, PII, parties and events of ISO/IEC TS 27560, signed; a copy goes with the person."""
    store = gallery.stored()[0]
    statement = issue_receipt(gallery, "alice")
    assert statement.kind == CONSENT_RECEIPT
    assert statement.holds(store.audit().public_key)
    body = statement.body
    assert body["schema_version"] == "ISO-IEC-TS-27560:2023"
    assert {
        "record_id",
        "pii_principal_id",
        "pii_processing",
        "party_identification",
        "events",
    } <= body.keys()
    processing = body["pii_processing"]
    assert [one["purpose"] for one in processing["purposes"]] == ["identify", "verify"]
    assert all(one["lawful_basis"] == "consent" for one in processing["purposes"])
    wanted = {
        "privacy_notice", "purposes", "pii_information", "collection_method", "processing_method",
        "storage_locations", "retention_period", "jurisdiction", "recipient_third_parties", "withdrawal_method",
        "privacy_rights",
    }  # fmt: skip
    assert wanted <= processing.keys()
    assert processing["jurisdiction"] == "EU-DE"
    assert [one["source"].split()[0] for one in processing["retention_period"]] == ["GDPR", "GDPR"]
    assert processing["pii_information"][1]["special_pii_category"] is True
    assert [party["party_role"] for party in body["party_identification"]] == [
        "PII controller",
        "data protection officer",
    ]
    (event,) = body["events"]
    assert (event["event_type"], event["event_state"]) == ("explicit consent", "given")
    assert event["validity_duration"].startswith("until 2027-12-26")
    kept = store.documents(CONSENT_RECEIPT, person_id=str(body["pii_principal_id"]))
    assert [SignedStatement.from_dict(one.body) for one in kept] == [statement]
    gallery.withdraw("Alice")
    with pytest.raises(PolicyError, match="consents to nothing, so there is no receipt"):
        issue_receipt(gallery, "Alice")


def test_an_export_has_everything_and_its_hashes(gallery: Gallery, tmp_path: Path) -> None:
    """It is taken in elsewhere with the same voiceprints; a changed, missing or added file is named."""
    store = gallery.stored()[0]
    seen(gallery, "Alice")
    disclose(store, "Alice", Disclosure("City Court", "timeline", "order 12/26"), gallery.now())
    issue_receipt(gallery, "Alice")
    folder = tmp_path / "alice"
    manifest = export_person(gallery, "Alice", folder, passphrase="a long passphrase")
    files = ["activity.json", "disclosures.json", "person.json", "receipts.json", "voiceprints.voxid-export"]
    assert sorted(manifest.body["sha256"]) == files
    assert check_export(folder) == manifest

    def part(name: str) -> Any:
        return json.loads((folder / name).read_text())

    assert part("person.json")["name"] == "Alice"
    acts = [one["act"] for one in part("activity.json")]
    assert acts == [
        "person.enrolled",
        "verify.decided",
        "person.disclosed",
        "receipt.issued",
        "person.exported",
    ]
    assert part("disclosures.json")[0]["recipient"] == "City Court"
    assert part("receipts.json")[0]["statement"] == CONSENT_RECEIPT
    with Gallery.open(tmp_path / "elsewhere.voxid") as other:
        other.import_(folder / "voiceprints.voxid-export", passphrase="a long passphrase")
        assert other.get("Alice").voiceprints == gallery.get("Alice").voiceprints
    (folder / "person.json").write_text("{}")
    with pytest.raises(StoreError, match=r"the file person.json was changed"):
        check_export(folder)
    (folder / "person.json").unlink()
    with pytest.raises(StoreError, match=r"the file person.json is missing"):
        check_export(folder)
    with pytest.raises(InputError, match="already exists; give the path of a new folder"):
        export_person(gallery, "Alice", folder, passphrase="a long passphrase")
    with pytest.raises(ConfigError, match="always encrypted"):
        export_person(gallery, "Alice", tmp_path / "new", passphrase=None)
    assert not (tmp_path / "new").exists()


def test_the_ledger_is_by_person(gallery: Gallery) -> None:
    store = gallery.stored()[0]
    disclose(store, "Alice", Disclosure("City Court", "timeline", "order 12/26"), gallery.now())
    disclose(store, "Bob", Disclosure("Insurer", "decision", "consent of 3 May"), gallery.now())
    assert [one.recipient for one in disclosures_of(store)] == ["City Court", "Insurer"]
    assert [one.recipient for one in disclosures_of(store, gallery.get("Bob").id)] == ["Insurer"]
    with pytest.raises(InputError, match="The disclosure's basis is ' '; expected 1 to 400 characters"):
        Disclosure("Insurer", "decision", " ")


def test_the_record_of_processing_is_the_gallery_as_it_is(gallery: Gallery) -> None:
    record = processing_record(gallery, {"rate_limit": 60})
    assert record["purposes"] == [
        {"purpose": "verify", "legal_basis": "consent", "people": 2},
        {"purpose": "identify", "legal_basis": "consent", "people": 1},
    ]
    assert record["controller"]["officer"] == "O. Fficer"
    assert {rule["law"] for rule in record["retention"]["rules"]} == {"bipa", "gdpr"}
    assert record["models"][0]["bundle"] == gallery.bundle.id
    assert record["security"]["audit_log"]["entries"] == gallery.stored()[0].audit().head().size
    gallery.delete("Alice")
    after = processing_record(gallery)
    assert after["purposes"] == [{"purpose": "verify", "legal_basis": "consent", "people": 1}]
    text = processing_text(record)
    assert "## Categories of people" in text
    assert "- rate limit: 60" in text
    assert "Alice" not in text


def test_the_record_shows_how_the_service_is_set_up_and_no_secret() -> None:
    settings = ServiceSettings(database="postgresql://voxid:secret@db/voxid", port=9000)
    configuration = shown(settings)
    assert configuration["port"] == 9000
    assert configuration["limits"]["lockout_failures"] == Limits().lockout_failures
    assert configuration["database"] == "stated, not shown"
    assert "secret" not in json.dumps(configuration)


def test_the_policy_is_public_whole_and_harmless(gallery: Gallery) -> None:
    """Every period with its source; on the page nothing that was stated can be more than text."""
    store = gallery.stored()[0]
    stated = PrivacySettings(controller="<script>alert(1)</script>", contact="a@b.c", version=1)
    text = policy_text(policy_sections(store))
    assert "Example Ltd, 1 Road, Town. Contact: privacy@example.org." in text
    assert "at most 1095 days after your last interaction with us (740 ILCS 14/15(a)" in text
    assert "for the purpose verify: 365 days after your last interaction" in text
    assert "We answer within 30 days." in text
    write_settings(store, stated, gallery.now())
    page = policy_page(policy_sections(store))
    tags: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tags.append(tag)  # type: ignore[method-assign]
    parser.feed(page)
    assert "script" not in tags
    assert "&lt;script&gt;" in page
    assert "http" not in page


def test_a_policy_without_somebody_responsible_is_refused(tmp_path: Path) -> None:
    with open_gallery(tmp_path, Clock()) as empty, pytest.raises(ConfigError, match="needs a controller"):
        policy_sections(empty.stored()[0])


@pytest.mark.file_only
def test_the_commands_do_the_same(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    gallery.close()

    def answer(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        return main(["privacy", *arguments]), capsys.readouterr().out

    assert answer("receipt", "Alice", "receipt.json")[0] == 0
    assert answer("check", "receipt.json")[0] == 0
    assert answer("check", "receipt.json", "--public-key", "00" * 32)[0] == 1
    assert answer("hold", "Alice", "--reason", "case 12/26")[0] == 0
    assert answer("erase", "Alice", "--yes")[0] == 3
    assert answer("hold", "Alice", "--release")[0] == 0
    assert answer("disclose", "Alice", "--to", "Court", "--what", "all", "--basis", "order 1")[0] == 0
    assert "Court: all (order 1)" in answer("disclosures")[1]
    code, refused = answer("erase", "Alice", "receipt.json", "--yes", "--json")
    assert (code, json.loads(refused)["error"]) == (2, "output_unwritable")
    code, erased = answer("erase", "Alice", "erased.json", "--yes", "--json")
    assert (code, json.loads(erased)["body"]["recipients_to_tell"]) == (0, ["Court"])
    assert json.loads((tmp_path / "erased.json").read_text()) == json.loads(erased)
    assert json.loads(answer("retention", "--dry-run", "--json")[1])["due"] == []
    assert json.loads(answer("configure", "--keep", "verify=30", "--json")[1])["keep_days"] == {"verify": 30}
    assert answer("configure", "--keep", "verify")[0] == 2
    assert answer("policy", "policy.html", "--html")[0] == 0
    assert json.loads(answer("policy", "--json")[1])["policy"].startswith("#")
    assert "740 ILCS 14/15(a)" in answer("jurisdictions")[1]
