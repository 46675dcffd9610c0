"""Segments, turns and timelines: what they refuse and what they add up to."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from voxid.errors import InputError
from voxid.segments import Segment, merge_segments
from voxid.timeline import Timeline, Turn


def turn(start_s: float, end_s: float, speaker: str) -> Turn:
    return Turn(Segment(start_s, end_s), speaker)


@pytest.mark.parametrize(
    "bounds", [(1.0, 1.0), (2.0, 1.0), (-0.1, 1.0), (0.0, math.inf), (math.nan, 1.0), (0.0, math.nan)]
)
def test_no_stretch_of_time(bounds: tuple[float, float]) -> None:
    """Empty, backward, negative and endless segments are refused."""
    with pytest.raises(InputError) as caught:
        Segment(*bounds)
    assert caught.value.code == "segment_invalid"
    assert caught.value.message.endswith("is no stretch of time; expected 0 <= start < end, both finite.")


def test_intersections() -> None:
    """Inside, across, touching, apart."""
    whole = Segment(1, 4)
    assert whole & Segment(2, 3) == Segment(2, 3) & whole == Segment(2, 3)
    assert whole & Segment(0, 2) == Segment(1, 2)
    assert whole & Segment(4, 5) is None
    assert not whole.overlaps(Segment(5, 6))
    assert sorted([Segment(2, 3), Segment(1, 9), Segment(1, 2)])[0] == Segment(1, 2)


def test_union_agrees_with_a_grid() -> None:
    """Merging, overlap and speech time equal a count over milliseconds, for random turns."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        turns, grid = [], np.zeros((3, 1000), bool)
        for _ in range(rng.integers(0, 30)):
            start = int(rng.integers(0, 990))
            end = int(rng.integers(start + 1, 1000))
            who = int(rng.integers(3))
            turns.append(turn(start / 1000, end / 1000, f"s{who}"))
            grid[who, start:end] = True
        timeline = Timeline(tuple(turns), 1.0)
        assert timeline.speech_s() == pytest.approx(grid.any(0).sum() / 1000)
        assert sum(part.duration_s for part in timeline.overlaps()) == pytest.approx(
            (grid.sum(0) > 1).sum() / 1000
        )
        for who in range(3):
            assert timeline.speech_s(f"s{who}") == pytest.approx(grid[who].sum() / 1000)
        regions = timeline.regions()
        assert all(left.end_s < right.start_s for left, right in itertools.pairwise(regions))


def test_gaps_are_closed_when_asked() -> None:
    """A gap of just the given length is closed, a longer one is not."""
    parts = [Segment(0, 1), Segment(1.5, 2), Segment(3, 4)]
    assert merge_segments(parts, 0.5) == [Segment(0, 2), Segment(3, 4)]
    assert merge_segments([]) == []


def test_turns_are_sorted_and_speakers_come_in_order_of_speech() -> None:
    """Whatever the order given."""
    timeline = Timeline((turn(3, 4, "ann"), turn(0, 1, "bob"), turn(0, 0.5, "cid")), 5.0)
    assert [one.speaker for one in timeline.turns] == ["cid", "bob", "ann"]
    assert timeline.speakers == ("cid", "bob", "ann")
    assert timeline.extent == Segment(0, 4)
    assert Timeline((), 5.0).extent is None
    assert Timeline((), 0.0).speech_s() == 0


def test_rename_merges() -> None:
    """Two labels given one name are one speaker; their overlap counts once."""
    timeline = Timeline((turn(0, 2, "a"), turn(1, 3, "b"), turn(4, 5, "c")), 5.0)
    renamed = timeline.rename({"a": "ann", "b": "ann"}, named=True)
    assert renamed.speakers == ("ann", "c")
    assert renamed.speech_s("ann") == 3
    assert [one.named for one in renamed.turns] == [True, True, False]
    assert renamed.overlaps() == []
    assert timeline.overlaps() == [Segment(1, 2)]


@pytest.mark.parametrize("duration_s", [1.9, -1.0, math.nan, math.inf])
def test_turns_must_fit_the_recording(duration_s: float) -> None:
    """A turn behind the end, or no length at all."""
    with pytest.raises(InputError) as caught:
        Timeline((turn(1, 2, "ann"),), duration_s)
    assert caught.value.code == "timeline_invalid"
    assert "expected a finite duration that covers every turn" in caught.value.message


@pytest.mark.parametrize("name", ["", "   ", "a\nSPEAKER b", "a\tb", "x" * 201, "nul\0", None, 7])
def test_names_that_could_break_a_file(name: object) -> None:
    """Control characters never reach RTTM or SRT."""
    with pytest.raises(InputError) as caught:
        Turn(Segment(0, 1), name)  # type: ignore[arg-type]
    assert caught.value.code == "speaker_invalid"
