"""Who may do what: API keys, browser sessions, tokens of an identity provider, tenants beside each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from starlette.testclient import TestClient

from service_app import ADDRESS, Running, running
from voxid.client import Client
from voxid.errors import ConfigError, InputError, PolicyError
from voxid.service.oidc import TokenReader
from voxid.service.roles import ROLES, SCOPES
from voxid.service.settings import OidcSettings

NOT_VALID = "is not valid here, or no longer; ask an administrator"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("service")) as started:
        yield started


def problem(answer: Any) -> tuple[int, str]:
    """Return status and code of an answer that is a problem in the right shape."""
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert {"type", "title", "status", "detail", "code", "instance"} <= set(body)
    assert body["status"] == answer.status_code
    assert body["instance"] == f"urn:voxid:request:{answer.headers['x-request-id']}"
    return answer.status_code, body["code"]


def test_a_key_works_until_it_is_revoked(house: Running) -> None:
    """Its text is shown once; revoked, it is refused at once, and so is every key that never was."""
    admin = house.client()
    made = admin.create_key("gateway", roles=["operator"])
    gateway = Client(ADDRESS, made.key, http=house.http)
    assert list(gateway.people()) == []
    assert made.key not in repr(made)
    assert [key.key for key in admin.list_keys() if key.id == made.id] == [None]
    admin.revoke_key(made.id)
    for text in (made.key, "vxk_default_000000000000_" + "0" * 48, "vxk_nobody_0_0", "nonsense"):
        with pytest.raises(PolicyError, match=NOT_VALID) as refused:
            list(Client(ADDRESS, text, http=house.http).people())
        assert refused.value.code == "credentials_invalid"


def test_a_key_ends_when_it_says_so(house: Running) -> None:
    """An expired key is refused on the second, remembered or not."""
    ends_at = house.clock() + timedelta(seconds=30)
    made = house.client().create_key("short", roles=["auditor"], expires_at=ends_at)
    short = Client(ADDRESS, made.key, http=house.http)
    assert short.models()
    house.clock.pass_s(30)
    with pytest.raises(PolicyError, match=NOT_VALID):
        short.models()


def test_rotation_overlaps(house: Running) -> None:
    """The successor has the same rights; the old key is taken for the overlap and no longer."""
    admin = house.client()
    old = admin.create_key("rotated", scopes=["models"])
    new = admin.rotate_key(old.id, overlap_s=600)
    assert (new.scopes, new.id != old.id) == (old.scopes, True)
    both = [Client(ADDRESS, key.key, http=house.http) for key in (old, new)]
    assert all(client.models() for client in both)
    house.clock.pass_s(601)
    assert both[1].models()
    with pytest.raises(PolicyError, match=NOT_VALID):
        both[0].models()


def test_a_key_gives_no_more_than_it_has(house: Running) -> None:
    """A scope that is missing is named; a key cannot make a stronger one; unknown words are refused."""
    keeper = house.client(scopes=("keys",))
    with pytest.raises(PolicyError, match="needs the scope 'people:read'"):
        list(keeper.people())
    with pytest.raises(PolicyError, match="can give no scope its maker lacks: verify"):
        keeper.create_key("more", scopes=["verify"])
    with pytest.raises(InputError, match="'king' is no role; expected any of: operator"):
        keeper.create_key("who", roles=["king"])


def test_roles_hold_known_scopes_only() -> None:
    """Only administrators make keys, erase and set policies."""
    assert all(scopes <= set(SCOPES) for scopes in ROLES.values())
    strong = {"keys", "erase", "policies"}
    assert [role for role, scopes in ROLES.items() if scopes & strong] == ["admin"]


def test_a_browser_needs_its_token_to_change_anything(house: Running) -> None:
    """The cookie is not readable by scripts and not sent from other sites; a change needs the header as well."""
    signed_in = house.http.post("/v1/session", headers={"Authorization": f"Bearer {house.key()}"})
    cookie = signed_in.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    csrf = signed_in.json()["csrf"]
    try:
        assert house.http.get("/v1/people").status_code == 200
        wanted = {"name": "From a browser", "consent": {"purposes": ["verify"], "evidence": "form"}}
        assert problem(house.http.post("/v1/people", json=wanted)) == (403, "csrf_missing")
        sent = house.http.post("/v1/people", json=wanted, headers={"X-Voxid-CSRF": csrf})
        assert sent.status_code == 201
        stolen = house.http.cookies["voxid_session"]
        assert house.http.delete("/v1/session", headers={"X-Voxid-CSRF": csrf}).status_code == 204
        again = house.http.get("/v1/people", headers={"Cookie": f"voxid_session={stolen}"})
        assert problem(again) == (401, "credentials_invalid")
    finally:
        house.http.cookies.clear()


def test_a_session_ends_with_its_key(house: Running) -> None:
    """Revoking the key a browser signed in with ends the browser's session."""
    admin = house.client()
    made = admin.create_key("desk", roles=["operator"])
    house.http.post("/v1/session", headers={"Authorization": f"Bearer {made.key}"})
    try:
        assert house.http.get("/v1/session").json()["roles"] == ["operator"]
        admin.revoke_key(made.id)
        assert problem(house.http.get("/v1/session")) == (401, "credentials_invalid")
    finally:
        house.http.cookies.clear()


