"""Live calls over a real WebSocket: what is told, what is refused, and what becomes of broken connections."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from calls import make_call
from live_service import Running, running
from voxid.audio import SAMPLE_RATE_HZ
from voxid.client import CallFormat, Client, LiveCall
from voxid.errors import InputError, PolicyError, StoreError
from voxid.gallery import Consent
from voxid.service.live.journal import Journal
from voxid.service.live.messages import Start, decode
from voxid.service.settings import LiveLimits

SIDES = CallFormat(SAMPLE_RATE_HZ, 2, "float32", channel_names=("agent", "customer"), latency_s=1.0)
START = {"type": "start", "sample_rate_hz": 8_000, "encoding": "pcm_s16le", "channels": 1}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("data")) as found:
        yield found


@pytest.fixture(scope="module")
def stereo() -> np.ndarray:
    return make_call(-20.0)[0]


def pieces(samples: np.ndarray, size: int = 8_000) -> Iterator[np.ndarray]:
    for at in range(0, len(samples), size):
        yield samples[at : at + size]


def places(turns: list[Any]) -> list[tuple[float, float, str]]:
    return sorted((turn.start_s, turn.end_s, turn.speaker) for turn in turns)


def dial(service: Running, key: str | None = None) -> ClientConnection:
    headers = {"Authorization": f"Bearer {key or service.key}"}
    return connect(
        service.url.replace("http", "ws") + "/v1/live", additional_headers=headers, compression=None
    )


def gathered(call: LiveCall, count: int, within_s: float = 60.0) -> list[dict[str, Any]]:
    """Return the next messages, so many of them."""
    found: list[dict[str, Any]] = []
    end_s = time.monotonic() + within_s
    while len(found) < count and time.monotonic() < end_s:
        message = call._next(1.0)
        found += [message] if message is not None else []
    return found


def until(holds: Any, within_s: float = 60.0) -> None:
    end_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def acts(service: Running) -> list[tuple[str, str]]:
    log = service.service.tenants.get("default").store.audit()
    return [(one.entry.act, one.entry.outcome) for one in log.events() if one.entry.act.startswith("live.")]


def test_a_call_is_told_named_and_drawn_whole(service: Running, stereo: np.ndarray) -> None:
    """Ada is named with her id, the events add up to the timeline, quality is told, and both ends are in the audit."""
    before = len(acts(service))
    with LiveCall(service.url, service.key, SIDES) as call:
        told = [message for piece in pieces(stereo) for message in call.send(piece)]
        timeline = call.end()
        told += call.rest
    assert {turn.speaker for turn in timeline} == {"Ada", "customer"}
    ada = next(turn for turn in timeline if turn.named)
    assert ada.person_id == service.service.tenants.get("default").gallery.get("Ada").id
    assert ada.llr is not None
    assert ada.llr == round(ada.llr, 2)
    assert {"tentative", "final", "quality"} <= {message["type"] for message in told}
    last = {message["turn_id"]: message for message in told if "turn_id" in message}
    standing = [m for m in last.values() if not m["withdrawn"]]
    assert sorted((m["start_s"], m["end_s"], m["speaker"]) for m in standing) == places(timeline)
    assert [m["sequence"] for m in told] == sorted(m["sequence"] for m in told)
    assert acts(service)[before:] == [("live.started", "done"), ("live.ended", "done")]
    assert len(service.calls) == 0


@pytest.mark.parametrize("layout", ["sides", "mixed"])
def test_the_people_of_a_list_are_looked_for(service: Running, stereo: np.ndarray, layout: str) -> None:
    """A hit is told once, as a number; who it is, a reviewer is told. It takes no naming, and a scope of its own."""
    tenant = service.service.tenants.get("default")
    ada = tenant.gallery.renew_consent("Ada", Consent({"verify", "diarize-name", "watchlist"}, "voice")).id
    with httpx.Client(base_url=f"{service.url}/v1") as http:
        http.headers["Authorization"] = f"Bearer {service.key_for('default', 'watchlists', 'review')}"
        made = {"title": "Call back", "purpose": "Calling back, on their own wish (form 9)"}
        watchlist = http.post("/watchlists", json=made).json()["id"]
        http.put(f"/watchlists/{watchlist}/entries/{ada}", json={"reason": "asked"}).raise_for_status()
        wanted = replace(SIDES, names=False, watchlist=watchlist, layout=layout)
        with pytest.raises(InputError, match="needs the scope 'watchlists'"):
            LiveCall(service.url, service.key, wanted).__enter__()
        with LiveCall(service.url, service.key_for("default", "live", "watchlists"), wanted) as call:
            told = [message for piece in pieces(stereo) for message in call.send(piece)]
            timeline = call.end()
            told += call.rest
        assert not any(turn.named for turn in timeline)
        (hit,) = (message for message in told if message["type"] == "watchlist")
        assert (hit["hits"], "Ada" in json.dumps(hit)) == (1, False)
        review = http.get(f"/reviews/{hit['review_ids'][0]}").json()
        assert (review["person_id"], review["subject"]) == (ada, "watchlist_hit")
        assert review["about"]["watchlist_id"] == watchlist
        assert 0 < review["about"]["heard_s"] <= len(stereo) / SAMPLE_RATE_HZ
        http.delete(f"/watchlists/{watchlist}").raise_for_status()
    with pytest.raises(InputError, match="There is no watchlist of this id"):
        LiveCall(service.url, service.key_for("default", "live", "watchlists"), wanted).__enter__()
    ended = tenant.store.audit().events(act="live.ended", limit=1000)[-1].entry
    assert (ended.facts["watchlist"], ended.facts["hits"], ended.facts["purpose"]) == (watchlist, 1, None)


def test_a_broken_connection_is_taken_up_again(service: Running, stereo: np.ndarray) -> None:
    """Who comes back hears what was missed, sends on from what arrived, and gets the timeline of the whole call."""
    with LiveCall(service.url, service.key, SIDES) as call:
        for piece in pieces(stereo):
            call.send(piece)
        whole = call.end()
    with LiveCall(service.url, service.key, SIDES) as call:
        for piece in pieces(stereo[: len(stereo) // 2]):
            call.send(piece)
        call._socket.close_socket()  # the line is cut, without a word
        with pytest.raises(StoreError, match="connection to the service broke") as caught:
            call.send(stereo)
        assert caught.value.code == "live_connection_lost"
        at = call.resume()
        assert at <= len(stereo) // 2  # what was still on its way may be lost with the line
        for piece in pieces(stereo[at:]):
            call.send(piece)
        assert places(call.end()) == places(whole)


def test_a_call_is_followed_by_one_connection_at_a_time(tmp_path: Path) -> None:
    """Who resumes takes it over: the connection before is closed, and its end does not end the call."""
    with (
        running(tmp_path, LiveLimits(resume_s=0.2)) as service,
        LiveCall(service.url, service.key, SIDES) as call,
    ):
        before = call._socket
        call._socket = dial(service)  # closed by the resumption in place of the one that is open
        call.resume()
        with pytest.raises(ConnectionClosed) as closed:
            before.recv(timeout=60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4409
        time.sleep(0.5)
        assert len(service.calls) == 1
        call.send(np.zeros((8_000, 2), np.float32))
        assert call.end() == []


def test_two_voices_on_a_telephone_line(service: Running, stereo: np.ndarray) -> None:
    """8 kHz mu-law on one channel, as a SIP trunk brings it; nobody is named who is not to be."""
    samples = np.clip(stereo.sum(axis=1)[: 16 * SAMPLE_RATE_HZ : 2], -1, 1)
    magnitude = np.log1p(255 * np.abs(samples)) / np.log(256)
    code = np.minimum((magnitude * 128).astype(np.int32), 127)
    mulaw = (~(code | np.where(samples < 0, 0x80, 0)) & 0xFF).astype(np.uint8).tobytes()
    wanted = CallFormat(8_000, encoding="mulaw", names=False)
    with Client(service.url, service.key) as client, client.live(wanted) as call:
        call.send(mulaw)
        timeline = call.end()
    assert timeline
    assert all(turn.speaker.startswith("SPEAKER_") for turn in timeline)
    assert all(turn.person_id is None for turn in timeline)


def test_who_may_not_is_told_why(service: Running) -> None:
    """Before the connection is opened, as problem+json; a token helps nobody but who started the call."""
    for key, code in (("vxk_default_nobody_00", "credentials_invalid"), ("", "credentials_missing")):
        with pytest.raises(PolicyError) as caught, LiveCall(service.url, key, SIDES):
            pass
        assert caught.value.code == code
    with (
        pytest.raises(PolicyError, match="needs the scope 'live'"),
        LiveCall(service.url, service.key_for("default", "verify"), SIDES),
    ):
        pass
    refused = service.service.tenants.get("default").store.audit().events(act="access.refused")
    assert [one.entry.facts["scope"] for one in refused] == ["live"]
    with LiveCall(service.url, service.key, SIDES) as call:
        for key in (service.key_for("other", "live"), service.key_for("default", "live")):
            with dial(service, key) as socket:
                socket.send(json.dumps({"type": "resume", "token": call._token}))
                assert json.loads(socket.recv())["code"] == "live_call_missing"
        assert call.end() == []


@pytest.mark.parametrize(
    ("first", "code", "sentence"),
    [
        (b"\x00\x00", "live_not_started", "The first message starts or resumes a call"),
        ("{", "live_message_invalid", "it is not JSON"),
        (json.dumps({"type": "end"}), "live_not_started", "starts or resumes"),
        (json.dumps(START | {"sample_rate_hz": 10}), "live_message_invalid", "sample_rate_hz"),
        (json.dumps(START | {"name": "Ada"}), "live_message_invalid", "name: Extra inputs"),
        (json.dumps(START | {"latency_s": 0.7}), "latency_invalid", "expected 0.5 to 5 s in halves"),
        (
            json.dumps(START | {"layout": "sides", "channel_names": ["a", "b"]}),
            "live_message_invalid",
            "2 names",
        ),
    ],
)
def test_a_first_message_that_starts_nothing(
    service: Running, first: str | bytes, code: str, sentence: str
) -> None:
    with dial(service) as socket:
        socket.send(first)
        answer = json.loads(socket.recv())
        assert (answer["type"], answer["code"]) == ("problem", code)
        assert sentence in answer["detail"]
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4400


def test_bad_audio_is_left_out_and_the_call_goes_on(service: Running) -> None:
    with LiveCall(service.url, service.key, CallFormat(16_000, encoding="float32")) as call:
        # What is told while sending comes back from `send`, the rest with `end`: when is chance.
        sent = (b"\x00" * 6, np.full(160, np.nan, np.float32), np.zeros(16_000, np.float32))
        told = [message for data in sent for message in call.send(data)]
        assert call.end() == []
    problems = [one["code"] for one in (*told, *call.rest) if one["type"] == "problem"]
    assert problems == ["live_audio_invalid", "audio_not_finite"]


def test_a_client_that_does_not_read_harms_nobody(tmp_path: Path, stereo: np.ndarray) -> None:
    """It is cut off and its call is waited for; another call meanwhile is told in time; both may be ended."""
    with running(tmp_path, LiveLimits(send_s=0.5, behind_s=4.0)) as service:
        deaf = dial(service)
        deaf.send(json.dumps(START | {"sample_rate_hz": 16_000}))
        deaf.recv()
        call = service.calls.of("default")[0]
        filler = [{"type": "quality", "at_s": 0.0, "filler": "x" * 100_000}]
        call.journal.add(filler * 200)  # 20 MB: more than the buffers between the two hold
        deaf.send(np.zeros(8_000, np.int16).tobytes())
        with LiveCall(service.url, service.key, SIDES) as other:
            for piece in pieces(stereo[: 6 * SAMPLE_RATE_HZ]):
                other.send(piece)
            assert other.end()
        until(lambda: next(iter(service.calls._calls.values())).parked is not None)
        deaf.close_socket()
        assert len(service.calls) == 1


def test_what_waits_to_be_heard_is_bounded(tmp_path: Path, stereo: np.ndarray) -> None:
    """A client that sends five minutes at once is read as fast as it is heard, and all of it is heard."""
    with (
        running(tmp_path, LiveLimits(behind_s=2.0)) as service,
        LiveCall(service.url, service.key, CallFormat(SAMPLE_RATE_HZ, 2, "float32", names=False)) as call,
    ):
        most_s = 0.0
        silence = np.zeros((60 * SAMPLE_RATE_HZ, 2), np.float32)
        for piece in pieces(silence, 4_000):
            call.send(piece)
            most_s = max([most_s, *(one.behind_s for one in service.calls.of("default"))])
        assert call.end() == []
        assert most_s <= 2.0 + 0.25


def test_too_many_calls_are_refused(tmp_path: Path) -> None:
    """The one more is told so; those going on are listed; one whose client is gone is ended after a while."""
    with (
        running(tmp_path, LiveLimits(resume_s=0.3, tenant_calls=1)) as service,
        LiveCall(service.url, service.key, SIDES) as call,
    ):
        with (
            pytest.raises(InputError, match="at most 1 may") as caught,
            LiveCall(service.url, service.key, SIDES),
        ):
            pass
        assert caught.value.code == "live_calls_exceeded"
        headers = {"Authorization": f"Bearer {service.key}"}
        listed = httpx.get(f"{service.url}/v1/live", headers=headers, timeout=60).json()
        assert [one["layout"] for one in listed["calls"]] == ["sides"]
        assert listed["next"] is None
        call._socket.close_socket()
        until(lambda: acts(service)[-1] == ("live.ended", "refused:connection_lost"))
        with pytest.raises(InputError, match="There is no call of this token"):
            call.resume()


def test_a_call_of_which_nothing_comes_is_ended(tmp_path: Path) -> None:
    with (
        running(tmp_path, LiveLimits(idle_s=0.3)) as service,
        LiveCall(service.url, service.key, SIDES) as call,
    ):
        told = gathered(call, 2)
        assert [one.get("code", one["type"]) for one in told] == ["live_idle", "timeline"]
        until(lambda: acts(service)[-1] == ("live.ended", "refused:live_idle"))


def test_a_journal_tells_what_was_missed() -> None:
    """Of each turn the last only; past what is kept, a snapshot of all turns that stand."""
    journal = Journal(most_kept=4)
    turn = {"type": "tentative", "withdrawn": False}
    journal.add(
        [turn | {"turn_id": 0, "end_s": 1.0}, turn | {"turn_id": 0, "end_s": 2.0}, {"type": "quality"}]
    )
    assert [(m["sequence"], m.get("end_s")) for m in journal.since(0)] == [(2, 2.0), (3, None)]
    assert journal.since(3) == []
    journal.add([turn | {"turn_id": n} for n in (1, 2, 3)] + [turn | {"turn_id": 2, "withdrawn": True}])
    (snapshot,) = journal.since(1)
    assert snapshot["type"] == "snapshot"
    assert snapshot["sequence"] == 7
    assert [one["turn_id"] for one in snapshot["turns"]] == [0, 1, 3]


def test_mulaw_is_read_as_the_standard_says() -> None:
    """Source: ITU-T G.711, tables 2a and 2b."""
    start = Start(type="start", sample_rate_hz=8_000, encoding="mulaw")
    found = decode(bytes([0xFF, 0x7F, 0x80, 0x00, 0xF0, 0x90]), start)[:, 0]
    assert found.tolist() == [0, 0, 32_124, -32_124, 120, 15_996]
