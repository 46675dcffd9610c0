"""A kept timeline as JSON: voxid's own timeline format (version 3), with the ids that lead from speakers to people."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from voxid.gallery.documents import Document
from voxid.recognize.gallery import Gallery
from voxid.service.timelines import KeptTimeline, shown

__all__ = ["TimelineOut"]


class NamingOut(BaseModel):
    """How names were found."""

    profile: str
    false_accept_rate: float
    threshold_llr: float
    people: int
    false_name_rate: float
    unknown: int
    unknown_threshold_llr: float | None


class SpeakerOut(BaseModel):
    """Somebody who speaks."""

    name: str = Field(examples=["Ada Lovelace", "SPEAKER_00"])
    speech_s: float
    person_id: str | None = Field(description="Of a person who is named; null for others")
    voice_id: str | None = Field(description="Of an unknown person whose voice is kept; null for others")


class SuggestionOut(BaseModel):
    """Who a stranger may be, with too little evidence to say so."""

    person: str
    llr: float
    threshold_llr: float


class TurnOut(BaseModel):
    """One stretch of one person's speech; `turn` is its number, from 1, which corrections name."""

    turn: int
    start_s: float
    end_s: float
    speaker: str
    named: bool
    llr: float | None
    confidence: float | None
    overlapped_s: float
    suggestion: SuggestionOut | None
    reviewed: bool
    voice_id: str | None


class StretchOut(BaseModel):
    """A stretch of time."""

    start_s: float
    end_s: float


class DoubtOut(BaseModel):
    """One thing to look at before the timeline is relied on."""

    kind: str
    start_s: float
    end_s: float
    speaker: str
    reason: str


class RevisionOut(BaseModel):
    """One turn that somebody corrected or agreed with."""

    at: datetime
    start_s: float
    end_s: float
    old_label: str
    new_name: str
    reviewer: str | None


class TimelineOut(BaseModel):
    """Who spoke when."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "0198f0a2-7d1e-7c55-9a0e-5f1f7a2f9b10",
                "revision": 1,
                "edits": 0,
                "under_review": False,
                "due_at": "2026-12-21T09:00:00+00:00",
                "version": 3,
                "uri": "board",
                "audio_sha256": "0f" * 32,
                "duration_s": 4.0,
                "naming": None,
                "speakers": [
                    {"name": "SPEAKER_00", "speech_s": 2.5, "person_id": None, "voice_id": None},
                ],
                "count_confidence": 0.62,
                "turns": [
                    {
                        "turn": 1,
                        "start_s": 0.0,
                        "end_s": 2.5,
                        "speaker": "SPEAKER_00",
                        "named": False,
                        "llr": None,
                        "confidence": 0.93,
                        "overlapped_s": 0.0,
                        "suggestion": None,
                        "reviewed": False,
                        "voice_id": None,
                    }
                ],
                "overlaps": [],
                "review": [],
                "history": [],
            }
        }
    )

    id: str
    revision: int = Field(
        description="Counts every change; send it back as `revision` with a change of your own"
    )
    edits: int = Field(description="Changes by hand that can be undone")
    under_review: bool = Field(description="Somebody disputes it, and nobody has decided yet")
    due_at: datetime | None = Field(description="When it is deleted")
    version: int = Field(description="Of the timeline format: 3")
    uri: str
    audio_sha256: str | None
    duration_s: float
    naming: NamingOut | None
    speakers: list[SpeakerOut]
    count_confidence: float | None = Field(
        None,
        description="Estimated probability that so many people speak; null where the number was given, not measured, "
        "or changed by names or by hand",
    )
    turns: list[TurnOut]
    overlaps: list[StretchOut]
    review: list[DoubtOut]
    history: list[RevisionOut]

    @classmethod
    def of(
        cls, gallery: Gallery, document: Document, kept: KeptTimeline, *, disputed: bool = False
    ) -> TimelineOut:
        """Return a kept timeline as JSON shows it, with the names of this moment.

        Args:
            gallery: which knows the names.
            document: it is kept in.
            kept: what the document holds.
            disputed: somebody says it is wrong, and nobody has decided yet.
        """
        seen = shown(gallery, kept)
        plain = seen.timeline.to_dict()
        voices = {turn.speaker: turn.voice_id for turn in seen.timeline.turns}
        speakers = [
            {
                **speaker,
                "person_id": seen.people.get(speaker["name"]),
                "voice_id": voices.get(speaker["name"]),
            }
            for speaker in plain["speakers"]
        ]
        turns = [{"turn": number, **turn} for number, turn in zip(seen.numbers, plain["turns"], strict=True)]
        fields: dict[str, Any] = {
            **plain,
            "id": document.id,
            "revision": document.version,
            "edits": len(kept.edits),
            "under_review": disputed,
            "due_at": document.due_at,
            "speakers": speakers,
            "turns": turns,
        }
        return cls.model_validate(fields)
