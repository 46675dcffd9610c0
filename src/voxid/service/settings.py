"""How the service is set up: flag before environment before file before default, every mistake named by its key."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any, Final, get_args, get_type_hints

from voxid.errors import ConfigError
from voxid.service.proxies import proxy_networks

__all__ = [
    "InferenceOptions",
    "Limits",
    "LiveLimits",
    "OidcSettings",
    "OperationsSettings",
    "ServiceSettings",
    "load_settings",
]

SETTINGS_FILE: Final = "voxid.toml"
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
LOG_FORMATS: Final = ("json", "text")
_ENV_PREFIX: Final = "VOXID_"


@dataclass(frozen=True)
class Limits:
    """What the service takes in, and how often.

    Args:
        max_json_bytes: of a JSON body.
        max_audio_bytes: of a recording to enroll, verify or identify; it is held in memory.
        max_recording_bytes: of a recording to diarize; it is sealed on its way to disk.
        max_verify_s, max_enroll_s: length of a recording, in seconds of audio.
        header_s: a connection that has not sent a whole request head by then is closed.
        body_idle_s: a body is given up when nothing arrives for so long.
        min_body_bytes_per_s: and when it comes slower than this, after the first `body_idle_s`.
        max_connections: at once; more are answered with 503.
        tenant_per_min, key_per_min, person_per_min: requests of a tenant, requests of one key, decisions on one person.
        lockout_failures, lockout_s: so many failed verifies of a person within so long lock the person for as long.
        sign_in_failures, sign_in_s: so many sign-ins of a browser with one key that fail at one address, or ten times
            as many with any, within a window of so long, and the others wait for its end.
        replay_days: a recording, or one nearly the same, is refused for verification for so long.
        idempotency_h: how long the answer to an Idempotency-Key is kept, in hours.
    """

    max_json_bytes: int = 1 << 20
    max_audio_bytes: int = 32 << 20
    max_recording_bytes: int = 2 << 30
    max_verify_s: float = 120.0
    max_enroll_s: float = 600.0
    header_s: float = 10.0
    body_idle_s: float = 10.0
    min_body_bytes_per_s: int = 2_000
    max_connections: int = 2_000
    tenant_per_min: int = 12_000
    key_per_min: int = 6_000
    person_per_min: int = 120
    lockout_failures: int = 5
    lockout_s: float = 900.0
    sign_in_failures: int = 10
    sign_in_s: float = 900.0
    replay_days: float = 30.0
    idempotency_h: float = 24.0


@dataclass(frozen=True)
class LiveLimits:
    """What live calls may take.

    Args:
        calls, tenant_calls: at once, of everybody and of one tenant.
        max_h: a call is ended after so many hours.
        idle_s: a call is ended when neither audio nor a message came for so long.
        resume_s: a call whose connection broke is kept for so long, so that its client may come back.
        send_s: a client that does not read for so long is disconnected; its call goes on and waits for it.
        behind_s: audio of a call that may wait to be heard; then no more is read until some was.
        message_bytes: of one message, at most.
    """

    calls: int = 200
    tenant_calls: int = 100
    max_h: float = 8.0
    idle_s: float = 30.0
    resume_s: float = 60.0
    send_s: float = 10.0
    behind_s: float = 10.0
    message_bytes: int = 1 << 20


@dataclass(frozen=True)
class InferenceOptions:
    """How the networks are shared.

    Args:
        workers: threads that run networks; 0: one per core. Each run takes one thread.
        most_joined: inputs of one batch, at most; 1 joins nothing.
        gather_ms: how long a worker waits for more of the same before it begins; 0 takes what waits already.
        most_waiting: inputs that wait, at most, before the next one is refused.
    """

    workers: int = 0
    most_joined: int = 4
    gather_ms: float = 0.0
    most_waiting: int = 128

    def __post_init__(self) -> None:
        for name in ("most_joined", "most_waiting"):
            if getattr(self, name) < 1:
                raise ConfigError("settings_invalid", f"inference.{name} is 0; expected at least 1.")


@dataclass(frozen=True)
class OidcSettings:
    """An identity provider whose tokens are taken; nothing is fetched, its keys lie in a file here.

    Args:
        issuer, audience: must stand in the token.
        jwks_file: the provider's public keys (JWK set, JSON); read again when it changes.
        tenant_claim, roles_claim: where the token names the tenant (text) and the roles (text or list).
    """

    issuer: str
    audience: str
    jwks_file: Path
    tenant_claim: str = "voxid_tenant"
    roles_claim: str = "voxid_roles"


@dataclass(frozen=True)
class OperationsSettings:
    """How the service is watched. By default nothing of it leaves the process but log lines on stderr.

    Args:
        log_level: "debug", "info", "warning" or "error".
        log_format: "json", one object a line, or "text".
        metrics_host, metrics_port: where /metrics is also served, without a key, to whoever reaches the address;
            port 0: nowhere but at /metrics of the service, to keys with the scope metrics.
        evaluations: folder of reports of `voxid evaluate --report` or `--json`, whose error rates /metrics shows.
        trace_file: where the stages of every request are written, as JSON lines; needs the extra tracing.
        otlp_endpoint: where they are sent, e.g. http://collector:4318/v1/traces; needs the extra tracing.
        min_free_bytes: with less free space where the data is, the service says that it is not ready.
        show_first_key: the first start prints an administrator's key; where what is printed is collected, as in
            containers, turn it off and make the tenant and its key with `voxid tenants create default`.
        ready_for_s: how long an answer of /readyz is given again before everything is looked at anew.
    """

    log_level: str = "info"
    log_format: str = "json"
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 0
    evaluations: Path | None = None
    trace_file: Path | None = None
    otlp_endpoint: str | None = field(default=None, repr=False)
    min_free_bytes: int = 256 << 20
    show_first_key: bool = True
    ready_for_s: float = 5.0

    def __post_init__(self) -> None:
        for key, known in (("log_level", LOG_LEVELS), ("log_format", LOG_FORMATS)):
            value = getattr(self, key)
            if value not in known:
                raise ConfigError(
                    "settings_invalid",
                    f"operations.{key} is {value!r}; expected one of: {', '.join(known)}.",
                )
        if self.otlp_endpoint is not None and not self.otlp_endpoint.startswith(("http://", "https://")):
            raise ConfigError(
                "settings_invalid",
                "operations.otlp_endpoint is no http(s) address; expected e.g. http://collector:4318/v1/traces.",
            )


@dataclass(frozen=True)
class ServiceSettings:
    """Everything `voxid serve` can be told.

    Args:
        data: folder of the galleries, their master key and sealed spools.
        gallery: serve this one gallery file as the tenant "default", the one the command line uses.
        database: postgresql://... instead of files; may hold a password, so it is not shown.
        key_file: master key; None: VOXID_MASTER_KEY, else DATA/master.key (beside the file with `gallery`).
        host, port: where to listen.
        bundle: model by name or folder; None: the one that comes with voxid.
        detector: folder of a spoof detector; None: the one that comes with voxid.
        secure_cookies: browsers send the session over https only; set it wherever there is TLS in front.
        trusted_proxies: addresses or networks, with commas between, whose `X-Forwarded-For` is believed; empty:
            nobody's, and all browsers behind a proxy have its address.
        keep_index: of many people a sealed copy of the search index is kept on disk, so that the next start is quick.
    """

    data: Path = Path("voxid-data")
    gallery: Path | None = None
    database: str | None = field(default=None, repr=False)
    key_file: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8470
    bundle: str | None = None
    detector: Path | None = None
    secure_cookies: bool = False
    trusted_proxies: str = ""
    keep_index: bool = True
    limits: Limits = Limits()
    live: LiveLimits = LiveLimits()
    inference: InferenceOptions = InferenceOptions()
    oidc: OidcSettings | None = None
    operations: OperationsSettings = OperationsSettings()

    def __post_init__(self) -> None:
        proxy_networks(self.trusted_proxies)


def load_settings(
    flags: Mapping[str, Any] | None = None,
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> ServiceSettings:
    """Return the settings: flag before environment before file before default.

    Args:
        flags: dotted key -> value, e.g. ``{"port": 8080, "limits.header_s": 5.0}``; None values were not given.
        file: a TOML file; None: voxid.toml in the working folder, where there is one.
        environ: VOXID_PORT, VOXID_LIMITS_HEADER_S ...; None: this process's.

    Raises:
        ConfigError: settings_missing, settings_invalid.

    Example:
        >>> load_settings({"port": 9000}, environ={"VOXID_PORT": "8000", "VOXID_LIMITS_HEADER_S": "5"}).port
        9000
    """
    values = _from_file(file)
    known = dict(_keys(ServiceSettings))
    environ = os.environ if environ is None else environ
    for key in known:
        name = _ENV_PREFIX + key.replace(".", "_").upper()
        if environ.get(name):
            values[key] = (environ[name], f"the environment variable {name}")
    for key, value in (flags or {}).items():
        if value is not None:
            values[key] = (value, f"the option {key}")
    for key, (_, origin) in values.items():
        if key not in known:
            raise ConfigError(
                "settings_invalid", f"{origin} is no setting; known settings: {', '.join(sorted(known))}."
            )
    converted = {key: _converted(known[key], value, origin) for key, (value, origin) in values.items()}
    settings: ServiceSettings = _built(ServiceSettings, converted, "")
    return settings


def _from_file(file: Path | None) -> dict[str, tuple[Any, str]]:
    path = file or Path(SETTINGS_FILE)
    if file is None and not path.is_file():
        return {}
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            "settings_missing", f"The settings file {path} cannot be read ({error.strerror}); check the path."
        ) from None
    except ValueError as error:
        raise ConfigError("settings_invalid", f"{path} is not TOML: {error}.") from None
    found: dict[str, tuple[Any, str]] = {}
    for key, value in tables.items():
        inner = value.items() if isinstance(value, dict) else ()
        found.update({f"{key}.{name}": (one, f"{key}.{name} in {path}") for name, one in inner})
        if not isinstance(value, dict):
            found[key] = (value, f"{key} in {path}")
    return found


def _keys(kind: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Return dotted key and type of every setting."""
    hints = get_type_hints(kind)
    for one in dataclasses.fields(kind):
        inner = _some(hints[one.name])
        if dataclasses.is_dataclass(inner):
            yield from _keys(inner, f"{prefix}{one.name}.")
        else:
            yield prefix + one.name, inner


