"""What a spoof verdict means for a decision about a speaker: a cascade of two decisions, or one LLR out of two.

Cases: the claimed person speaking (target), somebody else speaking (nontarget), nobody speaking (spoof).

Source: Wang, Kinnunen, Lee, Noé and Yamagishi, "Revisiting and improving scoring fusion for spoofing-aware speaker
verification using compositional data analysis", Interspeech 2024: calibrate first, then fuse LLRs, not linearly; the
three cases and their costs as in Shim, Jung, Kinnunen, Evans, Bonastre and Lapidot, "a-DCF", Odyssey 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

import numpy as np

from voxid.errors import ConfigError, InputError
from voxid.spoof.verdict import SpoofOutcome, SpoofVerdict

__all__ = ["CHECKS", "CaseShares", "Consequence", "SpoofPolicy", "case_shares", "genuine_llr", "joint_llr"]

Consequence: TypeAlias = Literal["accept", "review", "reject"]
"""The best a decision may still become: whatever the speaker's voice says, a person's review, or none."""

CHECKS: Final = ("off", "check", "strict")
"""Policies by name, as `SpoofPolicy.named` has them."""

_CONSEQUENCES: Final = ("accept", "review", "reject")
_MODES: Final = ("off", "cascade", "score")


@dataclass(frozen=True)
class SpoofPolicy:
    """What becomes of a claim when its voice may be no live one. A spoof is never accepted, unless nobody looks.

    Args:
        mode: ``off``: nobody looks. ``cascade``: the verdict's outcome bounds the decision. ``score``: both LLRs become
            one, on which the profile decides too; what the detector cannot tell goes by ``on_cannot_tell``.
        on_suspicious: of a cascade.
        on_cannot_tell: ``accept`` is fail-open: telephone callers come in by their voice alone, and so does a fake
            through a telephone. ``review`` and ``reject`` are fail-closed.
        spoof_share: of a score: how many of the claims that should fail are spoofs, in (0, 1).

    Raises:
        ConfigError: spoof_policy_invalid.
    """

    mode: Literal["off", "cascade", "score"] = "cascade"
    on_suspicious: Consequence = "review"
    on_cannot_tell: Consequence = "accept"
    spoof_share: float = 0.1

    def __post_init__(self) -> None:
        consequences = {self.on_suspicious, self.on_cannot_tell}
        if self.mode not in _MODES or not consequences <= {*_CONSEQUENCES} or not 0 < self.spoof_share < 1:
            raise ConfigError(
                "spoof_policy_invalid",
                f"{self} cannot be used; expected a mode of {', '.join(_MODES)}, consequences of "
                f"{', '.join(_CONSEQUENCES)} and a share between 0 and 1.",
            )

    @classmethod
    def named(cls, name: str) -> SpoofPolicy:
        """Return the policy of a name: off; check, which fails open; strict, which sends what it cannot tell to review.

        Raises:
            ConfigError: spoof_policy_invalid.
        """
        if name not in CHECKS:
            raise ConfigError(
                "spoof_policy_invalid",
                f"There is no spoof policy {name!r}; expected one of {', '.join(CHECKS)}; choose one of them.",
            )
        known = {"off": cls("off"), "check": cls(), "strict": cls(on_cannot_tell="review")}
        return known[name]

    def consequence(self, verdict: SpoofVerdict) -> Consequence:
        """Return the best a decision may still become by the verdict's outcome."""
        if self.mode == "off" or verdict.outcome is SpoofOutcome.GENUINE:
            return "accept"
        if verdict.outcome is SpoofOutcome.CANNOT_TELL:
            return self.on_cannot_tell
        return "reject" if verdict.outcome is SpoofOutcome.SPOOF else self.on_suspicious


def genuine_llr(verdict: SpoofVerdict) -> float:
    """Return the LLR of genuine speech against fakes of either kind, made or replayed, each as likely as the other.

    Raises:
        InputError: spoof_not_measured.
    """
    if verdict.llr is None or verdict.replay_llr is None:
        raise InputError(
            "spoof_not_measured",
            f"The verdict {verdict.outcome.value} measured no LLR; decide by its outcome: {verdict.reason}",
        )
    # p(fake) is the mean of both densities, in units of p(genuine).
    return float(-np.logaddexp(np.log(0.5) - verdict.llr, np.log(0.5) - verdict.replay_llr))


def joint_llr(speaker_llr: float, spoof_llr: float, spoof_share: float) -> float:
    """Return the LLR of the claimed person speaking against everything else.

    -log((1 - rho) exp(-LLR_speaker) + rho exp(-LLR_spoof)): at most ``speaker_llr - log(1 - rho)`` and at most
    ``spoof_llr - log(rho)``, so that neither can make up for the other.

    Args:
        speaker_llr: target against nontarget. spoof_llr: genuine against spoof. Natural logarithms, calibrated.
        spoof_share: rho, of spoofs among what is not the target, in (0, 1).

    Source: Wang et al., 2024, the optimal nonlinear fusion.

    Example:
        >>> round(joint_llr(5.0, 5.0, 0.1), 3), round(joint_llr(5.0, -5.0, 0.1), 3)
        (5.0, -2.698)
    """
    return float(-np.logaddexp(np.log1p(-spoof_share) - speaker_llr, np.log(spoof_share) - spoof_llr))


@dataclass(frozen=True)
class CaseShares:
    """Shares, or probabilities, of the three cases; they sum to 1."""

    target: float
    nontarget: float
    spoof: float


def case_shares(speaker_llr: float, spoof_llr: float, before: CaseShares) -> CaseShares:
    """Return how probable the three cases are after a recording was heard.

    Args:
        speaker_llr: target against nontarget. spoof_llr: genuine against spoof.
        before: shares before it, all above 0.

    Example:
        >>> after = case_shares(4.0, -2.0, CaseShares(0.5, 0.4, 0.1))
        >>> round(after.target, 3), round(after.nontarget, 3), round(after.spoof, 3)
        (0.401, 0.006, 0.593)
    """
    logs = np.log([before.target, before.nontarget, before.spoof]) - [0.0, speaker_llr, spoof_llr]
    shares = np.exp(logs - np.logaddexp.reduce(logs))
    return CaseShares(*cast("list[float]", shares.tolist()))
