"""What was played to a person's challenges before: fingerprints, sealed under the person's key for a stated time."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from voxid.audio import Waveform
from voxid.audit.events import Event
from voxid.gallery.documents import Document
from voxid.recognize.amending import id_of
from voxid.recognize.opened import OpenGallery
from voxid.spoof.fingerprint import NEARLY_SAME, alike, decode, encode, fingerprint

__all__ = ["KEPT_DAYS", "PLAYED", "EarlierAnswers"]

PLAYED: Final = "answers"
"""The kind of the documents, one a person."""

KEPT_DAYS: Final = 30.0
"""How long an answer is remembered after it was heard."""

_MOST_PLAYED: Final = 50


class EarlierAnswers:
    """The answers heard of one person of a gallery."""

    def __init__(self, gallery: OpenGallery, name: str) -> None:
        self._gallery = gallery
        self._name = name

    def knows(self, waveform: Waveform) -> bool:
        """Return whether a recording, or nearly it, was heard before or enrolled; it is remembered from now on.

        Raises:
            InputError: person_missing. StoreError.
        """
        store, _ = self._gallery.stored()
        now = self._gallery.now()
        bits = fingerprint(waveform.samples)
        person_id = id_of(store, self._name)
        person = store.read(person_id)
        enrolled = set() if person is None else {one.info.audio_sha256 for one in person.voiceprints}
        with store.changing() as change:
            former = change.document(PLAYED, person_id)
            since = (now - timedelta(days=KEPT_DAYS)).isoformat()
            played = [] if former is None else [one for one in former.body["played"] if one["at"] > since]
            again = waveform.sha256 in enrolled or any(
                waveform.sha256 == one["sha256"] or alike(bits, decode(one["fingerprint"])) < NEARLY_SAME
                for one in played
            )
            entry = {"sha256": waveform.sha256, "fingerprint": encode(bits), "at": now.isoformat()}
            body = {"played": [*played, entry][-_MOST_PLAYED:]}
            version = 1 if former is None else former.version + 1
            due_at = now + timedelta(days=KEPT_DAYS)
            change.put_document(Document(PLAYED, person_id, body, "", person_id, due_at, version))
            change.record(Event("answer.heard", "known" if again else "new", person_id, at=now))
        return again
