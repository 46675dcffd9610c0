"""Keeping to the published periods: once a day, for every tenant that has a public policy, whose time is over goes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final

from voxid.errors import VoxidError
from voxid.privacy.retention import run_retention
from voxid.privacy.settings import read_settings
from voxid.recognize.gallery import Gallery

__all__ = ["RetentionTimer"]

_log = logging.getLogger("voxid.service")
_DAY_S: Final = 86_400.0
_LOOKED_EVERY_S: Final = 600.0


class RetentionTimer:
    """A thread that lets people go whose time is over.

    A tenant without a controller in its privacy settings promises nothing in public, and is left to its operator. The
    day's run is counted in the gallery, so that of several processes at it one does it.

    Args:
        tenants: tells their ids; `gallery_of` opens one's gallery.
    """

    def __init__(
        self,
        tenants: Callable[[], list[str]],
        gallery_of: Callable[[str], Gallery],
        clock: Callable[[], datetime],
    ) -> None:
        self._tenants = tenants
        self._gallery_of = gallery_of
        self._clock = clock
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look, every ten minutes."""
        self._thread = threading.Thread(target=self._keep_looking, name="retention", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End; a run in progress is waited for."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def run_due(self) -> list[str]:
        """Run for every tenant whose run of the day is still to come; return which these were."""
        done = []
        for tenant_id in self._tenants():
            try:
                if self._run_due(tenant_id):
                    done.append(tenant_id)
            except VoxidError as error:
                _log.error("the periods of a tenant could not be kept: %s", error.code)
        return done

    def _run_due(self, tenant_id: str) -> bool:
        gallery = self._gallery_of(tenant_id)
        store = gallery.stored()[0]
        if not read_settings(store).controller:
            return False
        if store.counted("retention", _DAY_S, 0, self._clock()).exceeded:
            return False
        with store.changing() as change:
            if change.count("retention", _DAY_S, 1, self._clock()).exceeded:
                return False
        run_retention(gallery)
        return True

    def _keep_looking(self) -> None:
        while not self._closing.wait(_LOOKED_EVERY_S):
            self.run_due()
