"""A path that gives two voices of one chunk to one speaker is corrected where that costs little cosine, if asked."""

from __future__ import annotations

import numpy as np
import pytest

from voxid.diarize import DiarizeOptions
from voxid.diarize.apart import keep_apart
from voxid.diarize.clustering import unit_rows
from voxid.diarize.local import find_voices
from voxid.diarize.segmentation import LocalActivity
from voxid.diarize.windows import Windows
from voxid.errors import InputError

DOUBTFUL, CLEAR = 0.2, 0.6


def draw(cost: float) -> tuple[LocalActivity, Windows, np.ndarray, np.ndarray]:
    """Return 30 s: speaker 0, speaker 1, then a chunk with five seconds of 0 and five that lose ``cost`` as 1."""
    probability = np.zeros((3, 500, 4), np.float16)
    probability[:2, :, 0] = 1.0
    probability[2, :250, 2], probability[2, 250:, 3] = 1.0, 1.0
    activity = LocalActivity(probability, np.array([0, 1000, 2000]), 3000)
    bounds = np.stack([np.arange(0, 2851, 150), np.arange(150, 3001, 150)], axis=1)
    windows = Windows(bounds, np.full(len(bounds), 150), np.ones(len(bounds), np.bool_))
    kind = np.where(bounds[:, 1] > 2500, 2, np.where((bounds[:, 0] >= 1000) & (bounds[:, 1] <= 2000), 1, 0))
    places = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5 - cost, 0.0]], np.float32)
    places[2, 2] = np.sqrt(1.0 - np.square(places[2]).sum())
    path = np.repeat([0, 1, 0], 500)
    return activity, windows, unit_rows(places[kind]), path


@pytest.mark.parametrize(
    ("cost", "margin", "moved"), [(DOUBTFUL, 0.6, 250), (CLEAR, 0.6, 0), (CLEAR, 2.0, 250)]
)
def test_a_voice_moves_when_it_loses_no_more_than_the_margin(cost: float, margin: float, moved: int) -> None:
    activity, windows, embeddings, path = draw(cost)
    found = find_voices(activity)
    changed = keep_apart(activity, found, windows, embeddings, path, margin)
    assert np.array_equal(changed[:1250], path[:1250])
    assert (changed[1250:] == 1).sum() == moved
    assert (path == np.repeat([0, 1, 0], 500)).all(), "the path given stays as it is"


def test_short_voices_forbid_nothing() -> None:
    activity, windows, embeddings, path = draw(DOUBTFUL)
    activity.probability[2, 290:, 3] = 0.0
    changed = keep_apart(activity, find_voices(activity), windows, embeddings, path, 2.0)
    assert np.array_equal(changed, path)


def test_it_is_asked_for_by_a_margin() -> None:
    assert DiarizeOptions().apart_margin == 0.0
    with pytest.raises(InputError, match="apart_margin is -1; expected 0 or more; change it"):
        DiarizeOptions(apart_margin=-1)
