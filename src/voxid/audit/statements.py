"""Signed statements: receipts and manifests that somebody else keeps and can check.

Source: Ed25519, RFC 8032, over canonical JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from voxid.audit.events import canonical
from voxid.audit.heads import public_key_of, sign, signed_by
from voxid.errors import InputError

__all__ = ["SignedStatement", "sign_statement"]


@dataclass(frozen=True)
class SignedStatement:
    """What a gallery states, and its signature.

    Args:
        kind: of the statement, e.g. "erasure_receipt".
        body: JSON.
        public_key: hex; compare it with the one you were given by another way.
        signature: hex, over kind and body.
    """

    kind: str
    body: Mapping[str, Any]
    public_key: str
    signature: str

    def holds(self, public_key: str | None = None) -> bool:
        """Return whether the signature is good, and of this key (hex) when one is given."""
        known = public_key is None or public_key == self.public_key
        return known and signed_by(self.public_key, _stated(self.kind, self.body), self.signature)

    def to_dict(self) -> dict[str, Any]:
        """Return the statement as files hold it."""
        return {
            "statement": self.kind,
            "body": dict(self.body),
            "public_key": self.public_key,
            "signature": self.signature,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> SignedStatement:
        """Return the statement `to_dict` wrote; its signature is not yet checked.

        Raises:
            InputError: statement_invalid.
        """
        try:
            texts = (str(fields[name]) for name in ("public_key", "signature"))
            return cls(str(fields["statement"]), dict(fields["body"]), *texts)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                "statement_invalid",
                f"This is no signed statement ({error!r}); give a receipt as it was handed out.",
            ) from error


def sign_statement(kind: str, body: Mapping[str, Any], key: Ed25519PrivateKey) -> SignedStatement:
    """Return the statement, signed."""
    return SignedStatement(kind, body, public_key_of(key), sign(key, _stated(kind, body)))


def _stated(kind: str, body: Mapping[str, Any]) -> bytes:
    return canonical({"statement": f"voxid-{kind}", "body": dict(body)})
