"""Which seconds of a call the spoof detector hears of a voice: the newest, as they were, with nobody else in them."""

from __future__ import annotations

import numpy as np
import pytest

from voxid.diarize.online.verdicts import find_stretch


def mask(text: str) -> np.ndarray:
    return np.array([one != "." for one in text])


@pytest.mark.parametrize(
    ("own", "other", "fresh", "most", "expected"),
    [
        ("xxxxxxxxxx", "..........", 4, 10, (0, 10)),  # all of it
        ("xxxxxxxxxx", "..........", 4, 6, (4, 10)),  # the newest of it
        (
            "..xxx.xx..",
            "..........",
            5,
            10,
            (2, 8),
        ),  # pauses of its own stay inside, silence around it does not
        ("xxxxx.xxxx", "xx........", 4, 10, (2, 10)),  # never where somebody else speaks
        ("xxxxx..xx.", ".....xx...", 5, 10, (7, 9)),  # what ended before is not told again
        ("xxxxxx..xx", "......xx..", 5, 10, (0, 6)),  # unless it reaches the newest frames and holds more
        ("xxxx......", "..........", 4, 10, None),  # silent now
        ("xxxxxxxxxx", "xxxxxxxxxx", 4, 10, None),  # never alone
        ("..........", "..........", 4, 10, None),
    ],
)
def test_a_stretch_reaches_the_newest_speech_and_holds_nobody_else(
    own: str, other: str, fresh: int, most: int, expected: tuple[int, int] | None
) -> None:
    assert find_stretch(mask(own), mask(other), fresh, most) == expected
