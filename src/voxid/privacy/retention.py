"""Who is due, by law and by what was decided, and the job that lets exactly them go.

The last interaction is the newest of: enrollment of a voiceprint, a consent given, and, where the gallery keeps an
audit log, a verification or a search the person was found by. Without the log nothing is known of those, so that people
are due earlier, never later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from voxid.audit.actors import Actor, acting_as
from voxid.audit.events import Event
from voxid.audit.statements import SignedStatement
from voxid.gallery.consent import Consent
from voxid.gallery.records import PersonRecord
from voxid.privacy.erasing import erase, finish_erasures
from voxid.privacy.holds import held_people
from voxid.privacy.jurisdictions import Jurisdiction, jurisdictions_of
from voxid.privacy.settings import PrivacySettings, read_settings
from voxid.recognize import Gallery

__all__ = ["INTERACTIONS", "Due", "RetentionReport", "due_people", "run_retention"]

_READ_AT_ONCE: Final = 400

INTERACTIONS: Final = (
    "verify.decided",
    "person.matched",
    "voiceprint.added",
    "person.enrolled",
    "consent.given",
)
"""The acts that show that a person still deals with whoever keeps their voice."""


@dataclass(frozen=True)
class Due:
    """Somebody whose time is over.

    Args:
        person_id, name: who.
        purposes: whose consent ends; none: the person is erased.
        due_at: since when.
        reason: the rule, in words; source: where it is written.
        held: why nothing is done for the time being; None when it is.
    """

    person_id: str
    name: str
    purposes: tuple[str, ...]
    due_at: datetime
    reason: str
    source: str
    held: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as ``--json`` prints them."""
        return {
            "person_id": self.person_id,
            "name": self.name,
            "action": "end_purposes" if self.purposes else "erase",
            "purposes": list(self.purposes),
            "due_at": self.due_at.isoformat(),
            "reason": self.reason,
            "source": self.source,
            "held": self.held,
        }


@dataclass(frozen=True)
class RetentionReport:
    """What a retention run did, or would do.

    Args:
        dry_run: nothing was changed.
        due: everybody whose time is over, those under a hold among them.
        receipts: of the erasures.
        unknown: ids of people without a name whose time was over.
    """

    dry_run: bool
    due: tuple[Due, ...]
    receipts: tuple[SignedStatement, ...]
    unknown: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as ``--json`` prints them."""
        return {
            "dry_run": self.dry_run,
            "due": [due.to_dict() for due in self.due],
            "receipts": [receipt.to_dict() for receipt in self.receipts],
            "unknown": list(self.unknown),
        }


@dataclass(frozen=True)
class _Limit:
    """One end: when, why, where that is written, and of which purposes; none: of all."""

    at: datetime
    reason: str
    source: str
    purposes: tuple[str, ...] = ()


def due_people(gallery: Gallery) -> list[Due]:
    """Return everybody whose time is over by the gallery's clock, earliest first.

    Raises:
        StoreError: store_damaged, audit_damaged.
    """
    store = gallery.stored()[0]
    logged = store.audit().latest(INTERACTIONS) if store.audited else {}
    ids, due = store.person_ids(), []
    for at in range(0, len(ids), _READ_AT_ONCE):  # others of this process have their turn in between
        due += _due_among(gallery, ids[at : at + _READ_AT_ONCE], logged)
    return sorted(due, key=lambda one: (one.due_at, one.person_id))


def run_retention(gallery: Gallery, *, dry_run: bool = False) -> RetentionReport:
    """Erase, or end the purposes of, exactly those `due_people` lists who are under no hold; purge expired strangers.

    Args:
        dry_run: only say who it would be.

    Raises:
        StoreError: erase_incomplete when another process holds old pages.
    """
    due = tuple(due_people(gallery))
    if dry_run:
        return RetentionReport(True, due, (), tuple(one.id for one in gallery.unknown.purge(dry_run=True)))
    store = gallery.stored()[0]
    receipts = []
    with acting_as(Actor("system", "retention")):
        finish_erasures(store, gallery.now())
        for listed in due:
            one = _as_now(gallery, listed)
            if one is None or one.held is not None:
                continue
            if one.purposes:
                gallery.withdraw(one.name, one.purposes)
            else:
                receipts.append(erase(gallery, one.name, reason="retention"))
        expired = gallery.unknown.purge(dry_run=True)
        if expired:
            gallery.unknown.purge()
        facts = {"due": len(due), "erased": len(receipts), "unknown": len(expired)}
        store.record([Event("retention.run", facts=facts, at=gallery.now())])
    return RetentionReport(False, due, tuple(receipts), tuple(one.id for one in expired))


def _as_now(gallery: Gallery, listed: Due) -> Due | None:
    """Return somebody listed as they are due now; None when they were seen, changed or erased meanwhile."""
    store = gallery.stored()[0]
    logged = store.audit().latest(INTERACTIONS, listed.person_id) if store.audited else {}
    found = _due_among(gallery, [listed.person_id], logged)
    return found[0] if found else None


def _due_among(gallery: Gallery, person_ids: Sequence[str], logged: Mapping[str, datetime]) -> list[Due]:
    store, now = gallery.stored()[0], gallery.now()
    settings, held = read_settings(store), held_people(store)
    due = []
    for record in list(store.read_many(person_ids)):
        over = [limit for limit in _limits(record, logged.get(record.id), settings) if now >= limit.at]
        if over:
            due.append(_due(record, over, held.get(record.id)))
    return due


def _due(record: PersonRecord, over: list[_Limit], held: str | None) -> Due:
    whole = [limit for limit in over if not limit.purposes]
    ending = sorted({purpose for limit in over for purpose in limit.purposes})
    everything = record.consent is not None and set(ending) == record.consent.purposes
    first = min(whole or over, key=lambda limit: limit.at)
    purposes = () if whole or everything else tuple(ending)
    return Due(record.id, record.name, purposes, first.at, first.reason, first.source, held)


def _limits(record: PersonRecord, logged: datetime | None, settings: PrivacySettings) -> Iterator[_Limit]:
    """Return every end that is set for a person."""
    consent = record.consent
    if consent is None:
        since = record.consents[-1].recorded_at if record.consents else record.created_at
        proof = timedelta(days=settings.proof_days)
        yield _Limit(
            since + proof, "the proof of a withdrawn consent was kept long enough", "privacy settings"
        )
        return
    last = _last_interaction(record, logged)
    for law in jurisdictions_of(consent.jurisdiction or settings.jurisdiction):
        yield from _limits_by_law(law, consent, last)
    for purpose in sorted(consent.purposes & settings.keep_days.keys()):
        end = last + timedelta(days=settings.keep_days[purpose])
        yield _Limit(end, f"no interaction for the time set for {purpose}", "privacy settings", (purpose,))


def _limits_by_law(law: Jurisdiction, consent: Consent, last: datetime) -> Iterator[_Limit]:
    for rule in law.rules:
        days = timedelta(days=rule.days)
        if rule.after == "last_interaction":
            yield _Limit(last + days, f"no interaction for {rule.days} days", rule.source)
        elif consent.expires_at is not None:
            yield _Limit(consent.expires_at + days, "the consent has expired", rule.source)


def _last_interaction(record: PersonRecord, logged: datetime | None) -> datetime:
    times = [record.created_at]
    times += [print_.info.created_at for print_ in record.voiceprints]
    times += [entry.recorded_at for entry in record.consents if entry.act == "given"]
    return max(times + ([] if logged is None else [logged]))
