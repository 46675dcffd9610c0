"""All live calls: who may start one, the threads that hear them, and what becomes of a call nobody is connected to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from voxid.audit.actors import Actor, acting_as
from voxid.audit.events import Event as AuditEvent
from voxid.diarize.naming import PURPOSE
from voxid.errors import InputError
from voxid.gallery.documents import new_document_id
from voxid.service.inference import Inference
from voxid.service.live.call import LiveCall, Place
from voxid.service.live.messages import Start
from voxid.service.problems import TooOftenError
from voxid.service.settings import LiveLimits
from voxid.service.state import Tenant
from voxid.spoof.verdict import SpoofVerdict

__all__ = ["Connected", "LiveCalls"]

_log = logging.getLogger("voxid.service")

_THREADS_PER_CORE: Final = 2  # one hears while another waits for the networks
_RETRY_S: Final = 10.0


@dataclass(eq=False)
class Connected:
    """A call and the connection that follows it now.

    Args:
        call: the call.
        principal: who started it; nobody else goes on with it.
        news: set whenever the journal has something new, or the connection is to end.
        connection: counts those who followed it; a connection that is not the last has been replaced.
    """

    call: LiveCall
    principal: str
    news: asyncio.Event
    connection: int = 0
    parked: asyncio.TimerHandle | None = None


class LiveCalls:
    """The calls of one process.

    Args:
        inference: the networks.
        limits: how many calls, how long, and how long a broken connection is waited for.
        judged: told the last verdict on each voice of a call, to count it.
    """

    def __init__(
        self, inference: Inference, limits: LiveLimits, judged: Callable[[SpoofVerdict], None]
    ) -> None:
        self.limits = limits
        self._inference = inference
        self._judged = judged
        self._calls: dict[str, Connected] = {}
        self._due: set[Connected] = set()  # who waits for a thread
        self._opening = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def __len__(self) -> int:
        return len(self._going())

    def of(self, tenant: str) -> list[LiveCall]:
        """Return a tenant's calls now going on."""
        return [call for call in self._going() if call.place.tenant.id == tenant]

    def open(self, tenant: Tenant, actor: Actor, start: Start, loop: asyncio.AbstractEventLoop) -> Connected:
        """Return a new call; not called from the event loop.

        Raises:
            PolicyError: live_calls_exceeded. InputError: live_message_invalid, latency_invalid.
            CompatibilityError: model_mismatch. StoreError.
        """
        call_id, token = new_document_id(), secrets.token_urlsafe(32)
        news = asyncio.Event()
        place = Place(tenant, actor, call_id, token)
        with self._opening:
            self._check_room(tenant.id)
            call = LiveCall(place, start, self._inference, lambda: _set(news, loop), self._judged)
            connected = Connected(call, f"{actor.kind}:{actor.id}", news)
            self._calls[call_id] = connected
            if self._pool is None:
                threads = _THREADS_PER_CORE * (os.cpu_count() or 1)
                self._pool = ThreadPoolExecutor(threads, thread_name_prefix="live")
        try:
            self._record_start(call)
        except BaseException:
            del self._calls[call_id]
            raise
        return connected

    def find(self, tenant: str, actor: Actor, token: str) -> Connected:
        """Return the call a token belongs to; one answer for all that is not the caller's own.

        Raises:
            InputError: live_call_missing.
        """
        for one in list(self._calls.values()):
            place = one.call.place
            own = place.tenant.id == tenant and one.principal == f"{actor.kind}:{actor.id}"
            if own and secrets.compare_digest(place.token.encode(), token.encode()):
                return one
        raise InputError(
            "live_call_missing",
            f"There is no call of this token; a call is waited for {self.limits.resume_s:g} s after its connection "
            "broke. Start a new one.",
        )

    def hear(self, connected: Connected) -> None:
        """Let the pool hear what waits of a call, one piece after another, calls in turn."""
        if self._pool is not None:
            self._due.add(connected)
            with contextlib.suppress(RuntimeError):  # the service ends
                self._pool.submit(self._hear_piece, connected)

    def park(self, connected: Connected) -> None:
        """Wait for the client to come back; then end the call, or forget it. Called from the event loop."""
        loop = asyncio.get_running_loop()
        connected.parked = loop.call_later(self.limits.resume_s, self._abandon, connected)

    def drop(self, connected: Connected) -> None:
        """Forget a call that is over."""
        self._calls.pop(connected.call.place.id, None)

    def close(self) -> None:
        """End every call; what they were about to tell is lost, that they were is written down."""
        pool, self._pool = self._pool, None
        for one in list(self._calls.values()):
            if one.call.end("refused:service_ended") and pool is not None:
                pool.submit(_hear_out, one.call)
        if pool is not None:
            pool.shutdown(wait=True)
        self._calls.clear()

    def _hear_piece(self, connected: Connected) -> None:
        self._due.discard(connected)
        try:
            again = connected.call.hear(lambda: bool(self._due))
        except Exception:
            _log.exception("a live call was given up because of a defect")
            return
        if again:
            self.hear(connected)

    def _abandon(self, connected: Connected) -> None:
        if connected.call.end("refused:connection_lost"):
            self.hear(connected)
        self.drop(connected)

    def _check_room(self, tenant: str) -> None:
        own = len(self.of(tenant))
        if len(self) >= self.limits.calls or own >= self.limits.tenant_calls:
            raise TooOftenError(
                "live_calls_exceeded",
                f"{own} live calls of this tenant go on; at most {self.limits.tenant_calls} may, and "
                f"{self.limits.calls} of all tenants together. End one, or start this one later.",
                _RETRY_S,
            )

    def _going(self) -> list[LiveCall]:
        return [one.call for one in list(self._calls.values()) if one.call.timeline is None]

    def _record_start(self, call: LiveCall) -> None:
        start, place = call.start, call.place
        facts = {
            "call": place.id,
            "purpose": PURPOSE if start.names else None,
            "layout": "sides" if start.by_sides else "mixed",
            "encoding": start.encoding,
            "sample_rate_hz": start.sample_rate_hz,
            "channels": start.channels,
        }
        with acting_as(place.actor):
            place.tenant.store.record([AuditEvent("live.started", facts=facts)])


def _set(news: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever waited
        loop.call_soon_threadsafe(news.set)


def _hear_out(call: LiveCall) -> None:
    while call.hear():
        pass
