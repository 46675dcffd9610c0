"""`voxid tenants`, and what the first start of `voxid serve` makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from service_app import Clock
from synthetic_people import new_store, person
from voxid.cli import main
from voxid.errors import ConfigError
from voxid.gallery.keys import find_master_key
from voxid.service.credentials import split_token
from voxid.service.serving import first_key
from voxid.service.settings import ServiceSettings
from voxid.service.state import Tenants


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, object]]:
    """Return exit code and JSON of a command."""
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_tenant_is_made_listed_and_given_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each key is printed once and works; a name taken or impossible is refused."""
    data = ("--data", str(tmp_path / "data"))
    code, made = run(capsys, "tenants", "create", "acme", *data)
    assert code == 0
    assert run(capsys, "tenants", "list", *data) == (0, {"tenants": ["acme"]})
    code, second = run(capsys, "tenants", "key", "acme", "--role", "operator", *data)
    assert code == 0
    tenant = Tenants(ServiceSettings(data=tmp_path / "data")).get("acme")
    roles = []
    for text in (made["key"], second["key"]):
        token = split_token(str(text))
        assert token is not None
        assert token.secret not in repr(token)
        roles.append(tenant.keys.check(token, Clock()()).roles)
    assert roles == [("admin",), ("operator",)]
    for wanted, said in (("acme", "tenant_exists"), ("../x", "tenant_invalid"), ("A_B", "tenant_invalid")):
        code, problem = run(capsys, "tenants", "create", wanted, *data)
        assert (code, problem["error"]) == (2, said)
    code, problem = run(capsys, "tenants", "key", "acme", *data)
    assert (code, problem["error"]) == (2, "role_unknown")


def test_the_first_start_prints_a_key_and_the_second_does_not(tmp_path: Path) -> None:
    """The tenant "default" comes into being with it; the folder is its owner's alone."""
    settings = ServiceSettings(data=tmp_path / "data")
    tenants = Tenants(settings)
    assert first_key(tenants, Clock()()) is not None
    assert first_key(tenants, Clock()()) is None
    assert tenants.ids() == ["default"]
    assert settings.data.stat().st_mode & 0o077 == 0
    assert (settings.data / "master.key").stat().st_mode & 0o077 == 0
    tenants.close()


def test_a_gallery_of_the_command_line_is_served_as_it_is(tmp_path: Path) -> None:
    """Its people are there, its key file beside it is used, and what is served is written down from then on."""
    new_store(tmp_path, person("Ada", 1)).close()
    tenants = Tenants(ServiceSettings(data=tmp_path / "data", gallery=tmp_path / "people.voxid"))
    assert first_key(tenants, Clock()()) is not None
    store = tenants.get("default").store
    assert store.find("ada") is not None
    assert store.audited
    assert not (tmp_path / "data").exists()
    tenants.close()


def test_no_new_key_is_made_where_galleries_wait_for_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the master key gone, a new tenant is refused: a second key would hide the loss of the first."""
    monkeypatch.delenv("VOXID_MASTER_KEY", raising=False)
    settings = ServiceSettings(data=tmp_path / "data")
    tenants = Tenants(settings)
    tenants.create("acme")
    tenants.close()
    (settings.data / "master.key").unlink()
    with pytest.raises(ConfigError, match="is gone; restore it from where you keep it safe") as refused:
        Tenants(settings).create("other")
    assert refused.value.code == "key_missing"
    assert find_master_key(None, settings.data / "tenants" / "acme.voxid", {}) is None