def test_tenants_do_not_see_each_other(house: Running) -> None:
    """A person of one tenant is to the other as one who never was, in the same words."""
    ours, theirs = house.client("acme"), house.client("other")
    person = ours.add_person("Of acme", {"verify"}, "form 1")
    assert ours.person(person.id).name == "Of acme"
    said = []
    for person_id in (person.id, "3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50"):
        with pytest.raises(InputError) as refused:
            theirs.delete_person(person_id)
        said.append(refused.value.to_dict())
    assert said[0] == said[1]
    assert list(theirs.people()) == []
    assert theirs.find_person("Of acme") is None


def test_acts_are_written_down_with_who_did_them(house: Running) -> None:
    """The audit log names the key and the request; a refusal stands in it as well."""
    auditor = house.client("acme", roles=("auditor",))
    with pytest.raises(PolicyError):
        list(auditor.people())
    store = house.service.tenants.get("acme").store
    entries = list(store.audit().events(limit=1000))
    refused = next(one for one in entries if one.entry.act == "access.refused")
    assert refused.entry.outcome == "refused:scope_missing"
    assert refused.entry.actor.kind == "key"
    assert refused.entry.actor.request_id
    assert any(one.entry.act == "key.created" for one in entries)


def test_every_answer_carries_the_headers_of_a_closed_house(house: Running) -> None:
    """No sniffing, no frames, no scripts, no cache; errors are problems, also where there is nothing."""
    answer = house.http.get("/v1/nowhere")
    assert problem(answer) == (404, "path_missing")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers
    missing = house.http.get("/v1/people")
    assert problem(missing) == (401, "credentials_missing")
    assert missing.headers["www-authenticate"] == "Bearer"
    assert problem(house.http.put("/v1/people")) == (405, "method_not_allowed")


def test_a_defect_says_nothing_of_what_it_met(house: Running, caplog: pytest.LogCaptureFixture) -> None:
    """An error nobody foresaw is a problem like others; the log has the place, not the words."""

    def broken() -> None:
        raise KeyError("Secret Name")

    house.service_app.add_api_route("/v1/broken", broken)
    answer = house.http.get("/v1/broken")
    assert problem(answer) == (500, "defect")
    assert answer.headers["x-frame-options"] == "DENY"
    assert "Secret Name" not in answer.text
    logged = "".join(record.getMessage() for record in caplog.records)
    assert "met a defect: KeyError" in logged
    assert "in broken" in logged


def test_what_was_sent_is_not_repeated_in_an_error(house: Running) -> None:
    """A field that cannot be used is named; its value, which may be a name, is not."""
    key = {"Authorization": f"Bearer {house.key()}"}
    wanted = {"name": ["Secret Name"], "consent": {"purposes": ["verify"], "evidence": "form"}}
    answer = house.http.post("/v1/people", json=wanted, headers=key)
    assert problem(answer) == (422, "request_invalid")
    assert "Secret Name" not in answer.text
    assert answer.json()["errors"][0]["field"] == "body.name"


class Provider:
    """An identity provider with one key pair."""

    def __init__(self, folder: Path) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / "jwks.json"
        self.publish("k1")
        self.settings = OidcSettings("https://idp.example", "voxid", self.file)

    def publish(self, key_id: str) -> None:
        key = json.loads(ECAlgorithm.to_jwk(self.private.public_key()))
        self.file.write_text(json.dumps({"keys": [{**key, "kid": key_id, "alg": "ES256", "use": "sig"}]}))

    def token(self, house: Running, key_id: str = "k1", **claims: Any) -> str:
        now = house.clock().timestamp()
        usual = {
            "iss": "https://idp.example",
            "aud": "voxid",
            "sub": "ada@example",
            "iat": now,
            "exp": now + 300,
            "voxid_tenant": "default",
            "voxid_roles": ["auditor", "king"],
        }
        return jwt.encode({**usual, **claims}, self.private, "ES256", {"kid": key_id})


