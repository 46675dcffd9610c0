"""Who is at the other end where proxies stand between: each adds, at the end, the address it was called from.

`X-Forwarded-For` is text that anybody may send. It is read from its end, and only as long as whoever wrote the entry
is a proxy named in the settings: the first address that is none of them is the client's. What stands before it was
written by the client.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from voxid.errors import ConfigError

__all__ = ["client_address", "proxy_networks"]

Network: TypeAlias = IPv4Network | IPv6Network


@cache
def proxy_networks(text: str) -> tuple[Network, ...]:
    """Return the networks of a setting such as ``10.0.0.7, fd00:1::/64``; none for an empty one.

    Raises:
        ConfigError: settings_invalid, also for a network of everybody: it would believe everybody.

    Example:
        >>> proxy_networks("10.0.0.7, fd00:1::/64")
        (IPv4Network('10.0.0.7/32'), IPv6Network('fd00:1::/64'))
    """
    found = []
    for one in filter(None, (part.strip() for part in text.split(","))):
        try:
            network = ip_network(one)
        except ValueError:
            network = None
        if network is None or network.prefixlen == 0:
            raise ConfigError(
                "settings_invalid",
                f"trusted_proxies has {one!r}; expected addresses or networks of your proxies with commas between, "
                "such as 10.0.0.7, 10.1.0.0/16.",
            )
        found.append(network)
    return tuple(found)


def client_address(peer: str, forwarded: Iterable[str], trusted: tuple[Network, ...]) -> str:
    """Return the address of the client: the peer's own, unless it is a trusted proxy that forwards for somebody.

    Args:
        peer: who is connected.
        forwarded: the `X-Forwarded-For` headers, as they came.
        trusted: networks of proxies.

    Example:
        >>> trusted = proxy_networks("10.0.0.0/24")
        >>> client_address("10.0.0.7", ["192.0.2.1, 203.0.113.9, 10.0.0.8"], trusted)
        '203.0.113.9'
        >>> client_address("203.0.113.9", ["192.0.2.1"], trusted)
        '203.0.113.9'
    """
    entries = [entry.strip() for header in forwarded for entry in header.split(",")]
    address = _address(peer)
    while entries and address is not None and any(address in network for network in trusted):
        following = _address(entries.pop())
        if following is None:  # a proxy that names nobody: what it was told to forward is nobody's word
            break
        address = following
    return peer if address is None else str(address)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address of an entry, which may have a port; IPv4 that came as IPv6 is IPv4."""
    host = text.strip('"')
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped
