"""A page in a real browser: headless Chromium, spoken to through its debugging pipe."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_KEYS = {" ": "Space", "+": "Equal", "-": "Minus", "?": "Slash"}
_ANSWER_S = 30.0


class Browser:
    """One page of headless Chromium; a context manager. Without Chromium the test that asks for it is skipped."""

    def __init__(self, profile: Path) -> None:
        found = next((path for name in _NAMES if (path := shutil.which(name))), None)
        if found is None:
            pytest.skip("no Chromium on this machine to open the page in (Debian: apt-get install chromium)")
        read_end, chromium_out = os.pipe()
        chromium_in, write_end = os.pipe()
        options = (
            "--headless=new --no-sandbox --disable-gpu --no-first-run --remote-debugging-pipe --mute-audio "
            "--autoplay-policy=no-user-gesture-required --disable-background-networking --disable-extensions"
        )

        def connect() -> None:
            # Chromium reads commands from 3 and answers on 4; copies above both, so that neither overwrites the other.
            commands, answers = (fcntl.fcntl(one, fcntl.F_DUPFD, 10) for one in (chromium_in, chromium_out))
            os.dup2(commands, 3)
            os.dup2(answers, 4)

        self._process = subprocess.Popen(
            [found, *options.split(), f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=connect,
            close_fds=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(chromium_in)
        os.close(chromium_out)
        self._in, self._out = write_end, read_end
        self._number, self._rest, self._session = 0, b"", ""
        self.events: list[dict[str, Any]] = []
        target = next(one for one in self._send("Target.getTargets")["targetInfos"] if one["type"] == "page")
        self._session = self._send("Target.attachToTarget", targetId=target["targetId"], flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._send(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._in)
        os.close(self._out)
        self._process.terminate()
        self._process.wait(10)

    def open(self, path: Path, width: int = 1200, height: int = 900) -> None:
        """Load a file in a window of this size; a page that asks whether to stay is left."""
        self.resize(width, height)
        self.events.clear()
        self._send("Page.navigate", url=path.as_uri())
        self.until("document.readyState === 'complete' && location.protocol === 'file:'")

    def resize(self, width: int, height: int = 900, dark: bool = False) -> None:
        """Set the window's inner size and whether pages should be dark."""
        self._send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page; a promise is waited for."""
        answer = self._send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + _ANSWER_S
        while not self.run(f"Boolean({condition})"):
            if time.monotonic() > end:
                raise AssertionError(f"never true: {condition}")
            time.sleep(0.05)

    def press(self, *keys: str, shift: bool = False) -> None:
        """Press and release keys one after the other, as a keyboard would."""
        for key in keys:
            one = {"key": key, "code": _KEYS.get(key, key), "modifiers": 8 if shift else 0}
            text = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
            code = {"Enter": 13, "Tab": 9, "Escape": 27, " ": 32}.get(key)
            if code:
                one["windowsVirtualKeyCode"] = code
            self._send("Input.dispatchKeyEvent", type="keyDown", **one, **text)
            self._send("Input.dispatchKeyEvent", type="keyUp", **one)

    def choose_file(self, selector: str, path: Path) -> None:
        """Give a file to a file input."""
        root = self._send("DOM.getDocument")["root"]["nodeId"]
        node = self._send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._send("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def keep_downloads(self, folder: Path) -> None:
        """Let what the page offers for download arrive in a folder."""
        self._send("Browser.setDownloadBehavior", to_page=False, behavior="allow", downloadPath=str(folder))

    def picture(self, path: Path, whole: bool = True) -> None:
        """Write a PNG of the page."""
        shot = self._send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[str]:
        """Errors the page has caused so far: exceptions, refused loads, violations of its policy."""
        self.run("0")
        found = []
        for event in self.events:
            if event["method"] == "Runtime.exceptionThrown":
                found.append(event["params"]["exceptionDetails"]["text"])
            elif event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                found.append(event["params"]["entry"]["text"])
        return found

    def requests(self) -> list[str]:
        """Addresses the page has asked for, beyond itself and what it holds."""
        self.run("0")
        urls = [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in urls if not url.startswith(("file:", "data:", "blob:"))]

    def _send(self, method: str, to_page: bool = True, **parameters: Any) -> dict[str, Any]:
        number = self._write(method, parameters, to_page)
        end = time.monotonic() + _ANSWER_S
        while True:
            answer = self._receive(end)
            if answer.get("id") == number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return dict(answer["result"])
            if "method" in answer:
                self.events.append(answer)
                if answer["method"] == "Page.javascriptDialogOpening":
                    self._write("Page.handleJavaScriptDialog", {"accept": True}, True)

    def _write(self, method: str, parameters: dict[str, Any], to_page: bool) -> int:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session and to_page:
            message["sessionId"] = self._session
        os.write(self._in, json.dumps(message).encode() + b"\0")
        return self._number

    def _receive(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._out], [], [], max(0.0, end - time.monotonic()))
            block = os.read(self._out, 1 << 16) if ready else b""
            if not block:
                raise AssertionError("Chromium does not answer")
            self._rest += block
        whole, self._rest = self._rest.split(b"\0", 1)
        return dict(json.loads(whole))
