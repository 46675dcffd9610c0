"""The last pass of a call keeps the speakers told where the call as a whole is clustered into another number."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from voxid.audio import SAMPLE_RATE_HZ, Waveform, load
from voxid.diarize import DiarizeOptions, SpeakerCount
from voxid.diarize.clustering import Voices
from voxid.diarize.local import find_voices
from voxid.diarize.online import LiveOptions, LiveSession
from voxid.diarize.online.closing import as_told
from voxid.diarize.segmentation import LocalActivity
from voxid.diarize.segmented import HeardVoices
from voxid.diarize.turns import DrawnTurn
from voxid.evaluate.diarization import evaluate_diarization_set
from voxid.evaluate.oracle_segmenter import OracleSegmenter
from voxid.segments import Segment
from voxid.timeline import Timeline, Turn, read_rttms

VOICES = Path(str(files("voxid") / "data" / "voices"))
HEARD_S = 40.0


def hear_two_chunks() -> HeardVoices:
    """Return chunks at 100 s and 110 s: A then B, and A then C; C sounds like B and like nobody else."""
    probability = np.zeros((2, 500, 2), np.float16)
    probability[:, :200, 0], probability[:, 250:, 1] = 1.0, 1.0
    activity = LocalActivity(probability, np.array([0, 1000]), 2000)
    embeddings = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0.8, 0.6]], np.float32)
    found = find_voices(activity)
    voices = Voices(embeddings, found.chunk, found.clean_s, found.first_s)
    return HeardVoices(activity, found, voices, 20.0)


def turn(start_s: float, end_s: float, speaker: int) -> DrawnTurn:
    return DrawnTurn(Segment(start_s, end_s), speaker)


@pytest.mark.parametrize(
    ("told", "labels"),
    [
        ([turn(100, 104, 3), turn(105, 110, 7), turn(110, 114, 3), turn(115, 120, 9)], [0, 1, 0, 2]),
        ([turn(100, 104, 3), turn(105, 110, 7), turn(110, 114, 3)], [0, 1, 0, 1]),  # C: whom it sounds like
        ([turn(100, 110, 7), turn(110, 114, 3)], [0, 1, 0, 1]),  # two of a chunk differ where there are two
        (
            [turn(40, 90, 2), turn(100, 110, 7)],
            [0, 0, -1, 0],
        ),  # else both stay; who was told before leaves no gap
        ([turn(40, 90, 2)], [-1, -1, -1, -1]),
        ([], [-1, -1, -1, -1]),
    ],
)
def test_a_voice_is_whom_it_was_told_to_be(told: list[DrawnTurn], labels: list[int]) -> None:
    assert as_told(hear_two_chunks(), told, 100.0).tolist() == labels


@pytest.fixture(scope="module")
def meeting() -> tuple[Waveform, Timeline]:
    waveform = load(VOICES / "meeting.opus").slice(Segment(0.0, HEARD_S))
    truth = next(iter(read_rttms(VOICES / "meeting.rttm").values()))
    turns = [
        Turn(Segment(one.start_s, min(one.end_s, HEARD_S)), one.speaker)
        for one in truth.turns
        if one.start_s < HEARD_S
    ]
    return waveform, Timeline(tuple(turns), HEARD_S, truth.uri)


def follow(
    meeting: tuple[Waveform, Timeline], final: DiarizeOptions, count: SpeakerCount
) -> tuple[Timeline, LiveSession]:
    waveform, truth = meeting
    options = replace(LiveOptions(latency_s=2.0, hop_s=2.0), final=final)
    session = LiveSession(OracleSegmenter(np.asarray(waveform.samples), truth), options=options, count=count)
    for at in range(0, len(waveform.samples), SAMPLE_RATE_HZ):
        session.feed(waveform.samples[at : at + SAMPLE_RATE_HZ])
    told = session.timeline()
    session.close()
    return told, session


def der(truth: Timeline, found: Timeline) -> float:
    report = evaluate_diarization_set({"x": truth}, {"x": found}, resamples=2).to_dict()
    value: float = report["protocols"]["collar_0_overlap"]["der"]["value"]
    return value


def test_another_number_of_speakers_takes_nothing_back(meeting: tuple[Waveform, Timeline]) -> None:
    """With a threshold nothing reaches the whole call falls into far too many speakers."""
    shattering = DiarizeOptions(
        clustering="ahc", ahc_threshold=0.99, min_cluster_s=0.0, min_cluster_share=0.0
    )
    told, session = follow(meeting, shattering, SpeakerCount())
    assert session.kept_speakers
    assert set(session.timeline().speakers) <= set(told.speakers)
    assert der(meeting[1], session.timeline()) <= der(meeting[1], told) + 1e-9


def test_a_number_that_was_demanded_is_met(meeting: tuple[Waveform, Timeline]) -> None:
    _, session = follow(meeting, DiarizeOptions(clustering="ahc"), SpeakerCount(6, 6))
    assert not session.kept_speakers
    assert len(session.timeline().speakers) == 6
