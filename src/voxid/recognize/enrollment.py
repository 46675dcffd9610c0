"""Enrollment: who may be enrolled, and whether the recordings are one voice and a new one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxid.backend import Quality, Sides
from voxid.bundle import Bundle
from voxid.errors import CompatibilityError, InputError, PolicyError
from voxid.gallery.consent import Act, Consent, ConsentRecord
from voxid.gallery.records import PersonRecord, Voiceprint
from voxid.recognize.listening import Heard, embedding_of
from voxid.speech import QualityPolicy

__all__ = ["DUPLICATE_PROFILE", "Enrollment"]

# From here on another person's voice is worth a warning. Measured with the first bundle, three clips against three:
# every second enrollment of one person is noticed in speechocean762 (40 people; commonvoice, other session: 27 of 30),
# and 21 of 40 strangers (5 of 30) are too: the more people, the more often. A refusal asks for log N more.
DUPLICATE_PROFILE: Final = "far_0.1pct"
# A recording is the same voice as the others as long as that is more likely than not at even odds. Measured with
# three clips each: 1 of 40 people of speechocean762 and 9 of 48 of commonvoice (other session) are questioned
# wrongly; a stranger's clip among three is noticed in 75 % and 92 %. At -1 it would be 54 % and 81 %.
MIN_CONSISTENCY_LLR: Final = 0.0


@dataclass(frozen=True)
class Enrollment:
    """What an enrollment added.

    Args:
        person: display name.
        added: voiceprints added by this call.
        total: voiceprints the person now has.
        net_speech_s: seconds of speech behind all of them.
        consistency: lowest LLR of a recording against the person's other ones, natural logarithm, higher is
            more alike; None with a single recording.
        warnings: sentences about what was passed over or allowed.
    """

    person: str
    added: int
    total: int
    net_speech_s: float
    consistency: float | None
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            **asdict(self),
            "net_speech_s": round(self.net_speech_s, 2),
            "consistency": None if self.consistency is None else round(self.consistency, 2),
            "warnings": list(self.warnings),
        }


def check_consent(name: str, consent: Consent | None, on_record: Consent | None, now: datetime) -> Consent:
    """Return the consent an enrollment rests on: the one given, else the one on record.

    Raises:
        InputError: consent_invalid. PolicyError: consent_missing, consent_expired.
    """
    if consent is not None and not isinstance(consent, Consent):
        raise InputError(
            "consent_invalid",
            f"consent is a {type(consent).__name__}; expected voxid.Consent(purposes=..., evidence=...).",
        )
    effective = consent or on_record
    if effective is None:
        raise PolicyError(
            "consent_missing",
            f"{name!r} has given no consent, so no recording was opened; record a written release first and give "
            "the consent: its purposes and its evidence.",
        )
    if effective.expired(now):
        raise PolicyError(
            "consent_expired",
            f"The consent of {name!r} ended on {effective.expires_at:%Y-%m-%d}, so no recording was opened; ask for a "
            "new one.",
        )
    return effective


def check_bundle(person: PersonRecord, bundle: Bundle) -> None:
    """Refuse to mix the voiceprints of two bundles in one person.

    Raises:
        CompatibilityError: model_mismatch.
    """
    others = {print_.info.bundle_id for print_ in person.voiceprints} - {bundle.id}
    if others:
        raise CompatibilityError("model_mismatch", mismatch_sentence(person, bundle))


def mismatch_of(name: str, voiceprints: Sequence[Voiceprint], bundle: Bundle) -> CompatibilityError:
    """Return the error about somebody, known or unknown, whose voiceprints another bundle made."""
    made_by = ", ".join(sorted({print_.info.bundle_id for print_ in voiceprints}))
    return CompatibilityError(
        "model_mismatch",
        f"The voiceprints of {name!r} were made by the bundle {made_by}, the gallery is open with {bundle.id}; "
        "scores between bundles mean nothing: open the gallery with that bundle, or delete and enroll again.",
    )


def mismatch_sentence(person: PersonRecord, bundle: Bundle) -> str:
    """Return the sentence for a person whose voiceprints another bundle made."""
    return mismatch_of(person.name, person.voiceprints, bundle).message


def with_consent(
    history: Sequence[ConsentRecord], consent: Consent | None, now: datetime, act: Act = "given"
) -> tuple[ConsentRecord, ...]:
    """Return the history with one more entry; the same history when a given consent is already in force."""
    if history and act == "given" and history[-1].consent == consent:
        return tuple(history)
    version = history[-1].version + 1 if history else 1
    return (*history, ConsentRecord(version, now, act, consent))


def new_recordings(
    heard: Sequence[Heard], person: PersonRecord | None, policy: QualityPolicy
) -> tuple[list[Heard], list[str]]:
    """Return the recordings worth a voiceprint, and warnings for those that are enrolled already.

    Raises:
        InputError: no_speech, audio_clipped, not_enough_speech, poor_quality, naming the recording.
    """
    known = {print_.info.audio_sha256 for print_ in person.voiceprints} if person else set()
    fresh: list[Heard] = []
    warnings = []
    for recording in heard:
        embedding_of(recording, policy)
        if recording.audio_sha256 in known:
            warnings.append(f"{recording.label} is already enrolled and was passed over.")
            continue
        known.add(recording.audio_sha256)
        fresh.append(recording)
    before_s = sum(print_.info.net_speech_s for print_ in person.voiceprints) if person else 0.0
    total_s = before_s + sum(recording.quality.net_speech_s for recording in fresh)
    if fresh and total_s < policy.min_enroll_speech_s:
        raise InputError(
            "not_enough_speech",
            f"The recordings hold {total_s:.1f} s of speech together; at least {policy.min_enroll_speech_s:.1f} s are "
            "needed to enroll: give more or longer recordings.",
        )
    return fresh, warnings


def consistency_llrs(
    embeddings: NDArray[np.float32], qualities: Sequence[Quality], bundle: Bundle
) -> NDArray[np.float64]:
    """Return the LLR of each reference against the others as one side.

    Args:
        embeddings: (R, D) raw, unit length, R at least 2.
        qualities: R, of the speech behind each.

    Returns:
        (R,) natural-log LLRs; higher is more alike.
    """
    rows = range(len(embeddings))
    others = [[row for row in rows if row != left_out] for left_out in rows]
    rest = bundle.backend.sides(
        [embeddings[chosen] for chosen in others], [[qualities[row] for row in chosen] for chosen in others]
    )
    each = bundle.backend.sides(
        [embeddings[row : row + 1] for row in rows], [[quality] for quality in qualities]
    )
    return bundle.backend.compare(rest, each)[1]


def check_consistency(
    name: str, person: PersonRecord | None, fresh: Sequence[Heard], bundle: Bundle, policy: QualityPolicy
) -> tuple[float | None, str | None]:
    """Return the lowest LLR among the recordings, and what is wrong with them: a sentence, or None.

    Recordings already on record take part, so a stranger's recording is not added to a person either.
    """
    rows = list(person.embeddings(bundle.id)) if person else []
    qualities = person.qualities(bundle.id) if person else []
    labels = [f"an earlier recording of {name!r}"] * len(rows)
    rows += [embedding_of(recording, policy) for recording in fresh]
    qualities += [Quality.of(recording.quality) for recording in fresh]
    labels += [recording.label for recording in fresh]
    if len(rows) < 2:
        return None, None
    llrs = consistency_llrs(np.stack(rows), qualities, bundle)
    lowest = int(np.argmin(llrs))
    if llrs[lowest] >= MIN_CONSISTENCY_LLR:
        return float(llrs[lowest]), None
    if len(rows) == 2:
        what = f"{labels[1]} does not sound like {labels[0]}"
    else:
        what = f"{labels[lowest]} does not sound like the other recordings"
    return float(llrs[lowest]), (
        f"{what} (LLR {llrs[lowest]:.1f}, expected at least {MIN_CONSISTENCY_LLR:.0f}); listen to it, and leave it out "
        "when somebody else is speaking."
    )


def side_of(person: PersonRecord, bundle: Bundle) -> Sides:
    """Return all that one bundle knows a person by, as one side of a trial; there must be a voiceprint of it."""
    return bundle.backend.side(person.embeddings(bundle.id), person.qualities(bundle.id))


def scores_against(
    people: Sequence[PersonRecord], probe: Sides, bundle: Bundle
) -> list[tuple[float, float] | None]:
    """Return score and LLR of a probe against each person; None for one without a comparable voiceprint.

    Args:
        people: at once, which costs less than one after another.
        probe: one side.
    """
    references = [person.embeddings(bundle.id) for person in people]
    comparable = [at for at, rows in enumerate(references) if len(rows)]
    found: list[tuple[float, float] | None] = [None] * len(people)
    if comparable:
        enrolled = bundle.backend.sides(
            [references[at] for at in comparable], [people[at].qualities(bundle.id) for at in comparable]
        )
        for at, score, llr in zip(comparable, *bundle.backend.compare(enrolled, probe), strict=True):
            found[at] = float(score), float(llr)
    return found
