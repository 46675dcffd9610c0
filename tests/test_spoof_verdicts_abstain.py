"""A spoof verdict says what it knows, and is neither true nor false."""

from __future__ import annotations

import json

import pytest

from voxid.spoof.verdict import SpoofOutcome, SpoofVerdict

HEARD = SpoofVerdict(
    SpoofOutcome.SUSPICIOUS,
    -0.1234,
    2.3456,
    8.0,
    12.0,
    3.21987,
    7612.5,
    "lcnn@1",
    "Between the bounds.",
    ((0.0, 4.0, -0.1234),),
)


def test_a_verdict_cannot_be_taken_for_yes_or_no() -> None:
    """``if verdict:`` is a mistake, and says so."""
    with pytest.raises(TypeError, match="compare its outcome with SpoofOutcome"):
        bool(HEARD)


def test_json_has_the_word_and_rounded_numbers() -> None:
    """Two places are enough to defend a verdict and too few to climb on."""
    told = json.loads(json.dumps(HEARD.to_dict(), allow_nan=False))
    assert told["outcome"] == "suspicious"
    assert (told["llr"], told["replay_llr"]) == (-0.12, 2.35)
    assert told["pieces"] == [{"start_s": 0.0, "end_s": 4.0, "llr": -0.12}]


def test_what_was_not_measured_is_null() -> None:
    """Never 0.0 in place of a failure."""
    none = SpoofVerdict(SpoofOutcome.CANNOT_TELL, None, None, None, None, 0.0, 0.0, "lcnn@1", "No speech.")
    told = none.to_dict()
    assert [told[name] for name in ("llr", "replay_llr", "domain_distance", "domain_limit")] == [None] * 4
    assert told["pieces"] == []
