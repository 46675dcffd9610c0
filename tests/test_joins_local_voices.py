"""Chunks to turns, given what a network that never errs would hear in the sample meeting."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from voxid.audio import Waveform, load
from voxid.bundle import default_bundle
from voxid.diarize.options import DiarizeOptions, SpeakerCount
from voxid.diarize.segmentation import LocalActivity
from voxid.diarize.segmented import HeardVoices, at_least_heard, hear, join
from voxid.embedding import Embedder, get_embedder
from voxid.errors import InputError
from voxid.evaluate.diarization import evaluate_diarization_set
from voxid.evaluate.systems import speaking, true_activity
from voxid.features import frame_count
from voxid.timeline import Timeline, Turn, read_rttms

VOICES = Path(str(resources.files("voxid") / "data" / "voices"))


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return get_embedder(default_bundle())


@pytest.fixture(scope="module")
def meeting() -> tuple[Waveform, Timeline]:
    return load(VOICES / "meeting.opus"), next(iter(read_rttms(VOICES / "meeting.rttm").values()))


@pytest.fixture(scope="module")
def heard(meeting: tuple[Waveform, Timeline], embedder: Embedder) -> HeardVoices:
    waveform, truth = meeting
    active = speaking(truth, truth.speakers, frame_count(waveform.samples.size))
    return hear(waveform, true_activity(active), embedder)


def test_the_meeting_comes_back(
    heard: HeardVoices, embedder: Embedder, meeting: tuple[Waveform, Timeline]
) -> None:
    drawn = join(heard, embedder, SpeakerCount(), DiarizeOptions())
    assert drawn.clustering.n_speakers == 4
    turns = tuple(Turn(t.segment, f"SPEAKER_{t.speaker:02d}", confidence=t.confidence) for t in drawn.turns)
    found = Timeline(turns, meeting[0].duration_s, "meeting")
    report = evaluate_diarization_set({"meeting": meeting[1]}, {"meeting": found}, resamples=2).to_dict()
    assert report["protocols"]["collar_0_overlap"]["der"]["value"] < 0.02
    assert drawn.turns[0].speaker == 0


@pytest.mark.parametrize("count", [1, 2, 6])
def test_a_count_that_is_given_is_met(heard: HeardVoices, embedder: Embedder, count: int) -> None:
    drawn = join(heard, embedder, SpeakerCount(count, count), DiarizeOptions())
    assert drawn.clustering.n_speakers == count
    assert drawn.clustering.confidence == 1.0


def test_as_many_speakers_as_one_chunk_holds(heard: HeardVoices) -> None:
    least = at_least_heard(heard, SpeakerCount()).least
    assert least == max(np.bincount(heard.found.chunk[heard.found.spoken_s >= 1.0]))
    assert at_least_heard(heard, SpeakerCount(1, 1)).least == 1


def test_silence_is_refused(embedder: Embedder) -> None:
    waveform = Waveform(np.zeros(160_000, np.float32), "silence", "", 16_000)
    silent = LocalActivity(np.zeros((1, 500, 4), np.float16), np.array([0]), 998)
    with pytest.raises(InputError, match="no speech in it"):
        hear(waveform, silent, embedder)
