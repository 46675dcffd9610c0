"""Diarization errors: hand-computed cases, a published output, and parity with pyannote.metrics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxid.errors import InputError
from voxid.evaluate.der import PROTOCOLS, DiarizationErrors, evaluate_diarization
from voxid.evaluate.diarization import evaluate_diarization_set, read_diarization_folder
from voxid.timeline import Segment, Timeline, Turn

FIXTURE = Path(__file__).parents[2] / "shared" / "eval" / "diarization" / "vbx_fixture"

STRICT, FORGIVING, NO_OVERLAP = (protocol.name for protocol in PROTOCOLS)


def timeline(*turns: tuple[float, float, str], uri: str = "talk") -> Timeline:
    made = tuple(Turn(Segment(start_s, end_s), speaker) for start_s, end_s, speaker in turns)
    return Timeline(made, max((turn.end_s for turn in made), default=0.0), uri)


def parts(errors: DiarizationErrors, protocol: str) -> tuple[float, float, float, float]:
    """(scored, missed, false alarm, confusion) in seconds, rounded to the millisecond."""
    times = errors.times[protocol]
    shown = (times.scored_s, times.missed_s, times.false_alarm_s, times.confusion_s)
    return tuple(round(value, 3) for value in shown)  # type: ignore[return-value]


def test_a_perfect_answer_has_no_error_whatever_its_labels() -> None:
    """Labels are matched, not compared."""
    truth = timeline((0, 4, "ann"), (3, 6, "bob"))
    errors = evaluate_diarization(truth, truth.rename({"ann": "x", "bob": "y"}))
    assert [times.der for times in errors.times.values()] == [0.0, 0.0, 0.0]
    assert errors.jer == 0.0
    assert errors.mapping == {"x": "ann", "y": "bob"}


def test_each_kind_of_error_by_hand() -> None:
    """10 s of reference: 1 s missed at the start, 2 s of bob called ann's label, 1 s spoken by nobody."""
    truth = timeline((0, 6, "ann"), (6, 10, "bob"))
    found = timeline((1, 8, "A"), (8, 11, "B"))
    errors = evaluate_diarization(truth, found)
    assert parts(errors, STRICT) == (10.0, 1.0, 1.0, 2.0)
    assert errors.times[STRICT].der == pytest.approx(0.4)
    # Boundaries at 0, 6 and 10: 0-.25, 5.75-6.25 and 9.75-10.25 are left out.
    assert parts(errors, FORGIVING) == (9.0, 0.75, 0.75, 1.75)
    # ann: 5 common of a union of 8; bob: 2 of 5.
    assert errors.jer == pytest.approx(((1 - 5 / 8) + (1 - 2 / 5)) / 2)


def test_overlap_is_counted_once_per_speaker_or_left_out() -> None:
    """Two people at once for 2 s, one label found: 2 s missed, unless overlap is not scored."""
    truth = timeline((0, 10, "ann"), (4, 6, "bob"))
    errors = evaluate_diarization(truth, timeline((0, 10, "A")))
    assert parts(errors, STRICT) == (12.0, 2.0, 0.0, 0.0)
    # Left out: 0-.25, 3.75-4.25, 5.75-6.25, 9.75-10; then also 4.25-5.75, where both speak.
    assert parts(errors, FORGIVING) == (10.0, 1.5, 0.0, 0.0)
    assert parts(errors, NO_OVERLAP) == (7.0, 0.0, 0.0, 0.0)
    assert errors.jer == pytest.approx(0.5)


def test_the_matching_of_speakers_is_the_best_not_the_greedy_one() -> None:
    """A shares 5 s with ann and 4 s with bob, B shares 4 s with ann: A is bob (8 s right), not ann (5 s)."""
    truth = timeline((0, 9, "ann"), (9, 13, "bob"))
    found = timeline((0, 5, "A"), (5, 9, "B"), (9, 13, "A"))
    errors = evaluate_diarization(truth, found)
    assert errors.mapping == {"A": "bob", "B": "ann"}
    assert parts(errors, STRICT) == (13.0, 0.0, 0.0, 5.0)


def test_touching_turns_of_one_speaker_keep_their_collar() -> None:
    """As in md-eval: 4 | 6 s of ann leave out 0.5 s around the join, though nothing changes there."""
    truth = timeline((0, 4, "ann"), (4, 10, "ann"))
    assert parts(evaluate_diarization(truth, truth), FORGIVING)[0] == 9.0
    assert parts(evaluate_diarization(truth, truth), STRICT)[0] == 10.0


