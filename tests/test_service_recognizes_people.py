"""The life of a person over the API: on record, enrolled, verified, identified, withdrawn, deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service_app import Running, clips, running
from voxid.client import Client
from voxid.errors import CompatibilityError, InputError, PolicyError
from voxid.recognize import Gallery


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("service"), lockout_failures=3) as started:
        yield started


@pytest.fixture(scope="module")
def admin(house: Running) -> Client:
    return house.client()


@pytest.fixture(scope="module")
def ada(admin: Client) -> str:
    return admin.enroll("Ada", clips("ada", 1, 2), {"verify", "identify"}, "signed form 17").person_id


def test_a_claim_is_accepted_and_a_stranger_is_not(admin: Client, ada: str) -> None:
    """The person is accepted, somebody else is rejected; scores have two decimals."""
    own = admin.verify(ada, clips("ada", 3)[0])
    assert own
    assert own.outcome == "accept"
    assert own.llr == round(own.llr or 0.0, 2)
    assert not admin.verify(ada, clips("bruno", 1)[0])


def test_a_recording_counts_once(admin: Client, ada: str, tmp_path: Path) -> None:
    """The same bytes, an enrolled recording, and nearly the same sound are refused."""
    once = clips("ada", 4)[0]
    admin.unlock_person(ada)
    assert admin.verify(ada, once)
    for again in (once, clips("ada", 1)[0], quieter(once)):
        with pytest.raises(
            CompatibilityError, match="heard before, so nothing was decided; speak anew"
        ) as refused:
            admin.verify(ada, again)
        assert refused.value.code == "audio_replayed"
        admin.unlock_person(ada)


def quieter(path: Path) -> bytes:
    """Return a recording cut at its start, 6 dB quieter, as WAV."""
    from voices import encode
    from voxid.audio import load

    return encode(0.5 * load(path).samples[800:])


def test_failed_tries_lock_a_person_for_a_while(house: Running, admin: Client, ada: str) -> None:
    """After three failures nothing is decided, also not for the person, until the lock ends."""
    admin.unlock_person(ada)
    for number in (2, 3, 4):
        admin.verify(ada, clips("bruno", number)[0])
    with pytest.raises(PolicyError, match="Too many tries at this person failed; wait 900 s") as refused:
        admin.verify(ada, clips("ada", 5)[0])
    assert refused.value.code == "person_locked"
    house.clock.pass_s(901)
    assert admin.verify(ada, clips("ada", 5)[0])


def test_identify_is_off_until_its_purpose_is_stated(house: Running, admin: Client, ada: str) -> None:
    """Nothing is searched before an administrator said what for; then the person is found, a stranger is not."""
    asking = house.client(roles=("operator",))
    with pytest.raises(PolicyError, match="Identification is off: nobody stated what it is for"):
        asking.identify(clips("ada", 3)[0])
    with pytest.raises(PolicyError, match="needs the scope 'policies'"):
        asking.change_policy(identify_purpose="Greeting members who called before")
    admin.change_policy(identify_purpose="Greeting members who called before")
    found = asking.identify(clips("ada", 3)[0])
    assert [candidate.person_id for candidate in found.candidates] == [ada]
    assert found.purpose == "Greeting members who called before"
    assert asking.identify(clips("stranger", 1)[0]).candidates == ()


def test_an_enrollment_shows_how_it_goes(admin: Client) -> None:
    """Speech still needed, quality of each recording, who it is like; nothing is written before the end."""
    clara = admin.add_person("Clara", {"verify"}, "signed form 18")
    begun = admin.begin_enrollment(clara.id, wanted_speech_s=8.0)
    assert (begun.net_speech_s, begun.remaining_speech_s, begun.ready) == (0.0, 8.0, False)
    first = admin.send_recording(begun.id, clips("clara", 1)[0])
    assert first.last is not None
    assert first.last.verdict == "ok"
    assert first.remaining_speech_s == pytest.approx(8.0 - first.net_speech_s, abs=0.02)
    wrong = admin.send_recording(begun.id, clips("dev", 1)[0])
    assert wrong.inconsistent is not None
    assert not wrong.ready
    assert wrong.last is not None
    assert admin.remove_recording(begun.id, wrong.last.id).inconsistent is None
    assert admin.person(clara.id).voiceprints == ()
    assert admin.send_recording(begun.id, clips("clara", 2)[0]).ready
    assert admin.complete_enrollment(begun.id).added == 2
    with pytest.raises(
        InputError, match="There is no enrollment of this id, or it has ended; begin a new one"
    ):
        admin.enrollment(begun.id)


def test_silence_is_told_from_an_error(admin: Client) -> None:
    """A recording without enough speech is answered, not kept, and says why."""
    from voices import encode, noise

    dev = admin.add_person("Dev", {"verify"}, "signed form 19")
    begun = admin.begin_enrollment(dev.id)
    answered = admin.send_recording(begun.id, encode(noise(2.0, level=0.01)))
    assert answered.last is not None
    assert (answered.last.accepted, answered.last.verdict) == (False, "not_enough_speech")
    assert "at least" in str(answered.last.reason)
    assert answered.recordings == ()
    admin.give_up_enrollment(begun.id)


def test_a_known_voice_is_not_enrolled_twice(admin: Client, ada: str) -> None:
    """The session says that the voice is enrolled already, and completing is refused."""
    other = admin.add_person("Not Ada", {"verify"}, "signed form 20")
    begun = admin.begin_enrollment(other.id)
    for recording in clips("ada", 3, 4):
        progress = admin.send_recording(begun.id, recording)
    assert progress.duplicate_is_certain
    with pytest.raises(CompatibilityError, match="This voice is already enrolled as 'Ada'"):
        admin.complete_enrollment(begun.id)
    admin.delete_person(other.id)


def test_joining_two_records_is_shown_before_it_is_done(admin: Client, ada: str) -> None:
    """Who would be left, whether they sound alike, which purposes would end; only joining changes anything."""
    other = admin.add_person("A. Lovelace", {"verify", "watchlist"}, "form 3").id
    begun = admin.begin_enrollment(other).id
    for recording in clips("ada", 5, 3):
        admin.send_recording(begun, recording)
    admin.complete_enrollment(begun, allow_duplicate=True)
    before = [admin.person(ada), admin.person(other)]
    preview = admin.preview_merge(ada, other)
    assert preview.alike
    assert preview.lost_purposes == ("identify", "watchlist")
    assert len(preview.person.voiceprints) == 4
    assert [admin.person(ada), admin.person(other)] == before
    stranger = admin.enroll("Stranger", clips("stranger", 1), {"verify"}, "form 4").person_id
    assert admin.preview_merge(stranger, other).alike is False
    nobody = admin.add_person("Nobody yet", {"verify"}, "form 5").id
    assert admin.preview_merge(nobody, other).alike is None
    with pytest.raises(CompatibilityError, match="cannot be merged with itself"):
        admin.preview_merge(ada, ada)
    for one in (stranger, nobody, other):
        admin.delete_person(one)


def test_without_consent_nothing_is_opened(admin: Client) -> None:
    """A withdrawal destroys the voiceprints at once; enrolling and verifying are refused before audio is read."""
    bruno = admin.enroll("Bruno", clips("bruno", 1, 2), {"verify"}, "signed form 21")
    assert admin.withdraw_consent(bruno.person_id).voiceprints == ()
    with pytest.raises(PolicyError, match="has given no consent, so no recording was opened"):
        admin.begin_enrollment(bruno.person_id)
    assert admin.verify(bruno.person_id, b"no audio at all").outcome == "consent_missing"
    admin.record_consent(bruno.person_id, {"verify"}, "signed form 22")
    admin.delete_person(bruno.person_id)
    with pytest.raises(InputError, match="There is no person of this id"):
        admin.person(bruno.person_id)


def test_who_may_not_see_people_learns_nothing_of_them(house: Running, admin: Client, ada: str) -> None:
    """With the scope verify alone, a person without consent is as absent as one who never was."""
    gate = house.client(scopes=("verify",))
    hidden = admin.add_person("Hidden", {"identify"}, "signed form 23")
    problems = []
    for person_id in (hidden.id, "3f1b0e0a-5a3f-4c7e-9a5b-0d1c2b3a4f50"):
        with pytest.raises(InputError) as refused:
            gate.verify(person_id, clips("ada", 1)[0])
        problems.append((refused.value.code, refused.value.message))
    assert problems[0] == problems[1]
    assert problems[0][0] == "person_missing"


def test_a_request_is_done_once_under_its_key(admin: Client, ada: str) -> None:
    """The answer is given again; another request under the same key is a conflict."""
    first = admin.add_person("Once", {"verify"}, "signed form 24", idempotency_key="key-of-once-1")
    assert admin.add_person("Once", {"verify"}, "signed form 24", idempotency_key="key-of-once-1") == first
    with pytest.raises(CompatibilityError, match="was used for another request"):
        admin.add_person("Twice", {"verify"}, "signed form 24", idempotency_key="key-of-once-1")
    with pytest.raises(CompatibilityError, match="There is already a person called 'Once'"):
        admin.add_person("Once", {"verify"}, "signed form 24")


def test_the_library_sees_what_the_service_wrote(house: Running, ada: str) -> None:
    """A tenant is a gallery like any other."""
    data = house.service.settings.data
    with Gallery.open(data / "tenants" / "default.voxid", key=data / "master.key", create=False) as gallery:
        assert gallery.get("ada").id == ada
