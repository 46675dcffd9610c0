"""All that is kept of one person, as one archive they can take with them; put together in memory, never on the disk.

manifest.json           signed (Ed25519): when, of whom, SHA-256 of every other file
person.json             name, consents, what is known of the voiceprints
activity.json           what was done about them, and by whom
timelines.json          when they speak in recordings whose timelines are kept
records.json            decisions, tries, disputes, review items, watchlist entries, disclosures, receipts
voiceprints.voxid-export  only with a passphrase: the voiceprints, encrypted with it, for `voxid people import`
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any, Final

from voxid.gallery.documents import Document
from voxid.gallery.records import Person
from voxid.gallery.store import Store
from voxid.recognize.gallery import Gallery
from voxid.service.diarizing import TIMELINE
from voxid.service.spool import Spool

__all__ = ["export_person"]

_KINDS: Final = (
    "attempts",
    "consent_receipt",
    "decision",
    "disclosure",
    "dispute",
    "enrollment",
    "review",
    "watchlist_entry",
)
_MANIFEST: Final = "manifest.json"
_VOICEPRINTS: Final = "voiceprints.voxid-export"
_PAGE: Final = 500


def export_person(gallery: Gallery, person: Person, spool: Spool, passphrase: str | None) -> bytes:
    """Return the archive (zip) of a person.

    Args:
        gallery: whose person.
        person: as on record.
        spool: where the voiceprints' file lies for a moment, encrypted.
        passphrase: to encrypt the voiceprints with; None leaves them out.

    Raises:
        StoreError: store_damaged, spool_full, spool_unwritable.
    """
    store, _ = gallery.stored()
    parts: dict[str, bytes] = {
        "person.json": _json(person.to_dict()),
        "activity.json": _json(_activity(store, person.id)),
        "timelines.json": _json(_timelines(store, person.id)),
        "records.json": _json(_records(store, person.id)),
    }
    if passphrase is not None:
        with spool.encrypted() as path:
            gallery.export(path, passphrase=passphrase, names=[person.name])
            parts[_VOICEPRINTS] = path.read_bytes()
    body = {
        "exported_at": gallery.now().isoformat(),
        "person_id": person.id,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(parts.items())},
    }
    parts[_MANIFEST] = _json(store.sign("export_manifest", body).to_dict())
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def _activity(store: Store, person_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if store.audited:
        log = store.audit()
        while page := log.events(
            person_id=person_id, after=found[-1]["sequence"] if found else 0, limit=_PAGE
        ):
            found += [entry.to_dict() for entry in page]
    return found


def _timelines(store: Store, person_id: str) -> list[dict[str, Any]]:
    found = []
    for document in _all(store, TIMELINE, None):
        timeline = document.body["timeline"]
        own = [turn for turn in timeline["turns"] if turn["named"] and turn["speaker"] == person_id]
        if own:
            times = [{"start_s": turn["start_s"], "end_s": turn["end_s"]} for turn in own]
            found.append({"timeline_id": document.id, "recording": timeline["uri"], "turns": times})
    return found


def _records(store: Store, person_id: str) -> list[dict[str, Any]]:
    return [
        {"kind": kind, "id": one.id, "state": one.state, "body": dict(one.body)}
        for kind in _KINDS
        for one in _all(store, kind, person_id)
    ]


def _all(store: Store, kind: str, person_id: str | None) -> list[Document]:
    found: list[Document] = []
    while page := store.documents(
        kind, person_id=person_id, after_id=found[-1].id if found else None, limit=_PAGE
    ):
        found += page
    return found


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
