"""Voices without a name and opt-outs, through the service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from served import Served, clip, serving, talk_of
from voxid.diarize import diarize, remember
from voxid.gallery import Grounds


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("data")) as running:
        yield running


def heard(served: Served, voice: str, *numbers: int) -> str:
    """The id under which a voice is kept after a recording of it."""
    gallery = served.tenant.gallery
    recording = talk_of(*((voice, number) for number in numbers))
    timeline = diarize(recording, gallery=gallery, speakers=1)
    return remember(timeline, recording, gallery, Grounds("minutes; assessment 12"))[0].turns[0].speaker


def test_a_diarization_keeps_voices_on_stated_grounds_and_they_are_named(served: Served) -> None:
    """The id is on the timeline; named, the timeline shows the name without being touched."""
    recording = talk_of(("bruno", 1), ("bruno", 2), ("bruno", 3))
    asked = "/diarizations?speakers=1&basis=minutes%20of%20the%20board&remember_days=7"
    job = served.ended(served.call("POST", asked, 202, content=recording))
    assert job["summary"]["kept_voices"] == 1
    path = f"/diarizations/{job['id']}/timeline"
    speaker = served.call("GET", path)["speakers"][0]
    assert speaker["name"] == speaker["voice_id"]
    shown = served.call("GET", f"/unknown/{speaker['voice_id']}")
    assert shown["sightings"][0]["basis"] == "minutes of the board"
    assert shown["expires_at"][:10] == "2026-11-28"
    assert [one["id"] for one in served.call("GET", "/unknown")["unknown"]] == [speaker["voice_id"]]
    consent = {"purposes": ["diarize-name"], "evidence": "form 18"}
    naming = {"name": "Bruno", "consent": consent}
    named = served.call("POST", f"/unknown/{speaker['voice_id']}/name", json=naming)
    after = served.call("GET", path)["speakers"][0]
    assert (after["name"], after["person_id"], after["voice_id"]) == (
        "Bruno",
        named["person_id"],
        speaker["voice_id"],
    )
    correction = {"speaker": "Bruno", "to": {"label": "SPEAKER_03"}}
    served.call("POST", f"/diarizations/{job['id']}/corrections", json=correction)
    assert served.call("GET", path)["speakers"][0]["name"] == "SPEAKER_03"


def test_two_ids_of_one_voice_are_joined_and_forgotten(served: Served) -> None:
    """The second id leads to the first; forgotten, both are gone."""
    first = heard(served, "clara", 1, 2)
    second = heard(served, "dev", 1, 2)
    assert served.refusal("POST", f"/unknown/{first}/merge", 409, json={"other_id": second})[0] == (
        "merge_different_voices"
    )
    joining = {"other_id": second, "allow_inconsistent": True}
    assert served.call("POST", f"/unknown/{first}/merge", json=joining)["times_heard"] == 2
    served.call("DELETE", f"/unknown/{first}", 204)
    assert served.refusal("GET", f"/unknown/{first}", 404)[0] == "unknown_missing"
    assert served.refusal("DELETE", f"/unknown/{second}", 404)[0] == "unknown_missing"


def test_a_voice_that_opted_out_is_never_kept_again(served: Served) -> None:
    """By the voice itself, which is all that stays."""
    first = heard(served, "ada", 1, 2)
    wish: dict[str, Any] = {"evidence": "letter of 3 May"}
    shown = served.call("POST", f"/unknown/{first}/opt-out", json=wish)
    assert (shown["sightings"], shown["opt_out"]["evidence"]) == ([], "letter of 3 May")
    assert heard(served, "ada", 3, 4).startswith("SPEAKER_")


def test_what_expires_is_purged(served: Served) -> None:
    """First said, then done."""
    kept = heard(served, "clara", 3, 4)
    served.clock.advance(days=31)
    assert kept in served.call("POST", "/unknown/purge?dry_run=true")["purged"]
    assert kept in served.call("POST", "/unknown/purge")["purged"]
    assert served.call("POST", "/unknown/purge")["purged"] == []


def test_names_are_opted_out_also_of_people_never_enrolled(served: Served) -> None:
    """Refused from then on, until the person wishes otherwise."""
    assert served.call("POST", "/opt-outs", 201, json={"name": "Eve"}) == {"voice_id": None}
    assert served.call("POST", "/opt-outs/check", json={"name": "eve"}) == {"opted_out": True}
    person = {"name": "EVE", "consent": {"purposes": ["verify"], "evidence": "form 19"}}
    assert served.refusal("POST", "/people", 403, json=person)[0] == "opted_out"
    served.call("POST", "/opt-outs/lift", 204, json={"name": "Eve"})
    assert served.call("POST", "/opt-outs/check", json={"name": "Eve"}) == {"opted_out": False}
    served.call("POST", "/people", 201, json=person)


def test_opting_out_deletes_somebody_on_record(served: Served) -> None:
    """By the id; the voice is kept only where it was wished."""
    served.enroll("Dora", "stranger", 1, 2)
    dora = served.tenant.gallery.get("Dora").id
    kept = served.call("POST", "/opt-outs", 201, json={"person_id": dora, "voice_wish": "letter of 4 May"})
    assert kept["voice_id"].startswith("unknown-")
    assert served.refusal("GET", f"/people/{dora}", 404)[0] == "person_missing"
    assert served.refusal("POST", "/opt-outs", 422, json={})[0] == "request_invalid"
    assert clip("stranger", 1).exists()
