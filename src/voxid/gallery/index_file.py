"""The search index on disk: a sealed copy of what the store's rows give, made again whenever it does not fit.

Opening every voiceprint of 100,000 people takes seconds; this file takes a fraction of one. It is never the truth:
1. It is sealed (AES-256-GCM) under a random key of its own, made anew at every writing, that lies in the gallery as a
   sealed document and nowhere else; the whole carries a keyed tag besides. What was changed, cut off, put together from
   two, written for another gallery or bundle, or whose key is gone, is thrown away and made again from the store.
2. A vector counts only while the guarded list of people has the very tag of the person's rows it was made from.
   So a file of an older state gives nothing that is not so now.
3. An erasure destroys the key in its own transaction, and proves those bytes gone as it does the person's. From then on
   no copy of the file opens, wherever it lies and whoever keeps it; the file beside the gallery is deleted as well.
4. A file is put in place inside the transaction that stores its key, and only while the list of people is still the one
   it was made from: nobody erased meanwhile can be in a file that opens.

Who is named is decided from the store's own rows in any case (`voxid.recognize.comparing`).
"""

from __future__ import annotations

import json
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from voxid.errors import InputError, StoreError
from voxid.gallery.documents import INDEX_KEY, Document
from voxid.gallery.keys import bound_to, new_data_key, open_sealed, same, seal
from voxid.gallery.store import Store

__all__ = ["IndexFile", "KeptIndex"]

_MAGIC: Final = b"voxidix1"
_ID_BYTES: Final = 16
_TAG_BYTES: Final = 32
_SEAL_BYTES: Final = 32
_HEAD: Final = struct.Struct(">QQQ")  # bytes of ids, people, people with a vector
_MOST_BYTES: Final = 1 << 30


class KeptIndex(NamedTuple):
    """What a search index holds.

    Args:
        ids: N people, those with a vector first, in the order of the vectors.
        seals: (N, 32) uint8: integrity tag of the rows each was made from.
        purposes: (N,) uint8, a bit for each purpose.
        expires_s: (N,) float64, seconds since 1970.
        foreign: (N,) uint8: 1 for those who have voiceprints of other bundles only.
        vectors: (M, D) float16, unit length, M at most N.
    """

    ids: list[str]
    seals: NDArray[np.uint8]
    purposes: NDArray[np.uint8]
    expires_s: NDArray[np.float64]
    foreign: NDArray[np.uint8]
    vectors: NDArray[np.float16]


