"""An unknown voice has one id in every recording; kept on stated grounds only, until a stated day, if it may be."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from voxid.audio import SAMPLE_RATE_HZ, Waveform, load
from voxid.decision import Outcome
from voxid.diarize import diarize, remember
from voxid.errors import InputError, PolicyError
from voxid.gallery import Consent, Grounds
from voxid.gallery.unknown import is_unknown_id
from voxid.recognize import Gallery
from voxid.segments import Segment
from voxid.timeline import Timeline, Turn

VOICES = Path(str(files("voxid") / "data" / "voices"))
NAMING = Consent(purposes={"verify", "identify", "diarize-name"}, evidence="synthetic voice")
VERIFY_ONLY = Consent(purposes={"verify"}, evidence="synthetic voice")
GROUNDS = Grounds("minutes of the board; assessment 12", keep_days=30)
PAUSE_S = 0.4


class Clock:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, days: float) -> None:
        self.now += timedelta(days=days)


def clip(speaker: str, number: int) -> Path:
    return VOICES / speaker / f"{number:02d}.opus"


def talk_of(uri: str, *clips: tuple[str, int]) -> tuple[Waveform, Timeline]:
    """Return a conversation of these clips one after another, and who speaks when: labels by first appearance."""
    pause = np.zeros(round(PAUSE_S * SAMPLE_RATE_HZ), dtype=np.float32)
    pieces, turns, at_s = [], [], 0.0
    labels: dict[str, str] = {}
    for speaker, number in clips:
        samples = load(clip(speaker, number)).samples
        label = labels.setdefault(speaker, f"SPEAKER_{len(labels):02d}")
        turns.append(Turn(Segment(at_s, at_s + len(samples) / SAMPLE_RATE_HZ), label))
        pieces += [samples, pause]
        at_s = sum(len(piece) for piece in pieces) / SAMPLE_RATE_HZ
    waveform = replace(load((np.concatenate(pieces), SAMPLE_RATE_HZ)), uri=uri)
    return waveform, Timeline(tuple(turns), waveform.duration_s, uri, waveform.sha256)


MONDAY = talk_of("monday", ("bruno", 1), ("clara", 1), ("bruno", 2), ("clara", 2))
FRIDAY = talk_of("friday", ("dev", 1), ("bruno", 3), ("dev", 2), ("bruno", 4))


def keep(gallery: Gallery, talk: tuple[Waveform, Timeline], grounds: Grounds = GROUNDS) -> Timeline:
    waveform, timeline = talk
    return remember(timeline, waveform, gallery, grounds)[0]


def label_of(timeline: Timeline, position: int) -> str:
    return timeline.turns[position].speaker


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gallery(tmp_path: Path, clock: Clock) -> Iterator[Gallery]:
    with Gallery.open(tmp_path / "people.voxid", clock=clock) as opened:
        yield opened


def stored_bytes(gallery: Gallery) -> bytes:
    found = sorted(gallery.path.parent.glob(gallery.path.name + "*"))
    return b"".join(file.read_bytes() for file in found if file.suffix != ".key")


def test_one_voice_in_two_recordings_is_one_id(gallery: Gallery, clock: Clock) -> None:
    """Bruno on Monday and on Friday, beside others; what is known of him is counted, and nobody else is him."""
    monday = keep(gallery, MONDAY)
    bruno, clara = label_of(monday, 0), label_of(monday, 1)
    assert bruno != clara
    assert is_unknown_id(bruno)
    assert is_unknown_id(clara)
    assert [turn.voice_id for turn in monday.turns] == [turn.speaker for turn in monday.turns]
    assert not any(turn.named for turn in monday.turns)
    clock.advance(4)
    friday = keep(gallery, FRIDAY)
    assert label_of(friday, 1) == label_of(friday, 3) == bruno
    assert label_of(friday, 0) not in (bruno, clara)
    known = {person.id: person for person in gallery.unknown.people()}
    assert len(known) == 3
    assert [sighting.uri for sighting in known[bruno].sightings] == ["monday", "friday"]
    assert known[bruno].last_at == clock.now
    assert known[bruno].expires_at == clock.now + timedelta(days=30)
    spoken_s = sum(MONDAY[1].turns[at].duration_s for at in (0, 2))
    assert known[bruno].sightings[0].speech_s == pytest.approx(spoken_s, abs=0.01)
    assert known[bruno].sightings[0].basis == GROUNDS.basis


def test_diarize_calls_a_known_voice_by_its_id_and_stores_nothing(gallery: Gallery) -> None:
    """With the evidence, what it was compared with, and the rate in the JSON; names come first."""
    gallery.enroll("Dev", [clip("dev", 3), clip("dev", 4)], NAMING)
    bruno = label_of(keep(gallery, MONDAY), 0)
    before = gallery.unknown.people(), stored_bytes(gallery)
    timeline = diarize(FRIDAY[0], gallery=gallery, speakers=2)
    assert set(timeline.speakers) == {"Dev", bruno}
    for turn in timeline.turns:
        assert turn.named == (turn.speaker == "Dev")
        assert turn.voice_id == (bruno if turn.speaker == bruno else None)
        assert turn.llr is not None
    told = timeline.to_dict()["naming"]
    assert (told["profile"], told["false_accept_rate"], told["false_name_rate"]) == ("far_1pct", 0.01, 0.01)
    assert (told["people"], told["unknown"]) == (1, 2)
    assert told["unknown_threshold_llr"] > told["threshold_llr"]
    assert (gallery.unknown.people(), stored_bytes(gallery)) == before


def test_nobody_unknown_is_verified_or_identified(gallery: Gallery) -> None:
    """An id is no name, and the voice behind it no candidate for any purpose."""
    bruno = label_of(keep(gallery, MONDAY), 0)
    assert gallery.verify(bruno, clip("bruno", 5)).outcome is Outcome.NOT_ENROLLED
    assert gallery.identify(clip("bruno", 5)) == []
    assert gallery.people() == []
    with pytest.raises(InputError, match="is what strangers are called") as caught:
        gallery.enroll(bruno, clip("bruno", 5), NAMING)
    assert caught.value.code == "name_invalid"


def test_the_same_recording_again_counts_once(gallery: Gallery, clock: Clock) -> None:
    """The ids stay, and the newer grounds hold."""
    first = keep(gallery, MONDAY)
    clock.advance(1)
    again = keep(gallery, MONDAY, Grounds("another purpose", 5))
    assert again == first
    people = gallery.unknown.people()
    assert [len(person.sightings) for person in people] == [1, 1]
    assert {person.sightings[0].basis for person in people} == {"another purpose"}
    assert {person.expires_at for person in people} == {clock.now + timedelta(days=5)}


def test_after_its_time_a_voice_is_not_used_and_purged(gallery: Gallery, clock: Clock) -> None:
    """Not known any more on the day itself; the dry run names who goes, and the purge takes exactly those."""
    monday = keep(gallery, MONDAY)
    bruno = label_of(monday, 0)
    clock.advance(29)
    keep(gallery, FRIDAY, Grounds("minutes", 100))
    assert gallery.unknown.purge(dry_run=True) == []
    clock.advance(1)
    expected = {bruno, label_of(monday, 1)}
    assert {person.id for person in gallery.unknown.purge(dry_run=True)} == expected
    known = {person.id: person for person in gallery.unknown.people()}
    assert label_of(monday, 1) not in known
    assert [sighting.uri for sighting in known[bruno].sightings] == ["friday"]
    assert b"" + label_of(monday, 1).encode() in stored_bytes(gallery)
    assert {person.id for person in gallery.unknown.purge()} == expected
    assert label_of(monday, 1).encode() not in stored_bytes(gallery)
    assert gallery.unknown.purge() == []
    assert [person.id for person in gallery.unknown.people()] == list(known)


def test_keeping_more_erases_what_has_expired(gallery: Gallery, clock: Clock) -> None:
    """In the same transaction: a voice whose time ran out gets a new id when it is heard again."""
    bruno = label_of(keep(gallery, MONDAY), 0)
    clock.advance(30)
    friday = keep(gallery, FRIDAY)
    assert bruno not in friday.speakers
    assert bruno.encode() not in stored_bytes(gallery)
    assert len(gallery.unknown.people()) == 2


def test_forgetting_leaves_nothing_but_keyed_hashes(gallery: Gallery) -> None:
    """The same recording does not bring the voice back; another one does, for nothing is left to know it by."""
    bruno = label_of(keep(gallery, MONDAY), 0)
    gallery.unknown.forget(bruno)
    left = stored_bytes(gallery)
    assert bruno.encode() not in left
    again, kept = remember(MONDAY[1], MONDAY[0], gallery, GROUNDS)
    assert label_of(again, 0) == "SPEAKER_00"
    assert kept[0].reason.startswith(
        "the voice is one that may not be kept (enrolled, opted out or forgotten)"
    )
    assert kept[1].id is not None
    assert len(gallery.unknown.people()) == 1
    assert is_unknown_id(label_of(keep(gallery, FRIDAY), 1))
    with pytest.raises(InputError, match="No unknown person here has the id") as caught:
        gallery.unknown.forget(bruno)
    assert caught.value.code == "unknown_missing"


def test_who_opted_out_by_voice_is_not_kept_again(gallery: Gallery, clock: Clock) -> None:
    """In no recording, however late; no recording is on record any more, no id is given, and the wish is documented."""
    bruno = label_of(keep(gallery, MONDAY), 0)
    with pytest.raises(PolicyError, match="state where the person's wish is written down") as caught:
        gallery.unknown.opt_out(bruno, " ")
    assert caught.value.code == "wish_missing"
    gallery.unknown.opt_out(bruno, "letter of 3 May")
    clock.advance(500)
    friday, kept = remember(FRIDAY[1], FRIDAY[0], gallery, GROUNDS)
    assert label_of(friday, 1) == "SPEAKER_01"
    assert {one.label: one.id is None for one in kept} == {"SPEAKER_00": False, "SPEAKER_01": True}
    refused = next(person for person in gallery.unknown.people() if person.id == bruno)
    assert refused.sightings == ()
    assert refused.opt_out is not None
    assert refused.opt_out.evidence == "letter of 3 May"
    assert bruno not in diarize(FRIDAY[0], gallery=gallery, speakers=2).speakers
    assert gallery.unknown.names([bruno]) == {bruno: None}
    with pytest.raises(InputError, match="has opted out; nothing may be done with the voice"):
        gallery.unknown.name(bruno, "Bruno", NAMING)
    gallery.unknown.forget(bruno)  # lifts it
    assert is_unknown_id(label_of(keep(gallery, FRIDAY), 1))


def test_an_enrolled_person_may_opt_out_by_voice(gallery: Gallery) -> None:
    """Deleted, name refused, and the voice not kept under an id either; of the person nothing else is left."""
    gallery.enroll("Bruno", [clip("bruno", 3), clip("bruno", 4)], NAMING)
    (before,) = (print_.id for print_ in gallery.get("Bruno").voiceprints[:1])
    with pytest.raises(PolicyError, match="state where the person's wish is written down"):
        gallery.opt_out("Bruno", voice_wish="")
    id_ = gallery.opt_out("Bruno", voice_wish="letter of 3 May")
    assert gallery.people() == []
    assert before.encode() not in stored_bytes(gallery)
    assert [(person.id, person.sightings) for person in gallery.unknown.people()] == [(id_, ())]
    _, kept = remember(MONDAY[1], MONDAY[0], gallery, GROUNDS)
    assert [one.id is None for one in kept] == [True, False]
    assert gallery.opt_out("Nobody", voice_wish="letter") is None


def test_enrolled_people_are_never_kept_without_a_name(gallery: Gallery) -> None:
    """Bruno consented to verification: he is neither named nor kept; the sentence does not say who he is."""
    gallery.enroll("Bruno", [clip("bruno", 3), clip("bruno", 4)], VERIFY_ONLY)
    monday, kept = remember(MONDAY[1], MONDAY[0], gallery, GROUNDS)
    assert label_of(monday, 0) == "SPEAKER_00"
    assert kept[0].id is None
    assert "Bruno" not in kept[0].reason
    assert kept[1].new


def test_too_little_speech_is_not_kept(gallery: Gallery) -> None:
    """Five seconds without others: less is not known again surely enough; named speakers are passed over."""
    waveform, timeline = MONDAY
    short = replace(
        timeline, turns=(replace(timeline.turns[0], segment=Segment(0.3, 3.0)), timeline.turns[1])
    )
    _, kept = remember(short, waveform, gallery, GROUNDS)
    assert kept[0].id is None
    assert kept[0].reason.endswith(
        "of speech without others are too little to be known again; 5 s are needed"
    )
    named = replace(timeline, turns=tuple(replace(turn, named=True) for turn in timeline.turns))
    assert remember(named, waveform, gallery, GROUNDS) == (named, ())


def test_one_voice_cut_in_two_is_not_kept_twice(gallery: Gallery) -> None:
    """Two speakers of one recording who are both like somebody known: one gets the id, the other stays a stranger."""
    bruno = label_of(keep(gallery, MONDAY), 0)
    waveform, timeline = talk_of("sunday", ("bruno", 3), ("bruno", 4), ("bruno", 5), ("bruno", 1))
    labels = ("SPEAKER_00", "SPEAKER_00", "SPEAKER_01", "SPEAKER_01")
    cut = tuple(replace(turn, speaker=label) for turn, label in zip(timeline.turns, labels, strict=True))
    _, kept = remember(replace(timeline, turns=cut), waveform, gallery, GROUNDS)
    (known,) = (one for one in kept if one.id is not None)
    (other,) = (one for one in kept if one.id is None)
    assert (known.id, known.new) == (bruno, False)
    assert other.reason == f"the voice is much like that of {bruno}, who speaks here elsewhere"
    assert len(gallery.unknown.people()) == 2


def test_another_recording_is_refused(gallery: Gallery) -> None:
    with pytest.raises(InputError, match="give the recording the timeline was made from") as caught:
        remember(MONDAY[1], FRIDAY[0], gallery, GROUNDS)
    assert caught.value.code == "recording_of_other_timeline"
    assert gallery.unknown.people() == []


def test_at_the_same_time_from_several_sides(gallery: Gallery, clock: Clock) -> None:
    """Four openings of the file remember one recording at once: each voice is kept once, and all agree on the ids."""
    gallery.unknown.people()  # the file is there

    def remember_monday(_: int) -> tuple[str, ...]:
        with Gallery.open(gallery.path, clock=clock) as opened:
            return keep(opened, MONDAY).speakers

    with ThreadPoolExecutor(4) as threads:
        found = set(threads.map(remember_monday, range(4)))
    assert len(found) == 1
    assert {person.id for person in gallery.unknown.people()} == set(*found)


def test_without_grounds_nothing_is_kept(gallery: Gallery) -> None:
    with pytest.raises(PolicyError, match="state purpose and legal basis") as caught:
        keep(gallery, MONDAY, Grounds("  "))
    assert caught.value.code == "basis_missing"
    assert not gallery.path.exists()
