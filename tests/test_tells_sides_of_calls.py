"""Telephone calls: one speaker per channel, echoes left out, two voices on one channel, and who the agent is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from calls import LATE_SAMPLES, VOICES, clip, make_call
from voices import noise
from voxid.audio import SAMPLE_RATE_HZ
from voxid.cli import main
from voxid.decision import Outcome
from voxid.diarize.telephone import CallPlan, count_channels, diarize_call
from voxid.errors import InputError
from voxid.evaluate.diarization import evaluate_diarization_set
from voxid.gallery import Consent
from voxid.recognize import Gallery
from voxid.timeline import Timeline


def der(truth: Timeline, found: Timeline) -> float:
    report = evaluate_diarization_set({"x": truth}, {"x": found}, resamples=2).to_dict()
    value: float = report["protocols"]["collar_0_overlap"]["der"]["value"]
    return value


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    with Gallery.open(tmp_path_factory.mktemp("gallery") / "people.voxid") as opened:
        naming = Consent({"verify", "diarize-name"}, "synthetic voice")
        for name in ("ada", "bruno"):
            consent = naming if name == "ada" else Consent({"verify"}, "synthetic voice")
            opened.enroll(name.title(), [VOICES / name / f"0{n}.opus" for n in (1, 2)], consent)
        yield opened


@pytest.mark.parametrize("leak_db", [None, -15.0, -20.0, -30.0])
def test_each_channel_is_a_speaker(leak_db: float | None) -> None:
    """Also where the other side leaks in: the echo is no turn, and what is said at once stays with both."""
    stereo, truth = make_call(leak_db)
    call = diarize_call((stereo, SAMPLE_RATE_HZ), CallPlan(("agent", "customer")))
    assert call.timeline.speakers == ("agent", "customer")
    assert call.agent is None
    assert call.timeline.overlaps()
    assert der(truth, call.timeline) < 0.06
    assert not any(turn.named for turn in call.timeline.turns)


def test_a_quiet_side_is_not_an_echo() -> None:
    """A customer 15 dB below the agent, with no leakage at all."""
    stereo, truth = make_call(None, customer_db=-15.0)
    assert der(truth, diarize_call((stereo, SAMPLE_RATE_HZ), CallPlan(("agent", "customer"))).timeline) < 0.06


def test_a_side_that_only_echoes_says_nothing() -> None:
    samples = np.concatenate([clip("ada", 3), clip("ada", 4)])
    stereo = np.stack([samples, 0.1 * np.roll(samples, LATE_SAMPLES)], axis=1)
    call = diarize_call((stereo, SAMPLE_RATE_HZ), CallPlan(()))
    assert call.timeline.speakers == ("CHANNEL_0",)


def test_names_and_the_agent(gallery: Gallery) -> None:
    """Ada, who may be named, takes the place of her channel's name; she is verified as the agent, Bruno is not."""
    stereo, _ = make_call(-20.0)
    source = (stereo, SAMPLE_RATE_HZ)
    call = diarize_call(source, CallPlan(("agent", "customer"), agent="Ada"), gallery=gallery)
    assert call.timeline.speakers == ("Ada", "customer")
    assert call.agent is not None
    assert call.agent.outcome is Outcome.ACCEPT
    swapped = diarize_call(source, CallPlan(("customer", "agent"), agent="Ada"), gallery=gallery)
    assert swapped.agent is not None
    assert swapped.agent.outcome is Outcome.REJECT
    stranger = diarize_call(source, CallPlan(("agent", "customer"), agent="Zoe"), gallery=gallery)
    assert stranger.agent is not None
    assert stranger.agent.outcome is Outcome.NOT_ENROLLED


def test_an_agent_who_says_nothing_is_not_accepted(gallery: Gallery) -> None:
    samples = clip("ada", 3)
    stereo = np.stack([noise(60, 1e-4)[: len(samples)], samples], axis=1)
    call = diarize_call((stereo, SAMPLE_RATE_HZ), CallPlan((), agent="Ada"), gallery=gallery)
    assert call.agent is not None
    assert call.agent.outcome is Outcome.NOT_ENOUGH_SPEECH
    assert not call.agent


