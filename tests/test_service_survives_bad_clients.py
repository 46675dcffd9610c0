"""Clients that send nothing, a head byte by byte, a body that never ends, too many at once: closed; others go on."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import httpx
import pytest
import uvicorn

from service_app import clips
from voxid.client import Client
from voxid.errors import InputError
from voxid.service.app import create_app
from voxid.service.serving import first_key, server_for
from voxid.service.settings import Limits, ServiceSettings

N_SLOW = 500
# Short, so that the test is; the defaults (10 s each) stay under the 30 s promised.
PATIENCE_S = 1.5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    """Hand out the port and an administrator's key of a service that listens."""
    limits = replace(
        Limits(), header_s=PATIENCE_S, body_idle_s=PATIENCE_S, max_json_bytes=10_000, max_audio_bytes=1 << 20
    )
    settings = ServiceSettings(data=tmp_path_factory.mktemp("service"), port=0, limits=limits)
    app = create_app(settings)
    key = first_key(app.state.service.tenants, app.state.service.clock())
    running = server_for(app, settings)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.05)
    yield _port(running), str(key)
    running.should_exit = True
    thread.join(timeout=20)


def _port(running: uvicorn.Server) -> int:
    return int(running.servers[0].sockets[0].getsockname()[1])


def connect(port: int, first: bytes = b"") -> socket.socket:
    """Return a connection that has sent `first`."""
    opened = socket.create_connection(("127.0.0.1", port), timeout=30)
    opened.sendall(first)
    return opened


def closed_after_s(connection: socket.socket) -> float:
    """Return the seconds until the other side closes; what it says before that is passed over."""
    began = time.monotonic()
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - began


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"GET /v1/people HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST /v1/people/search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{",
    ],
    ids=["silence", "half a head", "half a body"],
)
def test_a_client_that_stops_is_closed(server: tuple[int, str], first: bytes) -> None:
    """Silence from the start, inside a head, inside a body: the connection ends within the patience set."""
    with connect(server[0], first) as slow:
        assert closed_after_s(slow) < PATIENCE_S + 5


def test_a_body_byte_by_byte_is_given_up(server: tuple[int, str]) -> None:
    """A trickle that never pauses is too slow all the same."""
    head = (
        f"POST /v1/identifications HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server[1]}\r\n"
        "Content-Type: audio/wav\r\nContent-Length: 900000\r\n\r\n"
    )
    with connect(server[0], head.encode()) as slow:
        slow.settimeout(0.2)
        began, said = time.monotonic(), b""
        while time.monotonic() - began < 15:
            try:
                slow.sendall(b"R")
                said += slow.recv(4096)
                if not said or b"HTTP/1.1" in said:
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - began < PATIENCE_S + 8


def test_hundreds_of_slow_connections_harm_nobody(server: tuple[int, str]) -> None:
    """With 500 heads half sent, others are answered; all of the 500 are closed in time."""
    port, key = server
    with ExitStack() as stack, Client(f"http://127.0.0.1:{port}", key) as client:
        slow = [
            stack.enter_context(connect(port, b"GET /v1/people HTTP/1.1\r\nX-A: ")) for _ in range(N_SLOW)
        ]
        began = time.monotonic()
        for _ in range(3):
            assert client.models()
        answered_s = time.monotonic() - began
        assert answered_s < 10
        for connection in slow:
            closed_after_s(connection)
        assert time.monotonic() - began < 30


def test_a_body_that_is_too_large_is_not_read(server: tuple[int, str]) -> None:
    """Neither JSON nor a recording beyond its limit, whatever the length header says."""
    port, key = server
    for kind in ("application/json", "audio/wav"):
        answer = httpx.post(
            f"http://127.0.0.1:{port}/v1/people/search",
            headers={"Authorization": f"Bearer {key}", "Content-Type": kind},
            content=iter([b" " * 1000] * 20),
            timeout=30,
        )
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    with Client(f"http://127.0.0.1:{port}", key) as client:
        client.change_policy(identify_purpose="Testing the size of uploads")
        with pytest.raises(InputError, match="The recording is longer than 1,048,576 bytes") as refused:
            client.identify(b"RIFF" + bytes(2 << 20))
        assert refused.value.code == "audio_too_large"
        assert client.identify(clips("ada", 1)[0]).candidates == ()
