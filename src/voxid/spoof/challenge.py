"""Digits to be spoken now: what was recorded before does not hold them."""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from voxid.errors import InputError, PolicyError

__all__ = ["MAX_DIGITS", "MIN_DIGITS", "Challenge"]

MIN_DIGITS: Final = 4
MAX_DIGITS: Final = 12
_ID_BYTES: Final = 16


@dataclass(frozen=True)
class Challenge:
    """One request to say digits; valid for a while, and for one answer.

    Args:
        id: random, 32 hexadecimal digits; whoever keeps challenges forgets it with the first answer.
        digits: to be said, in this order.
        expires_at: with time zone; answers that come later do not count.

    Example:
        >>> from datetime import UTC
        >>> challenge = Challenge("00", (4, 1, 7, 0), datetime(2027, 1, 1, tzinfo=UTC))
        >>> challenge.text
        '4 1 7 0'
    """

    id: str
    digits: tuple[int, ...]
    expires_at: datetime

    @classmethod
    def issue(
        cls,
        now: datetime,
        *,
        n_digits: int = 6,
        lifetime_s: float = 60.0,
        source: random.Random | None = None,
    ) -> Challenge:
        """Return a new challenge; no digit follows itself, since repeats are hard to count by ear.

        Args:
            now: with time zone.
            n_digits: 4 to 12; a guess hits once in 10 * 9 ** (n_digits - 1).
            lifetime_s: until it expires.
            source: of chance; None: the operating system's. Anything else is for tests.

        Raises:
            InputError: ``challenge_invalid``.
        """
        if not MIN_DIGITS <= n_digits <= MAX_DIGITS or lifetime_s <= 0:
            raise InputError(
                "challenge_invalid",
                f"A challenge of {n_digits} digits for {lifetime_s:g} s was asked for; expected {MIN_DIGITS} to "
                f"{MAX_DIGITS} digits and a positive time; change it.",
            )
        chance = secrets.SystemRandom() if source is None else source
        digits = [chance.randrange(10)]
        while len(digits) < n_digits:
            step = chance.randrange(1, 10)
            digits.append((digits[-1] + step) % 10)
        id_ = f"{chance.getrandbits(8 * _ID_BYTES):0{2 * _ID_BYTES}x}"
        return cls(id_, tuple(digits), now + timedelta(seconds=lifetime_s))

    @property
    def text(self) -> str:
        """The digits as they are shown to whoever is to say them."""
        return " ".join(str(digit) for digit in self.digits)

    def check_time(self, now: datetime) -> None:
        """Refuse an answer that comes too late.

        Raises:
            PolicyError: ``challenge_expired``.
        """
        if now >= self.expires_at:
            raise PolicyError(
                "challenge_expired",
                "The digits were to be said earlier; ask for new ones and say those.",
            )

    def answered_by(self, said: tuple[int, ...]) -> bool:
        """Return whether these digits, and no others, were said."""
        return said == self.digits

    def to_dict(self) -> dict[str, Any]:
        """Return the challenge as it is kept."""
        return {"id": self.id, "digits": list(self.digits), "expires_at": self.expires_at.isoformat()}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Challenge:
        """Return what `to_dict` wrote. Raises: KeyError, TypeError, ValueError when it did not."""
        digits = tuple(int(digit) for digit in fields["digits"])
        return cls(str(fields["id"]), digits, datetime.fromisoformat(fields["expires_at"]))
