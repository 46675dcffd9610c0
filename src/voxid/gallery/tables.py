"""The tables of a gallery file; a damaged page that hands out another kind of value is an error, not a value."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from voxid.errors import StoreError

__all__ = [
    "SINCE_FORMAT_2",
    "SINCE_FORMAT_3",
    "audit_entries",
    "audit_keys",
    "consents",
    "counters",
    "documents",
    "known_as",
    "meta",
    "opt_out_keys",
    "opt_outs",
    "people",
    "person_keys",
    "schema",
    "unknown_people",
    "voiceprints",
]


class _Bytes(sa.LargeBinary):
    """Bytes that are refused when a damaged page hands out something else in their place."""

    cache_ok = True

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        return _only_bytes


class _Text(sa.Text):
    """Text that is refused when a damaged page hands out something else in its place."""

    cache_ok = True

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        return _only_text


def _only_bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise StoreError(
            "store_damaged", f"A stored value is {type(value).__name__} where bytes were written."
        )
    return value


def _only_text(value: object) -> str:
    if not isinstance(value, str):
        raise StoreError("store_damaged", f"A stored value is {type(value).__name__} where text was written.")
    return value


schema = sa.MetaData()
meta = sa.Table(
    "meta",
    schema,
    sa.Column("key", _Text, primary_key=True),
    sa.Column("value", _Bytes, nullable=False),
)
people = sa.Table(
    "person",
    schema,
    sa.Column("id", _Text, primary_key=True),
    sa.Column("tenant", _Text, nullable=False),
    sa.Column("name_tag", _Bytes, nullable=False),
    sa.Column("wrapped_key", _Bytes, nullable=False),
    sa.Column("sealed", _Bytes, nullable=False),
    sa.Column("seal", _Bytes, nullable=False),
    sa.UniqueConstraint("tenant", "name_tag"),
)
voiceprints = sa.Table(
    "voiceprint",
    schema,
    sa.Column("id", _Text, primary_key=True),
    sa.Column("person_id", _Text, sa.ForeignKey("person.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("bundle_id", _Text, nullable=False),
    sa.Column("sealed", _Bytes, nullable=False),
)
consents = sa.Table(
    "consent",
    schema,
    sa.Column("person_id", _Text, sa.ForeignKey("person.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sealed", _Bytes, nullable=False),
)
opt_out_keys = sa.Table(
    "opt_out_key",
    schema,
    sa.Column("id", _Text, primary_key=True),
    sa.Column("wrapped_key", _Bytes, nullable=False),
)
opt_outs = sa.Table(
    "opt_out",
    schema,
    sa.Column("key_id", _Text, sa.ForeignKey("opt_out_key.id"), primary_key=True),
    sa.Column("tag", _Bytes, primary_key=True),
)
unknown_people = sa.Table(
    "unknown_person",
    schema,
    sa.Column("id", _Text, primary_key=True),
    sa.Column("wrapped_key", _Bytes, nullable=False),
    sa.Column("sealed", _Bytes, nullable=False),
    sa.Column("seal", _Bytes, nullable=False),
)
# Who an unknown person's id belongs to since they were named or joined to another: ids of no meaning on both sides.
known_as = sa.Table(
    "known_as",
    schema,
    sa.Column("id", _Text, primary_key=True),
    sa.Column("holder", _Text, nullable=False, index=True),
)
# A key beside the one of the voiceprints, for what else is kept of a person; see `document_rows`.
person_keys = sa.Table(
    "person_key",
    schema,
    sa.Column("person_id", _Text, primary_key=True),
    sa.Column("wrapped_key", _Bytes, nullable=False),
)
documents = sa.Table(
    "document",
    schema,
    sa.Column("kind", _Text, primary_key=True),
    sa.Column("id", _Text, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("state", _Text, nullable=False),
    sa.Column("person_id", _Text, nullable=False, index=True),
    sa.Column("due_at_us", sa.BigInteger),
    sa.Column("sealed", _Bytes, nullable=False),
    sa.Column("seal", _Bytes, nullable=False),
    sa.Index("ix_document_state", "kind", "state", "id"),
    sa.Index("ix_document_due", "kind", "due_at_us"),
)
counters = sa.Table(
    "counter",
    schema,
    sa.Column("tag", _Bytes, primary_key=True),
    sa.Column("ends_at_us", sa.BigInteger, nullable=False, index=True),
    sa.Column("count", sa.BigInteger, nullable=False),
)
# The audit log: see `audit_rows`. Its head is a guarded row of `meta`; both tables are empty until it is started.
audit_entries = sa.Table(
    "audit_entry",
    schema,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("line", _Bytes, nullable=False),
    sa.Column("hash", _Bytes, nullable=False),
    sa.Column("person", _Text, nullable=False),
    sa.Column("act", _Text, nullable=False),
    sa.Column("sealed", _Bytes, nullable=False),
    sa.Column("tag", _Bytes, nullable=False),
    sa.Index("ix_audit_entry_person", "person", "sequence"),
    sa.Index("ix_audit_entry_act", "act", "sequence"),
)
audit_keys = sa.Table(
    "audit_key",
    schema,
    sa.Column("person_id", _Text, primary_key=True),
    sa.Column("person", _Text, nullable=False, unique=True),
    sa.Column("wrapped_key", _Bytes, nullable=False),
)
SINCE_FORMAT_2: Final = ("unknown_person", "known_as")
SINCE_FORMAT_3: Final = ("person_key", "document", "counter", "audit_entry", "audit_key")
