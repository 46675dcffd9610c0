"""What the service answers about recordings and about people's rights; see `voxid.client.answers`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = [
    "Dispute",
    "Hits",
    "Job",
    "KeptDecision",
    "Review",
    "Speaker",
    "Suggested",
    "TimelineRead",
    "TurnRead",
    "UnknownVoice",
    "Watchlist",
]


@dataclass(frozen=True)
class Job:
    """A job; `summary` of what came of it, or `error` with code and message."""

    id: str
    state: str
    progress: float | None
    recording: str
    audio_sha256: str
    created_at: str
    finished_at: str | None
    due_at: str | None
    summary: dict[str, Any] | None
    error: dict[str, Any] | None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ("done", "failed", "cancelled")


@dataclass(frozen=True)
class Speaker:
    """Somebody who speaks; by a name where there is a `person_id`, or a kept voice that was named."""

    name: str
    speech_s: float
    person_id: str | None
    voice_id: str | None


@dataclass(frozen=True)
class Suggested:
    """Who a stranger may be."""

    person: str
    llr: float
    threshold_llr: float


@dataclass(frozen=True)
class TurnRead:
    """One stretch of one person's speech; `turn` is the number corrections name."""

    turn: int
    start_s: float
    end_s: float
    speaker: str
    named: bool
    llr: float | None
    confidence: float | None
    suggestion: Suggested | None
    reviewed: bool
    voice_id: str | None


@dataclass(frozen=True)
class TimelineRead:
    """Who spoke when, with the names of the moment it was read.

    `count_confidence` is the estimated probability that the number of speakers is right; None where it was not counted.
    """

    id: str
    revision: int
    edits: int
    under_review: bool
    uri: str
    audio_sha256: str | None
    duration_s: float
    speakers: tuple[Speaker, ...]
    turns: tuple[TurnRead, ...]
    count_confidence: float | None = None


@dataclass(frozen=True)
class UnknownVoice:
    """Somebody without a name."""

    id: str
    times_heard: int
    speech_s: float
    first_at: str | None
    last_at: str | None
    expires_at: str | None
    sightings: tuple[dict[str, Any], ...]
    opt_out: dict[str, Any] | None


@dataclass(frozen=True)
class Watchlist:
    """A list of people who are looked for, and what for."""

    id: str
    title: str
    purpose: str
    created_at: str
    ends_at: str | None


@dataclass(frozen=True)
class Hits:
    """What came of looking for a list's people; who was found is told to reviewers."""

    hits: int
    review_ids: tuple[str, ...]
    compared: int
    audio_sha256: str


@dataclass(frozen=True)
class Review:
    """Something a person has to decide, or has decided."""

    id: str
    state: str
    subject: str
    person_id: str | None
    person: str | None
    about: dict[str, Any]
    reason: str
    created_at: str
    decided: dict[str, Any] | None


@dataclass(frozen=True)
class Dispute:
    """A result that somebody says is wrong."""

    id: str
    state: str
    subject: str
    subject_id: str
    person_id: str | None
    statement: str
    raised_at: str
    answer_by: str
    resolved: dict[str, Any] | None


@dataclass(frozen=True)
class KeptDecision:
    """A decision as it is kept: `outcome` at first, `standing` now."""

    id: str
    person_id: str
    outcome: str
    standing: str
    under_review: bool
    llr: float | None
    decided_at: str
    judged: dict[str, Any] | None
    spoof: dict[str, Any] | None = None
