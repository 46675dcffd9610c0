"""Erasure with a receipt: keys and rows destroyed, their bytes proved gone, and a signed statement that it was done.

The receipt is written with the erasure itself, unsigned ("erasing"), and signed after the bytes were looked for in the
file and its log ("proved"): cut off in between, it is finished by the next erasure or retention run. It names nobody:
whoever was given its id knows whose it is, nobody else does.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from voxid.audit.events import Event
from voxid.audit.statements import SignedStatement
from voxid.errors import InputError
from voxid.gallery.documents import Document, new_document_id
from voxid.gallery.holds import check_not_held
from voxid.gallery.store import Store
from voxid.privacy.disclosures import disclosures_of, recipients
from voxid.recognize import Gallery
from voxid.recognize.amending import id_of
from voxid.recognize.witness import refusals_on_record

__all__ = ["ERASURE_RECEIPT", "erase", "erasure_receipt", "finish_erasures"]

ERASURE_RECEIPT: Final = "erasure_receipt"
_ERASING: Final = "erasing"
_PROVED: Final = "proved"
_IN_A_FILE: Final = (
    "the person's AES-256-GCM keys and every row under them were deleted, the freed bytes overwritten, and the "
    "gallery and its log read again without finding them"
)
_ON_A_SERVER: Final = (
    "the person's AES-256-GCM keys and every row under them were deleted, and every table that holds something of "
    "people was rewritten without them; write-ahead log, archives and base backups of the database server are its "
    "administrator's to expire"
)


@refusals_on_record("person.deleted")
def erase(gallery: Gallery, name: str, *, reason: str = "request") -> SignedStatement:
    """Erase a person; return the signed receipt, which names recipients who must be told.

    Args:
        reason: a word: "request", "retention", "withdrawal".

    Raises:
        InputError: person_missing. PolicyError: legal_hold. StoreError: erase_incomplete when another process holds old
            pages; the person is gone then, and the receipt follows.
    """
    store, now = gallery.stored()[0], gallery.now()
    receipt_id = new_document_id()
    with store.changing() as change:
        person_id = id_of(change, name)
        check_not_held(store, person_id)
        record = change.read(person_id)
        body: dict[str, Any] = {
            "receipt_id": receipt_id,
            "reason": reason,
            "erased_at": now.isoformat(),
            "voiceprints": len(record.voiceprints),
            "consent_records": len(record.consents),
            "recipients_to_tell": recipients(disclosures_of(store, person_id)),
        }
        change.remove(person_id)
        change.put_document(Document(ERASURE_RECEIPT, receipt_id, body, _ERASING))
        facts = {"reason": reason, "receipt": receipt_id}
        change.record(Event("person.deleted", person_id=person_id, facts=facts, at=now))
    finished = {statement.body["receipt_id"]: statement for statement in finish_erasures(store, now)}
    return finished.get(receipt_id) or erasure_receipt(store, receipt_id)


def finish_erasures(store: Store, now: datetime) -> list[SignedStatement]:
    """Sign the receipts of erasures whose bytes are proved gone; none while a proof is still to be made."""
    with store.snapshot() as roster:
        if roster.state.erasure_unfinished:
            return []
    method = _IN_A_FILE if isinstance(store.path, Path) else _ON_A_SERVER
    signed = []
    for document in store.documents(ERASURE_RECEIPT, state=_ERASING, limit=1000):
        body: dict[str, Any] = {**document.body, "method": method, "proved_at": now.isoformat()}
        if store.audited:
            head = store.audit().head()
            body["audit_log"] = {"origin": head.origin, "size": head.size, "root": head.root}
        statement = store.sign(ERASURE_RECEIPT, body)
        with store.changing() as change:
            kept = replace(document, body=statement.to_dict(), state=_PROVED, version=document.version + 1)
            change.put_document(kept)
            change.record(Event("erasure.proved", facts={"receipt": document.id}, at=now))
        signed.append(statement)
    return signed


def erasure_receipt(store: Store, receipt_id: str) -> SignedStatement:
    """Return the receipt of an erasure.

    Raises:
        InputError: receipt_missing.
    """
    document = store.document(ERASURE_RECEIPT, receipt_id)
    if document is None or document.state != _PROVED:
        raise _missing(receipt_id)
    return SignedStatement.from_dict(document.body)


def _missing(receipt_id: str) -> InputError:
    return InputError(
        "receipt_missing", f"There is no receipt {receipt_id!r} here; give the id it was handed out with."
    )
