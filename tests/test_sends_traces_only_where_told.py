"""Traces go to the collector that is named, and nowhere when none is."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from served import serving
from voxid.errors import ConfigError
from voxid.service.settings import OperationsSettings
from voxid.service.tracing import Tracing


class Collector(BaseHTTPRequestHandler):
    """Takes spans and keeps their bytes."""

    got: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        self.got.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[HTTPServer]:
    """A collector on this machine."""
    handler = type("Kept", (Collector,), {"got": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def got(server: HTTPServer) -> list[tuple[str, bytes]]:
    return server.RequestHandlerClass.got  # type: ignore[attr-defined, no-any-return]


def test_spans_reach_the_collector_that_is_named(tmp_path: Path, collector: HTTPServer) -> None:
    """By route, without what was asked for; at the latest when the service ends."""
    endpoint = f"http://127.0.0.1:{collector.server_port}/v1/traces"
    with serving(tmp_path, operations=OperationsSettings(otlp_endpoint=endpoint)) as served:
        served.call("GET", "/people?limit=3")
        served.call("GET", "/zyxcanary", 404)
    assert {path for path, _ in got(collector)} == {"/v1/traces"}
    sent = b"".join(body for _, body in got(collector))
    assert b"GET /v1/people" in sent
    assert b"zyxcanary" not in sent


def test_nothing_is_traced_by_default(tmp_path: Path) -> None:
    """No exporter, no file, no provider."""
    with serving(tmp_path) as served:
        served.call("GET", "/people")
    assert not Tracing.wanted(OperationsSettings())
    assert not list(tmp_path.rglob("*trace*"))


def test_a_trace_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Made with mode 0600; one that cannot be written is an error at the start."""
    path = tmp_path / "traces.jsonl"
    Tracing(OperationsSettings(trace_file=path)).close()
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="The trace file .* cannot be written"):
        Tracing(OperationsSettings(trace_file=tmp_path / "missing" / "traces.jsonl"))


def test_without_the_extra_the_sentence_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """pip install 'voxid[tracing]'."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigError, match=r"pip install 'voxid\[tracing\]'"):
        Tracing(OperationsSettings(trace_file=tmp_path / "traces.jsonl"))
