"""Whether a person on record agrees, now, to be used for a purpose."""

from __future__ import annotations

from datetime import datetime

from voxid.errors import PolicyError
from voxid.gallery.records import PersonRecord

__all__ = ["check_consent"]


def check_consent(person: PersonRecord, purpose: str, now: datetime, so: str) -> None:
    """Refuse what the person's consent does not cover.

    Args:
        person: on record.
        purpose: it is for.
        now: the gallery's clock.
        so: what was not done, as the refusal ends its sentence.

    Raises:
        PolicyError: consent_missing, consent_expired.
    """
    consent = person.consent
    if consent is None or purpose not in consent.purposes:
        raise PolicyError(
            "consent_missing",
            f"The person has given no consent to the purpose {purpose}, so {so}; record one that names it.",
        )
    if consent.expired(now):
        raise PolicyError("consent_expired", f"The person's consent has ended, so {so}; ask for a new one.")
