"""What stands behind the names of a timeline: how they were found, and what a person changed since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from voxid.errors import InputError
from voxid.segments import Segment
from voxid.timeline.text import finite_number
from voxid.timeline.turn import MAX_NAME_LETTERS, check_speaker

__all__ = ["Naming", "Revision"]


@dataclass(frozen=True, slots=True)
class Naming:
    """How names and ids were found: every voice of the recording against a gallery, open set, one person one voice.

    Args:
        profile: threshold profile a name had to pass.
        false_accept_rate: of the profile: how often a stranger's voice is taken for one given person, in (0, 1).
        threshold_llr: LLR a name needed.
        people: with how many people each voice was compared.
        unknown: with how many unknown people, kept from earlier recordings.
        unknown_threshold_llr: LLR an unknown person's id needed: there the rate holds for all of them together. None
            where there was none to compare with.
    """

    profile: str
    false_accept_rate: float
    threshold_llr: float
    people: int
    unknown: int = 0
    unknown_threshold_llr: float | None = None

    @property
    def false_name_rate(self) -> float:
        """At most so often a stranger's voice is given somebody's name: the rate times the people, 1 at most."""
        return min(1.0, self.false_accept_rate * self.people)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "profile": self.profile,
            "false_accept_rate": self.false_accept_rate,
            "threshold_llr": round(self.threshold_llr, 3),
            "people": self.people,
            "false_name_rate": round(self.false_name_rate, 6),
            "unknown": self.unknown,
            "unknown_threshold_llr": None
            if self.unknown_threshold_llr is None
            else round(self.unknown_threshold_llr, 3),
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Naming:
        """Return what `to_dict` wrote. Raises: KeyError, TypeError, ValueError when it did not."""
        limit = fields["unknown_threshold_llr"]
        rate = finite_number(fields["false_accept_rate"])
        people, unknown = int(finite_number(fields["people"])), int(finite_number(fields["unknown"]))
        if not 0 < rate < 1 or people < 0 or unknown < 0:
            raise ValueError(
                f"a false-accept rate of {rate} among {people} people and {unknown} unknown ones"
            )
        return cls(
            check_speaker(fields["profile"]),
            rate,
            finite_number(fields["threshold_llr"]),
            people,
            unknown,
            None if limit is None else finite_number(limit),
        )


@dataclass(frozen=True, slots=True)
class Revision:
    """One turn that a person corrected or agreed with.

    Args:
        at: when, with time zone.
        segment: the turn.
        old_label: its speaker before.
        new_name: its speaker since; the old label where it was right.
        reviewer: who said so; None: not stated.

    Raises:
        InputError: speaker_invalid, revision_invalid when the time has no zone.
    """

    at: datetime
    segment: Segment
    old_label: str
    new_name: str
    reviewer: str | None = None

    def __post_init__(self) -> None:
        check_speaker(self.old_label)
        check_speaker(self.new_name)
        if self.reviewer is not None and not 0 < len(self.reviewer.strip()) <= MAX_NAME_LETTERS:
            raise InputError(
                "revision_invalid", f"A reviewer is named in 1 to {MAX_NAME_LETTERS} letters; name one."
            )
        if self.at.utcoffset() is None:
            raise InputError("revision_invalid", f"The time {self.at} has no time zone; expected one.")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "at": self.at.astimezone(UTC).isoformat(timespec="seconds"),
            "start_s": round(self.segment.start_s, 3),
            "end_s": round(max(self.segment.end_s, self.segment.start_s + 0.001), 3),
            "old_label": self.old_label,
            "new_name": self.new_name,
            "reviewer": self.reviewer,
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Revision:
        """Return what `to_dict` wrote. Raises: InputError, KeyError, TypeError, ValueError when it did not."""
        return cls(
            datetime.fromisoformat(fields["at"]),
            Segment(finite_number(fields["start_s"]), finite_number(fields["end_s"])),
            fields["old_label"],
            fields["new_name"],
            None if fields["reviewer"] is None else check_speaker(fields["reviewer"]),
        )
