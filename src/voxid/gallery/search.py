"""The people of a store who can be compared with one bundle, kept searchable and in step with the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxid.errors import CompatibilityError
from voxid.gallery.consent import PURPOSES
from voxid.gallery.index import FaissIndex, VectorIndex
from voxid.gallery.index_file import IndexFile, KeptIndex
from voxid.gallery.roster import Roster
from voxid.gallery.rows import Glimpse
from voxid.gallery.store import Store
from voxid.score import center

__all__ = ["PeopleIndex", "reference_vector"]

_REBUILD_SHARE = 0.2  # above this share of changed people, a rebuild is cheaper than removing one by one
_FOREVER_S = float("inf")
FEWEST_KEPT = 2_000
"""People from whom on a copy of the index is kept on disk; fewer are read from the store in under 0.2 s."""
_KEPT_EVERY_S = 300.0  # it is written after a full reading, at the end, and in between no oftener than this
_KEPT_AFTER_SHARE = 0.02  # of the people changed since it was written
_MISSED_S = 30.0  # after an erasure took it, it is written again no sooner than this,
_MISSED_SHARE = 0.02  # and no more of the time goes into it
_LOADED_ROWS = 8_192  # widened to single precision at once
_STEP_PEOPLE = 1_000  # read ahead between two turns of others, 0.1 s
_YIELDED_S = 0.002


def reference_vector(embeddings: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the one vector a person is compared by: the mean of the centred references, scaled to length 1.

    Averaging embeddings, rather than scores, is the stronger and cheaper of the two usual ways, and the one
    three-utterance enrollment is evaluated with.

    Args:
        embeddings: (R, D) float32, raw, unit length, R at least 1.
        mean: (D,) float32, the bundle's.

    Returns:
        (D,) float32 of length 1.
    """
    return _unit(center(embeddings, mean).sum(axis=0))


class _Listed(NamedTuple):
    purposes: int  # one bit per entry of PURPOSES; 0 after withdrawal
    expires_s: float  # seconds since 1970, infinity when it does not


class _Allowed(NamedTuple):
    mask: NDArray[np.bool_] | None  # over the rows of the index; None when all are allowed
    n_allowed: int
    since_s: float
    until_s: float  # holds for this span of time: up to the next end of a consent


