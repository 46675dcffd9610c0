"""What a verification leaves behind is written together or not at all, and limits hold for processes together."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest

from service_app import Clock, Running, clips, running
from synthetic_people import new_store, person
from voices import voice
from voxid.audio import Waveform
from voxid.audit.events import Event
from voxid.errors import PolicyError, StoreError, VoxidError
from voxid.gallery.document_change import DocumentChange
from voxid.gallery.documents import Document
from voxid.gallery.sqlite import SqliteDatabase
from voxid.gallery.store import Store
from voxid.service.attempts import Attempt, Attempts
from voxid.service.settings import Limits

Heard = tuple[str, Waveform | None]
NOBODY: frozenset[str] = frozenset()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service in which Ada is enrolled."""
    with running(tmp_path_factory.mktemp("service"), lockout_failures=0) as run:
        run.client().enroll("Ada", clips("ada", 1, 2), {"verify"}, "form")
        yield run


@contextmanager
def counted_commits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Hand out a list that grows by one at each writing transaction."""
    commits: list[int] = []
    writing = SqliteDatabase.writing

    @contextmanager
    def counting(self: SqliteDatabase) -> Iterator[object]:
        with writing(self) as connection:
            yield connection
        commits.append(1)

    with monkeypatch.context() as patched:
        patched.setattr(SqliteDatabase, "writing", counting)
        yield commits


def store_of(service: Running) -> Store:
    """Return the store of the one tenant."""
    return service.service.tenants.get("default").store


def ask(service: Running, key: str, audio: bytes, **headers: str) -> dict[str, object]:
    """Return the answer to a verification of Ada."""
    person_id = store_of(service).find("Ada")
    sent = {"Authorization": f"Bearer {key}", "Content-Type": "audio/ogg", **headers}
    answer = service.http.post(f"/v1/people/{person_id}/verifications", content=audio, headers=sent)
    return {**answer.json(), "again": "idempotent-replayed" in answer.headers}


def kept(store: Store) -> dict[str, int]:
    """Return how much of each kind there is that a verification leaves behind."""
    found = {kind: len(store.documents(kind, limit=1000)) for kind in ("decision", "idempotency")}
    played = sum(len(document.body["played"]) for document in store.documents("attempts"))
    return {**found, "played": played, "entries": store.audit().head().size}


def test_a_verification_is_one_commit(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entry, decision, count of tries, what was played and the kept answer: one transaction, told by one entry each."""
    key, store = service.key(), store_of(service)
    service.http.get(
        "/v1/people", headers={"Authorization": f"Bearer {key}"}
    )  # takes the shares of this minute
    before = kept(store)
    with counted_commits(monkeypatch) as commits:
        answer = ask(service, key, clips("ada", 3)[0].read_bytes(), **{"Idempotency-Key": "one-commit"})
    assert answer["outcome"] == "accept", answer
    assert len(commits) == 1
    acts = [each.entry.act for each in store.audit().events(after=before["entries"])]
    assert acts == ["verify.decided", "decision.kept"]
    after = kept(store)
    assert {kind: after[kind] - before[kind] for kind in after} == {
        "decision": 1,
        "idempotency": 1,
        "played": 1,
        "entries": 2,
    }