def test_tokens_of_the_identity_provider_are_checked(house: Running, tmp_path: Path) -> None:
    """Signature, issuer, audience, times, tenant: whatever is wrong, the words are the same."""
    house.key()
    provider = Provider(tmp_path)
    house.service.tokens = TokenReader(provider.settings)

    def asked(token: str) -> Any:
        return house.http.get("/v1/session", headers={"Authorization": f"Bearer {token}"})

    signed_in = asked(provider.token(house)).json()
    assert (signed_in["kind"], signed_in["id"], signed_in["roles"]) == ("oidc", "ada@example", ["auditor"])
    now = house.clock().timestamp()
    wrong = [
        provider.token(house, iss="https://elsewhere.example"),
        provider.token(house, aud="another"),
        provider.token(house, exp=now - 60),
        provider.token(house, iat=now + 600),
        provider.token(house, voxid_tenant="nobody"),
        provider.token(house, voxid_tenant=None),
        provider.token(house, sub=""),
        provider.token(house, key_id="k2"),
        provider.token(house)[:-6] + "AAAAAA",
        jwt.encode({"sub": "x"}, "secret-secret-secret-secret-secret-1", "HS256", {"kid": "k1"}),
        jwt.encode({"sub": "x"}, None, "none", {"kid": "k1"}),
    ]
    for token in wrong:
        assert problem(asked(token)) == (401, "credentials_invalid")
    provider.private = ec.generate_private_key(ec.SECP256R1())
    provider.publish("k2")
    assert asked(provider.token(house, key_id="k2")).status_code == 200


def test_a_file_of_keys_that_cannot_be_read_is_told_at_once(tmp_path: Path) -> None:
    """The service does not start with a provider whose keys it cannot check."""
    file = tmp_path / "jwks.json"
    file.write_text("{}")
    with pytest.raises(ConfigError, match="expected its JWK set, as it publishes it") as refused:
        TokenReader(replace(OidcSettings("i", "a", Path("x")), jwks_file=file))
    assert refused.value.code == "oidc_keys_invalid"


def test_failed_sign_ins_are_throttled_by_key_and_address(tmp_path: Path) -> None:
    """Counted in the gallery, so for every process; a right key begins its count anew, and waits when it is full."""
    with running(tmp_path, sign_in_failures=3, sign_in_s=600) as house:
        right = house.key()
        wrong, other = right[:-4] + "0000", "vxk_default_000000000000_" + "0" * 48

        def sign_in(key: str, address: str = "192.0.2.7") -> Any:
            browser = TestClient(house.service_app, base_url=ADDRESS, client=(address, 50_000))
            return browser.post("/v1/session", headers={"Authorization": f"Bearer {key}"})

        assert [sign_in(key).status_code for key in (wrong, wrong, right, wrong, wrong, wrong)] == [
            *[401, 401, 201],
            *[401, 401, 401],
        ]
        locked = sign_in(right)
        assert problem(locked) == (429, "sign_in_locked")
        assert locked.json()["detail"].startswith("Too many sign-ins failed from here; wait ")
        assert 0 < int(locked.headers["retry-after"]) <= 600
        assert sign_in(right, "192.0.2.8").status_code == 201
        assert sign_in(other).status_code == 401
        store = house.service.tenants.get("default").store
        outcomes = [one.entry.outcome for one in store.audit().events(limit=100)]
        assert outcomes.count("refused:sign_in_locked") == 1
        assert list(Client(ADDRESS, right, http=house.http).people()) == []
        house.clock.pass_s(600)
        assert sign_in(right).status_code == 201


def test_an_address_is_throttled_whatever_key_it_tries(tmp_path: Path) -> None:
    """Ten times as often as one key; of IPv6 a network is one address, and a tenant there is not counts as well."""
    with running(tmp_path, sign_in_failures=1) as house:
        right = house.key()

        def sign_in(key: str, address: str) -> int:
            browser = TestClient(house.service_app, base_url=ADDRESS, client=(address, 50_000))
            headers = {"Authorization": f"Bearer {key}"}
            return int(browser.post("/v1/session", headers=headers).status_code)

        keys = [f"vxk_{tenant}_{n:012x}_{'0' * 48}" for n in range(5) for tenant in ("default", "nobody")]
        assert {sign_in(key, f"2001:db8::{n:x}") for n, key in enumerate(keys, 1)} == {401}
        assert sign_in(right, "2001:db8::ffff") == 429
        assert sign_in(right, "2001:db8:0:1::1") == 201
