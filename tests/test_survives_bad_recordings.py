"""Silence, music, half a second, one voice, twelve: a sensible timeline or a coded error, never a crash.

Each is heard by a segmentation that is told the truth (or a plausible mistake), and by the trained network where there
is one.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import soxr

from voxid.audio import Waveform, load
from voxid.bundle import default_bundle, load_bundle
from voxid.diarize import DiarizeOptions, SpeakerCount, combined, diarize, segmented
from voxid.diarize.gating import find_speech
from voxid.diarize.naming import label_turns
from voxid.diarize.segmentation import DEFAULT_SEGMENTER, LocalActivity
from voxid.embedding import get_embedder
from voxid.errors import CompatibilityError, InputError
from voxid.evaluate.systems import true_activity
from voxid.features import frame_count
from voxid.gallery import Consent
from voxid.recognize import Gallery
from voxid.timeline import Timeline

VOICES = Path(str(files("voxid") / "data" / "voices"))
TRAINED = Path(str(files("voxid") / "segmenters" / DEFAULT_SEGMENTER / "model.onnx"))
RATE_HZ = 16_000

Hear = Callable[..., Timeline]


def told(
    samples: np.ndarray, truth: np.ndarray, speakers: int | None = None, middle: str = "chunks"
) -> Timeline:
    """Return the timeline when the segmentation hears ``truth`` (T, R), who is active in each frame."""
    waveform = Waveform(samples, "recording", "", RATE_HZ)
    embedder, options, count = (
        get_embedder(default_bundle()),
        DiarizeOptions(),
        SpeakerCount.checked(speakers),
    )
    active = np.zeros((frame_count(samples.size), truth.shape[1]), np.bool_)
    active[: len(truth)] = truth[: len(active)]
    activity = true_activity(active)
    if middle == "chunks":
        turns = segmented.join(segmented.hear(waveform, activity, embedder), embedder, count, options).turns
    else:
        speech = find_speech(waveform, activity, options)
        heard = combined.hear(waveform, activity, speech, embedder, options)
        turns = combined.join(heard, embedder, count, options).turns
    return Timeline(label_turns(turns, {}), waveform.duration_s, "recording")


def told_windows(samples: np.ndarray, truth: np.ndarray, speakers: int | None = None) -> Timeline:
    """Return the same by the usual middle of the pipeline."""
    return told(samples, truth, speakers, "windows")


def trained(samples: np.ndarray, truth: np.ndarray, speakers: int | None = None) -> Timeline:
    """Return the timeline of the whole pipeline on the network."""
    return diarize((samples, RATE_HZ), speakers=speakers, options=DiarizeOptions(segmentation="network"))


@pytest.fixture(params=["told", "told_windows", "trained"])
def listen(request: pytest.FixtureRequest) -> Hear:
    if request.param == "trained" and not TRAINED.exists():
        pytest.skip("the trained segmentation network is not in this checkout")
    return {"told": told, "told_windows": told_windows, "trained": trained}[request.param]


def clips(name: str, *numbers: int) -> np.ndarray:
    return np.concatenate([load(VOICES / name / f"{number:02d}.opus").samples for number in numbers])


def everywhere(samples: np.ndarray, voices: int = 1) -> np.ndarray:
    return np.ones((frame_count(samples.size), voices), np.bool_)


def play_chords(seconds: float) -> np.ndarray:
    """Return organ-like chords, one a second."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    roots = np.array([220.0, 261.6, 196.0, 246.9])[(t.astype(int)) % 4]
    phase = 2 * np.pi * np.cumsum(roots) / RATE_HZ
    chord = sum(np.sin(k * step * phase) / k for step in (1.0, 1.26, 1.5) for k in (1, 2, 3, 4))
    return (0.05 * chord).astype(np.float32)


def check_sane(timeline: Timeline) -> None:
    """A timeline one can use: turns in order, inside the recording, with confidences that are probabilities."""
    starts = [turn.start_s for turn in timeline.turns]
    assert starts == sorted(starts)
    for turn in timeline.turns:
        assert 0 <= turn.start_s < turn.end_s <= timeline.duration_s + 1e-6
        assert turn.confidence is None or 0 <= turn.confidence <= 1


@pytest.mark.parametrize("seconds", [1.0, 30.0])
@pytest.mark.parametrize("noise", [0.0, 1e-4])
def test_silence_is_a_coded_error(listen: Hear, seconds: float, noise: float) -> None:
    samples = np.random.default_rng(0).normal(0, noise, round(seconds * RATE_HZ)).astype(np.float32)
    with pytest.raises(InputError, match="no speech in it") as caught:
        listen(samples, ~everywhere(samples))
    assert caught.value.code == "no_speech"


def test_one_speaker_is_one(listen: Hear) -> None:
    samples = clips("ada", 1, 2, 3, 4, 5)
    timeline = listen(samples, everywhere(samples))
    check_sane(timeline)
    spoken_s = [
        sum(turn.duration_s for turn in timeline.turns if turn.speaker == name) for name in timeline.speakers
    ]
    assert max(spoken_s) > 0.9 * sum(spoken_s)
    assert listen is trained or len(timeline.speakers) == 1


def test_one_speaker_asked_to_be_three_is_three(listen: Hear) -> None:
    samples = clips("ada", 1, 2, 3, 4, 5)
    timeline = listen(samples, everywhere(samples), 3)
    check_sane(timeline)
    assert 1 <= len(timeline.speakers) <= 3


def test_music_is_a_timeline_or_no_speech(listen: Hear) -> None:
    """Taken for one voice, or for none."""
    samples = play_chords(20.0)
    try:
        timeline = listen(samples, everywhere(samples))
    except InputError as error:
        assert error.code == "no_speech"
        return
    check_sane(timeline)
    assert len(timeline.speakers) <= 4


