"""What stands around every request: an id, the size and pace of its body, and the headers of its answer."""

from __future__ import annotations

import asyncio
import logging
import re
import traceback
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voxid.errors import InputError, VoxidError
from voxid.gallery.documents import new_document_id
from voxid.service.problems import problem_response
from voxid.service.settings import Limits

__all__ = ["RefusedBody", "RequestGuard", "allow_recording"]

_log = logging.getLogger("voxid.service")

# Log lines and traces hold the id: what could be a word, and so a name, is replaced by an id of ours.
_SENT_ID: Final = re.compile(r"[0-9A-Fa-f-]{8,64}")
_SECURITY_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_BODY: Final = "voxid.body"  # where the body of a request is found in its scope
_DEFECT: Final = "The service failed in a way it should not; the log names the request. Please report this."
_SEND_S: Final = 30.0  # a client that does not read its answer for so long has gone


class RefusedBody(HTTPException):
    """A body that is too large or too slow; FastAPI lets this class through where it reads a body."""

    def __init__(self, code: str, sentence: str) -> None:
        error = InputError(code, sentence)
        # The rest of the body is not read, so the connection cannot be used again.
        super().__init__(413, detail=error, headers={"Connection": "close"})  # type: ignore[arg-type]


class RequestGuard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, limits: Limits, secure: bool = False) -> None:
        self._app = app
        self._limits = limits
        self._headers = dict(_SECURITY_HEADERS)
        if secure:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        state: MutableMapping[str, Any] = scope.setdefault("state", {})
        headers = Headers(scope=scope)
        sent = headers.get("x-request-id", "")
        request_id = sent if _SENT_ID.fullmatch(sent) else new_document_id()
        state["request_id"] = request_id
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        scope[_BODY] = body = _Body(receive, self._limits)
        answer = self._answering(send, request_id)
        try:
            await self._app(scope, body, answer)
        except Exception as error:
            # Where it happened, and not what it says: that may hold a name.
            where = "".join(traceback.format_tb(error.__traceback__))
            _log.error("request %s met a defect: %s\n%s", request_id, type(error).__name__, where)
            if not answer.begun:
                await problem_response(request_id, VoxidError("defect", _DEFECT))(scope, body, answer)

    def _answering(self, send: Send, request_id: str) -> _Answer:
        return _Answer(send, {"X-Request-Id": request_id}, self._headers)


class _Answer:
    """The way out: headers are added, and a client that does not read is given up."""

    def __init__(self, send: Send, own: Mapping[str, str], usual: Mapping[str, str]) -> None:
        self.begun = False
        self._send = send
        self._own = own
        self._usual = usual

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            headers.update(self._own)
            for name, value in self._usual.items():
                headers.setdefault(name, value)
        async with asyncio.timeout(_SEND_S):
            await self._send(message)


def allow_recording(request: Request) -> None:
    """Let the body of this request be as long as a recording may be; any other body is as short as JSON."""
    body: _Body = request.scope[_BODY]
    body.most_bytes = body.limits.max_recording_bytes


class _Body:
    """The request's body, counted and timed while it is read."""

    def __init__(self, receive: Receive, limits: Limits) -> None:
        self.limits = limits
        self.most_bytes = limits.max_json_bytes
        self._receive = receive
        self._bytes = 0
        self._began_at: float | None = None
        self._done = False

    async def __call__(self) -> Message:
        if self._done:
            return await self._receive()
        loop = asyncio.get_running_loop()
        self._began_at = loop.time() if self._began_at is None else self._began_at
        try:
            async with asyncio.timeout(self.limits.body_idle_s):
                message = await self._receive()
        except TimeoutError:
            raise self._too_slow() from None
        if message["type"] != "http.request":
            return message
        self._bytes += len(message.get("body", b""))
        self._done = not message.get("more_body", False)
        if self._bytes > self.most_bytes:
            raise RefusedBody(
                "body_too_large",
                f"The body is longer than {self.most_bytes:,} bytes, the most that is read here; send less.",
            )
        lasted_s = loop.time() - self._began_at
        wanted = (lasted_s - self.limits.body_idle_s) * self.limits.min_body_bytes_per_s
        if not self._done and self._bytes < wanted:
            raise self._too_slow()
        return message

    def _too_slow(self) -> RefusedBody:
        return RefusedBody(
            "body_too_slow",
            f"After {self._bytes:,} bytes the body came too slowly (nothing for {self.limits.body_idle_s:g} s, or "
            f"under {self.limits.min_body_bytes_per_s:,} bytes/s); send it again over a better line.",
        )
