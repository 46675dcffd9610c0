"""Enroll, verify, identify, match with the default bundle: the synthetic sample voices, then real speech."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthetic_people import person as stranger_record
from synthetic_people import put
from voxid.audio import load
from voxid.bundle import default_bundle
from voxid.decision import Outcome
from voxid.embedding import get_embedder
from voxid.errors import CompatibilityError, ConfigError, InputError, PolicyError, StoreError
from voxid.gallery import Consent
from voxid.gallery.store import Store
from voxid.recognize import Gallery
from voxid.speech import QualityPolicy

BOTH_ENGINES = True

VOICES = Path(str(files("voxid") / "data" / "voices"))
LIBRISPEECH = Path(__file__).parents[2] / "shared" / "eval" / "verification" / "librispeech"
FORM = Consent({"verify", "identify", "diarize-name"}, evidence="signed form 17")
VERIFY_ONLY = Consent({"verify"}, evidence="signed form 18")
START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


class Clock:
    """A clock that tests set."""

    now = START

    def __call__(self) -> datetime:
        return self.now


class UnreadableOnPurpose:
    """A recording that fails the test when anybody opens it."""

    name = "never-opened.wav"

    def read(self, size: int = -1) -> bytes:
        raise AssertionError("the recording was opened")


NEVER_OPENED: Any = UnreadableOnPurpose()


def clips(voice: str, *numbers: int) -> list[Path]:
    return [VOICES / voice / f"{number:02d}.opus" for number in numbers]


def on_disk(folder: Path) -> dict[str, bytes]:
    """Every file's content, but for SQLite's shared memory, where readers leave marks."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if not file.name.endswith("-shm")}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gallery(tmp_path: Path, clock: Clock) -> Iterator[Gallery]:
    """Ada may be identified, Bruno only verified."""
    with Gallery.open(tmp_path / "people.voxid", clock=clock) as opened:
        opened.enroll("Ada", clips("ada", 1, 2, 3), FORM)
        opened.enroll("Bruno", clips("bruno", 1, 2, 3), VERIFY_ONLY)
        yield opened


# --- enroll -------------------------------------------------------------------------------------------


def test_enrolling_reports_what_was_stored(gallery: Gallery, clock: Clock) -> None:
    """One voiceprint per recording with its hash, bundle and time; the consent on record."""
    ada = gallery.get("ADA")
    assert (ada.name, len(ada.voiceprints), ada.consent) == ("Ada", 3, FORM)
    assert {print_.bundle_id for print_ in ada.voiceprints} == {default_bundle().id}
    assert sorted(print_.audio_sha256 for print_ in ada.voiceprints) == sorted(
        load(path).sha256 for path in clips("ada", 1, 2, 3)
    )
    assert ada.voiceprints[0].created_at == clock.now
    report = gallery.enroll("ada", clips("ada", 4))
    assert (report.person, report.added, report.total, report.warnings) == ("Ada", 1, 4, ())
    assert report.consistency is not None
    assert report.consistency > 0


@pytest.mark.file_only
@pytest.mark.parametrize(
    ("name", "consent", "code"),
    [
        ("Clara", None, "consent_missing"),
        ("Clara", Consent({"verify"}, "form", expires_at=START - timedelta(days=1)), "consent_expired"),
        ("Opal", FORM, "opted_out"),
    ],
)
def test_refusals_come_before_the_recording_is_opened(
    gallery: Gallery, name: str, consent: Consent | None, code: str
) -> None:
    """No consent, an ended one, an opt-out: refused without a look at the audio, nothing on disk changed."""
    gallery.opt_out("opal")
    before = on_disk(gallery.path.parent)
    with pytest.raises(PolicyError, match="so no(thing|) ?(recording )?was opened") as caught:
        gallery.enroll(name, NEVER_OPENED, consent)
    assert caught.value.code == code
    assert on_disk(gallery.path.parent) == before


@pytest.mark.file_only
def test_a_refused_first_enrollment_leaves_no_gallery(tmp_path: Path) -> None:
    """Without consent, or with audio that cannot be used, neither gallery nor key comes into being."""
    text = tmp_path / "notes.wav"
    text.write_text("milk, bread")
    with Gallery.open(tmp_path / "people.voxid") as gallery:
        with pytest.raises(PolicyError):
            gallery.enroll("Ada", NEVER_OPENED)
        for source in (text, (np.zeros(48_000, np.float32), 16_000)):
            with pytest.raises(InputError):
                gallery.enroll("Ada", source, FORM)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.wav"]


