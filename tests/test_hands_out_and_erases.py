"""A person gets all that is kept of them, and is erased with a receipt; a gallery moves to another installation."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from served import Served, clip, serving
from voxid.audit.statements import SignedStatement
from voxid.gallery.documents import Document, new_document_id
from voxid.privacy.portability import check_export
from voxid.segments import Segment
from voxid.service.diarizing import TIMELINE
from voxid.service.timelines import KeptTimeline
from voxid.timeline import Timeline, Turn

BOTH_ENGINES = True
PASSPHRASE = "korrekt Pferd Batterie ä"
NOBODY = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path / "data") as running:
        running.enroll("Ada", "ada", 1, 2)
        running.enroll("Bruno", "bruno", 1, 2)
        yield running


def talk(served: Served) -> str:
    """The id of a kept timeline on which Ada is named."""
    turns = (Turn(Segment(0, 2), "Ada", True, 6.0), Turn(Segment(2, 5), "SPEAKER_00"))
    kept = KeptTimeline.of(
        Timeline(turns, 8.0, "talk", "0f" * 32), {"Ada": served.tenant.gallery.get("Ada").id}
    )
    id_ = new_document_id()
    with served.tenant.store.changing() as change:
        change.put_document(Document(TIMELINE, id_, kept.to_dict()))
    return id_


def test_a_person_gets_all_that_is_kept_of_them(served: Served, tmp_path: Path) -> None:
    """Readable, with a signed manifest of hashes; nothing of it stays on the disk; voiceprints only encrypted."""
    ada = served.tenant.gallery.get("Ada").id
    timeline = talk(served)
    made = served.call("POST", f"/people/{ada}/verifications", content=clip("ada", 3).read_bytes())
    wanted = {"person_id": ada, "passphrase": PASSPHRASE}
    answer = served.call("POST", "/exports/person", json=wanted)
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    archive.extractall(tmp_path / "export")
    manifest = check_export(tmp_path / "export")
    assert manifest.holds(served.tenant.store.audit().public_key)
    assert manifest.body["person_id"] == ada
    files = {name: archive.read(name) for name in archive.namelist()}
    assert json.loads(files["person.json"])["name"] == "Ada"
    assert "verify.decided" in [entry["act"] for entry in json.loads(files["activity.json"])]
    assert [entry["timeline_id"] for entry in json.loads(files["timelines.json"])] == [timeline]
    records = json.loads(files["records.json"])
    assert made["id"] in [entry["id"] for entry in records]
    assert {"decision", "attempts"} <= {entry["kind"] for entry in records}
    assert b"Bruno" not in b"".join(content for name, content in files.items() if name.endswith(".json"))
    without = served.call("POST", "/exports/person", json={"person_id": ada})
    assert "voiceprints.voxid-export" not in zipfile.ZipFile(io.BytesIO(without.content)).namelist()
    assert served.service.jobs.spool.names() == set()
    assert served.refusal("POST", "/exports/person", 404, json={"person_id": NOBODY})[0] == "person_missing"


def test_a_gallery_moves_to_another_installation(served: Served, tmp_path: Path) -> None:
    """Everybody is verified there as here; twice is a conflict, a part of it is refused."""
    answer = served.call("POST", "/exports/gallery", json={"passphrase": PASSPHRASE})
    assert answer.content.startswith(b"VOXIDEXP")
    assert b"Ada" not in answer.content
    assert served.service.jobs.spool.names() == set()
    with serving(tmp_path / "other") as other:
        headers = {
            "X-Voxid-Passphrase": "korrekt%20Pferd%20Batterie%20%C3%A4",
            "Content-Type": "application/octet-stream",
        }
        report = other.call("POST", "/imports", content=answer.content, headers=headers)
        assert (report["people"], report["voiceprints"]) == (2, 4)
        ada = other.tenant.gallery.get("Ada").id
        made = other.call("POST", f"/people/{ada}/verifications", content=clip("ada", 3).read_bytes())
        assert made["accepted"]
        code, sentence = other.refusal("POST", "/imports", 409, content=answer.content, headers=headers)
        assert code == "import_conflict"
        assert sentence.startswith("2 of 2 people in the export are already in the gallery ('Ada', 'Bruno')")
        cut = answer.content[:-10]
        assert other.refusal("POST", "/imports", 422, content=cut, headers=headers)[0] == "export_damaged"
        assert other.service.jobs.spool.names() == set()


def test_erasure_leaves_a_signed_receipt_and_a_stranger_on_timelines(served: Served) -> None:
    """The receipt names nobody, holds, and is shown again; the decisions about the person are gone."""
    ada = served.tenant.gallery.get("Ada").id
    timeline = talk(served)
    made = served.call("POST", f"/people/{ada}/verifications", content=clip("ada", 3).read_bytes())
    receipt = served.call("POST", "/erasures", 201, json={"person_id": ada})
    statement = SignedStatement.from_dict(receipt)
    assert statement.holds(served.tenant.store.audit().public_key)
    assert (statement.kind, statement.body["voiceprints"]) == ("erasure_receipt", 2)
    assert "Ada" not in json.dumps(receipt)
    assert ada not in json.dumps(receipt)
    assert served.call("GET", f"/erasures/{receipt['body']['receipt_id']}") == receipt
    shown = served.call("GET", f"/diarizations/{timeline}/timeline")
    assert [turn["speaker"] for turn in shown["turns"]] == ["SPEAKER_01", "SPEAKER_00"]
    for method, path in (("GET", f"/people/{ada}"), ("GET", f"/decisions/{made['id']}")):
        served.call(method, path, 404)
    assert served.call("POST", "/audit/verify")["whole"]
    assert served.refusal("POST", "/erasures", 404, json={"person_id": ada})[0] == "person_missing"
    assert served.refusal("GET", f"/erasures/{NOBODY}", 404)[0] == "receipt_missing"
    only = served.key(roles=["operator"])
    assert (
        served.refusal("POST", "/erasures", 403, json={"person_id": ada}, headers=only)[0] == "scope_missing"
    )
