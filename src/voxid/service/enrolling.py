"""An enrollment under way: what was heard so far, kept sealed under the person's own key until it is written or ends.

No recording is kept: of each, its embedding, the quality of its speech, its hash and its fingerprint.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from voxid.audit.events import Event
from voxid.errors import InputError
from voxid.gallery.change import Change
from voxid.gallery.documents import Document, new_document_id
from voxid.gallery.store import Store
from voxid.recognize.listening import Heard
from voxid.speech import SpeechQuality

__all__ = ["KIND", "EnrollmentSession", "Recording"]

KIND: Final = "enrollment"
_LASTS: Final = timedelta(hours=24)
_MOST_RECORDINGS: Final = 32


@dataclass(frozen=True, eq=False)
class Recording:
    """One recording of a session.

    Args:
        id: within the service.
        heard: what it offers.
        fingerprint: as `voxid.spoof.fingerprint.encode` writes it.
        received_at: when.
    """

    id: str
    heard: Heard
    fingerprint: str
    received_at: datetime

    def to_body(self) -> dict[str, Any]:
        """Return the recording as the session's document holds it."""
        quality, embedding = self.heard.quality, self.heard.embedding
        return {
            "id": self.id,
            "sha256": self.heard.audio_sha256,
            "verdict": self.heard.verdict,
            "quality": [
                quality.duration_s,
                quality.net_speech_s,
                quality.snr_db,
                quality.clipping_share,
                quality.high_band_db,
            ],
            "embedding": None if embedding is None else base64.b64encode(embedding.tobytes()).decode(),
            "fingerprint": self.fingerprint,
            "received_at": self.received_at.isoformat(),
        }

    @classmethod
    def of(cls, body: dict[str, Any]) -> Recording:
        """Return the recording `to_body` wrote."""
        text = body["embedding"]
        embedding = None if text is None else np.frombuffer(base64.b64decode(text), np.float32)
        quality = SpeechQuality(*body["quality"])
        heard = Heard("The recording", body["sha256"], quality, body["verdict"], embedding)
        return cls(body["id"], heard, body["fingerprint"], datetime.fromisoformat(body["received_at"]))


@dataclass(frozen=True, eq=False)
class EnrollmentSession:
    """A session.

    Args:
        id: of the session.
        person_id: who is enrolled.
        wanted_speech_s: seconds of speech after which it is enough.
        recordings: those that were good enough, in the order they came.
        ends_at: then it is forgotten.
        version: of its document.
    """

    id: str
    person_id: str
    wanted_speech_s: float
    recordings: tuple[Recording, ...]
    ends_at: datetime
    version: int = 0

    @classmethod
    def begin(cls, store: Store, person_id: str, wanted_speech_s: float, now: datetime) -> EnrollmentSession:
        """Return a new session, written; those that ended are forgotten with the same writing."""
        session = cls(new_document_id(), person_id, wanted_speech_s, (), now + _LASTS, 0)
        with store.changing() as change:
            for ended in store.documents(KIND, due_before=now):
                change.delete_document(KIND, ended.id, erase=True)
            change.record(Event("enrollment.begun", "done", person_id, {"enrollment": session.id}, at=now))
            return session._written(change)

    @classmethod
    def read(cls, store: Store, id_: str, now: datetime) -> EnrollmentSession:
        """Return a session.

        Raises:
            InputError: enrollment_missing.
        """
        document = store.document(KIND, id_)
        if document is None or document.due_at is None or now >= document.due_at:
            raise InputError(
                "enrollment_missing", "There is no enrollment of this id, or it has ended; begin a new one."
            )
        return cls._of(document)

    @classmethod
    def all(cls, store: Store, now: datetime, after: str | None, limit: int) -> list[EnrollmentSession]:
        """Return the sessions under way, oldest first."""
        found: list[EnrollmentSession] = []
        while len(found) < limit and (page := store.documents(KIND, after_id=after, limit=limit)):
            found += [cls._of(one) for one in page if one.due_at is not None and now < one.due_at]
            after = page[-1].id
        return found[:limit]

    def heard(self) -> list[Heard]:
        """Return what was heard so far."""
        return [recording.heard for recording in self.recordings]

    def with_recording(self, store: Store, recording: Recording) -> EnrollmentSession:
        """Return the session with one more recording, written; one that is in it already changes nothing.

        Raises:
            InputError: enrollment_full. CompatibilityError: document_changed when another came at the same time.
        """
        if any(one.heard.audio_sha256 == recording.heard.audio_sha256 for one in self.recordings):
            return self
        if len(self.recordings) >= _MOST_RECORDINGS:
            raise InputError(
                "enrollment_full",
                f"The enrollment has {_MOST_RECORDINGS} recordings; complete it, or begin anew.",
            )
        longer = replace(self, recordings=(*self.recordings, recording))
        facts, personal = {"enrollment": self.id}, {"audio_sha256": recording.heard.audio_sha256}
        heard = Event(
            "enrollment.recording_heard", "done", self.person_id, facts, personal, recording.received_at
        )
        with store.changing() as change:
            change.record(heard)
            return longer._written(change)

    def without(self, store: Store, recording_id: str, now: datetime) -> EnrollmentSession:
        """Return the session without a recording, written.

        Raises:
            InputError: document_missing.
        """
        left = tuple(one for one in self.recordings if one.id != recording_id)
        if len(left) == len(self.recordings):
            raise InputError("document_missing", "There is no recording of this id in the enrollment.")
        with store.changing() as change:
            facts = {"enrollment": self.id}
            change.record(Event("enrollment.recording_removed", "done", self.person_id, facts, at=now))
            return replace(self, recordings=left)._written(change)

    def forget(self, change: Change, now: datetime, act: str) -> None:
        """Delete the session; the act, e.g. "enrollment.completed", says why."""
        if change.delete_document(KIND, self.id, erase=True):
            change.record(Event(act, "done", self.person_id, {"enrollment": self.id}, at=now))

    def played(self) -> list[dict[str, str]]:
        """Return hashes and fingerprints, as `voxid.service.attempts` keeps them."""
        return [
            {
                "sha256": one.heard.audio_sha256,
                "fingerprint": one.fingerprint,
                "at": one.received_at.isoformat(),
            }
            for one in self.recordings
        ]

    def _written(self, change: Change) -> EnrollmentSession:
        following = replace(self, version=self.version + 1)
        body = {"wanted_speech_s": self.wanted_speech_s, "recordings": _bodies(self.recordings)}
        document = Document(KIND, self.id, body, "open", self.person_id, self.ends_at, following.version)
        change.put_document(document)
        return following

    @classmethod
    def _of(cls, document: Document) -> EnrollmentSession:
        body = document.body
        if document.person_id is None or document.due_at is None:
            raise InputError("enrollment_missing", "There is no enrollment of this id.")
        return cls(
            document.id,
            document.person_id,
            body["wanted_speech_s"],
            tuple(Recording.of(one) for one in body["recordings"]),
            document.due_at,
            document.version,
        )


def _bodies(recordings: Sequence[Recording]) -> list[dict[str, Any]]:
    return [recording.to_body() for recording in recordings]
