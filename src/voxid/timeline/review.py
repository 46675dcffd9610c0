"""What a person should look at before a timeline is relied on, and why, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from voxid.errors import InputError
from voxid.segments import Segment, merge_segments
from voxid.timeline.turn import Turn

__all__ = ["ReviewItem", "ReviewPolicy", "find_doubts"]


@dataclass(frozen=True)
class ReviewPolicy:
    """When a turn is doubtful.

    Args:
        min_confidence: a turn less sure than this is listed, in [0, 1]. Untuned: with calibrated confidences,
            .6 lists the turns of which two in five or more are wrong.

    Raises:
        InputError: review_policy_invalid.
    """

    min_confidence: float = 0.6

    def __post_init__(self) -> None:
        if not (0 <= self.min_confidence <= 1):
            raise InputError(
                "review_policy_invalid",
                f"A least confidence of {self.min_confidence} was asked for; it is a probability: expected 0 to 1.",
            )


@dataclass(frozen=True)
class ReviewItem:
    """One thing to look at.

    Args:
        kind: ``low_confidence`` (this turn) or ``suggested_name`` (every turn of this speaker).
        segment: where to listen: the turn, or the speaker's longest turn.
        speaker: as the timeline has it.
        reason: in words.
    """

    kind: str
    segment: Segment
    speaker: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, times rounded to milliseconds."""
        return {
            "kind": self.kind,
            "start_s": round(self.segment.start_s, 3),
            "end_s": round(self.segment.end_s, 3),
            "speaker": self.speaker,
            "reason": self.reason,
        }


def find_doubts(turns: Sequence[Turn], policy: ReviewPolicy) -> tuple[ReviewItem, ...]:
    """Return what needs review, in order of time: unsure turns one by one, suggested names once per speaker.

    What a person has reviewed is not asked again.
    """
    items = [
        ReviewItem("low_confidence", turn.segment, turn.speaker, _say_unsure(turn.confidence, turn, policy))
        for turn in turns
        if turn.confidence is not None and turn.confidence < policy.min_confidence and not turn.reviewed
    ]
    suggested: dict[tuple[str, str], list[Turn]] = {}
    for turn in turns:
        if turn.suggestion is not None and not turn.reviewed:
            suggested.setdefault((turn.speaker, turn.suggestion.person), []).append(turn)
    for (speaker, person), own in suggested.items():
        longest = max(own, key=lambda turn: turn.duration_s)
        items.append(ReviewItem("suggested_name", longest.segment, speaker, _say_suggested(person, own)))
    return tuple(sorted(items, key=lambda item: (item.segment, item.speaker, item.kind)))


def _say_unsure(confidence: float, turn: Turn, policy: ReviewPolicy) -> str:
    found, least = f"{confidence:.0%}", f"{policy.min_confidence:.0%}"
    if found == least:  # "only 60%, under 60%" would explain nothing
        found = f"{confidence:.1%}"
    return f"Only {found} sure that this is {turn.speaker}; under {least}, listen and decide."


def _say_suggested(person: str, turns: Sequence[Turn]) -> str:
    found = max((turn.suggestion for turn in turns if turn.suggestion), key=lambda one: one.llr)
    spoken_s = sum(region.duration_s for region in merge_segments(turn.segment for turn in turns))
    count = f"{len(turns)} turn{'s' if len(turns) != 1 else ''}"
    why = (
        f"the LLR is {found.llr:.1f}, a name needs {found.threshold_llr:.1f}"
        if found.llr < found.threshold_llr
        else f"the LLR is {found.llr:.1f}, but another voice here is likelier"
    )
    return f"{turns[0].speaker} may be {person}: {why}, so it was not applied ({count}, {spoken_s:.1f} s of speech)."
