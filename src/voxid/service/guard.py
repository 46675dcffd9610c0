"""What stands around every request: an id, the size and pace of its body, and the headers of its answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voxid.errors import InputError
from voxid.gallery.documents import new_document_id
from voxid.service.settings import Limits

__all__ = ["RefusedBody", "RequestGuard"]

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
        body = _Body(receive, self._limits, self._most(headers))
        await self._app(scope, body, self._answering(send, request_id))

    def _most(self, headers: Headers) -> int:
        is_json = headers.get("content-type", "").partition(";")[0].strip().lower() in (
            "",
            "application/json",
        )
        return self._limits.max_json_bytes if is_json else self._limits.max_recording_bytes

    def _answering(self, send: Send, request_id: str) -> Callable[[Message], Awaitable[None]]:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            async with asyncio.timeout(_SEND_S):
                await send(message)

        return answer


class _Body:
    """The request's body, counted and timed while it is read."""

    def __init__(self, receive: Receive, limits: Limits, most_bytes: int) -> None:
        self._receive = receive
        self._limits = limits
        self._most_bytes = most_bytes
        self._bytes = 0
        self._began_at: float | None = None
        self._done = False

    async def __call__(self) -> Message:
        if self._done:
            return await self._receive()
        loop = asyncio.get_running_loop()
        self._began_at = loop.time() if self._began_at is None else self._began_at
        try:
            async with asyncio.timeout(self._limits.body_idle_s):
                message = await self._receive()
        except TimeoutError:
            raise self._too_slow() from None
        if message["type"] != "http.request":
            return message
        self._bytes += len(message.get("body", b""))
        self._done = not message.get("more_body", False)
        if self._bytes > self._most_bytes:
            raise RefusedBody(
                "body_too_large",
                f"The body is longer than {self._most_bytes:,} bytes, the most that is read here; send less.",
            )
        lasted_s = loop.time() - self._began_at
        wanted = (lasted_s - self._limits.body_idle_s) * self._limits.min_body_bytes_per_s
        if not self._done and self._bytes < wanted:
            raise self._too_slow()
        return message

    def _too_slow(self) -> RefusedBody:
        return RefusedBody(
            "body_too_slow",
            f"After {self._bytes:,} bytes the body came too slowly (nothing for {self._limits.body_idle_s:g} s, or "
            f"under {self._limits.min_body_bytes_per_s:,} bytes/s); send it again over a better line.",
        )