def test_one_unusable_recording_stops_all(gallery: Gallery) -> None:
    """Two good clips and silence: an error that names the third, and nobody enrolled."""
    silence = (np.zeros(80_000, np.float32), 16_000)
    with pytest.raises(InputError, match="No speech was found") as caught:
        gallery.enroll("Clara", [*clips("clara", 1, 2), silence], FORM)
    assert caught.value.code == "no_speech"
    assert [person.name for person in gallery.people()] == ["Ada", "Bruno"]


def test_among_many_people_a_like_voice_is_warned_of_not_refused(tmp_path: Path) -> None:
    """A refusal must hold against everybody compared: log N above the threshold, here out of any voice's reach."""
    bundle = default_bundle()
    with Gallery.open(tmp_path / "people.voxid") as gallery:
        gallery.enroll("Ada", clips("ada", 1, 2), FORM)
        with pytest.raises(PolicyError, match="This voice is already enrolled as 'Ada'"):
            gallery.enroll("Again", clips("ada", 3), FORM)
        store = Store.open(gallery.path)
        crowd = range(1500)
        put(
            store,
            *(
                stranger_record(f"P{i}", i, n_voiceprints=1, bundle_id=bundle.id, dim=bundle.dim)
                for i in crowd
            ),
        )
        store.close()
        warned = gallery.enroll("Again", clips("ada", 3), FORM).warnings
        assert any("much like that of 'Ada'" in line for line in warned)


def test_a_known_voice_under_a_new_name_is_reported(gallery: Gallery) -> None:
    with pytest.raises(PolicyError, match="This voice is already enrolled as 'Ada'") as caught:
        gallery.enroll("Imposter", clips("ada", 4, 5), FORM)
    assert caught.value.code == "voice_already_enrolled"
    assert gallery.enroll("Twin", clips("ada", 4, 5), FORM, allow_duplicate=True).added == 2


def test_a_recording_of_somebody_else_is_named(gallery: Gallery) -> None:
    odd = clips("bruno", 4)[0]
    with pytest.raises(InputError, match=f"{odd} does not sound like the other recordings") as caught:
        gallery.enroll("Clara", [*clips("clara", 1, 2, 3), odd], FORM)
    assert caught.value.code == "enrollment_inconsistent"
    with pytest.raises(InputError, match="does not sound like"):
        gallery.enroll("Ada", odd)
    report = gallery.enroll("Ada", odd, allow_inconsistent=True)
    assert "does not sound like" in report.warnings[0]


def test_the_same_recording_counts_once(gallery: Gallery) -> None:
    report = gallery.enroll("Ada", clips("ada", 3, 4, 4))
    assert (report.added, report.total) == (1, 4)
    assert [warning.split(" is already")[0] for warning in report.warnings] == [
        str(clips("ada", 3)[0]),
        str(clips("ada", 4)[0]),
    ]


def test_too_little_speech_is_said_in_seconds(gallery: Gallery) -> None:
    """The minimum is over all recordings of the call, and it is the caller's policy."""
    strict = Gallery.open(gallery.path, policy=QualityPolicy(min_enroll_speech_s=60.0))
    with pytest.raises(InputError, match=r"s of speech together; at least 60\.0 s are needed") as caught:
        strict.enroll("Clara", clips("clara", 1, 2), FORM)
    assert caught.value.code == "not_enough_speech"
    strict.close()


# --- verify -------------------------------------------------------------------------------------------


def test_the_right_person_is_accepted_and_another_is_not(gallery: Gallery) -> None:
    """With everything a reviewer needs in the decision."""
    right = gallery.verify("ada", clips("ada", 4)[0])
    wrong = gallery.verify("ada", clips("bruno", 4)[0])
    assert (right.outcome, bool(right), bool(wrong)) == (Outcome.ACCEPT, True, False)
    assert right.llr is not None
    assert wrong.llr is not None
    assert right.llr > wrong.llr
    assert (right.person, right.model_id, right.profile) == ("Ada", gallery.bundle.id, "far_1pct")
    assert right.audio_sha256 == load(clips("ada", 4)[0]).sha256
    assert "reaches the threshold" in right.reason


