"""A timeline in a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from voxid.cli.lanes import draw_lanes
from voxid.cli.who import show_timeline
from voxid.timeline import ReviewPolicy, Segment, Suggestion, Timeline, Turn


def talk(*turns: tuple[float, float, str], duration_s: float = 10.0) -> Timeline:
    return Timeline(tuple(Turn(Segment(start, end), who) for start, end, who in turns), duration_s)


def test_one_lane_per_speaker_in_order_of_first_speech() -> None:
    """A lane is full where its speaker talks and empty elsewhere."""
    first, second, axis = draw_lanes(talk((5.0, 10.0, "ann"), (0.0, 5.0, "bob")), width=45)
    assert first == "bob  " + "█" * 20 + "·" * 20
    assert second == "ann  " + "·" * 20 + "█" * 20
    assert axis.split() == ["0:00.0", "0:10.0"]


def test_lines_are_never_wider_than_asked() -> None:
    """Also with long names, and in a terminal of no width at all."""
    timeline = talk((0.0, 1.0, "Wolfeschlegelsteinhausenbergerdorff the Second"), (1.0, 9.0, "b"))
    for width in (40, 80, 200):
        assert {len(line) for line in draw_lanes(timeline, width)} == {width}
    assert draw_lanes(timeline, 0)


def test_a_word_in_an_hour_is_not_lost() -> None:
    """Half a cell is drawn for a cell with a tenth of speech or more."""
    lanes = draw_lanes(talk((1800.0, 1806.0, "ann"), duration_s=3600.0), width=85)
    assert lanes[0].count("▌") == 1


def test_nobody_speaks() -> None:
    """Only the axis is left."""
    assert len(draw_lanes(talk(), width=60)) == 1


def test_names_are_shown_as_they_are() -> None:
    """A name that looks like markup is a name."""
    out = io.StringIO()
    show_timeline(talk((0.0, 2.0, "[red]ann[/red]")), Console(file=out, width=100))
    assert out.getvalue().count("[red]ann[/red]") == 2


def test_confidence_overlap_and_doubts_are_shown_where_there_are_any() -> None:
    """Columns only where they say something; the list of doubts ends with how many more there are."""
    out = io.StringIO()
    show_timeline(talk((0.0, 2.0, "ann"), (2.0, 3.0, "bob")), Console(file=out, width=100))
    plain = out.getvalue()
    assert "sure" not in plain
    assert "overlap" not in plain
    assert "review" not in plain
    maybe = Suggestion("[b]dora", 1.2, 1.94)
    turns = (
        Turn(Segment(0, 2), "ann", True, 5.0, 0.97),
        Turn(Segment(1, 3), "SPEAKER_00", confidence=0.5, suggestion=maybe),
    )
    out = io.StringIO()
    show_timeline(Timeline(turns, 4.0), Console(file=out, width=120), ReviewPolicy(0.6))
    shown = out.getvalue()
    assert "sure" in shown
    assert "97%" in shown
    assert shown.splitlines()[1].split() == ["0:00.0", "0:02.0", "2.0", "ann", "5.0", "97%", "1.0"]
    assert "Needs review (2):" in shown
    assert "0:01.0  Only 50% sure that this is SPEAKER_00; under 60%, listen and decide." in shown
    assert "SPEAKER_00 may be [b]dora" in shown
    many = tuple(Turn(Segment(at, at + 1), "ann", confidence=0.1) for at in range(30))
    out = io.StringIO()
    show_timeline(Timeline(many, 30.0), Console(file=out, width=120))
    assert "and 10 more: --html shows all of them." in out.getvalue()