class PeopleIndex:
    """Search over everybody with references of one bundle, by purpose.

    Not locked by itself: callers hold the store's lock (`Store.snapshot`) around `sync` and `search`.

    Args:
        store: where the people are.
        bundle_id: only voiceprints this bundle made are compared.
        mean: (D,) float32, the bundle's mean embedding.
        fewest_kept: people from whom on a sealed copy is kept where the store has a place for one.
    """

    def __init__(
        self, store: Store, bundle_id: str, mean: NDArray[np.float32], fewest_kept: int = FEWEST_KEPT
    ) -> None:
        self._store = store
        self._bundle_id = bundle_id
        self._mean = mean
        self._index: VectorIndex = FaissIndex(int(mean.shape[0]))
        self._seals: dict[str, bytes] = {}
        self._listed: dict[str, _Listed] = {}
        self._foreign: dict[str, _Listed] = {}
        self._purposes: NDArray[np.uint8] = np.zeros(0, dtype=np.uint8)
        self._expires_s: NDArray[np.float64] = np.zeros(0, dtype=np.float64)
        self._allowed_for: dict[str, _Allowed] = {}
        self._generation = 0
        self._fewest_kept = fewest_kept
        self._file = None
        if store.index_path is not None:
            self._file = IndexFile(store.index_path, store, _made_for(bundle_id, mean))
        self._on_disk = False
        self._n_since = 0  # people changed since the file was written
        self._tried_s = -_FOREVER_S
        self._took_s = 0.0

    def __len__(self) -> int:
        """Return how many people can be compared, as of the last `sync`."""
        return len(self._listed)

    def count(self, purpose: str, now: datetime) -> int:
        """Return how many people can be compared for a purpose, as of the last `sync`."""
        return self._allowed(purpose, now).n_allowed

    def sync(self, roster: Roster) -> None:
        """Take over what changed in the store since the last call, by whichever process.

        Args:
            roster: of the snapshot this is called in.

        Raises:
            StoreError: store_damaged, naming what of whom.
        """
        if roster.state.generation == self._generation:
            return
        current = {id_: entry.seal for id_, entry in roster.entries.items()}
        if not self._seals and len(current) >= self._fewest_kept:
            self._load()
        changed = [id_ for id_, seal in current.items() if self._seals.get(id_) != seal]
        gone = [id_ for id_ in self._seals if id_ not in current]
        n_changed = len(changed) + len(gone)
        whole = not self._seals or n_changed > _REBUILD_SHARE * len(self._seals)
        if whole:
            self._rebuild(list(current))
        else:
            self._update(changed, gone)
        self._seals = current
        self._align()
        self._generation = roster.state.generation
        self._n_since += n_changed
        if self._on_disk and n_changed and self._file is not None and not self._file.opens():
            self._file.delete()  # somebody was erased, here or by another process
            self._on_disk = False
        pause_s = _KEPT_EVERY_S if self._on_disk else max(_MISSED_S, self._took_s / _MISSED_SHARE)
        if whole or time.monotonic() - self._tried_s > pause_s:
            self.keep()

    def warm(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Be ready before anybody searches: from the copy on disk, else by reading everybody in steps.

        Between two steps others have their turn at the store, which `sync` gives to nobody while it reads. Of few
        people nothing is read. To be called outside of the store's lock.

        Args:
            stopped: whether to give up.

        Raises:
            StoreError, CompatibilityError: as `sync`.
        """
        with self._store.snapshot() as roster:
            everybody = list(roster.entries)
            if self._seals or len(everybody) < self._fewest_kept:
                return
            self._load()
            if self._seals:
                self.sync(roster)
                return
        ahead = PeopleIndex(self._store, self._bundle_id, self._mean, self._fewest_kept)
        for at in range(0, len(everybody), _STEP_PEOPLE):
            if stopped():
                return
            with self._store.snapshot() as roster:
                here = (id_ for id_ in everybody[at : at + _STEP_PEOPLE] if id_ in roster.entries)
                seals = {id_: roster.entries[id_].seal for id_ in here}
                ahead._update(list(seals), [])
                ahead._seals |= seals
            time.sleep(_YIELDED_S)  # without it this thread would have the lock again before who waits for it
        with self._store.snapshot() as roster:
            if not self._seals:
                self._index, self._listed, self._foreign = ahead._index, ahead._listed, ahead._foreign
                self._seals = ahead._seals
            self.sync(roster)

    def keep(self) -> None:
        """Write the copy on disk where it is missing, or many have changed since."""
        current = self._on_disk and self._n_since <= _KEPT_AFTER_SHARE * len(self._seals)
        if self._file is None or current or len(self._seals) < self._fewest_kept:
            return
        self._tried_s = time.monotonic()
        rest = [id_ for id_ in self._seals if id_ not in self._listed]
        ids = [*self._index.ids, *rest]
        nobody = _Listed(0, _FOREVER_S)
        lines = [self._listed.get(id_) or self._foreign.get(id_) or nobody for id_ in ids]
        kept = KeptIndex(
            ids,
            np.frombuffer(b"".join(self._seals[id_] for id_ in ids), np.uint8).reshape(len(ids), -1),
            np.array([line.purposes for line in lines], np.uint8),
            np.array([line.expires_s for line in lines], np.float64),
            np.array([id_ in self._foreign for id_ in ids], np.uint8),
            self._index.vectors(),
        )
        self._on_disk = self._file.write(kept, self._generation)
        self._took_s = time.monotonic() - self._tried_s
        if self._on_disk:
            self._n_since = 0

    def search(
        self, vectors: NDArray[np.float32], k: int, purpose: str | None, now: datetime
    ) -> Iterator[list[tuple[str, float]]]:
        """Return, for each of the vectors (Q, D) centred and of unit length, the k best (person id, score).

        Args:
            purpose: only people whose consent in force at `now` allows it; None: everybody.

        Raises:
            CompatibilityError: model_mismatch, see `check_comparable`.
        """
        self.check_comparable(purpose, now)
        allowed = None if purpose is None else self._allowed(purpose, now).mask
        scores, ids = self._index.search(vectors, k, allowed)
        for line, at in zip(ids, scores, strict=True):
            yield list(zip(line, at, strict=True))

    def check_comparable(self, purpose: str | None, now: datetime) -> None:
        """Refuse to look for people who allow the purpose when none of them has a voiceprint this bundle made.

        That is not the same as unknown.

        Raises:
            CompatibilityError: model_mismatch.
        """
        comparable = len(self._listed) if purpose is None else self.count(purpose, now)
        if comparable == 0 and self._foreign_allowed(purpose, now):
            raise CompatibilityError(
                "model_mismatch",
                f"Nobody in the gallery can be compared with the bundle {self._bundle_id}: their voiceprints were "
                "made by another bundle. Open the gallery with that bundle, or enroll people again.",
            )

    def _load(self) -> None:
        """Take over the copy on disk, as far as it is one: what has changed since is brought up like any change."""
        kept = None if self._file is None else self._file.read(int(self._mean.shape[0]))
        if kept is None:
            return
        n = len(kept.vectors)
        for at in range(0, n, _LOADED_ROWS):
            rows = slice(at, min(at + _LOADED_ROWS, n))
            self._index.add(kept.ids[rows], kept.vectors[rows].astype(np.float32))
        facts = zip(kept.purposes.tolist(), kept.expires_s.tolist(), strict=True)
        listed = dict(zip(kept.ids, (_Listed(*fact) for fact in facts), strict=True))
        self._listed = {id_: listed[id_] for id_ in kept.ids[:n]}
        self._foreign = {kept.ids[row]: listed[kept.ids[row]] for row in np.flatnonzero(kept.foreign)}
        content, size = kept.seals.tobytes(), kept.seals.shape[1]
        self._seals = {id_: content[at * size : (at + 1) * size] for at, id_ in enumerate(kept.ids)}
        self._on_disk = True
        self._tried_s = time.monotonic()

    def _rebuild(self, person_ids: list[str]) -> None:
        self._listed, self._foreign = {}, {}
        ids, vectors = self._vectors_of(person_ids)
        self._index.rebuild(ids, vectors)

    def _update(self, changed: list[str], gone: list[str]) -> None:
        for id_ in (*changed, *gone):
            self._listed.pop(id_, None)
            self._foreign.pop(id_, None)
        self._index.remove([*changed, *gone])
        ids, vectors = self._vectors_of(changed)
        self._index.add(ids, vectors)

    def _vectors_of(self, person_ids: list[str]) -> tuple[list[str], NDArray[np.float32]]:
        ids: list[str] = []
        rows: list[bytes] = []
        first_rows: list[int] = []
        for glimpse in self._store.glimpse_many(person_ids, self._bundle_id):
            if glimpse.embeddings:
                ids.append(glimpse.id)
                first_rows.append(len(rows))
                rows += glimpse.embeddings
                self._listed[glimpse.id] = _listed(glimpse)
            elif glimpse.foreign:
                self._foreign[glimpse.id] = _listed(glimpse)
        dim = int(self._mean.shape[0])
        if any(len(row) != 4 * dim for row in rows):
            raise CompatibilityError(
                "model_mismatch",
                f"The voiceprints of the bundle {self._bundle_id} are not of its {dim} dimensions; open the gallery "
                "with the bundle that made them.",
            )
        if not ids:
            return ids, np.zeros((0, dim), dtype=np.float32)
        embeddings = np.frombuffer(b"".join(rows), dtype="<f4").reshape(len(rows), dim)
        return ids, _unit(np.add.reduceat(center(embeddings, self._mean), first_rows, axis=0))

    def _align(self) -> None:
        lines = [self._listed[id_] for id_ in self._index.ids]
        self._purposes = np.array([line.purposes for line in lines], dtype=np.uint8)
        self._expires_s = np.array([line.expires_s for line in lines], dtype=np.float64)
        self._allowed_for = {}

    def _allowed(self, purpose: str, now: datetime) -> _Allowed:
        bit, now_s = np.uint8(_bit(purpose)), now.timestamp()
        known = self._allowed_for.get(purpose)
        if known is None or not known.since_s <= now_s < known.until_s:
            mask = ((self._purposes & bit) != 0) & (self._expires_s > now_s)
            until_s = float(self._expires_s[self._expires_s > now_s].min(initial=_FOREVER_S))
            n_allowed = int(np.count_nonzero(mask))
            known = _Allowed(None if n_allowed == len(mask) else mask, n_allowed, now_s, until_s)
            self._allowed_for[purpose] = known
        return known

    def _foreign_allowed(self, purpose: str | None, now: datetime) -> bool:
        if purpose is None:
            return False
        bit, now_s = _bit(purpose), now.timestamp()
        return any(line.purposes & bit and line.expires_s > now_s for line in self._foreign.values())


def _made_for(bundle_id: str, mean: NDArray[np.float32]) -> str:
    """Return what the vectors and bits of a copy depend on, beside the rows."""
    return f"{bundle_id} {sha256(mean.astype('<f4').tobytes()).hexdigest()} {' '.join(PURPOSES)}"


def _bit(purpose: str) -> int:
    return 1 << PURPOSES.index(purpose)


def _listed(glimpse: Glimpse) -> _Listed:
    expires_at = glimpse.expires_at
    return _Listed(
        sum(_bit(purpose) for purpose in glimpse.purposes),
        _FOREVER_S if expires_at is None else datetime.fromisoformat(expires_at).timestamp(),
    )


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), dtype=np.float32)