@pytest.mark.parametrize("seconds", [0.5, 0.3])
def test_half_a_second_is_a_turn_or_a_coded_error(listen: Hear, seconds: float) -> None:
    samples = clips("bruno", 2)[RATE_HZ : RATE_HZ + round(seconds * RATE_HZ)]
    try:
        timeline = listen(samples, everywhere(samples))
    except InputError as error:
        assert error.code in ("no_speech", "audio_too_short")
        return
    check_sane(timeline)
    assert len(timeline.speakers) == 1


def test_a_blink_is_too_short(listen: Hear) -> None:
    with pytest.raises(InputError) as caught:
        listen(np.full(300, 0.1, np.float32), np.ones((1, 1), np.bool_))
    assert caught.value.code in ("no_speech", "audio_too_short")


@pytest.fixture(scope="module")
def crowd() -> tuple[np.ndarray, np.ndarray]:
    """Twelve voices: four people at three speeds, two clips of each, one after the other with overlaps."""
    pieces: list[tuple[int, np.ndarray]] = []
    for round_ in (1, 2):
        for at, (name, speed) in enumerate(
            (name, speed) for speed in (0.8, 1.0, 1.25) for name in ("ada", "bruno", "clara", "dev")
        ):
            pieces.append((at, soxr.resample(clips(name, round_), speed * RATE_HZ, RATE_HZ)))
    length = sum(len(piece) for _, piece in pieces)
    samples, truth = np.zeros(length, np.float32), np.zeros((frame_count(length), 12), np.bool_)
    at_sample = 0
    for who, piece in pieces:
        samples[at_sample : at_sample + len(piece)] += piece
        truth[at_sample // 160 : (at_sample + len(piece)) // 160, who] = True
        at_sample += len(piece) - RATE_HZ // 2
    return samples[:at_sample], truth[: frame_count(at_sample)]


def test_twelve_speakers_are_many(listen: Hear, crowd: tuple[np.ndarray, np.ndarray]) -> None:
    timeline = listen(*crowd)
    check_sane(timeline)
    assert 4 <= len(timeline.speakers) <= 20


def test_twelve_speakers_asked_for_are_twelve(listen: Hear, crowd: tuple[np.ndarray, np.ndarray]) -> None:
    timeline = listen(*crowd, 12)
    check_sane(timeline)
    assert len(timeline.speakers) <= 12
    assert len(timeline.speakers) >= {told: 12, told_windows: 12}.get(listen, 6)


def test_more_speakers_than_voices_is_a_coded_error() -> None:
    samples = clips("ada", 1)[: 2 * RATE_HZ]
    with pytest.raises(InputError) as caught:
        told(samples, everywhere(samples), 40)
    assert caught.value.code == "speaker_count_invalid"


def test_more_voices_in_a_chunk_than_the_network_has() -> None:
    """Six at once, of whom a chunk holds four: nobody crashes, and the four are kept apart."""
    four = [clips(name, 1, 2)[: 6 * RATE_HZ] for name in ("ada", "bruno", "clara", "dev")]
    samples = np.mean(four, axis=0, dtype=np.float32)
    timeline = told(samples, everywhere(samples, 6))
    check_sane(timeline)
    assert len(timeline.speakers) == 4


def test_a_gallery_of_another_bundle_is_refused_before_any_work(tmp_path: Path) -> None:
    """Also where there is no segmentation network at all: bundles are compared first."""
    small = load_bundle(Path(str(files("voxid") / "bundles" / "ecapa-small-int8")))
    heard: list[float] = []
    with Gallery.open(tmp_path / "people.voxid", bundle=small) as gallery:
        gallery.enroll("Ada", [VOICES / "ada" / "01.opus"], Consent({"diarize-name"}, "synthetic voice"))
        with pytest.raises(CompatibilityError, match="expected one model") as caught:
            diarize(
                VOICES / "meeting.opus",
                gallery=gallery,
                bundle=default_bundle(),
                options=DiarizeOptions(segmentation="network"),
                progress=heard.append,
            )
    assert caught.value.code == "model_mismatch"
    assert heard == []


def test_a_gallery_opened_with_another_bundle_is_refused_before_any_work(tmp_path: Path) -> None:
    """Its people cannot be compared, which is said before there is anything to listen to."""
    small = load_bundle(Path(str(files("voxid") / "bundles" / "ecapa-small-int8")))
    with Gallery.open(tmp_path / "people.voxid") as gallery:
        gallery.enroll("Ada", [VOICES / "ada" / "01.opus"], Consent({"diarize-name"}, "synthetic voice"))
    nobody = pytest.raises(CompatibilityError, match="Nobody in the gallery can be compared with")
    with Gallery.open(tmp_path / "people.voxid", bundle=small) as gallery, nobody as caught:
        diarize(tmp_path / "none.wav", gallery=gallery)
    assert caught.value.code == "model_mismatch"


def test_a_profile_that_is_none_is_refused_without_a_gallery_too(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no threshold profile 'far_2pct'; it has ") as caught:
        diarize(tmp_path / "none.wav", options=DiarizeOptions(profile="far_2pct"))
    assert caught.value.code == "profile_unknown"


def test_an_activity_of_nobody_is_silence() -> None:
    waveform = Waveform(np.zeros(RATE_HZ, np.float32), "nobody", "", RATE_HZ)
    nobody = LocalActivity(np.zeros((1, 500, 4), np.float16), np.array([0]), 98)
    with pytest.raises(InputError, match="nobody has 1.0 s of audio and no speech in it"):
        segmented.hear(waveform, nobody, get_embedder(default_bundle()))
