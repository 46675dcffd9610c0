"""Turns are corrected, cut, joined and undone through the service; with consent they become a reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from served import Served, clip, serving, talk_of
from voxid.audio import load
from voxid.gallery.documents import Document, new_document_id
from voxid.segments import Segment
from voxid.service.diarizing import TIMELINE
from voxid.service.timelines import KeptTimeline
from voxid.timeline import Timeline, Turn

TALK = talk_of(("ada", 3), ("bruno", 3), ("ada", 4), ("bruno", 4))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Ada and Bruno may be named, Clara may not."""
    with serving(tmp_path_factory.mktemp("data")) as running:
        running.enroll("Ada", "ada", 1)
        running.enroll("Bruno", "bruno", 1)
        running.enroll("Clara", "clara", 1, purposes=["verify"])
        yield running


@pytest.fixture
def kept(served: Served) -> str:
    """The id of a timeline on which Ada was found and Bruno was not."""
    heard = load(TALK)
    lengths = [
        load(talk_of((voice, number))).duration_s for voice, number in (("ada", 3), ("bruno", 3), ("ada", 4))
    ]
    cuts = [0.0, lengths[0], sum(lengths[:2]), sum(lengths), heard.duration_s]
    labels = ["Ada", "SPEAKER_00", "Ada", "SPEAKER_00"]
    turns = tuple(
        Turn(Segment(start, end - 0.4), label, named=label == "Ada", llr=7.0 if label == "Ada" else None)
        for start, end, label in zip(cuts, cuts[1:], labels, strict=False)
    )
    timeline = Timeline(turns, heard.duration_s, "talk", heard.sha256)
    ada = served.tenant.gallery.get("Ada").id
    id_ = new_document_id()
    with served.tenant.store.changing() as change:
        change.put_document(Document(TIMELINE, id_, KeptTimeline.of(timeline, {"Ada": ada}).to_dict()))
    return id_


def speakers(timeline: dict[str, Any]) -> list[str]:
    return [turn["speaker"] for turn in timeline["turns"]]


def test_turns_are_corrected_cut_joined_and_undone(served: Served, kept: str) -> None:
    """Each step returns the timeline with its next revision; four steps back are the first one."""
    path = f"/diarizations/{kept}"
    first = served.call("GET", f"{path}/timeline")
    after = served.call("POST", f"{path}/corrections", json={"turns": [2], "to": {"name": "bruno"}})
    assert speakers(after) == ["Ada", "Bruno", "Ada", "SPEAKER_00"]
    assert after["turns"][1]["reviewed"]
    assert after["history"][-1]["old_label"] == "SPEAKER_00"
    assert after["history"][-1]["new_name"] == "Bruno"
    assert (after["revision"], after["edits"]) == (2, 1)
    after = served.call("POST", f"{path}/corrections", json={"speaker": "Ada", "to": {"label": "SPEAKER_07"}})
    assert speakers(after) == ["SPEAKER_07", "Bruno", "SPEAKER_07", "SPEAKER_00"]
    after = served.call("POST", f"{path}/split", json={"turn": 4, "at_s": after["turns"][3]["start_s"] + 1})
    assert speakers(after)[3:] == ["SPEAKER_00", "SPEAKER_00"]
    joining = {"turns": [3, 4, 5], "to": {"name": "Ada"}, "revision": after["revision"]}
    after = served.call("POST", f"{path}/merge", json=joining)
    assert speakers(after) == ["SPEAKER_07", "Bruno", "Ada"]
    for _ in range(4):
        after = served.call("POST", f"{path}/undo", json={})
    assert after["turns"] == first["turns"]
    assert served.refusal("POST", f"{path}/undo", 409, json={})[0] == "nothing_to_undo"


