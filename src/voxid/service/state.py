"""What the service holds while it runs: settings, clock, and the tenants, each of them a gallery."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from voxid.audio import Waveform
from voxid.bundle import Bundle
from voxid.errors import ConfigError, InputError
from voxid.gallery.keys import SERVICE_KEY_FILE, TENANTS_FOLDER, create_key_file
from voxid.gallery.locations import Location
from voxid.gallery.postgres import PostgresAddress
from voxid.gallery.store import Store
from voxid.recognize.gallery import Gallery
from voxid.recognize.opened import utc_now
from voxid.service.attempts import Attempts
from voxid.service.credentials import ApiKeys, Sessions
from voxid.service.diarizing import DIARIZATION, diarization
from voxid.service.inference import Inference
from voxid.service.limits import Quotas
from voxid.service.metrics import Metrics
from voxid.service.oidc import TokenReader
from voxid.service.policy import SpoofCheck, TenantPolicy, read_policy
from voxid.service.remembering import Remembered
from voxid.service.retaining import RetentionTimer
from voxid.service.running import JobRunner
from voxid.service.settings import ServiceSettings
from voxid.service.underway import UnderWay
from voxid.service.warming import IndexWarming
from voxid.spoof.detector import SpoofDetector, default_detector
from voxid.spoof.fusion import SpoofPolicy
from voxid.spoof.verdict import SpoofVerdict
from voxid.stages import stage
from voxid.zoo.shelf import find_bundle

__all__ = ["DEFAULT_TENANT", "Service", "Tenant", "Tenants"]

DEFAULT_TENANT: Final = "default"
_TENANT: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_SUFFIX: Final = ".voxid"


@dataclass(frozen=True)
class Tenant:
    """One tenant: nothing of it is outside its gallery.

    Args:
        id: lower-case letters, digits and hyphens.
        gallery: its people and the verbs on them.
        keys, sessions: who may act for it.
    """

    id: str
    gallery: Gallery
    keys: ApiKeys
    sessions: Sessions

    @property
    def store(self) -> Store:
        """The gallery's store, for documents and counters."""
        return self.gallery.stored()[0]

    @property
    def policy(self) -> TenantPolicy:
        """What the tenant's administrators decided, as it is now."""
        return read_policy(self.store)


class Tenants:
    """Every tenant of this installation, opened on first use."""

    def __init__(self, settings: ServiceSettings, clock: Callable[[], datetime] = utc_now) -> None:
        self._settings = settings
        self._clock = clock
        self._bundle: Bundle = find_bundle(settings.bundle)
        self._opening = threading.Lock()
        self._open: dict[str, Tenant] = {}

    @property
    def bundle(self) -> Bundle:
        """The model all tenants hear with."""
        return self._bundle

    def holds(self, id_: str) -> bool:
        """Return whether there is such a tenant."""
        location = self._location(id_)
        return location is not None and location.exists()

    def ids(self) -> list[str]:
        """Return the ids of all tenants, sorted."""
        settings = self._settings
        if settings.gallery is not None:
            return [DEFAULT_TENANT] if settings.gallery.exists() else []
        if settings.database is not None:
            return PostgresAddress.parse(settings.database).siblings()
        found = (settings.data / TENANTS_FOLDER).glob(f"*{_SUFFIX}")
        names = [path.name.removesuffix(_SUFFIX) for path in found]
        return sorted(name for name in names if _TENANT.fullmatch(name))

    def locations(self) -> list[Location]:
        """Return where the galleries of all tenants are."""
        found = (self._location(id_) for id_ in self.ids())
        return [location for location in found if location is not None]

    def get(self, id_: str) -> Tenant:
        """Return a tenant, opened.

        Raises:
            InputError: tenant_missing; and whatever opening a gallery raises.
        """
        known = self._open.get(id_)
        if known is not None:  # while another tenant is being opened, this one need not wait
            return known
        with self._opening:
            if id_ not in self._open:
                location = self._location(id_)
                if location is None or not location.exists():
                    raise InputError("tenant_missing", f"There is no tenant {id_[:60]!r} here.")
                self._open[id_] = self._opened(id_, location)
            return self._open[id_]

    def opened(self) -> list[Tenant]:
        """Return the tenants that are open."""
        with self._opening:
            return list(self._open.values())

    def create(self, id_: str) -> Tenant:
        """Return a new tenant; its gallery is stored when this returns.

        Raises:
            InputError: tenant_invalid, tenant_exists, store_unwritable. ConfigError: key_missing when there are
                tenants and their master key is gone.
        """
        location = self._location(id_)
        if location is None:
            raise InputError(
                "tenant_invalid",
                f"{id_[:60]!r} is no tenant here; expected lower-case letters, digits and hyphens, at most 32, and for "
                f"a single gallery {DEFAULT_TENANT!r}.",
            )
        with self._opening:
            if location.exists():
                raise InputError("tenant_exists", f"There is a tenant {id_!r} already; choose another name.")
            self._make_room()
            self._open[id_] = self._opened(id_, location)
            return self._open[id_]

    def close(self) -> None:
        """Close every gallery."""
        with self._opening:
            for tenant in self._open.values():
                tenant.gallery.close()
            self._open.clear()

    def _opened(self, id_: str, location: Location) -> Tenant:
        keep_index: bool | Path = self._settings.keep_index
        if keep_index and self._settings.database is not None:
            keep_index = self._settings.data / "index" / f"{id_}.index"
        gallery = Gallery.open(
            location, bundle=self._bundle, key=self.key_file(), clock=self._clock, keep_index=keep_index
        )
        store, _ = gallery.stored()
        store.start_audit()
        return Tenant(id_, gallery, ApiKeys(id_, store), Sessions(id_, store))

    def _location(self, id_: str) -> Location | None:
        settings = self._settings
        if settings.gallery is not None:
            return settings.gallery if id_ == DEFAULT_TENANT else None
        if not _TENANT.fullmatch(id_):
            return None
        if settings.database is not None:
            return replace(PostgresAddress.parse(settings.database), tenant=id_)
        return settings.data / TENANTS_FOLDER / f"{id_}{_SUFFIX}"

    def key_file(self) -> Path | None:
        """Return the file of all tenants' key; None lets the gallery look in the environment and beside itself."""
        own = self._settings.data / SERVICE_KEY_FILE
        if self._settings.key_file is not None or self._settings.gallery is not None:
            return self._settings.key_file
        return own if own.exists() else None

    def _make_room(self) -> None:
        """Make the folder, and with the first tenant the master key."""
        settings = self._settings
        if settings.gallery is not None:
            return
        try:
            (settings.data / TENANTS_FOLDER).mkdir(mode=0o700, parents=True, exist_ok=True)
            settings.data.chmod(0o700)
        except OSError as error:
            raise InputError(
                "store_unwritable",
                f"The folder {settings.data} cannot be made ({error.strerror}); choose another with --data.",
            ) from None
        if (
            settings.key_file is None
            and not (settings.data / SERVICE_KEY_FILE).exists()
            and not _key_in_environment()
        ):
            if self.ids():
                raise ConfigError(
                    "key_missing",
                    f"There are tenants already, but their key {settings.data / SERVICE_KEY_FILE} is gone; "
                    "restore it from where you keep it safe. No new one was made.",
                )
            create_key_file(settings.data / SERVICE_KEY_FILE)


