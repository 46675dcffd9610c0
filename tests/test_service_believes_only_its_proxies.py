"""Addresses behind proxies: who is told by a trusted proxy, and that nobody else can say who they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from voxid.errors import ConfigError
from voxid.service.app import create_app
from voxid.service.proxies import client_address, proxy_networks
from voxid.service.settings import Limits, ServiceSettings, load_settings

PROXIES = "10.0.0.0/24, fd00:1::/64"
WRONG = "vxk_default_000000000000_" + "0" * 48


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["192.0.2.1"], "203.0.113.9"),
        ("10.0.0.7", [], "10.0.0.7"),
        ("10.0.0.7", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.7", ["192.0.2.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.7", ["192.0.2.1", "203.0.113.9, 10.0.0.8"], "203.0.113.9"),
        ("10.0.0.7", ["10.0.0.9, 10.0.0.8"], "10.0.0.9"),
        ("10.0.0.7", ["203.0.113.9:41000"], "203.0.113.9"),
        ("fd00:1::7", ['"[2001:db8::1]:41000"'], "2001:db8::1"),
        ("::ffff:10.0.0.7", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("10.0.0.7", ["192.0.2.1, unknown"], "10.0.0.7"),
        ("10.0.0.7", ["192.0.2.1, "], "10.0.0.7"),
        ("testclient", ["192.0.2.1"], "testclient"),
    ],
)
def test_the_client_is_the_last_address_no_proxy_has(peer: str, forwarded: list[str], client: str) -> None:
    """What stands before it, the client may have written; what is no address is nobody's word."""
    assert client_address(peer, forwarded, proxy_networks(PROXIES)) == client


def test_nobody_is_believed_unless_named() -> None:
    """By default not even the machine itself."""
    assert proxy_networks(ServiceSettings().trusted_proxies) == ()
    assert client_address("127.0.0.1", ["203.0.113.9"], ()) == "127.0.0.1"


@pytest.mark.parametrize("text", ["*", "proxy.example", "10.0.0.7/24", "0.0.0.0/0", "::/0"])
def test_what_is_no_network_of_proxies_is_refused(text: str) -> None:
    """Nor one of everybody: it would let everybody say who they are."""
    with pytest.raises(
        ConfigError, match="trusted_proxies has .*; expected addresses or networks"
    ) as refused:
        load_settings(environ={"VOXID_TRUSTED_PROXIES": f"10.0.0.7,{text}"})
    assert refused.value.code == "settings_invalid"


def test_sign_ins_are_throttled_by_the_browser_behind_the_proxy(tmp_path: Path) -> None:
    """One browser that fails locks no other one behind the same proxy; and none gets away by a header of its own."""
    limits = replace(Limits(), sign_in_failures=1)
    app = create_app(ServiceSettings(data=tmp_path, limits=limits, trusted_proxies=PROXIES))
    app.state.service.tenants.create("default")

    def sign_in(peer: str, forwarded: str) -> int:
        browser = TestClient(app, client=(peer, 50_000))
        headers = {"Authorization": f"Bearer {WRONG}", "X-Forwarded-For": forwarded}
        return int(browser.post("/v1/session", headers=headers).status_code)

    with TestClient(app):
        assert [sign_in("10.0.0.7", "203.0.113.9") for _ in range(2)] == [401, 429]
        assert sign_in("10.0.0.7", "203.0.113.10") == 401
        assert sign_in("10.0.0.7", "192.0.2.1, 203.0.113.9") == 429
        assert [sign_in("198.51.100.1", f"192.0.2.{n}") for n in (1, 2)] == [401, 429]