@pytest.mark.parametrize(
    ("channels", "names", "code", "sentence"),
    [
        (1, ("agent", "customer"), "channels_missing", "the recording has one channel"),
        (2, ("a", "b", "c"), "channels_invalid", "has 2 channels and 3 names"),
        (3, ("a", "b"), "channels_invalid", "has 3 channels and 2 names"),
    ],
)
def test_channels_and_names_must_fit(
    channels: int, names: tuple[str, ...], code: str, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "call.wav"
    soundfile.write(path, np.zeros((16_000, channels)), 16_000)
    assert count_channels(path) == channels
    with pytest.raises(InputError, match=sentence) as caught:
        diarize_call(path, CallPlan(names))
    assert caught.value.code == code


def test_two_channels_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="expected a name of its own for each") as caught:
        CallPlan(("agent", "agent"))
    assert caught.value.code == "channels_invalid"


def test_an_agent_needs_a_gallery() -> None:
    with pytest.raises(InputError, match="there is no gallery") as caught:
        diarize_call((np.zeros((16_000, 2), np.float32), 16_000), CallPlan((), agent="Ada"))
    assert caught.value.code == "agent_needs_gallery"


@pytest.mark.parametrize("samples", [np.zeros((16_000, 2), np.float32), np.zeros((8_000, 2), np.float32)])
def test_silence_on_every_channel(samples: np.ndarray) -> None:
    with pytest.raises(InputError, match="no speech on any of 2 channels") as caught:
        diarize_call((samples, 16_000), CallPlan(()))
    assert caught.value.code == "no_speech"


def test_not_finite_samples() -> None:
    with pytest.raises(InputError) as caught:
        diarize_call((np.full((16_000, 2), np.nan, np.float32), 16_000), CallPlan(()))
    assert caught.value.code == "audio_not_finite"


def test_who_shows_sides_and_agent(
    gallery: Gallery,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The timeline is the same for every agent; the decision stands beside it and gives the exit code."""
    monkeypatch.chdir(tmp_path)
    stereo, _ = make_call(-20.0)
    soundfile.write("call.wav", stereo, SAMPLE_RATE_HZ)
    asked = ["who", "call.wav", "--channels", "agent,customer", "--gallery", str(gallery.path), "--json"]
    codes, told = [], []
    for agent in ("Ada", "Bruno"):
        codes.append(main([*asked, "--agent", agent, "--rttm", f"{agent}.rttm"]))
        told.append(json.loads(capsys.readouterr().out))
    assert codes == [0, 1]
    assert [one["agent"]["outcome"] for one in told] == ["accept", "reject"]
    assert told[0]["turns"] == told[1]["turns"]
    assert Path("Ada.rttm").read_bytes() == Path("Bruno.rttm").read_bytes()
    assert main(asked) == 0
    assert "agent" not in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("flags", "code", "sentence"),
    [
        (("--by-channel", "--telephone"), "call_options_contradict", "--by-channel and --telephone"),
        (("--channels", "a,b", "--channel", "0"), "call_options_contradict", "--channels and --channel"),
        (("--telephone", "--speakers", "3"), "call_options_contradict", "--telephone and --speakers"),
        (("--agent", "Ada"), "agent_without_call", "without saying how the call is recorded"),
        (("--channels", "a,,b"), "channels_invalid", "a name of its own for each"),
    ],
)
def test_who_refuses_calls_that_contradict_themselves(
    flags: tuple[str, ...], code: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["who", "no such file.wav", *flags, "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["error"] == code
    assert sentence in told["message"]


def test_two_voices_on_one_channel(gallery: Gallery) -> None:
    """Exactly two; the agent is the voice more like her, and somebody who is neither is not accepted."""
    stereo, _ = make_call(None)
    source = (stereo.mean(axis=1), SAMPLE_RATE_HZ)
    call = diarize_call(source, CallPlan(None, agent="Ada"), gallery=gallery)
    assert len(call.timeline.speakers) == 2
    assert call.agent is not None
    assert call.agent.outcome is Outcome.ACCEPT
    absent = diarize_call(
        (clip("clara", 3), SAMPLE_RATE_HZ), CallPlan(None, agent="Ada"), gallery=gallery
    ).agent
    assert absent is not None
    assert not absent
