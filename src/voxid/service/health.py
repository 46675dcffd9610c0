"""Whether the process lives, and whether it may be given requests: /healthz and /readyz.

    models   the networks are loaded and answer
    store    every open gallery can be written to
    disk     there is room where the data is
    audit    every open gallery's log can be read, and did not become shorter

Answers hold the names of checks and codes of errors, nothing else: nobody has to sign in for them.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from voxid.audio import SAMPLE_RATE_HZ, Waveform
from voxid.bundle import Bundle
from voxid.embedding import get_embedder
from voxid.errors import VoxidError
from voxid.gallery.store import Store
from voxid.service.settings import OperationsSettings

__all__ = ["CHECKS", "Health", "HealthCollector", "Readiness", "Watched"]

_log = logging.getLogger("voxid.service")

CHECKS: Final = ("models", "store", "disk", "audit")
_OK: Final = "ok"
_WARMING_S: Final = 3.0
_MODELS_AGAIN_S: Final = 60.0
# A gallery or a network with much to do is not broken: taking the service out would not help those who wait.
_BUSY: Final = ("store_busy", "overloaded")


class Watched(Protocol):
    """What is looked at."""

    @property
    def bundle(self) -> Bundle:
        """The model that hears."""

    def opened(self) -> Mapping[str, Store]:
        """Return the galleries that are open, by tenant."""

    @property
    def folder(self) -> Path:
        """Where the data is."""


@dataclass(frozen=True)
class Readiness:
    """What the checks found.

    Args:
        checks: name -> "ok" or the code of what is wrong.
        free_bytes: where the data is.
    """

    checks: Mapping[str, str]
    free_bytes: int

    @property
    def ready(self) -> bool:
        """Whether every check passed."""
        return all(found == _OK for found in self.checks.values())

    def to_dict(self) -> dict[str, object]:
        """Return the answer of /readyz."""
        return {"status": "ready" if self.ready else "not_ready", "checks": dict(self.checks)}


class Health:
    """The checks, made at most every few seconds whoever asks.

    Args:
        watched: the service.
        settings: how much room there must be, and how long an answer holds.
    """

    def __init__(self, watched: Watched, settings: OperationsSettings) -> None:
        self._watched = watched
        self._settings = settings
        self._checking = threading.Lock()
        self._last: tuple[float, Readiness] | None = None
        self._models_until_s = 0.0
        self.log_sizes: dict[str, int] = {}

    def ready(self) -> Readiness:
        """Return whether the service may be given requests."""
        with self._checking:
            now_s = time.monotonic()
            if self._last is None or now_s >= self._last[0] + self._settings.ready_for_s:
                free_bytes = self._free_bytes()
                made: dict[str, Callable[[], str]] = {
                    "models": self._models,
                    "store": self._store,
                    "disk": lambda: _OK if free_bytes >= self._settings.min_free_bytes else "disk_full",
                    "audit": self._audit,
                }
                found = {name: _code_of(made[name]) for name in CHECKS}
                self._last = now_s, Readiness(found, free_bytes)
            return self._last[1]

    def _free_bytes(self) -> int:
        folder = self._watched.folder
        there = next(part for part in (folder, *folder.absolute().parents) if part.exists())
        return shutil.disk_usage(there).free

    def _models(self) -> str:
        """Embed some noise: now and then, and at each check until it succeeds."""
        if time.monotonic() >= self._models_until_s:
            noise = np.random.default_rng(0).normal(0, 0.01, round(_WARMING_S * SAMPLE_RATE_HZ))
            get_embedder(self._watched.bundle).embed(
                Waveform(noise.astype(np.float32), "warming", "", SAMPLE_RATE_HZ)
            )
            self._models_until_s = time.monotonic() + _MODELS_AGAIN_S
        return _OK

    def _store(self) -> str:
        return _first_failure(_writable(store) for store in self._watched.opened().values())

    def _audit(self) -> str:
        return _first_failure(self._head(tenant, store) for tenant, store in self._watched.opened().items())

    def _head(self, tenant: str, store: Store) -> str:
        if not store.audited:
            return _OK
        size, before = store.audit().head().size, self.log_sizes.get(tenant, 0)
        self.log_sizes[tenant] = size
        return _OK if size >= before else "audit_shorter"


class HealthCollector(Collector):
    """The same for /metrics."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[Metric]:
        """Return each check as 1 or 0, and the free space."""
        found = self._health.ready()
        family = GaugeMetricFamily("voxid_ready", "1 where a check of /readyz passes.", labels=["check"])
        for name, said in found.checks.items():
            family.add_metric([name], float(said == _OK))
        yield family
        yield GaugeMetricFamily("voxid_disk_free_bytes", "Free where the data is.", value=found.free_bytes)


def _writable(store: Store) -> str:
    with store.changing():
        return _OK  # the engine let a writing transaction begin


def _first_failure(found: Iterable[str]) -> str:
    return next((said for said in found if said != _OK), _OK)


def _code_of(check: Callable[[], str]) -> str:
    try:
        return check()
    except VoxidError as error:
        return _OK if error.code in _BUSY else error.code
    except Exception:  # whatever it is, the answer is that this service should get no requests
        _log.exception("a check of /readyz failed")
        return "defect"
