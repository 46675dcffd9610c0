"""Tokens of an identity provider (OpenID Connect): checked against keys that lie in a file here; nothing is fetched.

Trust rules, in the order they are applied:
1. The token names a key of the file (`kid`) and an algorithm that signs with a key pair; shared secrets are refused.
2. The signature is right, for exactly the issuer and audience that are set up.
3. It was issued, is in force and has not ended, by this service's clock, half a minute either way.
4. Tenant and roles are read from the claims named in the settings; roles nobody knows here grant nothing.
"""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import jwt

from voxid.errors import ConfigError
from voxid.service.credentials import invalid_credentials
from voxid.service.roles import ROLES, Principal, scopes_of
from voxid.service.settings import OidcSettings

__all__ = ["TokenReader"]

_ALGORITHMS: Final = frozenset("RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA".split())
_LEEWAY_S: Final = 30.0
_MAX_TOKEN_CHARS: Final = 16 << 10
_MAX_FILE_BYTES: Final = 1 << 20
_MAX_SUBJECT_CHARS: Final = 200
_REQUIRED: Final = ("exp", "iat", "sub", "iss", "aud")


class TokenReader:
    """Reads the tokens of one provider.

    Raises:
        ConfigError: oidc_keys_invalid when the file of its keys cannot be used.
    """

    def __init__(self, settings: OidcSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._read_at_ns = -1
        self._keys: dict[str, jwt.PyJWK] = {}
        self._key("")

    def read(self, text: str, now: datetime) -> tuple[Principal, datetime]:
        """Return whom a token vouches for, and until when.

        Raises:
            PolicyError: credentials_invalid, in the same words for every reason.
        """
        try:
            claims = self._claims(text, now)
            tenant, roles = claims[self._settings.tenant_claim], claims.get(self._settings.roles_claim, [])
            until = datetime.fromtimestamp(float(claims["exp"]), UTC) + timedelta(seconds=_LEEWAY_S)
        except (jwt.PyJWTError, KeyError, TypeError, ValueError, OverflowError):
            raise invalid_credentials() from None
        subject = claims["sub"]
        if (
            not isinstance(subject, str)
            or not isinstance(tenant, str)
            or not 0 < len(subject) <= _MAX_SUBJECT_CHARS
        ):
            raise invalid_credentials()
        named = roles.split() if isinstance(roles, str) else roles if isinstance(roles, list) else []
        known = tuple(sorted({role for role in named if isinstance(role, str) and role in ROLES}))
        return Principal(tenant, "oidc", subject, known, scopes_of(known)), until

    def _claims(self, text: str, now: datetime) -> dict[str, Any]:
        if len(text) > _MAX_TOKEN_CHARS:
            raise jwt.InvalidTokenError
        header = jwt.get_unverified_header(text)
        algorithm, key = header["alg"], self._key(str(header["kid"]))
        if algorithm not in _ALGORITHMS or key is None or key.algorithm_name != algorithm:
            raise jwt.InvalidTokenError
        claims: dict[str, Any] = jwt.decode(
            text,
            key,
            algorithms=[algorithm],
            audience=self._settings.audience,
            issuer=self._settings.issuer,
            # The times are checked below, by the clock of the service.
            options={
                "require": list(_REQUIRED),
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
        at = now.timestamp()
        begins = max(float(claims["iat"]), float(claims.get("nbf", 0)))
        if not begins - _LEEWAY_S <= at < float(claims["exp"]) + _LEEWAY_S:
            raise jwt.InvalidTokenError
        return claims

    def _key(self, id_: str) -> jwt.PyJWK | None:
        """Return a key of the provider; its file is read again when it changed."""
        path = self._settings.jwks_file
        with self._lock:
            try:
                changed_ns = path.stat().st_mtime_ns
                if changed_ns != self._read_at_ns:
                    self._keys = _keys_in(path)
                    self._read_at_ns = changed_ns
            except (OSError, ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
                raise ConfigError(
                    "oidc_keys_invalid",
                    f"The provider's keys {path} cannot be read ({type(error).__name__}); expected its JWK set, as it "
                    "publishes it.",
                ) from None
            return self._keys.get(id_)


def _keys_in(path: Path) -> dict[str, jwt.PyJWK]:
    with path.open("rb") as file:
        found = json.loads(file.read(_MAX_FILE_BYTES))
    keys = [jwt.PyJWK.from_dict(one) for one in found["keys"] if one.get("kty") != "oct"]
    return {key.key_id: key for key in keys if key.key_id is not None}
