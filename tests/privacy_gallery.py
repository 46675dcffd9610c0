"""An audited gallery with a clock that tests set, and people put into it without recordings."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from synthetic_people import NOW, person
from voxid.audit import Event
from voxid.gallery import Consent
from voxid.gallery.consent import ConsentRecord
from voxid.gallery.records import PersonRecord
from voxid.recognize import Gallery


class Clock:
    """A clock that tests set, in days since the people were enrolled."""

    days: float = 0.0

    def __call__(self) -> datetime:
        return NOW + timedelta(days=self.days)


def open_gallery(folder: Path, clock: Clock) -> Gallery:
    """Return a new audited gallery."""
    gallery = Gallery.open(folder / "people.voxid", clock=clock)
    gallery.stored()[0].start_audit()
    return gallery


def consent(*purposes: str, jurisdiction: str | None = None, days: float | None = None) -> Consent:
    """Return a consent that ends so many days after the enrollment."""
    ends = None if days is None else NOW + timedelta(days=days)
    return Consent(
        purposes or {"verify"},
        evidence="signed form 17",
        jurisdiction=jurisdiction,
        expires_at=ends,
        text_sha256="ab" * 32,
        method="electronic signature",
    )


def enroll(gallery: Gallery, name: str, seed: int, given: Consent) -> PersonRecord:
    """Put a person into the gallery as if they had been enrolled on the first day."""
    record = replace(person(name, seed), consents=(ConsentRecord(1, NOW, "given", given),))
    with gallery.stored()[0].changing() as change:
        change.put(record)
        change.record(Event("person.enrolled", person_id=record.id, at=NOW))
    return record


def seen(gallery: Gallery, name: str) -> None:
    """Let a person have been verified, now by the gallery's clock."""
    store = gallery.stored()[0]
    store.record([Event("verify.decided", "accept", store.find(name), at=gallery.now())])
