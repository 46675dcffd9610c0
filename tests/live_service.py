"""A real server in a thread of its own: uvicorn on a free port, a person who may be named, a key for live calls."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from calls import VOICES
from voxid.gallery import Consent
from voxid.service.app import create_app
from voxid.service.live import LiveCalls
from voxid.service.serving import server_for
from voxid.service.settings import LiveLimits, ServiceSettings
from voxid.service.state import Service, Tenant


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Attributes:
        url: http://...
        key: of the default tenant, with the scope "live".
    """

    url: str
    key: str
    service: Service
    calls: LiveCalls

    def key_for(self, tenant: str, *scopes: str) -> str:
        """Return a new key of a tenant, which is made where it is missing."""
        tenants = self.service.tenants
        found: Tenant = tenants.get(tenant) if tenants.holds(tenant) else tenants.create(tenant)
        return found.keys.create("test", self.service.clock(), scopes=scopes)[1]


@contextmanager
def running(
    folder: Path, limits: LiveLimits | None = None, detector: Path | None = None
) -> Iterator[Running]:
    """Serve a folder until the end of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = ServiceSettings(data=folder, port=port, live=limits or LiveLimits(), detector=detector)
    app = create_app(settings)
    service: Service = app.state.service
    tenant = service.tenants.create("default")
    clips = [VOICES / "ada" / f"0{n}.opus" for n in (1, 2)]
    tenant.gallery.enroll("Ada", clips, Consent({"verify", "diarize-name"}, "synthetic voice"))
    tenant.store.start_audit()
    key = tenant.keys.create("live", service.clock(), scopes=["live"])[1]
    server = server_for(app, settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until_s = time.monotonic() + 60
    while not server.started and time.monotonic() < until_s:
        time.sleep(0.02)
    try:
        yield Running(f"http://127.0.0.1:{port}", key, service, app.state.live)
    finally:
        server.should_exit = True
        thread.join(30)
