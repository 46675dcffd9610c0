"""An unknown voice gets a name with consent, or nothing changes; every earlier timeline follows the name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from test_remembers_unknown_people import (
    FRIDAY,
    MONDAY,
    NAMING,
    VERIFY_ONLY,
    Clock,
    clip,
    keep,
    label_of,
    stored_bytes,
)
from voxid.backend import Quality
from voxid.bundle import default_bundle
from voxid.diarize.find import find
from voxid.diarize.naming import Name, assign_ids, assign_people
from voxid.errors import InputError, PolicyError, VoxidError
from voxid.gallery import Consent
from voxid.recognize import Gallery
from voxid.recognize.assignment import assign, threshold_among
from voxid.recognize.unknown import UnknownMatches


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gallery(tmp_path: Path, clock: Clock) -> Iterator[Gallery]:
    with Gallery.open(tmp_path / "people.voxid", clock=clock) as opened:
        yield opened


def test_every_earlier_timeline_follows(gallery: Gallery, clock: Clock) -> None:
    """Named after two meetings: both timelines get the name; a rename follows, and so does the end of it."""
    monday, friday = keep(gallery, MONDAY), keep(gallery, FRIDAY)
    bruno = label_of(monday, 0)
    enrolled = gallery.unknown.name(bruno, "Bruno", NAMING)
    assert (enrolled.person, enrolled.added) == ("Bruno", 2)
    for timeline, at in ((monday, 0), (friday, 1)):
        named = timeline.relabel(gallery.unknown.names(timeline.voice_ids))
        assert (named.turns[at].speaker, named.turns[at].named) == ("Bruno", True)
        assert [turn.named for turn in named.turns].count(True) == 2
    assert bruno not in {person.id for person in gallery.unknown.people()}
    assert gallery.verify("Bruno", clip("bruno", 5))
    gallery.rename("Bruno", "Bruno B.")
    assert gallery.unknown.names([bruno]) == {bruno: "Bruno B."}
    gallery.withdraw("Bruno B.", {"diarize-name"})
    assert gallery.unknown.names([bruno]) == {bruno: None}
    gallery.delete("Bruno B.")
    assert gallery.unknown.names([bruno]) == {bruno: None}
    assert bruno.encode() not in stored_bytes(gallery)


def test_a_name_ends_with_the_consent(gallery: Gallery, clock: Clock) -> None:
    bruno = label_of(keep(gallery, MONDAY), 0)
    consent = Consent({"diarize-name"}, evidence="form 17", expires_at=clock.now + timedelta(days=10))
    gallery.unknown.name(bruno, "Bruno", consent)
    assert gallery.unknown.names([bruno]) == {bruno: "Bruno"}
    clock.advance(10)
    assert gallery.unknown.names([bruno]) == {bruno: None}


def opt_out(gallery: Gallery) -> None:
    gallery.opt_out("Bruno")


def enroll_for_verification(gallery: Gallery) -> None:
    gallery.enroll("Bruno", clip("dev", 3), VERIFY_ONLY)


def nothing(gallery: Gallery) -> None:
    """No preparation."""


@pytest.mark.parametrize(
    ("before", "consent", "error", "code", "sentence"),
    [
        (nothing, None, PolicyError, "consent_missing", "has given no consent"),
        (nothing, VERIFY_ONLY, PolicyError, "consent_missing", "does not cover diarize-name, so nothing"),
        (enroll_for_verification, None, PolicyError, "consent_missing", "does not cover diarize-name"),
        (
            nothing,
            Consent({"diarize-name"}, evidence="form", expires_at=datetime(2026, 1, 1, tzinfo=UTC)),
            PolicyError,
            "consent_expired",
            "ended on 2026-01-01",
        ),
        (opt_out, NAMING, PolicyError, "opted_out", "has opted out"),
    ],
)
def test_without_consent_nothing_changes(
    gallery: Gallery,
    before: Callable[[Gallery], None],
    consent: Consent | None,
    error: type[VoxidError],
    code: str,
    sentence: str,
) -> None:
    """Refused before anything is written: the unknown person stays one, and the bytes of the gallery are the same."""
    bruno = label_of(keep(gallery, MONDAY), 0)
    before(gallery)
    people, known, stored = gallery.people(), gallery.unknown.people(), stored_bytes(gallery)
    with pytest.raises(error, match=sentence) as caught:
        gallery.unknown.name(bruno, "Bruno", consent)
    assert caught.value.code == code
    assert (gallery.people(), gallery.unknown.people(), stored_bytes(gallery)) == (people, known, stored)


def test_a_voice_is_not_given_to_somebody_else(gallery: Gallery) -> None:
    """Checked as an enrollment is: against the person's own references, and against everybody else's."""
    bruno = label_of(keep(gallery, MONDAY), 0)
    gallery.enroll("Dev", [clip("dev", 3), clip("dev", 4)], NAMING)
    known = gallery.unknown.people()
    with pytest.raises(InputError, match="does not sound like") as caught:
        gallery.unknown.name(bruno, "Dev")
    assert caught.value.code == "enrollment_inconsistent"
    gallery.enroll("Bruno", [clip("bruno", 3), clip("bruno", 4)], NAMING)
    with pytest.raises(PolicyError, match="already enrolled as 'Bruno'") as refused:
        gallery.unknown.name(bruno, "Somebody", NAMING)
    assert refused.value.code == "voice_already_enrolled"
    assert gallery.unknown.people() == known
    added = gallery.unknown.name(bruno, "Bruno")
    assert (added.added, added.total) == (1, 3)
    assert gallery.unknown.names([bruno]) == {bruno: "Bruno"}


def test_nothing_of_the_recordings_is_left_after_naming(gallery: Gallery) -> None:
    """What the unknown person's key sealed is gone: the list of recordings and the grounds."""
    bruno = label_of(keep(gallery, MONDAY), 0)
    store, _ = gallery.stored()
    (sealed,) = (record for record in store.read_unknown() if record.id == bruno)
    gallery.unknown.name(bruno, "Bruno", NAMING)
    with pytest.raises(InputError, match="it was given a name: `voxid people` has the person") as caught:
        gallery.unknown.forget(bruno)
    assert caught.value.code == "unknown_missing"
    assert sealed.heard[0].sighting.uri.encode() not in stored_bytes(gallery)
    assert [record.id for record in store.read_unknown() if record.id == bruno] == []


