"""The console's routes: the pages and the files they load. What the pages do, they do through the API."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.types import Scope

from voxid.errors import InputError, PolicyError
from voxid.service.console.pages import HOME, PAGES, Page, frame_of, home_of
from voxid.service.console.recording import recording_values
from voxid.service.console.rendering import render
from voxid.service.console.viewer import speaker_colors, viewer_script, viewer_style
from voxid.service.identity import SESSION_COOKIE, principal_of, service_of
from voxid.service.roles import Principal

__all__ = ["install"]

_SIGN_IN: Final = "/console/sign-in"
_STATIC: Final = "/console/static"
_GENERATED: Final = {
    "viewer.js": (viewer_script, "text/javascript"),
    "viewer.css": (viewer_style, "text/css"),
    "colors.css": (speaker_colors, "text/css"),
}


def install(app: FastAPI) -> None:
    """Add the console to the application."""
    app.include_router(_router())
    app.mount(_STATIC, _Files(directory=Path(str(files("voxid.service.console"))) / "static"))


class _Files(StaticFiles):
    """Files a browser may keep but asks about each time: an upgrade is seen at once."""

    def file_response(
        self, full_path: Any, stat_result: Any, scope: Scope, status_code: int = 200
    ) -> Response:
        answer = super().file_response(full_path, stat_result, scope, status_code)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


def _router() -> APIRouter:
    router = APIRouter(include_in_schema=False, default_response_class=Response)
    router.add_api_route("/", lambda: RedirectResponse(HOME, 303), methods=["GET"])
    router.add_api_route("/console", lambda: RedirectResponse(HOME, 308), methods=["GET"])
    router.add_api_route(HOME, _home, methods=["GET"])
    router.add_api_route(_SIGN_IN, _sign_in, methods=["GET"])
    for page in PAGES:
        router.add_api_route(page.path, _shown(page), methods=["GET"])
    router.add_api_route("/console/people/{person_id}", _person, methods=["GET"])
    router.add_api_route("/console/recordings/{recording_id}", _recording, methods=["GET"])
    for name, (text, media_type) in _GENERATED.items():
        router.add_api_route(f"/console/{name}", _file(text(), media_type), methods=["GET"])
    return router


def _file(text: str, media_type: str) -> Callable[[], Response]:
    return lambda: Response(text, media_type=media_type, headers={"Cache-Control": "no-cache"})


async def _sign_in(request: Request) -> Response:
    values = {"title": "Sign in", "csrf": None, "next": _safe(request.query_params.get("next", ""))}
    return render("sign_in.html", values)


async def _home(request: Request) -> Response:
    principal = await _signed_in(request)
    if principal is None:
        return _to_sign_in(request)
    page = home_of(principal)
    return _closed(request, principal) if page is None else RedirectResponse(page, 303)


def _shown(page: Page) -> Any:
    """Return the route of a page of the navigation."""

    async def show(request: Request) -> Response:
        return await _page(request, page, page.path, {})

    return show


async def _person(request: Request, person_id: str) -> Response:
    page = Page("", "Person", "person.html", "person.js", "", "", ("people:read",))
    return await _page(request, page, "/console/people", {"person_id": person_id})


async def _recording(request: Request, recording_id: str) -> Response:
    page = Page("", "Recording", "recording.html", "recording.js", "", "", ("diarize",), "wide")
    principal = await _signed_in(request)
    if principal is None or not page.open_to(principal):
        return await _page(request, page, "/console/recordings", {})
    tenant = await run_in_threadpool(service_of(request).tenants.get, principal.tenant)
    try:
        values = await run_in_threadpool(recording_values, tenant, recording_id)
    except InputError as error:
        frame = frame_of(principal, request.cookies[SESSION_COOKIE], "/console/recordings")
        return render("missing.html", {**frame, "title": "Nothing here", "why": error.message}, 404)
    return await _page(request, page, "/console/recordings", values)


async def _page(request: Request, page: Page, here: str, values: dict[str, Any]) -> Response:
    """Return a page to somebody signed in who may see it; others are sent to sign in, or told."""
    principal = await _signed_in(request)
    if principal is None:
        return _to_sign_in(request)
    if not page.open_to(principal):
        return _closed(request, principal)
    frame = frame_of(principal, request.cookies[SESSION_COOKIE], here)
    shown = {"title": page.title, "module": page.module, "width": page.width}
    return render(page.template, {**frame, **shown, **values})


async def _signed_in(request: Request) -> Principal | None:
    if SESSION_COOKIE not in request.cookies:
        return None
    try:
        return await principal_of(request)
    except PolicyError:
        return None


def _to_sign_in(request: Request) -> Response:
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{_SIGN_IN}?next={quote(asked, safe='')}", 303)


def _closed(request: Request, principal: Principal) -> Response:
    frame = frame_of(principal, request.cookies[SESSION_COOKIE], "")
    return render("closed.html", {**frame, "title": "Not open to you"}, 403)


def _safe(path: str) -> str:
    """Return the address to go to after signing in, if it is a page of ours."""
    return path if path.startswith(HOME) and "//" not in path and "\\" not in path else HOME
