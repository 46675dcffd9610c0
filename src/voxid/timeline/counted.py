"""How many speakers were counted, and how sure the number is."""

from __future__ import annotations

from dataclasses import dataclass

from voxid.errors import InputError

__all__ = ["CountedSpeakers", "describe_count"]


@dataclass(frozen=True)
class CountedSpeakers:
    """A number of speakers that was counted, not given.

    Args:
        number: how many.
        confidence: estimated probability that exactly so many speak, in [0, 1].

    Raises:
        InputError: confidence_invalid outside [0, 1].
    """

    number: int
    confidence: float

    def __post_init__(self) -> None:
        if not (0 <= self.confidence <= 1):  # also False for NaN
            raise InputError(
                "confidence_invalid",
                f"A confidence of {self.confidence} was given for {self.number} speakers; it is a probability: "
                "expected 0 to 1.",
            )


def describe_count(number: int, confidence: float | None) -> str:
    """Return how many speakers there are in words, and how sure that is where it was measured.

    Example:
        >>> describe_count(1, None), describe_count(4, 0.62)
        ('1 speaker', '4 speakers (the number is right with 62%)')
    """
    speakers = f"{number} {'speaker' if number == 1 else 'speakers'}"
    return speakers if confidence is None else f"{speakers} (the number is right with {confidence:.0%})"
