"""Incremental clustering, the book of turns and what is kept of a call, on people who do not exist."""

from __future__ import annotations

import numpy as np

from synthetic_voices import D, draw_people
from voxid.diarize.clustering import unit_rows
from voxid.diarize.online.book import Book, Label
from voxid.diarize.online.closing import match_speakers
from voxid.diarize.online.events import EventKind
from voxid.diarize.online.hearing import Hearing
from voxid.diarize.online.recall import Recall
from voxid.diarize.online.speakers import Speakers
from voxid.diarize.online.window import RollingWindow
from voxid.diarize.turns import DrawnTurn
from voxid.segments import Segment

RNG = np.random.default_rng(5)
PEOPLE = draw_people(4, RNG)


def hearing(*voices: tuple[int, float], spread: float = 0.3, at: int = 0, fresh_s: float = 0.5) -> Hearing:
    """Return a window of 10 s in which each (person, clean seconds) is heard."""
    who = [person for person, _ in voices]
    vectors = PEOPLE[who] + RNG.standard_normal((len(who), D)) * spread / np.sqrt(D)
    unit = unit_rows(vectors.astype(np.float32))
    seconds = np.asarray([clean_s for _, clean_s in voices], np.float32)
    probability = np.zeros((500, 4), np.float32)
    for column, clean_s in enumerate(seconds.tolist()):
        probability[500 - round(50 * clean_s) :, column] = 1.0
    fresh = np.minimum(seconds, fresh_s).astype(np.float32)
    return Hearing(at, probability, np.arange(len(who)), unit, unit, seconds, seconds, fresh, 0.5)


def nobody_told(speakers: Speakers, heard: Hearing) -> np.ndarray:
    return np.zeros((len(heard), speakers.made), np.float32)


def room(most: int | None = None) -> Speakers:
    return Speakers(join_above=0.6, merge_above=0.8, new_speaker_s=1.0, continuity=0.2, most=most)


def assign(speakers: Speakers, heard: Hearing) -> list[int]:
    return speakers.assign(heard, nobody_told(speakers, heard)).speaker.tolist()


def test_who_returns_after_others_is_the_same() -> None:
    speakers = room()
    order = [0, 0, 1, 1, 2, 0, 2, 1]
    assert [assign(speakers, hearing((person, 3.0)))[0] for person in order] == order


def test_voices_of_one_window_are_two_speakers_however_alike() -> None:
    """Both are the same person's voice: the constraint keeps them apart all the same."""
    speakers = room()
    assert len(set(assign(speakers, hearing((0, 4.0), (0, 4.0), spread=0.01)))) == 2


def test_a_new_speaker_needs_enough_speech() -> None:
    """0.6 s of a stranger is shown as the nearest; with a second and more the stranger is somebody new."""
    speakers = room()
    assign(speakers, hearing((0, 4.0)))
    short = hearing((1, 0.6))
    found = speakers.assign(short, nobody_told(speakers, short))
    assert found.speaker.tolist() == [0]
    assert not found.sure.any()
    assert assign(speakers, hearing((1, 1.1))) == [1]


def test_no_more_speakers_than_allowed() -> None:
    """The third voice of a call of two is one of the two; in a window with both it is left out."""
    speakers = room(most=2)
    assign(speakers, hearing((0, 4.0), (1, 4.0)))
    assert assign(speakers, hearing((2, 4.0)))[0] in (0, 1)
    assert sorted(assign(speakers, hearing((0, 4.0), (1, 4.0), (2, 4.0)))) == [-1, 0, 1]


def test_two_who_turn_out_to_be_one_are_joined() -> None:
    """Begun apart by a poor first second, nearer and nearer with more speech: the later one goes."""
    speakers = room()
    assert assign(speakers, hearing((0, 4.0))) == [0]
    assert assign(speakers, hearing((1, 4.0))) == [1]
    for _ in range(40):
        speakers.alive[1].add(PEOPLE[0].astype(np.float32), PEOPLE[0].astype(np.float32), 1.0)
        speakers.alive[0].add(PEOPLE[0].astype(np.float32), PEOPLE[0].astype(np.float32), 1.0)
    assert speakers.merges() == [(1, 0)]
    assert list(speakers.alive) == [0]


def test_who_was_heard_beside_another_is_never_joined_with_them() -> None:
    speakers = room()
    for _ in range(8):
        assign(speakers, hearing((0, 4.0), (1, 4.0)))
    speakers.alive[1].total = speakers.alive[0].total.copy()
    assert speakers.merges() == []


