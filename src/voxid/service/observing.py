"""What is known of each request without looking into it: method, route, status, time, code of a refusal, events.

The route is its template (`/v1/people/{person_id}`): neither the address nor anything else that was sent is kept, so
whatever is made of it, metric, log line or trace, cannot hold a name, a key or a person.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = [
    "UNMATCHED",
    "Around",
    "RequestObserver",
    "ServedRequest",
    "current_request",
    "refused_with",
    "route_of",
]

UNMATCHED: Final = "unmatched"
"""The route of a request that no route was found for."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"})
_PREFIXES: Final = ("/v1",)
_AGAIN: Final = b"idempotent-replayed"
_NO_ANSWER: Final = 500  # what failed before it answered; the answer is made outside


@dataclass
class ServedRequest:
    """One request.

    Args:
        method: of HTTP, or WEBSOCKET; OTHER for what is none.
        route: template of its address.
        status: of the answer; for a live call 101 once it was accepted.
        duration_s: from its head to the end of the answer.
        request_id: as answered in X-Request-Id.
        code: of the refusal, e.g. "rate_limited".
        events: written into the audit log by it.
        again: it was done before, and the answer of then was given once more.
    """

    method: str
    route: str = UNMATCHED
    status: int = _NO_ANSWER
    duration_s: float = 0.0
    request_id: str = ""
    code: str | None = None
    events: int = 0
    again: bool = False


_CURRENT: ContextVar[ServedRequest | None] = ContextVar("voxid_request", default=None)

Around: TypeAlias = Callable[[ServedRequest, Sequence[tuple[bytes, bytes]]], AbstractContextManager[object]]
"""Told of a request and its headers, returns what is entered when it begins and left when it was answered."""


def current_request() -> ServedRequest | None:
    """Return the request that is being answered here, also in the threads it runs in."""
    return _CURRENT.get()


def refused_with(code: str) -> None:
    """Hear the code of the refusal that the request being answered here will get."""
    request = _CURRENT.get()
    if request is not None:
        request.code = code


class RequestObserver:
    """ASGI middleware around everything else.

    Args:
        app: the application.
        around: who looks, outermost first.
    """

    def __init__(self, app: ASGIApp, around: Sequence[Around]) -> None:
        self._app = app
        self._around = tuple(around)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        method = scope.get("method", "WEBSOCKET")
        request = ServedRequest(method if method in _METHODS else "OTHER")
        scope.setdefault("state", {})
        entered = [one(request, scope["headers"]) for one in self._around]
        token = _CURRENT.set(request)
        for one in entered:
            one.__enter__()
        began_s = time.perf_counter()
        try:
            await self._app(scope, receive, _noting(request, send))
        except Exception:
            request.status, request.code = _NO_ANSWER, "defect"
            raise
        finally:
            request.duration_s = time.perf_counter() - began_s
            request.route = route_of(scope)
            request.request_id = str(scope["state"].get("request_id", ""))
            for one in reversed(entered):
                one.__exit__(None, None, None)
            _CURRENT.reset(token)


def _noting(request: ServedRequest, send: Send) -> Callable[[Message], Any]:
    async def noting(message: Message) -> None:
        if message["type"] == "http.response.start":
            request.status = message["status"]
            request.again = any(name.lower() == _AGAIN for name, _ in message.get("headers", ()))
        elif message["type"] == "websocket.accept":
            request.status = 101
        elif message["type"] == "websocket.close" and request.status != 101:
            request.status = 403  # as the server answers a live call that is not accepted
        await send(message)

    return noting


def route_of(scope: Scope) -> str:
    """Return the template of a request's address, once its route is found; `UNMATCHED` where there is none."""
    path = getattr(scope.get("route"), "path", None)
    if path is not None:
        # Some versions of FastAPI know a route with the prefix of its router, some without.
        prefix = next((one for one in _PREFIXES if scope["path"].startswith(f"{one}/")), "")
        return str(path) if str(path).startswith(f"{prefix}/") else f"{prefix}{path}"
    # Files of the console are mounted: the name of the folder is the route.
    mounted = scope.get("root_path", "")
    return str(mounted) if mounted and "endpoint" in scope else UNMATCHED