class Service:
    """Everything the routes share; one per process."""

    def __init__(self, settings: ServiceSettings, clock: Callable[[], datetime] = utc_now) -> None:
        self.settings = settings
        self.clock = clock
        self.tenants = Tenants(settings, clock)
        self.inference = Inference(self.tenants.bundle, settings.inference, detector=_detector(settings))
        self.remembered = Remembered(clock)
        self.tokens = None if settings.oidc is None else TokenReader(settings.oidc)
        self.attempts = Attempts(settings.limits, clock)
        self.under_way = UnderWay()
        self._quotas = Quotas()
        self.metrics = Metrics(self.tenants.bundle.id, settings.operations.evaluations)
        self.warming = IndexWarming(self.tenants.ids, lambda id_: self.tenants.get(id_).gallery)
        self.retention = RetentionTimer(self.tenants.ids, lambda id_: self.tenants.get(id_).gallery, clock)
        self.jobs = JobRunner(_spool_of(settings), self.tenants, {DIARIZATION: diarization}, clock)

    def allow(self, tenant: Tenant, counter: str, per_min: int) -> None:
        """Count one more of something a tenant may do so often a minute.

        Raises:
            TooOftenError: rate_limited.
        """
        self._quotas.take(tenant.store, tenant.id, counter, per_min, self.clock())

    def detect(self, waveform: Waveform, purpose: str) -> SpoofVerdict:
        """Return whether the voice in a recording is live and human.

        Args:
            purpose: what it is counted under: "spoof-check", "verify" or "identify".

        Raises:
            ConfigError: spoof_detector_missing. InputError: graph_failed. PolicyError: overloaded.
        """
        detector = self.inference.detector
        if detector is None:
            raise _without_detector()
        with stage("spoof"):
            verdict = detector.detect(waveform)
        self.judged(verdict, purpose)
        return verdict

    def spoof_policy(self, check: SpoofCheck) -> SpoofPolicy:
        """Return what a tenant's policy means here: where there is no detector nobody is asked, unless it is strict.

        Raises:
            ConfigError: spoof_detector_missing.
        """
        if self.inference.detector is not None:
            return SpoofPolicy.named(check)
        if check == "strict":
            raise _without_detector()
        return SpoofPolicy("off")

    def judged(self, verdict: SpoofVerdict, purpose: str) -> None:
        """Count a verdict; "live" is the purpose of those at the end of a call."""
        self.metrics.spoof_verdicts.labels(purpose, verdict.outcome.value).inc()

    def start(self) -> None:
        """Begin what runs beside requests; called once, before the first of them."""
        self.inference.start()
        self.jobs.start()
        self.retention.start()
        self.warming.start()

    def close(self) -> None:
        """End everything, at the latest when the process ends."""
        self.warming.close()
        self.retention.close()
        self.jobs.close()
        self.inference.close()
        self.tenants.close()


def _without_detector() -> ConfigError:
    return ConfigError(
        "spoof_detector_missing",
        "There is no spoof detector in this installation; name the folder of one with the setting detector.",
    )


def _detector(settings: ServiceSettings) -> SpoofDetector | None:
    """Return the spoof detector to ask; None where voxid came without one and none is named.

    Raises:
        InputError, CompatibilityError: as `SpoofDetector.load`, of the one that is named.
    """
    if settings.detector is not None:
        return SpoofDetector.load(settings.detector)
    try:
        return default_detector()
    except InputError:
        return None


def _spool_of(settings: ServiceSettings) -> Path:
    """Return the folder of waiting audio: beside the one gallery that is served, else with the data."""
    if settings.gallery is not None:
        return settings.gallery.with_name(settings.gallery.name + ".spool")
    return settings.data / "spool"


def _key_in_environment() -> bool:
    return bool(os.environ.get("VOXID_MASTER_KEY") or os.environ.get("VOXID_KEY_FILE"))
