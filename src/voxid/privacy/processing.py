"""The record of processing activities (GDPR Art. 30), written from the gallery as it is now, not from memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

from voxid.gallery.consent import PURPOSES
from voxid.gallery.records import PersonRecord
from voxid.privacy.disclosures import disclosures_of, recipients
from voxid.privacy.jurisdictions import JURISDICTIONS, jurisdictions_of
from voxid.privacy.settings import PrivacySettings, read_settings
from voxid.recognize import Gallery

__all__ = ["processing_record", "processing_text", "shown"]

NOT_STATED: Final = "not stated: voxid privacy configure"


def processing_record(gallery: Gallery, configuration: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the record as JSON; what nobody stated says so instead of being left out.

    Args:
        configuration: of the service that serves the gallery, secrets masked; None: the gallery is used locally.

    Raises:
        StoreError: store_damaged.
    """
    store = gallery.stored()[0]
    settings = read_settings(store)
    with store.snapshot() as roster:
        n_opt_outs, n_unknown = len(roster.opt_outs), len(roster.unknown)
    records = list(store.read_many(store.person_ids()))
    log = store.audit().head() if store.audited else None
    return {
        "generated_at": gallery.now().isoformat(),
        "controller": _controller(settings),
        "purposes": _purposes(records, gallery),
        "categories_of_people": {
            "enrolled": len(records),
            "without_a_name": n_unknown,
            "opted_out_tombstones": n_opt_outs,
        },
        "categories_of_data": [
            "name, sealed",
            "voiceprints (biometric data to identify a person), sealed",
            "history of consents with evidence, sealed",
            "recordings: none kept by the gallery",
        ],
        "recipients": recipients(disclosures_of(store)),
        "transfers_to_third_countries": "none by voxid: it opens no connection of its own",
        "retention": _retention(records, settings),
        "models": [
            {
                "bundle": gallery.bundle.id,
                "profiles": {name: limits.far for name, limits in sorted(gallery.bundle.profiles.items())},
            }
        ],
        "security": {
            "engine": "file" if "://" not in str(store.path) else "server",
            "encryption": "AES-256-GCM, a key per person, wrapped by the master key",
            "erasure": "keys destroyed, bytes overwritten, proved by reading the file again",
            "audit_log": None if log is None else {"entries": log.size, "root": log.root},
        },
        "configuration": dict(configuration or {}),
    }


def shown(settings: Any) -> dict[str, Any]:
    """Return settings (a dataclass) as plain values; what their repr hides is hidden here too."""
    values: dict[str, Any] = {}
    for one in fields(settings):
        value = getattr(settings, one.name)
        if not one.repr:
            values[one.name] = "not stated" if value is None else "stated, not shown"
        elif is_dataclass(value):
            values[one.name] = shown(value)
        else:
            values[one.name] = value if isinstance(value, bool | int | float | str | None) else str(value)
    return values


def processing_text(record: Mapping[str, Any]) -> str:
    """Return the record as a document in Markdown."""
    lines = ["# Record of processing activities", "", f"Generated {record['generated_at']}.", ""]
    titles = {key: key.replace("_", " ").capitalize() for key in record if key != "generated_at"}
    for key, title in titles.items():
        lines += [f"## {title}", "", *_listed(record[key]), ""]
    return "\n".join(lines)


def _listed(value: Any, indent: str = "") -> list[str]:
    if isinstance(value, Mapping):
        lines: list[str] = []
        for key, inner in value.items():
            shown = str(key).replace("_", " ")
            nested = isinstance(inner, Mapping | list) and inner
            lines += (
                [f"{indent}- {shown}:", *_listed(inner, indent + "  ")]
                if nested
                else [f"{indent}- {shown}: {_plain(inner)}"]
            )
        return lines or [f"{indent}none"]
    if isinstance(value, list):
        return [line for inner in value for line in _item(inner, indent)] or [f"{indent}none"]
    return [f"{indent}{_plain(value)}"]


def _item(value: Any, indent: str) -> list[str]:
    if isinstance(value, Mapping):
        return [
            f"{indent}- " + "; ".join(f"{key.replace('_', ' ')}: {_plain(one)}" for key, one in value.items())
        ]
    return [f"{indent}- {_plain(value)}"]


def _plain(value: Any) -> str:
    if value is None or value in ([], {}):
        return "none"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _controller(settings: PrivacySettings) -> dict[str, str]:
    return {
        name: getattr(settings, name) or NOT_STATED
        for name in ("controller", "contact", "officer", "location")
    }


def _purposes(records: list[PersonRecord], gallery: Gallery) -> list[dict[str, Any]]:
    now = gallery.now()
    counted: Counter[str] = Counter()
    for record in records:
        if record.consent is not None and not record.consent.expired(now):
            counted.update(record.consent.purposes)
    return [
        {"purpose": purpose, "legal_basis": "consent", "people": counted[purpose]}
        for purpose in PURPOSES
        if counted[purpose]
    ]


def _retention(records: list[PersonRecord], settings: PrivacySettings) -> dict[str, Any]:
    codes = {record.consent.jurisdiction or settings.jurisdiction for record in records if record.consent}
    laws = {law.id for code in codes for law in jurisdictions_of(code)}
    rules = [
        {"law": law.id, "after": rule.after, "days": rule.days, "source": rule.source}
        for law in JURISDICTIONS
        if law.id in laws
        for rule in law.rules
    ]
    return {"rules": rules, "keep_days": dict(settings.keep_days), "proof_days": settings.proof_days}
