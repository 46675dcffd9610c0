"""All that is kept of one person, in a folder they can take with them: readable, portable, with hashes, signed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, Final

from voxid.audit.statements import SignedStatement
from voxid.errors import InputError, StoreError
from voxid.gallery.keys import sync_folder
from voxid.privacy.disclosures import disclosures_of
from voxid.privacy.receipts import CONSENT_RECEIPT
from voxid.recognize import Gallery
from voxid.recognize.amending import id_of

__all__ = ["MANIFEST", "check_export", "export_person"]

MANIFEST: Final = "manifest.json"
_EXPORT: Final = "voiceprints.voxid-export"
_PAGE: Final = 1000


def export_person(
    gallery: Gallery, name: str, folder: str | Path, *, passphrase: str | None
) -> SignedStatement:
    """Write what is kept of a person into a new folder; return its manifest, which is signed.

    The voiceprints are in a file that `voxid people import` takes, encrypted with the passphrase; the rest is JSON to
    be read: the person, every consent, what was done about them, to whom what was disclosed, their receipts.

    Args:
        folder: must not be there yet; its parent must.

    Raises:
        InputError: person_missing, export_exists, export_unwritable. ConfigError: passphrase_missing.
    """
    target = Path(folder)
    if target.exists():
        raise InputError("export_exists", f"{target} already exists; give the path of a new folder.")
    draft = target.with_name(f".{target.name}.{os.urandom(6).hex()}")
    try:
        draft.mkdir(mode=0o700)
        try:
            manifest = _write(gallery, name, draft, passphrase)
            draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        sync_folder(target.absolute().parent)
    except OSError as error:
        raise InputError(
            "export_unwritable", f"{target} cannot be written ({error.strerror}); choose another folder."
        ) from error
    return manifest


def check_export(folder: str | Path) -> SignedStatement:
    """Return the manifest of an export whose files are the ones that were written.

    Raises:
        StoreError: export_damaged, naming the first file that is missing, changed or added.
    """
    target = Path(folder)
    try:
        manifest = SignedStatement.from_dict(json.loads((target / MANIFEST).read_text(encoding="utf-8")))
        expected = {str(name): str(digest) for name, digest in manifest.body["sha256"].items()}
    except (OSError, ValueError, KeyError, TypeError, InputError) as error:
        raise StoreError(
            "export_damaged", f"The manifest of {target.name} cannot be read ({error})."
        ) from error
    if not manifest.holds():
        raise StoreError(
            "export_damaged", f"The manifest of {target.name} was changed: its signature is wrong."
        )
    found = {file.name: _sha256(file) for file in target.iterdir() if file.name != MANIFEST}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            what = (
                "is missing" if name not in found else "was added" if name not in expected else "was changed"
            )
            raise StoreError("export_damaged", f"In the export {target.name} the file {name} {what}.")
    return manifest


def _write(gallery: Gallery, name: str, folder: Path, passphrase: str | None) -> SignedStatement:
    store = gallery.stored()[0]
    with store.snapshot():
        person_id = id_of(store, name)
        person = gallery.get(name)
    gallery.export(folder / _EXPORT, passphrase=passphrase, names=[name])
    receipts = store.documents(CONSENT_RECEIPT, person_id=person_id, limit=_PAGE)
    parts: dict[str, Any] = {
        "person.json": person.to_dict(),
        "activity.json": [one.to_dict() for one in _activity(gallery, person_id)],
        "disclosures.json": [one.to_dict() for one in disclosures_of(store, person_id)],
        "receipts.json": [document.body for document in receipts],
    }
    for file, value in parts.items():
        (folder / file).write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    body = {
        "exported_at": gallery.now().isoformat(),
        "person_id": person_id,
        "sha256": {file.name: _sha256(file) for file in sorted(folder.iterdir())},
    }
    manifest = store.sign("export_manifest", body)
    text = json.dumps(manifest.to_dict(), indent=1) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    return manifest


def _activity(gallery: Gallery, person_id: str) -> list[Any]:
    store = gallery.stored()[0]
    entries: list[Any] = []
    if store.audited:
        log = store.audit()
        while page := log.events(
            person_id=person_id, after=entries[-1].entry.sequence if entries else 0, limit=_PAGE
        ):
            entries += page
    return entries


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
