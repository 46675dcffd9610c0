"""The ledger of disclosures: to whom what of a person was given, on what basis, when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from voxid.audit.events import Event
from voxid.errors import InputError
from voxid.gallery.documents import Document, new_document_id
from voxid.gallery.store import Store
from voxid.recognize.amending import id_of

__all__ = ["Disclosure", "disclose", "disclosures_of", "ledger_page", "recipients"]

_KIND: Final = "disclosure"
_PAGE: Final = 1000
_MAX_CHARS: Final = 400


@dataclass(frozen=True)
class Disclosure:
    """One thing given to somebody.

    Args:
        recipient: to whom.
        what: e.g. "voiceprints", "timeline of 3 May".
        basis: consent, warrant, law; with its reference.
        at: when, ISO 8601; empty before it is written.

    Raises:
        InputError: disclosure_invalid.
    """

    recipient: str
    what: str
    basis: str
    at: str = ""

    def __post_init__(self) -> None:
        for name in ("recipient", "what", "basis"):
            if not 0 < len(getattr(self, name).strip()) <= _MAX_CHARS:
                raise InputError(
                    "disclosure_invalid",
                    f"The disclosure's {name} is {getattr(self, name)[:40]!r}; expected 1 to {_MAX_CHARS} characters.",
                )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Disclosure:
        """Return the disclosure `to_dict` wrote."""
        return cls(*(str(fields[name]) for name in ("recipient", "what", "basis", "at")))


def disclose(store: Store, name: str, disclosure: Disclosure, now: datetime) -> Disclosure:
    """Return the disclosure as written into the ledger; it goes with the person.

    Raises:
        InputError: person_missing.
    """
    written = Disclosure(disclosure.recipient, disclosure.what, disclosure.basis, now.isoformat())
    with store.changing() as change:
        person_id = id_of(change, name)
        change.put_document(Document(_KIND, new_document_id(), written.to_dict(), person_id=person_id))
        change.record(Event("person.disclosed", person_id=person_id, personal=written.to_dict(), at=now))
    return written


def disclosures_of(store: Store, person_id: str | None = None) -> list[Disclosure]:
    """Return the ledger, of one person or of everybody, in order of time."""
    found: list[Disclosure] = []
    after = None
    while page := store.documents(_KIND, person_id=person_id, after_id=after, limit=_PAGE):
        found += [Disclosure.from_dict(document.body) for document in page]
        after = page[-1].id
    return found


def ledger_page(
    store: Store, after: str | None, limit: int, person_id: str | None = None
) -> tuple[list[tuple[str, Disclosure]], str | None]:
    """Return some of the ledger, of one person or of everybody, in order of time, and what comes after it.

    Each entry stands with the id of whom it is about.
    """
    found = store.documents(_KIND, person_id=person_id, after_id=after, limit=limit + 1)
    page = [(one.person_id or "", Disclosure.from_dict(one.body)) for one in found[:limit]]
    return page, found[limit - 1].id if len(found) > limit else None


def recipients(disclosures: list[Disclosure]) -> list[str]:
    """Return to whom something was given, each once."""
    return sorted({disclosure.recipient for disclosure in disclosures})
