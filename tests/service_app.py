"""The real application in this process, with keys and clients, for tests of the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from starlette.testclient import TestClient

from voxid.client import Client
from voxid.service.app import create_app
from voxid.service.settings import Limits, ServiceSettings
from voxid.service.state import Service

VOICES = Path(str(files("voxid") / "data" / "voices"))
ADDRESS = "http://testserver"


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass(frozen=True)
class Running:
    """A service that runs in this process.

    Args:
        http: sends plain requests to it, with no key.
        clock: its time.
        service_app: the application itself.
    """

    service: Service
    http: TestClient
    clock: Clock
    service_app: FastAPI

    def key(
        self, tenant: str = "default", *, roles: tuple[str, ...] = (), scopes: tuple[str, ...] = ()
    ) -> str:
        """Return a new key; without anything named, an administrator's."""
        granted = roles or (() if scopes else ("admin",))
        tenants = self.service.tenants
        opened = tenants.get(tenant) if tenants.holds(tenant) else tenants.create(tenant)
        return opened.keys.create("test", self.clock(), roles=granted, scopes=scopes)[1]

    def client(
        self, tenant: str = "default", *, roles: tuple[str, ...] = (), scopes: tuple[str, ...] = ()
    ) -> Client:
        """Return a client with a new key."""
        return Client(ADDRESS, self.key(tenant, roles=roles, scopes=scopes), http=self.http)


@contextmanager
def running(folder: Path, database: str | None = None, **limits: float) -> Iterator[Running]:
    """Hand out a service over an empty folder, or over a database; `limits` are fields of `Limits`."""
    clock = Clock()
    changed = {name: type(getattr(Limits(), name))(value) for name, value in limits.items()}
    settings = ServiceSettings(data=folder / "data", database=database, limits=replace(Limits(), **changed))
    app = create_app(settings, clock)
    with TestClient(app, base_url=ADDRESS, raise_server_exceptions=False) as http:
        yield Running(app.state.service, http, clock, app)


def clips(voice: str, *numbers: int) -> list[Path]:
    """Return sample recordings of one of the voices that come with voxid."""
    return [VOICES / voice / f"{number:02d}.opus" for number in numbers]
