"""What several routes take and give, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from voxid.gallery.consent import Consent
from voxid.gallery.documents import Document
from voxid.gallery.names import MAX_NAME_CHARS
from voxid.gallery.records import Person
from voxid.gallery.store import Store
from voxid.recognize.enrollment import Enrollment

__all__ = [
    "CONSENT_EXAMPLE",
    "PERSON_EXAMPLE",
    "After",
    "ConsentIn",
    "ConsentRecordOut",
    "EnrolledOut",
    "Limit",
    "Next",
    "PersonId",
    "PersonOut",
    "Purpose",
    "document_page",
    "page_of",
]

Purpose = Literal["verify", "identify", "diarize-name", "watchlist", "training"]
PersonId = Annotated[
    str,
    Path(
        pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        description="Id of the person",
        examples=["3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50"],
    ),
]
Limit = Annotated[int, Query(ge=1, le=200, description="Most entries on the page")]
After = Annotated[
    str | None,
    Query(
        max_length=128,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$",
        description="`next` of the page before; without it, the first page",
    ),
]
Next = Annotated[str | None, Field(description="`after` of the next page; null at the end")]
Name = Annotated[str, Field(min_length=1, max_length=4 * MAX_NAME_CHARS, examples=["Ada Lovelace"])]


PERSON_EXAMPLE: Final[dict[str, Any]] = {
    "id": "3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50",
    "name": "Ada Lovelace",
    "created_at": "2026-11-21T09:00:00+00:00",
    "net_speech_s": 12.4,
    "voiceprints": [],
    "consents": [],
}
CONSENT_EXAMPLE: Final[dict[str, Any]] = {
    "purposes": ["verify", "identify"],
    "evidence": "signed form 17",
    "text_sha256": None,
    "signer": None,
    "jurisdiction": "US-IL",
    "expires_at": "2028-01-01T00:00:00Z",
    "method": "electronic signature",
}


class In(BaseModel):
    """What a caller sends: a field nobody knows is an error."""

    model_config = ConfigDict(extra="forbid")


class ConsentIn(In):
    """A written release, as signed."""

    purposes: list[Purpose] = Field(min_length=1, max_length=5, examples=[["verify", "identify"]])
    evidence: str = Field(min_length=1, max_length=4000, examples=["signed form 17"])
    text_sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="Of the text agreed to")
    signer: str | None = Field(None, min_length=1, max_length=400, description="When not the person themself")
    jurisdiction: str | None = Field(None, min_length=1, max_length=400, examples=["US-IL", "EU-DE"])
    expires_at: AwareDatetime | None = Field(None, examples=["2028-01-01T00:00:00Z"])
    method: str | None = Field(None, min_length=1, max_length=400, examples=["electronic signature"])

    def consent(self) -> Consent:
        """Return the consent.

        Raises:
            InputError: consent_invalid.
        """
        return Consent(**self.model_dump())


class ConsentOut(BaseModel):
    """A consent as recorded."""

    model_config = ConfigDict(json_schema_extra={"example": CONSENT_EXAMPLE})

    purposes: list[Purpose]
    evidence: str
    text_sha256: str | None
    signer: str | None
    jurisdiction: str | None
    expires_at: datetime | None
    method: str | None


class ConsentRecordOut(BaseModel):
    """One entry of a person's consent history; the last one is in force."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "version": 1,
                "recorded_at": "2026-11-21T09:00:00+00:00",
                "act": "given",
                "consent": CONSENT_EXAMPLE,
            }
        }
    )

    version: int
    recorded_at: datetime
    act: Literal["given", "withdrawn", "merged"]
    consent: ConsentOut | None


class VoiceprintOut(BaseModel):
    """A stored reference, without the embedding, which is never given out."""

    id: str
    bundle_id: str
    net_speech_s: float
    audio_sha256: str
    created_at: datetime


class PersonOut(BaseModel):
    """A person on record."""

    model_config = ConfigDict(json_schema_extra={"example": PERSON_EXAMPLE})

    id: str
    name: str
    created_at: datetime
    net_speech_s: float
    voiceprints: list[VoiceprintOut]
    consents: list[ConsentRecordOut]

    @classmethod
    def of(cls, person: Person) -> PersonOut:
        """Return the person as JSON shows them."""
        return cls.model_validate(person.to_dict())


class EnrolledOut(BaseModel):
    """What was added to a person's voiceprints."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "person_id": "3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50",
                "added": 2,
                "total": 2,
                "net_speech_s": 12.4,
                "consistency_llr": 9.1,
                "warnings": [],
            }
        }
    )

    person_id: str
    added: int = Field(description="Voiceprints added")
    total: int = Field(description="Voiceprints the person has now")
    net_speech_s: float
    consistency_llr: float | None = Field(
        description="Of the recording least like the others; null for one alone"
    )
    warnings: list[str]

    @classmethod
    def of(cls, enrollment: Enrollment, person_id: str) -> EnrolledOut:
        """Return what an enrollment added as JSON shows it."""
        consistency = enrollment.consistency
        return cls(
            person_id=person_id,
            added=enrollment.added,
            total=enrollment.total,
            net_speech_s=round(enrollment.net_speech_s, 2),
            consistency_llr=None if consistency is None else round(consistency, 2),
            warnings=list(enrollment.warnings),
        )


def page_of(ids: Sequence[str], after: str | None, limit: int) -> tuple[list[str], str | None]:
    """Return the ids of a page and the `next` of the one behind it, None at the end.

    Args:
        ids: sorted.
    """
    rest: list[Any] = [one for one in ids if after is None or one > after]
    page = rest[:limit]
    return page, page[-1] if len(rest) > limit else None


def document_page(
    store: Store,
    kind: str,
    after: str | None,
    limit: int,
    *,
    state: str | None = None,
    person_id: str | None = None,
) -> tuple[list[Document], str | None]:
    """Return documents of a kind, a page in the order of their ids, and the `next` of the one behind it."""
    found = store.documents(kind, state=state, person_id=person_id, after_id=after, limit=limit + 1)
    return found[:limit], found[limit - 1].id if len(found) > limit else None
