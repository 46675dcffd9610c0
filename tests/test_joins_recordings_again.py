"""A recording heard once answers for any number of speakers, as diarizing it anew would."""

from __future__ import annotations

import time
from importlib.resources import files
from pathlib import Path

import pytest

from voxid.audio import load
from voxid.bundle import default_bundle
from voxid.diarize import DiarizeOptions, HeardRecording, combined, diarize, listen
from voxid.embedding import get_embedder
from voxid.errors import InputError
from voxid.evaluate.systems import speaking, true_activity
from voxid.features import frame_count
from voxid.gallery import Consent
from voxid.recognize import Gallery
from voxid.timeline import read_rttms

VOICES = Path(str(files("voxid") / "data" / "voices"))
MEETING = VOICES / "meeting.opus"
BY_DETECTION = DiarizeOptions(segmentation="vad")


@pytest.fixture(scope="module")
def heard() -> HeardRecording:
    return listen(MEETING, options=BY_DETECTION)


@pytest.fixture(scope="module")
def told() -> HeardRecording:
    """The meeting heard by a segmentation that is told the truth."""
    waveform, truth = load(MEETING), next(iter(read_rttms(VOICES / "meeting.rttm").values()))
    embedder, options = get_embedder(default_bundle()), DiarizeOptions(segmentation="network")
    active = speaking(truth, truth.speakers, frame_count(len(waveform.samples)))
    activity = true_activity(active)
    speech = combined.count_voices(activity) >= 0.5
    windows = combined.hear(waveform, activity, speech, embedder, options)
    return HeardRecording(
        waveform,
        embedder,
        options,
        None,
        lambda count, changed: combined.join(windows, embedder, count, changed).count(),
    )


@pytest.mark.parametrize("speakers", [None, 2, 5])
def test_the_answer_is_that_of_diarizing_anew(heard: HeardRecording, speakers: int | None) -> None:
    assert heard.timeline(speakers=speakers) == diarize(MEETING, speakers=speakers, options=BY_DETECTION)


def test_how_sure_a_number_is_is_said_of_a_counted_one_alone(
    told: HeardRecording, heard: HeardRecording
) -> None:
    """By the network and counted: a probability. Given, or heard by detection, which was never tried: nothing."""
    started = time.process_time()
    sure = told.timeline().count_confidence
    assert time.process_time() - started < 1.0
    assert sure is not None
    assert 0 < sure < 1
    assert told.timeline(max_speakers=6).count_confidence is not None
    assert told.timeline(speakers=3).count_confidence is None
    assert heard.timeline().count_confidence is None


@pytest.mark.parametrize("speakers", [1, 3, 4, 6])
def test_any_number_of_speakers_in_under_a_second(told: HeardRecording, speakers: int) -> None:
    started = time.process_time()
    timeline = told.timeline(speakers=speakers)
    assert time.process_time() - started < 1.0
    assert len(timeline.speakers) == speakers


def test_bounds_and_methods_may_change(told: HeardRecording) -> None:
    assert len(told.timeline().speakers) == 4
    assert len(told.timeline(max_speakers=2).speakers) <= 2
    assert len(told.timeline(min_speakers=5).speakers) >= 5
    assert len(told.timeline(clustering="spectral", speakers=4).speakers) == 4
    with pytest.raises(InputError, match="clustering is 'guess'"):
        told.timeline(clustering="guess")
    with pytest.raises(InputError, match="expected min <= max"):
        told.timeline(min_speakers=5, max_speakers=2)


def test_names_come_from_the_gallery(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "people.voxid") as gallery:
        clips = [VOICES / "ada" / f"{number:02d}.opus" for number in (1, 2)]
        gallery.enroll("Ada", clips, Consent({"diarize-name"}, "synthetic voice"))
        shares: list[float] = []
        named = listen(MEETING, gallery=gallery, options=BY_DETECTION, progress=shares.append)
        assert "Ada" in named.timeline(speakers=4).speakers
        assert shares == sorted(shares)
        assert shares[-1] == 1.0


def test_a_progress_that_raises_cancels() -> None:
    class CancelledError(Exception):
        pass

    def stop(share: float) -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        listen(MEETING, options=BY_DETECTION, progress=stop)


def test_chunks_are_joined_only_once() -> None:
    with pytest.raises(InputError, match="expected one of network, vad"):
        listen(MEETING, options=DiarizeOptions(segmentation="chunks"))