@pytest.mark.parametrize("name", ["Nobody", "unknown", "", "SPEAKER_00", "x" * 5000])
def test_a_claim_of_nobody_is_not_enrolled(gallery: Gallery, name: str) -> None:
    decision = gallery.verify(name, NEVER_OPENED)
    assert (decision.outcome, bool(decision), decision.llr) == (Outcome.NOT_ENROLLED, False, None)


def test_rules_come_before_the_recording_is_opened(gallery: Gallery, clock: Clock) -> None:
    """Opt-out, withdrawn and ended consent, another model: each its own outcome, without a score."""
    gallery.enroll("Clara", clips("clara", 1, 2), Consent({"identify"}, "form"))
    assert gallery.verify("Clara", NEVER_OPENED).outcome is Outcome.CONSENT_MISSING
    until = Consent({"verify"}, "form", expires_at=START + timedelta(days=30))
    gallery.enroll("Clara", clips("clara", 3), until)
    clock.now = START + timedelta(days=31)
    expired = gallery.verify("Clara", NEVER_OPENED)
    assert (expired.outcome, expired.reason) == (
        Outcome.CONSENT_EXPIRED,
        "The consent of 'Clara' ended on 2026-12-21; ask for a new one.",
    )
    gallery.withdraw("Bruno")
    assert gallery.verify("Bruno", NEVER_OPENED).outcome is Outcome.CONSENT_MISSING
    gallery.opt_out("Ada")
    assert gallery.verify("Ada", NEVER_OPENED).outcome is Outcome.OPTED_OUT
    store = Store.open(gallery.path)
    put(store, stranger_record("Dev", 5))
    store.close()
    mismatch = gallery.verify("Dev", NEVER_OPENED)
    assert mismatch.outcome is Outcome.MODEL_MISMATCH
    assert "were made by the bundle test@0123456789ab" in mismatch.reason


def test_silence_is_not_enough_speech_and_never_a_score(gallery: Gallery) -> None:
    decision = gallery.verify("Ada", (np.zeros(48_000, np.float32), 16_000))
    assert (decision.outcome, decision.llr, decision.net_speech_s) == (Outcome.NOT_ENOUGH_SPEECH, None, 0.0)


def test_an_unknown_profile_lists_the_known(gallery: Gallery) -> None:
    with pytest.raises(InputError, match="far_1pct") as caught:
        gallery.verify("Ada", NEVER_OPENED, profile="lenient")
    assert caught.value.code == "profile_unknown"


# --- identify and match -------------------------------------------------------------------------------


def test_only_who_consents_is_identified(gallery: Gallery) -> None:
    """Ada is found; Bruno, enrolled to be verified only, is unknown in his own recording; so is a stranger."""
    found = gallery.identify(clips("ada", 5)[0])
    assert [candidate.person for candidate in found] == ["Ada"]
    assert gallery.identify(clips("bruno", 5)[0]) == []
    assert gallery.identify(clips("stranger", 1)[0]) == []
    decision = gallery.verify("Ada", clips("ada", 5)[0])
    assert decision.score == pytest.approx(found[0].score, abs=1e-6)


def test_an_ended_consent_ends_identification(gallery: Gallery, clock: Clock) -> None:
    until = Consent({"identify"}, "form", expires_at=START + timedelta(days=30))
    gallery.enroll("Ada", clips("ada", 4), until)
    assert [candidate.person for candidate in gallery.identify(clips("ada", 5)[0])] == ["Ada"]
    clock.now = START + timedelta(days=31)
    assert gallery.identify(clips("ada", 5)[0]) == []


def test_silence_is_not_unknown(gallery: Gallery) -> None:
    """A failure to hear is an error, never the answer "nobody"."""
    with pytest.raises(InputError) as caught:
        gallery.identify((np.zeros(48_000, np.float32), 16_000))
    assert caught.value.code == "no_speech"


def test_match_answers_many_voices_by_purpose(gallery: Gallery) -> None:
    embedder = get_embedder(gallery.bundle)
    voices = np.stack([embedder.embed(load(path)) for path in (*clips("ada", 4), *clips("bruno", 4))])
    lines = gallery.match(voices, bundle_id=gallery.bundle.id)
    assert [[candidate.person for candidate in line] for line in lines] == [["Ada"], []]
    assert gallery.match(voices, purpose="watchlist") == [[], []]
    assert gallery.match(voices[:0]) == []


