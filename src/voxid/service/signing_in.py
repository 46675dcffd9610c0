"""Failed sign-ins of browsers, counted in the gallery: by key and address, and by address alone. Too many, and wait.

A key's secret cannot be guessed; this keeps somebody who tries from costing a hash each time, and from trying unseen.
The count of one key at one address begins anew when the key is right; that of an address ends with its window.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from voxid.audit.events import Event
from voxid.errors import PolicyError
from voxid.service.credentials import split_token
from voxid.service.identity import bearer_of, service_of
from voxid.service.problems import TooOftenError
from voxid.service.proxies import client_address, proxy_networks
from voxid.service.state import Service, Tenant

__all__ = ["throttled"]

_KEYS_OF_AN_ADDRESS: Final = 10
"""An address may fail so many times as often as one key at it: browsers behind one router share it."""


async def throttled(request: Request) -> AsyncIterator[None]:
    """Let a sign-in through, unless too many failed before it; one that fails is counted.

    Raises:
        TooOftenError: sign_in_locked.
    """
    service, text = service_of(request), bearer_of(request)
    tries = None if text is None else await run_in_threadpool(_tries, service, request, text)
    if tries is None:
        yield
        return
    await run_in_threadpool(tries.check)
    try:
        yield
    except PolicyError as error:
        if error.code == "credentials_invalid":
            await run_in_threadpool(tries.count)
        raise
    await run_in_threadpool(tries.forget)


@dataclass(frozen=True)
class _Tries:
    """The failed sign-ins one more would be added to.

    Args:
        tenant: in whose gallery they are counted.
        key: that is tried: its tenant and id, as sent.
        address: where it is tried from.
    """

    service: Service
    tenant: Tenant
    key: str
    address: str

    @property
    def _counters(self) -> tuple[tuple[str, int], tuple[str, int]]:
        """Name and limit of the counters: the key at this address, the address."""
        most = self.service.settings.limits.sign_in_failures
        of_key = f"sign-in:{self.key}:{self.address}"
        return (of_key, most - 1), (f"sign-in:{self.address}", most * _KEYS_OF_AN_ADDRESS - 1)

    def check(self) -> None:
        """Refuse when one of the counts is full."""
        now, window_s = self.service.clock(), self.service.settings.limits.sign_in_s
        for name, limit in self._counters:
            counted = self.tenant.store.counted(name, window_s, limit, now)
            if counted.exceeded:
                wait_s = (counted.resets_at - now).total_seconds()
                raise TooOftenError(
                    "sign_in_locked",
                    f"Too many sign-ins failed from here; wait {max(1, round(wait_s / 60))} min, then try again.",
                    wait_s,
                )

    def count(self) -> None:
        """Count a failure; the one that fills a count is written into the audit log."""
        now, window_s = self.service.clock(), self.service.settings.limits.sign_in_s
        with self.tenant.store.changing() as change:
            counts = [change.count(name, window_s, limit, now) for name, limit in self._counters]
            if any(counted.exceeded for counted in counts):
                change.record(Event("session.opened", "refused:sign_in_locked", at=now))

    def forget(self) -> None:
        """Begin the count of the key at this address anew."""
        (name, limit), _ = self._counters
        window_s = self.service.settings.limits.sign_in_s
        if self.tenant.store.counted(name, window_s, limit, self.service.clock()).count:
            with self.tenant.store.changing() as change:
                change.documents.forget_count(name, window_s)


def _tries(service: Service, request: Request, text: str) -> _Tries | None:
    """Return where a sign-in is counted: of a tenant there is not, at the first one; None where nothing is counted."""
    if not service.settings.limits.sign_in_failures:
        return None
    token, tenants = split_token(text), service.tenants
    known = token is not None and tenants.holds(token.tenant)
    ids = [token.tenant] if token is not None and known else tenants.ids()[:1]
    if not ids:
        return None
    key = "" if token is None else f"{token.tenant}_{token.id}"
    peer = "" if request.client is None else request.client.host
    proxies = proxy_networks(service.settings.trusted_proxies)
    host = client_address(peer, request.headers.getlist("x-forwarded-for"), proxies)
    return _Tries(service, tenants.get(ids[0]), key, _network_of(host))


def _network_of(host: str) -> str:
    """Return the address somebody tries from; of IPv6 the network of 64 bits, of which one house has all addresses."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else str(address)
