"""Challenges as a gallery keeps them: sealed, of one person, until they are answered or their time is over."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from voxid.audit.events import Event
from voxid.errors import StoreError
from voxid.gallery.change import Change
from voxid.gallery.documents import Document
from voxid.gallery.store import Store
from voxid.spoof.challenge import Challenge

__all__ = ["CHALLENGE", "MOST_OPEN", "keep_challenge", "take_challenge"]

CHALLENGE: Final = "challenge"
"""The kind of the documents."""

MOST_OPEN: Final = 5
"""Challenges of one person at a time; each further one takes the place of the oldest: guesses must not add up."""


def keep_challenge(store: Store, person_id: str, challenge: Challenge, now: datetime) -> None:
    """Keep a challenge to a person; what has expired, and the oldest of too many, is forgotten.

    Raises:
        InputError: person_missing.
    """
    with store.changing() as change:
        standing = store.documents(CHALLENGE, person_id=person_id)
        for old in _superfluous(standing, now):
            change.delete_document(CHALLENGE, old.id)
        document = Document(
            CHALLENGE, challenge.id, challenge.to_dict(), "open", person_id, challenge.expires_at
        )
        change.put_document(document)
        facts = {"kind": challenge.kind, "length": len(challenge.words)}
        change.record(Event("challenge.issued", "done", person_id, facts, at=now))


def take_challenge(store: Store, person_id: str, challenge_id: str) -> Challenge | None:
    """Return the challenge to a person and forget it: its first answer is its only one. None: there is none.

    Raises:
        StoreError: store_damaged.
    """
    with store.changing() as change:
        return _taken(change, person_id, challenge_id)


def _taken(change: Change, person_id: str, challenge_id: str) -> Challenge | None:
    found = change.document(CHALLENGE, challenge_id)
    if found is None or found.person_id != person_id:
        return None
    change.delete_document(CHALLENGE, challenge_id)
    change.record(Event("challenge.taken", "done", person_id))
    try:
        return Challenge.from_dict(dict(found.body))
    except (KeyError, TypeError, ValueError):
        raise StoreError(
            "store_damaged", f"The challenge {challenge_id} cannot be read; ask for a new one."
        ) from None


def _superfluous(standing: list[Document], now: datetime) -> list[Document]:
    """Return those whose time is over, and of the rest the oldest, so that one more leaves `MOST_OPEN`."""
    over = [one for one in standing if one.due_at is None or now >= one.due_at]
    rest = sorted((one for one in standing if one not in over), key=lambda one: (one.due_at, one.id))
    return over + rest[: max(0, len(rest) + 1 - MOST_OPEN)]
