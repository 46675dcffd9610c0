"""One claim decided, strangers named or left unknown: what verify, identify and match do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxid.backend import Quality, Sides
from voxid.bundle import Bundle
from voxid.decision import Candidate, Decision, Outcome, ThresholdProfile, decide
from voxid.errors import InputError
from voxid.gallery.consent import PURPOSES
from voxid.gallery.records import PersonRecord
from voxid.gallery.search import PeopleIndex
from voxid.gallery.store import Store
from voxid.recognize.enrollment import mismatch_sentence, scores_against
from voxid.recognize.listening import Heard, too_little_to_compare
from voxid.speech import QualityPolicy
from voxid.stages import stage

__all__ = ["RESCORED", "Claim", "Search"]

RESCORED: Final = 50
"""People the index proposes by cosine, at least; whoever is named is one of the best among them by LLR."""

# Half precision in the index shifts a cosine by less than this; candidates are scored again from the store.
_INDEX_SLACK: Final = 2e-3


@dataclass(frozen=True)
class Claim:
    """ "This is NAME speaking", to be decided.

    Args:
        store: who is enrolled.
        bundle, policy: what to compare with, and what speech is good enough.
        now: the clock.
        name: as claimed.
        profile: threshold.
    """

    store: Store
    bundle: Bundle
    policy: QualityPolicy
    now: Callable[[], datetime]
    name: str
    profile: ThresholdProfile

    def decided(self, hearing: Callable[[], Heard]) -> Decision:
        """Return the decision; the recording is heard only when the person may be compared.

        Raises:
            InputError: whatever the audio door refuses. StoreError: store_damaged.
        """
        person = self._standing()
        if isinstance(person, Decision):
            return person
        heard = hearing()
        if heard.embedding is None:
            return self._without_score(
                Outcome(heard.verdict), too_little_to_compare(heard, self.policy), person.name, heard
            )
        # Hearing took a while: what holds now counts, so that nobody is accepted after a delete returned.
        person = self._standing()
        if isinstance(person, Decision):
            return person
        with stage("score"):
            probe = self.bundle.backend.side(heard.embedding[None], [Quality.of(heard.quality)])
            compared = scores_against([person], probe, self.bundle)[0]
        if compared is None:
            return self._without_score(
                Outcome.MODEL_MISMATCH, mismatch_sentence(person, self.bundle), person.name
            )
        score, llr = compared
        outcome = decide(llr, self.profile)
        return Decision(
            outcome=outcome,
            person=person.name,
            llr=llr,
            score=score,
            profile=self.profile.name,
            far=self.profile.far,
            net_speech_s=heard.quality.net_speech_s,
            model_id=self.bundle.id,
            audio_sha256=heard.audio_sha256,
            reason=_reason(outcome, llr, self.profile),
        )

    def _standing(self) -> PersonRecord | Decision:
        """The person as on record now, or the decision when no comparison is allowed."""
        with self.store.snapshot():
            if self.store.opted_out(self.name):
                return self._without_score(
                    Outcome.OPTED_OUT, f"{self.name!r} has opted out of speaker recognition."
                )
            person_id = self.store.find(self.name)
            person = None if person_id is None else self.store.read(person_id)
        if person is None:
            return self._not_enrolled()
        consent = person.consent
        if consent is None or "verify" not in consent.purposes:
            sentence = f"{person.name!r} has given no consent to be verified; record one that names the purpose verify."
            return self._without_score(Outcome.CONSENT_MISSING, sentence, person.name)
        if consent.expired(self.now()):
            sentence = (
                f"The consent of {person.name!r} ended on {consent.expires_at:%Y-%m-%d}; ask for a new one."
            )
            return self._without_score(Outcome.CONSENT_EXPIRED, sentence, person.name)
        if not person.voiceprints:
            return self._not_enrolled()
        if not len(person.embeddings(self.bundle.id)):
            sentence = mismatch_sentence(person, self.bundle)
            return self._without_score(Outcome.MODEL_MISMATCH, sentence, person.name)
        return person

    def _not_enrolled(self) -> Decision:
        return self._without_score(
            Outcome.NOT_ENROLLED, f"Nobody called {self.name!r} is enrolled; enroll them first."
        )

    def _without_score(
        self, outcome: Outcome, reason: str, name: str | None = None, heard: Heard | None = None
    ) -> Decision:
        return Decision(
            outcome=outcome,
            person=name or self.name,
            llr=None,
            score=None,
            profile=self.profile.name,
            far=self.profile.far,
            net_speech_s=heard.quality.net_speech_s if heard else None,
            model_id=self.bundle.id,
            audio_sha256=heard.audio_sha256 if heard else None,
            reason=reason,
        )


@dataclass(frozen=True)
class Search:
    """ "Who is this?", to be answered for any number of voices.

    Args:
        store: who is enrolled; the index proposes, names and scores come from the store's own rows.
        index: over the same store.
        bundle: what to compare with.
        purpose: only people whose consent in force names it are looked at.
        profile: only people at or above its threshold are returned.
        top: how many at most.

    Raises:
        InputError: purpose_unknown, top_invalid.
    """

    store: Store
    index: PeopleIndex
    bundle: Bundle
    purpose: str
    profile: ThresholdProfile
    top: int

    def __post_init__(self) -> None:
        if self.purpose not in PURPOSES:
            raise InputError(
                "purpose_unknown", f"{self.purpose!r} is no purpose; expected one of: {', '.join(PURPOSES)}."
            )
        if not 1 <= self.top <= 1000:
            raise InputError("top_invalid", f"{self.top} candidates were asked for; expected 1 to 1000.")

    @stage("search")
    def ranked(
        self, embeddings: NDArray[np.float32], qualities: Sequence[Quality], now: datetime
    ) -> list[list[Candidate]]:
        """Return, for each raw embedding (K, D), the people it may be, best first; an empty list is unknown.

        Args:
            qualities: K, of the speech behind each.
            now: consents must be in force then.

        Raises:
            InputError: index_input_invalid. CompatibilityError: model_mismatch. StoreError: store_damaged.
        """
        if not len(embeddings):
            return []
        backend = self.bundle.backend
        probes = backend.sides([row[None] for row in embeddings], [[quality] for quality in qualities])
        with self.store.snapshot() as roster:
            self.index.sync(roster)
            lines = self.index.search(probes.vectors, max(self.top, RESCORED), self.purpose, now)
            found = self._scored([self._hopeful(line) for line in lines], probes)
            named = sorted({id_ for line in found for id_, _, _ in line})
            names = {record.id: record.name for record in self.store.read_many(named)} if named else {}
        return [
            [Candidate(names[id_], llr, score, self.profile.name) for id_, score, llr in line]
            for line in found
        ]

    def _hopeful(self, line: Sequence[tuple[str, float]]) -> list[str]:
        """Return the proposed people who may reach the threshold, as far as their cosine alone can tell."""
        if self.bundle.backend.ranks_by_cosine:
            llrs = self.bundle.calibration.llr([cosine + _INDEX_SLACK for _, cosine in line])
            line = [at for at, llr in zip(line, llrs, strict=True) if llr >= self.profile.threshold_llr]
        return [id_ for id_, _ in line]

    def _scored(
        self, proposed: Sequence[Sequence[str]], probes: Sides
    ) -> list[list[tuple[str, float, float]]]:
        """Return (person id, score, LLR) of those at or above the threshold, best first, for each of the probes."""
        wanted = sorted({id_ for line in proposed for id_ in line})
        if not wanted:
            return [[] for _ in proposed]
        backend = self.bundle.backend
        glimpses = list(self.store.glimpse_many(wanted, self.bundle.id, speech=True))
        enrolled = backend.sides(
            [np.frombuffer(b"".join(g.embeddings), "<f4").reshape(-1, self.bundle.dim) for g in glimpses],
            [g.qualities for g in glimpses],
        )
        row_of = {glimpse.id: row for row, glimpse in enumerate(glimpses)}
        found = []
        for at, line in enumerate(proposed):
            scores, llrs = backend.compare(enrolled.take([row_of[id_] for id_ in line]), probes.take([at]))
            rows = sorted(zip(line, scores.tolist(), llrs.tolist(), strict=True), key=lambda row: -row[2])
            found.append([row for row in rows if row[2] >= self.profile.threshold_llr][: self.top])
        return found


def _reason(outcome: Outcome, llr: float, profile: ThresholdProfile) -> str:
    wanted = f"{profile.threshold_llr:.2f} of profile {profile.name}"
    if outcome is Outcome.ACCEPT:
        return f"LLR {llr:.2f} reaches the threshold {wanted}."
    if outcome is Outcome.REVIEW:
        return f"LLR {llr:.2f} lies under the threshold {wanted}, but in its review band: a person should decide."
    return f"LLR {llr:.2f} lies under the threshold {wanted}."