def test_a_file_that_a_page_saved_is_applied_as_one_change(served: Served, kept: str) -> None:
    """Names are looked up as the timeline shows them; whom nobody on record is called becomes a stranger, if wanted."""
    path = f"/diarizations/{kept}"
    first = served.call("GET", f"{path}/timeline")
    names = ["Ada", "bruno", "Grandmother", "Grandmother"]
    lines = [
        {
            "start_s": turn["start_s"],
            "end_s": turn["end_s"],
            "old_label": turn["speaker"],
            "new_name": name,
        }
        for turn, name in zip(first["turns"], names, strict=True)
    ]
    file = {
        "format": "voxid-corrections",
        "version": 1,
        "audio_sha256": load(TALK).sha256,
        "uri": "talk",
        "corrections": lines,
    }
    code, sentence = served.refusal("POST", f"{path}/corrections/file", 404, json=file)
    assert (code, sentence[:50]) == ("person_missing", "There is nobody of this id or name on record; put ")
    after = served.call("POST", f"{path}/corrections/file?strangers=true", json=file)
    assert speakers(after) == ["Ada", "Bruno", "SPEAKER_02", "SPEAKER_02"]
    assert all(turn["reviewed"] for turn in after["turns"])
    assert after["edits"] == 1
    assert "Grandmother" not in str(served.call("GET", f"{path}/timeline"))
    assert speakers(served.call("POST", f"{path}/undo", json={})) == speakers(first)
    file["corrections"] = [{**lines[0], "old_label": "Zoe"}]
    assert served.refusal("POST", f"{path}/corrections/file", 422, json=file)[0] == "correction_unmatched"
    file["corrections"] = [{**lines[0], "new_name": "Clara"}]
    assert served.refusal("POST", f"{path}/corrections/file", 403, json=file)[0] == "consent_missing"
    file["audio_sha256"] = "ab" * 32
    assert (
        served.refusal("POST", f"{path}/corrections/file", 422, json=file)[0] == "corrections_of_other_audio"
    )


def test_a_change_on_an_old_revision_is_refused(served: Served, kept: str) -> None:
    """Two people correct at once: the second one is told, and nothing of theirs is lost unseen."""
    change = {"turns": [2], "to": {"label": "SPEAKER_05"}, "revision": 1}
    served.call("POST", f"/diarizations/{kept}/corrections", json=change)
    code, sentence = served.refusal("POST", f"/diarizations/{kept}/corrections", 409, json=change)
    assert code == "document_changed"
    assert sentence == (
        "The change was made on revision 1 of the timeline, which is at 2 by now; read it again and repeat the change."
    )


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"turns": [2], "to": {"name": "Clara"}}, 403, "consent_missing"),
        ({"turns": [2], "to": {"name": "Nobody"}}, 404, "person_missing"),
        ({"turns": [9], "to": {"name": "Ada"}}, 404, "turn_missing"),
        ({"speaker": "Dora", "to": {"name": "Ada"}}, 404, "speaker_missing"),
        ({"to": {"name": "Ada"}}, 422, "correction_unclear"),
        ({"turns": [2], "to": {"name": "Ada", "label": "SPEAKER_01"}}, 422, "request_invalid"),
        ({"turns": [2], "to": {"label": "Anna"}}, 422, "request_invalid"),
    ],
)
def test_a_correction_that_cannot_be(
    served: Served, kept: str, change: dict[str, Any], status: int, code: str
) -> None:
    """Refused with its code, and the timeline stays as it was."""
    assert served.refusal("POST", f"/diarizations/{kept}/corrections", status, json=change)[0] == code
    assert served.call("GET", f"/diarizations/{kept}/timeline")["revision"] == 1


def test_corrected_turns_become_a_reference(served: Served, kept: str) -> None:
    """From the same recording, for somebody who may be named; nothing of the recording stays."""
    bruno = served.tenant.gallery.get("Bruno")
    path = f"/diarizations/{kept}/references?person_id={bruno.id}"
    assert served.refusal("POST", path, 422, content=TALK)[0] == "reference_empty"
    served.call(
        "POST", f"/diarizations/{kept}/corrections", json={"turns": [2, 4], "to": {"person_id": bruno.id}}
    )
    added = served.call("POST", path, 201, content=TALK)
    assert added["voiceprints"] == len(bruno.voiceprints) + 1
    other = talk_of(("bruno", 3), ("ada", 3))
    assert served.refusal("POST", path, 422, content=other)[0] == "recording_of_other_timeline"
    assert served.service.jobs.spool.names() == set()
    only = served.key("correct")
    assert served.refusal("POST", path, 403, content=TALK, headers=only)[0] == "scope_missing"


def test_a_person_joined_with_another_record_keeps_the_turns(served: Served, kept: str) -> None:
    """The record that goes hands its turns on; this test comes last, for Ada is another record after it."""
    gallery = served.tenant.gallery
    consent = gallery.get("Ada").consent
    gallery.enroll("Ada Lovelace", [clip("ada", 2)], consent, allow_duplicate=True)
    heir, gone = gallery.get("Ada Lovelace").id, gallery.get("Ada").id
    served.call("POST", f"/people/{heir}/merge", json={"other_id": gone})
    shown = served.call("GET", f"/diarizations/{kept}/timeline")
    assert speakers(shown) == ["Ada Lovelace", "SPEAKER_00", "Ada Lovelace", "SPEAKER_00"]
    assert shown["speakers"][0]["person_id"] == heir