def _built(kind: Any, values: Mapping[str, Any], prefix: str) -> Any:
    hints = get_type_hints(kind)
    given: dict[str, Any] = {}
    for one in dataclasses.fields(kind):
        inner, key = _some(hints[one.name]), prefix + one.name
        if dataclasses.is_dataclass(inner):
            if any(name.startswith(f"{key}.") for name in values):
                given[one.name] = _built(inner, values, f"{key}.")
        elif key in values:
            given[one.name] = values[key]
        elif one.default is dataclasses.MISSING:
            raise ConfigError("settings_invalid", f"The setting {key} is missing; give it beside the others.")
    return kind(**given)


def _some(hint: Any) -> Any:
    """Return the type of an optional value."""
    return next((one for one in get_args(hint) if one is not NoneType), hint)


def _converted(kind: Any, value: Any, origin: str) -> Any:
    try:
        if kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}[str(value).lower()]
        if kind in (int, float) and (isinstance(value, bool) or float(value) < 0):
            raise ValueError
        if kind is int and float(value) != int(value):
            raise ValueError
        if kind in (str, Path) and not isinstance(value, str | Path):
            raise ValueError
        return kind(value)
    except (KeyError, TypeError, ValueError, OverflowError):
        wanted = {bool: "true or false", int: "a whole number", float: "a number", Path: "a path"}
        raise ConfigError(
            "settings_invalid",
            f"{origin} is {value!r}; expected {wanted.get(kind, 'text')}, at least 0 for numbers.",
        ) from None
