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

    A client that is slower than its call is not waited for: of each turn it is told the last that is known, and where
    it missed more than is kept, a snapshot of all turns. So what waits for a client never grows.

    Args:
        most_kept: messages kept one by one; of each turn the last one is kept for ever.
    """

    def __init__(self, most_kept: int = _MOST_KEPT) -> None:
        self.sequence = 0
        self._lock = threading.Lock()
        self._kept: deque[Message] = deque(maxlen=most_kept)
        self._turns: dict[int, Message] = {}

    def add(self, messages: Sequence[Message]) -> None:
        """Number messages and keep them; one with a ``turn_id`` replaces what was said of that turn."""
        with self._lock:
            for message in messages:
                self.sequence += 1
                numbered = {**message, "sequence": self.sequence}
                self._kept.append(numbered)
                if "turn_id" in numbered:
                    self._turns[numbered["turn_id"]] = numbered
                    if numbered["withdrawn"]:
                        # Told once more to who has not heard it, and then there is no such turn.
                        del self._turns[numbered["turn_id"]]

    def since(self, sequence: int) -> list[Message]:
        """Return what to tell somebody who knows everything up to this number: of each turn the last only."""
        with self._lock:
            first = self._kept[0]["sequence"] if self._kept else 1
            if sequence < first - 1:
                turns = sorted(self._turns.values(), key=lambda one: int(one["sequence"]))
                return [{"type": "snapshot", "sequence": self.sequence, "turns": turns}]
            news = [one for one in self._kept if one["sequence"] > sequence]
        last = {one["turn_id"]: one["sequence"] for one in news if "turn_id" in one}
        return [one for one in news if "turn_id" not in one or last[one["turn_id"]] == one["sequence"]]