def test_a_known_persons_voice_is_that_person() -> None:
    """A voice too far from its own speaker is brought back by the gallery, in place of becoming a new one."""
    speakers = room()
    assign(speakers, hearing((0, 4.0)))
    odd = hearing((3, 4.0))
    assert speakers.assign(odd, nobody_told(speakers, odd), lambda raw, seconds: 0).speaker.tolist() == [0]


def label(speaker: int) -> Label:
    return Label(f"SPEAKER_{speaker:02d}")


def run(start_s: float, end_s: float, speaker: int) -> DrawnTurn:
    return DrawnTurn(Segment(start_s, end_s), speaker, 0.9)


def test_a_turn_grows_ends_and_changes() -> None:
    """Tentative, tentative, final; then a revision of the speaker, and one that withdraws the turn."""
    book = Book(max_gap_s=0.3)
    steps = [
        ([run(1.0, 2.0, 0)], 2.0),
        ([run(1.0, 2.4, 0)], 2.5),
        ([run(1.0, 2.4, 0)], 3.0),
        ([run(1.0, 2.4, 1)], 3.5),
        ([], 4.0),
    ]
    events = [event for wanted, now_s in steps for event in book.renew(wanted, 0.0, now_s, label)]
    kinds = [EventKind.TENTATIVE, EventKind.TENTATIVE, EventKind.FINAL, EventKind.REVISED, EventKind.REVISED]
    assert [event.kind for event in events] == kinds
    assert [event.revision for event in events] == [0, 1, 2, 3, 4]
    assert {event.turn_id for event in events} == {0}
    assert [event.turn.speaker for event in events][-2:] == ["SPEAKER_01", "SPEAKER_01"]
    assert [event.withdrawn for event in events] == [False, False, False, False, True]
    assert book.turns(label) == ()


def test_a_long_turn_is_one_turn_after_its_beginning_is_out_of_sight() -> None:
    book = Book(max_gap_s=0.3)
    book.renew([run(1.0, 9.0, 0)], 0.0, 9.0, label)
    book.renew([run(5.0, 14.0, 0)], 5.0, 14.0, label)
    assert [(turn.start_s, turn.end_s) for turn in book.turns(label)] == [(1.0, 14.0)]


def test_what_began_before_the_window_stays_with_its_speaker() -> None:
    """The part in sight goes to another: the turn ends where sight begins, and a new one starts."""
    book = Book(max_gap_s=0.3)
    book.renew([run(1.0, 9.0, 0)], 0.0, 9.0, label)
    book.renew([run(5.0, 9.5, 1)], 5.0, 9.5, label)
    told = sorted((turn.start_s, turn.end_s, turn.speaker) for turn in book.turns(label))
    assert told == [(1.0, 5.0, "SPEAKER_00"), (5.0, 9.5, "SPEAKER_01")]


def test_joining_speakers_revises_every_turn_of_the_one_who_goes() -> None:
    book = Book(max_gap_s=0.3)
    book.renew([run(0.0, 1.0, 0), run(2.0, 3.0, 1), run(4.0, 5.0, 1)], 0.0, 9.0, label)
    book.merge(1, 0)
    events = book.relabel(label, 9.5)
    assert [(event.kind, event.turn_id, event.turn.speaker) for event in events] == [
        (EventKind.REVISED, 1, "SPEAKER_00"),
        (EventKind.REVISED, 2, "SPEAKER_00"),
    ]
    assert book.relabel(label, 10.0) == []


def test_the_last_pass_keeps_numbers() -> None:
    """Who shares most time keeps the number; somebody new gets one nobody had."""
    told = [run(0, 4, 3), run(5, 9, 1)]
    drawn = [run(0, 4.2, 0), run(5, 8, 1), run(10, 12, 2)]
    assert match_speakers(drawn, told, 3, unused=7) == [3, 1, 7]


def test_memory_is_bounded() -> None:
    """An hour of call leaves ten seconds of samples, and no more chunks than are to be kept."""
    window = RollingWindow(1_000, 0.5)
    block = (0.01 * RNG.standard_normal(16_000)).astype(np.float32)
    for _ in range(40):
        for one in window.push(block):
            assert len(one.features) == 1_000
            assert len(one.samples) <= 160 * 1_000 + 240
    recall = Recall(1_000, keep_s=60.0, step_frames=50)
    for chunk in range(100):
        recall.keep(hearing((0, 4.0), at=250 * chunk))
    assert len(recall._kept) == 12
    assert recall.start_s == 88 * 5.0
    assert recall.since_s == 89 * 5.0
