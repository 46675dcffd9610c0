"""What was told of a call: numbered, bounded, and told again from any number to whoever missed it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

__all__ = ["Journal"]

_MOST_KEPT: Final = 1_000

Message = dict[str, Any]


class Journal:
    """Messages with sequence numbers from 1.

    A client that is slower than its call is not waited for: of each turn, and of the verdict on each voice, it is told
    the last that is known, and where it missed more than is kept, a snapshot of them all. So what waits for a client
    never grows.

    Args:
        most_kept: messages kept one by one; of each turn and each voice the last one is kept for ever.
    """

    def __init__(self, most_kept: int = _MOST_KEPT) -> None:
        self.sequence = 0
        self._lock = threading.Lock()
        self._kept: deque[Message] = deque(maxlen=most_kept)
        self._turns: dict[int, Message] = {}
        self._voices: dict[int, Message] = {}

    def add(self, messages: Sequence[Message]) -> None:
        """Number messages and keep them; one with a ``turn_id`` or ``voice`` replaces what was said of that one."""
        with self._lock:
            for message in messages:
                self.sequence += 1
                numbered = {**message, "sequence": self.sequence}
                self._kept.append(numbered)
                if "voice" in numbered:
                    self._voices[numbered["voice"]] = numbered
                if "turn_id" in numbered:
                    self._turns[numbered["turn_id"]] = numbered
                    if numbered["withdrawn"]:
                        # Told once more to who has not heard it, and then there is no such turn.
                        del self._turns[numbered["turn_id"]]

    def since(self, sequence: int) -> list[Message]:
        """Return what to tell somebody who knows everything up to this number: of each turn and voice the last only."""
        with self._lock:
            first = self._kept[0]["sequence"] if self._kept else 1
            if sequence < first - 1:
                turns, spoof = (
                    sorted(some.values(), key=lambda one: int(one["sequence"]))
                    for some in (self._turns, self._voices)
                )
                return [{"type": "snapshot", "sequence": self.sequence, "turns": turns, "spoof": spoof}]
            news = [one for one in self._kept if one["sequence"] > sequence]
        last = {_about(one): one["sequence"] for one in news}
        return [one for one in news if _about(one) is None or last[_about(one)] == one["sequence"]]


def _about(message: Message) -> tuple[str, int] | None:
    """Return what a message replaces earlier ones about; None: it replaces none."""
    return next(((key, message[key]) for key in ("turn_id", "voice") if key in message), None)
