"""What the law asks of whoever keeps voiceprints: how long, on what consent, with what proof.

jurisdictions  BIPA, CUBI, GDPR as data: retention rules and duties with their sources
settings       who is responsible, and what they decided
holds          people who must not be erased for the time being
disclosures    to whom what was given
erasing        erasure with a signed receipt
retention      who is due, and the job that lets exactly them go
receipts       consent receipts with the fields of ISO/IEC TS 27560, signed
portability    all that is kept of one person, with a manifest of hashes
processing     the record of processing activities, from the gallery as it is
policy         the public policy, as text and as a page
"""

from __future__ import annotations

from voxid.privacy.disclosures import Disclosure, disclose, disclosures_of
from voxid.privacy.erasing import erase, erasure_receipt, finish_erasures
from voxid.privacy.holds import held_people, hold, release
from voxid.privacy.jurisdictions import JURISDICTIONS, Jurisdiction, jurisdictions_of
from voxid.privacy.policy import policy_page, policy_sections, policy_text
from voxid.privacy.portability import check_export, export_person
from voxid.privacy.processing import processing_record, processing_text
from voxid.privacy.receipts import issue_receipt
from voxid.privacy.retention import Due, RetentionReport, due_people, run_retention
from voxid.privacy.settings import PrivacySettings, read_settings, write_settings

__all__ = [
    "JURISDICTIONS",
    "Disclosure",
    "Due",
    "Jurisdiction",
    "PrivacySettings",
    "RetentionReport",
    "check_export",
    "disclose",
    "disclosures_of",
    "due_people",
    "erase",
    "erasure_receipt",
    "export_person",
    "finish_erasures",
    "held_people",
    "hold",
    "issue_receipt",
    "jurisdictions_of",
    "policy_page",
    "policy_sections",
    "policy_text",
    "processing_record",
    "processing_text",
    "read_settings",
    "release",
    "run_retention",
    "write_settings",
]
