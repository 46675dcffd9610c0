"""A canary: a name, keys, scores and audio go through the real service; logs, metrics and traces hold none of them."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from served import clip, serving
from voxid.audio import SAMPLE_RATE_HZ, load
from voxid.recognize import Gallery
from voxid.service.logs import start_logging
from voxid.service.settings import OperationsSettings

NAME = "Zyxcanary Quillfeather"
WORD = "zyxcanary"
SECRET = "vxk_default_01a20000_zyxcanarysecret"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ6eXhjYW5hcnkifQ.enl4Y2FuYXJ5"
PURPOSES = ["verify", "identify", "diarize-name", "watchlist"]
CONSENT = {"purposes": PURPOSES, "evidence": "zyxcanary signed form"}


def recording(number: int) -> bytes:
    """Return a sample recording as WAV, whose samples are searched for as bytes."""
    file = io.BytesIO()
    soundfile.write(file, load(clip("ada", number)).samples, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    return file.getvalue()


@dataclass
class Seen:
    """Everything a service said about itself, and what must not be in it."""

    logs: str = ""
    metrics: str = ""
    traces: str = ""
    secrets: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def all(self) -> dict[str, str]:
        return {"logs": self.logs, "metrics": self.metrics, "traces": self.traces}


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """`voxid serve` in a process of its own, used and misused with the canary."""
    folder = tmp_path_factory.mktemp("canary")
    port, traces = free_port(), folder / "traces.jsonl"
    environ = {
        **os.environ,
        "VOXID_OPERATIONS_LOG_LEVEL": "debug",
        "VOXID_OPERATIONS_TRACE_FILE": str(traces),
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
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=log, text=True)
        assert process.stdout is not None
        key = process.stdout.readline().strip()
        found = Seen(secrets=[key, key.rpartition("_")[2]])
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
                until_up(http)
                drive(http, key, port, found)
                found.metrics = http.get("/metrics", headers={"Authorization": f"Bearer {key}"}).text
        finally:
            process.terminate()
            process.wait(60)
    found.logs = (folder / "log").read_text()
    found.traces = traces.read_text()
    return found


def until_up(http: httpx.Client) -> None:
    for _ in range(600):
        try:
            if http.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("the service did not come up")


def until_done(http: httpx.Client, job: str, headers: dict[str, str]) -> None:
    for _ in range(600):
        if http.get(f"/v1/diarizations/{job}", headers=headers).json()["state"] in ("done", "failed"):
            return
        time.sleep(0.1)
    raise AssertionError("the job did not end")


def talk(port: int, headers: dict[str, str]) -> None:
    """A live call whose side is called after the canary; then a message that is none."""
    start = {"type": "start", "sample_rate_hz": 16_000, "channel_names": [WORD]}
    with connect(f"ws://127.0.0.1:{port}/v1/live?name={WORD}", additional_headers=headers) as call:
        call.send(json.dumps(start))
        call.send(recording(5)[44:64_044])
        call.send(f"{NAME} says nothing in JSON")
        call.send(json.dumps({"type": "end"}))
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            while True:
                call.recv(timeout=10)


def drive(http: httpx.Client, key: str, port: int, seen: Seen) -> None:
    """Use and misuse the service; note what else must not be found."""
    signed_in = {"Authorization": f"Bearer {key}"}
    made = http.post("/v1/people", json={"name": NAME, "consent": CONSENT}, headers=signed_in)
    assert made.status_code == 201, made.text
    person = made.json()["id"]
    begun = http.post("/v1/enrollments", json={"person_id": person}, headers=signed_in).json()
    audio = {**signed_in, "Content-Type": "audio/wav"}
    for number in (1, 2, 3):
        sent = http.post(
            f"/v1/enrollments/{begun['id']}/recordings", content=recording(number), headers=audio
        )
        assert sent.status_code < 300, sent.text
    http.post(f"/v1/enrollments/{begun['id']}/complete", json={}, headers=signed_in)
    decided = http.post(f"/v1/people/{person}/verifications", content=recording(4), headers=audio).json()
    assert decided["outcome"] == "accept", decided
    policy = http.get("/v1/policies", headers=signed_in).json()
    http.put("/v1/policies", json={**policy, "identify_purpose": f"looking for {WORD}"}, headers=signed_in)
    found = http.post("/v1/identifications", content=recording(5), headers=audio).json()
    assert found["candidates"][0]["name"] == NAME, found
    named = {**audio, "Content-Disposition": f'attachment; filename="{WORD}.wav"'}
    job = http.post("/v1/diarizations", content=recording(5), headers=named).json()
    until_done(http, job["id"], signed_in)
    talk(port, signed_in)
    seen.scores += [decided["llr"], found["candidates"][0]["llr"]]
    ask_whether_live(http, person, audio, seen)
    write_about(http, person, job["id"], signed_in, seen)
    # Misuse: the canary in every place a request has.
    http.get("/v1/people", headers={"Authorization": f"Bearer {SECRET}"})
    http.get("/v1/people", headers={"Authorization": f"Bearer {TOKEN}"})
    http.get(f"/v1/people/{WORD}", headers=signed_in)
    http.get(f"/v1/{WORD}?name={WORD}", headers={**signed_in, "X-Request-Id": f"{WORD}-request"})
    http.get("/v1/people", headers={**signed_in, "Cookie": f"voxid_session={WORD}", "User-Agent": WORD})
    http.post("/v1/people", content=f'{{"name": "{NAME}"', headers=signed_in)
    http.post("/v1/people", json={"name": NAME, "consent": CONSENT}, headers=signed_in)
    http.post(f"/v1/people/{person}/verifications", content=NAME.encode(), headers=audio)
    trace = {
        "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01",
        "tracestate": f"v={WORD}",
        "baggage": f"name={WORD}",
    }
    http.get("/v1/people", headers={**signed_in, **trace})
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(f"{WORD} {NAME} nonsense\r\n\r\n".encode())
        raw.recv(100)
    samples = recording(4)[2000:2600]
    seen.secrets += [
        person,
        decided["audio_sha256"],
        samples.hex(),
        base64.b64encode(samples).decode(),
    ]


def ask_whether_live(http: httpx.Client, person: str, audio: dict[str, str], seen: Seen) -> None:
    """A spoof check; a challenge to the person, and a recording that does not answer it."""
    checked = http.post("/v1/spoof-checks", content=recording(5), headers=audio).json()
    signed_in = {"Authorization": audio["Authorization"]}
    told = http.post("/v1/challenges", json={"person_id": person}, headers=signed_in).json()
    address = f"/v1/people/{person}/liveness?challenge={told['id']}"
    answered = http.post(address, content=recording(5), headers=audio).json()
    assert answered["passed"] is False, answered
    seen.secrets += [told["id"], told["text"]]
    seen.scores += [checked["llr"], checked["replay_llr"], answered["spoof"]["llr"]]


def write_about(http: httpx.Client, person: str, job: str, headers: dict[str, str], seen: Seen) -> None:
    """The canary wherever words are kept: corrections, disclosures, watchlists, disputes, settings, exports."""

    def sent(method: str, path: str, body: dict[str, Any], expected: int) -> Any:
        answer = http.request(method, f"/v1{path}", json=body, headers=headers)
        assert answer.status_code == expected, (path, answer.text[:300])
        return answer

    shown = http.get(f"/v1/diarizations/{job}/timeline", headers=headers).json()
    turn = shown["turns"][0]
    line = {
        "start_s": turn["start_s"],
        "end_s": turn["end_s"],
        "old_label": turn["speaker"],
        "new_name": NAME,
    }
    file = {"format": "voxid-corrections", "version": 1, "audio_sha256": shown["audio_sha256"], "uri": WORD}
    address = f"/diarizations/{job}/corrections"
    sent("POST", f"{address}/file", {**file, "corrections": [line]}, 200)
    sent("POST", f"{address}/file", {**file, "corrections": [{**line, "new_name": f"{WORD} nobody"}]}, 404)
    sent("POST", address, {"to": {"name": NAME}, "turns": [1]}, 200)
    given = {"recipient": f"Court of {WORD}", "what": WORD, "basis": f"warrant {WORD}"}
    sent("POST", f"/people/{person}/disclosures", given, 201)
    made = sent("POST", "/watchlists", {"title": WORD, "purpose": f"Calling back {NAME}"}, 201).json()
    sent("PUT", f"/watchlists/{made['id']}/entries/{person}", {"reason": f"asked by {WORD}"}, 200)
    about = {"subject": "timeline", "subject_id": job, "statement": f"{NAME} was not there"}
    dispute = sent("POST", "/disputes", about, 201).json()["id"]
    sent("POST", f"/disputes/{dispute}/resolve", {"outcome": "upheld", "note": WORD}, 200)
    sent("POST", "/opt-outs", {"name": f"{WORD} other"}, 201)
    sent("PUT", "/privacy", {"controller": WORD, "contact": f"{WORD}@example.org", "version": 0}, 200)
    seen.secrets.append(sent("POST", "/keys", {"label": WORD, "scopes": ["verify"]}, 201).json()["key"])
    sent("POST", f"/people/{person}/receipts", {}, 201)
    export = sent("POST", "/exports/gallery", {"passphrase": f"{WORD} passphrase"}, 200).content
    wrong = {**headers, "X-Voxid-Passphrase": f"{WORD}%20other"}
    assert http.post("/v1/imports", content=export, headers=wrong).status_code == 403


def test_nothing_of_the_canary_is_found(seen: Seen) -> None:
    """Neither name, key, token, person id, score, hash of the audio, nor samples in hex or base64."""
    for place, text in seen.all().items():
        assert text, f"no {place} were written, so nothing is proved"
        lowered = text.lower()
        for word in (WORD, "quillfeather"):
            assert word not in lowered, (place, word)
        for secret in (SECRET, TOKEN, *seen.secrets):
            assert secret[:40].lower() not in lowered, (place, secret[:12])
    for score in seen.scores:
        assert not re.search(rf"(?<![\d.]){re.escape(str(score))}(?!\d)", seen.logs + seen.traces), score


def test_every_log_line_is_one_json_object(seen: Seen) -> None:
    """With time, level, logger and message; requests by route."""
    lines = [json.loads(line) for line in seen.logs.splitlines() if line.startswith("{")]
    others = [line for line in seen.logs.splitlines() if not line.startswith("{")]
    assert all(line.startswith(("voxid serves", "This key may")) for line in others), others
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    routes = {line["route"] for line in lines if line["logger"] == "voxid.request"}
    assert {"/v1/people", "/v1/people/{person_id}/verifications", "/v1/live", "unmatched"} <= routes


def test_stages_are_spans_of_their_request(seen: Seen) -> None:
    """The spans of a verification: request around decode, speech, embed and score; a caller's ids are taken up."""
    spans = [json.loads(line) for line in seen.traces.splitlines()]
    by_id = {span["context"]["span_id"]: span for span in spans}
    verify = next(
        span
        for span in spans
        if span["name"] == "POST /v1/people/{person_id}/verifications"
        and span["attributes"]["http.response.status_code"] == 200
    )
    inside = {span["name"] for span in spans if by_id.get(span["parent_id"] or "") is verify}
    assert {"decode", "speech", "embed", "score"} <= inside
    assert any(span["context"]["trace_id"] == "0x" + "ab" * 16 for span in spans)
    known = {
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "voxid.request_id",
        "error.type",
    }
    assert {key for span in spans for key in span["attributes"]} <= known
    assert not any(span["events"] or span["links"] for span in spans)


def test_what_a_defect_says_is_not_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error we did not think of is logged by its class and its place; its message may quote anything."""

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"{NAME} {SECRET}")

    monkeypatch.setattr(Gallery, "verify", broken)
    stream = io.StringIO()
    end = start_logging(OperationsSettings(log_level="debug"), stream)
    try:
        with serving(tmp_path) as served:
            ada = served.enroll("Ada", "ada", 1, 2, 3)
            audio = {"Content-Type": "audio/wav"}
            served.call("POST", f"/people/{ada}/verifications", 500, content=recording(4), headers=audio)
            text = served.http.get("/metrics").text + stream.getvalue()
    finally:
        end()
    assert WORD not in text.lower()
    assert "RuntimeError" in stream.getvalue()
    assert 'code":"defect"' in stream.getvalue()
    assert np.all([json.loads(line) for line in stream.getvalue().splitlines()])
