"""A key or session that ends in one process is refused by the others from the next request on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service_app import Running, running
from voxid.service.credentials import ApiKeys


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Running, Running]]:
    """Two processes at one gallery."""
    with running(tmp_path) as first, running(tmp_path) as second:
        yield first, second


def status(at: Running, key: str) -> int:
    """Return how a request with a key is answered."""
    return at.http.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code


def test_revoked_here_refused_there(two: tuple[Running, Running], monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process knew the key well; it takes it no more, and pays the slow hash only when something changed."""
    here, there = two
    key, checks, check = here.key(), [], ApiKeys.check
    monkeypatch.setattr(ApiKeys, "check", lambda *given: checks.append(1) or check(*given))
    assert [status(there, key) for _ in range(5)] == [200] * 5
    assert len(checks) == 1
    tenant = here.service.tenants.get("default")
    tenant.keys.revoke(key.split("_")[2], here.clock())
    assert status(there, key) == 401
    assert status(there, key) == 401


def test_a_rotated_key_holds_as_long_as_it_overlaps(two: tuple[Running, Running]) -> None:
    """The new end of the old key counts in the other process too."""
    here, there = two
    key = here.key()
    assert status(there, key) == 200
    here.service.tenants.get("default").keys.rotate(key.split("_")[2], here.clock(), 30.0)
    assert status(there, key) == 200
    there.clock.pass_s(31)
    assert status(there, key) == 401


def test_a_session_ends_with_it_and_with_its_key(two: tuple[Running, Running]) -> None:
    """Signed out at one process, or its key revoked there: the cookie is worth nothing at the other."""
    here, there = two
    key = here.key()
    tenant = here.service.tenants.get("default")
    principal = {
        "tenant": "default",
        "kind": "key",
        "id": key.split("_")[2],
        "roles": ["admin"],
        "scopes": ["models"],
    }
    for end in ("session", "key"):
        cookie = tenant.sessions.open(principal, here.clock())
        there.http.cookies.set("voxid_session", cookie)
        assert there.http.get("/v1/models").status_code == 200
        if end == "session":
            tenant.sessions.end(cookie.split("_")[2], here.clock())
        else:
            tenant.keys.revoke(key.split("_")[2], here.clock())
        assert there.http.get("/v1/models").status_code == 401
