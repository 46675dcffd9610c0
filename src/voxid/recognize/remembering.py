"""Voices without a name: which of them are known already, which may be kept, and which must not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from voxid.audit.events import Event
from voxid.backend import Quality, Sides
from voxid.bundle import Bundle
from voxid.errors import CompatibilityError, StoreError
from voxid.gallery.change import Change
from voxid.gallery.records import Voiceprint, VoiceprintInfo
from voxid.gallery.search import PeopleIndex
from voxid.gallery.store import Store
from voxid.gallery.unknown import Grounds, HeardVoice, Sighting, UnknownRecord
from voxid.recognize.assignment import assign, threshold_among
from voxid.recognize.enrollment import scores_against
from voxid.speech import QualityPolicy, SpeechQuality

__all__ = ["MIN_REMEMBERED_SPEECH_S", "Remembered", "Remembering", "UnnamedVoice", "compare_unknown", "purge"]

MIN_REMEMBERED_SPEECH_S: Final = 5.0
"""Speech a voice must be taken from to be kept: a shorter one is not known again surely enough to be worth keeping."""

_MAX_RACES: Final = 20
_NEAREST: Final = 5
_FORGOTTEN_SHARE: Final = 0.5
"""Of the seconds a voice is taken from, as many forgotten ones make it a forgotten voice."""

_PROTECTED: Final = (
    "the voice is one that may not be kept (enrolled, opted out or forgotten), so nothing was stored"
)


@dataclass(frozen=True, eq=False)
class UnnamedVoice:
    """One speaker of a recording without a name.

    Args:
        label: on the timeline.
        embedding: (D,) float32, raw, of unit length.
        quality: of the speech it was taken from.
        speech_s: seconds the speaker speaks in the whole recording.
        seconds: the whole seconds of the recording it was taken from.
    """

    label: str
    embedding: NDArray[np.float32]
    quality: SpeechQuality
    speech_s: float
    seconds: tuple[int, ...]


@dataclass(frozen=True)
class Remembered:
    """What became of one voice.

    Args:
        label: on the timeline.
        id: of the unknown person it is from now on; None when it was not kept.
        new: the id was made now.
        reason: in words.
    """

    label: str
    id: str | None
    new: bool
    reason: str


@dataclass(frozen=True)
class Remembering:
    """One recording's voices, to be kept where they may be.

    Args:
        store, index, bundle, policy: the gallery's.
        now: the clock.
        profile: its false-accept rate holds for the comparison with all unknown people together.
        grounds: why the voices may be kept, and how long.
        uri, audio_sha256: of the recording.
    """

    store: Store
    index: PeopleIndex
    bundle: Bundle
    policy: QualityPolicy
    now: Callable[[], datetime]
    profile: str
    grounds: Grounds
    uri: str
    audio_sha256: str

    def keep(self, voices: Sequence[UnnamedVoice]) -> tuple[Remembered, ...]:
        """Return what became of each voice; everything kept, and everything expired purged, in one transaction.

        Raises:
            CompatibilityError: model_mismatch. StoreError.
        """
        refused = {at: reason for at, voice in enumerate(voices) if (reason := self._too_little(voice))}
        heard = [at for at in range(len(voices)) if at not in refused]
        for _ in range(_MAX_RACES):
            with self.store.snapshot() as roster:
                seen, now = roster.state.generation, self.now()
                records = self.store.read_unknown()
                known = [valid for record in records if (valid := record.at(now)) is not None]
                chosen = self._recognised([voices[at] for at in heard], known)
                with self.store.changing() as change:
                    if change.generation == seen:
                        purge(change, records, now)
                        found = dict(zip(heard, chosen, strict=True))
                        remembered = tuple(
                            Remembered(voice.label, None, False, refused[at])
                            if at in refused
                            else self._put(change, voice, found[at], now)
                            for at, voice in enumerate(voices)
                        )
                        for one in remembered:
                            outcome = "not_kept" if one.id is None else "new" if one.new else "known"
                            personal = {"basis": self.grounds.basis}
                            change.record(Event("unknown.remembered", outcome, one.id, {}, personal, now))
                        return remembered
        raise StoreError(
            "store_busy", f"{self.store.path.name} is being written by others all the time; try again."
        )

    def _too_little(self, voice: UnnamedVoice) -> str | None:
        quality = voice.quality
        if quality.net_speech_s < MIN_REMEMBERED_SPEECH_S:
            return (
                f"{quality.net_speech_s:.1f} s of speech without others are too little to be known again; "
                f"{MIN_REMEMBERED_SPEECH_S:.0f} s are needed"
            )
        if self.policy.check(quality, for_enroll=True) != "ok":
            return "the speech is too noisy or clipped to be known again"
        return None

    def _recognised(
        self, voices: Sequence[UnnamedVoice], known: Sequence[UnknownRecord]
    ) -> list[UnknownRecord | str | None]:
        """Return for each voice the unknown person it is, None for a new one, or why it may not be kept."""
        if not voices:
            return []
        backend = self.bundle.backend
        qualities = [Quality.of(voice.quality) for voice in voices]
        probes = backend.sides(
            [voice.embedding[None] for voice in voices], [[quality] for quality in qualities]
        )
        embeddings = np.stack([voice.embedding for voice in voices])
        opted_out = [record for record in known if record.opt_out is not None]
        others = [
            record for record in known if record.opt_out is None and len(record.embeddings(self.bundle.id))
        ]
        protected = self._sounds_enrolled(probes)
        if opted_out:
            self._check_recognisable(opted_out)
            alike = compare_unknown(opted_out, embeddings, qualities, self.bundle).max(axis=1)
            # Somebody who opted out is protected from the review band on: not to keep a voice harms nobody.
            limits = self.bundle.profile(self.profile)
            least = limits.threshold_llr if limits.review_llr is None else limits.review_llr
            protected |= {int(row) for row in np.flatnonzero(alike >= least)}
        llr = compare_unknown(others, embeddings, qualities, self.bundle)
        threshold_llr = threshold_among(self.bundle, self.profile, len(others))
        open_llr = llr.copy()
        open_llr[sorted(protected)] = -np.inf
        found = assign(open_llr, threshold_llr)
        answers: list[UnknownRecord | str | None] = []
        for row in range(len(voices)):
            if row in protected:
                answers.append(_PROTECTED)
            elif row in found:
                answers.append(others[found[row]])
            elif others and llr[row].max() >= threshold_llr:
                nearest = others[int(np.argmax(llr[row]))].id
                answers.append(f"the voice is much like that of {nearest}, who speaks here elsewhere")
            else:
                answers.append(None)
        return answers

    def _check_recognisable(self, opted_out: Sequence[UnknownRecord]) -> None:
        if any(not len(record.embeddings(self.bundle.id)) for record in opted_out):
            raise CompatibilityError(
                "model_mismatch",
                f"The voice of somebody who opted out was heard by another bundle than {self.bundle.id} and would not "
                "be recognised, so nothing was kept; open the gallery with the bundle that heard it.",
            )

    def _sounds_enrolled(self, probes: Sides) -> set[int]:
        """Return the voices of enrolled people, whatever they consented to: those are never kept without a name."""
        with self.store.snapshot() as roster:
            self.index.sync(roster)
            if not len(self.index):
                return set()
            threshold_llr = self.bundle.profile(self.profile).threshold_llr
            found = set()
            for row, line in enumerate(self.index.search(probes.vectors, _NEAREST, None, self.now())):
                people = list(self.store.read_many(id_ for id_, _ in line))
                scored = scores_against(people, probes.take([row]), self.bundle)
                if any(one is not None and one[1] >= threshold_llr for one in scored):
                    found.add(row)
        return found

    def _put(
        self, change: Change, voice: UnnamedVoice, found: UnknownRecord | str | None, now: datetime
    ) -> Remembered:
        if isinstance(found, str):
            return Remembered(voice.label, None, False, found)
        if change.forgotten_share(self.audio_sha256, voice.seconds) >= _FORGOTTEN_SHARE:
            return Remembered(voice.label, None, False, _PROTECTED)
        heard = self._heard(voice, now)
        if found is None:
            record = UnknownRecord(change.unknown.new_id(), now, (heard,))
            change.unknown.put(record)
            return Remembered(voice.label, record.id, True, "kept under a new id")
        record = found.hearing([heard])
        change.unknown.put(record)
        times = f"{len(record.heard)} recording{'s' if len(record.heard) != 1 else ''}"
        return Remembered(voice.label, record.id, False, f"known already; heard in {times}")

    def _heard(self, voice: UnnamedVoice, now: datetime) -> HeardVoice:
        quality = voice.quality
        info = VoiceprintInfo(
            str(uuid4()),
            self.bundle.id,
            quality.net_speech_s,
            self.audio_sha256,
            now,
            quality.snr_db,
            quality.high_band_db,
        )
        sighting = Sighting(
            self.uri,
            self.audio_sha256,
            now,
            self.grounds.expires_at(now),
            voice.speech_s,
            self.grounds.basis,
        )
        return HeardVoice(sighting, Voiceprint(info, voice.embedding), voice.seconds)


def compare_unknown(
    records: Sequence[UnknownRecord],
    embeddings: NDArray[np.float32],
    qualities: Sequence[Quality],
    bundle: Bundle,
) -> NDArray[np.float64]:
    """Return the LLR of each voice against each unknown person.

    Args:
        records: M; one without a voiceprint of the bundle is not compared.
        embeddings: (K, D) float32, raw, of unit length.
        qualities: K, of the speech behind each.

    Returns:
        (K, M) natural-log LLRs, higher is more alike; minus infinity where nothing was compared.
    """
    llr = np.full((len(embeddings), len(records)), -np.inf)
    references = [record.embeddings(bundle.id) for record in records]
    columns = [at for at, rows in enumerate(references) if len(rows)]
    if columns and len(embeddings):
        backend = bundle.backend
        known = backend.sides(
            [references[at] for at in columns], [records[at].qualities(bundle.id) for at in columns]
        )
        probes = backend.sides([row[None] for row in embeddings], [[quality] for quality in qualities])
        for row in range(len(embeddings)):
            llr[row, columns] = backend.compare(known, probes.take([row]))[1]
    return llr


def purge(change: Change, records: Sequence[UnknownRecord], now: datetime) -> None:
    """Erase from the gallery what of these unknown people has expired."""
    for record in records:
        valid = record.at(now)
        if valid is None:
            change.unknown.remove(record.id)
        elif valid is not record:
            change.unknown.put(valid, erase_old=True)
