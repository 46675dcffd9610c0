"""Log-likelihood ratios to decisions, with named threshold profiles chosen by false-accept rate."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from voxid.errors import InputError
from voxid.spoof.verdict import SpoofVerdict

DEFAULT_PROFILE = "far_1pct"
# A search compares with everybody, and the rate holds for each: one name wrongly given weighs more than one withheld.
IDENTIFY_PROFILE = "far_0.1pct"

# The rule of 30: with fewer errors behind it, a rate is not known to within 30 % (Doddington et al., 2000).
_ERRORS_NEEDED = 30


class Outcome(StrEnum):
    """Everything a verification can end in. Only ``ACCEPT`` lets anybody in."""

    ACCEPT = "accept"
    REJECT = "reject"
    REVIEW = "review"
    NOT_ENOUGH_SPEECH = "not_enough_speech"
    POOR_QUALITY = "poor_quality"
    NOT_ENROLLED = "not_enrolled"
    OPTED_OUT = "opted_out"
    CONSENT_MISSING = "consent_missing"
    CONSENT_EXPIRED = "consent_expired"
    TEMPLATE_EXPIRED = "template_expired"
    SPOOF_SUSPECTED = "spoof_suspected"
    MODEL_MISMATCH = "model_mismatch"


@dataclass(frozen=True)
class ThresholdProfile:
    """An LLR threshold and what it rests on.

    Args:
        name: e.g. ``"far_1pct"``.
        far: false-accept rate it was chosen for, in (0, 1).
        threshold_llr: accept at or above.
        review_llr: send to a person at or above and below ``threshold_llr``; None for no review band.
        targets, nontargets: trials it was set on.
        frr: share of target trials rejected there.
    """

    name: str
    far: float
    threshold_llr: float
    review_llr: float | None
    targets: int
    nontargets: int
    frr: float

    def to_dict(self) -> dict[str, Any]:
        """Return the profile as bundles store it."""
        return asdict(self)


@dataclass(frozen=True)
class DecisionPart:
    """One thing a decision rests on.

    Args:
        name: ``speaker``, ``quality``, ``spoof``, ``joint`` (speaker and spoof as one LLR) or ``watchlist``.
        llr: of it, natural logarithm; None where it is no likelihood ratio or was not measured.
        outcome: a word: what it comes to by itself.
    """

    name: str
    llr: float | None
    outcome: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; the LLR rounded to 2 places."""
        return {**asdict(self), "llr": None if self.llr is None else round(self.llr, 2)}


@dataclass(frozen=True)
class Decision:
    """What came of one verification, with everything needed to defend it later. True only when accepted.

    ``llr`` and ``score`` are None where nothing was compared (no such person, no consent, too little speech).
    ``spoof`` is None where nobody asked whether the voice is live; ``parts`` are what the outcome was joined from, and
    empty where there was nothing to join.

    Example:
        >>> bool(Decision(Outcome.NOT_ENROLLED, "bob", None, None, "far_1pct", 0.01, None, "m@1", None, "no bob"))
        False
    """

    outcome: Outcome
    person: str
    llr: float | None
    score: float | None
    profile: str
    far: float
    net_speech_s: float | None
    model_id: str
    audio_sha256: str | None
    reason: str
    spoof: SpoofVerdict | None = None
    parts: tuple[DecisionPart, ...] = ()

    def __bool__(self) -> bool:
        return self.outcome is Outcome.ACCEPT

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; LLR and score rounded to 2 and 3 places against hill-climbing."""
        return {
            **asdict(self),
            "outcome": self.outcome.value,
            "accepted": bool(self),
            "llr": None if self.llr is None else round(self.llr, 2),
            "score": None if self.score is None else round(self.score, 3),
            "net_speech_s": None if self.net_speech_s is None else round(self.net_speech_s, 2),
            "spoof": None if self.spoof is None else self.spoof.to_dict(),
            "parts": [part.to_dict() for part in self.parts],
        }


@dataclass(frozen=True)
class Candidate:
    """A person the voice may be, above the profile's threshold."""

    person: str
    llr: float
    score: float
    profile: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, rounded as in :meth:`Decision.to_dict`."""
        return {**asdict(self), "llr": round(self.llr, 2), "score": round(self.score, 3)}


def decide(llr: float, profile: ThresholdProfile) -> Outcome:
    """Return accept, review or reject for one LLR.

    Raises:
        InputError: ``score_not_finite`` for NaN or infinity, which is never a rejection.
    """
    if not np.isfinite(llr):
        raise InputError(
            "score_not_finite", f"the LLR is {llr}; it must be finite. Check the audio and the bundle."
        )
    if llr >= profile.threshold_llr:
        return Outcome.ACCEPT
    if profile.review_llr is not None and llr >= profile.review_llr:
        return Outcome.REVIEW
    return Outcome.REJECT


def choose_profiles(target_llrs: ArrayLike, nontarget_llrs: ArrayLike) -> list[ThresholdProfile]:
    """Return ``far_1pct`` (review from 5 %) and, with 30,000 non-target trials, ``far_0.1pct`` (review from 1 %).

    A rate the trials cannot support is left out, never guessed.

    Raises:
        InputError: ``too_few_trials`` when they do not even support 1 %.
    """
    profiles = [choose_profile("far_1pct", 0.01, target_llrs, nontarget_llrs, review_far=0.05)]
    if np.size(nontarget_llrs) * 0.001 >= _ERRORS_NEEDED:
        profiles.append(choose_profile("far_0.1pct", 0.001, target_llrs, nontarget_llrs, review_far=0.01))
    return profiles


def choose_profile(
    name: str, far: float, target_llrs: ArrayLike, nontarget_llrs: ArrayLike, review_far: float | None = None
) -> ThresholdProfile:
    """Return the lowest threshold at which at most ``far`` of the non-target trials are accepted.

    Args:
        name: profile name.
        far: false-accept rate wanted, in (0, 1).
        target_llrs, nontarget_llrs: (N,), (M,) calibrated trials.
        review_far: laxer rate at which the review band begins; None for no band.

    Raises:
        InputError: ``too_few_trials`` when fewer than 30 non-target trials would lie above the threshold
            (the rule of 30).
    """
    target = np.asarray(target_llrs, dtype=np.float64)
    nontarget = np.sort(np.asarray(nontarget_llrs, dtype=np.float64))[::-1]
    if nontarget.size * far < _ERRORS_NEEDED or target.size == 0:
        raise InputError(
            "too_few_trials",
            f"a false-accept rate of {far:g} needs at least {int(np.ceil(_ERRORS_NEEDED / far))} non-target "
            f"trials, found {nontarget.size}. "
            "Add trials or choose a larger rate.",
        )

    def threshold(rate: float) -> float:
        # Just above the first non-target trial that must not pass.
        return float(np.nextafter(nontarget[int(np.floor(nontarget.size * rate))], np.inf))

    llr = threshold(far)
    return ThresholdProfile(
        name=name,
        far=far,
        threshold_llr=llr,
        review_llr=None if review_far is None else threshold(review_far),
        targets=int(target.size),
        nontargets=int(nontarget.size),
        frr=float((target < llr).mean()),
    )
