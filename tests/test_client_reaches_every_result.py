"""The typed client on a real application: a recording from upload to correction, and everything people may ask for."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import voxid
from served import Served, clip, serving, talk_of
from voxid.audit.statements import SignedStatement
from voxid.errors import CompatibilityError, InputError, PolicyError

TALK = talk_of(("ada", 3), ("bruno", 3), ("ada", 4), ("bruno", 4))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("data")) as running:
        running.enroll("Ada", "ada", 1, 2)
        running.enroll("Clara", "clara", 1, 2)
        yield running


@pytest.fixture(scope="module")
def client(served: Served) -> voxid.Client:
    key = str(served.http.headers["Authorization"]).removeprefix("Bearer ")
    return voxid.Client("http://testserver", key, http=served.http)


def test_a_recording_from_upload_to_correction(client: voxid.Client, tmp_path: Path) -> None:
    """Streamed from a file; named, corrected, cut, joined, undone, written for other tools, deleted."""
    path = tmp_path / "talk.flac"
    path.write_bytes(TALK)
    timeline = client.diarize(path, name="Vorstand Mai", speakers=2)
    assert timeline.uri == "Vorstand Mai"
    assert {speaker.name for speaker in timeline.speakers} == {"Ada", "SPEAKER_00"}
    assert timeline.count_confidence is None, "the number was given"
    assert [job.state for job in client.jobs()] == ["done"]
    first = next(turn for turn in timeline.turns if turn.speaker == "SPEAKER_00")
    changed = client.correct(
        timeline.id, {"label": "SPEAKER_05"}, turns=[first.turn], revision=timeline.revision
    )
    with pytest.raises(CompatibilityError) as caught:
        client.correct(timeline.id, {"name": "Ada"}, turns=[1], revision=timeline.revision)
    assert caught.value.code == "document_changed"
    cut = client.split_turn(timeline.id, first.turn, (first.start_s + first.end_s) / 2, {"name": "Clara"})
    assert len(cut.turns) == len(changed.turns) + 1
    joined = client.merge_turns(timeline.id, [first.turn, first.turn + 1], {"label": "SPEAKER_05"})
    assert len(joined.turns) == len(changed.turns)
    for _ in range(3):
        back = client.undo(timeline.id)
    assert back.turns == timeline.turns
    assert "SPEAKER_00" in client.timeline_as(timeline.id, "rttm")
    confirmed = next(turn.turn for turn in timeline.turns if turn.speaker == "Ada")
    ada = next(speaker.person_id for speaker in timeline.speakers if speaker.name == "Ada")
    assert ada is not None
    client.correct(timeline.id, {"name": "Ada"}, turns=[confirmed])
    assert client.add_reference(timeline.id, ada, path) == 3
    client.delete_job(timeline.id)
    with pytest.raises(InputError, match="There is no job of this id"):
        client.job(timeline.id)


def test_a_job_that_fails_is_the_error_it_failed_with(client: voxid.Client) -> None:
    """Code and sentence, as if it had been done here."""
    with pytest.raises(InputError) as caught:
        client.diarize(TALK, speakers=90)
    assert caught.value.code == "speaker_count_invalid"
    with pytest.raises(InputError) as caught:
        client.diarize(b"hello " * 100)
    assert caught.value.code == "audio_unknown_format"


def test_voices_without_a_name(client: voxid.Client) -> None:
    """Kept on grounds, named with a consent; another one is forgotten, another opts out."""
    client.diarize(talk_of(("dev", 1), ("dev", 2)), speakers=1, basis="minutes of the board")
    (voice,) = client.unknown_people()
    named = client.name_unknown(voice.id, "Dev", {"purposes": ["diarize-name"], "evidence": "form 18"})
    assert client.person(named.person_id).name == "Dev"
    client.diarize(talk_of(("stranger", 1), ("stranger", 2)), speakers=1, basis="minutes of the board")
    (voice,) = client.unknown_people()
    assert client.opt_out_unknown(voice.id, "letter of 3 May").opt_out is not None
    client.forget_unknown(voice.id)
    assert list(client.unknown_people()) == []


def test_watchlists_reviews_and_disputes(client: voxid.Client, served: Served) -> None:
    """A hit is decided by a person; a decision is disputed and overturned."""
    ada = served.tenant.gallery.get("Ada").id
    watchlist = client.add_watchlist("Call back", "Calling back, on their own wish (form 9)")
    client.watch_for(watchlist.id, ada, "asked for it")
    assert client.search_watchlist(watchlist.id, clip("ada", 5)).hits == 1
    (review,) = client.reviews()
    assert (review.subject, review.person) == ("watchlist_hit", "Ada")
    assert client.decide_review(review.id, "rejected", "another voice").state == "rejected"
    made = client.verify(ada, clip("ada", 5))
    assert made.id is not None
    dispute = client.dispute("decision", made.id, "That was not me.")
    assert client.decision(made.id).under_review
    assert [one.id for one in client.disputes("open")] == [dispute.id]
    client.resolve_dispute(dispute.id, "overturned")
    assert client.decision(made.id).standing == "reject"


def test_export_erasure_opt_out_and_audit(client: voxid.Client, served: Served) -> None:
    """What the law gives people, and what proves that it was done."""
    clara = served.tenant.gallery.get("Clara").id
    assert "person.json" in zipfile.ZipFile(io.BytesIO(client.export_person(clara))).namelist()
    assert client.export_gallery("correct horse battery").startswith(b"VOXIDEXP")
    with pytest.raises(PolicyError) as caught:
        client.import_people(client.export_gallery("correct horse battery"), "another passphrase")
    assert caught.value.code == "passphrase_wrong"
    receipt = SignedStatement.from_dict(client.erase(clara))
    assert receipt.holds(client.audit_head()["public_key"])
    assert client.opt_out(name="Eve") is None
    assert client.opted_out("eve")
    client.lift_opt_out("Eve")
    assert not client.opted_out("Eve")
    events = list(client.audit_events())
    assert client.audit_proof(events[-1]["sequence"])["sequence"] == events[-1]["sequence"]
    assert client.verify_audit()["whole"]
