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

from fastapi import Security
from fastapi.openapi.models import APIKey as APIKeyModel
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.openapi.models import SecurityBase as SecurityBaseModel
from fastapi.security.base import SecurityBase
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from voxid.audit.actors import Actor, acting_as
from voxid.audit.events import Event
from voxid.errors import InputError, PolicyError
from voxid.service.credentials import (
    API_KEY,
    SESSION,
    csrf_of,
    invalid_credentials,
    refuse_as_others,
    split_token,
)
from voxid.service.remembering import Proof
from voxid.service.roles import Principal, scopes_of
from voxid.service.state import Service, Tenant

__all__ = ["SESSION_COOKIE", "admitted", "bearer_of", "principal_of", "service_of", "tenant_for"]

SESSION_COOKIE: Final = "voxid_session"
CSRF_HEADER: Final = "X-Voxid-CSRF"
_SAFE: Final = ("GET", "HEAD", "OPTIONS")


def service_of(connection: HTTPConnection) -> Service:
    """Return the running service."""
    service: Service = connection.app.state.service
    return service


class _Way(SecurityBase):
    """One way to sign in, as the OpenAPI document names it; reading the credential is `principal_of`'s."""

    def __init__(self, name: str, model: SecurityBaseModel) -> None:
        self.scheme_name = name
        self.model = model

    async def __call__(self, connection: HTTPConnection) -> None:
        return None


_BEARER = _Way(
    "bearer",
    HTTPBearerModel(description="An API key (vxk_...), or a token of the identity provider that is set up."),
)
_SESSION = _Way(
    "session",
    APIKeyModel.model_validate(
        {
            "in": "cookie",
            "name": SESSION_COOKIE,
            "description": f"A browser session; whatever changes something also needs the header {CSRF_HEADER}.",
        }
    ),
)


async def principal_of(
    connection: HTTPConnection,
    _bearer: Annotated[None, Security(_BEARER)] = None,
    _session: Annotated[None, Security(_SESSION)] = None,
) -> Principal:
    """Return who asks.

    Raises:
        PolicyError: credentials_missing, credentials_invalid, csrf_missing.
    """
    service = service_of(connection)
    text = _credential(connection)
    return await run_in_threadpool(_proved, service, text)


@cache
def tenant_for(scope: str | None = None) -> Callable[..., AsyncIterator[Tenant]]:
    """Return the dependency that hands out the caller's tenant, if they may do what `scope` names, and often enough.

    Whatever the route writes into the audit log is the caller's act.

    Args:
        scope: of `voxid.service.roles.SCOPES`; None: anybody signed in.
    """

    asking = Security(principal_of, scopes=[] if scope is None else [scope])

    async def tenant(connection: HTTPConnection, principal: Principal = asking) -> AsyncIterator[Tenant]:
        with acting_as(Actor(principal.kind, principal.id, connection.state.request_id)):
            yield await run_in_threadpool(admitted, service_of(connection), principal, scope)

    return tenant


def admitted(service: Service, principal: Principal, scope: str | None) -> Tenant:
    """Return the caller's tenant; that somebody lacks the scope is written into its audit log.

    Raises:
        PolicyError: scope_missing. TooOftenError: rate_limited.
    """
    tenant = service.tenants.get(principal.tenant)
    limits = service.settings.limits
    service.allow(tenant, "tenant", limits.tenant_per_min)
    service.allow(tenant, f"{principal.kind}:{principal.id}", limits.key_per_min)
    if scope is not None and scope not in principal.scopes:
        facts = {"scope": scope}
        tenant.store.record(
            [Event("access.refused", "refused:scope_missing", facts=facts, at=service.clock())]
        )
        raise PolicyError(
            "scope_missing",
            f"This needs the scope {scope!r}, which the key, token or session does not have; use another one.",
        )
    return tenant


def bearer_of(connection: HTTPConnection) -> str | None:
    """Return the key or token sent in the header; None when there is none."""
    kind, _, text = connection.headers.get("authorization", "").partition(" ")
    return text.strip() or None if kind.lower() == "bearer" else None


def _credential(connection: HTTPConnection) -> str:
    sent = bearer_of(connection)
    if sent is not None:
        return sent
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


def _proved(service: Service, text: str) -> Principal:
    """Return whom a credential proves, checked a moment ago or now."""
    known = service.remembered.get(text)
    if known is None or not known.holds(service.tenants.get(known.principal.tenant).store):
        known = _checked(service, text)
        service.remembered.put(text, known)
    return known.principal


def _checked(service: Service, text: str) -> Proof:
    """Return whom a credential proves."""
    token, now = split_token(text), service.clock()
    if token is None:
        if service.tokens is None:
            raise invalid_credentials()
        principal, until = service.tokens.read(text, now)
        if not service.tenants.holds(principal.tenant):
            raise invalid_credentials()
        return Proof(principal, until)
    try:
        tenant = service.tenants.get(token.tenant)
    except InputError:
        raise refuse_as_others(token) from None
    # Versions are taken before what they are versions of is checked: a change in between is seen the next time.
    if token.prefix == "vxk":
        rests_on = _version(tenant, API_KEY, token.id)
        key = tenant.keys.check(token, now)
        principal = Principal(tenant.id, "key", key.id, key.roles, scopes_of(key.roles, key.scopes))
        return Proof(principal, key.expires_at, (rests_on,))
    rests_on = _version(tenant, SESSION, token.id)
    fields, until = tenant.sessions.check(token, now)
    principal = Principal.from_dict(fields)
    if principal.kind != "key":
        return Proof(principal, until, (rests_on,))
    opened_with = _version(tenant, API_KEY, principal.id)
    if not tenant.keys.get(principal.id).valid(now):
        raise invalid_credentials()
    return Proof(principal, until, (rests_on, opened_with))


def _version(tenant: Tenant, kind: str, id_: str) -> tuple[str, str, int | None]:
    return kind, id_, tenant.store.document_version(kind, id_)
