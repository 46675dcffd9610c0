"""People for store tests: seeded random unit vectors in place of voices."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import numpy as np

from voxid.gallery.consent import Consent, ConsentRecord
from voxid.gallery.records import PersonRecord, Voiceprint, VoiceprintInfo
from voxid.gallery.store import Store

DIM = 32
BUNDLE_ID = "test@0123456789ab"
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
FORM = Consent({"verify", "identify", "diarize-name"}, evidence="signed form 17")


def person(
    name: str,
    seed: int,
    *,
    n_voiceprints: int = 2,
    consent: Consent | None = FORM,
    bundle_id: str = BUNDLE_ID,
    dim: int = DIM,
) -> PersonRecord:
    """Return a person whose references scatter a little around a direction of their own."""
    rng = np.random.default_rng(seed)
    centre = rng.standard_normal(dim)
    prints = []
    for _ in range(n_voiceprints):
        vector = centre + 0.1 * rng.standard_normal(dim)
        info = VoiceprintInfo(
            str(UUID(bytes=rng.bytes(16))), bundle_id, 4.0, sha256(rng.bytes(8)).hexdigest(), NOW
        )
        prints.append(Voiceprint(info, (vector / np.linalg.norm(vector)).astype(np.float32)))
    history = (ConsentRecord(1, NOW, "given", consent),) if consent else ()
    return PersonRecord(str(UUID(bytes=rng.bytes(16))), name, NOW, tuple(prints), history)


def put(store: Store, *records: PersonRecord) -> None:
    """Write people in one transaction."""
    with store.changing() as change:
        for record in records:
            change.put(record)


def remove(store: Store, name: str) -> None:
    """Erase a person."""
    with store.changing() as change:
        person_id = change.find(name)
        assert person_id is not None, name
        change.remove(person_id)


def names(store: Store) -> list[str]:
    """Return the names of everybody, each read and authenticated."""
    return sorted(record.name for record in store.read_many(store.person_ids()))


def new_store(folder: Path, *people: PersonRecord) -> Store:
    """Return an open gallery with these people and a key file beside it."""
    store = Store.open(folder / "people.voxid")
    if people:
        put(store, *people)
    return store