def test_two_ids_of_one_voice_are_joined(gallery: Gallery) -> None:
    """Both ids lead to whoever it is, then and later; voices that differ are joined only when that is insisted on."""
    monday = keep(gallery, MONDAY)
    bruno, clara = label_of(monday, 0), label_of(monday, 1)
    with pytest.raises(InputError, match="do not sound like one person") as caught:
        gallery.unknown.merge(bruno, clara)
    assert caught.value.code == "merge_different_voices"
    with pytest.raises(InputError, match="are one already"):
        gallery.unknown.merge(bruno, bruno)
    gallery.unknown.merge(bruno, clara, allow_inconsistent=True)
    assert gallery.unknown.names([bruno, clara]) == {bruno: bruno, clara: bruno}
    assert [person.id for person in gallery.unknown.people()] == [bruno]
    gallery.unknown.name(clara, "Bruno", NAMING, allow_inconsistent=True)
    assert gallery.unknown.names([bruno, clara]) == {bruno: "Bruno", clara: "Bruno"}
    gallery.delete("Bruno")
    left = stored_bytes(gallery)
    assert (bruno.encode() in left, clara.encode() in left) == (False, False)


def test_what_is_refused_is_on_record(gallery: Gallery, tmp_path: Path) -> None:
    """Under the act that was wanted and the code of the refusal, about the voice, where there is one."""
    gallery.stored()[0].start_audit()
    bruno, clara = (label_of(keep(gallery, MONDAY), number) for number in (0, 1))
    acts: list[Callable[[], object]] = [
        lambda: gallery.unknown.merge(bruno, clara),
        lambda: gallery.unknown.name(bruno, "Bruno", Consent({"verify"}, "form 1")),
        lambda: gallery.unknown.opt_out(bruno, " "),
        lambda: gallery.unknown.forget("unknown-00000000"),
        lambda: find("Nobody", tmp_path / "not-there.wav", gallery=gallery),
    ]
    for act in acts:
        with pytest.raises(VoxidError):
            act()
    log = gallery.stored()[0].audit().events(after=0, limit=100)
    assert [
        (one.entry.act, one.entry.outcome, one.person_id) for one in log if "refused" in one.entry.outcome
    ] == [
        ("unknown.merged", "refused:merge_different_voices", bruno),
        ("unknown.named", "refused:consent_missing", bruno),
        ("unknown.opted_out", "refused:wish_missing", bruno),
        ("unknown.forgotten", "refused:unknown_missing", None),
        ("person.looked_for", "refused:person_missing", None),
    ]
    assert gallery.stored()[0].audit().verify().whole


