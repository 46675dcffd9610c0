"""Digits or words to be spoken now: what was recorded before does not hold them."""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import comb
from typing import Any, Final, Literal, TypeAlias

from voxid.errors import InputError, PolicyError

__all__ = ["DIGITS", "LENGTHS", "MOST_LIFETIME_S", "WORDS", "Challenge", "ChallengeKind"]

ChallengeKind: TypeAlias = Literal["digits", "words"]

DIGITS: Final = tuple("0123456789")
# Everyday words of two or three syllables; of 90, those 64 whose pronunciations lie furthest apart: any two differ in
# half of their phones or more (CMUdict), so that mishearing one does not make it another.
WORDS: Final = tuple(
    (
        "amber apple autumn banana basket camera chicken chimney coffee doctor dragon elbow feather "
        "finger forest garden giraffe guitar harbor honey island jungle kettle ladder lemon lizard mirror "
        "monkey mountain mushroom music napkin needle ocean orange oyster paper parrot pencil picture "
        "pillow planet potato rabbit rainbow salad shoulder silver spider sugar summer table tower "
        "tractor trumpet umbrella valley village violin volcano walnut whistle window zebra"
    ).split()
)
LENGTHS: Final[dict[ChallengeKind, tuple[int, int, int]]] = {"digits": (4, 6, 12), "words": (3, 4, 8)}
"""Of each kind: the fewest, the usual number and the most there may be."""

MOST_LIFETIME_S: Final = 600.0
"""A challenge that stays open for longer leaves time to make an answer to it."""

_ID_BYTES: Final = 16
_MOST_CHANCE: Final = 1e-4  # of speech fixed before the challenge was made; listeners mishear more often


@dataclass(frozen=True)
class Challenge:
    """One request to say digits or words; valid for a while, and for one answer.

    Args:
        id: random, 32 hexadecimal digits; whoever keeps challenges forgets it with the first answer.
        words: to be said, in this order: "0" to "9", or of `WORDS`.
        expires_at: with time zone; answers that come later do not count.
        kind: what they are.

    Example:
        >>> from datetime import UTC
        >>> challenge = Challenge("00", ("4", "1", "7", "0"), datetime(2027, 1, 1, tzinfo=UTC))
        >>> challenge.text
        '4 1 7 0'
    """

    id: str
    words: tuple[str, ...]
    expires_at: datetime
    kind: ChallengeKind = "digits"

    @classmethod
    def issue(
        cls,
        now: datetime,
        *,
        kind: ChallengeKind = "digits",
        length: int | None = None,
        lifetime_s: float = 60.0,
        source: random.Random | None = None,
    ) -> Challenge:
        """Return a new challenge; nothing follows itself, since repeats are hard to count by ear.

        Args:
            now: with time zone.
            length: digits 4 to 12, a guess hits once in 10 * 9 ** (length - 1); words 3 to 8; None: 6 and 4.
            lifetime_s: until it expires, `MOST_LIFETIME_S` at most.
            source: of chance; None: the operating system's. Anything else is for tests.

        Raises:
            InputError: ``challenge_invalid``.
        """
        fewest, usual, most = LENGTHS[kind]
        n_words = usual if length is None else length
        if not fewest <= n_words <= most or not 0 < lifetime_s <= MOST_LIFETIME_S:
            raise InputError(
                "challenge_invalid",
                f"A challenge of {n_words} {kind} for {lifetime_s:g} s was asked for; expected {fewest} to {most} "
                f"{kind} and a positive time of {MOST_LIFETIME_S:g} s at most; change it.",
            )
        chance = secrets.SystemRandom() if source is None else source
        choice = DIGITS if kind == "digits" else WORDS
        drawn = [chance.randrange(len(choice))]
        while len(drawn) < n_words:
            drawn.append((drawn[-1] + chance.randrange(1, len(choice))) % len(choice))
        id_ = f"{chance.getrandbits(8 * _ID_BYTES):0{2 * _ID_BYTES}x}"
        return cls(id_, tuple(choice[at] for at in drawn), now + timedelta(seconds=lifetime_s), kind)

    @property
    def text(self) -> str:
        """The digits or words as they are shown to whoever is to say them."""
        return " ".join(self.words)

    @property
    def most_misheard(self) -> int:
        """How many of the words may have been heard as others: as many as leave chance one in 10,000 at most.

        A recording made before the challenge says what it says; the challenge is drawn afterwards, so that this chance
        needs no assumption about what listeners mishear.
        """
        n_words, others = len(self.words), len(DIGITS if self.kind == "digits" else WORDS) - 1
        n_possible = (others + 1) * others ** (n_words - 1)
        allowed, n_taken = 0, 1
        while allowed < n_words // 3:
            n_taken += comb(n_words, allowed + 1) * others ** (allowed + 1)
            if n_taken > _MOST_CHANCE * n_possible:
                break
            allowed += 1
        return allowed

    def check_time(self, now: datetime) -> None:
        """Refuse an answer that comes too late.

        Raises:
            PolicyError: ``challenge_expired``.
        """
        if now >= self.expires_at:
            raise PolicyError(
                "challenge_expired",
                f"The {self.kind} were to be said earlier; ask for new ones and say those.",
            )

    def answered_by(self, said: tuple[str, ...]) -> bool:
        """Return whether these words, and no others, were said: none left out or added, few heard as another."""
        if len(said) != len(self.words):
            return False
        n_misheard = sum(heard != asked for heard, asked in zip(said, self.words, strict=True))
        return n_misheard <= self.most_misheard

    def to_dict(self) -> dict[str, Any]:
        """Return the challenge as it is kept."""
        kept = {"id": self.id, "kind": self.kind, "words": list(self.words)}
        return {**kept, "expires_at": self.expires_at.isoformat()}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Challenge:
        """Return what `to_dict` wrote. Raises: KeyError, TypeError, ValueError when it did not."""
        if fields["kind"] not in LENGTHS:
            raise ValueError(f"{fields['kind']!r} is no kind of challenge")
        words = tuple(str(word) for word in fields["words"])
        return cls(str(fields["id"]), words, datetime.fromisoformat(fields["expires_at"]), fields["kind"])
