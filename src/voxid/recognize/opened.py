"""A gallery, opened: the file, the model that hears, the clock; made on first use, closed at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from voxid.bundle import Bundle, default_bundle
from voxid.gallery.locations import Location, check_creatable, location_of
from voxid.gallery.search import PeopleIndex
from voxid.gallery.store import Store
from voxid.speech import QualityPolicy

__all__ = ["OpenGallery"]


def utc_now() -> datetime:
    """Return the time with time zone; a gallery takes another clock for tests and retention runs."""
    return datetime.now(UTC)


class OpenGallery:
    """What every part of a gallery shares. Threads may share it; open it anew after `fork`."""

    def __init__(
        self,
        path: Location,
        bundle: Bundle,
        policy: QualityPolicy,
        clock: Callable[[], datetime],
        opener: Callable[[], Store],
    ) -> None:
        self.path = path
        self.bundle = bundle
        self.policy = policy
        self._clock = clock
        self._opener = opener
        self._opening = threading.Lock()
        self._store: Store | None = None
        self._index: PeopleIndex | None = None

    @classmethod
    def open(
        cls,
        location: str | Location,
        *,
        bundle: Bundle | None = None,
        key: str | Path | bytes | None = None,
        create: bool = True,
        policy: QualityPolicy | None = None,
        clock: Callable[[], datetime] = utc_now,
        keep_index: bool | Path = True,
    ) -> Self:
        """Return the gallery at `location`.

        A new gallery (and its key file ``<location>.key``, mode 0600) comes into being with the first thing
        stored in it, so a refused enrollment leaves nothing on disk.

        Args:
            location: path of the gallery file, or ``postgresql://user@host/database?tenant=NAME``.
            bundle: the model to hear with; the one that comes with voxid when None.
            key: path of a key file, or the 32 bytes; None: VOXID_MASTER_KEY, VOXID_KEY_FILE, then the file
                beside the gallery.
            create: whether a missing gallery is a new one or an error.
            policy: what speech is good enough; `QualityPolicy()` when None.
            clock: returns the time with time zone.
            keep_index: whether a sealed copy of the search index of many people is kept (`voxid.gallery.index_file`):
                beside a gallery file, or in a file of that path.

        Raises:
            InputError: store_missing. ConfigError: key_missing, key_invalid, key_readable_by_others,
            store_unsupported. CompatibilityError: store_format_newer, _older, _unknown.
            StoreError: key_wrong, store_damaged, store_unreadable.
        """
        path = location_of(location)
        gallery = cls(
            path,
            bundle or default_bundle(),
            policy or QualityPolicy(),
            clock,
            lambda: _opened(Store.open(path, key=key, create=create), keep_index),
        )
        if create and not path.exists():
            check_creatable(path, key)
        else:
            gallery.stored()
        return gallery

    def close(self) -> None:
        """Close the file; the gallery cannot be used afterwards."""
        if self._index is not None:
            self._index.keep()
        if self._store is not None:
            self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def exists(self) -> bool:
        """Return whether the gallery has come into being."""
        return self._store is not None or self.path.exists()

    @property
    def opened_store(self) -> Store | None:
        """The store, when the gallery has come into being and was used."""
        return self._store

    def now(self) -> datetime:
        """Return the time with time zone, by the gallery's clock."""
        return self._clock()

    def warm(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Get ready to search many people before the first search; others may use the gallery meanwhile.

        Args:
            stopped: whether to give up.

        Raises:
            As `open`. CompatibilityError: model_mismatch.
        """
        if self.exists():
            self.stored()[1].warm(stopped)

    def stored(self) -> tuple[Store, PeopleIndex]:
        """Return the store and its index; opened, or made, on first use."""
        with self._opening:
            if self._store is None or self._index is None:
                self._store = self._opener()
                self._index = PeopleIndex(self._store, self.bundle.id, self.bundle.mean)
            return self._store, self._index


def _opened(store: Store, keep_index: bool | Path) -> Store:
    if not isinstance(keep_index, bool):
        store.index_path = keep_index
    elif not keep_index:
        store.index_path = None
    return store
