"""Traces: a span per request and per stage in it, written to a file or sent to a collector; off until one is named.

A span holds its name, its times, the route, method, status and id of its request, and the code of a refusal. Baggage
and trace state that a caller sends are not taken over; the ids of `traceparent` are, so that our spans join theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from voxid import __version__
from voxid.errors import ConfigError
from voxid.service.observing import ServedRequest
from voxid.service.settings import OperationsSettings

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["Tracing"]

_TRACEPARENT: Final = b"traceparent"


class Tracing:
    """Spans of one service.

    Args:
        settings: where they go.

    Raises:
        ConfigError: tracing_extra_missing, trace_file_unwritable.
    """

    def __init__(self, settings: OperationsSettings) -> None:
        try:
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import SpanLimits, TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError:
            raise _extra_missing() from None
        # Made whole, not with Resource.create: that one reads host and process names.
        resource = Resource({"service.name": "voxid", "service.version": __version__})
        self._provider = TracerProvider(
            resource=resource, span_limits=SpanLimits(max_events=0), shutdown_on_exit=False
        )
        self._file = None if settings.trace_file is None else _opened(settings.trace_file)
        for exporter in _exporters(self._file, settings.otlp_endpoint):
            self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("voxid")

    @staticmethod
    def wanted(settings: OperationsSettings) -> bool:
        """Return whether spans go anywhere."""
        return settings.trace_file is not None or settings.otlp_endpoint is not None

    @contextmanager
    def around_request(
        self, request: ServedRequest, headers: Sequence[tuple[bytes, bytes]]
    ) -> Iterator[None]:
        """Trace one request."""
        from opentelemetry.trace import SpanKind, Status, StatusCode

        with self._tracer.start_as_current_span(
            request.method,
            _parent(headers),
            SpanKind.SERVER,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            finally:
                span.update_name(f"{request.method} {request.route}")
                span.set_attribute("http.request.method", request.method)
                span.set_attribute("http.route", request.route)
                span.set_attribute("http.response.status_code", request.status)
                span.set_attribute("voxid.request_id", request.request_id)
                if request.code is not None:
                    span.set_attribute("error.type", request.code)
                if request.status >= 500:
                    span.set_status(Status(StatusCode.ERROR))

    @contextmanager
    def around_stage(self, name: str) -> Iterator[None]:
        """Trace one stage, inside the request it belongs to where there is one."""
        with self._tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False):
            yield

    def close(self) -> None:
        """Write or send what is left."""
        self._provider.shutdown()
        if self._file is not None:
            self._file.close()


def _exporters(file: TextIO | None, endpoint: str | None) -> Iterator[SpanExporter]:
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter

    if file is not None:
        yield ConsoleSpanExporter(out=file, formatter=lambda span: span.to_json(indent=None) + "\n")
    if endpoint is not None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ImportError:
            raise _extra_missing() from None
        yield OTLPSpanExporter(endpoint=endpoint)


def _opened(path: Path) -> TextIO:
    """Return the file, which only its owner may read, opened to be added to."""
    try:
        path.touch(mode=0o600)
        return path.open("a", encoding="utf-8", buffering=1)
    except OSError as error:
        raise ConfigError(
            "trace_file_unwritable",
            f"The trace file {path} cannot be written ({error.strerror}); name another with operations.trace_file.",
        ) from None


def _parent(headers: Sequence[tuple[bytes, bytes]]) -> Context:
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    sent = next((value for name, value in headers if name == _TRACEPARENT), b"")
    carrier = {"traceparent": sent.decode("latin-1")}
    return TraceContextTextMapPropagator().extract(carrier, Context())


def _extra_missing() -> ConfigError:
    return ConfigError(
        "tracing_extra_missing",
        "Traces need the extra tracing; install it: pip install 'voxid[tracing]', or name no file and no endpoint.",
    )
