"""The package has the timing of real conversations, and what is drawn from it has the same overlap, turns and gaps."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from voxid.errors import ConfigError, InputError
from voxid.simulate.fitting import TalkFacts, draw_timeline, fit_timing, measure_talk
from voxid.simulate.timing import built_in_timings, read_timings, timing_named
from voxid.simulate.turntaking import Slot, Talk, overlap_of, tuned_to_overlap
from voxid.timeline import Segment, Timeline, Turn, read_rttms

TIMING = Path(__file__).parents[2] / "shared" / "eval" / "diarization" / "timing"
PARTS = {"ami": ("ami_only_words/train", 4), "voxconverse": ("voxconverse_dev", 5)}


def talk(*turns: tuple[float, float, str]) -> Timeline:
    return Timeline(tuple(Turn(Segment(a, b), name) for a, b, name in turns), max(b for _, b, _ in turns))


def real(part: str) -> list[Timeline]:
    folder = TIMING / part
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: the real timing cannot be compared with")
    return [timeline for path in sorted(folder.glob("*.rttm")) for timeline in read_rttms(path).values()]


def drawn(name: str, n_speakers: int) -> TalkFacts:
    timing = timing_named(name)
    return measure_talk(draw_timeline(timing, n_speakers, 3600.0, seed) for seed in range(6))


def test_counts_gaps_overlaps_and_backchannels() -> None:
    """One change with a gap, one with an overlap, one pause, one stretch said into another's."""
    facts = measure_talk([talk((0, 4, "a"), (1, 1.5, "b"), (5, 7, "b"), (6, 9, "a"), (10, 60, "a"))])
    assert facts.changes_per_minute == pytest.approx(2.0)
    assert facts.inside_per_minute == pytest.approx(1.0)
    assert facts.overlap_share == pytest.approx(1.5 / 58.0)
    assert facts.speech_share == pytest.approx(58.0 / 60.0)
    assert facts.early_share == pytest.approx(0.5)
    assert facts.offset_s[2] == pytest.approx(0.0)  # the median of 1 and -1
    assert facts.pause_s[2] == pytest.approx(1.0)


def test_short_pauses_of_one_speaker_are_speech() -> None:
    """A pause of 0.3 s is closed, one of 0.4 s is not."""
    facts = measure_talk([talk((0, 1, "a"), (1.3, 2, "a"), (2.4, 3, "a"))])
    assert facts.pause_s[2] == pytest.approx(0.4)
    assert facts.speech_share == pytest.approx(2.6 / 3.0)


@pytest.mark.parametrize("name", sorted(PARTS))
def test_drawn_talk_is_like_real_talk(name: str) -> None:
    """Overlap within a point and a half, turns within a fifth, median gap within 0.1 s of the conversations fitted."""
    folder, n_speakers = PARTS[name]
    truth, found = measure_talk(real(folder)), drawn(name, n_speakers)
    assert found.overlap_share == pytest.approx(truth.overlap_share, abs=0.015)
    assert found.speech_share == pytest.approx(truth.speech_share, abs=0.03)
    assert found.changes_per_minute == pytest.approx(truth.changes_per_minute, rel=0.2)
    assert found.early_share == pytest.approx(truth.early_share, abs=0.08)
    assert found.offset_s[1:4] == pytest.approx(truth.offset_s[1:4], abs=0.35)
    assert found.offset_s[2] == pytest.approx(truth.offset_s[2], abs=0.1)
    assert found.pause_s[1:4] == pytest.approx(truth.pause_s[1:4], rel=0.15)
    assert found.stretch_s[1:4] == pytest.approx(truth.stretch_s[1:4], rel=0.2)


def test_drawn_meetings_are_like_meetings_that_were_not_fitted() -> None:
    """AMI's development part was not fitted on; it differs from the training part about as much as from the draws."""
    truth, found = measure_talk(real("ami_only_words/dev")), drawn("ami", 4)
    assert found.overlap_share == pytest.approx(truth.overlap_share, abs=0.03)
    assert found.changes_per_minute == pytest.approx(truth.changes_per_minute, rel=0.3)
    assert found.offset_s[2] == pytest.approx(truth.offset_s[2], abs=0.15)


