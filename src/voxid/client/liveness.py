"""Liveness over the network: a challenge to a person, and what came of their answer."""

from __future__ import annotations

from dataclasses import dataclass

from voxid.client.answers import Decision, SpoofVerdict, read
from voxid.client.transport import Recording, Transport

__all__ = ["Challenge", "Liveness", "LivenessCalls", "LivenessPart"]


@dataclass(frozen=True)
class Challenge:
    """What a person is to say; `text` is shown to them."""

    id: str
    person_id: str
    kind: str
    words: tuple[str, ...]
    text: str
    expires_at: str


@dataclass(frozen=True)
class LivenessPart:
    """One thing that must hold of an answer; `holds` is None where it was not looked at."""

    name: str
    holds: bool | None
    reason: str


@dataclass(frozen=True)
class Liveness:
    """What came of an answer; true only when all parts hold."""

    passed: bool
    person_id: str
    challenge_id: str
    parts: tuple[LivenessPart, ...]
    decision: Decision | None
    spoof: SpoofVerdict | None

    def __bool__(self) -> bool:
        return self.passed


class LivenessCalls(Transport):
    """Challenges and their answers."""

    def challenge(
        self, person_id: str, *, kind: str = "digits", length: int | None = None, lifetime_s: float = 60.0
    ) -> Challenge:
        """Return digits or words for a person to say within so many seconds.

        Raises:
            InputError: person_missing, challenge_invalid. StoreError: challenge_extra_missing.
        """
        body = {"person_id": person_id, "kind": kind, "length": length, "lifetime_s": lifetime_s}
        return read(Challenge, self.call("POST", "/challenges", json=body))

    def answer(
        self,
        challenge: Challenge,
        recording: Recording,
        *,
        profile: str | None = None,
        channel: int | None = None,
        idempotency_key: str | None = None,
    ) -> Liveness:
        """Return whether a recording is the person, live, saying what was asked for; a challenge has one answer.

        Raises:
            PolicyError: person_locked, rate_limited. CompatibilityError: audio_replayed.
        """
        path = f"/people/{challenge.person_id}/liveness"
        query = {"challenge": challenge.id, "profile": profile, "channel": channel}
        return read(Liveness, self.send(path, recording, query=query, idempotency_key=idempotency_key))
