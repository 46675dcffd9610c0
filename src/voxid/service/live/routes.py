"""`/v1/live`: the WebSocket a call is sent over, and the list of those going on.

    client   {"type": "start", ...}   or   {"type": "resume", "token": ..., "after": n}, then audio as binary messages
    server   started or resumed, then tentative, final and revised turns, quality and problems, each with a sequence
    client   {"type": "end"}
    server   what the last pass revised, the timeline, and the connection is closed

Two tasks serve a connection: one reads, and reads no further while too much waits to be heard; one writes, and is given
up when the client does not read. The call itself belongs to neither and outlives both.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Collection
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, WebSocket
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocketDisconnect

from voxid.audit.actors import Actor, acting_as
from voxid.errors import InputError, PolicyError, VoxidError
from voxid.service.api.shapes import After, Limit, Next, page_of
from voxid.service.identity import admitted, principal_of, service_of, tenant_for
from voxid.service.live.call import LiveCall, problem
from voxid.service.live.calls import Connected, LiveCalls
from voxid.service.live.messages import Alive, End, Resume, Start, read_message
from voxid.service.problems import problem_response, responses
from voxid.service.state import Tenant

__all__ = ["calls_of", "router"]

router = APIRouter(prefix="/live", tags=["live"])

_FIRST_S: Final = 10.0  # for the message that starts or resumes
_LOOKED_S: Final = 0.05  # how often a reader that waits looks whether it may go on
_CODES: Final = {
    "done": 1000,
    "refused": 4400,
    "idle": 4408,
    "replaced": 4409,
    "too_long": 4413,
    "too_slow": 4429,
}
"""WebSocket close codes; the last message says the same in words."""


class CallGoingOn(BaseModel):
    """A live call."""

    id: str = Field(examples=["0198f0a2-7d1e-7c55-9a0e-5f1f7a2f9b10"])
    layout: Literal["mixed", "sides"]
    names: bool
    heard_s: float = Field(examples=[61.5], description="How much of it was heard, in seconds")
    behind_s: float = Field(examples=[0.2], description="Audio that came and was not heard yet, in seconds")


class LivePage(BaseModel):
    """Some of the live calls, in the order they began."""

    calls: list[CallGoingOn]
    next: Next


def calls_of(connection: HTTPConnection) -> LiveCalls:
    """Return the calls of this process."""
    calls: LiveCalls = connection.app.state.live
    return calls


@router.get("", summary="List live calls", responses=responses())
def list_calls(
    connection: HTTPConnection,
    tenant: Annotated[Tenant, Depends(tenant_for("live"))],
    limit: Limit = 200,
    after: After = None,
) -> LivePage:
    """Return the tenant's calls now going on in this process."""
    going = {one.place.id: one for one in calls_of(connection).of(tenant.id)}
    ids, following = page_of(sorted(going), after, limit)
    return LivePage(calls=[_shown(going[id_]) for id_ in ids], next=following)


def _shown(call: LiveCall) -> CallGoingOn:
    return CallGoingOn(
        id=call.place.id,
        layout="sides" if call.start.by_sides else "mixed",
        names=call.start.names,
        heard_s=round(call.heard_s, 1),
        behind_s=round(call.behind_s, 1),
    )


@router.websocket("")
async def follow(socket: WebSocket) -> None:
    """Follow one call."""
    try:
        principal = await principal_of(socket)
        actor = Actor(principal.kind, principal.id, socket.state.request_id)
        with acting_as(actor):
            tenant = await run_in_threadpool(admitted, service_of(socket), principal, "live")
    except VoxidError as error:
        with contextlib.suppress(RuntimeError):  # a server without the extension closes with 403 by itself
            await socket.send_denial_response(problem_response(socket.state.request_id, error))
        return
    await socket.accept()
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # gone: there is nobody to tell
        await _Connection(socket, calls_of(socket), tenant, actor, principal.scopes).serve()


