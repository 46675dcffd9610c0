"""Who asks, and whether they may: API keys, browser sessions, tokens of an identity provider.

    Authorization: Bearer vxk_...       an API key
    Authorization: Bearer eyJ...        a token, where an identity provider is set up
    Cookie: voxid_session=vxs_...       a browser; whatever changes something also needs X-Voxid-CSRF

A route asks for its tenant by the scope it needs: ``tenant: Annotated[Tenant, Depends(tenant_for("verify"))]``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import cache
from hmac import compare_digest
from typing import Annotated, Final

from fastapi import Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from voxid.audit.actors import Actor, acting_as
from voxid.errors import InputError, PolicyError
from voxid.service.credentials import Token, csrf_of, invalid_credentials, split_token
from voxid.service.roles import Principal, scopes_of
from voxid.service.state import Service, Tenant

__all__ = ["SESSION_COOKIE", "principal_of", "service_of", "tenant_for"]

SESSION_COOKIE: Final = "voxid_session"
CSRF_HEADER: Final = "X-Voxid-CSRF"
_SAFE: Final = ("GET", "HEAD", "OPTIONS")


def service_of(connection: HTTPConnection) -> Service:
    """Return the running service."""
    service: Service = connection.app.state.service
    return service


async def principal_of(connection: HTTPConnection) -> Principal:
    """Return who asks.

    Raises:
        PolicyError: credentials_missing, credentials_invalid, csrf_missing.
    """
    service = service_of(connection)
    text = _credential(connection)
    found = service.remembered.get(text)
    if found is None:
        found = await run_in_threadpool(_checked, service, text)
        service.remembered.put(text, found)
    connection.state.principal = found
    return found


@cache
def tenant_for(scope: str | None = None) -> Callable[..., AsyncIterator[Tenant]]:
    """Return the dependency that hands out the caller's tenant, if they may do what `scope` names, and often enough.

    Whatever the route writes into the audit log is the caller's act.

    Args:
        scope: of `voxid.service.roles.SCOPES`; None: anybody signed in.
    """

    async def tenant(
        connection: HTTPConnection, principal: Annotated[Principal, Depends(principal_of)]
    ) -> AsyncIterator[Tenant]:
        if scope is not None and scope not in principal.scopes:
            raise PolicyError(
                "scope_missing",
                f"This needs the scope {scope!r}, which the key, token or session does not have; use another one.",
            )
        admitted = await run_in_threadpool(_admitted, service_of(connection), principal)
        with acting_as(Actor(principal.kind, principal.id, connection.state.request_id)):
            yield admitted

    tenant.scope = scope  # type: ignore[attr-defined]  # read again where the OpenAPI document is made
    return tenant


def _admitted(service: Service, principal: Principal) -> Tenant:
    tenant = service.tenants.get(principal.tenant)
    limits = service.settings.limits
    service.allow(tenant, "tenant", limits.tenant_per_min)
    service.allow(tenant, f"{principal.kind}:{principal.id}", limits.key_per_min)
    return tenant


def _credential(connection: HTTPConnection) -> str:
    header = connection.headers.get("authorization", "")
    kind, _, text = header.partition(" ")
    if kind.lower() == "bearer" and text.strip():
        return text.strip()
    cookie = connection.cookies.get(SESSION_COOKIE)
    if not cookie:
        raise PolicyError(
            "credentials_missing", "No key was sent; send one as 'Authorization: Bearer vxk_...', or sign in."
        )
    _check_browser(connection, cookie)
    return cookie


def _check_browser(connection: HTTPConnection, cookie: str) -> None:
    """Refuse what another site made the browser send: a cookie comes along by itself."""
    if connection.scope["type"] == "websocket":
        origin = connection.headers.get("origin", "")
        if origin.partition("://")[2] != connection.headers.get("host"):
            raise PolicyError(
                "csrf_missing", "A live call was opened from another site; open it from the console."
            )
    elif connection.scope["method"] not in _SAFE:
        sent = connection.headers.get(CSRF_HEADER, "")
        if not compare_digest(sent.encode(), csrf_of(cookie).encode()):
            raise PolicyError(
                "csrf_missing",
                f"A change from a browser needs the header {CSRF_HEADER} of its session; sign in again.",
            )


def _checked(service: Service, text: str) -> Principal:
    token = split_token(text)
    if token is None:
        raise invalid_credentials()
    try:
        tenant = service.tenants.get(token.tenant)
    except InputError:
        raise invalid_credentials() from None
    return _of_key(service, tenant, token) if token.prefix == "vxk" else _of_session(service, tenant, token)


def _of_key(service: Service, tenant: Tenant, token: Token) -> Principal:
    key = tenant.keys.check(token, service.clock())
    return Principal(tenant.id, "key", key.id, key.roles, scopes_of(key.roles, key.scopes))


def _of_session(service: Service, tenant: Tenant, token: Token) -> Principal:
    principal = Principal.from_dict(tenant.sessions.check(token, service.clock()))
    if principal.kind == "key" and not tenant.keys.get(principal.id).valid(service.clock()):
        raise invalid_credentials()
    return principal
