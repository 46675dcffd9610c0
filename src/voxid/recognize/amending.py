"""Changes to people on record that need no recording: rename, merge, withdraw."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from voxid.bundle import Bundle
from voxid.errors import InputError, PolicyError
from voxid.gallery.consent import PURPOSES, Consent
from voxid.gallery.records import Person, PersonRecord
from voxid.recognize.enrollment import (
    MIN_CONSISTENCY_LLR,
    check_bundle,
    scores_against,
    side_of,
    with_consent,
)

__all__ = ["MergePreview", "alike_llr", "id_of", "merged", "missing", "withdrawn"]


class Finder(Protocol):
    """Whatever finds a person by name: the store, or a change in progress."""

    def find(self, name: str) -> str | None:
        """Return the id of the person of that name, or None."""


def id_of(finder: Finder, name: str) -> str:
    """Return the id of a person who must exist.

    Raises:
        InputError: person_missing.
    """
    person_id = finder.find(name)
    if person_id is None:
        raise missing(name)
    return person_id


def missing(name: str) -> InputError:
    """Return the error for a name nobody has."""
    return InputError(
        "person_missing", f"Nobody called {name!r} is in the gallery; `voxid people list` shows who is."
    )


@dataclass(frozen=True)
class MergePreview:
    """What joining two records of a person would leave.

    Args:
        person: who would be left, with the voiceprints of both and what both consented to.
        llr: of the one's voice against the other's, natural-log likelihood ratio, higher is more alike; None where one
            of them has no voiceprint.
        lost_purposes: what only one of them consented to, sorted: it would not be allowed any more.
    """

    person: Person
    llr: float | None
    lost_purposes: tuple[str, ...]

    @property
    def alike(self) -> bool | None:
        """Whether they sound like one person; None where it cannot be told. What does not is merged only on demand."""
        return None if self.llr is None else self.llr >= MIN_CONSISTENCY_LLR

    @classmethod
    def of(cls, kept: PersonRecord, gone: PersonRecord, bundle: Bundle, now: datetime) -> MergePreview:
        """Return the preview. Raises: as `merged` does, but for merge_different_voices."""
        left = merged(kept, gone, bundle, now, allow_inconsistent=True).public()
        first, second = (frozenset() if one.consent is None else one.consent.purposes for one in (kept, gone))
        return cls(left, alike_llr(kept, gone, bundle), tuple(sorted(first ^ second)))


def alike_llr(kept: PersonRecord, gone: PersonRecord, bundle: Bundle) -> float | None:
    """Return how much two people sound alike, natural-log likelihood ratio; None where one has no voiceprint."""
    if not kept.voiceprints or not gone.voiceprints:
        return None
    compared = scores_against([kept], side_of(gone, bundle), bundle)[0]
    return None if compared is None else compared[1]


def merged(
    kept: PersonRecord, gone: PersonRecord, bundle: Bundle, now: datetime, *, allow_inconsistent: bool
) -> PersonRecord:
    """Return `kept` with the voiceprints of `gone`, under what both consents allow.

    Raises:
        InputError: merge_same_person, merge_different_voices. PolicyError: consent_missing.
        CompatibilityError: model_mismatch.
    """
    if kept.id == gone.id:
        raise InputError("merge_same_person", f"{kept.name!r} cannot be merged with itself; name two people.")
    check_bundle(kept, bundle)
    check_bundle(gone, bundle)
    llr = None if allow_inconsistent else alike_llr(kept, gone, bundle)
    if llr is not None and llr < MIN_CONSISTENCY_LLR:
        raise InputError(
            "merge_different_voices",
            f"{kept.name!r} and {gone.name!r} do not sound like one person (LLR {llr:.1f}, expected at "
            f"least {MIN_CONSISTENCY_LLR:.0f}); nothing was changed: allow it only if you know better.",
        )
    known = {print_.info.audio_sha256 for print_ in kept.voiceprints}
    added = tuple(print_ for print_ in gone.voiceprints if print_.info.audio_sha256 not in known)
    consents = with_consent(kept.consents, _common_consent(kept, gone), now, "merged")
    return replace(kept, voiceprints=kept.voiceprints + added, consents=consents)


def withdrawn(person: PersonRecord, purposes: Iterable[str] | None, now: datetime) -> PersonRecord:
    """Return the person after withdrawal of the purposes (None: all); without any left, without voiceprints.

    Raises:
        InputError: consent_invalid for an unknown purpose.
    """
    ended = frozenset(PURPOSES) if purposes is None else Consent(purposes, evidence="withdrawal").purposes
    before = person.consent
    left = frozenset() if before is None else before.purposes - ended
    consent = None
    if before is not None and left:
        consent = _amended(before, purposes=left, evidence=before.evidence, expires_at=before.expires_at)
    return replace(
        person,
        voiceprints=person.voiceprints if left else (),
        consents=with_consent(person.consents, consent, now, "withdrawn"),
    )


def _common_consent(kept: PersonRecord, gone: PersonRecord) -> Consent:
    first, second = kept.consent, gone.consent
    common = first.purposes & second.purposes if first and second else frozenset()
    if first is None or second is None or not common:
        raise PolicyError(
            "consent_missing",
            f"The consents of {kept.name!r} and {gone.name!r} have no purpose in common, so their "
            "voiceprints cannot be "
            "joined; ask for a consent that covers both.",
        )
    ends = [consent.expires_at for consent in (first, second) if consent.expires_at is not None]
    evidence = first.evidence if first.evidence == second.evidence else f"{first.evidence}; {second.evidence}"
    return _amended(first, purposes=common, evidence=evidence[:4000], expires_at=min(ends, default=None))


def _amended(
    consent: Consent, *, purposes: frozenset[str], evidence: str, expires_at: datetime | None
) -> Consent:
    return Consent(
        purposes,
        evidence,
        text_sha256=consent.text_sha256,
        signer=consent.signer,
        jurisdiction=consent.jurisdiction,
        expires_at=expires_at,
        method=consent.method,
    )
