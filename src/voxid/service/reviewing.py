"""What a person has to decide: recordings in the review band, names suggested for a voice, watchlist hits, disputes.

An item about a person is sealed under that person's key and goes with the person. It is open until somebody decides;
what was decided stays with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from voxid.errors import CompatibilityError, InputError
from voxid.gallery.documents import Document, new_document_id
from voxid.gallery.store import Store
from voxid.timeline import Timeline

__all__ = ["REVIEW", "Subject", "decided", "find_review", "new_review", "suggestion_reviews"]

REVIEW: Final = "review"
"""The kind of the documents."""

_KEEP_DAYS: Final = 90
"""An item is gone so long after it was made, decided or not: what it is about is gone by then as well."""

Subject = Literal["verification", "suggested_name", "watchlist_hit", "dispute"]


def new_review(
    subject: Subject, about: Mapping[str, Any], reason: str, at: datetime, *, person_id: str | None
) -> Document:
    """Return a new open item.

    Args:
        subject: what kind of thing is to be decided.
        about: ids, hashes and rounded numbers that lead to it; no names.
        reason: in words, without names.
        at: now.
        person_id: whom it is about; it goes with them.
    """
    body = {
        "subject": subject,
        "about": dict(about),
        "reason": reason,
        "created_at": at.isoformat(),
        "decided": None,
    }
    due_at = at + timedelta(days=_KEEP_DAYS)
    return Document(REVIEW, new_document_id(), body, "open", person_id=person_id, due_at=due_at)


def suggestion_reviews(timeline_id: str, timeline: Timeline, at: datetime) -> list[Document]:
    """Return an item for every person suggested for a speaker of a kept timeline.

    Args:
        timeline_id: of its document.
        timeline: with person ids in place of names.
        at: now.
    """
    found: dict[tuple[str, str], list[Any]] = {}
    for turn in timeline.turns:
        if turn.suggestion is not None and not turn.reviewed:
            found.setdefault((turn.speaker, turn.suggestion.person), []).append(turn)
    reviews = []
    for (speaker, person_id), turns in found.items():
        longest = max(turns, key=lambda turn: turn.duration_s)
        hint = max((turn.suggestion for turn in turns), key=lambda one: one.llr)
        about = {
            "timeline_id": timeline_id,
            "speaker": speaker,
            "start_s": round(longest.start_s, 3),
            "end_s": round(longest.end_s, 3),
            "llr": round(hint.llr, 2),
            "threshold_llr": round(hint.threshold_llr, 2),
        }
        reason = "The voice may be this person's, with too little evidence to say so; listen and decide."
        reviews.append(new_review("suggested_name", about, reason, at, person_id=person_id))
    return reviews


def find_review(store: Store, id_: str) -> Document:
    """Return an item.

    Raises:
        InputError: review_missing.
    """
    document = store.document(REVIEW, id_)
    if document is None:
        raise InputError(
            "review_missing", "There is no review item of this id; list them to see which there are."
        )
    return document


def decided(review: Document, outcome: str, note: str, by: str, at: datetime) -> Document:
    """Return an item with what a person decided.

    Args:
        review: open.
        outcome: "confirmed" or "rejected".
        note: why, in the reviewer's words; may be empty.
        by: who, e.g. "key:0198f0a2".
        at: now.

    Raises:
        CompatibilityError: review_decided when it was decided before.
    """
    if review.state != "open":
        raise CompatibilityError(
            "review_decided", "This was decided already, and stays as it was decided; open a dispute instead."
        )
    body = {
        **review.body,
        "decided": {"outcome": outcome, "note": note, "by": by, "at": at.isoformat()},
    }
    return replace(review, state=outcome, body=body, version=review.version + 1)
