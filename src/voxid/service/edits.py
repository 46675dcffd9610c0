"""What a person changes on a kept timeline: who speaks in a turn, where a turn ends, which turns are one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from voxid.errors import CompatibilityError, InputError
from voxid.segments import Segment
from voxid.service.timelines import KeptTimeline
from voxid.timeline import Correction, Revision, Turn, apply_corrections, correct_speaker, correct_turn
from voxid.timeline.turn import is_label

__all__ = ["merge_turns", "rename", "split_turn", "undo", "wanted_corrections"]

_SHORTEST_S = 0.01


def wanted_corrections(
    kept: KeptTimeline, speaker: str, *, turns: Sequence[int] = (), formers: Collection[str] = ()
) -> tuple[Correction, ...]:
    """Return the corrections that some turns, or all turns of some speakers, mean.

    Args:
        kept: the timeline.
        speaker: who it is: a person id or a label.
        turns: numbers in order of time, from 1.
        formers: whose turns, instead: person ids or labels.

    Raises:
        InputError: turn_missing, speaker_missing, correction_unclear when both or neither is given.
    """
    if bool(turns) == bool(formers):
        raise InputError(
            "correction_unclear", "Give the numbers of the turns, or the speaker whose turns all are meant."
        )
    if formers:
        return tuple(
            item for former in sorted(formers) for item in correct_speaker(kept.timeline, former, speaker)
        )
    return tuple(correct_turn(kept.timeline, number, speaker) for number in dict.fromkeys(turns))


def rename(kept: KeptTimeline, items: Sequence[Correction], at: datetime, by: str) -> KeptTimeline:
    """Return the timeline with turns given to other speakers, or confirmed; all of them or none.

    Raises:
        InputError: correction_unmatched, corrections_invalid.
    """
    return kept.edited(apply_corrections(kept.timeline, items, at=at, reviewer=by), at, by, "rename")


def split_turn(
    kept: KeptTimeline, number: int, at_s: float, speaker: str | None, at: datetime, by: str
) -> KeptTimeline:
    """Return the timeline with one turn cut in two.

    Args:
        kept: the timeline.
        number: of the turn, from 1.
        at_s: where, in seconds from the beginning of the recording.
        speaker: who speaks in the second part, a person id or a label; None: the same as in the first.
        at, by: when, and who did it.

    Raises:
        InputError: turn_missing, split_outside.
    """
    turn = _turn(kept, number)
    cut_s = round(at_s, 3)
    if not turn.start_s + _SHORTEST_S <= cut_s <= turn.end_s - _SHORTEST_S:
        raise InputError(
            "split_outside",
            f"{at_s:.3f} s is not inside turn {number}, from {turn.start_s:.3f} to {turn.end_s:.3f} s; choose a time "
            "in between.",
        )
    first = replace(turn, segment=Segment(turn.start_s, cut_s))
    second = replace(turn, segment=Segment(cut_s, turn.end_s))
    history = kept.timeline.history
    if speaker is not None and speaker != turn.speaker:
        second = _given(second, speaker)
        history = (*history, Revision(at, second.segment, turn.speaker, speaker, by))
    turns = (*_without(kept, [number]), first, second)
    return kept.edited(replace(kept.timeline, turns=turns, history=history), at, by, "split")


def merge_turns(
    kept: KeptTimeline, numbers: Sequence[int], speaker: str | None, at: datetime, by: str
) -> KeptTimeline:
    """Return the timeline with several turns made one, from the first start to the last end.

    Args:
        kept: the timeline.
        numbers: of the turns, from 1, at least two.
        speaker: who speaks, a person id or a label; None where all have the same speaker.
        at, by: when, and who did it.

    Raises:
        InputError: turn_missing, merge_unclear.
    """
    chosen = [_turn(kept, number) for number in sorted(set(numbers))]
    speakers = sorted({turn.speaker for turn in chosen})
    if len(chosen) < 2 or (speaker is None and len(speakers) > 1):
        raise InputError(
            "merge_unclear",
            f"{len(chosen)} turns of {len(speakers)} speakers are to be one; give two turns or more, and who speaks "
            "where it is not one speaker.",
        )
    whole = Segment(min(turn.start_s for turn in chosen), max(turn.end_s for turn in chosen))
    longest = max(chosen, key=lambda turn: turn.duration_s)
    said = speaker or speakers[0]
    merged = replace(longest, segment=whole, reviewed=True)
    if merged.speaker != said:
        merged = _given(merged, said)
    revisions = tuple(
        Revision(at, turn.segment, turn.speaker, said, by) for turn in chosen if turn.speaker != said
    )
    after = replace(
        kept.timeline,
        turns=(*_without(kept, numbers), merged),
        history=kept.timeline.history + revisions,
    )
    return kept.edited(after, at, by, "merge")


def undo(kept: KeptTimeline) -> KeptTimeline:
    """Return the timeline without its last edit.

    Raises:
        CompatibilityError: nothing_to_undo.
    """
    if not kept.edits:
        raise CompatibilityError(
            "nothing_to_undo", "Nothing was changed by hand on this timeline, or it was undone already."
        )
    return kept.undone()


def _given(turn: Turn, speaker: str) -> Turn:
    """The turn as somebody else's: what was found about the former speaker does not hold."""
    return Turn(turn.segment, speaker, named=not is_label(speaker), reviewed=True)


def _turn(kept: KeptTimeline, number: int) -> Turn:
    correct_turn(kept.timeline, number, "SPEAKER_00")  # raises the sentence for a turn that is not there
    return kept.timeline.turns[number - 1]


def _without(kept: KeptTimeline, numbers: Sequence[int]) -> tuple[Turn, ...]:
    gone = set(numbers)
    return tuple(turn for at, turn in enumerate(kept.timeline.turns, start=1) if at not in gone)
