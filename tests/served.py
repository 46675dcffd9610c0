"""A service in this process: the real application over a gallery in a folder, a key for it, and sample voices."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from fastapi.testclient import TestClient

from voxid.audio import SAMPLE_RATE_HZ, load
from voxid.service.app import create_app
from voxid.service.settings import Limits, OperationsSettings, ServiceSettings
from voxid.service.state import DEFAULT_TENANT, Service, Tenant

VOICES = Path(str(files("voxid") / "data" / "voices"))
EVERYTHING = ["verify", "identify", "diarize-name", "watchlist"]


class Clock:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, days: float) -> None:
        self.now += timedelta(days=days)


@dataclass
class Served:
    """A running service and an administrator of its default tenant."""

    http: TestClient
    service: Service
    clock: Clock

    @property
    def tenant(self) -> Tenant:
        return self.service.tenants.get(DEFAULT_TENANT)

    def call(self, method: str, path: str, expected: int = 200, **request: Any) -> Any:
        """Return the JSON of an answer with the status that is expected."""
        answer = self.http.request(method, f"/v1{path}", **request)
        assert answer.status_code == expected, (answer.status_code, answer.text[:500])
        kind = answer.headers.get("content-type", "").partition(";")[0]
        is_json = kind in ("application/json", "application/problem+json")
        return answer.json() if answer.content and is_json else answer

    def refusal(self, method: str, path: str, expected: int, **request: Any) -> tuple[str, str]:
        """Return code and sentence of an answer that refuses."""
        problem = self.call(method, path, expected, **request)
        return problem["code"], problem["detail"]

    def key(self, *scopes: str, roles: list[str] | None = None) -> dict[str, str]:
        """Return the headers of a new key with these scopes or roles."""
        made = self.tenant.keys.create("test", self.clock(), roles=roles or [], scopes=scopes)[1]
        return {"Authorization": f"Bearer {made}"}

    def enroll(self, name: str, voice: str, *numbers: int, purposes: list[str] | None = None) -> str:
        """Return the id of a person enrolled with sample clips."""
        from voxid.gallery import Consent

        consent = Consent(purposes or EVERYTHING, evidence="synthetic voice")
        clips: list[Any] = [clip(voice, number) for number in numbers]
        self.tenant.gallery.enroll(name, clips, consent)
        return self.tenant.gallery.get(name).id

    def ended(self, job: dict[str, Any], within_s: float = 60.0) -> dict[str, Any]:
        """Return a job when it has ended."""
        return self.until(job, lambda now: now["state"] not in ("queued", "running", "cancelling"), within_s)

    def until(
        self, job: dict[str, Any], holds: Callable[[dict[str, Any]], bool], within_s: float = 60.0
    ) -> dict[str, Any]:
        """Return a job as soon as something holds of it."""
        end_s = time.monotonic() + within_s
        while time.monotonic() < end_s:
            now: dict[str, Any] = self.call("GET", f"/diarizations/{job['id']}")
            if holds(now):
                return now
            time.sleep(0.02)
        raise AssertionError(f"the job is still {now['state']} after {within_s} s")


@contextmanager
def serving(
    folder: Path,
    clock: Clock | None = None,
    limits: Limits | None = None,
    operations: OperationsSettings | None = None,
    detector: Path | None = None,
) -> Iterator[Served]:
    """Serve the galleries in a folder; the default tenant is made where it is missing."""
    clock = clock or Clock()
    settings = ServiceSettings(
        data=folder,
        limits=limits or Limits(),
        operations=operations or OperationsSettings(),
        detector=detector,
    )
    app = create_app(settings, clock)
    service: Service = app.state.service
    if not service.tenants.holds(DEFAULT_TENANT):
        service.tenants.create(DEFAULT_TENANT)
    with TestClient(app, raise_server_exceptions=False) as http:
        served = Served(http, service, clock)
        http.headers.update(served.key(roles=["admin"]))
        yield served


def clip(voice: str, number: int) -> Path:
    """Return a sample recording of a voice."""
    return VOICES / voice / f"{number:02d}.opus"


def talk_of(*clips: tuple[str, int]) -> bytes:
    """Return a conversation of these clips one after another, as FLAC."""
    pause = np.zeros(round(0.4 * SAMPLE_RATE_HZ), dtype=np.float32)
    pieces = [part for voice, number in clips for part in (load(clip(voice, number)).samples, pause)]
    noise = np.random.default_rng(0).normal(0, 1e-4, sum(map(len, pieces))).astype(np.float32)
    file = io.BytesIO()
    soundfile.write(file, np.concatenate(pieces) + noise, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return file.getvalue()
