"""`Gallery`: the object users hold. People go in with consent, decisions come out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from voxid.audio import AudioSource
from voxid.backend import NOT_MEASURED, Quality
from voxid.decision import DEFAULT_PROFILE, IDENTIFY_PROFILE, Candidate, Decision
from voxid.errors import CompatibilityError
from voxid.gallery.change import Change
from voxid.gallery.consent import Consent
from voxid.gallery.names import clean_name
from voxid.gallery.records import PersonRecord
from voxid.recognize.applying import Application, Preview
from voxid.recognize.comparing import Claim, Search
from voxid.recognize.enrollment import Enrollment
from voxid.recognize.fusing import Fusion
from voxid.recognize.listening import Heard, Hearing, as_sources, embedding_of, hear
from voxid.recognize.people import GalleryOfPeople
from voxid.recognize.unknown import UnknownPeople
from voxid.recognize.witness import Searched, WrittenOnce, decision_event, refusals_on_record, search_events
from voxid.spoof.detector import SpoofDetector, default_detector
from voxid.spoof.fusion import SpoofPolicy

__all__ = ["Gallery"]


class Gallery(GalleryOfPeople):
    """Enrolled people in one encrypted file, and the verbs on them. Use `Gallery.open`.

    A person is compared by all their references as one side of a trial (`voxid.backend`). Threads may share a
    gallery; other processes may have the same file open. After `fork`, open it anew in the child.
    """

    @refusals_on_record("person.enrolled")
    def enroll(
        self,
        name: str,
        sources: AudioSource | Sequence[AudioSource],
        consent: Consent | None = None,
        *,
        channel: int | None = None,
        allow_duplicate: bool = False,
        allow_inconsistent: bool = False,
        hearing: Hearing | None = None,
    ) -> Enrollment:
        """Store a voiceprint per recording under the name; more for a person already enrolled. All or nothing.

        Args:
            name: shown as given; found again in any upper or lower case.
            sources: one recording or several.
            consent: required, unless the person has one in force on record.
            channel: 0-based channel to take; None averages.
            allow_duplicate: enroll although the voice is enrolled under another name.
            allow_inconsistent: enroll although a recording does not sound like the others.
            hearing: how a recording is heard; None: as `voxid.recognize.listening.hear` does.

        Raises:
            PolicyError: consent_missing, consent_expired, opted_out (all three before a recording is opened),
                voice_already_enrolled. InputError: name_invalid, enrollment_inconsistent, no_speech,
                audio_clipped, not_enough_speech, poor_quality, and whatever the audio door refuses.
            CompatibilityError: model_mismatch, bundle_uncalibrated. StoreError.
        """
        self.bundle.check_calibrated()
        applied = Application(
            self.bundle,
            self.policy,
            self.now,
            clean_name(name),
            consent,
            allow_duplicate,
            allow_inconsistent,
        )
        listed = as_sources(sources)
        applied.admit(self.stored()[0] if self.exists() else None)
        heard = [self._heard(source, channel, hearing) for source in listed]
        if not self.exists():
            applied.examine(heard, None)  # what is refused must not bring a gallery into being
        store, index = self.stored()
        return applied.commit(store, index, heard)

    def check_enrollable(self, name: str) -> None:
        """Refuse what `enroll` would refuse of the person on record before a recording is opened.

        Raises:
            PolicyError: consent_missing, consent_expired, opted_out. CompatibilityError: model_mismatch,
                bundle_uncalibrated.
        """
        self.bundle.check_calibrated()
        self._application(name).admit(self.stored()[0])

    def preview(self, name: str, heard: Sequence[Heard]) -> Preview:
        """Return how recordings heard before would fare in `enroll_heard`; nothing is written.

        Raises:
            As `check_enrollable`.
        """
        store, index = self.stored()
        return self._application(name).preview(store, index, heard)

    @refusals_on_record("person.enrolled")
    def enroll_heard(
        self,
        name: str,
        heard: Sequence[Heard],
        *,
        allow_duplicate: bool = False,
        allow_inconsistent: bool = False,
        also: Callable[[Change, PersonRecord], None] | None = None,
    ) -> Enrollment:
        """Store recordings heard before as `enroll` does, under the consent on record.

        Args:
            also: what else the same transaction does, told the person as written.

        Raises:
            As `enroll`.
        """
        self.bundle.check_calibrated()
        store, index = self.stored()
        return self._application(name, allow_duplicate, allow_inconsistent).commit(store, index, heard, also)

    @refusals_on_record("verify.decided")
    def verify(
        self,
        name: str,
        source: AudioSource,
        *,
        profile: str = DEFAULT_PROFILE,
        channel: int | None = None,
        hearing: Hearing | None = None,
        spoof: SpoofPolicy | None = None,
        detector: SpoofDetector | None = None,
        watch: bool = False,
    ) -> Decision:
        """Return whether the recording is the person it claims to be.

        The recording is opened only when the person is enrolled and consents to be verified.

        Args:
            hearing: how the recording is heard; None: as `voxid.recognize.listening.hear` does. With a policy of
                spoofs, it has to ask a detector.
            spoof: what it means when the voice may be no live one; None: nobody looks (docs/spoof.md).
            detector: to ask; None: the one that comes with voxid.
            watch: also look whether it may be somebody else who is watched for: then a person decides.

        Raises:
            InputError: profile_unknown, spoof_detector_missing, and whatever the audio door refuses.
            ConfigError: spoof_not_heard. StoreError: store_damaged.
        """
        store, _ = self.stored()
        claim = Claim(store, self.bundle, self.policy, self.now, str(name), self.bundle.profile(profile))
        started_at = self.now()
        policy = spoof or SpoofPolicy("off")
        if policy.mode != "off" and hearing is None:
            hearing = self._with_detector(detector or default_detector())
        kept: list[Heard] = []

        def listen() -> Heard:
            kept.append(self._heard(source, channel, hearing))
            return kept[0]

        decision = claim.decided(listen)
        if kept and (watch or policy.mode != "off"):
            watched = self._watched(kept[0], decision) if watch else None
            decision = Fusion(policy, claim.profile).joined(decision, kept[0], watched)
        if store.audited:
            store.record([decision_event(decision, store.find(str(name)), started_at, self.now())])
        return decision

    @refusals_on_record("identify.searched", named=False)
    def identify(
        self,
        source: AudioSource,
        *,
        top: int = 5,
        profile: str = IDENTIFY_PROFILE,
        channel: int | None = None,
        hearing: Hearing | None = None,
    ) -> list[Candidate]:
        """Return the people the voice may be, best first; an empty list says unknown.

        Only people who consent to be identified are looked at. The profile's false-accept rate holds per
        person compared: among N people a stranger is taken for somebody about N times as often.

        Raises:
            InputError: profile_unknown, top_invalid, no_speech, audio_clipped, not_enough_speech, poor_quality,
                and whatever the audio door refuses. CompatibilityError: model_mismatch. StoreError: store_damaged.
        """
        limits, started_at = self.bundle.profile(profile), self.now()
        heard = self._heard(source, channel, hearing)
        embedding = embedding_of(heard, self.policy)
        store, index = self.stored()
        search = Search(store, index, self.bundle, "identify", limits, top)
        found = search.ranked(embedding[None], [Quality.of(heard.quality)], self.now())
        self._write_down(search, found, limits.threshold_llr, started_at, heard.audio_sha256)
        return found[0]

    @refusals_on_record("gallery.searched", named=False)
    def match(
        self,
        embeddings: NDArray[np.float32],
        *,
        purpose: str = "diarize-name",
        profile: str = DEFAULT_PROFILE,
        top: int = 5,
        bundle_id: str | None = None,
        qualities: Sequence[Quality] | None = None,
        review: bool = False,
        audio_sha256: str | None = None,
        watchlist: str | None = None,
        once: WrittenOnce | None = None,
    ) -> list[list[Candidate]]:
        """Return, for each embedding, the people it may be, best first; an empty list says unknown.

        Args:
            embeddings: (K, D) float32, raw, unit length, made by the gallery's bundle.
            purpose: only people who consent to it are looked at.
            bundle_id: the bundle that made them, to be checked; None trusts the caller.
            qualities: K, of the speech behind each, which the LLR takes into account; None: not measured.
            review: also people in the profile's review band, whom the caller must not take for found.
            audio_sha256: of the recording they were heard in, for the audit log.
            watchlist: id of the list whose people alone the caller keeps of those found, for the audit log.
            once: of a call that asks again and again: only what is new is written into the audit log.

        Raises:
            InputError: purpose_unknown, profile_unknown, top_invalid, index_input_invalid.
            CompatibilityError: model_mismatch. StoreError: store_damaged.
        """
        limits, started_at = self.bundle.profile(profile), self.now()
        found_llr = limits.threshold_llr
        if review and limits.review_llr is not None:
            limits = replace(limits, threshold_llr=limits.review_llr)
        vectors = np.asarray(embeddings, dtype=np.float32)
        made_elsewhere = bundle_id is not None and bundle_id != self.bundle.id
        if made_elsewhere or vectors.ndim != 2 or (len(vectors) and vectors.shape[1] != self.bundle.dim):
            raise CompatibilityError(
                "model_mismatch",
                f"Embeddings of shape {vectors.shape} made by {bundle_id or 'an unnamed bundle'} cannot be "
                "compared with "
                f"a gallery open with {self.bundle.id} (K, {self.bundle.dim}); use one bundle for both.",
            )
        store, index = self.stored()
        known = [NOT_MEASURED] * len(vectors) if qualities is None else qualities
        search = Search(store, index, self.bundle, purpose, limits, top)
        found = search.ranked(vectors, known, self.now())
        if once is None or once.is_news({candidate.person for line in found for candidate in line}):
            self._write_down(search, found, found_llr, started_at, audio_sha256, watchlist)
        return found

    def compared(self, purpose: str = "diarize-name") -> int:
        """Return with how many people a voice is compared for a purpose: those whose consent in force covers it.

        Raises:
            CompatibilityError: model_mismatch when there are such people and another bundle made all their voiceprints.
        """
        store, index = self.stored()
        with store.snapshot() as roster:
            index.sync(roster)
            index.check_comparable(purpose, self.now())
            return index.count(purpose, self.now())

    @refusals_on_record("voiceprint.added")
    def add_reference(self, name: str, source: AudioSource) -> Enrollment:
        """Store one more voiceprint of an enrolled person, from a recording in which somebody said who it is.

        Everything is checked as in `enroll`; the consent on record must cover diarize-name.

        Raises:
            As `enroll`. PolicyError: consent_missing also when the consent covers other purposes only.
        """
        self.bundle.check_calibrated()
        applied = Application(
            self.bundle, self.policy, self.now, clean_name(name), None, False, False, "diarize-name"
        )
        store, index = self.stored()
        applied.admit(store)
        return applied.commit(store, index, [hear(source, self.bundle, self.policy, None)])

    def _write_down(
        self,
        search: Search,
        found: list[list[Candidate]],
        found_llr: float,
        started_at: datetime,
        audio_sha256: str | None,
        watchlist: str | None = None,
    ) -> None:
        """Write a search into the audit log, where there is one."""
        store = search.store
        if not (store.audited and found):
            return
        searched = Searched(
            search.purpose,
            search.profile.name,
            found_llr,
            found,
            self.bundle.id,
            started_at,
            audio_sha256,
            watchlist,
        )
        ids = {candidate.person: store.find(candidate.person) for line in found for candidate in line}
        store.record(search_events(searched, ids, self.now()))

    def _application(
        self, name: str, allow_duplicate: bool = False, allow_inconsistent: bool = False
    ) -> Application:
        """An application that rests on the consent on record."""
        return Application(
            self.bundle, self.policy, self.now, clean_name(name), None, allow_duplicate, allow_inconsistent
        )

    def _with_detector(self, detector: SpoofDetector) -> Hearing:
        return lambda source, channel: hear(source, self.bundle, self.policy, channel, detector)

    def _watched(self, heard: Heard, decision: Decision) -> Candidate | None:
        """Return the likeliest of those watched for whose voice a recording may be, other than the person claimed."""
        if heard.embedding is None:
            return None
        vector, quality = heard.embedding[None], [Quality.of(heard.quality)]
        found = self.match(
            vector,
            purpose="watchlist",
            profile=IDENTIFY_PROFILE,
            qualities=quality,
            audio_sha256=heard.audio_sha256,
        )
        return next((one for one in found[0] if one.person != decision.person), None)

    def _heard(self, source: AudioSource, channel: int | None, hearing: Hearing | None) -> Heard:
        if hearing is not None:
            return hearing(source, channel)
        return hear(source, self.bundle, self.policy, channel)

    @property
    def unknown(self) -> UnknownPeople:
        """The people without a name: what is kept of voices nobody was found for."""
        return UnknownPeople(self)
