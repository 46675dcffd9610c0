"""How the service is watched: metrics, health, log lines and traces, put around the application."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Thread
from typing import Annotated
from wsgiref.simple_server import WSGIServer

from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import JSONResponse, Response
from prometheus_client import start_http_server
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from voxid.audit.written import listen_to_written
from voxid.bundle import Bundle
from voxid.errors import ConfigError
from voxid.gallery.store import Store
from voxid.service.health import Health, HealthCollector
from voxid.service.identity import tenant_for
from voxid.service.logs import log_request
from voxid.service.observing import Around, RequestObserver
from voxid.service.problems import responses
from voxid.service.state import Service, Tenant
from voxid.service.tracing import Tracing
from voxid.stages import watch_stages

__all__ = ["Operations"]


class Operations:
    """What watches one service.

    Args:
        service: to be watched.

    Raises:
        ConfigError: tracing_extra_missing, trace_file_unwritable.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._settings = service.settings.operations
        self._metrics = service.metrics
        self.health = Health(_Watched(service), self._settings)
        service.metrics.registry.register(HealthCollector(self.health))
        self._tracing = Tracing(self._settings) if Tracing.wanted(self._settings) else None
        self._endings: list[Callable[[], None]] = []
        self._listener: tuple[WSGIServer, Thread] | None = None

    def install(self, app: FastAPI) -> None:
        """Add the routes, and a look at every request from outside everything else."""
        around: list[Around] = [log_request, self._metrics.around_request]
        if self._tracing is not None:
            around.append(self._tracing.around_request)
        app.add_middleware(RequestObserver, around=around)
        app.include_router(_router(self))
        app.state.operations = self
        self._metrics.inference_waiting.set_function(lambda: self._service.inference.waiting)
        self._metrics.jobs_waiting.set_function(lambda: self._service.jobs.waiting)
        self._metrics.live_calls.set_function(lambda: len(app.state.live))

    def start(self) -> None:
        """Begin to watch.

        Raises:
            ConfigError: metrics_address_unusable.
        """
        self._endings = [
            watch_stages(self._metrics.around_stage),
            listen_to_written(self._metrics.count_event),
        ]
        if self._tracing is not None:
            self._endings.append(watch_stages(self._tracing.around_stage))
        if self._settings.metrics_port:
            self._listener = self._listening()

    def close(self) -> None:
        """End; what is left of the traces is written or sent."""
        for end in self._endings:
            end()
        self._endings = []
        if self._listener is not None:
            server, thread = self._listener
            server.shutdown()
            server.server_close()
            thread.join()
            self._listener = None
        if self._tracing is not None:
            self._tracing.close()

    def _listening(self) -> tuple[WSGIServer, Thread]:
        settings = self._settings
        try:
            return start_http_server(settings.metrics_port, settings.metrics_host, self._metrics.registry)
        except OSError as error:
            raise ConfigError(
                "metrics_address_unusable",
                f"Metrics cannot be served at {settings.metrics_host}:{settings.metrics_port} ({error.strerror}); "
                "choose another address with operations.metrics_host and operations.metrics_port.",
            ) from None

    def metrics_text(self) -> bytes:
        """Return the metrics as Prometheus reads them."""
        return self._metrics.text()


class _Watched:
    """A service as its health is looked at."""

    def __init__(self, service: Service) -> None:
        self._service = service

    @property
    def bundle(self) -> Bundle:
        return self._service.tenants.bundle

    @property
    def folder(self) -> Path:
        settings = self._service.settings
        return settings.data if settings.gallery is None else settings.gallery.parent

    def opened(self) -> Mapping[str, Store]:
        return {tenant.id: tenant.store for tenant in self._service.tenants.opened()}


def _router(operations: Operations) -> APIRouter:
    router = APIRouter(tags=["operations"])

    @router.get("/healthz", summary="Whether the process lives")
    async def healthz() -> dict[str, str]:
        """Return ok as long as anything is answered."""
        return {"status": "ok"}

    @router.get(
        "/readyz",
        summary="Whether requests may be sent here",
        response_class=JSONResponse,
        responses={503: {"description": "Not now; `checks` says what is wrong"}},
    )
    def readyz() -> JSONResponse:
        """Return 200 when models, stores, disk and audit logs are as they must be, else 503."""
        found = operations.health.ready()
        return JSONResponse(found.to_dict(), 200 if found.ready else 503)

    @router.get("/metrics", summary="Metrics for Prometheus", response_class=Response, responses=responses())
    def metrics(tenant: Annotated[Tenant, Depends(tenant_for("metrics"))]) -> Response:
        """Return the metrics of the whole process in the text format of Prometheus."""
        return Response(operations.metrics_text(), media_type=CONTENT_TYPE_LATEST)

    return router
