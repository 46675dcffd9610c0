"""What one person sounds like, for looking them up in a recording: only with their consent in force."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxid.audit.events import Event
from voxid.backend import Quality
from voxid.errors import CompatibilityError, PolicyError
from voxid.recognize.amending import id_of, missing
from voxid.recognize.applying import refuse_opted_out
from voxid.recognize.enrollment import mismatch_sentence
from voxid.recognize.opened import OpenGallery
from voxid.recognize.witness import refusals_on_record

__all__ = ["References", "references_of"]


@dataclass(frozen=True, eq=False)
class References:
    """All references of one voice.

    Args:
        name: of the person.
        embeddings: (R, D) raw, unit length, R at least 1.
        qualities: of the speech behind each.
    """

    name: str
    embeddings: NDArray[np.float32]
    qualities: list[Quality]


@refusals_on_record("person.looked_for")
def references_of(gallery: OpenGallery, name: str, purpose: str) -> References:
    """Return the references of a person of a gallery who consents to the purpose.

    Raises:
        PolicyError: opted_out, consent_missing, consent_expired. InputError: person_missing.
        CompatibilityError: model_mismatch when another bundle made all of them. StoreError: store_damaged.
    """
    bundle = gallery.bundle
    store, _ = gallery.stored()
    with store.snapshot():
        if store.opted_out(name):
            raise refuse_opted_out(name)
        person = store.read(id_of(store, name))
    if person is None:
        raise missing(name)
    consent = person.consent
    if consent is None or purpose not in consent.purposes:
        raise PolicyError(
            "consent_missing",
            f"{person.name!r} has given no consent to the purpose {purpose}, so no recording was opened; record one "
            "that names it.",
        )
    if consent.expired(gallery.now()):
        raise PolicyError(
            "consent_expired",
            f"The consent of {person.name!r} ended on {consent.expires_at:%Y-%m-%d}, so no recording was opened; ask "
            "for a new one.",
        )
    embeddings = person.embeddings(bundle.id)
    if not len(embeddings):
        raise CompatibilityError("model_mismatch", mismatch_sentence(person, bundle))
    facts = {"purpose": purpose, "model_id": bundle.id}
    store.record([Event("person.looked_for", "done", person.id, facts, at=gallery.now())])
    return References(person.name, embeddings, person.qualities(bundle.id))
