"""API keys and browser sessions: made, checked, ended. Of a key, its tenant's gallery keeps an Argon2id hash.

    vxk_<tenant>_<id>_<secret>      an API key: 24 random bytes in hex, shown once
    vxs_<tenant>_<id>_<secret>      a browser session, in a cookie; opened with a key or a token, ended or run out

Checking a hash costs time on purpose, so a key that was found right is remembered for a minute by its SHA-256; and
each time it is looked whether the key in the gallery is still that one, so that a revoked key is refused by every
process from the next request on (`voxid.service.remembering`).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from voxid.audit.events import Event
from voxid.errors import CompatibilityError, InputError, PolicyError
from voxid.gallery.documents import Document, new_document_id
from voxid.gallery.store import Store

__all__ = [
    "API_KEY",
    "SESSION",
    "ApiKey",
    "ApiKeys",
    "Sessions",
    "Token",
    "csrf_of",
    "refuse_as_others",
    "split_token",
]

KEY_PREFIX: Final = "vxk"
SESSION_PREFIX: Final = "vxs"
SESSION_S: Final = 8 * 3600.0
_SECRET_BYTES: Final = 24
API_KEY: Final = "api_key"
"""The kind of the documents of keys; SESSION: of sessions."""
SESSION: Final = "session"
_MOST_KEYS: Final = 1000  # in force; those that have ended are not counted
_KEPT: Final = timedelta(days=90)  # how long a key that has ended is still listed
_PAGE: Final = 500
# OWASP's second choice for Argon2id (19 MiB, 2 passes); the secrets are random, so this guards a stolen hash only.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# Checked in place of the hash of a key that does not exist, so that both cost the same time.
_NOBODYS_HASH: Final = _HASHER.hash(secrets.token_hex(_SECRET_BYTES))
# Hashing is memory and time somebody without a key can make us spend: two at once, the others wait.
_HASHING: Final = threading.BoundedSemaphore(2)


@dataclass(frozen=True)
class Token:
    """A key or session as sent: which tenant, which one, and the secret, which is never shown."""

    prefix: Literal["vxk", "vxs"]
    tenant: str
    id: str
    secret: str

    def __repr__(self) -> str:
        return f"Token({self.prefix}_{self.tenant}_{self.id}_…)"


def split_token(text: str) -> Token | None:
    """Return the parts of a key or session; None when it is none."""
    parts = text.split("_")
    if len(parts) != 4 or len(text) > 200 or not all(parts):
        return None
    prefix, tenant, id_, secret = parts
    if prefix == KEY_PREFIX:
        return Token("vxk", tenant, id_, secret)
    return Token("vxs", tenant, id_, secret) if prefix == SESSION_PREFIX else None


def csrf_of(session: str) -> str:
    """Return what a browser must send as X-Voxid-CSRF beside a session cookie: of no use without the cookie."""
    return hmac.new(session.encode(), b"voxid/csrf", hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class ApiKey:
    """A key without its secret.

    Args:
        id: stands in the key.
        label: what it is for, as its maker wrote.
        roles, scopes: what it may do: the scopes of its roles, and these.
        expires_at: from then on it is refused; None: never.
        revoked_at: since when it is refused; None: it is not.
        rotated_to: id of the key that follows it.
    """

    id: str
    label: str
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    rotated_to: str | None = None

    @property
    def ends_at(self) -> datetime | None:
        """When the key ends or ended; None: it does not."""
        return min((at for at in (self.revoked_at, self.expires_at) if at is not None), default=None)

    def valid(self, now: datetime) -> bool:
        """Return whether the key is taken at `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def to_body(self, hash_: str) -> dict[str, Any]:
        """Return the body of the key's document."""
        return {
            "label": self.label,
            "roles": list(self.roles),
            "scopes": list(self.scopes),
            "created_at": self.created_at.isoformat(),
            "expires_at": _iso(self.expires_at),
            "revoked_at": _iso(self.revoked_at),
            "rotated_to": self.rotated_to,
            "hash": hash_,
        }

    @classmethod
    def of(cls, document: Document) -> ApiKey:
        """Return the key a document holds."""
        body = document.body
        return cls(
            document.id,
            body["label"],
            tuple(body["roles"]),
            tuple(body["scopes"]),
            datetime.fromisoformat(body["created_at"]),
            _time(body["expires_at"]),
            _time(body["revoked_at"]),
            body["rotated_to"],
        )


class ApiKeys:
    """The keys of one tenant, in its gallery."""

    def __init__(self, tenant: str, store: Store) -> None:
        self._tenant = tenant
        self._store = store

    def create(
        self,
        label: str,
        now: datetime,
        *,
        roles: Iterable[str] = (),
        scopes: Iterable[str] = (),
        expires_at: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """Return a new key and its text, which cannot be had again.

        Raises:
            InputError: too_many_keys.
        """
        if sum(key.valid(now) for key in self.list()) >= _MOST_KEYS:
            raise InputError(
                "too_many_keys", f"{_MOST_KEYS:,} keys are in force already; revoke those nobody uses."
            )
        key = ApiKey(
            secrets.token_hex(6), label, tuple(sorted(roles)), tuple(sorted(scopes)), now, expires_at
        )
        secret = secrets.token_hex(_SECRET_BYTES)
        self._put(key, _HASHER.hash(secret), 1, "key.created", now)
        return key, f"{KEY_PREFIX}_{self._tenant}_{key.id}_{secret}"

    def list(self) -> list[ApiKey]:
        """Return every key, oldest first; those that have ended too, for 90 days."""
        found: list[ApiKey] = []
        while page := self._store.documents(API_KEY, after_id=found[-1].id if found else None, limit=_PAGE):
            found += map(ApiKey.of, page)
        return sorted(found, key=lambda key: (key.created_at, key.id))

    def get(self, id_: str) -> ApiKey:
        """Return one key.

        Raises:
            InputError: key_unknown.
        """
        return ApiKey.of(self._document(id_))

    def check(self, token: Token, now: datetime) -> ApiKey:
        """Return the key a token proves.

        Raises:
            PolicyError: credentials_invalid; the same words and the same time for every reason.
        """
        document = self._store.document(API_KEY, token.id)
        right = _matches(_NOBODYS_HASH if document is None else str(document.body["hash"]), token.secret)
        if document is None or not right or not ApiKey.of(document).valid(now):
            raise invalid_credentials()
        return ApiKey.of(document)

    def revoke(self, id_: str, now: datetime) -> ApiKey:
        """Return the key, refused from now on."""
        document = self._document(id_)
        key = ApiKey.of(document)
        if key.revoked_at is None:
            key = replace(key, revoked_at=now)
            self._put(key, document.body["hash"], document.version + 1, "key.revoked", now)
        return key

    def rotate(self, id_: str, now: datetime, overlap_s: float) -> tuple[ApiKey, str]:
        """Return a new key with the rights of an old one, which is taken for `overlap_s` seconds more.

        Raises:
            InputError: key_unknown, too_many_keys. CompatibilityError: key_ended.
        """
        document = self._document(id_)
        old = ApiKey.of(document)
        if not old.valid(now):
            raise CompatibilityError("key_ended", f"The key {id_} has ended; create a new one.")
        new, text = self.create(old.label, now, roles=old.roles, scopes=old.scopes, expires_at=old.expires_at)
        ends_at = now + timedelta(seconds=overlap_s)
        ends_at = ends_at if old.expires_at is None else min(ends_at, old.expires_at)
        old = replace(old, expires_at=ends_at, rotated_to=new.id)
        self._put(old, document.body["hash"], document.version + 1, "key.rotated", now)
        return new, text

    def _document(self, id_: str) -> Document:
        document = self._store.document(API_KEY, id_)
        if document is None:
            raise InputError(
                "key_unknown", "There is no key of this id; list the keys to see which there are."
            )
        return document

    def _put(self, key: ApiKey, hash_: str, version: int, act: str, now: datetime) -> None:
        state = "active" if key.revoked_at is None else "revoked"
        due_at = None if key.ends_at is None else key.ends_at + _KEPT
        document = Document(API_KEY, key.id, key.to_body(hash_), state, due_at=due_at, version=version)
        facts = {
            "key": key.id,
            "roles": list(key.roles),
            "scopes": list(key.scopes),
            "rotated_to": key.rotated_to,
        }
        with self._store.changing() as change:
            change.put_document(document)
            change.record(Event(act, facts=facts, at=now))


class Sessions:
    """The browser sessions of one tenant, in its gallery."""

    def __init__(self, tenant: str, store: Store) -> None:
        self._tenant = tenant
        self._store = store

    def open(self, principal: dict[str, Any], now: datetime) -> str:
        """Return the cookie of a new session that acts as the principal."""
        id_, secret = new_document_id(), secrets.token_hex(_SECRET_BYTES)
        body = {"principal": principal, "secret_sha256": hashlib.sha256(secret.encode()).hexdigest()}
        due_at = now + timedelta(seconds=SESSION_S)
        with self._store.changing() as change:
            for ended in self._store.documents(SESSION, due_before=now):
                change.delete_document(SESSION, ended.id)
            change.put_document(Document(SESSION, id_, body, due_at=due_at))
            change.record(Event("session.opened", facts={"session": id_}, at=now))
        return f"{SESSION_PREFIX}_{self._tenant}_{id_}_{secret}"

    def check(self, token: Token, now: datetime) -> tuple[dict[str, Any], datetime]:
        """Return the principal of a session, and when it ends.

        Raises:
            PolicyError: credentials_invalid.
        """
        document = self._store.document(SESSION, token.id)
        if document is None or document.due_at is None or now >= document.due_at:
            raise invalid_credentials()
        # The secret is 24 random bytes: a plain hash cannot be searched.
        digest = hashlib.sha256(token.secret.encode()).hexdigest()
        if not hmac.compare_digest(digest, str(document.body["secret_sha256"])):
            raise invalid_credentials()
        return dict(document.body["principal"]), document.due_at

    def end(self, id_: str, now: datetime) -> None:
        """End a session."""
        with self._store.changing() as change:
            if change.delete_document(SESSION, id_):
                change.record(Event("session.ended", facts={"session": id_}, at=now))


def invalid_credentials() -> PolicyError:
    """Return the refusal that says nothing of why."""
    return PolicyError(
        "credentials_invalid",
        "The key, token or session is not valid here, or no longer; ask an administrator for a new one.",
    )


def refuse_as_others(token: Token) -> PolicyError:
    """Return the refusal of a key of a tenant there is not, after the time that a wrong key takes."""
    _matches(_NOBODYS_HASH, token.secret)
    return invalid_credentials()


def _matches(hash_: str, secret: str) -> bool:
    try:
        with _HASHING:
            return _HASHER.verify(hash_, secret)
    except (VerificationError, InvalidHashError):
        return False


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
