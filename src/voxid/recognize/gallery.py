"""`Gallery`: the object users hold. People go in with consent, decisions come out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from voxid.audio import AudioSource
from voxid.backend import NOT_MEASURED, Quality
from voxid.bundle import Bundle, default_bundle
from voxid.decision import DEFAULT_PROFILE, IDENTIFY_PROFILE, Candidate, Decision
from voxid.errors import CompatibilityError, ConfigError, InputError
from voxid.gallery.consent import Consent
from voxid.gallery.keys import find_master_key
from voxid.gallery.names import clean_name, lookup_form
from voxid.gallery.records import Person
from voxid.gallery.search import PeopleIndex
from voxid.gallery.store import Store, StoreReport
from voxid.gallery.transfer import TransferReport, export_gallery, import_gallery
from voxid.recognize.amending import id_of, merged, missing, withdrawn
from voxid.recognize.applying import Application, refuse_opted_out
from voxid.recognize.comparing import Claim, Search
from voxid.recognize.enrollment import Enrollment
from voxid.recognize.listening import as_sources, embedding_of, hear
from voxid.speech import QualityPolicy

__all__ = ["Gallery"]


def utc_now() -> datetime:
    """Return the time with time zone; a gallery takes another clock for tests and retention runs."""
    return datetime.now(UTC)


class Gallery:
    """Enrolled people in one encrypted file, and the verbs on them. Use `Gallery.open`.

    A person is compared by all their references as one side of a trial (`voxid.backend`). Threads may share a
    gallery; other processes may have the same file open. After `fork`, open it anew in the child.
    """

    def __init__(
        self,
        path: Path,
        bundle: Bundle,
        policy: QualityPolicy,
        clock: Callable[[], datetime],
        opener: Callable[[], Store],
    ) -> None:
        self.path = path
        self.bundle = bundle
        self.policy = policy
        self._clock = clock
        self._opener = opener
        self._opening = threading.Lock()
        self._store: Store | None = None
        self._index: PeopleIndex | None = None

    @classmethod
    def open(
        cls,
        location: str | Path,
        *,
        bundle: Bundle | None = None,
        key: str | Path | bytes | None = None,
        create: bool = True,
        policy: QualityPolicy | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> Gallery:
        """Return the gallery at `location`.

        A new gallery (and its key file ``<location>.key``, mode 0600) comes into being with the first thing
        stored in it, so a refused enrollment leaves nothing on disk.

        Args:
            location: path of the gallery file.
            bundle: the model to hear with; the one that comes with voxid when None.
            key: path of a key file, or the 32 bytes; None: VOXID_MASTER_KEY, VOXID_KEY_FILE, then the file
                beside the gallery.
            create: whether a missing gallery is a new one or an error.
            policy: what speech is good enough; `QualityPolicy()` when None.
            clock: returns the time with time zone.

        Raises:
            InputError: store_missing. ConfigError: key_missing, key_invalid, key_readable_by_others,
            store_unsupported. CompatibilityError: store_format_newer, _older, _unknown.
            StoreError: key_wrong, store_damaged, store_unreadable.
        """
        if "://" in str(location):
            raise ConfigError(
                "store_unsupported",
                f"{str(location).split('://')[0]} stores are not part of this version; give the path of a "
                "gallery file.",
            )
        path = Path(location)
        gallery = cls(
            path,
            bundle or default_bundle(),
            policy or QualityPolicy(),
            clock,
            lambda: Store.open(path, key=key, create=create),
        )
        if create and not path.exists():
            if not path.absolute().parent.is_dir():
                raise InputError("store_unwritable", f"The folder of {path} does not exist; make it first.")
            find_master_key(key, path)  # a key that was named but is not there is an error now, not later
        else:
            gallery._stored()
        return gallery

    def close(self) -> None:
        """Close the file; the gallery cannot be used afterwards."""
        if self._store is not None:
            self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- the verbs --------------------------------------------------------------------------------------

    def enroll(
        self,
        name: str,
        sources: AudioSource | Sequence[AudioSource],
        consent: Consent | None = None,
        *,
        channel: int | None = None,
        allow_duplicate: bool = False,
        allow_inconsistent: bool = False,
    ) -> Enrollment:
        """Store a voiceprint per recording under the name; more for a person already enrolled. All or nothing.

        Args:
            name: shown as given; found again in any upper or lower case.
            sources: one recording or several.
            consent: required, unless the person has one in force on record.
            channel: 0-based channel to take; None averages.
            allow_duplicate: enroll although the voice is enrolled under another name.
            allow_inconsistent: enroll although a recording does not sound like the others.

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
            self._clock,
            clean_name(name),
            consent,
            allow_duplicate,
            allow_inconsistent,
        )
        listed = as_sources(sources)
        applied.admit(self._stored()[0] if self.path.exists() else None)
        heard = [hear(source, self.bundle, self.policy, channel) for source in listed]
        if not self.path.exists():
            applied.examine(heard, None)  # what is refused must not bring a gallery into being
        store, index = self._stored()
        return applied.commit(store, index, heard)

    def verify(
        self, name: str, source: AudioSource, *, profile: str = DEFAULT_PROFILE, channel: int | None = None
    ) -> Decision:
        """Return whether the recording is the person it claims to be.

        The recording is opened only when the person is enrolled and consents to be verified.

        Raises:
            InputError: profile_unknown, and whatever the audio door refuses. StoreError: store_damaged.
        """
        store, _ = self._stored()
        claim = Claim(store, self.bundle, self.policy, self._clock, str(name), self.bundle.profile(profile))
        return claim.decided(source, channel)

    def identify(
        self,
        source: AudioSource,
        *,
        top: int = 5,
        profile: str = IDENTIFY_PROFILE,
        channel: int | None = None,
    ) -> list[Candidate]:
        """Return the people the voice may be, best first; an empty list says unknown.

        Only people who consent to be identified are looked at. The profile's false-accept rate holds per
        person compared: among N people a stranger is taken for somebody about N times as often.

        Raises:
            InputError: profile_unknown, top_invalid, no_speech, audio_clipped, not_enough_speech, poor_quality,
                and whatever the audio door refuses. CompatibilityError: model_mismatch. StoreError: store_damaged.
        """
        self.bundle.profile(profile)
        heard = hear(source, self.bundle, self.policy, channel)
        embedding = embedding_of(heard, self.policy)
        known = [Quality.of(heard.quality)]
        return self.match(embedding[None], purpose="identify", profile=profile, top=top, qualities=known)[0]

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
    ) -> list[list[Candidate]]:
        """Return, for each embedding, the people it may be, best first; an empty list says unknown.

        Args:
            embeddings: (K, D) float32, raw, unit length, made by the gallery's bundle.
            purpose: only people who consent to it are looked at.
            bundle_id: the bundle that made them, to be checked; None trusts the caller.
            qualities: K, of the speech behind each, which the LLR takes into account; None: not measured.
            review: also people in the profile's review band, whom the caller must not take for found.

        Raises:
            InputError: purpose_unknown, profile_unknown, top_invalid, index_input_invalid.
            CompatibilityError: model_mismatch. StoreError: store_damaged.
        """
        limits = self.bundle.profile(profile)
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
        store, index = self._stored()
        known = [NOT_MEASURED] * len(vectors) if qualities is None else qualities
        search = Search(store, index, self.bundle, purpose, limits, top)
        return search.ranked(vectors, known, self._clock())

    # --- the people -------------------------------------------------------------------------------------

    def people(self) -> list[Person]:
        """Return everybody, sorted by name.

        Raises:
            StoreError: store_damaged.
        """
        store, _ = self._stored()
        with store.snapshot() as roster:
            everybody = [record.public() for record in store.read_many(list(roster.entries))]
        return sorted(everybody, key=lambda person: lookup_form(person.name))

    def get(self, name: str) -> Person:
        """Return one person.

        Raises:
            InputError: person_missing. StoreError: store_damaged.
        """
        store, _ = self._stored()
        with store.snapshot():
            person_id = store.find(name)
            record = None if person_id is None else store.read(person_id)
        if record is None:
            raise missing(name)
        return record.public()

    def rename(self, name: str, new_name: str) -> Person:
        """Give a person another name; voiceprints and consents stay.

        Raises:
            InputError: person_missing, person_exists, name_invalid. PolicyError: opted_out for the new name.
        """
        shown = clean_name(new_name)
        store, _ = self._stored()
        with store.changing() as change:
            record = replace(change.read(id_of(change, name)), name=shown)
            if change.opted_out(shown):
                raise refuse_opted_out(shown)
            change.put(record)
        return record.public()

    def merge(self, keep: str, other: str, *, allow_inconsistent: bool = False) -> Person:
        """Join two records of one person: `keep` gets the voiceprints of `other`, who is deleted.

        What both consents allow stays allowed, until the earlier of their ends.

        Raises:
            InputError: person_missing, merge_same_person, merge_different_voices. PolicyError: consent_missing
            when the two consents have no purpose in common. CompatibilityError: model_mismatch.
        """
        store, _ = self._stored()
        with store.changing() as change:
            kept, gone = change.read(id_of(change, keep)), change.read(id_of(change, other))
            record = merged(kept, gone, self.bundle, self._clock(), allow_inconsistent=allow_inconsistent)
            change.remove(gone.id)
            change.put(record)
        return record.public()

    def delete(self, name: str) -> None:
        """Destroy a person's data key and rows, and prove that their bytes are gone from the file.

        Raises:
            InputError: person_missing. StoreError: erase_incomplete when another process holds old pages.
        """
        store, _ = self._stored()
        with store.changing() as change:
            change.remove(id_of(change, name))

    def opt_out(self, name: str) -> None:
        """Delete the person, if enrolled, and refuse the name from now on; it need never have been enrolled.

        Kept is a keyed hash of the name, which recognises it and does not give it back.
        """
        shown = clean_name(name)
        store, _ = self._stored()
        with store.changing() as change:
            person_id = change.find(shown)
            if person_id is not None:
                change.remove(person_id)
            change.add_opt_out(shown)

    def lift_opt_out(self, name: str) -> None:
        """Allow the name again, on the person's own wish; enrolling still takes a consent."""
        store, _ = self._stored()
        with store.changing() as change:
            change.lift_opt_out(name)

    def opted_out(self, name: str) -> bool:
        """Return whether the name is under an opt-out."""
        return self._stored()[0].opted_out(name)

    def withdraw(self, name: str, purposes: Iterable[str] | None = None) -> Person:
        """Record the withdrawal of consent; with no purpose left, every voiceprint is destroyed at once.

        The person stays on record with the consent history, as proof of the withdrawal; `delete` ends that too.

        Args:
            purposes: which to withdraw; None: all.

        Raises:
            InputError: person_missing, consent_invalid for an unknown purpose.
        """
        store, _ = self._stored()
        with store.changing() as change:
            record = withdrawn(change.read(id_of(change, name)), purposes, self._clock())
            change.put(record, erase_old=not record.voiceprints)
        return record.public()

    def export(
        self, path: str | Path, *, passphrase: str | None, names: Iterable[str] | None = None
    ) -> TransferReport:
        """Write everybody, or the people named, to one file encrypted with a passphrase.

        Raises:
            ConfigError: passphrase_missing. InputError: person_missing, export_exists, export_unwritable.
        """
        store, _ = self._stored()
        with store.snapshot():
            ids = None if names is None else [id_of(store, name) for name in names]
            return export_gallery(store, Path(path), passphrase, self._clock(), ids)

    def import_(self, path: str | Path, *, passphrase: str | None) -> TransferReport:
        """Take over everybody in an export, or nobody; opt-outs on either side are honoured.

        Raises:
            ConfigError: passphrase_missing, passphrase_wrong. InputError: export_missing, export_unknown_format,
            import_conflict. CompatibilityError: export_version_unknown. StoreError: export_damaged.
        """
        return import_gallery(self._stored()[0], Path(path), passphrase)

    def check(self) -> StoreReport:
        """Return the counts after reading and authenticating everything stored.

        Raises:
            StoreError: store_damaged, naming the first thing found.
        """
        return self._stored()[0].check()

    def _stored(self) -> tuple[Store, PeopleIndex]:
        """The store and its index; opened, or made, on first use."""
        with self._opening:
            if self._store is None or self._index is None:
                self._store = self._opener()
                self._index = PeopleIndex(self._store, self.bundle.id, self.bundle.mean)
            return self._store, self._index
