"""A live call with a channel for each side: what is told while it goes on, and at its end."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from calls import VOICES, make_call
from voxid.audio import SAMPLE_RATE_HZ
from voxid.diarize.online import Event, EventKind, LiveOptions, SideSession
from voxid.diarize.telephone import CallPlan, diarize_call
from voxid.errors import InputError
from voxid.evaluate.diarization import evaluate_diarization_set
from voxid.gallery import Consent
from voxid.recognize import Gallery
from voxid.timeline import Timeline

SIDES = ("agent", "customer")


def der(truth: Timeline, found: Timeline) -> float:
    report = evaluate_diarization_set({"x": truth}, {"x": found}, resamples=2).to_dict()
    value: float = report["protocols"]["collar_0_overlap"]["der"]["value"]
    return value


def follow(session: SideSession, samples: np.ndarray, piece: int = 1_600) -> tuple[list[Event], Timeline]:
    """Return the events of a call and what was known before its last pass."""
    events = [e for at in range(0, len(samples), piece) for e in session.feed(samples[at : at + piece])]
    told = session.timeline()
    session.close()
    return events, told


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    """Ada may be named in timelines; Bruno may only be verified."""
    with Gallery.open(tmp_path_factory.mktemp("gallery") / "people.voxid") as opened:
        for name, purposes in (("ada", {"verify", "diarize-name"}), ("bruno", {"verify"})):
            clips = [VOICES / name / f"0{n}.opus" for n in (1, 2)]
            opened.enroll(name.title(), clips, Consent(purposes, "synthetic voice"))
        yield opened


@pytest.mark.parametrize("leak_db", [None, -15.0, -30.0])
def test_the_end_is_what_the_recording_gives(leak_db: float | None) -> None:
    """Told while it goes on within the edges of words; after the last pass as `voxid who --channels` does."""
    stereo, truth = make_call(leak_db)
    session = SideSession(SIDES)
    _, told = follow(session, stereo)
    assert der(truth, told) < 0.12
    assert der(truth, session.timeline()) < 0.06
    recording = diarize_call((stereo, SAMPLE_RATE_HZ), CallPlan(SIDES)).timeline
    assert der(recording, session.timeline()) < 0.03


def test_names_come_with_consent_only(gallery: Gallery) -> None:
    """Ada is named on the agent's side; Bruno, who may only be verified, stays the customer."""
    stereo, _ = make_call(-20.0)
    session = SideSession(SIDES, gallery=gallery)
    events, _ = follow(session, stereo)
    assert session.timeline().speakers == ("Ada", "customer")
    assert any(event.turn.speaker == "Ada" and event.kind is EventKind.REVISED for event in events)
    assert session.timeline().naming is not None


def test_events_add_up_whatever_the_pieces() -> None:
    """Who keeps the last event of every turn knows the timeline; pieces of another size tell the same."""
    stereo, _ = make_call(-20.0)
    small, large = SideSession(SIDES), SideSession(SIDES)
    events, _ = follow(small, stereo, 333)
    assert [e.to_dict() for e in events] == [e.to_dict() for e in follow(large, stereo, 50_000)[0]]
    last = {event.turn_id: event for event in [*events, *small.closing_events]}
    kept = {event.turn for event in last.values() if not event.withdrawn}
    told = {(round(t.start_s, 2), round(t.end_s, 2), t.speaker) for t in kept}
    assert told == {(round(t.start_s, 2), round(t.end_s, 2), t.speaker) for t in small.timeline().turns}
    assert small.timeline().audio_sha256 == large.timeline().audio_sha256


def test_a_telephone_line_and_more_latency() -> None:
    stereo, _ = make_call(None)
    samples = np.clip(stereo[::2] * 32_767, -32_768, 32_767).astype(np.int16)
    session = SideSession(SIDES, rate_hz=8_000, options=LiveOptions(latency_s=2.0, hop_s=1.0))
    events, _ = follow(session, samples)
    assert session.heard_s == pytest.approx(len(stereo) / SAMPLE_RATE_HZ, abs=0.01)
    assert {event.turn.speaker for event in events} == set(SIDES)
    assert min(event.at_s for event in events) >= 0.0


def test_silence_and_nothing_at_all() -> None:
    for seconds in (0.0, 0.005, 3.0):
        session = SideSession(SIDES)
        events, _ = follow(session, np.zeros((round(seconds * SAMPLE_RATE_HZ), 2), np.float32))
        assert events == []
        assert session.close().turns == ()
        assert session.closing_events == ()


def test_what_cannot_be_heard_is_refused() -> None:
    with pytest.raises(InputError, match="expected a name of its own for each") as caught:
        SideSession(("agent", "agent"))
    assert caught.value.code == "channels_invalid"
    session = SideSession(SIDES)
    with pytest.raises(InputError, match=r"samples of shape \(160, 3\) came; expected \(N, 2\)"):
        session.feed(np.zeros((160, 3), np.float32))
    with pytest.raises(InputError, match="NaN or infinite samples"):
        session.feed(np.full((160, 2), np.nan, np.float32))
    session.feed(np.zeros((160, 2), np.float32))
    assert session.heard_s == 0.01
    session.close()
    with pytest.raises(InputError, match="was closed"):
        session.feed(np.zeros((160, 2), np.float32))
