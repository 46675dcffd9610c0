"""Settings of the service: flag before environment before file before default, every mistake named."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxid.errors import ConfigError
from voxid.service.settings import InferenceOptions, ServiceSettings, load_settings
from voxid.service.state import Service


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "voxid.toml"
    path.write_text('port = 7001\nhost = "0.0.0.0"\n[limits]\nheader_s = 3.5\nlockout_failures = 7\n')
    return path


def test_the_nearest_source_wins(file: Path) -> None:
    """A flag over the environment, that over the file, that over the default."""
    environ = {"VOXID_PORT": "7002", "VOXID_LIMITS_HEADER_S": "4"}
    read = load_settings({"port": 7003, "host": None}, file=file, environ=environ)
    assert (read.port, read.host, read.limits.header_s, read.limits.lockout_failures) == (
        7003,
        "0.0.0.0",
        4.0,
        7,
    )
    assert read.limits.replay_days == ServiceSettings().limits.replay_days


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("prot = 1", "prot in .* is no setting; known settings: "),
        ('port = "many"', "port in .* is 'many'; expected a whole number"),
        ("port = -1", "port in .* is -1; expected a whole number, at least 0"),
        ("secure_cookies = 3", "secure_cookies in .* is 3; expected true or false"),
        ("[limits]\nheader = 3", "limits.header in .* is no setting"),
        (
            '[oidc]\nissuer = "https://idp.example"',
            "The setting oidc.audience is missing; give it beside the others",
        ),
        ("[inference]\nmost_joined = 0", "inference.most_joined is 0; expected at least 1"),
        ("port = ", "is not TOML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    """No setting is passed over or guessed."""
    path = tmp_path / "voxid.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=sentence) as refused:
        load_settings(file=path, environ={})
    assert refused.value.code == "settings_invalid"


def test_a_password_is_not_shown() -> None:
    """Neither in a repr nor in an error."""
    read = load_settings({"database": "postgresql://voxid:hunter2@host/db"}, environ={})
    assert "hunter2" not in repr(read)


def test_how_networks_are_shared_is_set_like_everything_else(tmp_path: Path) -> None:
    """File and environment reach the workers of the service."""
    path = tmp_path / "voxid.toml"
    path.write_text("[inference]\nworkers = 3\nmost_waiting = 9\n")
    environ = {"VOXID_INFERENCE_WORKERS": "1", "VOXID_INFERENCE_GATHER_MS": "2.5"}
    read = load_settings({"data": tmp_path / "data"}, file=path, environ=environ)
    assert read.inference == InferenceOptions(workers=1, most_joined=4, gather_ms=2.5, most_waiting=9)
    service = Service(read)
    assert service.inference.options == read.inference
    service.tenants.close()
