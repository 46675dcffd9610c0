"""The search indexes of all tenants, made ready while the service answers already: no search pays for the start."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from voxid.errors import VoxidError
from voxid.recognize.gallery import Gallery

__all__ = ["IndexWarming"]

_log = logging.getLogger("voxid.service")


class IndexWarming:
    """A thread that makes each tenant's gallery ready to search, one after another.

    Args:
        tenants: tells their ids; `gallery_of` opens one's gallery.
    """

    def __init__(self, tenants: Callable[[], list[str]], gallery_of: Callable[[str], Gallery]) -> None:
        self._tenants = tenants
        self._gallery_of = gallery_of
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._warm, name="voxid-warm", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End; what is not ready is made so by its first search."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _warm(self) -> None:
        for tenant_id in self._tenants():
            if self._closing.is_set():
                return
            try:
                self._gallery_of(tenant_id).warm(self._closing.is_set)
            except VoxidError as error:
                _log.error("the index of a tenant could not be made ready: %s", error.code)
