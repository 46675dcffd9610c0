"""A person's sealed rows.

What lies where: the name (with it, how good the speech behind each voiceprint was), the consent history and each
voiceprint are sealed under the person's data key; in the clear are random ids, the bundle id, the consent's version
number, and keyed hashes. A person's rows carry one integrity tag together, so that a row removed, added or put back
from an older state is noticed.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from voxid.backend import Quality
from voxid.errors import InputError, StoreError
from voxid.gallery.consent import ConsentRecord
from voxid.gallery.database import Named, damaged
from voxid.gallery.keys import Keyring, bound_to, fingerprint, new_data_key, open_sealed, same, seal
from voxid.gallery.names import lookup_form
from voxid.gallery.packing import (
    VOICEPRINT_HEAD,
    Speech,
    json_bytes,
    person_bytes,
    person_from,
    voiceprint_bytes,
    voiceprint_from,
)
from voxid.gallery.records import PersonRecord, Voiceprint
from voxid.gallery.tables import consents, people, voiceprints

__all__ = ["TENANT", "Glimpse", "PersonRows", "insert_people"]

# One tenant in this version; it is bound into every sealed row, so that more can come without a new format.
TENANT: Final = "local"


class Glimpse(NamedTuple):
    """As much of a person as searching needs, taken from the sealed rows without the rest.

    Args:
        id: uuid.
        embeddings: little-endian float32 bytes of each reference the asked bundle made.
        foreign: there are references, but by other bundles only.
        purposes: of the consent last recorded; empty after withdrawal.
        expires_at: its end, ISO 8601 with time zone; None when it has none.
        qualities: of the speech behind each reference, when it was asked for.
    """

    id: str
    embeddings: list[bytes]
    foreign: bool
    purposes: list[str]
    expires_at: str | None
    qualities: list[Quality]


@dataclass
class PersonRows:
    """The sealed rows of one person, as they lie in the tables."""

    id: str
    tenant: str
    name_tag: bytes
    wrapped_key: bytes
    sealed: bytes
    seal: bytes
    voiceprints: list[tuple[str, str, bytes]] = field(default_factory=list)  # (id, bundle id, sealed)
    consents: list[tuple[int, bytes]] = field(default_factory=list)  # (version, sealed)

    @classmethod
    def of(cls, record: PersonRecord, keyring: Keyring) -> PersonRows:
        """Return the rows of a person, sealed under a new data key."""
        data_key = new_data_key()
        aead = AESGCM(data_key)
        rows = cls(
            id=record.id,
            tenant=TENANT,
            name_tag=keyring.name_tag(TENANT, lookup_form(record.name)),
            wrapped_key=keyring.wrap(data_key, bound_to("data-key", TENANT, record.id)),
            sealed=seal(aead, person_bytes(record), bound_to("person", TENANT, record.id)),
            seal=b"",
        )
        for voiceprint in record.voiceprints:
            info = voiceprint.info
            place = bound_to("voiceprint", TENANT, record.id, info.bundle_id, info.id)
            rows.voiceprints.append(
                (info.id, info.bundle_id, seal(aead, voiceprint_bytes(voiceprint), place))
            )
        for consent in record.consents:
            place = bound_to("consent", TENANT, record.id, str(consent.version))
            rows.consents.append((consent.version, seal(aead, json_bytes(consent.to_dict()), place)))
        rows.seal = rows.computed_seal(keyring)
        return rows

    def computed_seal(self, keyring: Keyring) -> bytes:
        """Return the integrity tag (32 bytes) over the whole set of rows."""
        parts = [self.id.encode(), self.tenant.encode(), self.name_tag]
        parts += [fingerprint(self.wrapped_key), fingerprint(self.sealed)]
        for id_, bundle_id, sealed in sorted(self.voiceprints):
            parts += [b"voiceprint", id_.encode(), bundle_id.encode(), fingerprint(sealed)]
        for version, sealed in sorted(self.consents):
            parts += [b"consent", str(version).encode(), fingerprint(sealed)]
        return keyring.integrity_tag(*parts)

    def opened(self, keyring: Keyring, where: Named) -> PersonRecord:
        """Return the person.

        Raises:
            StoreError: store_damaged, naming what of whom does not open.
        """
        whole = same(self.computed_seal(keyring), self.seal)
        data_key = keyring.unwrap(self.wrapped_key, bound_to("data-key", self.tenant, self.id))
        if data_key is None:
            raise damaged(where, f"the key of the person with id {self.id} does not open")
        aead = AESGCM(data_key)
        plain = open_sealed(aead, self.sealed, bound_to("person", self.tenant, self.id))
        if plain is None:
            raise damaged(where, f"the name of the person with id {self.id} does not open")
        try:
            name, created_at, speech = person_from(plain)
            prints = tuple(
                self._voiceprint(aead, row, speech.get(row[0]), name, where) for row in self.voiceprints
            )
            history = tuple(self._consent(aead, *row, name, where) for row in sorted(self.consents))
        except (InputError, ValueError, KeyError, TypeError, struct.error) as error:
            raise damaged(where, f"the person with id {self.id} was stored wrongly ({error})") from error
        if not whole:
            raise damaged(where, f"rows of {name!r} are missing, added, or from an older state")
        prints = tuple(sorted(prints, key=lambda print_: (print_.info.created_at, print_.info.id)))
        return PersonRecord(self.id, name, created_at, prints, history)

    def glimpsed(self, keyring: Keyring, where: Named, bundle_id: str, *, speech: bool) -> Glimpse:
        """Return what searching needs, several times faster than `opened`.

        Args:
            speech: also the quality of the speech behind each reference, which costs as much again.

        Raises:
            StoreError: store_damaged, as `opened` words it.
        """
        data_key = keyring.unwrap(self.wrapped_key, bound_to("data-key", self.tenant, self.id))
        if data_key is None or not same(self.computed_seal(keyring), self.seal):
            raise self._damage(keyring, where)
        aead = AESGCM(data_key)
        embeddings = []
        rows = sorted(row for row in self.voiceprints if row[1] == bundle_id)
        for id_, made_by, sealed in rows:
            place = bound_to("voiceprint", self.tenant, self.id, made_by, id_)
            embeddings.append(open_sealed(aead, sealed, place))
        last: bytes | None = b"{}"
        if self.consents:
            version, sealed = max(self.consents)
            last = open_sealed(aead, sealed, bound_to("consent", self.tenant, self.id, str(version)))
        whole = [plain for plain in embeddings if plain is not None and len(plain) >= VOICEPRINT_HEAD.size]
        if last is None or len(whole) != len(embeddings):
            raise self._damage(keyring, where)
        consent = json.loads(last).get("consent") or {"purposes": [], "expires_at": None}
        qualities: list[Quality] = []
        if speech:
            person = open_sealed(aead, self.sealed, bound_to("person", self.tenant, self.id))
            if person is None:
                raise self._damage(keyring, where)
            known = person_from(person)[2]
            seconds = [VOICEPRINT_HEAD.unpack_from(plain)[2] for plain in whole]
            qualities = [
                Quality(net_speech_s, *known.get(row[0], Speech(None, None)))
                for row, net_speech_s in zip(rows, seconds, strict=True)
            ]
        return Glimpse(
            self.id,
            [plain[VOICEPRINT_HEAD.size :] for plain in whole],
            bool(self.voiceprints) and not whole,
            consent["purposes"],
            consent["expires_at"],
            qualities,
        )

    def _damage(self, keyring: Keyring, where: Named) -> StoreError:
        try:
            self.opened(keyring, where)
        except StoreError as error:
            return error
        return damaged(where, f"the person with id {self.id} was stored wrongly")

    def traces(self) -> list[bytes]:
        """Return head and tail of every sealed row: what must not be found in the file after an erasure."""
        blobs = [self.wrapped_key, self.sealed, *(row[2] for row in self.voiceprints)]
        blobs += [row[1] for row in self.consents]
        parts = [part for blob in blobs for part in (blob[:16], blob[-16:])]
        # What was sealed looks random; a damaged row of zeros would be "found" in every empty page.
        return [part for part in parts if len(set(part)) > 8]

    def _voiceprint(
        self, aead: AESGCM, row: tuple[str, str, bytes], speech: Speech | None, name: str, where: Named
    ) -> Voiceprint:
        id_, bundle_id, sealed = row
        plain = open_sealed(aead, sealed, bound_to("voiceprint", self.tenant, self.id, bundle_id, id_))
        if plain is None:
            raise damaged(where, f"the voiceprint {id_} of {name!r} does not open")
        return voiceprint_from(plain, id_, bundle_id, speech)

    def _consent(self, aead: AESGCM, version: int, sealed: bytes, name: str, where: Named) -> ConsentRecord:
        plain = open_sealed(aead, sealed, bound_to("consent", self.tenant, self.id, str(version)))
        if plain is None:
            raise damaged(where, f"version {version} of the consent of {name!r} does not open")
        return ConsentRecord.from_dict(json.loads(plain))


def insert_people(connection: sa.Connection, given: Iterable[PersonRows]) -> None:
    """Write people's rows: a statement per table, however many they are."""
    lines: dict[sa.Table, list[dict[str, object]]] = {people: [], voiceprints: [], consents: []}
    for rows in given:
        lines[people].append({column.name: getattr(rows, column.name) for column in people.columns})
        lines[voiceprints] += [
            {"id": id_, "person_id": rows.id, "bundle_id": bundle_id, "sealed": sealed}
            for id_, bundle_id, sealed in rows.voiceprints
        ]
        lines[consents] += [
            {"person_id": rows.id, "version": version, "sealed": sealed} for version, sealed in rows.consents
        ]
    for table, values in lines.items():
        if values:
            connection.execute(table.insert(), values)