def test_overlapping_turns_of_one_speaker_are_not_overlap() -> None:
    """A person cannot interrupt themself."""
    truth = timeline((0, 6, "ann"), (4, 10, "ann"))
    assert parts(evaluate_diarization(truth, timeline((0, 10, "A"))), STRICT) == (10.0, 0.0, 0.0, 0.0)
    assert parts(evaluate_diarization(truth, truth), NO_OVERLAP)[0] == 8.5


def test_only_the_uem_is_scored() -> None:
    """Turns are cut at its edges, and speakers outside it do not count."""
    truth = timeline((0, 10, "ann"), (20, 30, "bob"))
    found = timeline((5, 30, "A"))
    errors = evaluate_diarization(truth, found, [Segment(0, 6), Segment(5, 12)])
    assert parts(errors, STRICT) == (10.0, 5.0, 2.0, 0.0)
    assert (errors.reference_speakers, errors.hypothesis_speakers) == (1, 1)


def test_silence_answered_by_speech_has_no_rate_but_counts_in_the_sum() -> None:
    """A recording without reference speech adds its false alarm to the set and has no DER of its own."""
    silent, spoken = timeline(uri="silent"), timeline((0, 10, "ann"), uri="spoken")
    hypotheses = {
        "silent": timeline((0, 1, "A"), uri="silent"),
        "spoken": timeline((0, 10, "A"), uri="spoken"),
    }
    report = evaluate_diarization_set({"silent": silent, "spoken": spoken}, hypotheses, resamples=0)
    assert {recording.uri: recording.times[STRICT].der for recording in report.recordings} == {
        "silent": None, "spoken": 0.0
    }  # fmt: skip
    assert report.der[STRICT].value == pytest.approx(0.1)
    assert report.count_exact.value == 0.5
    assert report.count_error == 0.5


def test_nobody_found_misses_everything() -> None:
    """An empty answer is 100 % missed, JER 100 %."""
    errors = evaluate_diarization(timeline((0, 4, "ann")), timeline())
    assert parts(errors, STRICT) == (4.0, 4.0, 0.0, 0.0)
    assert errors.jer == 1.0


@pytest.mark.skipif(not FIXTURE.is_dir(), reason="the VBx example of ../shared/eval is not on this machine")
def test_the_published_output_of_vbx_scores_its_published_numbers() -> None:
    """ES2005a: 7.06 without overlap, 17.27 with, 26.28 without a collar.

    The published JER of 29.99 counts 10 ms frames (29.992 when counted so); exact times give 29.957.
    """
    truth = Timeline.read_rttm(FIXTURE / "example__rttm__ES2005a.rttm")
    found = Timeline.read_rttm(FIXTURE / "exp__ES2005a.rttm")
    errors = evaluate_diarization(truth, found)
    rates = [round(100 * (errors.times[name].der or 0.0), 2) for name in (NO_OVERLAP, FORGIVING, STRICT)]
    assert rates == [7.06, 17.27, 26.28]
    assert 100 * (errors.jer or 0.0) == pytest.approx(29.99, abs=0.04)
    assert (errors.reference_speakers, errors.hypothesis_speakers) == (4, 5)


def random_talk(generator: np.random.Generator, speakers: int, turns: int, label: str) -> Timeline:
    """Turns in 10 ms steps with overlaps between speakers; each speaker's own turns are disjoint."""
    made: list[tuple[float, float, str]] = []
    for speaker in range(speakers):
        bounds = np.sort(generator.choice(6000, 2 * turns, replace=False)) / 100.0
        made += [(bounds[2 * k], bounds[2 * k + 1], f"{label}{speaker}") for k in range(turns)]
    return timeline(*made)