def test_ids_nobody_has_lead_to_nobody(gallery: Gallery) -> None:
    keep(gallery, MONDAY)
    assert gallery.unknown.names(["unknown-00000000", "SPEAKER_00"]) == {
        "unknown-00000000": None,
        "SPEAKER_00": None,
    }


def test_people_who_merge_keep_their_ids(gallery: Gallery) -> None:
    bruno = label_of(keep(gallery, MONDAY), 0)
    gallery.enroll("Bruno", [clip("bruno", 3), clip("bruno", 4)], NAMING)
    gallery.unknown.name(bruno, "B. Rossi", NAMING, allow_duplicate=True)
    gallery.merge("Bruno", "B. Rossi")
    assert gallery.unknown.names([bruno]) == {bruno: "Bruno"}


@pytest.mark.parametrize("seed", range(20))
def test_unknown_people_take_no_name_from_anybody(seed: int) -> None:
    """Whoever is known without a name: people are assigned as if there were none, and one id goes to one row."""
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 6))
    llr = rng.normal(2, 3, (rows, 4))
    candidates = [
        [
            type("C", (), {"person": f"p{column}", "llr": float(llr[row, column])})()
            for column in np.argsort(-llr[row])
        ]
        for row in range(rows)
    ]
    names = assign_people(candidates, 2.0)
    known = UnknownMatches(("u0", "u1", "u2"), rng.normal(3, 4, (rows, 3)), 2.5)
    ids = assign_ids(known, names)
    assert not set(ids) & set(names)
    assert len({one.person for one in ids.values()}) == len(ids)
    assert all(one.llr >= 2.5 for one in ids.values())
    for row, one in ids.items():
        assert one == Name(one.person, float(known.llr[row, int(one.person[1])]))
    free = [row for row in range(rows) if row not in names and row not in ids]
    taken = {one.person for one in ids.values()}
    left = [column for column in range(3) if f"u{column}" not in taken]
    assert all(known.llr[row, column] < 2.5 for row in free for column in left)


def test_the_rate_holds_for_all_unknown_people_together() -> None:
    """Ten people at 1 % take the threshold of 0.1 % each; nobody or one takes the profile's own."""
    bundle = default_bundle()
    loose, strict = bundle.profile("far_1pct"), bundle.profile("far_0.1pct")
    assert (
        threshold_among(bundle, "far_1pct", 0)
        == threshold_among(bundle, "far_1pct", 1)
        == loose.threshold_llr
    )
    assert threshold_among(bundle, "far_1pct", 10) == pytest.approx(strict.threshold_llr)
    limits = [threshold_among(bundle, "far_0.1pct", n) for n in (1, 2, 10, 1000)]
    assert limits == sorted(limits)
    assert assign(np.zeros((0, 0)), 1.0) == {}


def test_nobody_is_compared_with_voices_of_another_bundle(gallery: Gallery) -> None:
    """A gallery without unknown people has no threshold to state and nothing to match."""
    matches = gallery.unknown.match(
        np.eye(2, gallery.bundle.dim, dtype=np.float32), qualities=[Quality(5.0), Quality(5.0)]
    )
    assert matches.ids == ()
    assert matches.llr.shape == (2, 0)
