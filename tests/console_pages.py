"""The console in headless Chromium with a fake microphone: pages that must cause no error and break no policy."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from voxid.service.app import create_app
from voxid.service.serving import first_key, server_for
from voxid.service.settings import ServiceSettings
from voxid.service.state import Service

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Console:
    """A running service, and a browser that opens its console."""

    def __init__(self, service: Service, address: str, key: str, browser: Any) -> None:
        self.service, self.address, self.key = service, address, key
        self._browser = browser
        self._signed_in: Any = None

    @contextmanager
    def opened(
        self, *, signed_in: bool = True, width: int = 1200, dark: bool = False, scripts: bool = True
    ) -> Iterator[Any]:
        """Yield a page; afterwards nothing may have gone wrong in it unnoticed."""
        scheme = "dark" if dark else "light"
        context = self._browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            base_url=self.address,
            java_script_enabled=scripts,
            storage_state=self._signed_in if signed_in else None,
        )
        page = context.new_page()
        page.set_default_timeout(60_000)
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(f"exception: {error}"))
        page.on(
            "console",
            lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None,
        )
        page.expected = lambda words: _expected(complaints, words)  # type: ignore[attr-defined]
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        if signed_in:
            page.goto("/console/")
        if signed_in and self._signed_in is None:
            page.fill("#key", self.key)
            page.press("#key", "Enter")
            page.wait_for_url("**/console/people")
            self._signed_in = context.storage_state()
        yield page
        page.wait_for_timeout(100)
        context.close()
        elsewhere = [url for url in requests if not url.startswith((self.address, "blob:", "data:"))]
        assert complaints == []
        assert elsewhere == []


def _expected(complaints: list[str], words: str) -> None:
    """Take back what the browser says of an answer that was meant to be an error."""
    found = next((one for one in complaints if words in one), None)
    assert found is not None, f"nothing said {words!r}: {complaints}"
    complaints.remove(found)


@contextmanager
def running_console(folder: Path, microphone: Path, detector: Path | None = None) -> Iterator[Console]:
    """Yield a console over a new gallery, with a file for a microphone and, if named, a spoof detector.

    Without Chromium or Playwright the test is skipped.
    """
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on this machine to open the console in (Debian: apt-get install chromium)")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="the console is opened by Playwright (pip)"
    )
    options = [
        "--no-sandbox",
        "--mute-audio",
        "--autoplay-policy=no-user-gesture-required",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}",
    ]
    with _served(folder, detector) as (service, address, key), playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=found, args=options)
        try:
            yield Console(service, address, key, browser)
        finally:
            browser.close()


@contextmanager
def _served(folder: Path, detector: Path | None) -> Iterator[tuple[Service, str, str]]:
    settings = ServiceSettings(data=folder / "data", port=0, detector=detector)
    app = create_app(settings)
    service: Service = app.state.service
    key = first_key(service.tenants, service.clock())
    assert key is not None
    server = server_for(app, settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    _until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield service, f"http://127.0.0.1:{port}", key
    finally:
        server.should_exit = True
        thread.join(20)


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "the service does not start"
        time.sleep(0.02)
