"""Whether each speaker of a call is live: told while it goes on, and once more at its end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the train extra: pip install 'voxid[train]'")

from calls import VOICES, make_call
from level_detector import SPOOF_GAIN, write_detector
from live_service import running
from voices import noise
from voxid.audio import SAMPLE_RATE_HZ, load
from voxid.audit.actors import Actor
from voxid.client import CallFormat, LiveCall
from voxid.diarize.online import LiveOptions, LiveSession, SideSession, SpoofEvent
from voxid.evaluate.oracle_segmenter import OracleSegmenter
from voxid.service.live.call import LiveCall as FollowedCall
from voxid.service.live.call import Place
from voxid.service.live.messages import Start
from voxid.spoof.detector import SpoofDetector
from voxid.timeline import read_rttms

SIDES = ("agent", "customer")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_detector(tmp_path_factory.mktemp("level"))


@pytest.fixture(scope="module")
def detector(folder: Path) -> SpoofDetector:
    return SpoofDetector.load(folder)


@pytest.fixture(scope="module")
def stereo() -> np.ndarray:
    """A call whose customer is so soft that the detector of these tests takes them for a spoof."""
    return np.ascontiguousarray(make_call(-40.0)[0] * np.array([1.0, SPOOF_GAIN]), np.float32)


def judged(session: LiveSession | SideSession, samples: np.ndarray) -> list[SpoofEvent]:
    told = []
    for at in range(0, len(samples), SAMPLE_RATE_HZ):
        session.feed(samples[at : at + SAMPLE_RATE_HZ])
        told += session.judge()
    session.close()
    return told


def test_each_side_has_its_verdict(detector: SpoofDetector, stereo: np.ndarray) -> None:
    """Tentative ones after some seconds of speech, and the same at the end, over all pieces heard."""
    session = SideSession(SIDES, options=LiveOptions(latency_s=1.0), spoof=detector)
    told = judged(session, stereo)
    assert {one.voice for one in told} == {0, 1}
    assert not any(one.final for one in told)
    assert min(one.at_s for one in told) < 10
    last = session.closing_verdicts
    assert [(one.speaker, one.verdict.outcome.value, one.final) for one in last] == [
        ("agent", "genuine", True),
        ("customer", "spoof", True),
    ]
    assert all(one.verdict.pieces for one in last)
    assert last[0].to_dict()["event"] == "spoof"


def test_nothing_is_judged_unless_it_is_asked_for(detector: SpoofDetector, stereo: np.ndarray) -> None:
    """`feed` runs no detector: of each side one piece waits, however much was said; at the end it is heard."""
    session = SideSession(SIDES, options=LiveOptions(latency_s=1.0), spoof=detector)
    session.feed(stereo)
    session.close()
    assert [len(one.verdict.pieces) for one in session.closing_verdicts] == [1, 1]
    silent = SideSession(SIDES)
    silent.feed(stereo[:SAMPLE_RATE_HZ])
    assert silent.judge() == []
    silent.close()
    assert silent.closing_verdicts == ()


def test_a_telephone_line_is_not_asked_about(detector: SpoofDetector, stereo: np.ndarray) -> None:
    """8,000 samples a second cannot hold what the detector needs: it cannot tell, and no network runs to say so."""
    session = SideSession(SIDES, options=LiveOptions(latency_s=1.0), rate_hz=8_000, spoof=detector)
    judged(session, stereo[::2])
    for one in session.closing_verdicts:
        assert (one.verdict.outcome.value, one.verdict.llr) == ("cannot_tell", None)
        assert "8,000 samples a second" in one.verdict.reason


def test_pieces_of_a_voice_are_its_own(detector: SpoofDetector) -> None:
    """In a meeting on one channel, who is judged by a piece is who speaks in it; everybody in the timeline is told."""
    samples = load(VOICES / "meeting.opus").samples[: 40 * SAMPLE_RATE_HZ] + noise(40.0, 1e-5, 3)
    truth = next(iter(read_rttms(VOICES / "meeting.rttm").values()))
    options = LiveOptions(latency_s=1.0, hop_s=1.0)
    session = LiveSession(OracleSegmenter(samples, truth), options=options, spoof=detector)
    judged(session, samples)
    timeline = session.timeline()
    assert {one.speaker for one in session.closing_verdicts} == set(timeline.speakers)
    assert sum(bool(one.verdict.pieces) for one in session.closing_verdicts) >= 2
    for one in session.closing_verdicts:
        for start_s, end_s, _ in one.verdict.pieces:
            others = [turn for turn in timeline.turns if turn.speaker != one.speaker]
            shared_s = sum(max(0.0, min(end_s, t.end_s) - max(start_s, t.start_s)) for t in others)
            assert shared_s <= 0.2 * (end_s - start_s), (one.speaker, start_s, end_s)


def test_verdicts_come_over_the_socket(tmp_path: Path, folder: Path, stereo: np.ndarray) -> None:
    """Beside the turns, each replacing the one before; the audit log has the outcomes, the metrics count them."""
    wanted = CallFormat(SAMPLE_RATE_HZ, 2, "float32", channel_names=SIDES, latency_s=1.0, names=False)
    with running(tmp_path, detector=folder) as service:
        with LiveCall(service.url, service.key, wanted) as call:
            told = [
                one
                for at in range(0, len(stereo), 4_000)
                for one in call.send(stereo[at : at + 4_000])
                if one["type"] == "spoof"
            ]
            call.end()
            told += [one for one in call.rest if one["type"] == "spoof"]
        assert {one["voice"]: one["outcome"] for one in told if one["final"]} == {0: "genuine", 1: "spoof"}
        assert call.verdicts[1]["speaker"] == "customer"
        assert all(("pieces" in one) == one["final"] for one in told)
        log = service.service.tenants.get("default").store.audit()
        ended = [one.entry for one in log.events() if one.entry.act == "live.ended"]
        assert ended[-1].facts["spoof"] == ["genuine", "spoof"]
        assert (
            b'voxid_spoof_verdicts_total{outcome="spoof",purpose="live"} 1.0'
            in service.service.metrics.text()
        )
        with LiveCall(service.url, service.key, replace(wanted, spoof=False)) as call:
            call.send(stereo[: 8 * SAMPLE_RATE_HZ])
            call.end()
        assert call.verdicts == {}


def test_calls_that_wait_are_heard_before_anybody_is_judged(
    tmp_path: Path, folder: Path, stereo: np.ndarray
) -> None:
    """Verdicts then come every 20 s only, and at the end; where nobody waits they come when enough was said."""
    start = Start.model_validate(
        {
            "type": "start",
            "sample_rate_hz": 16_000,
            "encoding": "float32",
            "channels": 2,
            "channel_names": SIDES,
            "latency_s": 1.0,
            "names": False,
        }
    )
    sound = np.tile(stereo, (3, 1))[: 24 * SAMPLE_RATE_HZ].astype("<f4")
    first_s = {}
    with running(tmp_path, detector=folder) as service:
        tenant = service.service.tenants.get("default")
        for busy in (False, True):
            place = Place(tenant, Actor("system", "test"), f"call-{busy}", "token")
            call = FollowedCall(place, start, service.service.inference, lambda: None, lambda _: None)
            told = []
            for at in range(0, len(sound), SAMPLE_RATE_HZ):
                call.put(sound[at : at + SAMPLE_RATE_HZ].tobytes())
                while call.hear(lambda busy=busy: busy):
                    pass
                told += [one["at_s"] for one in call.journal.since(0) if one["type"] == "spoof"]
            first_s[busy] = min(told)
            call.end("done")
            call.hear(lambda: True)
            last = [one for one in call.journal.since(0) if one["type"] == "spoof" and one["final"]]
            assert [one["outcome"] for one in last] == ["genuine", "spoof"]
    assert first_s[False] < 10
    assert 20 <= first_s[True] <= 22
