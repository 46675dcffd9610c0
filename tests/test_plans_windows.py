"""Windows cover all speech, stay on it, and are packed into bounded chunks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from voxid.diarize.options import DiarizeOptions
from voxid.diarize.windows import (
    draw_masks,
    find_runs,
    find_stretches,
    pack_chunks,
    plan_windows,
)
from voxid.embedding import with_margin

OPTIONS = DiarizeOptions()


def speak(n_frames: int, *runs: tuple[int, int]) -> NDArray[np.float32]:
    speech = np.zeros(n_frames, dtype=np.float32)
    for start, end in runs:
        speech[start:end] = 1
    return speech


def draw_speech(seed: int, n_frames: int = 60_000) -> NDArray[np.float32]:
    """Return random talk: pieces of 0.05 to 12 s, pauses of 0.02 to 4 s."""
    rng = np.random.default_rng(seed)
    speech = np.zeros(n_frames, dtype=np.float32)
    place = 0
    while place < n_frames:
        length = int(rng.integers(5, 1200))
        speech[place : place + length] = 1
        place += length + int(rng.integers(2, 400))
    return speech


def test_finds_runs() -> None:
    assert find_runs(np.array([1, 0, 1, 1, 0, 1], dtype=bool)).tolist() == [[0, 1], [2, 4], [5, 6]]
    assert len(find_runs(np.zeros(4, dtype=bool))) == 0


def test_bridges_short_pauses() -> None:
    speech = speak(1000, (100, 200), (220, 300), (400, 500))
    assert find_stretches(speech, 25).tolist() == [[100, 300], [400, 500]]


@pytest.mark.parametrize("seed", range(4))
def test_every_speech_frame_lies_in_a_window(seed: int) -> None:
    speech = draw_speech(seed)
    windows = plan_windows(speech, OPTIONS)
    covered = np.zeros(len(speech), dtype=bool)
    for start, end in windows.bounds:
        covered[start:end] = True
    assert covered[speech > 0].all()
    assert (windows.bounds[:, 0] >= 0).all()
    assert (windows.bounds[:, 1] <= len(speech)).all()
    assert (np.diff(windows.bounds[:, 0]) >= 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_every_mask_has_enough_frames(seed: int) -> None:
    """No mask is empty or under the 20 frames the graph needs, and none marks silence without need."""
    speech = draw_speech(seed)
    windows = plan_windows(speech, OPTIONS)
    for first, last in pack_chunks(windows, OPTIONS):
        bounds = windows.bounds[first:last]
        start, end = int(bounds[:, 0].min()), int(bounds[:, 1].max())
        masks = draw_masks(bounds, speech, start, end - start)
        assert (masks.sum(axis=1) >= 20).all()
        spoken = windows.speech_frames[first:last] >= 20
        assert (masks[spoken][:, speech[start:end] == 0] == 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_chunks_are_bounded_and_lose_nothing(seed: int) -> None:
    windows = plan_windows(draw_speech(seed), OPTIONS)
    chunks = pack_chunks(windows, OPTIONS)
    assert [first for first, _ in chunks] == [0, *[last for _, last in chunks[:-1]]]
    assert chunks[-1][1] == len(windows)
    for first, last in chunks:
        span = windows.bounds[first:last, 1].max() - windows.bounds[first, 0]
        assert span <= OPTIONS.chunk_s * 100


def test_a_short_word_borrows_frames() -> None:
    """0.05 s of speech gets a window of 0.2 s; at the end of the recording it grows backwards."""
    assert plan_windows(speak(300, (100, 105)), OPTIONS).bounds.tolist() == [[93, 113]]
    assert plan_windows(speak(300, (295, 300)), OPTIONS).bounds.tolist() == [[280, 300]]


def test_margin_reaches_both_sides_of_speech() -> None:
    """0.15 s is added on either side, cut at the ends of the recording; short pauses close."""
    spread = with_margin(speak(300, (5, 50), (75, 100), (295, 300)))
    assert find_runs(spread > 0).tolist() == [[0, 115], [280, 300]]


def test_short_words_alone_are_clustered() -> None:
    """When nothing is long enough for the clustering, everything takes part."""
    windows = plan_windows(speak(1000, (100, 130), (500, 540)), OPTIONS)
    assert windows.clustered.tolist() == [True, True]


def test_short_words_beside_long_turns_are_not_clustered() -> None:
    windows = plan_windows(speak(2000, (100, 130), (500, 800)), OPTIONS)
    assert not windows.clustered[0]
    assert windows.clustered[1:].sum() == 3
