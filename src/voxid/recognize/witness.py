"""What the verbs write into the audit log: who searched for what, what came of it, and what was refused."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Concatenate, Final, ParamSpec, TypeVar
from uuid import uuid4

from voxid.audit.events import Event, stamp
from voxid.decision import Candidate, Decision
from voxid.errors import CompatibilityError, InputError, PolicyError
from voxid.gallery.records import PersonRecord
from voxid.gallery.store import Store
from voxid.recognize.opened import OpenGallery

__all__ = [
    "Searched",
    "WrittenOnce",
    "consent_event",
    "decision_event",
    "enrollment_events",
    "on_record",
    "refusals",
    "refusals_on_record",
    "search_events",
]

P = ParamSpec("P")
R = TypeVar("R")
G = TypeVar("G", bound=OpenGallery)

_SEARCHED: Final = {
    "identify": "identify.searched",
    "diarize-name": "diarize.named",
    "watchlist": "watchlist.searched",
}


def on_record(gallery: OpenGallery) -> Store | None:
    """Return the store of a gallery whose acts are written down; None: nothing is to be written."""
    store = gallery.opened_store
    return store if store is not None and store.audited else None


@contextmanager
def refusals(gallery: OpenGallery, act: str, about: Callable[[Store], str | None]) -> Iterator[None]:
    """Let what is refused within be written down as the outcome of an act.

    Args:
        gallery: whose log.
        act: that was wanted.
        about: returns the id of whom it is about; None: nobody on record.
    """
    try:
        yield
    except (PolicyError, InputError, CompatibilityError) as error:
        store = on_record(gallery)
        if store is not None:
            store.record([Event(act, f"refused:{error.code}", about(store), at=gallery.now())])
        raise


def refusals_on_record(
    act: str, *, named: bool = True
) -> Callable[[Callable[Concatenate[G, P], R]], Callable[Concatenate[G, P], R]]:
    """Return a decorator of a gallery's verb: what it refuses is written down as the outcome of the act.

    Args:
        act: of the verb.
        named: its first argument is the name of whom it is about.
    """

    def decorated(verb: Callable[Concatenate[G, P], R]) -> Callable[Concatenate[G, P], R]:
        @functools.wraps(verb)
        def run(gallery: G, /, *args: P.args, **kwargs: P.kwargs) -> R:
            name = (args or (kwargs.get("name"),))[0] if named else None
            with refusals(gallery, act, lambda store: store.find(name) if isinstance(name, str) else None):
                return verb(gallery, *args, **kwargs)

        return run

    return decorated


def enrollment_events(
    record: PersonRecord, before: PersonRecord | None, consent_given: bool, now: datetime
) -> list[Event]:
    """Return what an enrollment writes: the consent, when a new one was given, and the voiceprints.

    Args:
        record, before: the person after and before it; None: a new one.
        consent_given: a new entry stands in the history of the consent.
        now: the gallery's clock.
    """
    added = record.voiceprints[len(before.voiceprints) if before else 0 :]
    events = [consent_event(record, now)] if consent_given else []
    facts: dict[str, Any] = {
        "added": len(added),
        "total": len(record.voiceprints),
        "bundles": sorted({print_.info.bundle_id for print_ in added}),
    }
    personal = {"audio_sha256": [print_.info.audio_sha256 for print_ in added]}
    act = "voiceprint.added" if before else "person.enrolled"
    return [*events, Event(act, "done", record.id, facts, personal, now)]


def consent_event(record: PersonRecord, now: datetime) -> Event:
    """Return what the newest entry of a person's consent writes."""
    entry = record.consents[-1]
    consent = entry.consent
    facts: dict[str, Any] = {"version": entry.version, "purposes": []}
    personal = None
    if consent is not None:
        facts = {
            "version": entry.version,
            "purposes": sorted(consent.purposes),
            "text_sha256": consent.text_sha256,
            "jurisdiction": consent.jurisdiction,
            "expires_at": None if consent.expires_at is None else stamp(consent.expires_at),
        }
        personal = {"evidence": consent.evidence, "signer": consent.signer, "method": consent.method}
    act = {"given": "consent.given", "withdrawn": "consent.withdrawn", "merged": "consent.merged"}[entry.act]
    return Event(act, "done", record.id, facts, personal, now)


def decision_event(decision: Decision, person_id: str | None, started_at: datetime, now: datetime) -> Event:
    """Return what a verification writes: what was decided in the clear, what it was decided from sealed."""
    facts = {
        "purpose": "verify",
        "profile": decision.profile,
        "model_id": decision.model_id,
        "started_at": stamp(started_at),
    }
    if decision.spoof is not None:
        facts |= {"spoof": decision.spoof.outcome.value, "spoof_model_id": decision.spoof.model_id}
    personal = {
        "audio_sha256": decision.audio_sha256,
        "llr": None if decision.llr is None else round(decision.llr, 2),
        "net_speech_s": None if decision.net_speech_s is None else round(decision.net_speech_s, 2),
    }
    return Event("verify.decided", decision.outcome.value, person_id, facts, personal, now)


@dataclass(frozen=True)
class Searched:
    """One search of a gallery: what was asked and what came of it.

    Args:
        purpose: of the search.
        profile: threshold; threshold_llr: its LLR, under which a candidate is for review only.
        found: the candidates for each voice.
        model_id: the bundle that compared.
        started_at: when, by the gallery's clock.
        audio_sha256: of the recording; None where there is none, as in a live call.
        watchlist: id of the list that was gone through; None: everybody who consents to the purpose.
    """

    purpose: str
    profile: str
    threshold_llr: float
    found: Sequence[Sequence[Candidate]]
    model_id: str
    started_at: datetime
    audio_sha256: str | None
    watchlist: str | None = None


@dataclass
class WrittenOnce:
    """What the searches of one call were written down with, so that asking the same again is not written again.

    Args:
        people: names found so far; None before the first search.
    """

    people: set[str] | None = None

    def is_news(self, found: set[str]) -> bool:
        """Return whether a search that found these is the first, or found somebody new; it is remembered."""
        known = self.people
        self.people = found | (known or set())
        return known is None or not found <= known


def search_events(searched: Searched, ids: Mapping[str, str | None], now: datetime) -> list[Event]:
    """Return what a search of the gallery writes: one event about the search, one about each person found.

    Args:
        ids: name -> person id.
        now: the gallery's clock.
    """
    n_matches = sum(len(line) for line in searched.found)
    shared = {"purpose": searched.purpose, "search": str(uuid4())}
    about = {
        **shared,
        "profile": searched.profile,
        "model_id": searched.model_id,
        "started_at": stamp(searched.started_at),
        "audio_sha256": searched.audio_sha256,
        "voices": len(searched.found),
        "matches": n_matches,
    }
    if searched.watchlist is not None:
        about["watchlist"] = searched.watchlist
    act = _SEARCHED.get(searched.purpose, "gallery.searched")
    events = [Event(act, "matched" if n_matches else "unknown", None, about, None, now)]
    for voice, line in enumerate(searched.found):
        for rank, candidate in enumerate(line, 1):
            personal = {"voice": voice, "rank": rank, "llr": round(candidate.llr, 2)}
            outcome = "matched" if candidate.llr >= searched.threshold_llr else "review"
            events.append(Event("person.matched", outcome, ids.get(candidate.person), shared, personal, now))
    return events
