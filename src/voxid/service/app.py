"""The application: routes, errors and guards put together around one `Service`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

from fastapi import APIRouter, Depends, FastAPI
from starlette.concurrency import run_in_threadpool

from voxid import __version__
from voxid.recognize.opened import utc_now
from voxid.service import openapi, problems
from voxid.service.api import (
    audit,
    consents,
    correction_files,
    corrections,
    diarizations,
    disputes,
    enrollments,
    erasure,
    exports,
    identification,
    keys,
    liveness,
    models,
    opt_outs,
    people,
    policies,
    privacy,
    receipts,
    reviews,
    scores,
    sessions,
    spoof_checks,
    unknown,
    verification,
    watchlists,
)
from voxid.service.console import routes as console
from voxid.service.guard import RequestGuard
from voxid.service.live import LiveCalls
from voxid.service.live import router as live_router
from voxid.service.operations import Operations
from voxid.service.queries import refuse_unknown
from voxid.service.settings import ServiceSettings
from voxid.service.state import Service

__all__ = ["PREFIX", "ROUTERS", "create_app"]

PREFIX: Final = "/v1"
ROUTERS: Final[tuple[APIRouter, ...]] = (
    people.router,
    consents.router,
    receipts.router,
    enrollments.router,
    verification.router,
    identification.router,
    spoof_checks.router,
    liveness.router,
    live_router,
    diarizations.router,
    corrections.router,
    correction_files.router,
    unknown.router,
    opt_outs.router,
    watchlists.router,
    reviews.router,
    disputes.router,
    disputes.decisions_router,
    audit.router,
    exports.router,
    erasure.router,
    policies.router,
    privacy.router,
    scores.router,
    models.router,
    keys.router,
    sessions.router,
)
"""Everything under /v1, in the order of the OpenAPI document."""


def create_app(settings: ServiceSettings, clock: Callable[[], datetime] = utc_now) -> FastAPI:
    """Return the application over these settings; `app.state.service` is its `Service`."""
    service = Service(settings, clock)
    operations = Operations(service)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(app.openapi)  # every parameter of a request is looked up in it
        await run_in_threadpool(operations.start)
        await run_in_threadpool(service.start)
        try:
            yield
        finally:
            await run_in_threadpool(app.state.live.close)
            await run_in_threadpool(service.close)
            await run_in_threadpool(operations.close)

    app = FastAPI(
        title="voxid",
        version=__version__,
        summary="Who is speaking, by name: enroll with consent, verify, identify, diarize.",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # both pages load scripts from elsewhere; nothing of ours does
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    app.state.live = LiveCalls(
        service.inference, settings.live, lambda verdict: service.judged(verdict, "live")
    )
    problems.install(app)
    app.add_middleware(RequestGuard, limits=settings.limits, secure=settings.secure_cookies)
    for router in ROUTERS:
        app.include_router(router, prefix=PREFIX, dependencies=[Depends(refuse_unknown)])
    app.include_router(privacy.public_router)
    openapi.install(app)
    console.install(app)
    operations.install(app)
    return app
