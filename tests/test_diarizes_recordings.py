"""diarize from a recording to a timeline, with the default bundle and the sample voices of the package."""

from __future__ import annotations

from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from voxid.audio import SAMPLE_RATE_HZ, load
from voxid.bundle import default_bundle
from voxid.diarize import DiarizeOptions, diarize
from voxid.diarize.windowed import embed_recording, find_speech
from voxid.embedding import get_embedder
from voxid.errors import InputError
from voxid.timeline import Timeline

VOICES = Path(str(files("voxid") / "data" / "voices"))


def clip(speaker: str, number: int) -> NDArray[np.float32]:
    return load(VOICES / speaker / f"{number:02d}.opus").samples


def join(*clips: NDArray[np.float32]) -> tuple[NDArray[np.float32], list[float]]:
    """Return the clips 0.4 s apart on a faint noise floor, and where each begins, in seconds."""
    pause = np.zeros(round(0.4 * SAMPLE_RATE_HZ), dtype=np.float32)
    parts, starts, place = [], [], 0
    for samples in clips:
        starts.append(place / SAMPLE_RATE_HZ)
        parts += [samples, pause]
        place += len(samples) + len(pause)
    joined = np.concatenate(parts)
    return joined + np.random.default_rng(0).normal(0, 1e-4, len(joined)).astype(np.float32), starts


@pytest.fixture(scope="module")
def talk() -> tuple[NDArray[np.float32], list[float]]:
    """Ada and Bruno in turn, two clips each time."""
    return join(
        clip("ada", 1), clip("ada", 2), clip("bruno", 1), clip("bruno", 2),
        clip("ada", 3), clip("ada", 4), clip("bruno", 3), clip("bruno", 4),
    )  # fmt: skip


def speaker_at(timeline: Timeline, at_s: float) -> str:
    return next(turn.speaker for turn in timeline.turns if turn.start_s <= at_s <= turn.end_s)


def test_tells_two_voices_apart(talk: tuple[NDArray[np.float32], list[float]]) -> None:
    """Asked for two speakers, the clips of one voice get one label, the other's another."""
    samples, starts = talk
    timeline = diarize((samples, SAMPLE_RATE_HZ), speakers=2)
    labels = [speaker_at(timeline, start_s + 1.0) for start_s in starts]
    assert labels == ["SPEAKER_00"] * 2 + ["SPEAKER_01"] * 2 + ["SPEAKER_00"] * 2 + ["SPEAKER_01"] * 2
    assert not any(turn.named for turn in timeline.turns)


def test_turns_are_in_order_and_do_not_overlap(talk: tuple[NDArray[np.float32], list[float]]) -> None:
    timeline = diarize((talk[0], SAMPLE_RATE_HZ))
    assert all(a.end_s <= b.start_s + 1e-9 for a, b in pairwise(timeline.turns))
    assert timeline.turns[-1].end_s <= timeline.duration_s


@pytest.mark.parametrize("speakers", [1, 2, 3, 5])
def test_an_exact_count_is_honoured(talk: tuple[NDArray[np.float32], list[float]], speakers: int) -> None:
    timeline = diarize((talk[0], SAMPLE_RATE_HZ), speakers=speakers)
    assert len(timeline.speakers) == speakers


def test_one_voice_is_one_label() -> None:
    samples, _ = join(*(clip("clara", number) for number in range(1, 6)))
    assert diarize((samples, SAMPLE_RATE_HZ)).speakers == ("SPEAKER_00",)


def test_half_a_second_of_speech_is_one_turn() -> None:
    samples = clip("ada", 1)
    loudest = int(np.argmax(np.convolve(samples**2, np.ones(8000), "valid")))
    timeline = diarize((samples[loudest : loudest + 8000], SAMPLE_RATE_HZ))
    assert timeline.speakers == ("SPEAKER_00",)


def test_the_same_recording_gives_the_same_timeline(talk: tuple[NDArray[np.float32], list[float]]) -> None:
    """Threads and repetition change nothing."""
    source = (talk[0], SAMPLE_RATE_HZ)
    assert diarize(source).turns == diarize(source, options=DiarizeOptions(threads=1)).turns


def test_long_recordings_go_through_in_pieces(talk: tuple[NDArray[np.float32], list[float]]) -> None:
    """With chunks of 6 s every window still gets its embedding, in order, and all are of unit length."""
    recording, embedder = find_speech(load((talk[0], SAMPLE_RATE_HZ))), get_embedder(default_bundle())
    embedded = embed_recording(recording, embedder, DiarizeOptions(chunk_s=6.0))
    assert embedded.embeddings.shape == (len(embedded.windows), embedder.dim)
    assert np.linalg.norm(embedded.embeddings, axis=1) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("samples", [np.zeros(80_000, dtype=np.float32), np.full(80_000, 0.1, np.float32)])
def test_rejects_silence(samples: NDArray[np.float32]) -> None:
    with pytest.raises(InputError, match=r"no speech in it; expected at least one voice") as caught:
        diarize((samples, SAMPLE_RATE_HZ))
    assert caught.value.code == "no_speech"


def test_rejects_a_blink() -> None:
    """0.15 s is shorter than the graph can pool over."""
    with pytest.raises(InputError, match="give a longer recording") as caught:
        diarize((clip("ada", 1)[8000:10400], SAMPLE_RATE_HZ))
    assert caught.value.code == "audio_too_short"


def test_rejects_more_speakers_than_windows() -> None:
    samples = clip("ada", 1)[:16_000]
    with pytest.raises(InputError, match="ask for fewer") as caught:
        diarize((samples, SAMPLE_RATE_HZ), speakers=9)
    assert caught.value.code == "speaker_count_invalid"


def test_progress_rises_to_one(talk: tuple[NDArray[np.float32], list[float]]) -> None:
    heard: list[float] = []
    diarize((talk[0], SAMPLE_RATE_HZ), progress=heard.append)
    assert heard == sorted(heard)
    assert heard[-1] == 1.0


def test_raising_from_progress_cancels(talk: tuple[NDArray[np.float32], list[float]]) -> None:
    """What the callback raises reaches the caller; the work stops there."""

    class CancelledByUserError(Exception):
        pass

    heard: list[float] = []

    def stop(share: float) -> None:
        heard.append(share)
        if share > 0.3:
            raise CancelledByUserError

    with pytest.raises(CancelledByUserError):
        diarize((talk[0], SAMPLE_RATE_HZ), progress=stop)
    assert heard[-1] < 1.0


def test_leaves_nothing_behind(
    talk: tuple[NDArray[np.float32], list[float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """diarize writes no file where it runs."""
    monkeypatch.chdir(tmp_path)
    diarize((talk[0][:160_000], SAMPLE_RATE_HZ))
    assert list(tmp_path.iterdir()) == []
