"""The state of a log in one statement, signed: whoever keeps it can prove later that nothing before was changed.

Source: Ed25519, RFC 8032; signed tree heads as in RFC 6962, section 3.5, here over canonical JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from voxid.audit.events import canonical, stamp
from voxid.audit.merkle import holds, leaf_hash
from voxid.errors import InputError

__all__ = ["Head", "InclusionProof", "SignedHead", "public_key_of", "sign", "signed_by", "signed_head"]

_STATEMENT: Final = "voxid-audit-head"


@dataclass(frozen=True)
class Head:
    """Where a log stands.

    Args:
        origin: which log (64 hex digits).
        size: number of entries.
        root: of the tree over them, hex.
        last: hash of the last entry, hex; the origin of an empty log.
    """

    origin: str
    size: int
    root: str
    last: str


@dataclass(frozen=True)
class SignedHead:
    """A head with the signature of the gallery whose log it is.

    Args:
        head: what is stated.
        at: when it was signed, ISO 8601, UTC.
        public_key: hex; compare it with the one you were given by another way.
        signature: hex, over `statement`.
    """

    head: Head
    at: str
    public_key: str
    signature: str = ""

    def statement(self) -> bytes:
        """Return the canonical bytes that are signed."""
        return canonical({**self._fields(), "statement": _STATEMENT})

    def to_dict(self) -> dict[str, Any]:
        """Return the head as it is kept in files."""
        return {**self._fields(), "signature": self.signature}

    def _fields(self) -> dict[str, Any]:
        head = self.head
        return {
            "at": self.at,
            "last": head.last,
            "origin": head.origin,
            "public_key": self.public_key,
            "root": head.root,
            "size": head.size,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> SignedHead:
        """Return the head `to_dict` wrote; its signature is not yet checked.

        Raises:
            InputError: audit_head_invalid.
        """
        try:
            texts = {name: str(fields[name]) for name in ("origin", "root", "last")}
            head = Head(size=int(fields["size"]), **texts)
            return cls(head, str(fields["at"]), str(fields["public_key"]), str(fields["signature"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                "audit_head_invalid",
                f"This is no signed head ({error!r}); give what `voxid audit head` wrote.",
            ) from error

    def signed_by(self, public_key: str) -> bool:
        """Return whether the signature is good and of this key (hex)."""
        return self.public_key == public_key and signed_by(public_key, self.statement(), self.signature)


@dataclass(frozen=True)
class InclusionProof:
    """That one entry is in the log a head describes.

    Args:
        sequence: of the entry.
        line: the entry itself.
        path: hashes to the root, hex, lowest first.
        head: the log.
    """

    sequence: int
    line: str
    path: tuple[str, ...]
    head: SignedHead

    def holds(self) -> bool:
        """Return whether the entry is in the tree of the head; the head's signature is another question."""
        head = self.head.head
        path = [bytes.fromhex(part) for part in self.path]
        leaf = leaf_hash(self.line.encode())
        return holds(leaf, self.sequence - 1, head.size, path, bytes.fromhex(head.root))

    def to_dict(self) -> dict[str, Any]:
        """Return the proof as `voxid audit prove` writes it."""
        return {
            "sequence": self.sequence,
            "entry": self.line,
            "path": list(self.path),
            "head": self.head.to_dict(),
        }


def signed_head(head: Head, at: datetime, key: Ed25519PrivateKey) -> SignedHead:
    """Return the head, signed."""
    unsigned = SignedHead(head, stamp(at), public_key_of(key))
    return SignedHead(head, unsigned.at, unsigned.public_key, sign(key, unsigned.statement()))


def public_key_of(key: Ed25519PrivateKey) -> str:
    """Return the public key, hex."""
    return key.public_key().public_bytes_raw().hex()


def sign(key: Ed25519PrivateKey, statement: bytes) -> str:
    """Return the signature, hex."""
    return key.sign(statement).hex()


def signed_by(public_key: str, statement: bytes, signature: str) -> bool:
    """Return whether the signature (hex) over the statement is the key's (hex)."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(
            bytes.fromhex(signature), statement
        )
    except (InvalidSignature, ValueError):
        return False
    return True