def test_match_refuses_embeddings_of_another_model(gallery: Gallery) -> None:
    fits = np.eye(gallery.bundle.dim, dtype=np.float32)[:1]
    for embeddings, bundle_id in ((fits[:, :-1], None), (fits, "other@1"), (fits[0], None)):
        with pytest.raises(CompatibilityError, match="use one bundle for both") as caught:
            gallery.match(embeddings, bundle_id=bundle_id)
        assert caught.value.code == "model_mismatch"
    with pytest.raises(InputError, match="'marketing' is no purpose"):
        gallery.match(fits, purpose="marketing")


def test_a_gallery_of_another_model_is_not_unknown(tmp_path: Path) -> None:
    """People who may be identified, but made by another bundle: a mismatch, not "unknown"."""
    store = Store.open(tmp_path / "people.voxid")
    put(store, stranger_record("Dev", 5))
    store.close()
    with Gallery.open(tmp_path / "people.voxid") as gallery:
        with pytest.raises(CompatibilityError, match="Nobody in the gallery can be compared") as caught:
            gallery.identify(clips("ada", 1)[0])
        assert caught.value.code == "model_mismatch"
        with pytest.raises(CompatibilityError, match="scores between bundles mean nothing"):
            gallery.enroll("Dev", NEVER_OPENED)


# --- people -------------------------------------------------------------------------------------------


def test_people_are_listed_renamed_and_deleted(gallery: Gallery) -> None:
    assert gallery.rename("ada", "Ada Lovelace").name == "Ada Lovelace"
    assert [person.name for person in gallery.people()] == ["Ada Lovelace", "Bruno"]
    with pytest.raises(InputError, match="already a person called 'BRUNO'"):
        gallery.rename("Ada Lovelace", "BRUNO")
    gallery.delete("ada lovelace")
    assert gallery.verify("Ada Lovelace", NEVER_OPENED).outcome is Outcome.NOT_ENROLLED
    assert gallery.identify(clips("ada", 5)[0]) == []
    for call in (gallery.get, gallery.delete, gallery.withdraw):
        with pytest.raises(InputError, match="Nobody called 'Ada' is in the gallery") as caught:
            call("Ada")
        assert caught.value.code == "person_missing"


def test_withdrawing_one_purpose_keeps_the_others(gallery: Gallery) -> None:
    """With the last purpose the voiceprints go, and the history says when and what."""
    left = gallery.withdraw("Ada", {"identify"})
    assert left.consent is not None
    assert left.consent.purposes == {"verify", "diarize-name"}
    assert gallery.identify(clips("ada", 5)[0]) == []
    assert gallery.verify("Ada", clips("ada", 5)[0])
    gone = gallery.withdraw("Ada")
    assert (gone.voiceprints, gone.consent) == ((), None)
    assert [record.act for record in gallery.get("Ada").consents] == ["given", "withdrawn", "withdrawn"]
    with pytest.raises(PolicyError) as caught:
        gallery.enroll("Ada", NEVER_OPENED)
    assert caught.value.code == "consent_missing"
    assert gallery.enroll("Ada", clips("ada", 1, 2), FORM).total == 2


def test_opting_out_deletes_and_holds(gallery: Gallery) -> None:
    gallery.opt_out("Ada")
    assert [person.name for person in gallery.people()] == ["Bruno"]
    with pytest.raises(PolicyError, match="has opted out"):
        gallery.rename("Bruno", "ada")
    gallery.lift_opt_out("ADA")
    assert gallery.enroll("Ada", clips("ada", 1, 2), FORM).added == 2


def test_merging_joins_two_records_of_one_voice(gallery: Gallery) -> None:
    """Voiceprints add up, consents intersect; two different voices are not merged by mistake."""
    gallery.enroll("A. L.", clips("ada", 4, 5), VERIFY_ONLY, allow_duplicate=True)
    with pytest.raises(InputError, match="do not sound like one person"):
        gallery.merge("Ada", "Bruno")
    merged = gallery.merge("Ada", "A. L.")
    assert (len(merged.voiceprints), merged.consent and merged.consent.purposes) == (5, {"verify"})
    assert [person.name for person in gallery.people()] == ["Ada", "Bruno"]
    assert gallery.identify(clips("ada", 5)[0]) == []
    with pytest.raises(InputError, match="cannot be merged with itself"):
        gallery.merge("Ada", "ADA")


