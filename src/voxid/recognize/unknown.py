"""`UnknownPeople`: what a gallery keeps of voices without a name. Nobody in it is verified or identified."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from voxid.audit.events import Event
from voxid.backend import Quality
from voxid.decision import DEFAULT_PROFILE
from voxid.errors import InputError
from voxid.gallery.change import Change
from voxid.gallery.consent import Consent
from voxid.gallery.names import clean_name
from voxid.gallery.records import PersonRecord
from voxid.gallery.store import Store
from voxid.gallery.unknown import Grounds, OptOut, UnknownPerson, UnknownRecord
from voxid.recognize.applying import Application
from voxid.recognize.assignment import threshold_among
from voxid.recognize.enrollment import MIN_CONSISTENCY_LLR, Enrollment, mismatch_of
from voxid.recognize.listening import Heard
from voxid.recognize.opened import OpenGallery
from voxid.recognize.remembering import Remembered, Remembering, UnnamedVoice, compare_unknown, purge
from voxid.recognize.witness import refusals
from voxid.speech import SpeechQuality

__all__ = ["NAMING_PURPOSE", "UnknownMatches", "UnknownPeople"]

NAMING_PURPOSE = "diarize-name"
"""The consent purpose a person must have given to be named on a timeline."""


P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class UnknownMatches:
    """Voices compared with the unknown people of a gallery.

    Args:
        ids: M.
        llr: (K, M) natural-log likelihood ratios, higher is more alike; minus infinity where nothing was compared.
        threshold_llr: at which the profile's false-accept rate holds for all M together.
    """

    ids: tuple[str, ...]
    llr: NDArray[np.float64]
    threshold_llr: float


def _refusals_on_record(
    act: str,
) -> Callable[[Callable[Concatenate[UnknownPeople, P], R]], Callable[Concatenate[UnknownPeople, P], R]]:
    """Return a decorator of a verb: what it refuses is written down, about the id its first argument names."""

    def decorated(
        verb: Callable[Concatenate[UnknownPeople, P], R],
    ) -> Callable[Concatenate[UnknownPeople, P], R]:
        @functools.wraps(verb)
        def run(unknown: UnknownPeople, /, *args: P.args, **kwargs: P.kwargs) -> R:
            id_ = args[0] if args else kwargs.get("id_")
            with refusals(
                unknown.gallery, act, lambda _: unknown.id_now(id_) if isinstance(id_, str) else None
            ):
                return verb(unknown, *args, **kwargs)

        return run

    return decorated


class UnknownPeople:
    """The unknown people of one gallery; `Gallery.unknown` gives it.

    A voice is kept on stated grounds, under an id of its own and a key of its own, until a stated day; from then on it
    is not used, and it is erased with the next thing kept or with `purge`. An id leads to a person once it was named.
    """

    def __init__(self, gallery: OpenGallery) -> None:
        self.gallery = gallery

    def id_now(self, id_: str) -> str | None:
        """Return the id of the unknown person `id_` leads to, also of one who may not be used; None: there is none."""
        with self._store().snapshot() as roster:
            now_id = roster.known_as.get(id_, id_)
            return now_id if now_id in roster.unknown else None

    def people(self) -> list[UnknownPerson]:
        """Return the unknown people whose time has not run out, last heard first, then those who opted out.

        Raises:
            StoreError: store_damaged.
        """
        now = self.gallery.now()
        valid = [seen for record in self._store().read_unknown() if (seen := record.at(now)) is not None]
        people = [record.public() for record in valid]
        heard = [person for person in people if person.last_at is not None]
        heard.sort(key=lambda person: (person.last_at, person.id), reverse=True)
        return heard + [person for person in people if person.last_at is None]

    @_refusals_on_record("unknown.remembered")
    def remember(
        self,
        voices: Sequence[UnnamedVoice],
        grounds: Grounds,
        *,
        uri: str,
        audio_sha256: str,
        profile: str = DEFAULT_PROFILE,
    ) -> tuple[Remembered, ...]:
        """Keep the voices of one recording that have no name; `voxid.diarize.remember` takes them from a timeline.

        Not kept are voices with too little or too poor speech, those of enrolled people, of those who opted out, and
        those that were forgotten in this recording. What has expired is erased in the same transaction.

        Args:
            voices: one for each speaker.
            grounds: why they may be kept, and how long.
            uri, audio_sha256: of the recording.
            profile: its false-accept rate holds for the comparison with all unknown people together.

        Returns:
            What became of each voice, with its id.

        Raises:
            InputError: profile_unknown. CompatibilityError: model_mismatch, bundle_uncalibrated. StoreError.
        """
        gallery = self.gallery
        gallery.bundle.check_calibrated()
        gallery.bundle.profile(profile)
        store, index = gallery.stored()
        asked = Remembering(
            store, index, gallery.bundle, gallery.policy, gallery.now, profile, grounds, uri, audio_sha256
        )
        return asked.keep(voices)

    def match(
        self,
        embeddings: NDArray[np.float32],
        *,
        qualities: Sequence[Quality],
        profile: str = DEFAULT_PROFILE,
    ) -> UnknownMatches:
        """Return how likely each voice is each unknown person; those who opted out are not among them.

        Args:
            embeddings: (K, D) float32, raw, unit length, made by the gallery's bundle; others cannot be compared.
            qualities: K, of the speech behind each.
            profile: for the threshold.

        Raises:
            InputError: profile_unknown. StoreError: store_damaged.
        """
        bundle, now = self.gallery.bundle, self.gallery.now()
        valid = [seen for record in self._store().read_unknown() if (seen := record.at(now)) is not None]
        comparable = [one for one in valid if one.opt_out is None and len(one.embeddings(bundle.id))]
        return UnknownMatches(
            tuple(record.id for record in comparable),
            compare_unknown(comparable, embeddings, qualities, bundle),
            threshold_among(bundle, profile, len(comparable)),
        )

    def names(self, ids: Iterable[str]) -> dict[str, str | None]:
        """Return what each id is called by now, for `Timeline.relabel`.

        A name where the person has one and consents, now, to be named; the id of the unknown person it was joined to;
        the id itself; None when nobody has it any more, or may not be named.

        Raises:
            StoreError: store_damaged.
        """
        store, now = self._store(), self.gallery.now()
        with store.snapshot() as roster:
            known_as = dict(roster.known_as)
            known = (seen for record in store.read_unknown() if (seen := record.at(now)) is not None)
            unknown = {record.id for record in known if record.opt_out is None}
            wanted = [holder for id_ in set(ids) if (holder := known_as.get(id_, "")) in roster.entries]
            named = {record.id: _name_of(record, self.gallery) for record in store.read_many(wanted)}
        found: dict[str, str | None] = {}
        for id_ in ids:
            now_id = known_as.get(id_, id_)
            found[id_] = now_id if now_id in unknown else named.get(now_id)
        return found

    @_refusals_on_record("unknown.named")
    def name(
        self,
        id_: str,
        name: str,
        consent: Consent | None = None,
        *,
        allow_duplicate: bool = False,
        allow_inconsistent: bool = False,
    ) -> Enrollment:
        """Give an unknown person a name: what was kept of the voice is enrolled, and the id leads to the person.

        Checked as in `Gallery.enroll`; the consent, given now or on record, must cover diarize-name. The recordings
        the person was heard in are not kept any longer.

        Raises:
            PolicyError: consent_missing, consent_expired, opted_out, voice_already_enrolled.
            InputError: unknown_missing, name_invalid, enrollment_inconsistent, not_enough_speech.
            CompatibilityError: model_mismatch, bundle_uncalibrated. StoreError.
        """
        gallery = self.gallery
        gallery.bundle.check_calibrated()
        applied = Application(
            gallery.bundle,
            gallery.policy,
            gallery.now,
            clean_name(name),
            consent,
            allow_duplicate,
            allow_inconsistent,
            NAMING_PURPOSE,
        )
        store, index = gallery.stored()
        applied.admit(store)
        record = self._standing(id_)
        seal = self._seal(record.id)

        def hand_over(change: Change, person: PersonRecord) -> None:
            if change.unknown.seal_of(record.id) != seal:
                raise _changed_meanwhile(record.id)
            change.unknown.remove(record.id, heir=person.id)
            personal = {"unknown": record.id}
            change.record(Event("unknown.named", person_id=person.id, personal=personal, at=gallery.now()))

        return applied.commit(store, index, self._heard(record), hand_over)

    @_refusals_on_record("unknown.merged")
    def merge(self, keep: str, other: str, *, allow_inconsistent: bool = False) -> UnknownPerson:
        """Join two unknown people who are one: `keep` gets what is kept of `other`, whose id leads to `keep`.

        Raises:
            InputError: unknown_missing, merge_same_person, merge_different_voices. StoreError.
        """
        kept, gone = self._standing(keep), self._standing(other)
        if kept.id == gone.id:
            raise InputError("merge_same_person", f"{keep} and {other} are one already; name two.")
        if not allow_inconsistent:
            self._check_alike(kept, gone)
        joined = kept.hearing(gone.heard)
        seals = [self._seal(record.id) for record in (kept, gone)]
        with self._store().changing() as change:
            if [change.unknown.seal_of(record.id) for record in (kept, gone)] != seals:
                raise _changed_meanwhile(keep)
            change.unknown.put(joined)
            change.unknown.remove(gone.id, heir=kept.id)
            change.record(Event("unknown.merged", person_id=kept.id, at=self.gallery.now()))
        return joined.public()

    @_refusals_on_record("unknown.forgotten")
    def forget(self, id_: str) -> UnknownPerson:
        """Destroy an unknown person's key, voice and recordings, and prove that the bytes are gone from the file.

        What stays are keyed hashes of the seconds the voice was taken from: so that the same recordings do not bring
        it back. In other recordings nothing is left to recognise it by; `opt_out` is for those who wish that.

        Raises:
            InputError: unknown_missing. StoreError: erase_incomplete when another process holds old pages.
        """
        with self._store().changing() as change:
            record = self._any(id_)
            for voice in record.heard:
                change.forget_seconds(voice.sighting.audio_sha256, voice.seconds)
            change.unknown.remove(record.id)
            change.record(Event("unknown.forgotten", person_id=record.id, at=self.gallery.now()))
        return record.public()

    @_refusals_on_record("unknown.opted_out")
    def opt_out(self, id_: str, evidence: str) -> UnknownPerson:
        """Forget an unknown person but for the voice, by which they are recognised and never kept again.

        Args:
            id_: who.
            evidence: where the person's wish is written down: without it a voice is not kept, not for this either.

        Raises:
            PolicyError: wish_missing. InputError: unknown_missing. StoreError.
        """
        wish = OptOut(evidence, self.gallery.now())
        with self._store().changing() as change:
            record = self._any(id_)
            for voice in record.heard:
                change.forget_seconds(voice.sighting.audio_sha256, voice.seconds)
            kept = record.opted_out(wish)
            change.unknown.drop_ids_of(record.id, erase=True)
            change.unknown.put(kept, erase_old=True)
            change.record(Event("unknown.opted_out", person_id=kept.id, at=self.gallery.now()))
        return kept.public()

    def purge(self, *, dry_run: bool = False) -> list[UnknownPerson]:
        """Erase what has expired; return the people it was kept of, as they were.

        Args:
            dry_run: only say who it would be.

        Raises:
            StoreError: erase_incomplete when another process holds old pages.
        """
        now, store = self.gallery.now(), self._store()
        if dry_run:
            records = store.read_unknown()
        else:
            with store.changing() as change:
                records = store.read_unknown()
                purge(change, records, now)
                expired = sum(record.at(now) is not record for record in records)
                change.record(Event("unknown.purged", facts={"people": expired}, at=now))
        return [record.public() for record in records if record.at(now) is not record]

    def _store(self) -> Store:
        return self.gallery.stored()[0]

    def _seal(self, id_: str) -> bytes | None:
        with self._store().snapshot() as roster:
            return roster.unknown.get(id_)

    def _any(self, id_: str) -> UnknownRecord:
        """The unknown person of that id, or of the one it was joined to; also one who expired or opted out."""
        store = self._store()
        with store.snapshot() as roster:
            now_id = roster.known_as.get(id_, id_)
            named = now_id in roster.entries
            found = [record for record in store.read_unknown() if record.id == now_id]
        if found:
            return found[0]
        why = (
            "it was given a name: `voxid people` has the person"
            if named
            else "`voxid people unknown` lists them"
        )
        raise InputError("unknown_missing", f"No unknown person here has the id {id_!r}; {why}.")

    def _standing(self, id_: str) -> UnknownRecord:
        """The unknown person of that id as far as it may be used."""
        record = self._any(id_)
        valid = None if record.opt_out is not None else record.at(self.gallery.now())
        if valid is None:
            why = "opted out" if record.opt_out is not None else "expired and is to be purged"
            raise InputError("unknown_missing", f"{id_!r} has {why}; nothing may be done with the voice.")
        return valid

    def _check_alike(self, kept: UnknownRecord, gone: UnknownRecord) -> None:
        bundle = self.gallery.bundle
        sides = []
        for record in (kept, gone):
            if not len(record.embeddings(bundle.id)):
                raise mismatch_of(record.id, record.voiceprints, bundle)
            sides.append(bundle.backend.side(record.embeddings(bundle.id), record.qualities(bundle.id)))
        llr = float(bundle.backend.compare(*sides)[1][0])
        if llr < MIN_CONSISTENCY_LLR:
            raise InputError(
                "merge_different_voices",
                f"{kept.id} and {gone.id} do not sound like one person (LLR {llr:.1f}, expected at least "
                f"{MIN_CONSISTENCY_LLR:.0f}); nothing was changed: allow it only if you know better.",
            )

    def _heard(self, record: UnknownRecord) -> list[Heard]:
        bundle = self.gallery.bundle
        if any(voice.voiceprint.info.bundle_id != bundle.id for voice in record.heard):
            raise mismatch_of(record.id, record.voiceprints, bundle)
        return [
            Heard(
                voice.sighting.uri,
                voice.sighting.audio_sha256,
                SpeechQuality(
                    voice.sighting.speech_s, info.net_speech_s, info.snr_db, 0.0, info.high_band_db
                ),
                "ok",
                voice.voiceprint.embedding,
            )
            for voice in record.heard
            for info in (voice.voiceprint.info,)
        ]


def _name_of(person: PersonRecord, gallery: OpenGallery) -> str | None:
    consent = person.consent
    allowed = consent is not None and NAMING_PURPOSE in consent.purposes
    return person.name if allowed and consent is not None and not consent.expired(gallery.now()) else None


def _changed_meanwhile(id_: str) -> InputError:
    return InputError("unknown_changed", f"{id_} was changed by another process just now; try again.")
