"""A live session: what it tells while a call goes on, and what it says at the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from voices import noise
from voxid.audio import SAMPLE_RATE_HZ, Waveform, load
from voxid.diarize.online import Event, EventKind, LiveOptions, LiveSession
from voxid.errors import InputError
from voxid.evaluate.diarization import evaluate_diarization_set
from voxid.evaluate.oracle_segmenter import OracleSegmenter
from voxid.gallery import Consent
from voxid.recognize import Gallery
from voxid.timeline import Timeline, Turn, read_rttms

VOICES = Path(str(resources.files("voxid") / "data" / "voices"))


@dataclass
class Followed:
    """A call that was followed to its end."""

    events: list[Event]
    told: Timeline
    final: Timeline
    closing: tuple[Event, ...]


def follow(session: LiveSession, samples: np.ndarray, piece: int = 4_000) -> Followed:
    events = [e for at in range(0, len(samples), piece) for e in session.feed(samples[at : at + piece])]
    told = session.timeline()
    final = session.close()
    return Followed(events, told, final, session.closing_events)


def replayed(events: list[Event]) -> set[Turn]:
    """What somebody knows who kept only the last event of every turn."""
    last: dict[int, Event] = {}
    for event in events:
        last[event.turn_id] = event
    return {event.turn for event in last.values() if not event.withdrawn}


def places(turns: set[Turn]) -> set[tuple[float, float, str]]:
    return {(round(turn.start_s, 2), round(turn.end_s, 2), turn.speaker) for turn in turns}


def der(truth: Timeline, found: Timeline) -> float:
    report = evaluate_diarization_set({"x": truth}, {"x": found}, resamples=2).to_dict()
    value: float = report["protocols"]["collar_0_overlap"]["der"]["value"]
    return value


@pytest.fixture(scope="module")
def meeting() -> tuple[Waveform, Timeline]:
    waveform = load(VOICES / "meeting.opus")
    hiss = noise(waveform.duration_s + 1, 1e-5, 3)[: len(waveform.samples)]
    return replace(waveform, samples=waveform.samples + hiss), next(
        iter(read_rttms(VOICES / "meeting.rttm").values())
    )


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    """Ada may be named in timelines; Bruno may only be verified."""
    with Gallery.open(tmp_path_factory.mktemp("gallery") / "people.voxid") as opened:
        naming = Consent({"verify", "diarize-name"}, "synthetic voice")
        opened.enroll("Ada", [VOICES / "ada" / f"0{n}.opus" for n in (1, 2)], naming)
        verifying = Consent({"verify"}, "synthetic voice")
        opened.enroll("Bruno", [VOICES / "bruno" / f"0{n}.opus" for n in (1, 2)], verifying)
        yield opened


@pytest.fixture(scope="module")
def followed(meeting: tuple[Waveform, Timeline], gallery: Gallery) -> Followed:
    waveform, truth = meeting
    session = LiveSession(OracleSegmenter(waveform.samples, truth), gallery=gallery, uri="meeting")
    return follow(session, waveform.samples)


def test_the_meeting_is_told_while_it_goes_on(followed: Followed, meeting: tuple[Waveform, Timeline]) -> None:
    """Every turn is told within half a second and a hop of its beginning; nearly all of it is right."""
    assert der(meeting[1], followed.told) < 0.12
    first: dict[int, Event] = {}
    for event in followed.events:
        first.setdefault(event.turn_id, event)
    waits = [event.at_s - event.turn.start_s for event in first.values()]
    assert np.median(waits) <= 0.5
    assert np.mean(np.asarray(waits) <= 1.0) > 0.8


def test_the_last_pass_is_as_good_as_hearing_the_recording(
    followed: Followed, meeting: tuple[Waveform, Timeline]
) -> None:
    assert der(meeting[1], followed.final) < 0.02
    assert len(followed.final.speakers) == 4


def test_who_returns_keeps_the_label(followed: Followed, meeting: tuple[Waveform, Timeline]) -> None:
    """In the final timeline every person has one label, however long they were silent."""
    for person in meeting[1].speakers:
        heard = {
            found.speaker
            for turn in meeting[1].turns
            if turn.speaker == person and turn.duration_s > 2
            for found in followed.final.turns
            if found.start_s < turn.end_s - 1 and found.end_s > turn.start_s + 1
        }
        assert len(heard) == 1, person


def test_names_come_with_consent_only(followed: Followed) -> None:
    """Ada is named while the call goes on; Bruno, who may only be verified, stays a stranger."""
    named = {turn.speaker for turn in followed.final.turns if turn.named}
    assert named == {"Ada"}
    assert all(turn.llr is not None for turn in followed.final.turns if turn.named)
    assert any(event.turn.speaker == "Ada" for event in followed.events)
    assert {turn.speaker for turn in followed.final.turns if not turn.named} < {
        f"SPEAKER_{n:02d}" for n in range(10)
    }


def test_events_add_up_to_the_timeline(followed: Followed) -> None:
    """Who keeps the last event of every turn knows what the session knows, before and after the last pass."""
    assert places(replayed(followed.events)) == places(set(followed.told.turns))
    whole = [*followed.events, *followed.closing]
    assert places(replayed(whole)) == places(set(followed.final.turns))


def test_revisions_count_up(followed: Followed) -> None:
    """Every turn starts at revision 0, and each event about it is one higher."""
    revisions: dict[int, list[int]] = {}
    for event in [*followed.events, *followed.closing]:
        revisions.setdefault(event.turn_id, []).append(event.revision)
    for counted in revisions.values():
        assert counted == list(range(len(counted)))


def test_a_new_name_for_a_turn_already_told_is_a_revision(followed: Followed) -> None:
    """No tentative or final event changes the speaker of a turn."""
    speaker: dict[int, str] = {}
    for event in [*followed.events, *followed.closing]:
        before = speaker.get(event.turn_id, event.turn.speaker)
        assert event.turn.speaker == before or event.kind is EventKind.REVISED
        speaker[event.turn_id] = event.turn.speaker


def test_pieces_of_any_size_and_more_latency(meeting: tuple[Waveform, Timeline]) -> None:
    """What is told does not depend on how the samples come; a latency of 2 s tells the same speech 1.5 s later."""
    waveform, truth = meeting
    samples = waveform.samples[: 12 * SAMPLE_RATE_HZ]
    runs = {}
    for latency_s, piece in ((0.5, 137), (0.5, len(samples)), (2.0, 8_000)):
        session = LiveSession(
            OracleSegmenter(waveform.samples, truth), options=LiveOptions(latency_s=latency_s)
        )
        runs[latency_s, piece] = follow(session, samples, piece)
    small, whole, late = runs.values()
    assert [event.to_dict() for event in small.events] == [event.to_dict() for event in whole.events]
    assert small.final == whole.final
    assert small.final.audio_sha256 == whole.final.audio_sha256
    assert late.events[0].turn.end_s <= small.events[0].turn.end_s
    assert max(e.at_s for e in late.events) == pytest.approx(
        max(e.at_s for e in small.events) - 1.5, abs=0.05
    )
    assert places(set(late.final.turns)) == places(set(small.final.turns))


class Deaf:
    """A segmenter that never hears anybody."""

    chunk_frames = 1_000

    def activity(self, features: np.ndarray) -> np.ndarray:
        return np.zeros((len(features), features.shape[1] // 2, 4), np.float32)


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.5, 12.0])
def test_a_call_without_speech_has_no_turns(seconds: float) -> None:
    session = LiveSession(Deaf())
    done = follow(session, np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32))
    assert not done.events
    assert not done.closing
    assert done.final.turns == ()
    assert done.final.duration_s == pytest.approx(seconds)


def test_half_a_second_of_speech(meeting: tuple[Waveform, Timeline]) -> None:
    """The shortest call with somebody in it is one turn."""
    waveform, truth = meeting
    done = follow(
        LiveSession(OracleSegmenter(waveform.samples, truth)), waveform.samples[: round(1.1 * SAMPLE_RATE_HZ)]
    )
    assert [turn.speaker for turn in done.final.turns] == ["SPEAKER_00"]


@pytest.mark.parametrize(
    ("samples", "code", "sentence"),
    [
        (np.array([0.0, np.nan], np.float32), "audio_not_finite", "NaN or infinite samples"),
        (np.array([0.0, 12_000.0], np.float32), "audio_out_of_scale", "samples up to 12,000"),
        (np.zeros((4, 2), np.float32), "audio_not_mono", "expected one channel"),
        (np.zeros(4, np.int64), "audio_unreadable", "no known full scale"),
    ],
)
def test_bad_samples_are_refused_and_the_call_goes_on(samples: np.ndarray, code: str, sentence: str) -> None:
    session = LiveSession(Deaf())
    with pytest.raises(InputError, match=sentence) as caught:
        session.feed(samples)
    assert caught.value.code == code
    session.feed(np.zeros(16_000, np.int16))
    assert session.heard_s == 1.0
    session.close()
    with pytest.raises(InputError, match="was closed") as caught:
        session.feed(np.zeros(160, np.float32))
    assert caught.value.code == "session_closed"


def test_another_rate_is_resampled() -> None:
    session = LiveSession(Deaf(), rate_hz=8_000)
    for _ in range(20):
        session.feed(np.zeros(800, np.float32))
    assert session.close().duration_s == pytest.approx(2.0, abs=0.01)
    with pytest.raises(InputError, match="a sampling rate of 4,000 Hz"):
        LiveSession(Deaf(), rate_hz=4_000)


@pytest.mark.parametrize("latency_s", [0.0, 0.3, 0.7, 5.5, float("nan")])
def test_a_latency_is_halves_of_seconds(latency_s: float) -> None:
    with pytest.raises(InputError, match="expected 0.5 to 5 s in halves"):
        LiveOptions(latency_s=latency_s)


def test_a_longer_hop_tells_the_same_call(meeting: tuple[Waveform, Timeline]) -> None:
    """Every two seconds, at a latency of two: a quarter of the networks' runs, and still right."""
    waveform, truth = meeting
    options = LiveOptions(latency_s=2.0, hop_s=2.0)
    done = follow(
        LiveSession(OracleSegmenter(waveform.samples, truth), options=options), waveform.samples, 8_000
    )
    assert der(truth, done.told) < 0.15
    assert der(truth, done.final) < 0.03
    assert {round(event.at_s % 2.0, 1) for event in done.events} <= {0.0, 2.0}


@pytest.mark.parametrize(("hop_s", "latency_s"), [(0.4, 1.0), (2.5, 5.0), (1.0, 0.5)])
def test_a_hop_is_halves_of_seconds_within_the_latency(hop_s: float, latency_s: float) -> None:
    with pytest.raises(
        InputError, match="expected 0.5 to 2 s in halves, and not more than the latency"
    ) as caught:
        LiveOptions(latency_s=latency_s, hop_s=hop_s)
    assert caught.value.code == "hop_invalid"


class Counting(Deaf):
    """A segmenter that counts how often it is asked."""

    asked = 0

    def activity(self, features: np.ndarray) -> np.ndarray:
        self.asked += 1
        return super().activity(features)


def test_the_network_is_not_asked_about_silence() -> None:
    segmenter = Counting()
    session = LiveSession(segmenter)
    session.feed(np.zeros(20 * SAMPLE_RATE_HZ, np.float32))
    session.close()
    assert segmenter.asked == 0
