"""Is the person here, now, and alive: an answer to a challenge, looked at in every way there is.

Each way has its own attack to stop: the voice (somebody else), the spoof detector (a machine), the words and the time
(a recording), the fingerprints (this very recording), the sameness (a recording with new words spoken into it). All
must hold; none of them is proof alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, TypeAlias

import numpy as np

from voxid.audio import AudioLimits, AudioSource, Waveform, load
from voxid.audit.events import Event
from voxid.decision import DEFAULT_PROFILE, Decision
from voxid.recognize.amending import id_of
from voxid.recognize.challenges import keep_challenge, take_challenge
from voxid.recognize.earlier import EarlierAnswers
from voxid.recognize.gallery import Gallery
from voxid.recognize.listening import Heard as HeardVoice
from voxid.recognize.listening import hear_waveform
from voxid.recognize.sameness import LEAST_SAME_LLR, Sameness, same_voice
from voxid.speech import detect_speech
from voxid.spoof.challenge import Challenge, ChallengeKind
from voxid.spoof.detector import SpoofDetector, default_detector
from voxid.spoof.fusion import SpoofPolicy
from voxid.spoof.listening import MOST_ANSWER_S, Heard, Listener, default_listener
from voxid.spoof.verdict import SpoofVerdict
from voxid.stages import stage

__all__ = [
    "LIFETIME_S",
    "PARTS",
    "AnswerOptions",
    "LivenessResult",
    "Part",
    "answer_challenge",
    "check_answer",
    "issue_challenge",
]

LIFETIME_S: Final = 60.0
"""Of a challenge, unless told otherwise: time to read it, speak, and send."""

PARTS: Final = ("once", "in_time", "new", "speaker", "live", "content", "one_voice")
"""What must hold, in the order it is looked at."""

_LABEL: Final = "The answer"
_USUAL: Final = SpoofPolicy()
Known: TypeAlias = Callable[[Waveform], bool]


@dataclass(frozen=True)
class Part:
    """One thing that must hold of an answer.

    Args:
        name: one of `PARTS`.
        holds: None: not looked at, because something before it did not hold.
        reason: a sentence for people.
    """

    name: str
    holds: bool | None
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"name": self.name, "holds": self.holds, "reason": self.reason}


@dataclass(frozen=True)
class LivenessResult:
    """What came of an answer to a challenge; true only when everything held.

    Args:
        person: as claimed.
        challenge_id: which was answered.
        parts: each of `PARTS`, in that order, or all but "live" where no detector was to be asked.
        decision: whose voice it is; spoof: whether it is live; heard: what was said; sameness: whether one voice said
            it. None: not looked at.
    """

    person: str
    challenge_id: str
    parts: tuple[Part, ...]
    decision: Decision | None = None
    spoof: SpoofVerdict | None = None
    heard: Heard | None = None
    sameness: Sameness | None = None

    @property
    def passed(self) -> bool:
        """Whether all parts hold."""
        return all(part.holds is True for part in self.parts)

    def __bool__(self) -> bool:
        return self.passed

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the parts that were looked at and do not hold."""
        return tuple(part.name for part in self.parts if part.holds is False)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, rounded against hill-climbing. What was heard is not told: the parts say."""
        return {
            "person": self.person,
            "challenge_id": self.challenge_id,
            "passed": self.passed,
            "parts": [part.to_dict() for part in self.parts],
            "decision": None if self.decision is None else self.decision.to_dict(),
            "spoof": None if self.spoof is None else self.spoof.to_dict(),
            "sameness": None if self.sameness is None else self.sameness.to_dict(),
        }


@dataclass(frozen=True)
class AnswerOptions:
    """What an answer is looked at with.

    Args:
        profile: threshold of the speaker decision.
        spoof: what is made of the detector's verdict; the usual one fails open where it cannot tell, as on the
            telephone: the other parts decide. What it would send to review does not pass.
        listener: None: the one of the extra ``challenge``.
        detector: None: the one that comes with voxid.
        known: tells whether a recording was heard before, and remembers it; None: the gallery's own memory.
        limits: of the audio door.
        channel: 0-based channel to take; None averages.
    """

    profile: str = DEFAULT_PROFILE
    spoof: SpoofPolicy = _USUAL
    listener: Listener | None = None
    detector: SpoofDetector | None = None
    known: Known | None = None
    limits: AudioLimits = field(default_factory=lambda: AudioLimits(max_duration_s=MOST_ANSWER_S))
    channel: int | None = None


def issue_challenge(
    gallery: Gallery,
    name: str,
    *,
    kind: ChallengeKind = "digits",
    length: int | None = None,
    lifetime_s: float = LIFETIME_S,
) -> Challenge:
    """Return a new challenge to a person, kept sealed in the gallery until it is answered or its time is over.

    Raises:
        InputError: challenge_invalid, person_missing. StoreError.
    """
    challenge = Challenge.issue(gallery.now(), kind=kind, length=length, lifetime_s=lifetime_s)
    store, _ = gallery.stored()
    keep_challenge(store, id_of(store, name), challenge, gallery.now())
    return challenge


def answer_challenge(
    gallery: Gallery,
    name: str,
    challenge_id: str,
    source: AudioSource,
    options: AnswerOptions | None = None,
) -> LivenessResult:
    """Return what came of the one answer a challenge has; it is spent by it, whatever comes of it.

    Raises:
        InputError: person_missing, profile_unknown, and whatever the audio door refuses.
            Also spoof_detector_missing; ConfigError: challenge_extra_missing; both before the challenge is spent.
        StoreError: store_damaged.
    """
    options = _ready(options or AnswerOptions())
    store, _ = gallery.stored()
    now, person_id = gallery.now(), id_of(store, name)
    challenge = take_challenge(store, person_id, challenge_id)
    if challenge is None:
        reason = "There is no such challenge to this person: it was answered before, or has expired; ask for a new one."
        result = LivenessResult(name, challenge_id, _parts({"once": Part("once", False, reason)}, options))
    else:
        result = check_answer(gallery, name, challenge, source, now, options)
    if store.audited:
        facts = {"failed": list(result.failed), "spoof": options.spoof.mode}
        outcome = "passed" if result else "failed"
        store.record([Event("liveness.decided", outcome, person_id, facts, at=gallery.now())])
    return result


def check_answer(
    gallery: Gallery,
    name: str,
    challenge: Challenge,
    source: AudioSource,
    now: datetime,
    options: AnswerOptions | None = None,
) -> LivenessResult:
    """Return whether a recording answers a challenge that its caller took, and forgot.

    A late answer is not opened. The recording is opened only when the person is enrolled and consents to be verified.

    Args:
        now: when the answer came.

    Raises:
        InputError: profile_unknown, and whatever the audio door refuses. ConfigError: challenge_extra_missing.
    """
    options = _ready(options or AnswerOptions())
    found = {"once": Part("once", True, "The challenge was not answered before.")}
    if now >= challenge.expires_at:
        late = "The answer came after the challenge had expired; ask for a new one and say that."
        found["in_time"] = Part("in_time", False, late)
        return LivenessResult(name, challenge.id, _parts(found, options))
    found["in_time"] = Part("in_time", True, "The answer came in time.")
    ear = _Ear(gallery, name, challenge, options)
    decision = gallery.verify(
        name, source, profile=options.profile, channel=options.channel, hearing=ear.hear
    )
    found.update(ear.found)
    found["speaker"] = Part("speaker", bool(decision), decision.reason)
    result = LivenessResult(decision.person, challenge.id, (), decision, ear.spoof, ear.heard, ear.sameness)
    return replace(result, parts=_parts(found, options))


class _Ear:
    """Hears the answer once for the speaker decision, and looks at the same sound in every other way."""

    def __init__(self, gallery: Gallery, name: str, challenge: Challenge, options: AnswerOptions) -> None:
        self.found: dict[str, Part] = {}
        self.spoof: SpoofVerdict | None = None
        self.heard: Heard | None = None
        self.sameness: Sameness | None = None
        self._gallery = gallery
        self._name = name
        self._challenge = challenge
        self._options = options

    def hear(self, source: AudioSource, channel: int | None) -> HeardVoice:
        """Return the recording as the speaker decision needs it."""
        options, gallery = self._options, self._gallery
        with stage("decode"):
            waveform = load(source, channel=channel, limits=options.limits)
        known = options.known or EarlierAnswers(gallery, self._name).knows
        again = known(waveform)
        self._note(
            "new",
            not again,
            "It is no recording that was heard before.",
            "It is a recording that was heard before, or nearly one; speak anew.",
        )
        heard = hear_waveform(waveform, _LABEL, gallery.bundle, gallery.policy)
        if heard.embedding is not None:
            self._look_at(waveform)
        return heard

    def _look_at(self, waveform: Waveform) -> None:
        options = self._options
        regions = detect_speech(waveform)
        if options.detector is not None and options.spoof.mode != "off":
            with stage("spoof"):
                self.spoof = options.detector.detect(waveform, regions)
            holds = options.spoof.consequence(self.spoof) == "accept"
            self.found["live"] = Part("live", holds, self.spoof.reason)
        listener = options.listener or default_listener()
        self.heard = listener.hear(np.asarray(waveform.samples), self._challenge)
        kind = self._challenge.kind
        self._note(
            "content",
            self._challenge.answered_by(self.heard.said),
            f"The {kind} asked for were heard.",
            f"Other {kind} were heard than those asked for; say each of them clearly, and nothing else.",
        )
        with stage("embed"):
            self.sameness = same_voice(waveform, regions, self._gallery.bundle)
        llr = self.sameness.llr
        self._note(
            "one_voice",
            llr is not None and llr >= LEAST_SAME_LLR,
            "One voice speaks from beginning to end.",
            "There is too little speech to compare its parts; say everything asked for, without haste."
            if llr is None
            else "The voice is not the same from beginning to end; one person alone should speak.",
        )

    def _note(self, name: str, holds: bool, held: str, failed: str) -> None:
        self.found[name] = Part(name, holds, held if holds else failed)


def _ready(options: AnswerOptions) -> AnswerOptions:
    """Return the options with all there is to look with: what is missing must show before a challenge is spent."""
    detector = options.detector
    if detector is None and options.spoof.mode != "off":
        detector = default_detector()
    return replace(options, listener=options.listener or default_listener(), detector=detector)


def _parts(found: dict[str, Part], options: AnswerOptions) -> tuple[Part, ...]:
    names = [name for name in PARTS if name != "live" or options.spoof.mode != "off"]
    skipped = "Not looked at, because of what does not hold."
    return tuple(found.get(name, Part(name, None, skipped)) for name in names)
