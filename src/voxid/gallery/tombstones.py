"""What must not come back from an older copy of a gallery: who was erased, what was withdrawn, whose name is refused.

Every erasure leaves a tombstone in its own transaction: a keyed hash of what was erased and the number of the change
that did it, kept as a sealed document. A copy made before that change brings nothing of it back: not by
`voxid restore`, and not when the older file is copied over the gallery by hand, because the same tombstones lie in a
small file beside it (its name + ".erased"; sealed lines, nothing but hashes), which every opening compares.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from voxid.errors import InputError
from voxid.gallery.keys import Keyring, bound_to, open_sealed, seal, sync_folder

__all__ = ["ERASURES_SUFFIX", "TOMBSTONE", "ErasureFile", "OptOutTag", "Tombstones", "tombstone_of"]

TOMBSTONE: Final = "tombstone"
"""The kind of the documents tombstones are kept as; the id is the hash."""
ERASURES_SUFFIX: Final = ".erased"
_PLACE: Final = bound_to("erasure")
_MAX_LINE_BYTES: Final = 1000

OptOutTag = tuple[str, bytes]
"""The id of the key a name was hashed with, and the hash."""


def tombstone_of(keyring: Keyring, kind: str, id_: str) -> str:
    """Return the hash (64 hex digits) that stands for an erased person, unknown person, document or lifted opt-out."""
    return keyring.tombstone_tag(b"tombstone", kind.encode(), id_.encode()).hex()


@dataclass
class Tombstones:
    """What was erased and refused up to some change.

    Args:
        buried: hash -> number of the change that erased it.
        opt_outs: refused name -> number of the change that refused it.
        keys: key id -> key the names are hashed with.
    """

    buried: dict[str, int] = field(default_factory=dict)
    opt_outs: dict[OptOutTag, int] = field(default_factory=dict)
    keys: dict[str, bytes] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is anything in it."""
        return bool(self.buried or self.opt_outs)

    @property
    def newest(self) -> int:
        """The number of the last change it tells of; 0 when there is none."""
        return max([*self.buried.values(), *self.opt_outs.values()], default=0)

    def erased_after(self, keyring: Keyring, change: int, kind: str, id_: str) -> bool:
        """Return whether something was erased by a change after the one of that number."""
        return self.buried.get(tombstone_of(keyring, kind, id_), 0) > change

    def in_force(self, keyring: Keyring) -> dict[OptOutTag, int]:
        """Return the opt-outs that were not lifted after they were given."""
        return {
            (key_id, tag): change
            for (key_id, tag), change in self.opt_outs.items()
            if not self.erased_after(keyring, change, "opt-out", f"{key_id}:{tag.hex()}")
        }

    def joined(self, other: Tombstones) -> Tombstones:
        """Return both together; of what is in both, the later change."""
        return Tombstones(
            _latest(self.buried, other.buried),
            _latest(self.opt_outs, other.opt_outs),
            {**self.keys, **other.keys},
        )

    def beyond(self, known: Tombstones) -> Tombstones:
        """Return what of this is not known there."""
        new = {tag: n for tag, n in self.buried.items() if known.buried.get(tag, -1) < n}
        names = {tag: n for tag, n in self.opt_outs.items() if tag not in known.opt_outs}
        return Tombstones(
            new, names, {key_id: self.keys[key_id] for key_id, _ in names if key_id in self.keys}
        )


def _latest(left: Mapping[Any, int], right: Mapping[Any, int]) -> dict[Any, int]:
    return {each: max(left.get(each, 0), right.get(each, 0)) for each in (*left, *right)}


class ErasureFile:
    """The file beside a gallery, or a copy of it kept elsewhere: a sealed line for each tombstone, added at the end."""

    def __init__(self, path: Path, keyring: Keyring) -> None:
        self.path = path
        self._keyring = keyring

    def read(self, *, must_open: bool = False) -> Tombstones:
        """Return what the file tells; nothing without one. Lines cut off or of another gallery are passed over.

        Args:
            must_open: a file none of whose lines opens is no list of this gallery and key, and an error.

        Raises:
            InputError: erasures_unreadable.
        """
        found = Tombstones()
        try:
            with self.path.open("rb") as file:
                for line in file:
                    _take_in(found, self._opened(line[:_MAX_LINE_BYTES]))
        except FileNotFoundError:
            return found
        except OSError as error:
            raise InputError(
                "erasures_unreadable", f"The list of erasures {self.path} cannot be read ({error.strerror})."
            ) from error
        if must_open and not found and self.path.stat().st_size:
            raise InputError(
                "erasures_unreadable",
                f"The list of erasures {self.path} is not of this gallery. None of its lines opens with this key; give "
                "the list that was written since the key was exchanged.",
            )
        return found

    def add(self, new: Tombstones) -> None:
        """Add lines for what is new; on the disk when this returns.

        Raises:
            InputError: erasures_unwritable.
        """
        lines: list[dict[str, Any]] = [{"t": tag, "n": change} for tag, change in new.buried.items()]
        lines += [
            {"k": key_id, "o": tag.hex(), "n": change, "key": new.keys[key_id].hex()}
            for (key_id, tag), change in new.opt_outs.items()
        ]
        sealed = [seal(self._keyring.documents, json.dumps(line).encode(), _PLACE) for line in lines]
        self._append(b"".join(base64.b64encode(line) + b"\n" for line in sealed))

    def _append(self, content: bytes) -> None:
        try:
            new = not self.path.exists()
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                # A line cut off by a crash is ended first, so that the next one is whole.
                size = os.fstat(descriptor).st_size
                whole = size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
                os.write(descriptor, content if whole else b"\n" + content)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if new:
                sync_folder(self.path.absolute().parent)
        except OSError as error:
            raise InputError(
                "erasures_unwritable",
                f"The list of erasures {self.path} cannot be written ({error.strerror}).",
            ) from error

    def _opened(self, line: bytes) -> dict[str, Any]:
        try:
            plain = open_sealed(self._keyring.documents, base64.b64decode(line.strip()), _PLACE)
        except ValueError:
            return {}
        return {} if plain is None else dict(json.loads(plain))


def _take_in(found: Tombstones, line: Mapping[str, Any]) -> None:
    if "t" in line:
        found.buried[line["t"]] = max(found.buried.get(line["t"], 0), line["n"])
    elif "o" in line:
        tag = line["k"], bytes.fromhex(line["o"])
        found.opt_outs[tag] = max(found.opt_outs.get(tag, 0), line["n"])
        found.keys[line["k"]] = bytes.fromhex(line["key"])