class _Connection:
    """One connection of a client, and the call it follows."""

    def __init__(
        self, socket: WebSocket, calls: LiveCalls, tenant: Tenant, actor: Actor, scopes: Collection[str]
    ) -> None:
        self._socket = socket
        self._calls = calls
        self._tenant = tenant
        self._actor = actor
        self._scopes = scopes

    async def serve(self) -> None:
        """Serve until the call or the connection ends."""
        try:
            async with asyncio.timeout(_FIRST_S):
                first = read_message(await self._socket.receive_text())
            connected, after = await self._begin(first)
        except TimeoutError:
            await self._refuse(InputError("live_idle", f"Nothing was said for {_FIRST_S:g} s; start a call."))
            return
        except (VoxidError, KeyError) as error:
            # KeyError: starlette's, for audio in place of a first message
            known = error if isinstance(error, VoxidError) else _not_started()
            await self._refuse(known)
            return
        connected.connection += 1
        mine = connected.connection
        if connected.parked is not None:
            connected.parked.cancel()
        connected.news.set()  # whoever followed the call before finds that it was replaced
        how = await self._follow(connected, mine, after)
        if how == "done":
            self._calls.drop(connected)
        elif connected.connection == mine:  # else somebody else follows it already
            self._calls.park(connected)
        if how != "gone":
            await self._socket.close(_CODES[how])

    async def _begin(self, first: Start | Resume | End | Alive) -> tuple[Connected, int]:
        """Return the call, and up to which number the client knows it."""
        if isinstance(first, Resume):
            connected = self._calls.find(self._tenant.id, self._actor, first.token)
            call = connected.call
            await self._say("resumed", call=call.place.id, received_frames=call.received_frames)
            return connected, first.after
        if not isinstance(first, Start):
            raise _not_started()
        if first.watchlist is not None and "watchlists" not in self._scopes:
            raise PolicyError(
                "scope_missing",
                "Looking for people of a list needs the scope 'watchlists'; leave `watchlist` out.",
            )
        loop = asyncio.get_running_loop()
        connected = await run_in_threadpool(self._calls.open, self._tenant, self._actor, first, loop)
        try:
            await self._say(
                "started",
                call=connected.call.place.id,
                token=connected.call.place.token,
                resume_s=self._calls.limits.resume_s,
                layout="sides" if first.by_sides else "mixed",
                latency_s=first.latency_s,
                hop_s=first.options.hop_s,
            )
        except BaseException:
            self._calls.park(connected)
            raise
        return connected, 0

    async def _follow(self, connected: Connected, mine: int, after: int) -> str:
        """Return how it ended: done, gone, replaced, idle, too_long or too_slow."""
        reading = asyncio.create_task(self._read(connected))
        writing = asyncio.create_task(self._write(connected, mine, after))
        try:
            await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
            if not writing.done() and reading.result() != "gone":
                return await writing if reading.result() == "done" else await self._ended(reading, writing)
            return reading.result() if not writing.done() else writing.result()
        finally:
            for task in (reading, writing):
                task.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)

    @staticmethod
    async def _ended(reading: asyncio.Task[str], writing: asyncio.Task[str]) -> str:
        """Return why the service ended the call, once the client was told everything."""
        told = await writing
        return reading.result() if told == "done" else told

    async def _read(self, connected: Connected) -> str:
        """Take in what the client sends, as long as it is heard in time."""
        call, limits = connected.call, self._calls.limits
        while call.timeline is None:
            try:
                async with asyncio.timeout(limits.idle_s):
                    message = await self._socket.receive()
            except TimeoutError:
                idle = InputError("live_idle", f"Nothing came for {limits.idle_s:g} s; the call was ended.")
                return self._end(connected, "idle", idle)
            if message["type"] == "websocket.disconnect":
                return "gone"
            if call.received_frames > limits.max_h * 3600 * call.start.sample_rate_hz:
                too_long = InputError("live_too_long", f"A call may last {limits.max_h:g} h; it was ended.")
                return self._end(connected, "too_long", too_long)
            if self._took(connected, message):
                return "done"
            while call.behind_s > limits.behind_s:
                await asyncio.sleep(_LOOKED_S)
        return "done"

    def _took(self, connected: Connected, message: Any) -> bool:
        """Take in one message; return whether it was the last."""
        call = connected.call
        try:
            if message.get("bytes") is not None:
                if call.put(message["bytes"]):
                    self._calls.hear(connected)
                return False
            said = read_message(message.get("text") or "")
            if isinstance(said, End):
                if call.end("done"):
                    self._calls.hear(connected)
                return True
            if not isinstance(said, Alive):
                raise InputError(
                    "live_started_already", "The call goes on already; send audio, alive or end."
                )
        except VoxidError as error:
            call.journal.add([problem(error)])
            connected.news.set()
        return False

    def _end(self, connected: Connected, how: str, why: InputError) -> str:
        connected.call.journal.add([problem(why)])
        if connected.call.end(f"refused:{why.code}"):
            self._calls.hear(connected)
        connected.news.set()
        return how

    async def _write(self, connected: Connected, mine: int, after: int) -> str:
        """Tell what is new until the call is over."""
        call = connected.call
        while True:
            connected.news.clear()
            over = call.timeline is not None
            for message in call.journal.since(after):
                try:
                    async with asyncio.timeout(self._calls.limits.send_s):
                        await self._socket.send_text(json.dumps(message, allow_nan=False))
                except TimeoutError:
                    return "too_slow"
                after = message["sequence"]
            if connected.connection != mine:
                return "replaced"
            if over:
                return "done"
            await connected.news.wait()

    async def _say(self, kind: str, **facts: Any) -> None:
        await self._socket.send_text(json.dumps({"type": kind, **facts}))

    async def _refuse(self, error: VoxidError) -> None:
        await self._socket.send_text(json.dumps(problem(error)))
        await self._socket.close(_CODES["refused"])


def _not_started() -> InputError:
    return InputError(
        "live_not_started", 'The first message starts or resumes a call; send {"type": "start", ...} as text.'
    )
