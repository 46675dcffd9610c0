"""Consent receipts: what a person agreed to, in the fields of ISO/IEC TS 27560, signed.

Source: ISO/IEC TS 27560:2023, 6.3.3 to 6.3.7 (record header, PII processing, PII information, party identification,
events) and 6.4 (receipts). Fields that are not known here are left out, never filled in.
"""

from __future__ import annotations

from typing import Any, Final

from voxid.audit.events import Event
from voxid.audit.statements import SignedStatement
from voxid.errors import PolicyError
from voxid.gallery.consent import Consent
from voxid.gallery.documents import Document, new_document_id
from voxid.gallery.records import PersonRecord
from voxid.privacy.jurisdictions import jurisdictions_of
from voxid.privacy.settings import PrivacySettings, read_settings
from voxid.recognize import Gallery
from voxid.recognize.amending import id_of

__all__ = ["CONSENT_RECEIPT", "SCHEMA", "issue_receipt"]

CONSENT_RECEIPT: Final = "consent_receipt"
SCHEMA: Final = "ISO-IEC-TS-27560:2023"
_EVENTS: Final = {"given": "explicit consent", "withdrawn": "withdrawal", "merged": "two records joined"}
_PURPOSES: Final = {
    "verify": "to check a claimed identity by voice",
    "identify": "to find out who is speaking among those enrolled",
    "diarize-name": "to put names on who speaks when in a recording or call",
    "watchlist": "to notice the voice when it is heard",
    "training": "to train or calibrate recognition",
}


def issue_receipt(gallery: Gallery, name: str) -> SignedStatement:
    """Return the receipt of a person's consent in force, signed; a copy is kept and goes with the person.

    Raises:
        InputError: person_missing. PolicyError: consent_missing when nothing is consented to.
    """
    store, now = gallery.stored()[0], gallery.now()
    settings = read_settings(store)
    with store.changing() as change:
        record = change.read(id_of(change, name))
        consent = record.consent
        if consent is None:
            raise PolicyError(
                "consent_missing", f"{record.name!r} consents to nothing, so there is no receipt to give."
            )
        receipt_id = new_document_id()
        body = {
            "schema_version": SCHEMA,
            "record_id": receipt_id,
            "pii_principal_id": record.id,
            "issued_at": now.isoformat(),
            "pii_processing": _processing(consent, settings),
            "party_identification": _parties(settings),
            "events": _events(record),
        }
        statement = store.sign(CONSENT_RECEIPT, body)
        change.put_document(Document(CONSENT_RECEIPT, receipt_id, statement.to_dict(), person_id=record.id))
        facts = {"version": record.consents[-1].version}
        change.record(Event("receipt.issued", person_id=record.id, facts=facts, at=now))
    return statement


def _processing(consent: Consent, settings: PrivacySettings) -> dict[str, Any]:
    laws = jurisdictions_of(consent.jurisdiction or settings.jurisdiction)
    notice = {"privacy_notice": consent.evidence, "privacy_notice_sha256": consent.text_sha256}
    fields = {
        **notice,
        "purposes": [
            {"purpose": purpose, "purpose_description": _PURPOSES[purpose], "lawful_basis": "consent"}
            for purpose in sorted(consent.purposes)
        ],
        "pii_information": [
            {
                "pii_type": "name",
                "pii_optional": False,
                "sensitive_pii": False,
                "special_pii_category": False,
            },
            {
                "pii_type": "voiceprint",
                "pii_optional": False,
                "sensitive_pii": True,
                "special_pii_category": True,
                "category": "biometric data to identify a person",
            },
        ],
        "collection_method": consent.method,
        "processing_method": "comparison by machine; a person reviews what lies between the thresholds",
        "storage_locations": [settings.location] if settings.location else [],
        "retention_period": [
            {"after": rule.after, "days": rule.days, "source": rule.source}
            for law in laws
            for rule in law.rules
        ],
        "jurisdiction": consent.jurisdiction or settings.jurisdiction,
        "recipient_third_parties": [],
        "withdrawal_method": settings.contact or "at whoever took the consent",
        "privacy_rights": ["withdrawal", "access", "portability", "correction", "erasure", "opt-out"],
        "signed_by_other_than_principal": consent.signer,
    }
    return {key: value for key, value in fields.items() if value is not None}


def _parties(settings: PrivacySettings) -> list[dict[str, Any]]:
    parties = [("PII controller", settings.controller), ("data protection officer", settings.officer)]
    return [
        {"party_role": role, "party_name": name, "party_contact": settings.contact}
        for role, name in parties
        if name
    ]


def _events(record: PersonRecord) -> list[dict[str, Any]]:
    return [
        {
            "event_time": entry.recorded_at.isoformat(),
            "event_type": _EVENTS[entry.act],
            "event_state": "withdrawn" if entry.consent is None else "given",
            "purposes": [] if entry.consent is None else sorted(entry.consent.purposes),
            "validity_duration": None
            if entry.consent is None or entry.consent.expires_at is None
            else f"until {entry.consent.expires_at.isoformat()}",
            "entity_id": record.id,
        }
        for entry in record.consents
    ]
