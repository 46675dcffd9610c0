"""Every verb of an audited gallery writes what it did and what it refused, and nothing personal in the clear."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from synthetic_people import person, put
from unknown_people import unknown
from voxid.audit import Actor, Event, Recorded, acting_as
from voxid.audit.written import listen_to_written
from voxid.errors import VoxidError
from voxid.gallery import Consent
from voxid.gallery.store import Store
from voxid.recognize import Gallery
from voxid.recognize.witness import WrittenOnce

VOICES = Path(str(files("voxid") / "data" / "voices"))
FORM = Consent({"verify", "identify", "diarize-name"}, evidence="signed form 17", jurisdiction="US-IL")
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)

BOTH_ENGINES = True


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    """An audited gallery with Ada in it, by a clock that stands still."""
    with Gallery.open(tmp_path / "people.voxid", clock=lambda: NOW) as opened:
        opened.stored()[0].start_audit()
        opened.enroll("Ada", clips("ada", 1, 2), FORM)
        yield opened


def clips(voice: str, *numbers: int) -> list[Path]:
    return [VOICES / voice / f"{number:02d}.opus" for number in numbers]


def log_of(gallery: Gallery, after: int = 0) -> list[Recorded]:
    return gallery.stored()[0].audit().events(after=after, limit=1000)


def acts(gallery: Gallery, after: int = 0) -> list[tuple[str, str]]:
    return [(recorded.entry.act, recorded.entry.outcome) for recorded in log_of(gallery, after)]


def test_an_enrollment_writes_consent_and_voiceprints(gallery: Gallery) -> None:
    """The evidence and the hashes of the recordings are sealed; purposes and counts are not."""
    given, enrolled = log_of(gallery, 1)
    assert (given.entry.act, enrolled.entry.act) == ("consent.given", "person.enrolled")
    assert given.entry.facts["purposes"] == ["diarize-name", "identify", "verify"]
    assert given.entry.facts["jurisdiction"] == "US-IL"
    assert given.personal == {"evidence": "signed form 17", "signer": None, "method": None}
    assert enrolled.entry.facts["added"] == 2
    assert enrolled.entry.at == "2026-11-21T09:00:00.000000Z"
    person = gallery.get("Ada")
    assert enrolled.personal is not None
    hashes = sorted(print_.audio_sha256 for print_ in person.voiceprints)
    assert sorted(enrolled.personal["audio_sha256"]) == hashes
    assert enrolled.person_id == person.id


def test_every_verb_writes_what_it_did(gallery: Gallery, tmp_path: Path) -> None:
    gallery.verify("ada", clips("ada", 3)[0])
    gallery.verify("ada", clips("bruno", 1)[0])
    gallery.verify("nobody", clips("bruno", 1)[0])
    gallery.identify(clips("ada", 4)[0])
    gallery.identify(clips("bruno", 1)[0])
    gallery.rename("Ada", "Ada L")
    gallery.withdraw("Ada L", {"identify"})
    gallery.export(tmp_path / "export", passphrase="a long passphrase", names=["Ada L"])
    gallery.register("Ben", FORM)
    gallery.delete("Ben")
    gallery.opt_out("Ben")
    gallery.lift_opt_out("Ben")
    gallery.opt_out("Ada L")
    assert acts(gallery, 3) == [
        ("verify.decided", "accept"),
        ("verify.decided", "reject"),
        ("verify.decided", "not_enrolled"),
        ("identify.searched", "matched"),
        ("person.matched", "matched"),
        ("identify.searched", "unknown"),
        ("person.renamed", "done"),
        ("consent.withdrawn", "done"),
        ("gallery.exported", "done"),
        ("person.exported", "done"),
        ("person.registered", "done"),
        ("consent.given", "done"),
        ("person.deleted", "done"),
        ("person.erased", "done"),
        ("person.opted_out", "done"),
        ("opt_out.lifted", "done"),
        ("person.opted_out", "done"),
        ("person.erased", "done"),
    ]
    assert gallery.stored()[0].audit().verify().whole


def test_a_search_is_logged_with_every_field_the_law_asks_for(gallery: Gallery) -> None:
    """Start, end, reference set and its version, input, who was found (sealed), who asked."""
    with acting_as(Actor("oidc", "reviewer-7", "r1")):
        gallery.identify(clips("ada", 4)[0])
    search, match = log_of(gallery, 3)
    facts = search.entry.facts
    assert set(facts) == {
        "purpose", "search", "profile", "model_id", "started_at", "audio_sha256", "voices", "matches"
    }  # fmt: skip
    assert all(value is not None for value in facts.values())
    assert search.entry.at >= facts["started_at"]
    assert search.entry.generation == 2
    assert search.entry.actor == Actor("oidc", "reviewer-7", "r1")
    assert match.entry.facts == {"purpose": "identify", "search": facts["search"]}
    assert match.person_id == gallery.get("Ada").id
    assert match.personal is not None
    assert match.personal["rank"] == 1


def test_refusals_are_written_too(gallery: Gallery, tmp_path: Path) -> None:
    silence = tmp_path / "silence.wav"
    silence.write_bytes(b"not audio")
    attempts = [
        lambda: gallery.enroll("Ben", clips("bruno", 1)),
        lambda: gallery.enroll("Ada", clips("bruno", 1)),
        lambda: gallery.verify("Ada", silence),
        lambda: gallery.identify(silence),
        lambda: gallery.delete("Nobody"),
        lambda: gallery.rename("Ada", ""),
    ]
    for attempt in attempts:
        with pytest.raises(VoxidError):
            attempt()
    assert acts(gallery, 3) == [
        ("person.enrolled", "refused:consent_missing"),
        ("person.enrolled", "refused:enrollment_inconsistent"),
        ("verify.decided", "refused:audio_unknown_format"),
        ("identify.searched", "refused:audio_unknown_format"),
        ("person.deleted", "refused:person_missing"),
        ("person.renamed", "refused:name_invalid"),
    ]
    assert [r.person_id is not None for r in log_of(gallery, 3)] == [False, True, True, False, False, True]


def test_nothing_personal_stands_in_the_clear(gallery: Gallery) -> None:
    """No name, person id, evidence, score or hash of an enrolled recording in any line."""
    gallery.verify("Ada", clips("ada", 3)[0])
    lines = b"\n".join(gallery.stored()[0].audit().lines())
    ada = gallery.get("Ada")
    secrets = [b"Ada", ada.id.encode(), b"form 17", b"llr", b"score"]
    secrets += [print_.audio_sha256.encode() for print_ in ada.voiceprints]
    assert [secret for secret in secrets if secret in lines] == []


def test_who_counts_hears_of_committed_events_only(gallery: Gallery) -> None:
    heard: list[tuple[str, str]] = []
    end = listen_to_written(lambda act, outcome: heard.append((act, outcome)))
    store = gallery.stored()[0]
    store.record([Event("verify.decided", "accept")])
    with pytest.raises(VoxidError):
        gallery.rename("Ada", "")
    gallery.delete("Ada")
    end()
    store.record([Event("verify.decided", "accept")])
    assert heard == [
        ("verify.decided", "accept"),
        ("person.renamed", "refused:name_invalid"),
        ("person.deleted", "done"),
    ]


def test_people_without_a_name_are_written_down_without_their_ids(gallery: Gallery) -> None:
    """Kept, forgotten, opted out, purged, refused; a forgotten id stands nowhere any more."""
    store = gallery.stored()[0]
    with store.changing() as change:
        for number in range(3):
            change.unknown.put(unknown(f"unknown-0000000{number}", number))
        change.record(Event("unknown.remembered", "new", "unknown-00000000", at=NOW))
    gallery.unknown.forget("unknown-00000000")
    gallery.unknown.opt_out("unknown-00000001", "letter of 3 May")
    gallery._clock = lambda: NOW + timedelta(days=60)
    gallery.unknown.purge()
    with pytest.raises(VoxidError):
        gallery.unknown.forget("unknown-00000009")
    assert acts(gallery, 3) == [
        ("unknown.remembered", "new"),
        ("unknown.forgotten", "done"),
        ("person.erased", "done"),
        ("unknown.opted_out", "done"),
        ("unknown.purged", "done"),
        ("unknown.forgotten", "refused:unknown_missing"),
    ]
    log = store.audit()
    assert log.verify().whole
    assert b"unknown-0000" not in b"".join(log.lines())


def test_a_call_that_asks_again_writes_what_is_new(gallery: Gallery) -> None:
    """The first search is written, and each that finds somebody new; the same answer again is not."""
    store = gallery.stored()[0]
    ada = store.read(gallery.get("Ada").id)
    assert ada is not None
    known = ada.voiceprints[0].embedding[None]
    stranger = np.roll(known, 7, axis=1)
    once = WrittenOnce()
    for voice in (stranger, stranger, known, known, stranger):
        gallery.match(voice, once=once)
    assert acts(gallery, 3) == [
        ("diarize.named", "unknown"),
        ("diarize.named", "matched"),
        ("person.matched", "matched"),
    ]


WORKER = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from synthetic_people import person
from voxid.audit import Event
from voxid.gallery.store import Store

store = Store.open(Path(sys.argv[1]), create=False)
print("started", flush=True)
for number in range(10_000):
    if number % 3 == 0:
        one = person(f"{sys.argv[2]} {number}", int(sys.argv[2]) * 10_000 + number, n_voiceprints=1)
        with store.changing() as change:
            change.put(one)
            change.record(Event("person.enrolled", person_id=one.id))
        print("person.enrolled", flush=True)
    else:
        store.record([Event("verify.decided", "accept", facts={"number": number})])
        print("verify.decided", flush=True)
"""


