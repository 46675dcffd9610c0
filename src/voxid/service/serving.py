"""The service as a process: uvicorn around the application, and the first key of a new installation."""

from __future__ import annotations

import resource
from datetime import datetime

import uvicorn
from fastapi import FastAPI

from voxid.service.connections import guarded_protocol
from voxid.service.logs import start_logging
from voxid.service.settings import ServiceSettings
from voxid.service.state import DEFAULT_TENANT, Tenants

__all__ = ["first_key", "server_for"]

_KEEP_ALIVE_S = 15
_SHUTDOWN_S = 20
_FILES_PER_CONNECTION = 2  # a socket, and now and then a file


def first_key(tenants: Tenants, now: datetime) -> str | None:
    """Return the text of an administrator's key where there is no key yet: made now, to be shown once.

    The tenant "default" comes into being with it where there is no tenant at all.
    """
    if tenants.ids() and DEFAULT_TENANT not in tenants.ids():
        return None
    tenant = tenants.get(DEFAULT_TENANT) if tenants.holds(DEFAULT_TENANT) else tenants.create(DEFAULT_TENANT)
    if tenant.keys.list():
        return None
    return tenant.keys.create("first administrator", now, roles=["admin"])[1]


def server_for(app: FastAPI, settings: ServiceSettings) -> uvicorn.Server:
    """Return the server, ready to `run`; log lines of the process are from now on as the settings want them."""
    start_logging(settings.operations)
    _allow_files(settings.limits.max_connections * _FILES_PER_CONNECTION)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=guarded_protocol(settings.limits.header_s),
        limit_concurrency=settings.limits.max_connections,
        ws_max_size=settings.live.message_bytes,
        ws_per_message_deflate=False,  # audio does not shrink, and a window for each of many calls does cost memory
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_SHUTDOWN_S,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
    )
    return uvicorn.Server(config)


def _allow_files(wanted: int) -> None:
    """Raise this process's limit of open files as far as it may be raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if allowed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