def test_the_committed_numbers_can_be_fitted_again() -> None:
    """Fitting AMI's training part gives the file in the package, but for the last digits of the calibration."""
    folder, _ = PARTS["ami"]
    stored = timing_named("ami")
    # A third of the meetings is enough to see that they are the same numbers.
    again = fit_timing(real(folder)[::3], "ami", "")
    assert again.change_share == pytest.approx(stored.change_share, abs=0.03)
    assert again.offset_s[10:45] == pytest.approx(stored.offset_s[10:45], abs=0.15)
    assert again.overlap_share == pytest.approx(stored.overlap_share, abs=0.03)


def test_nobody_speaks_twice_at_once() -> None:
    """A speaker's own stretches lie further apart than the pauses that annotations close."""
    for name, timing in built_in_timings().items():
        for n_speakers in (1, 2, 8):
            slots = Talk(timing, n_speakers, np.random.default_rng(1)).extend(60_000)
            for speaker in range(n_speakers):
                own = sorted((s.start, s.end) for s in slots if s.speaker == speaker)
                assert all(b[0] - a[1] > 30 for a, b in pairwise(own)), name


def test_same_seed_same_talk() -> None:
    """Two draws with one seed are equal, with another they differ."""
    timing = timing_named("ami")
    one, same, other = (Talk(timing, 4, np.random.default_rng(seed)).extend(6000) for seed in (3, 3, 4))
    assert one == same != other


@pytest.mark.parametrize(("n_speakers", "share"), [(2, 0.08), (4, 0.14), (3, 0.3)])
def test_overlap_can_be_asked_for(n_speakers: int, share: float) -> None:
    """Talk drawn from the tuned timing overlaps as asked, within two points."""
    tuned = tuned_to_overlap(timing_named("ami"), n_speakers, share)
    talks = [Talk(tuned, n_speakers, np.random.default_rng(seed)).extend(240_000) for seed in (50, 51, 52)]
    assert np.mean([overlap_of(slots) for slots in talks]) == pytest.approx(share, abs=0.02)


def test_overlap_of_slots() -> None:
    """Two of ten frames of speech are shared."""
    assert overlap_of([Slot(0, 0, 6, True), Slot(1, 4, 6, True)]) == pytest.approx(0.2)
    assert overlap_of([]) == 0.0


def test_rejects_overlap_out_of_reach() -> None:
    """One speaker cannot overlap."""
    with pytest.raises(ConfigError) as told:
        tuned_to_overlap(timing_named("ami"), 1, 0.2)
    assert told.value.code == "overlap_out_of_reach"
    assert "an overlap of 20% cannot be had from the timing 'ami' with 1 speakers" in told.value.message


def test_rejects_timings_that_cannot_be_used(tmp_path: Path) -> None:
    """Unknown names, missing and damaged files, falling quantiles and too little talk are coded errors."""
    with pytest.raises(ConfigError) as told:
        timing_named("opera")
    assert told.value.message == "there is no timing 'opera'; known: ami, voxconverse."
    with pytest.raises(ConfigError) as told:
        read_timings(tmp_path / "none.json")
    assert told.value.code == "timing_missing"
    (tmp_path / "bad.json").write_text('{"version": 7}')
    with pytest.raises(ConfigError) as told:
        read_timings(tmp_path / "bad.json")
    assert "version 7 instead of 1" in told.value.message
    with pytest.raises(ConfigError) as told:
        dataclasses.replace(timing_named("ami"), pause_s=tuple(reversed(timing_named("ami").pause_s)))
    assert told.value.code == "timing_invalid"
    with pytest.raises(InputError) as told:
        fit_timing([talk((0, 1, "a"), (2, 3, "b"))], "short", "")
    assert told.value.code == "too_few_turns"
    with pytest.raises(InputError) as told:
        measure_talk([])
    assert told.value.code == "no_turns"