def test_an_export_gives_the_same_scores_elsewhere(gallery: Gallery, tmp_path: Path) -> None:
    before = gallery.verify("Ada", clips("ada", 5)[0])
    gallery.export(tmp_path / "all.voxidexport", passphrase="correct horse")
    with Gallery.open(tmp_path / "second.voxid") as other:
        report = other.import_(tmp_path / "all.voxidexport", passphrase="correct horse")
        assert report.people == ("Ada", "Bruno")
        after = other.verify("Ada", clips("ada", 5)[0])
    assert before.score is not None
    assert after.score == pytest.approx(before.score, abs=1e-6)


def test_one_person_can_be_exported_alone(gallery: Gallery, tmp_path: Path) -> None:
    report = gallery.export(tmp_path / "ada.voxidexport", passphrase="correct horse", names=["ada"])
    assert (report.people, report.voiceprints, report.opt_outs) == (("Ada",), 3, 0)
    with pytest.raises(InputError, match="Nobody called 'Zoe'"):
        gallery.export(tmp_path / "zoe.voxidexport", passphrase="correct horse", names=["Zoe"])


# --- opening ------------------------------------------------------------------------------------------


@pytest.mark.file_only
def test_opening_says_what_is_wrong(tmp_path: Path) -> None:
    cases: list[tuple[str, dict[str, Any], type[Exception], str]] = [
        ("mysql://db/people", {}, ConfigError, "store_unsupported"),
        (str(tmp_path / "people.voxid"), {"create": False}, InputError, "store_missing"),
        (str(tmp_path / "no" / "people.voxid"), {}, InputError, "store_unwritable"),
        (str(tmp_path / "people.voxid"), {"key": tmp_path / "no.key"}, ConfigError, "key_missing"),
    ]
    for location, options, kind, code in cases:
        with pytest.raises(kind) as caught:
            Gallery.open(location, **options)
        assert getattr(caught.value, "code", None) == code
    assert list(tmp_path.iterdir()) == []


@pytest.mark.file_only
def test_a_damaged_person_is_an_error_not_a_rejection(gallery: Gallery) -> None:
    """Verify and identify report the damage; they do not answer "no"."""
    gallery.close()
    store = Store.open(gallery.path)
    with store.changing() as change:
        change.add_opt_out("somebody")
    store.close()
    content = bytearray(gallery.path.read_bytes())
    connection = sqlite3.connect(gallery.path)
    (sealed,) = connection.execute("SELECT sealed FROM voiceprint ORDER BY rowid LIMIT 1").fetchone()
    connection.close()
    content[content.index(sealed) + 40] ^= 1
    gallery.path.write_bytes(content)
    with Gallery.open(gallery.path) as damaged:
        with pytest.raises(StoreError, match="of 'Ada' does not open"):
            damaged.verify("Ada", clips("ada", 5)[0])
        with pytest.raises(StoreError, match="of 'Ada' does not open"):
            damaged.identify(clips("bruno", 5)[0])


# --- real speech --------------------------------------------------------------------------------------


@pytest.mark.file_only
@pytest.mark.skipif(
    not LIBRISPEECH.is_dir(), reason="real speech lies beside the repository in ../shared, absent here"
)
def test_real_people_are_told_apart(tmp_path: Path) -> None:
    """Five readers enrolled with three clips each: their own probes pass, the others' do not."""
    enrolled = [line.split() for line in (LIBRISPEECH / "enrol3.txt").read_text().splitlines()[:7]]
    readers, strangers = enrolled[:5], enrolled[5:]
    with Gallery.open(tmp_path / "people.voxid") as gallery:
        for reader, *audio in readers:
            gallery.enroll(reader, [LIBRISPEECH / path for path in audio], FORM)
        right, wrong, named = [], [], []
        for reader, *audio in readers:
            probe = LIBRISPEECH / Path(audio[0]).parent / "05.flac"
            right.append(bool(gallery.verify(reader, probe)))
            wrong += [bool(gallery.verify(other, probe)) for other, *_ in readers if other != reader]
            named.append([candidate.person for candidate in gallery.identify(probe, top=1)] == [reader])
        unknown = [gallery.identify(LIBRISPEECH / audio[0]) == [] for _, *audio in strangers]
    assert right.count(True) >= 4
    assert wrong.count(True) <= 1
    assert named.count(True) >= 4
    assert unknown == [True, True]