@pytest.mark.parametrize("seed", range(12))
def test_agrees_with_pyannote_metrics(seed: int) -> None:
    """DER, its parts and JER are those of pyannote.metrics on random conversations, with and without UEM."""
    core = pytest.importorskip("pyannote.core", reason="pyannote.metrics comes with the dev extra")
    scorers = pytest.importorskip("pyannote.metrics.diarization", reason="it comes with the dev extra")
    generator = np.random.default_rng(seed)
    truth = random_talk(generator, int(generator.integers(1, 5)), int(generator.integers(1, 12)), "r")
    found = random_talk(generator, int(generator.integers(1, 6)), int(generator.integers(1, 12)), "h")
    uem = [Segment(5.0, 20.0), Segment(22.5, 55.0)] if seed % 2 else None
    regions = core.Timeline([core.Segment(s.start_s, s.end_s) for s in uem]) if uem else None

    def annotation(talk: Timeline) -> object:
        made = core.Annotation(uri="talk")
        for number, turn in enumerate(talk.turns):
            made[core.Segment(turn.start_s, turn.end_s), number] = turn.speaker
        return made

    errors = evaluate_diarization(truth, found, uem)
    for protocol in PROTOCOLS:
        scorer = scorers.DiarizationErrorRate(collar=2 * protocol.collar_s, skip_overlap=not protocol.overlap)
        theirs = scorer(annotation(truth), annotation(found), uem=regions, detailed=True)
        ours = errors.times[protocol.name]
        assert ours.scored_s == pytest.approx(theirs["total"], abs=1e-6)
        assert ours.missed_s == pytest.approx(theirs["missed detection"], abs=1e-6)
        assert ours.false_alarm_s == pytest.approx(theirs["false alarm"], abs=1e-6)
        assert ours.confusion_s == pytest.approx(theirs["confusion"], abs=1e-6)
    jaccard = scorers.JaccardErrorRate()(annotation(truth), annotation(found), uem=regions)
    # pyannote matches speakers for DER and then computes JER; we match for JER itself, as DIHARD does,
    # which can only be lower, and is equal unless the two matchings differ.
    assert errors.jer is not None
    assert errors.jer <= jaccard + 1e-9
    assert errors.jer == pytest.approx(jaccard, abs=0.05)


def test_a_set_sums_seconds_and_resamples_recordings() -> None:
    """DER of the set is all error seconds over all speech seconds, not the mean of the recordings' DER."""
    references = {"long": timeline((0, 90, "a"), uri="long"), "short": timeline((0, 10, "a"), uri="short")}
    hypotheses = {"long": timeline((0, 90, "A"), uri="long"), "short": timeline((0, 5, "A"), uri="short")}
    report = evaluate_diarization_set(references, hypotheses, seed=0)
    assert report.der[STRICT].value == pytest.approx(0.05)
    assert report.der[STRICT].low == 0.0
    assert report.der[STRICT].high == pytest.approx(0.5)
    assert report.jer.value == pytest.approx(0.25)
    assert report.to_dict()["protocols"][STRICT]["missed"] == pytest.approx(0.05)


def test_refuses_a_set_with_a_missing_answer_or_region() -> None:
    """A recording is never left out of the sum silently."""
    truth = timeline((0, 4, "a"))
    with pytest.raises(
        InputError, match="There is no hypothesis for talk; expected one for each of 1 references"
    ):
        evaluate_diarization_set({"talk": truth}, {})
    with pytest.raises(InputError, match="The UEM does not list talk"):
        evaluate_diarization_set({"talk": truth}, {"talk": truth}, {"other": [Segment(0, 1)]})
    with pytest.raises(InputError, match="There is no reference recording"):
        evaluate_diarization_set({}, {})


def test_reads_folders_of_rttm_and_uem(tmp_path: Path) -> None:
    """Regions beside the references are taken; an empty RTTM is a recording in which nobody was found."""
    truth, found = tmp_path / "truth", tmp_path / "found"
    truth.mkdir()
    found.mkdir()
    timeline((0, 4, "ann"), uri="one").write_rttm(truth / "one.rttm")
    timeline((0, 4, "bob"), uri="two").write_rttm(truth / "two.rttm")
    (truth / "one.uem").write_text("one 1 0.0 2.0\n")
    (truth / "two.uem").write_text("two 1 0.0 4.0\n")
    timeline((0, 4, "A"), uri="one").write_rttm(found / "one.rttm")
    (found / "two.rttm").write_text("")
    report = evaluate_diarization_set(*read_diarization_folder(truth, found), resamples=0)
    assert report.times[STRICT].scored_s == pytest.approx(6.0)
    assert report.times[STRICT].missed_s == pytest.approx(4.0)
    with pytest.raises(InputError, match=r"holds no \*\.rttm files"):
        read_diarization_folder(tmp_path, found)
