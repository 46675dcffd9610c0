"""What one does with the people on record, without a recording."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from voxid.audit.events import Event
from voxid.gallery.consent import Consent
from voxid.gallery.holds import check_not_held
from voxid.gallery.names import clean_name, lookup_form
from voxid.gallery.records import Person, PersonRecord
from voxid.gallery.store import StoreReport
from voxid.gallery.transfer import TransferReport, export_gallery, import_gallery
from voxid.gallery.unknown import OptOut, UnknownRecord
from voxid.recognize.amending import MergePreview, id_of, merged, missing, withdrawn
from voxid.recognize.applying import refuse_opted_out
from voxid.recognize.enrollment import check_consent, with_consent
from voxid.recognize.opened import OpenGallery
from voxid.recognize.witness import consent_event, refusals_on_record

__all__ = ["GalleryOfPeople"]


class GalleryOfPeople(OpenGallery):
    """List, show, rename, merge, delete, opt out, withdraw, carry over, check."""

    def people(self) -> list[Person]:
        """Return everybody, sorted by name.

        Raises:
            StoreError: store_damaged.
        """
        store, _ = self.stored()
        with store.snapshot() as roster:
            everybody = [record.public() for record in store.read_many(list(roster.entries))]
        return sorted(everybody, key=lambda person: lookup_form(person.name))

    def get(self, name: str) -> Person:
        """Return one person.

        Raises:
            InputError: person_missing. StoreError: store_damaged.
        """
        store, _ = self.stored()
        with store.snapshot():
            person_id = store.find(name)
            record = None if person_id is None else store.read(person_id)
        if record is None:
            raise missing(name)
        return record.public()

    @refusals_on_record("person.renamed")
    def rename(self, name: str, new_name: str) -> Person:
        """Give a person another name; voiceprints and consents stay.

        Raises:
            InputError: person_missing, person_exists, name_invalid. PolicyError: opted_out for the new name.
        """
        shown = clean_name(new_name)
        store, _ = self.stored()
        with store.changing() as change:
            record = replace(change.read(id_of(change, name)), name=shown)
            if change.opted_out(shown):
                raise refuse_opted_out(shown)
            change.put(record)
            change.record(Event("person.renamed", person_id=record.id, at=self.now()))
        return record.public()

    @refusals_on_record("person.merged")
    def merge(self, keep: str, other: str, *, allow_inconsistent: bool = False) -> Person:
        """Join two records of one person: `keep` gets the voiceprints of `other`, who is deleted.

        What both consents allow stays allowed, until the earlier of their ends.

        Raises:
            InputError: person_missing, merge_same_person, merge_different_voices. PolicyError: consent_missing
            when the two consents have no purpose in common; legal_hold on `other`. CompatibilityError: model_mismatch.
        """
        store, _ = self.stored()
        with store.changing() as change:
            kept, gone = change.read(id_of(change, keep)), change.read(id_of(change, other))
            check_not_held(store, gone.id)
            record = merged(kept, gone, self.bundle, self.now(), allow_inconsistent=allow_inconsistent)
            change.unknown.hand_on(gone.id, record.id)
            change.documents.hand_on(gone.id, record.id)
            change.remove(gone.id)
            change.put(record)
            facts = {"added": len(record.voiceprints) - len(kept.voiceprints)}
            change.record(Event("person.merged", person_id=record.id, facts=facts, at=self.now()))
            change.record(consent_event(record, self.now()))
            change.record(Event("person.merged_away", person_id=gone.id, at=self.now()))
        return record.public()

    def preview_merge(self, keep: str, other: str) -> MergePreview:
        """Return what `merge` would leave; nothing is changed.

        Raises:
            InputError: person_missing, merge_same_person. PolicyError: consent_missing. CompatibilityError:
            model_mismatch.
        """
        store, _ = self.stored()
        with store.snapshot():
            kept, gone = store.read(id_of(store, keep)), store.read(id_of(store, other))
        if kept is None or gone is None:
            raise missing(keep if kept is None else other)
        return MergePreview.of(kept, gone, self.bundle, self.now())

    @refusals_on_record("person.registered")
    def register(self, name: str, consent: Consent) -> Person:
        """Put a person on record with their consent, before there is a recording; voiceprints come with `enroll`.

        Raises:
            InputError: person_exists, name_invalid, consent_invalid. PolicyError: opted_out, consent_expired.
        """
        shown = clean_name(name)
        store, _ = self.stored()
        with store.changing() as change:
            if change.opted_out(shown):
                raise refuse_opted_out(shown)
            now = self.now()
            given = with_consent((), check_consent(shown, consent, None, now), now)
            record = PersonRecord(str(uuid4()), shown, now, (), given)
            change.put(record)
            change.record(Event("person.registered", person_id=record.id, at=now))
            change.record(consent_event(record, now))
        return record.public()

    @refusals_on_record("consent.given")
    def renew_consent(self, name: str, consent: Consent) -> Person:
        """Record a consent that takes the place of the one in force; the history keeps both.

        Raises:
            InputError: person_missing, consent_invalid. PolicyError: consent_expired.
        """
        store, _ = self.stored()
        with store.changing() as change:
            before = change.read(id_of(change, name))
            now = self.now()
            given = check_consent(before.name, consent, None, now)
            record = replace(before, consents=with_consent(before.consents, given, now))
            change.put(record)
            change.record(consent_event(record, now))
        return record.public()

    @refusals_on_record("person.deleted")
    def delete(self, name: str) -> None:
        """Destroy a person's data key and rows, and prove that their bytes are gone from the file.

        Raises:
            InputError: person_missing. PolicyError: legal_hold. StoreError: erase_incomplete when another process
            holds old pages.
        """
        store, _ = self.stored()
        with store.changing() as change:
            person_id = id_of(change, name)
            check_not_held(store, person_id)
            change.remove(person_id)
            change.record(Event("person.deleted", person_id=person_id, at=self.now()))

    @refusals_on_record("person.opted_out")
    def opt_out(self, name: str, *, voice_wish: str | None = None) -> str | None:
        """Delete the person, if enrolled, and refuse the name from now on; it need never have been enrolled.

        Kept is a keyed hash of the name, which recognises it and does not give it back.

        Args:
            name: whose.
            voice_wish: where it is written down that the person also wishes never to be kept without a name
                (`voxid.diarize.remember`): that takes keeping the voice, for nothing but to recognise it.

        Returns:
            The id the voice is kept under; None when it is not.

        Raises:
            InputError: name_invalid. PolicyError: wish_missing, legal_hold.
        """
        shown = clean_name(name)
        wish = None if voice_wish is None else OptOut(voice_wish, self.now())
        kept = None
        store, _ = self.stored()
        with store.changing() as change:
            person_id = change.find(shown)
            if person_id is not None:
                check_not_held(store, person_id)
                voiceprints = change.read(person_id).voiceprints if wish is not None else ()
                if wish is not None and voiceprints:
                    kept = UnknownRecord.of_opt_out(change.unknown.new_id(), voiceprints, wish)
                    change.unknown.put(kept)
                change.remove(person_id)
            change.add_opt_out(shown)
            facts = {"enrolled": person_id is not None, "voice_kept": kept is not None}
            change.record(Event("person.opted_out", person_id=person_id, facts=facts, at=self.now()))
        return None if kept is None else kept.id

    def lift_opt_out(self, name: str) -> None:
        """Allow the name again, on the person's own wish; enrolling still takes a consent."""
        store, _ = self.stored()
        with store.changing() as change:
            change.lift_opt_out(name)
            change.record(Event("opt_out.lifted", at=self.now()))

    def opted_out(self, name: str) -> bool:
        """Return whether the name is under an opt-out."""
        return self.stored()[0].opted_out(name)

    @refusals_on_record("consent.withdrawn")
    def withdraw(self, name: str, purposes: Iterable[str] | None = None) -> Person:
        """Record the withdrawal of consent; with no purpose left, every voiceprint is destroyed at once.

        The person stays on record with the consent history, as proof of the withdrawal; `delete` ends that too.

        Args:
            purposes: which to withdraw; None: all.

        Raises:
            InputError: person_missing, consent_invalid for an unknown purpose.
        """
        store, _ = self.stored()
        with store.changing() as change:
            record = withdrawn(change.read(id_of(change, name)), purposes, self.now())
            change.put(record, erase_old=not record.voiceprints)
            change.outdate(record.id)  # an older copy holds the consent as it was
            change.record(consent_event(record, self.now()))
        return record.public()

    @refusals_on_record("gallery.exported", named=False)
    def export(
        self, path: str | Path, *, passphrase: str | None, names: Iterable[str] | None = None
    ) -> TransferReport:
        """Write everybody, or the people named, to one file encrypted with a passphrase.

        Raises:
            ConfigError: passphrase_missing. InputError: person_missing, export_exists, export_unwritable.
        """
        store, _ = self.stored()
        with store.snapshot():
            ids = None if names is None else [id_of(store, name) for name in names]
            report = export_gallery(store, Path(path), passphrase, self.now(), ids)
        facts = {"people": len(report.people), "voiceprints": report.voiceprints, "whole": ids is None}
        each = [Event("person.exported", person_id=person_id, at=self.now()) for person_id in ids or ()]
        store.record([Event("gallery.exported", facts=facts, at=self.now()), *each])
        return report

    @refusals_on_record("gallery.imported", named=False)
    def import_(self, path: str | Path, *, passphrase: str | None) -> TransferReport:
        """Take over everybody in an export, or nobody; opt-outs on either side are honoured.

        Raises:
            ConfigError: passphrase_missing, passphrase_wrong. InputError: export_missing, export_unknown_format,
            import_conflict. CompatibilityError: export_version_unknown. StoreError: export_damaged.
        """
        return import_gallery(self.stored()[0], Path(path), passphrase)

    def check(self) -> StoreReport:
        """Return the counts after reading and authenticating everything stored.

        Raises:
            StoreError: store_damaged, naming the first thing found.
        """
        return self.stored()[0].check()
