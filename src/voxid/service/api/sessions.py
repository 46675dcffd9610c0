"""Browser sessions: sign in with a key or a token, see who one is, sign out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from voxid.errors import PolicyError
from voxid.service.credentials import SESSION_S, csrf_of, split_token
from voxid.service.identity import SESSION_COOKIE, principal_of, service_of, tenant_for
from voxid.service.problems import responses
from voxid.service.roles import Principal
from voxid.service.signing_in import throttled
from voxid.service.state import Tenant

__all__ = ["router"]

router = APIRouter(prefix="/session", tags=["session"], responses=responses())

Anybody = Annotated[Tenant, Depends(tenant_for())]
Asking = Annotated[Principal, Depends(principal_of)]


class SessionOut(BaseModel):
    """Who is signed in, and what they may do."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "tenant": "default",
                "kind": "key",
                "id": "5f1c0a9be2d4",
                "roles": ["auditor"],
                "scopes": ["audit", "metrics", "models"],
                "csrf": "0f" * 32,
            }
        }
    )

    tenant: str
    kind: str
    id: str
    roles: list[str]
    scopes: list[str]
    csrf: str | None = Field(description="What to send as X-Voxid-CSRF; null without a cookie")

    @classmethod
    def of(cls, principal: Principal, cookie: str | None) -> SessionOut:
        """Return the session as JSON shows it."""
        return cls(**principal.to_dict(), csrf=None if cookie is None else csrf_of(cookie))


@router.get("", summary="Show who is signed in")
def show_session(asking: Asking, request: Request) -> SessionOut:
    """Return the caller as the service sees them."""
    return SessionOut.of(asking, request.cookies.get(SESSION_COOKIE))


@router.post("", status_code=201, summary="Sign in a browser", dependencies=[Depends(throttled)])
def open_session(tenant: Anybody, asking: Asking, request: Request, response: Response) -> SessionOut:
    """Open a session that may do what the key or token sent may; the answer sets its cookie.

    After too many failures from one address it is refused for a while (`sign_in_locked`).
    """
    service = service_of(request)
    cookie = tenant.sessions.open(asking.to_dict(), service.clock())
    response.set_cookie(
        SESSION_COOKIE,
        cookie,
        max_age=int(SESSION_S),
        httponly=True,
        samesite="strict",
        secure=service.settings.secure_cookies,
    )
    return SessionOut.of(asking, cookie)


@router.delete("", status_code=204, summary="Sign out")
def end_session(tenant: Anybody, request: Request, response: Response) -> None:
    """End the browser's session."""
    token = split_token(request.cookies.get(SESSION_COOKIE, ""))
    if token is None or token.prefix != "vxs":
        raise PolicyError("credentials_missing", "There is no session to end; only browsers have one.")
    service = service_of(request)
    tenant.sessions.end(token.id, service.clock())
    service.remembered.clear()
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")