class IndexFile:
    """One index file.

    Args:
        path: of the file.
        store: of the gallery, where its key lies.
        made_for: what else it is bound to: the bundle, its mean, the meaning of the bits.
    """

    def __init__(self, path: Path, store: Store, made_for: str) -> None:
        self._path = path
        self._store = store
        self._place = bound_to("index", store.keyring.store_id.hex(), made_for)

    def read(self, dim: int) -> KeptIndex | None:
        """Return what the file holds; None, and the file is gone, when it cannot be used.

        Args:
            dim: of the vectors.
        """
        try:
            content = self._path.read_bytes()
        except OSError:
            return None
        kept = self._opened(content, dim)
        if kept is None:
            self.delete()
        return kept

    def write(self, kept: KeptIndex, generation: int) -> bool:
        """Write the file; returns whether it is there. What stands in the way is no error: it is only a copy.

        Args:
            generation: of the list of people it was made from.
        """
        if self._store.changed_here:
            return False
        plain = _to_bytes(kept)
        if len(plain) > _MOST_BYTES:
            return False
        id_, key = os.urandom(_ID_BYTES), new_data_key()
        body = _MAGIC + id_ + seal(AESGCM(key), plain, self._place)
        draft = self._path.with_name(f".{self._path.name}.{id_.hex()}")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(body)
                file.write(self._tag(body))
            return self._put_in_place(draft, id_, key, generation)
        except (OSError, StoreError):
            return False
        finally:
            self._remove_drafts()

    def opens(self) -> bool:
        """Return whether the key of the file is still there; without it no copy of the file opens."""
        id_ = self._id()
        return id_ is not None and self._store.document(INDEX_KEY, id_.hex()) is not None

    def delete(self) -> None:
        """Delete the file."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _put_in_place(self, draft: Path, id_: bytes, key: bytes, generation: int) -> bool:
        with self._store.changing() as change:
            if change.generation != generation:
                return False
            former = self._id()
            if former is not None:
                change.delete_document(INDEX_KEY, former.hex())
            change.put_document(Document(INDEX_KEY, id_.hex(), {"key": key.hex()}))
            os.replace(draft, self._path)
        return True

    def _remove_drafts(self) -> None:
        """Delete what was begun and not finished, by whom ever: nobody has the key of it."""
        with suppress(OSError):
            for draft in self._path.parent.glob(f".{self._path.name}.*"):
                draft.unlink(missing_ok=True)

    def _id(self) -> bytes | None:
        try:
            with self._path.open("rb") as file:
                head = file.read(len(_MAGIC) + _ID_BYTES)
        except OSError:
            return None
        return _id_of(head)

    def _opened(self, content: bytes, dim: int) -> KeptIndex | None:
        # Looked at in place: of very many people every copy is tens of megabytes.
        id_, body, tag = _id_of(content), memoryview(content)[:-_TAG_BYTES], content[-_TAG_BYTES:]
        if id_ is None or not same(tag, self._tag(body)):
            return None
        document = self._store.document(INDEX_KEY, id_.hex())
        if document is None:
            return None
        key = AESGCM(bytes.fromhex(str(document.body["key"])))
        plain = open_sealed(key, body[len(_MAGIC) + _ID_BYTES :], self._place)
        try:
            return None if plain is None else _from_bytes(plain, dim)
        except (InputError, ValueError, struct.error):
            return None

    def _tag(self, body: bytes | memoryview) -> bytes:
        return self._store.keyring.integrity_tag(b"index", self._place, body)


def _id_of(content: bytes) -> bytes | None:
    whole = len(content) >= len(_MAGIC) + _ID_BYTES and content.startswith(_MAGIC)
    return content[len(_MAGIC) : len(_MAGIC) + _ID_BYTES] if whole else None


def _to_bytes(kept: KeptIndex) -> bytes:
    ids = json.dumps(kept.ids).encode()
    arrays = (
        kept.seals.astype(np.uint8),
        kept.purposes.astype(np.uint8),
        kept.expires_s.astype("<f8"),
        kept.foreign.astype(np.uint8),
        kept.vectors.astype("<f2"),
    )
    head = _HEAD.pack(len(ids), len(kept.ids), len(kept.vectors))
    return b"".join((head, ids, *(array.tobytes() for array in arrays)))


def _from_bytes(plain: bytes, dim: int) -> KeptIndex:
    """Return what `_to_bytes` wrote.

    Raises:
        ValueError, struct.error when it did not.
    """
    n_bytes, n, n_vectors = _HEAD.unpack_from(plain)
    ids = [str(id_) for id_ in json.loads(plain[_HEAD.size : _HEAD.size + n_bytes])]
    at = _HEAD.size + n_bytes
    arrays: list[NDArray[np.generic]] = []
    for kind, size in (("u1", n * _SEAL_BYTES), ("u1", n), ("<f8", n), ("u1", n), ("<f2", n_vectors * dim)):
        array = np.frombuffer(plain, kind, size, at)
        at += array.nbytes
        arrays.append(array)
    if at != len(plain) or len(ids) != n or n_vectors > n:
        raise ValueError("an index of another size")
    seals, purposes, expires_s, foreign, vectors = arrays
    return KeptIndex(
        ids,
        seals.reshape(n, _SEAL_BYTES).astype(np.uint8),
        purposes.astype(np.uint8),
        expires_s.astype(np.float64),
        foreign.astype(np.uint8),
        vectors.reshape(n_vectors, dim).astype(np.float16),
    )
