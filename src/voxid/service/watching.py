"""Watchlists: people looked for on a purpose of their own, each with consent to it; who is found is a case for review.

A list is a document; so is each entry, which belongs to its person and goes with them. Nothing is decided by a hit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxid.audio import Waveform
from voxid.audit.events import Event
from voxid.backend import Quality
from voxid.decision import IDENTIFY_PROFILE
from voxid.diarize.naming import embed_voices
from voxid.diarize.turns import DrawnTurn
from voxid.embedding import get_embedder
from voxid.errors import InputError
from voxid.gallery.documents import Document
from voxid.gallery.records import PersonRecord
from voxid.gallery.store import Store
from voxid.recognize.gallery import Gallery
from voxid.recognize.witness import WrittenOnce
from voxid.service.consenting import check_consent
from voxid.service.reviewing import new_review
from voxid.timeline import Timeline

__all__ = [
    "ENTRY",
    "WATCHLIST",
    "Hit",
    "check_watchable",
    "entries_of",
    "entry_id",
    "find_watchlist",
    "hit_reviews",
    "keep_hits",
    "watch",
    "watch_timeline",
]

WATCHLIST: Final = "watchlist"
ENTRY: Final = "watchlist_entry"
PURPOSE: Final = "watchlist"
"""The purpose a person must have consented to."""

_MOST_COMPARED: Final = 1000


@dataclass(frozen=True)
class Hit:
    """A person of a list who may have been heard.

    Args:
        person_id: who.
        llr: natural-log likelihood ratio, higher is surer.
        about: where: a recording, or a speaker of a timeline.
    """

    person_id: str
    llr: float
    about: dict[str, Any]


def find_watchlist(store: Store, id_: str, now: datetime) -> Document:
    """Return a list that has not run out.

    Raises:
        InputError: watchlist_missing.
    """
    document = store.document(WATCHLIST, id_)
    if document is None or (document.due_at is not None and document.due_at <= now):
        raise InputError("watchlist_missing", "There is no watchlist of this id, or its time has run out.")
    return document


def entry_id(watchlist_id: str, person_id: str) -> str:
    """Return the id of a person's entry on a list."""
    return f"{watchlist_id}:{person_id}"


def entries_of(store: Store, watchlist_id: str, after_person: str | None = None) -> Iterator[Document]:
    """Yield the entries of a list, in the order of the ids of its people, from behind one of them on."""
    after = entry_id(watchlist_id, after_person or "")
    while page := store.documents(ENTRY, after_id=after, limit=500):
        for entry in page:
            if not entry.id.startswith(f"{watchlist_id}:"):
                return
            yield entry
        after = page[-1].id


def check_watchable(person: PersonRecord, now: datetime) -> None:
    """Refuse somebody who may not be on a watchlist.

    Raises:
        PolicyError: consent_missing, consent_expired.
    """
    check_consent(person, PURPOSE, now, "nothing was stored")


def watch(
    gallery: Gallery,
    watchlist_id: str,
    embeddings: NDArray[np.float32],
    qualities: Sequence[Quality],
    profile: str = IDENTIFY_PROFILE,
    audio_sha256: str | None = None,
    once: WrittenOnce | None = None,
) -> list[list[tuple[str, float]]]:
    """Return, for each voice, the people of a list it may be, with the LLR, best first.

    Only people whose consent to it is in force are compared.

    Args:
        gallery: with the people.
        watchlist_id: whose entries.
        embeddings: (K, D) float32, raw, of unit length.
        qualities: K, of the speech behind each.
        profile: threshold profile.
        audio_sha256: of the recording, for the audit log; None where there is none, as in a live call.
        once: of a call that asks again and again: only what is new is written into the audit log.

    Raises:
        InputError: profile_unknown. CompatibilityError: model_mismatch. StoreError: store_damaged.
    """
    store, _ = gallery.stored()
    listed = {entry.person_id for entry in entries_of(store, watchlist_id)}
    found = gallery.match(
        embeddings,
        purpose=PURPOSE,
        profile=profile,
        top=_MOST_COMPARED,
        qualities=qualities,
        audio_sha256=audio_sha256,
        watchlist=watchlist_id,
        once=once,
    )
    hits = []
    for line in found:
        named = [(store.find(candidate.person), candidate.llr) for candidate in line]
        hits.append([(id_, llr) for id_, llr in named if id_ is not None and id_ in listed])
    return hits


def watch_timeline(
    gallery: Gallery, watchlist_id: str, timeline: Timeline, waveform: Waveform, timeline_id: str
) -> list[Hit]:
    """Return who of a list may speak on a timeline.

    Args:
        gallery: with the people.
        watchlist_id: whose entries.
        timeline, waveform: the recording and who speaks when in it.
        timeline_id: it is kept under.
    """
    numbers = {speaker: number for number, speaker in enumerate(timeline.speakers)}
    drawn = [DrawnTurn(turn.segment, numbers[turn.speaker]) for turn in timeline.turns]
    voices = embed_voices(waveform, drawn, get_embedder(gallery.bundle))
    if not voices.clusters:
        return []
    found = watch(gallery, watchlist_id, voices.embeddings, voices.qualities, audio_sha256=waveform.sha256)
    hits = []
    for segments, line in zip(voices.segments, found, strict=True):
        first = min(segments)
        about = {
            "timeline_id": timeline_id,
            "start_s": round(first.start_s, 3),
            "end_s": round(first.end_s, 3),
        }
        hits += [Hit(person_id, llr, about) for person_id, llr in line]
    return hits


def hit_reviews(hits: Sequence[Hit], watchlist_id: str, at: datetime) -> list[Document]:
    """Return an item to review for every hit."""
    reason = (
        "The voice may be this person's, who is on a watchlist; listen and decide before anything is done."
    )
    return [
        new_review(
            "watchlist_hit",
            {"watchlist_id": watchlist_id, "llr": round(hit.llr, 2), **hit.about},
            reason,
            at,
            person_id=hit.person_id,
        )
        for hit in hits
    ]


def keep_hits(store: Store, hits: Sequence[Hit], watchlist_id: str, at: datetime) -> list[str]:
    """Keep an item to review for every hit on somebody who is still on record; return the ids of the items."""
    kept = []
    if hits:
        with store.changing() as change:
            for review in hit_reviews(hits, watchlist_id, at):
                if change.holds(review.person_id or ""):
                    change.put_document(review)
                    facts = {"review": review.id, "watchlist": watchlist_id}
                    change.record(Event("review.opened", "done", review.person_id, facts, at=at))
                    kept.append(review.id)
    return kept