def test_what_cannot_be_kept_whole_is_not_done(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk at the last piece: no entry, no decision, nothing played; the same request is then done."""
    key, store, audio = service.key(), store_of(service), clips("ada", 4)[0].read_bytes()
    before, put = kept(store), DocumentChange.put

    def full(self: DocumentChange, document: Document) -> None:
        if document.kind == "attempts":  # the last one written
            raise StoreError("store_full", "The disk is full.")
        put(self, document)

    with monkeypatch.context() as patched:
        patched.setattr(DocumentChange, "put", full)
        assert ask(service, key, audio, **{"Idempotency-Key": "disk-full"})["code"] == "store_full"
    assert kept(store) == before
    answer = ask(service, key, audio, **{"Idempotency-Key": "disk-full"})
    assert (answer["outcome"], answer["again"]) == ("accept", False)


def test_two_processes_do_a_request_once(service: Running, tmp_path: Path) -> None:
    """The same request at two processes at one moment: one decision, one set of entries, one answer to both."""
    data = service.service.settings.data
    key, store, audio = service.key(), store_of(service), clips("ada", 5)[0].read_bytes()
    before = kept(store)
    said: list[dict[str, object]] = []
    with running(data.parent, lockout_failures=0) as other:
        threads = [
            threading.Thread(
                target=lambda run=run: said.append(
                    ask(run, key, audio, **{"Idempotency-Key": "at-two-at-once"})
                )
            )
            for run in (service, other)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        said.append(ask(other, key, audio, **{"Idempotency-Key": "at-two-at-once"}))
    assert {answer["outcome"] for answer in said} == {"accept"}, said
    assert len({answer["id"] for answer in said}) == 1
    assert kept(store)["decision"] == before["decision"] + 1
    assert kept(store)["entries"] == before["entries"] + 2


def told(attempt: AbstractContextManager[Attempt], store: Store, heard: Heard, barrier: Barrier) -> str:
    """Return "told" or the code of what one try meets that ends when all have begun; without a sound it fails."""
    person_id, waveform = heard
    try:
        with attempt as one:
            if waveform is not None:
                one.refuse_near_replay(waveform, waveform.uri, Clock()())
            store.record([Event("verify.decided", "reject", person_id, {}, {"llr": -3.0})])
            barrier.wait(10)
            one.failed = waveform is None
        return "told"
    except VoxidError as error:
        return error.code


def at_once(store: Store, person_id: str, n: int, waveform: Waveform | None, limits: Limits) -> Counter[str]:
    """Return what tries at as many processes meet that all begin before the first of them ends."""
    said: list[str] = []
    barrier = Barrier(n)

    def one() -> None:
        attempt = Attempts(limits, Clock()).trying("t", store, person_id, NOBODY)
        said.append(told(attempt, store, (person_id, waveform), barrier))

    threads = [threading.Thread(target=one) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(said)


def test_tries_at_several_processes_cannot_pass_the_limit(tmp_path: Path) -> None:
    """Of eight failing tries at eight processes at once three are told; of the others no entry holds a result."""
    someone = person("Ada", 1)
    store = new_store(tmp_path, someone)
    store.start_audit()
    said = at_once(store, someone.id, 8, None, replace(Limits(), lockout_failures=3))
    assert said == {"told": 3, "person_locked": 5}
    entries = store.audit().events(act="verify.decided")
    assert sum(each.entry.outcome == "reject" for each in entries) == 3
    refused = [each for each in entries if each.entry.outcome == "refused:person_locked"]
    assert len(refused) == 5
    assert all(each.personal is None for each in refused)
    assert len(store.audit().events(act="person.locked")) == 1
    store.close()


def test_a_recording_at_several_processes_counts_once(tmp_path: Path) -> None:
    """The same sound at four processes at one moment: one is told, the others are replays."""
    someone = person("Ada", 1)
    store = new_store(tmp_path, someone)
    waveform = Waveform(voice(4.0, seed=11), "same", "same", 16_000)
    assert at_once(store, someone.id, 4, waveform, Limits()) == {"told": 1, "audio_replayed": 3}
    store.close()


def test_a_minute_of_tries_is_shared(tmp_path: Path) -> None:
    """Six tries at six processes where four may be made in a minute; the seventh is refused without any work."""
    someone = person("Ada", 1)
    store, limits = new_store(tmp_path, someone), replace(Limits(), person_per_min=4, lockout_failures=0)
    assert at_once(store, someone.id, 6, None, limits) == {"told": 4, "rate_limited": 2}
    seventh = Attempts(limits, Clock()).trying("t", store, someone.id, NOBODY)
    with pytest.raises(PolicyError, match="More than 4 requests a minute came from here"):
        seventh.__enter__()
    store.close()
