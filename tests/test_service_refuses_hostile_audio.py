"""More than two hundred hostile recordings sent to `voxid serve`: a coded answer each, bounded memory, nothing left."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hostile_audio import hostile
from service_app import clips
from voxid.client import Client
from voxid.errors import VoxidError
from voxid.recognize import Gallery

MOST_RSS_MB = 500


@dataclass(frozen=True)
class Served:
    """A service of its own process.

    Args:
        temporary: the folder it would put temporary files into.
    """

    client: Client
    pid: int
    data: Path
    temporary: Path

    def most_rss_mb(self) -> float:
        """Return the most memory the process ever held."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("hostile")
    temporary = folder / "tmp"
    temporary.mkdir()
    port = _free_port()
    environ = {
        **os.environ,
        "TMPDIR": str(temporary),
        "VOXID_LIMITS_MAX_ENROLL_S": "60",
        "VOXID_LIMITS_KEY_PER_MIN": "0",
        "VOXID_LIMITS_TENANT_PER_MIN": "0",
    }
    command = [
        sys.executable,
        "-m",
        "voxid",
        "serve",
        "--data",
        str(folder / "data"),
        "--port",
        str(port),
        "--json",
    ]
    process = subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield Served(_client(process, port), process.pid, folder / "data", temporary)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _client(process: subprocess.Popen[str], port: int) -> Client:
    """Return a client with the key the first start prints, once the service answers."""
    import time

    assert process.stdout is not None
    text = ""
    while "}" not in text:
        text += process.stdout.readline()
    client = Client(f"http://127.0.0.1:{port}", json.loads(text)["key"])
    for _ in range(300):
        try:
            client.models()
        except VoxidError:
            time.sleep(0.1)
        else:
            return client
    raise AssertionError("the service did not answer within 30 s")


def test_hostile_recordings_are_answered_and_leave_nothing(served: Served) -> None:
    """None is a crash or a defect; a true recording is enrolled afterwards as if nothing had been."""
    client = served.client
    person = client.add_person("Ada", {"verify"}, "signed form 17")
    enrollment = client.begin_enrollment(person.id)
    said: Counter[str] = Counter()
    for name, content in hostile():
        try:
            last = client.send_recording(enrollment.id, content).last
            assert last is not None, name
            assert math.isfinite(last.net_speech_s + last.clipping_share + (last.snr_db or 0.0)), name
            said[last.verdict] += 1
        except VoxidError as error:
            said[error.code] += 1
            assert error.code not in ("defect", "service_failed", "service_unreachable"), (name, error)
    assert said.total() >= 200
    assert served.most_rss_mb() < MOST_RSS_MB, said
    assert [path for path in served.temporary.iterdir() if not path.name.startswith(".")] == []
    client.give_up_enrollment(enrollment.id)
    fresh = client.begin_enrollment(person.id)
    for clip in clips("ada", 1, 2):
        client.send_recording(fresh.id, clip)
    client.complete_enrollment(fresh.id)
    assert client.verify(person.id, clips("ada", 3)[0])
    with Gallery.open(
        served.data / "tenants" / "default.voxid", key=served.data / "master.key", create=False
    ) as gallery:
        record = gallery.stored()[0].read(person.id)
        assert record is not None
        assert all(
            math.isfinite(value) for print_ in record.voiceprints for value in print_.embedding.tolist()
        )


FORMS = {
    "no boundary": ("multipart/form-data", b"x"),
    "empty": ("multipart/form-data; boundary=b", b""),
    "no audio part": (
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--b--\r\n',
    ),
    "cut": ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="audio"\r\n'),
    "endless header": ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: " + b"a" * 100_000),
    "text": ("text/plain", b"hello"),
    "form": ("application/x-www-form-urlencoded", b"audio=1"),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_that_cannot_be_read_are_refused(served: Served, form: str) -> None:
    """A form without its recording, cut, or with a head that never ends is a problem with a code."""
    import httpx

    kind, body = FORMS[form]
    client = served.client
    client.change_policy(identify_purpose="Testing forms that cannot be read")
    answer = httpx.post(
        f"{client.address}/v1/identifications",
        headers={**client.headers, "Content-Type": kind},
        content=body,
        timeout=30,
    )
    assert answer.status_code in (415, 422), answer.text
    assert answer.json()["code"] in ("media_type_unsupported", "request_invalid", "audio_empty")


def test_a_browsers_form_is_taken(served: Served) -> None:
    """The part "audio" of a form is the recording."""
    import httpx

    client = served.client
    client.change_policy(identify_purpose="Testing the forms of browsers")
    with clips("ada", 4)[0].open("rb") as file:
        answer = httpx.post(
            f"{client.address}/v1/identifications",
            headers=client.headers,
            data={"note": "before the file"},
            files={"audio": ("a.opus", file, "audio/ogg")},
            timeout=30,
        )
    assert answer.status_code == 200, answer.text
