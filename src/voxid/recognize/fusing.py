"""One decision out of everything known of a claim: the speaker, the speech, whether it is live, and who else it may be.

The speaker's LLR opens the door; everything else can only close it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from voxid.decision import Candidate, Decision, DecisionPart, Outcome, ThresholdProfile, decide
from voxid.errors import ConfigError
from voxid.recognize.listening import Heard
from voxid.spoof.fusion import Consequence, SpoofPolicy, genuine_llr, joint_llr
from voxid.spoof.verdict import SpoofOutcome, SpoofVerdict

__all__ = ["Fusion"]

_BEST_FIRST: Final = ("accept", "review", "reject")
_OPEN: Final = (Outcome.ACCEPT, Outcome.REVIEW)


@dataclass(frozen=True)
class Fusion:
    """How a decision about a speaker is joined with the rest.

    Args:
        policy: of spoof verdicts.
        profile: threshold of the speaker's LLR and, by mode ``score``, of the joint one.
    """

    policy: SpoofPolicy
    profile: ThresholdProfile

    def joined(self, decision: Decision, heard: Heard, watched: Candidate | None = None) -> Decision:
        """Return the decision with its parts, at most as good as each of them allows.

        Args:
            decision: of the speaker alone; where nothing was compared, it is returned as it is.
            heard: the recording, with the verdict the policy asks for.
            watched: somebody else, on a watchlist, whose voice it may be; None: nobody, or nobody looked.

        Raises:
            ConfigError: spoof_not_heard.
        """
        if decision.llr is None:
            return decision
        parts = [
            DecisionPart("speaker", decision.llr, decision.outcome.value),
            DecisionPart("quality", None, heard.verdict),
        ]
        joined = decision
        if self.policy.mode != "off":
            joined = self._after_spoof(decision, _verdict_of(heard))
            parts += self._spoof_parts(decision.llr, _verdict_of(heard))
        if watched is not None:
            parts.append(DecisionPart("watchlist", watched.llr, "review"))
            if joined.outcome is Outcome.ACCEPT:
                joined = replace(joined, outcome=Outcome.REVIEW, reason=_with(joined, _WATCHED))
        return replace(joined, parts=tuple(parts))

    def _after_spoof(self, decision: Decision, verdict: SpoofVerdict) -> Decision:
        decision = replace(decision, spoof=verdict)
        if decision.outcome not in _OPEN:
            return decision
        best = self._best(decision, verdict)
        if best == "reject":
            sentence = _with(decision, f"The voice is not taken for a live one: {verdict.reason}")
            return replace(decision, outcome=Outcome.SPOOF_SUSPECTED, reason=sentence)
        if best == "review":
            sentence = _with(decision, f"Whether the voice is live, a person should decide: {verdict.reason}")
            return replace(decision, outcome=Outcome.REVIEW, reason=sentence)
        if verdict.outcome is SpoofOutcome.CANNOT_TELL:
            return replace(
                decision,
                reason=_with(decision, f"Whether the voice is live was not found out: {verdict.reason}"),
            )
        return decision

    def _best(self, decision: Decision, verdict: SpoofVerdict) -> Consequence:
        """Return the best the decision may become by what is known of the voice."""
        by_outcome = self.policy.consequence(verdict)
        if self.policy.mode != "score" or verdict.outcome is SpoofOutcome.CANNOT_TELL:
            return by_outcome
        found = decide(self._joint_llr(decision.llr or 0.0, verdict), self.profile)
        by_score: Consequence = "accept" if found is Outcome.ACCEPT else "review"
        if found is Outcome.REJECT:
            by_score = "reject"
        spoofed: Consequence = "reject" if verdict.outcome is SpoofOutcome.SPOOF else "accept"
        return max(by_score, spoofed, key=_BEST_FIRST.index)

    def _joint_llr(self, speaker_llr: float, verdict: SpoofVerdict) -> float:
        return joint_llr(speaker_llr, genuine_llr(verdict), self.policy.spoof_share)

    def _spoof_parts(self, speaker_llr: float, verdict: SpoofVerdict) -> Iterator[DecisionPart]:
        measured = verdict.llr is not None and verdict.replay_llr is not None
        llr = genuine_llr(verdict) if measured else None
        yield DecisionPart("spoof", llr, verdict.outcome.value)
        if self.policy.mode == "score" and measured and verdict.outcome is not SpoofOutcome.CANNOT_TELL:
            joint = self._joint_llr(speaker_llr, verdict)
            yield DecisionPart("joint", joint, decide(joint, self.profile).value)


_WATCHED: Final = "The voice may also be somebody's on a watchlist: a person should decide."


def _verdict_of(heard: Heard) -> SpoofVerdict:
    """Return the verdict on a recording that was asked for one."""
    if heard.spoof is None:
        raise ConfigError(
            "spoof_not_heard",
            "The policy asks whether the voice is live, and the hearing given does not; give it a detector "
            "(voxid.recognize.listening.hear_waveform).",
        )
    return heard.spoof


def _with(decision: Decision, sentence: str) -> str:
    return f"{decision.reason} {sentence}"
