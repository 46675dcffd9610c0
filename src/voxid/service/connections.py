"""HTTP connections that cannot be held open by sending nothing, or a head byte by byte."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["guarded_protocol"]


def guarded_protocol(header_s: float) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol, closing a connection that brings no whole request head in time.

    uvicorn limits the wait between two requests only; before the first one, and inside a head, it waits for ever.

    Args:
        header_s: seconds from the connection, or from the first byte of a later head, to its end.
    """

    class GuardedProtocol(H11Protocol):
        _head_due: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._await_head()

        def data_received(self, data: bytes) -> None:
            if self._head_due is None and self._idle():
                self._await_head()
            super().data_received(data)
            if not self._idle() or self.transport.get_protocol() is not self:
                self._head_came()

        def connection_lost(self, exc: Exception | None) -> None:
            self._head_came()
            super().connection_lost(exc)

        def _idle(self) -> bool:
            cycle: Any = self.cycle
            return cycle is None or cycle.response_complete

        def _await_head(self) -> None:
            self._head_due = self.loop.call_later(header_s, self._give_up)

        def _head_came(self) -> None:
            if self._head_due is not None:
                self._head_due.cancel()
                self._head_due = None

        def _give_up(self) -> None:
            self._head_due = None
            if self._idle() and not self.transport.is_closing():
                self.transport.abort()

    return GuardedProtocol
