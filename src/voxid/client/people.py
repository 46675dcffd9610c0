"""People over the network: on record, enrolled, verified, identified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from voxid.client.answers import (
    Decision,
    Enrolled,
    EnrollmentProgress,
    Identification,
    MergePreview,
    Page,
    Person,
    SpoofCheck,
    read,
)
from voxid.client.transport import Recording, Transport
from voxid.errors import InputError

__all__ = ["PeopleCalls"]


class PeopleCalls(Transport):
    """People, their consents, their enrollments, and decisions on them."""

    def add_person(
        self,
        name: str,
        purposes: Iterable[str],
        evidence: str,
        *,
        idempotency_key: str | None = None,
        **consent: Any,
    ) -> Person:
        """Put a person on record with a consent; further fields of `voxid.Consent` may be given by name.

        Raises:
            CompatibilityError: person_exists. PolicyError: opted_out, consent_expired.
        """
        body = {"name": name, "consent": _consent(purposes, evidence, consent)}
        return read(Person, self.call("POST", "/people", json=body, idempotency_key=idempotency_key))

    def people(self, page: int = 100) -> Iterator[Person]:
        """Yield everybody, in the order of their ids."""
        after = None
        while True:
            found = read(Page, self.call("GET", "/people", query={"limit": page, "after": after}))
            yield from found.people
            if (after := found.next) is None:
                return

    def find_person(self, name: str) -> Person | None:
        """Return the person of that name, or None."""
        found = read(Page, self.call("POST", "/people/search", json={"name": name})).people
        return found[0] if found else None

    def person(self, person_id: str) -> Person:
        """Return a person. Raises: InputError: person_missing."""
        return read(Person, self.call("GET", f"/people/{person_id}"))

    def rename_person(self, person_id: str, name: str) -> Person:
        """Return the person under another name."""
        return read(Person, self.call("PATCH", f"/people/{person_id}", json={"name": name}))

    def merge_people(self, person_id: str, other_id: str, *, allow_inconsistent: bool = False) -> Person:
        """Return the person with the voiceprints of another record of them, which is gone."""
        body = {"other_id": other_id, "allow_inconsistent": allow_inconsistent}
        return read(Person, self.call("POST", f"/people/{person_id}/merge", json=body))

    def preview_merge(self, person_id: str, other_id: str) -> MergePreview:
        """Return what `merge_people` would leave; nothing is changed."""
        body = {"other_id": other_id}
        return read(MergePreview, self.call("POST", f"/people/{person_id}/merge/preview", json=body))

    def delete_person(self, person_id: str) -> None:
        """Delete a person."""
        self.call("DELETE", f"/people/{person_id}")

    def record_consent(
        self, person_id: str, purposes: Iterable[str], evidence: str, **consent: Any
    ) -> Person:
        """Return the person under a new consent."""
        self.call("POST", f"/people/{person_id}/consents", json=_consent(purposes, evidence, consent))
        return self.person(person_id)

    def withdraw_consent(self, person_id: str, purposes: Iterable[str] | None = None) -> Person:
        """Return the person after a withdrawal; with nothing left their voiceprints are gone."""
        body = {"purposes": None if purposes is None else sorted(purposes)}
        self.call("POST", f"/people/{person_id}/consents/withdraw", json=body)
        return self.person(person_id)

    def begin_enrollment(
        self, person_id: str, *, wanted_speech_s: float | None = None, idempotency_key: str | None = None
    ) -> EnrollmentProgress:
        """Return a new enrollment of a person on record."""
        body = {"person_id": person_id, "wanted_speech_s": wanted_speech_s}
        answer = self.call("POST", "/enrollments", json=body, idempotency_key=idempotency_key)
        return read(EnrollmentProgress, answer)

    def enrollment(self, enrollment_id: str) -> EnrollmentProgress:
        """Return how an enrollment stands."""
        return read(EnrollmentProgress, self.call("GET", f"/enrollments/{enrollment_id}"))

    def send_recording(
        self,
        enrollment_id: str,
        recording: Recording,
        *,
        channel: int | None = None,
        idempotency_key: str | None = None,
    ) -> EnrollmentProgress:
        """Return how an enrollment stands after one more recording; `last` tells of this one."""
        path = f"/enrollments/{enrollment_id}/recordings"
        answer = self.send(path, recording, query={"channel": channel}, idempotency_key=idempotency_key)
        return read(EnrollmentProgress, answer)

    def remove_recording(self, enrollment_id: str, recording_id: str) -> EnrollmentProgress:
        """Return how an enrollment stands without a recording."""
        answer = self.call("DELETE", f"/enrollments/{enrollment_id}/recordings/{recording_id}")
        return read(EnrollmentProgress, answer)

    def complete_enrollment(
        self,
        enrollment_id: str,
        *,
        allow_duplicate: bool = False,
        allow_inconsistent: bool = False,
        idempotency_key: str | None = None,
    ) -> Enrolled:
        """Return what was written of an enrollment: a voiceprint per recording, or nothing."""
        body = {"allow_duplicate": allow_duplicate, "allow_inconsistent": allow_inconsistent}
        path = f"/enrollments/{enrollment_id}/complete"
        return read(Enrolled, self.call("POST", path, json=body, idempotency_key=idempotency_key))

    def give_up_enrollment(self, enrollment_id: str) -> None:
        """Forget an enrollment."""
        self.call("DELETE", f"/enrollments/{enrollment_id}")

    def enroll(
        self,
        name: str,
        recordings: Sequence[Recording],
        purposes: Iterable[str],
        evidence: str,
        **consent: Any,
    ) -> Enrolled:
        """Put a person on record and enroll their voice: all steps in one call; a refusal leaves no voiceprint.

        Raises:
            InputError: not_enough_speech, poor_quality for a recording that was not accepted; and as the steps do.
        """
        person = self.find_person(name) or self.add_person(name, purposes, evidence, **consent)
        progress = self.begin_enrollment(person.id)
        try:
            for recording in recordings:
                last = self.send_recording(progress.id, recording).last
                if last is not None and not last.accepted:
                    raise InputError(last.verdict, last.reason or "The recording was not accepted.")
            return self.complete_enrollment(progress.id)
        except BaseException:
            self.give_up_enrollment(progress.id)
            raise

    def verify(
        self,
        person_id: str,
        recording: Recording,
        *,
        profile: str | None = None,
        channel: int | None = None,
        idempotency_key: str | None = None,
    ) -> Decision:
        """Return whether a recording is the person.

        Raises:
            CompatibilityError: audio_replayed. PolicyError: person_locked, rate_limited.
        """
        path, query = f"/people/{person_id}/verifications", {"profile": profile, "channel": channel}
        return read(Decision, self.send(path, recording, query=query, idempotency_key=idempotency_key))

    def unlock_person(self, person_id: str) -> None:
        """Let tries at a person through again."""
        self.call("DELETE", f"/people/{person_id}/lock")

    def identify(
        self, recording: Recording, *, top: int = 5, profile: str | None = None, channel: int | None = None
    ) -> Identification:
        """Return whom a voice may be. Raises: PolicyError: identify_off."""
        query = {"top": top, "profile": profile, "channel": channel}
        return read(Identification, self.send("/identifications", recording, query=query))

    def check_spoof(
        self, recording: Recording, *, channel: int | None = None, idempotency_key: str | None = None
    ) -> SpoofCheck:
        """Return whether the voice in a recording is live and human; nobody is compared."""
        query = {"channel": channel}
        return read(
            SpoofCheck, self.send("/spoof-checks", recording, query=query, idempotency_key=idempotency_key)
        )


def _consent(purposes: Iterable[str], evidence: str, more: dict[str, Any]) -> dict[str, Any]:
    fields = {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in more.items()
    }
    return {"purposes": sorted(purposes), "evidence": evidence, **fields}
