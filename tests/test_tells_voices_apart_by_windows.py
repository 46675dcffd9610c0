"""The usual middle of the pipeline, given what a network that never errs would hear in the sample meeting."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from voxid.audio import Waveform, load
from voxid.bundle import default_bundle
from voxid.diarize.combined import HeardWindows, follow, hear, join, purity
from voxid.diarize.gating import count_voices, find_speech, gate
from voxid.diarize.local import find_voices
from voxid.diarize.naming import label_turns
from voxid.diarize.options import DiarizeOptions, SpeakerCount
from voxid.diarize.segmentation import LocalActivity
from voxid.diarize.windows import Windows
from voxid.embedding import Embedder, get_embedder
from voxid.errors import InputError
from voxid.evaluate.diarization import evaluate_diarization_set
from voxid.evaluate.systems import speaking, true_activity
from voxid.features import frame_count
from voxid.timeline import Timeline, read_rttms

VOICES = Path(str(resources.files("voxid") / "data" / "voices"))


def heard_by(truth: Timeline, n_frames: int, seed: int = 0) -> LocalActivity:
    """Return the truth as chunks, their voices in another order in each."""
    activity = true_activity(speaking(truth, truth.speakers, n_frames))
    rng = np.random.default_rng(seed)
    mixed = [chunk[:, rng.permutation(chunk.shape[1])] for chunk in activity.probability]
    return LocalActivity(np.stack(mixed), activity.start_frames, n_frames)


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return get_embedder(default_bundle())


@pytest.fixture(scope="module")
def meeting() -> tuple[Waveform, Timeline]:
    return load(VOICES / "meeting.opus"), next(iter(read_rttms(VOICES / "meeting.rttm").values()))


@pytest.fixture(scope="module")
def heard(meeting: tuple[Waveform, Timeline], embedder: Embedder) -> HeardWindows:
    waveform, truth = meeting
    activity = heard_by(truth, frame_count(waveform.samples.size))
    options = DiarizeOptions()
    return hear(waveform, activity, find_speech(waveform, activity, options), embedder, options)


def test_the_meeting_comes_back(
    heard: HeardWindows, embedder: Embedder, meeting: tuple[Waveform, Timeline]
) -> None:
    """Overlap too: the truth has some, and little of it is missed."""
    waveform, truth = meeting
    drawn = join(heard, embedder, SpeakerCount(), DiarizeOptions())
    assert drawn.clustering.n_speakers == len(truth.speakers)
    found = Timeline(label_turns(drawn.turns, {}), waveform.duration_s, "meeting")
    report = evaluate_diarization_set({"meeting": truth}, {"meeting": found}, resamples=2).to_dict()
    assert report["protocols"]["collar_0_overlap"]["der"]["value"] < 0.03
    assert sum(s.duration_s for s in found.overlaps()) > 0.8 * sum(s.duration_s for s in truth.overlaps())
    assert drawn.turns[0].speaker == 0
    assert all(turn.confidence is not None and 0 <= turn.confidence <= 1 for turn in drawn.turns)


@pytest.mark.parametrize("count", [1, 2, 6])
def test_a_count_that_is_given_is_met(heard: HeardWindows, embedder: Embedder, count: int) -> None:
    drawn = join(heard, embedder, SpeakerCount(count, count), DiarizeOptions())
    assert len({turn.speaker for turn in drawn.turns}) == count


def test_voices_are_counted_in_every_step() -> None:
    """Where chunks disagree the mean says so."""
    probability = np.zeros((2, 500, 4), np.float16)
    probability[:, :, 0] = 1.0
    probability[0, 250:, 1] = 1.0
    count = count_voices(LocalActivity(probability, np.array([0, 500]), 1_500))
    assert count.shape == (750,)
    assert np.allclose(count[:250], 1.0)
    assert 1.0 < count[375] < 2.0
    assert np.allclose(count[500:], 1.0)


def test_a_window_with_two_voices_is_not_pure() -> None:
    probability = np.zeros((1, 500, 4), np.float16)
    probability[0, :250, 0] = 1.0
    probability[0, 250:, 1] = 1.0
    windows = Windows(np.array([[0, 100], [450, 550], [480, 580]]), np.full(3, 100), np.ones(3, np.bool_))
    found = purity(LocalActivity(probability, np.array([0]), 1_000), windows)
    np.testing.assert_allclose(found, [1.0, 0.5, 0.8])


def test_voices_of_a_chunk_follow_different_speakers() -> None:
    """Both voices are heard mostly along the path of speaker 0; only one may be that speaker."""
    probability = np.zeros((1, 500, 4), np.float16)
    probability[0, :300, 2] = 1.0
    probability[0, 300:450, 1] = 1.0
    activity = LocalActivity(probability, np.array([0]), 1_000)
    path = np.zeros(500, np.int64)
    path[430:450] = 1
    path[450:] = -1
    found = find_voices(activity)
    labels = dict(zip(found.voice.tolist(), follow(activity, found, path, 2).tolist(), strict=True))
    assert labels == {2: 0, 1: 1}


def test_silence_is_refused(embedder: Embedder) -> None:
    waveform = Waveform(np.zeros(160_000, np.float32), "silence", "", 16_000)
    silent = LocalActivity(np.zeros((1, 500, 4), np.float16), np.array([0]), 998)
    with pytest.raises(InputError, match="no speech in it"):
        hear(waveform, silent, np.zeros(499, np.bool_), embedder, DiarizeOptions())


def test_what_speech_detection_misses_the_network_may_add_beside_it() -> None:
    """A word that is cut off is whole again; noise far from any word stays noise, however certain the network is."""
    meeting = load(VOICES / "meeting.opus")
    n_frames = frame_count(meeting.samples.size)
    silent = LocalActivity(np.zeros((1, n_frames // 2, 4), np.float16), np.array([0]), n_frames)
    detected = find_speech(meeting, silent, DiarizeOptions())
    certain = LocalActivity(np.ones((1, n_frames // 2, 4), np.float16), np.array([0]), n_frames)
    speech = find_speech(meeting, certain, DiarizeOptions())
    assert (speech >= detected).all()
    distance = np.abs(np.flatnonzero(speech)[:, None] - np.flatnonzero(detected)[None]).min(axis=1)
    assert distance.max() == 10
    noise = Waveform(
        0.01 * np.random.default_rng(0).standard_normal(16_000).astype(np.float32), "", "", 16_000
    )
    assert not find_speech(
        noise, LocalActivity(np.ones((1, 49, 4), np.float16), np.array([0]), 98), DiarizeOptions()
    ).any()


def test_where_there_is_no_speech_nobody_is_heard() -> None:
    """Chunks that overlap are silenced at the same moments, and beyond the end."""
    activity = LocalActivity(np.ones((2, 500, 4), np.float16), np.array([0, 500]), 1_200)
    speech = np.zeros(600, np.bool_)
    speech[300:400] = True
    heard = gate(activity, speech).probability[:, :, 0] > 0
    assert np.flatnonzero(heard[0]).tolist() == list(range(300, 400))
    assert np.flatnonzero(heard[1]).tolist() == list(range(50, 150))
