"""An application for enrollment: refused before a recording is opened, checked, then written as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import uuid4

import numpy as np

from voxid.bundle import Bundle
from voxid.errors import InputError, PolicyError, StoreError
from voxid.gallery.change import Change
from voxid.gallery.consent import Consent
from voxid.gallery.records import PersonRecord, Voiceprint, VoiceprintInfo
from voxid.gallery.search import PeopleIndex
from voxid.gallery.store import Store
from voxid.recognize.enrollment import (
    DUPLICATE_PROFILE,
    Enrollment,
    check_bundle,
    check_consent,
    check_consistency,
    new_recordings,
    scores_against,
    side_of,
    with_consent,
)
from voxid.recognize.listening import Heard, embedding_of
from voxid.recognize.witness import enrollment_events
from voxid.speech import QualityPolicy

__all__ = ["Application", "Preview", "refuse_opted_out"]

# Enrolling looks first and writes then; when another process wrote in between, it looks again, this often.
_MAX_RACES: Final = 20
# The nearest few are looked at: the person's own earlier record may be the nearest.
_DUPLICATES_LOOKED_AT: Final = 5


@dataclass(frozen=True)
class Preview:
    """How an enrollment stands before it is written.

    Args:
        net_speech_s: seconds of speech behind all references the person would have.
        consistency: as `Enrollment.consistency`.
        inconsistent: what does not sound like the rest: a sentence; None: nothing.
        duplicate: whose voice it is like: a sentence; None: nobody's.
        certain: whether it is so like that the enrollment would be refused.
    """

    net_speech_s: float
    consistency: float | None
    inconsistent: str | None
    duplicate: str | None
    certain: bool


@dataclass(frozen=True)
class Application:
    """One call of `Gallery.enroll`.

    Args:
        bundle, policy: what to compare with, and what speech is good enough.
        now: the clock.
        name: cleaned.
        consent: as given; None rests on the one on record.
        allow_duplicate: do not ask whether the voice is enrolled under another name.
        allow_inconsistent: warn instead of refusing when the recordings are not one voice.
        purpose: what the consent must cover; None: anything.
    """

    bundle: Bundle
    policy: QualityPolicy
    now: Callable[[], datetime]
    name: str
    consent: Consent | None
    allow_duplicate: bool
    allow_inconsistent: bool
    purpose: str | None = None

    def admit(self, store: Store | None) -> PersonRecord | None:
        """Return the person on record, if any, after everything that can be refused without a recording.

        Args:
            store: None while there is no gallery yet.

        Raises:
            PolicyError: opted_out, consent_missing, consent_expired. InputError: consent_invalid.
            CompatibilityError: model_mismatch.
        """
        person = None
        if store is not None:
            with store.snapshot():
                if store.opted_out(self.name):
                    raise refuse_opted_out(self.name)
                person_id = store.find(self.name)
                person = None if person_id is None else store.read(person_id)
        on_record = person.consent if person else None
        effective = check_consent(self.name, self.consent, on_record, self.now())
        if self.purpose is not None and self.purpose not in effective.purposes:
            raise PolicyError(
                "consent_missing",
                f"The consent of {self.name!r} does not cover {self.purpose}, so nothing was changed; record one that "
                "names this purpose.",
            )
        if person is not None:
            check_bundle(person, self.bundle)
        return person

    def examine(
        self, heard: Sequence[Heard], person: PersonRecord | None
    ) -> tuple[list[Heard], float | None, list[str]]:
        """Return the recordings worth keeping, their consistency, and warnings.

        Raises:
            InputError: enrollment_inconsistent, no_speech, audio_clipped, not_enough_speech, poor_quality.
        """
        fresh, warnings = new_recordings(heard, person, self.policy)
        consistency, problem = check_consistency(self.name, person, fresh, self.bundle, self.policy)
        if problem and not self.allow_inconsistent:
            raise InputError("enrollment_inconsistent", f"{problem} Nothing was stored.")
        return fresh, consistency, [*warnings, *([problem] if problem else [])]

    def preview(self, store: Store, index: PeopleIndex, heard: Sequence[Heard]) -> Preview:
        """Return how the recordings would fare, without writing anything.

        Raises:
            As `admit`.
        """
        with store.snapshot():
            person = self.admit(store)
            known = {print_.info.audio_sha256 for print_ in person.voiceprints} if person else set()
            fresh = [recording for recording in heard if recording.audio_sha256 not in known]
            lowest, problem = check_consistency(self.name, person, fresh, self.bundle, self.policy)
            record = self._record(person, fresh)
            certain, alike = False, []
            if fresh and not (person and person.voiceprints):
                try:
                    alike = self._compare_with_others(store, index, record)
                except PolicyError as error:
                    certain, alike = True, [error.message]
        return Preview(record.public().net_speech_s, lowest, problem, alike[0] if alike else None, certain)

    def commit(
        self,
        store: Store,
        index: PeopleIndex,
        heard: Sequence[Heard],
        also: Callable[[Change, PersonRecord], None] | None = None,
    ) -> Enrollment:
        """Write the voiceprints and the consent in one transaction, after checking against what is stored now.

        Args:
            store, index: of the gallery.
            heard: the recordings.
            also: what else the same transaction does, told the person as written.

        Raises:
            As `admit` and `examine`; PolicyError: voice_already_enrolled. StoreError.
        """
        for _ in range(_MAX_RACES):
            with store.snapshot() as roster:
                seen = roster.state.generation
                person = self.admit(store)
                fresh, consistency, warnings = self.examine(heard, person)
                record = self._record(person, fresh)
                if fresh and not (person and person.voiceprints) and not self.allow_duplicate:
                    warnings += self._compare_with_others(store, index, record)
                with store.changing() as change:
                    if change.generation == seen:
                        change.put(record)
                        given = record.consents != (person.consents if person else ())
                        for event in enrollment_events(record, person, given, self.now()):
                            change.record(event)
                        if also is not None:
                            also(change, record)
                        seconds = record.public().net_speech_s
                        return Enrollment(
                            record.name,
                            len(fresh),
                            len(record.voiceprints),
                            seconds,
                            consistency,
                            tuple(warnings),
                        )
        raise StoreError(
            "store_busy", f"{store.path.name} is being written by others all the time; try again."
        )

    def _record(self, person: PersonRecord | None, fresh: Sequence[Heard]) -> PersonRecord:
        now = self.now()
        prints = tuple(
            Voiceprint(
                VoiceprintInfo(
                    str(uuid4()),
                    self.bundle.id,
                    recording.quality.net_speech_s,
                    recording.audio_sha256,
                    now,
                    recording.quality.snr_db,
                    recording.quality.high_band_db,
                ),
                embedding_of(recording, self.policy),
            )
            for recording in fresh
        )
        if person is None:
            return PersonRecord(str(uuid4()), self.name, now, prints, with_consent((), self.consent, now))
        consents = with_consent(person.consents, self.consent, now) if self.consent else person.consents
        return PersonRecord(person.id, person.name, person.created_at, person.voiceprints + prints, consents)

    def _compare_with_others(self, store: Store, index: PeopleIndex, record: PersonRecord) -> list[str]:
        """Return a warning when the new voice is like somebody's; refuse it when it surely is theirs.

        Sure means that the profile's false-accept rate holds for the comparison with all N people together
        (Bonferroni: log N on top of its threshold), not with each.
        """
        voice = side_of(record, self.bundle)
        profiles = self.bundle.profiles
        strictest = min(
            profiles.values(), key=lambda profile: profile.far
        )  # of a bundle without the named one
        alike_llr = profiles.get(DUPLICATE_PROFILE, strictest).threshold_llr
        with store.snapshot() as roster:
            index.sync(roster)
        same_llr = alike_llr + float(np.log(max(1, len(index))))
        nearest = next(index.search(voice.vectors, _DUPLICATES_LOOKED_AT, None, self.now()))
        others = list(store.read_many(person_id for person_id, _ in nearest if person_id != record.id))
        scored = zip(scores_against(others, voice, self.bundle), others, strict=True)
        known = max(((scores[1], other.name) for scores, other in scored if scores), default=None)
        if known is None or known[0] < alike_llr:
            return []
        llr, name = known
        if llr < same_llr:
            return [
                f"This voice is much like that of {name!r} (LLR {llr:.1f}): make sure that they are two people."
            ]
        raise PolicyError(
            "voice_already_enrolled",
            f"This voice is already enrolled as {name!r} (LLR {llr:.1f}, threshold {same_llr:.1f}). "
            f"Add the recordings to {name!r}, or allow the duplicate if they are two people.",
        )


def refuse_opted_out(name: str) -> PolicyError:
    """Return the refusal for a name under an opt-out."""
    return PolicyError(
        "opted_out",
        f"{name!r} has opted out of speaker recognition, so nothing was opened or stored; lift the opt-out first if "
        "the person wishes it.",
    )