@pytest.mark.file_only
def test_events_are_as_many_as_acts_after_kill_9(tmp_path: Path) -> None:
    """Acknowledged acts and entries agree; at most the act that was cut off is there without an answer."""
    path = tmp_path / "people.voxid"
    store = Store.open(path)
    store.start_audit()
    put(store, person("the first", 1))
    store.close()
    here, dice = Path(__file__).parent, random.Random(17)
    environ = {**os.environ, "PYTHONPATH": f"{here}:{here.parent / 'src'}", "OMP_NUM_THREADS": "1"}
    done: Counter[str] = Counter()
    for round_ in range(3):
        command = [sys.executable, "-c", WORKER, str(path), str(round_ + 1)]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
        assert worker.stdout is not None
        said = [worker.stdout.readline().strip() for _ in range(dice.randint(5, 40))]
        os.kill(worker.pid, signal.SIGKILL)
        said += worker.stdout.read().split()
        worker.wait()
        done.update(said[1:])
        store = Store.open(path, create=False)
        log = store.audit()
        assert log.verify().whole
        written = Counter(recorded.entry.act for recorded in log.events(limit=10_000))
        assert written["person.enrolled"] == len(store.person_ids()) - 1
        extra = Counter({act: written[act] - done[act] for act in ("person.enrolled", "verify.decided")})
        assert 0 <= extra.total() <= 1, "only the act that was cut off may be written without an answer"
        done.update(extra)
        store.close()


def test_retention_sees_time_by_the_gallery_clock(gallery: Gallery) -> None:
    later = NOW + timedelta(days=30)
    gallery._clock = lambda: later
    gallery.verify("Ada", clips("ada", 3)[0])
    assert log_of(gallery)[-1].entry.at == "2026-12-21T09:00:00.000000Z"
