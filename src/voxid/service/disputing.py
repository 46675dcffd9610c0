"""Disputes: somebody says that a result is wrong. It is under review until a person decides, and that is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from voxid.errors import CompatibilityError, InputError
from voxid.gallery.change import Change
from voxid.gallery.documents import Document, new_document_id
from voxid.gallery.store import Store
from voxid.service.decisions import find_decision, judged
from voxid.service.diarizing import TIMELINE, read_kept, rewritten
from voxid.service.edits import rename
from voxid.service.reviewing import REVIEW, find_review
from voxid.timeline import Correction

__all__ = [
    "DISPUTE",
    "Disputed",
    "Subject",
    "disputed",
    "find_dispute",
    "new_dispute",
    "resolve",
    "under_review",
]

DISPUTE: Final = "dispute"
"""The kind of the documents."""

Subject = Literal["decision", "timeline", "watchlist_hit"]

_ANSWER_DAYS: Final = 30  # GDPR, article 12 (3): within one month
_KEEP_DAYS: Final = 365


@dataclass(frozen=True)
class Disputed:
    """A result that may be wrong.

    Args:
        subject: what kind.
        id: of the decision, the timeline, or the item to review.
        person_id: whom it is about, who takes the dispute along when they go; None: nobody in particular.
        turns: of a timeline: (start, end, person id) of those that are disputed; none: all of it.
    """

    subject: Subject
    id: str
    person_id: str | None
    turns: tuple[tuple[float, float, str], ...] = ()


def disputed(store: Store, subject: Subject, id_: str, turns: Sequence[int]) -> Disputed:
    """Return what is disputed, after looking that it is there.

    Args:
        store: of the tenant.
        subject, id_: what.
        turns: numbers of turns, of a timeline alone.

    Raises:
        InputError: decision_missing, timeline_missing, review_missing, turn_missing, dispute_unclear.
        CompatibilityError: review_open for a decision that waits for its review anyway.
    """
    if subject == "timeline":
        return _of_timeline(store, id_, turns)
    if turns:
        raise InputError("dispute_unclear", f"A {subject} has no turns; leave them out, or name a timeline.")
    if subject == "decision":
        decision = find_decision(store, id_)
        if decision.state == "review":
            raise CompatibilityError(
                "review_open",
                "The decision waits for a person's review anyway; dispute it when that is done.",
            )
        return Disputed(subject, id_, decision.person_id)
    review = find_review(store, id_)
    if review.body["subject"] != "watchlist_hit":
        raise InputError(
            "dispute_unclear", "The review item is no watchlist hit; dispute the result it is about."
        )
    return Disputed(subject, id_, review.person_id)


def _of_timeline(store: Store, id_: str, numbers: Sequence[int]) -> Disputed:
    kept = read_kept(store, id_)[1]
    turns = []
    for number in numbers:
        if number > len(kept.timeline.turns):
            raise InputError(
                "turn_missing", f"There is no turn {number}; the timeline has {len(kept.timeline.turns)}."
            )
        turn = kept.timeline.turns[number - 1]
        turns.append((turn.start_s, turn.end_s, turn.speaker))
    people = {speaker for _, _, speaker in turns if speaker in kept.labels}
    whose = people.pop() if len(people) == 1 else None
    return Disputed("timeline", id_, whose, tuple(turns))


def new_dispute(what: Disputed, statement: str, at: datetime, by: str) -> Document:
    """Return a new open dispute.

    Args:
        what: is disputed.
        statement: what is wrong, in the words of whoever says so.
        at: now.
        by: who took it down, e.g. "key:0198f0a2".
    """
    body: dict[str, Any] = {
        "subject": what.subject,
        "subject_id": what.id,
        "turns": [list(turn) for turn in what.turns],
        "statement": statement,
        "raised_at": at.isoformat(),
        "raised_by": by,
        "answer_by": (at + timedelta(days=_ANSWER_DAYS)).isoformat(),
        "resolved": None,
    }
    due_at = at + timedelta(days=_KEEP_DAYS)
    return Document(DISPUTE, new_document_id(), body, "open", what.person_id, due_at)


def find_dispute(store: Store, id_: str) -> Document:
    """Return a dispute.

    Raises:
        InputError: dispute_missing.
    """
    document = store.document(DISPUTE, id_)
    if document is None:
        raise InputError(
            "dispute_missing", "There is no dispute of this id; list them to see which there are."
        )
    return document


def under_review(store: Store) -> set[tuple[str, str]]:
    """Return (subject, id) of everything that is disputed and not yet decided."""
    found: set[tuple[str, str]] = set()
    after = None
    while page := store.documents(DISPUTE, state="open", after_id=after, limit=500):
        found |= {(one.body["subject"], one.body["subject_id"]) for one in page}
        after = page[-1].id
    return found


def resolve(
    change: Change, store: Store, dispute: Document, outcome: str, note: str, by: str, at: datetime
) -> Document:
    """Return a dispute with what a person decided; what is overturned is changed in the same transaction.

    An overturned decision says the contrary from now on; overturned turns lose their names; of a watchlist hit nothing
    is left to be changed. What was decided at first stays on record beside it.

    Raises:
        CompatibilityError: dispute_resolved when it was decided before.
    """
    if dispute.state != "open":
        raise CompatibilityError(
            "dispute_resolved",
            "This dispute was decided already; raise another one if the decision is wrong.",
        )
    judgement = {"note": note, "by": by, "at": at.isoformat(), "dispute_id": dispute.id}
    if outcome == "overturned":
        _overturn(change, store, dispute, judgement, by, at)
    resolved = {"outcome": outcome, "note": note, "by": by, "at": at.isoformat()}
    body = {**dispute.body, "resolved": resolved}
    return replace(dispute, state=outcome, body=body, version=dispute.version + 1)


def _overturn(
    change: Change, store: Store, dispute: Document, judgement: dict[str, Any], by: str, at: datetime
) -> None:
    subject, id_ = dispute.body["subject"], dispute.body["subject_id"]
    if subject == "decision":
        decision = find_decision(store, id_)
        change.put_document(judged(decision, "reject" if decision.state == "accept" else "accept", judgement))
    elif subject == "timeline":
        if store.document(TIMELINE, id_) is None:
            return  # its time ran out; the dispute says what was found
        document, kept = read_kept(store, id_)
        wrong = {(start_s, end_s, speaker) for start_s, end_s, speaker in dispute.body["turns"]}
        items = [
            Correction(turn.segment, turn.speaker, kept.labels[turn.speaker])
            for turn in kept.timeline.turns
            if turn.named
            and turn.speaker in kept.labels
            and (not wrong or (turn.start_s, turn.end_s, turn.speaker) in wrong)
        ]
        unique = {(item.segment, item.old_label): item for item in items}
        change.put_document(rewritten(document, rename(kept, list(unique.values()), at, by)))
    else:
        review = store.document(REVIEW, id_)
        if review is not None:
            body = {**review.body, "overturned": judgement}
            change.put_document(replace(review, body=body, version=review.version + 1))
